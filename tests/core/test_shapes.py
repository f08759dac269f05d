"""Every shape, settled in every order, keeps every invariant."""

import pytest

from tests.core.play import Play
from tests.core.shapes import SHAPES, explore
from tests.sim.definitions import Drawn
from tests.sim.oracles import Watch
from tests.sim.store import Store
from treadle.core import codec
from treadle.core.advance import advance
from treadle.core.commands import CloseRun, NeedBlobs
from treadle.core.definition import Definition
from treadle.core.state import RunState
from treadle.replay import fold, resume
from treadle.view import view

STATES_MAX = 250
FINAL = ("running", "cancelling", "completed")


def watched(definition: Definition, before: RunState | None, play: Play) -> None:
    """The oracles of the simulator, over the last event alone."""
    store = Store(blobs=play.blobs)
    watch = Watch(Drawn(definition), store, remembers=False)
    event = play.log[-1]
    decision = advance(definition, before, event, play.supplied)
    assert not isinstance(decision, NeedBlobs)
    watch.transition(before, event, decision)


def previous_state(before: Play, after: Play) -> RunState | None:
    if len(after.log) == len(before.log) + 1:
        return before.state
    return fold(after.definition, after.log[:-1], after.blobs) if len(after.log) > 1 else None


@pytest.mark.parametrize("name", list(SHAPES))
def test_shape(name):
    definition = SHAPES[name]
    ended: set[bytes] = set()

    def visit(before: Play, after: Play) -> None:
        state = after.state
        if after.decision.changed:
            watched(definition, previous_state(before, after), after)
        # Ids are unique by being keys; a path stands for one thing at a time, and an action for a step.
        assert all(key == node.path for key, node in state.nodes.items())
        assert all(key == action.id for key, action in state.actions.items())
        # A run that has ended stays as it is; one that is being cancelled ends cancelled.
        if before is not after:
            assert not before.state.ended
            assert before.status != "cancelling" or state.status in {"cancelling", "undoing", "cancelled", "failed", "goal_not_met"}
        closes = [command for command in after.every_command if isinstance(command, CloseRun)]
        assert len(closes) == int(state.ended)
        assert not closes or after.every_command[-1] is closes[0]
        # Seen and stored without a change.
        body = codec.dumps(state)
        assert codec.dumps(codec.loads(RunState, body)) == body
        assert resume(definition, state) == resume(definition, codec.loads(RunState, body))
        assert view(definition, state) == view(definition, codec.loads(RunState, body))
        assert codec.dumps(state) == body
        if state.ended and body not in ended:
            ended.add(body)
            after.ended_properly()

    states, endings = explore(definition, visit, states_max=STATES_MAX)
    assert endings >= 1
    assert states >= 1


def test_every_order_is_walked_where_there_are_few():
    """Two rounds of one delegate each: the states can be counted by hand."""
    statuses: set[str] = set()
    states, _ = explore(SHAPES["one action"], lambda _before, after: statuses.add(after.status), states_max=1_000)
    assert statuses == {"running", "cancelling", "completed", "failed", "cancelled"}
    # open, claimed, redo open, redo claimed, redo² open, redo² claimed; stopping for each attempt; four endings.
    assert 10 <= states <= 20


def test_there_are_enough_shapes():
    assert len(SHAPES) >= 60
