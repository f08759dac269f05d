"""What is made of a history and of a state afterwards: `fold` is `advance` over a history, `resume` tells what a process has still to do.

Both are pure, and no policy: the core decides nothing here that it has not decided before.
"""

from collections.abc import Iterable, Mapping

from treadle.core.advance import NO_BLOBS, advance
from treadle.core.closing import close_policy, needs_claim
from treadle.core.commands import Command, NeedBlobs, Perform, StopAction
from treadle.core.definition import Definition
from treadle.core.errors import HistoryMismatchError
from treadle.core.events import Event, RunMigrated
from treadle.core.state import RunState
from treadle.core.values import Value

NO_OTHERS: Mapping[str, Definition] = {}


def fold(
    definition: Definition, history: Iterable[Event], blobs: Mapping[str, Value] = NO_BLOBS, later: Mapping[str, Definition] = NO_OTHERS
) -> RunState:  # fmt: skip
    """Compute a run's state from its history; `blobs` must hold all that the history looks into, `later` the definitions it was moved to."""
    state: RunState | None = None
    for event in history:
        definition = later[event.to] if isinstance(event, RunMigrated) else definition
        decision = advance(definition, state, event, blobs)
        if isinstance(decision, NeedBlobs):
            raise HistoryMismatchError(f"the history needs values that are not there: {', '.join(decision.digests)}")
        state = decision.state
    if state is None:
        raise HistoryMismatchError("the history is empty")
    return state


def resume(definition: Definition, state: RunState) -> tuple[Command, ...]:
    """Give the commands that are still to be carried out: the world may have forgotten them, the state has not. Pure."""
    if state.ended:
        return ()
    commands: list[Command] = []
    for action in state.actions.values():
        if action.status == "stopping" and close_policy(definition, action) != "wait":
            commands.append(StopAction(action=action.id, attempt=action.attempt))
        elif action.status == "open" and action.performer == "server" and state.parked is None:
            commands.append(Perform(action=action.id, attempt=action.attempt, claim=needs_claim(action)))
    return tuple(commands)
