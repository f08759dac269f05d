"""Forks of a simulated run: a second run that shares the log of the first up to some step, and is then attacked and ends by itself.

A fork depends only on what stands before its point, so forking a run that has ended is forking it at any moment of its life.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.sim.oracles import Violation
from tests.sim.worker import carry
from treadle.core.commands import Decision
from treadle.core.events import Caller, Event, RunForked
from treadle.core.ids import address_of
from treadle.core.state import RunState

if TYPE_CHECKING:
    from tests.sim.driver import Sim

DORA = Caller(kind="human", name="dora", assurance="local")
REFUSED = {"no_fork_point", "in_worktree"}


def fork_of(sim: "Sim") -> "Sim | None":
    """Fork a run at a random step; None where the core says why it cannot be forked there."""
    history = list(_history(sim))
    points = _points(history)
    if not points:
        return None
    steps = sim.drawn.definition.index.steps
    gated = [point for point in points if steps[address_of(point[0])].requires is not None]
    busy = [point for point in points if _is_busy(history[point[1]])]
    at, shared = sim.rng.choice(sim.rng.choice([pool for pool in (points, gated, busy) if pool]))
    log: list[Event] = sim.store.log
    fork = type(sim)(sim.rng, sim.faults, drawn=sim.drawn, deep=sim.deep)
    fork.now_ms = sim.now_ms + sim.rng.choice((0, 1, 60_000, 86_400_000))
    fork.store.blobs.update(sim.store.blobs)
    fork.watch.sharing = True
    state: RunState | None = None
    for before, event, decision in history[:shared]:
        fork.watch.transition(before, event, decision)
        state = decision.state
    fork.store.log, fork.store.state = log[:shared], state
    name = f"{sim.state.run_id}f"
    event = RunForked(
        at_ms=fork.now_ms, run_id=name, seed=f"seed of {name} {sim.rng.randrange(1 << 16)}", by=DORA, from_run=sim.state.run_id,
        from_rev=shared, at=at, event=log[shared],
    )  # fmt: skip
    fork.watch.shared, fork.watch.foreign = shared + 1, _channels(history)
    worker = fork.workers[0]
    worker.catch_up()
    fork.calm = True  # making a fork is one commit; what may go wrong on its way is the store's affair
    reply = worker.send(lambda _at, _s, _l: event)
    fork.calm = fork.watch.sharing = False
    if reply.refusal is not None:
        if reply.refusal.code not in REFUSED:
            raise Violation("fork", f"{at}: {reply.refusal.message}")
        return None
    for other in fork.workers:
        other.catch_up()
    return fork


def _history(sim: "Sim") -> Iterator[tuple[RunState | None, Event, Decision]]:
    state: RunState | None = None
    for event in sim.store.log:
        decision = carry(sim.drawn.definition, state, event, sim.store.blobs, {})
        yield state, event, decision
        state = decision.state


def _points(history: list[tuple[RunState | None, Event, Decision]]) -> list[tuple[str, int]]:
    """Steps that were opened, each with the number of events before the one that opened it."""
    found: dict[str, int] = {}
    for number, (_, _, decision) in enumerate(history):
        for note in decision.notes:
            if note.kind == "step_opened":
                found.setdefault(note.path, number)
    return list(found.items())


def _is_busy(moment: tuple[RunState | None, Event, Decision]) -> bool:
    """Whether somebody holds an action before and after an event: beside the step that it opened."""
    before, _, decision = moment
    after = decision.state.actions
    return before is not None and any(action.holder and after.get(name) is action for name, action in before.actions.items())


def _channels(history: list[tuple[RunState | None, Event, Decision]]) -> set[str]:
    return {frame.channel for _, _, decision in history for frame in decision.state.frames.values() if frame.channel}
