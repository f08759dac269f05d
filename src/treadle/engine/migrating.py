"""The plan of a migration: which open places of a run have which place in a changed definition, and what becomes of each (ruling 63).

`plan_migration` is pure: two definitions, one state, and what steps are called now. The same plan is shown by a dry run, asked about, and turned into
the event, so that what happens is what was shown. The core holds the result against the new definition once more (core/migrate.py); what only it
can tell, a default that fails or a value that does not fit any more, it tells by refusing, and `refused` carries that into the plan.

Steps are compared by what is rendered when they are handed out. A change of anything else (`retry`, `on_error`, `verify`, `output_to` ...) needs
nothing to be handed out again: it is looked up when it is needed.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, cast

from treadle.core.closing import may_be_underway
from treadle.core.codec import digest_of
from treadle.core.definition import Approve, Break, Definition, Parallel, Step
from treadle.core.errors import Refusal, RequestError
from treadle.core.events import Caller, RunMigrated
from treadle.core.ids import join
from treadle.core.index import walk
from treadle.core.migrate import keeps, renamer
from treadle.core.nearest import nearest
from treadle.core.records import names_of
from treadle.core.state import ListNode, RunState, StepNode
from treadle.core.verify import VERIFY

Becomes = Literal["goes on", "handed out anew", "keeps what it was given", "asked anew", "waits anew", "checked anew", "cannot move"]
# What is looked up when it is needed, and not rendered when a step is handed out.
_NOTHING: Final = Step(id="", spec=Break())
_LOOKED_UP: Final = (
    "description", "output_to", "timeout_ms", "within_ms", "retry", "on_error", "repair", "read_back", "budget", "final_steps", "undo",
    "needs_state",
)  # fmt: skip
_RENDERED: Final = frozenset({"opening", "gate", "action", "wait"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What becomes of an open step: from one place to another. `why` says why it cannot move, `candidates` what may be meant."""

    path: str
    to: str
    type: str
    becomes: Becomes
    why: str = ""
    candidates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A step that both definitions have, not alike: `fields` are what differs. `when` says where the run stands: it is open, to come, or past."""

    step: str
    was: str
    fields: tuple[str, ...]
    when: Literal["open", "to come", "past"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a migration does. It takes place only where `troubles` is empty.

    `added` are steps that will run, `passed` new ones that stand before an open place and will not, `gone` steps that are not there any more, `again`
    finished ones that stand behind the place where the run goes on. `fields` tells of the state's, `notes` what else is worth knowing.
    """

    event: RunMigrated
    moves: tuple[Move, ...]
    changes: tuple[Change, ...]
    added: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    again: tuple[str, ...] = ()
    fields: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    troubles: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing would be different."""
        return self.event.was == self.event.to

    def same_as(self, other: "Plan") -> bool:
        """Tell whether another plan does the same to the run, whenever and by whomever."""
        return replace(self.event, at_ms=0, by=_NOBODY) == replace(other.event, at_ms=0, by=_NOBODY) and self.moves == other.moves


_NOBODY: Final = Caller(kind="server", name="")


def refused(plan: Plan, refusal: Refusal) -> Plan:
    """Give a plan that the core refuses: with what it says, unless that was found already."""
    faults = (refusal.details or {}).get("faults")
    told = tuple(map(str, faults)) if isinstance(faults, list) else (refusal.message,)
    return replace(plan, troubles=plan.troubles or told)


def check_plan(plan: Plan, shown: Plan | None) -> None:
    """Raise RequestError where a plan cannot be carried out, or is not the one that was shown."""
    if plan.is_empty:
        raise RequestError("the run has that definition already", code="unchanged", hint="nothing has changed in the file")
    if plan.troubles:
        hint = "mend the file, or say with --map OLD=NEW what a step is called now; the run is as it was"
        message = f"the run cannot go on with it: {plan.troubles[0]}"
        raise RequestError(message, code="cannot_migrate", hint=hint, details={"troubles": list(plan.troubles)})
    if shown is not None and not plan.same_as(shown):
        message = "the run has moved on since the plan was shown, and more or less would happen to it now"
        raise RequestError(message, code="plan_changed", hint="look at the plan again; the run is as it was")


def plan_migration(old: Definition, new: Definition, state: RunState, renamed: Mapping[str, str], *, at_ms: int, by: Caller) -> Plan:
    """Compare, place by place. `renamed` maps ids of the old steps to those of the new ones."""
    return _Planning(old, new, state, dict(renamed)).plan(at_ms, by)


class _Planning:
    """The two definitions, and where the run stands between them."""

    def __init__(self, old: Definition, new: Definition, state: RunState, renamed: dict[str, str]) -> None:
        self.old, self.new, self.state, self.renamed = old, new, state, renamed
        self.to = renamer(renamed)
        self.old_steps = {step.id: step for step in _all_steps(old)}
        self.new_steps = {step.id: step for step in _all_steps(new)}
        self.back = {self.to(step_id): step_id for step_id in self.old_steps}

    def plan(self, at_ms: int, by: Caller) -> Plan:
        steps = [node for node in self.state.nodes.values() if isinstance(node, StepNode)]
        moves = [self._move(node) for node in steps]
        lists = [node for node in self.state.nodes.values() if isinstance(node, ListNode) and self.to(node.at) in self.new.index.lists]
        cursors = {node.path: self._cursor(node) for node in lists}
        passed, again = list[str](), list[str]()
        for node in lists:
            before, behind = self._out_of_order(node, cursors[node.path])
            passed += before
            again += behind
        event = RunMigrated(
            at_ms=at_ms, by=by, was=digest_of(self.old), to=digest_of(self.new), renamed=self.renamed,
            cursors={self.to(node.path): cursors[node.path] for node in lists if cursors[node.path] != node.cursor},
            anew=tuple(self._anew(steps, moves)), passed=tuple(passed), dues=dict(self._dues(steps, at_ms)),
        )  # fmt: skip
        return Plan(
            event=event, moves=tuple(moves), changes=tuple(self._changes()), passed=tuple(passed), again=tuple(again),
            added=tuple(path for path in self._added() if path not in {one.rpartition("/")[2] for one in passed}),
            gone=tuple(step_id for step_id in self.old_steps if self.to(step_id) not in self.new_steps),
            fields=tuple(self._fields()), notes=tuple(self._notes(moves)),
            troubles=(*self._wrong_names(), *(f"`{move.path}` {move.why}" for move in moves if move.becomes == "cannot move")),
        )  # fmt: skip

    # Where open steps go

    def _move(self, node: StepNode) -> Move:
        was, at = self.old.index.steps[node.at], self.to(node.at)
        kind = type(was.spec).__name__
        move = Move(path=node.path, to=self.to(node.path), type=kind, becomes="goes on")
        now = self.new.index.steps.get(at)
        why = self._why_not(node, was, now)
        if why:
            return replace(move, becomes="cannot move", why=why, candidates=self._candidates(was) if now is None else ())
        return replace(move, becomes=self._becomes(node, was)) if now is not None else move

    def _why_not(self, node: StepNode, was: Step, now: Step | None) -> str:
        if now is None:
            elsewhere = next((place for place, step in self.new.index.steps.items() if step.id == self.to(was.id)), None)
            return f"is open, and stands elsewhere now (`{elsewhere}`)" if elsewhere else "is open, and is not there any more"
        if type(now.spec) is not type(was.spec):
            return f"is open, and is {_worded(now)} now, not {_worded(was)}"
        if node.phase == "block" and _branches(now) != _branches(was):
            return "is open, and its branches are others now"
        action = self.state.actions.get(node.path)
        if action is not None and self.to(node.path) != node.path and may_be_underway(action) and keeps(action):
            return "is being done, and may have had an effect: it keeps its name until it has ended"
        return ""

    def _becomes(self, node: StepNode, was: Step) -> Becomes:
        action = self.state.actions.get(node.path)
        moved = self.to(node.path) != node.path and action is not None and may_be_underway(action)
        if node.phase not in _RENDERED or not (moved or self._is_given_otherwise(was)):
            look = self.state.actions.get(node.path + VERIFY)
            return "checked anew" if look is not None and self._now(was).verify != was.verify else "goes on"
        if node.phase == "wait":
            return "waits anew"
        if node.phase == "gate" or (action is not None and action.kind == "approve"):
            return "asked anew"
        return "keeps what it was given" if action is not None and keeps(action) else "handed out anew"

    def _is_given_otherwise(self, was: Step) -> bool:
        """Tell whether what is handed out of a step may be another; what a required gate shows belongs to it."""
        if _given(was) != _given(self._now(was)):
            return True
        gates = was.requires.gates if was.requires is not None else ()
        return any(_given(self.old_steps[gate]) != _given(self._now(self.old_steps[gate])) for gate in gates)

    def _now(self, was: Step) -> Step:
        return self.new_steps.get(self.to(was.id), _NOTHING)

    def _candidates(self, was: Step) -> tuple[str, ...]:
        alike = [step.id for step in self.new_steps.values() if type(step.spec) is type(was.spec) and step.id not in self.back]
        meant = nearest(was.id, alike)
        return (*([meant] if meant else []), *(each for each in alike if each != meant))[:3]

    def _anew(self, steps: list[StepNode], moves: list[Move]) -> Iterator[str]:
        for node, move in zip(steps, moves, strict=True):
            if move.becomes not in {"goes on", "cannot move", "checked anew"}:
                yield move.to
            look = self.state.actions.get(node.path + VERIFY)
            if look is not None and self._now(self.old.index.steps[node.at]).verify != self.old.index.steps[node.at].verify:
                yield move.to + VERIFY

    # Where lists go on

    def _cursor(self, node: ListNode) -> int:
        ids = [step.id for step in self.new.index.lists[self.to(node.at)]]
        old = self.old.index.lists[node.at]
        opened = next((n for n in self.state.nodes.values() if isinstance(n, StepNode) and n.list_path == node.path), None)
        if opened is not None:
            now = self.to(self.old.index.steps[opened.at].id)
            return ids.index(now) if now in ids else node.cursor
        return max((ids.index(self.to(step.id)) + 1 for step in old[: node.cursor] if self.to(step.id) in ids), default=0)

    def _out_of_order(self, node: ListNode, cursor: int) -> tuple[list[str], list[str]]:
        """Give the steps of a list that stand before the run and never ran, and those that ran and stand behind it."""
        old = [step.id for step in self.old.index.lists[node.at]]
        ran = {*old[: node.cursor + 1], *node.visits}
        new = [(step.id, self.back.get(step.id)) for step in self.new.index.lists[self.to(node.at)]]
        path = self.to(node.path)
        passed = [join(path, now) for now, was in new[:cursor] if was not in ran]
        return passed, [join(path, now) for now, was in new[cursor + 1 :] if was in old[: node.cursor]]

    def _dues(self, steps: list[StepNode], at_ms: int) -> Iterator[tuple[str, int | None]]:
        """Move the end of a `within` that was changed by as much; a new one begins now."""
        for node in steps:
            was, now = self.old.index.steps[node.at].within_ms, self._now(self.old.index.steps[node.at]).within_ms
            due = self.state.timers.get(f"within:{node.path}")
            if was == now or (was is not None and due is None):
                continue
            ends_ms = (
                None if now is None else due - was + now if due is not None and was is not None else max(at_ms, self.state.now_ms) + now
            )
            yield self.to(node.path), ends_ms

    # What is told besides

    def _wrong_names(self) -> Iterator[str]:
        for old, new in self.renamed.items():
            if old not in self.old_steps:
                yield f"`{old}` is no step of the run's definition" + _meant(old, self.old_steps)
            elif new not in self.new_steps:
                yield f"`{new}` is no step of the new definition" + _meant(new, self.new_steps)
        for new in {new for new in self.renamed.values() if list(self.renamed.values()).count(new) > 1}:
            yield f"two steps cannot both be `{new}`"
        for old, new in self.renamed.items():
            if new in self.old_steps and new not in self.renamed and new != old:
                yield f"`{new}` is another step of the run's definition already"

    def _added(self) -> Iterator[str]:
        yield from (step_id for step_id in self.new_steps if step_id not in self.back)

    def _changes(self) -> Iterator[Change]:
        opened = {self.old.index.steps[node.at].id for node in self.state.nodes.values() if isinstance(node, StepNode)}
        past = {
            step.id
            for node in self.state.nodes.values()
            if isinstance(node, ListNode)
            for step in self.old.index.lists[node.at][: node.cursor]
        }
        past |= {inner.id for step_id in past for inner in walk((self.old_steps[step_id],))}
        for step_id, was in self.old_steps.items():
            now = self.new_steps.get(self.to(step_id))
            if now is None:
                continue
            fields = tuple(
                name for name in names_of(Step) if name not in {"id", "needs_state"} and _shallow(was, name) != _shallow(now, name)
            )
            if fields or now.id != was.id:
                when = "open" if step_id in opened else "past" if step_id in past else "to come"
                yield Change(step=now.id, was=step_id, fields=fields, when=when)

    def _fields(self) -> Iterator[tuple[str, str]]:
        for node in self.state.nodes.values():
            frame = self.state.frames[node.frame]
            task, before = self.new.index.scopes.get(self.to(node.at)), self.old.index.scopes.get(node.at)
            if not isinstance(node, ListNode) or task is None or before is None or frame.state is None:
                continue
            where = f" of `{node.path}`" if node.path else ""
            declared = {name for name, _ in task.initial_state} | {step.output_to for step in walk(task.steps)}
            for name, _ in task.initial_state:
                if name not in frame.state:
                    yield name, f"new{where}: gets its initial value"
            for name in frame.state:
                if name not in declared:
                    yield name, f"not declared any more{where}: kept, and read by nothing"
            for name in task.inputs:
                if name not in before.inputs:
                    yield name, f"a new input{where}: gets its default"

    def _notes(self, moves: list[Move]) -> Iterator[str]:
        if self.old.name != self.new.name:
            yield f"the new definition is called {self.new.name!r}; the run stays listed as {self.old.name!r}"
        for lost in sorted(self.new.index.read_ids - self.old.index.read_ids - {"*"}):
            done = next((step_id for step_id in self.old_steps if step_id.replace("-", "_") == lost), None)
            if done is not None and self._is_past(done):
                yield f"`steps.{lost}` is read now, and was not kept when `{done}` ended, because nothing read it then"
        if any(move.becomes == "asked anew" for move in moves):
            yield "what was approved of it so far does not count: another thing is asked about"
        decided = {gate for frame in self.state.frames.values() for gate, given in frame.approvals.items() if given.approved}
        for gate in sorted(decided):
            if gate in self.old_steps and self._is_past(gate) and _given(self.old_steps[gate]) != _given(self._now(self.old_steps[gate])):
                yield f"`{gate}` was approved as it stood; only a step that requires it asks again"
        clocks = sorted({name.split(":", 1)[0] for name in self.state.timers} & {"timeout", "wall"})
        if clocks and any({"timeout_ms", "budget"} & set(change.fields) for change in self._changes() if change.when == "open"):
            yield "clocks of attempts and budgets that run go on as they were set"

    def _is_past(self, step_id: str) -> bool:
        return not any(self.old.index.steps[n.at].id == step_id for n in self.state.nodes.values() if isinstance(n, StepNode)) and any(
            step_id in {inner.id for inner in walk(self.old.index.lists[node.at][: node.cursor])}
            for node in self.state.nodes.values()
            if isinstance(node, ListNode)
        )


def _all_steps(definition: Definition) -> Iterator[Step]:
    for steps in (definition.main.steps, *(task.steps for task in definition.tasks.values()), definition.final_steps):
        yield from walk(steps)


def _given(step: Step) -> Step:
    """Give a step as far as it is rendered when it is handed out."""
    looked_at = tuple(replace(each, shell=None, expression=None, schema=None) for each in step.verify if any(f.changed for f in each.files))
    spec = replace(step.spec, on_reject="fail", reject_steps=()) if isinstance(step.spec, Approve) else step.spec
    return replace(step, id="", spec=spec, **{name: getattr(_NOTHING, name) for name in _LOOKED_UP}, verify=looked_at)


def _shallow(step: Step, name: str) -> object:
    """Give a field without the steps that stand in it: they are compared by themselves."""
    value = getattr(step, name)
    if name == "spec":
        return _own_part(value)
    if name == "on_error":
        return replace(value, steps=tuple(each.id for each in value.steps))
    return tuple(each.id for each in value) if name in {"final_steps", "undo", "read_back"} else value


def _own_part(spec: object) -> object:
    return tuple(_ids(getattr(spec, name)) for name in names_of(type(spec)))


def _ids(value: object) -> object:
    if isinstance(value, tuple):
        return tuple(each.id if isinstance(each, Step) else each for each in cast(tuple[object, ...], value))
    if isinstance(value, dict):
        return {key: _ids(item) for key, item in cast(dict[str, object], value).items()}
    return value


def _branches(step: Step) -> tuple[str, ...]:
    match step.spec:
        case Parallel(branches=branches):
            return tuple(branches)
        case _:
            return ()


def _worded(step: Step) -> str:
    word = re.sub(r"(?<!^)(?=[A-Z])", "_", type(step.spec).__name__).lower()
    return f"{'an' if word[0] in 'aeim' and word != 'merge' else 'a'} {word}"


def _meant(name: str, known: Mapping[str, object]) -> str:
    meant = nearest(name, known)
    return f"; did you mean `{meant}`?" if meant else ""
