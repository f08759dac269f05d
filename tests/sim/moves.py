"""Runs that are moved to a changed definition at any moment, back and forth: texts are others, a step more at the end, a field more in the state.

The oracles look at the run by the definition that it has, enlarged by the places of the other one.
"""

from dataclasses import replace

from tests.core.build import delegate, x
from tests.sim.definitions import Drawn, draw
from tests.sim.driver import ANNA, Sim, any_faults
from tests.sim.oracles import Violation, Watch
from tests.sim.worker import Worker
from treadle.core.codec import digest_of
from treadle.core.definition import Approve, Definition, Delegate, McpCall, Prompt, Step, Task
from treadle.core.errors import RequestError
from treadle.core.events import RunMigrated
from treadle.core.records import names_of
from treadle.engine.migrating import check_plan, plan_migration

REFUSED = {"cannot_migrate", "ending", "run_ended"}


def changed(definition: Definition) -> Definition:
    """Give a definition with other texts, a step more and a field more."""
    main = _changed(grown(definition).main)
    tasks = {name: _changed(task) for name, task in definition.tasks.items()}
    return replace(definition, main=main, tasks=tasks, final_steps=_changed(definition.final_steps))


def grown(definition: Definition) -> Definition:
    """Give a definition with a step more and a field more."""
    main = definition.main
    main = replace(main, steps=(*main.steps, delegate("appended")), initial_state=(*main.initial_state, ("added", x(1))))
    return replace(definition, main=main)


def _changed(value):
    if isinstance(value, Step | Task):
        value = replace(value, **{name: _changed(getattr(value, name)) for name in names_of(type(value))})
        if isinstance(value, Step) and isinstance(value.spec, Approve):
            show = x({"state": "{{ state }}", "of": value.id})  # the same in another order: another text, which the oracles can compute
            value = replace(value, spec=replace(value.spec, show=show))
        return value
    match value:
        case tuple():
            return tuple(_changed(each) for each in value)
        case dict():
            return {key: _changed(each) for key, each in value.items()}
        case Delegate():
            return replace(value, instructions=x("otherwise"))
        case Prompt():
            return replace(value, message=x("otherwise"))
        case McpCall():
            return replace(value, parameters=x({"otherwise": True}))
        case Approve():
            return replace(value, reject_steps=_changed(value.reject_steps))
        case _ if names_of(type(value)) and any(isinstance(getattr(value, name), tuple | dict) for name in names_of(type(value))):
            return replace(
                value, **{name: _changed(getattr(value, name)) for name in names_of(type(value)) if _holds_steps(getattr(value, name))}
            )
        case _:
            return value


def _holds_steps(value) -> bool:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else ()
    return any(isinstance(each, Step) or (isinstance(each, tuple) and _holds_steps(each)) for each in parts)


class MovingWatch(Watch):
    """Oracles that know which definition the run has."""

    seen_by: dict[str, Definition]
    other: Definition

    def transition(self, before, event, decision) -> None:
        if isinstance(event, RunMigrated):
            self.definition = self.accounts.definition = self.seen_by[event.to]
            self.accounts.steps = self.definition.index.steps
        super().transition(before, event, decision)
        if isinstance(event, RunMigrated):
            self._moved(decision)

    def _moved(self, decision) -> None:
        """Nothing that nobody has begun is of the other definition; no vote is for another text."""
        otherwise = self.definition is self.other
        for action in decision.state.actions.values():
            if action.kind == "approve" and action.votes and not action.id.endswith(".requires"):
                self.broken("migration", f"{action.id} was voted for before its text was changed")
            if action.kind == "delegate" and action.status == "open" and (action.params["instructions"] == "otherwise") != otherwise:
                self.broken("migration", f"{action.id} is handed out with the text of the definition before")


class MovingSim(Sim):
    """A run under attack that is also moved."""

    def __init__(self, rng, *, deep: bool = False) -> None:
        drawn = draw(rng)
        super().__init__(rng, any_faults(rng), drawn=drawn, deep=deep)
        other = changed(drawn.definition)
        self.later = {digest_of(each): each for each in (drawn.definition, other)}
        self.moves = 0
        seen_by = {digest_of(drawn.definition): grown(drawn.definition), digest_of(other): other}
        self.watch = MovingWatch(Drawn(definition=grown(drawn.definition), lists=drawn.lists), self.store)
        self.watch.seen_by, self.watch.other = seen_by, other
        for worker in self.workers:
            worker.watch, worker.later = self.watch, self.later
        self.activities += [self._moves] * rng.choice((1, 2, 4))

    def _moves(self, worker: Worker) -> None:
        to = self.rng.choice(list(self.later.values()))

        def make(at_ms, state, _lapsed):
            plan = plan_migration(worker.definition, to, state, {}, at_ms=at_ms, by=ANNA)
            check_plan(plan, None)
            return plan.event

        if self.state.ended:
            return
        try:
            worker.catch_up()
            reply = worker.send(make)
        except RequestError as error:
            if error.code not in {"unchanged", "cannot_migrate"}:
                raise Violation("migration", f"{error.code}: {error.message}") from error
            return
        if reply.refusal is not None and reply.refusal.code not in REFUSED:
            raise Violation("migration", f"{reply.refusal.code}: {reply.refusal.message}")
        self.moves += reply.refusal is None
