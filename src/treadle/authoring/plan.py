"""The plan of a run: the steps as they would be handed out for given inputs, as far as inputs alone decide it (ruling 49).

Theory of operation
-------------------
The tree is walked in the order in which a run would go, with what is known at each point (`plan_values.Known`): inputs, and state as far as it
follows from them. A condition that is known is decided and only its branch is shown; otherwise every branch is, and afterwards only that is
known on which all of them agree. A loop over a known list is unfolded; otherwise one round stands for all, and what any round writes is
unknown in it and behind it. The same holds for what lies between a jump and its target.

Nothing is started, called or stored. The same definition and inputs give the same plan, byte for byte: no time, no file name, keys sorted.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from treadle.authoring import model, outline
from treadle.authoring.find import Loaded
from treadle.authoring.freeze import Part
from treadle.authoring.outline import Below, Outline, Row
from treadle.authoring.plan_fields import Told, expected_of, fields_of, set_fields
from treadle.authoring.plan_values import Known, Partial, decided, partially
from treadle.authoring.tree import StepTree, TaskTree, walk
from treadle.core.definition import Task
from treadle.core.errors import RequestError
from treadle.core.expr import Expr
from treadle.core.ids import join
from treadle.core.schema_bind import bind_inputs, single_required
from treadle.core.values import Json

PLAN: Final = 1
"""The number of the form of a plan; another one may give other bytes."""
ROUNDS_MAX: Final = 50
ROWS_MAX: Final = 2_000
KEYS: Final = (
    "plan, workflow, version, definition, inputs, steps [{action, type, by, performer, effect, description, reached (sure, perhaps), skipped, "
    "when {text, holes, fault}, decides {text, holes, fault}, decided, with {FIELD: value}, holes, faults, expected, "
    "lists [{label, kind, index, of, rounds_not_shown, steps}]}], finally [as steps], not_yet"
)
_LEAVES: Final = frozenset({"return", "fail", "break", "continue", "goto"})
_GENERIC: Final = "[]"

Rows = list[dict[str, Any]]


@dataclass(slots=True, kw_only=True)
class _Way:
    """Where a walk stands. `doubt`: it is not known whether this list is reached; `leaks`: a way may have left it before; `ended`: by what it was left."""

    known: Known
    doubt: bool = False
    leaks: bool = False
    ended: str = ""

    @property
    def reached(self) -> str:
        """Say whether what comes next is reached."""
        return "perhaps" if self.doubt or self.leaks else "sure"


def plan_of(loaded: Loaded, given: Mapping[str, Json]) -> dict[str, Any]:
    """Plan a run of a workflow without errors. Raises RequestError `invalid_inputs`."""
    main = loaded.parts[0]
    inputs, faults = _bound(main.task, given)
    if faults:
        raise RequestError("; ".join(faults), code="invalid_inputs", hint=f"`treadle describe {loaded.name}` shows the inputs")
    walker = _Walker(loaded)
    known = _entered(main.task, inputs, {})
    steps = walker.steps(main.task.steps, main, "", _Way(known=known), outline.DRIVER)
    after = known.without(*_written(main.task.steps))
    last = walker.steps(main.task.finally_steps, main, "finally", _Way(known=after), outline.DRIVER)
    plan: dict[str, Any] = {
        "plan": PLAN, "workflow": loaded.name, "version": loaded.tree.fields.get("version", "0.0.0"),
        "definition": loaded.digest or None, "inputs": inputs, "steps": steps, "finally": last,
        "not_yet": sorted({row.feature for row in loaded.not_yet}),
    }  # fmt: skip
    return cast(dict[str, Any], _sorted(plan))


class _Walker:
    def __init__(self, loaded: Loaded) -> None:
        self.outline = Outline(loaded)
        self.rows = 0

    def steps(self, steps: Sequence[StepTree], part: Part, at: str, way: _Way, agent: str) -> Rows:
        """Walk a list; `way` is moved on."""
        found: Rows = []
        regions = dict(_regions(steps))
        for step in steps:
            region = regions.get(step.id)
            if region is not None:
                way.known = way.known.without(*region)
                if way.ended == "goto":
                    way.ended, way.leaks = "", True
            if not way.ended:
                self.rows += 1
                found.append(self._step(step, part, join(at, step.id), way, agent))
        return found

    def _step(self, step: StepTree, part: Part, path: str, way: _Way, agent: str) -> dict[str, Any]:
        row = Row(step=step, address=path, part=part, depth=0, label="", agent=agent, rounds=())
        found: dict[str, Any] = {
            "action": path, "type": step.type, "by": outline.who(row), "reached": way.reached,
            "performer": outline.performer_of(step) if step.type not in model.BLOCKS else None, "effect": self.outline.effect(step),
        }  # fmt: skip
        if isinstance(description := step.fields.get("description"), str):
            found["description"] = description
        when = step.fields.get("when")
        answer = decided(when, way.known) if isinstance(when, Expr) else True
        if answer is False:
            return found | {"skipped": True}
        inner = _Way(known=way.known, doubt=way.doubt or answer is not True, leaks=way.leaks)
        if isinstance(answer, Partial):
            found["when"] = _deciding(outline.condition_of(step, "when"), answer)
        told = fields_of(step, inner.known)
        found |= told.to_json() | expected_of(step, told)
        lists = [*self._own(step, part, path, found, inner, agent), *self._asides(step, part, path, inner, agent)]
        found |= {"lists": lists} if lists else {}
        self._leave(step, told, inner)
        _go_on(way, inner, is_sure=answer is True)
        return found

    def _leave(self, step: StepTree, told: Told, inner: _Way) -> None:
        """Move on behind a step that was done: what it writes is known only if it is worked out here."""
        if step.type == "set_state":
            inner.known = set_fields(step, inner.known)
        target = step.fields.get("output_to")
        inner.known = inner.known.without(target) if isinstance(target, str) else inner.known
        if step.type in _LEAVES:
            inner.ended = step.type
        elif told.faults and "on_error" not in step.fields:
            # It would fail here, and so would the run.
            inner.ended = "fail"

    # What is below a step

    def _own(self, step: StepTree, part: Part, path: str, found: dict[str, Any], way: _Way, agent: str) -> Rows:
        lists = [below for below in self._lists(step, part) if below.kind != "aside"]
        match step.type:
            case "condition" | "switch":
                return self._branches(step, lists, path, found, way, agent)
            case "foreach":
                return self._foreach(step, lists, part, path, found, way, outline.SUB_AGENT if "agent" in step.fields else agent)
            case "while" | "repeat":
                return self._loop(step, lists, path, found, way, agent)
            case "parallel":
                return self._parallel(lists, path, way, agent)
            case _:
                return []

    def _lists(self, step: StepTree, part: Part) -> Iterator[Below]:
        for name, steps in step.lists.items():
            suffix, label, kind = outline.named(step, name)
            yield Below(suffix=suffix, label=label, kind=kind, steps=tuple(steps), part=part)

    def _walk(self, below: Below, path: str, way: _Way, agent: str) -> dict[str, Any]:
        steps = self.steps(below.steps, below.part, path + below.suffix, way, agent)
        return {"label": below.label, "kind": below.kind, "steps": steps}

    def _branches(self, step: StepTree, lists: list[Below], path: str, found: dict[str, Any], way: _Way, agent: str) -> Rows:
        """Walk the branch that is taken, or every one that may be."""
        if step.type == "condition":
            answer = decided(cast(Expr, step.fields["if"]), way.known)
            chosen = None if isinstance(answer, Partial) else "then" if answer else "else"
            found["decides"] = _deciding(outline.condition_of(step, "if"), answer if isinstance(answer, Partial) else None)
        else:
            answer = partially(cast(Expr, step.fields["value"]), way.known)
            cases = [below.label for below in lists]
            chosen = (answer.value if answer.value in cases else "default") if answer.is_known else None
            found["decides"] = _deciding(outline.condition_of(step, "value"), answer)
        if chosen is not None:
            found["decided"] = chosen
            return [self._walk(below, path, way, agent) for below in lists if below.label == chosen]
        # Also the branch that nobody wrote goes on.
        labels = {below.label for below in lists}
        is_open = ("else" if step.type == "condition" else "default") not in labels
        ways = [_Way(known=way.known, doubt=True) for _ in lists]
        rows = [self._walk(below, path, each, agent) for below, each in zip(lists, ways, strict=True)]
        _meet(way, ways + ([_Way(known=way.known)] if is_open else []))
        return rows

    def _parallel(self, lists: list[Below], path: str, way: _Way, agent: str) -> Rows:
        ways = [_Way(known=way.known, doubt=way.doubt, leaks=way.leaks) for _ in lists]
        rows = [self._walk(below, path, each, agent) for below, each in zip(lists, ways, strict=True)]
        way.known = way.known.without(*(name for below in lists for name in _written(below.steps)))
        way.leaks |= any(each.ended or each.leaks for each in ways)
        return rows

    def _asides(self, step: StepTree, part: Part, path: str, way: _Way, agent: str) -> Rows:
        """Walk what only happens aside; what it may write is unknown afterwards."""
        found: Rows = []
        before = way.known.without(*_written([step]))
        for below in self._lists(step, part):
            if below.kind == "aside" and below.steps:
                each = _Way(known=before, doubt=way.doubt or below.suffix != ".finally")
                found.append(self._walk(below, path, each, agent))
                way.known = way.known.without(*_written(below.steps))
                way.leaks |= bool(each.ended or each.leaks)
        return found

    # Loops

    def _loop(self, step: StepTree, lists: list[Below], path: str, found: dict[str, Any], way: _Way, agent: str) -> Rows:
        written = [name for below in lists for name in _written(below.steps)]
        field = "condition" if step.type == "while" else "until"
        expr = cast(Expr, step.fields[field])
        if step.type == "while" and decided(expr, way.known) is False:
            found |= {"decides": _deciding(outline.condition_of(step, field), None), "decided": "no rounds"}
            return []
        way.known = way.known.without(*written)
        answer = decided(expr, way.known)
        found["decides"] = _deciding(outline.condition_of(step, field), answer if isinstance(answer, Partial) else None)
        inner = _Way(known=way.known.without_names("loop"), doubt=way.doubt or step.type == "while", leaks=way.leaks)
        rows = [self._walk(below, path, inner, agent) for below in lists]
        way.leaks |= inner.ended in {"return", "fail"} or inner.leaks
        return rows

    def _foreach(
        self, step: StepTree, lists: list[Below], part: Part, path: str, found: dict[str, Any], way: _Way, agent: str
    ) -> Rows:  # fmt: skip
        task = self.outline.task_of(step, part)
        items = partially(cast(Expr, step.fields["items"]), way.known)
        found["decides"] = _deciding(outline.condition_of(step, "items"), items)
        steps = lists[0].steps if lists else ()
        label = "each item" if task is None else f"each item ({task.key or task.file.name})"
        shown = Below(
            suffix=_GENERIC, label=label, kind="round", steps=steps if task is None else tuple(task.task.steps), part=task or part
        )
        if isinstance(items.value, list) and items.is_known:
            return self._unfolded(step, shown, task, items.value, path, found, way, agent)
        way.known = way.known.without(*(_written(steps) if task is None else ()))
        row = self._round(step, shown, task, path, way, agent, None, None)
        return [row | {"of": items.value if isinstance(items.value, str) else None}]

    def _unfolded(
        self, step: StepTree, shown: Below, task: Part | None, items: list[Json], path: str, found: dict[str, Any], way: _Way, agent: str
    ) -> Rows:  # fmt: skip
        found["decided"] = f"{len(items)} item{'s' * (len(items) != 1)}" if items else "no items"
        rows: Rows = []
        for index, item in enumerate(items):
            if index >= ROUNDS_MAX or self.rows >= ROWS_MAX:
                way.known = way.known.without(*(_written(shown.steps) if task is None else ()))
                rows.append({"label": shown.label, "kind": "round", "rounds_not_shown": len(items) - index, "steps": []})
                break
            if way.ended:
                break
            each = replace(shown, suffix=f"[{index}]")
            loop: Json = {
                "index": index + 1, "index0": index, "first": index == 0, "last": index == len(items) - 1, "length": len(items),
            }  # fmt: skip
            rows.append(self._round(step, each, task, path, way, agent, {"item": item, "loop": loop}, index))
        return rows

    def _round(
        self, step: StepTree, shown: Below, task: Part | None, path: str, way: _Way, agent: str, names: dict[str, Json] | None,
        index: int | None,
    ) -> dict[str, Any]:  # fmt: skip
        """Walk one round; `names` is None where one stands for all."""
        alias = step.fields.get("as")
        called = {**names, alias: names["item"]} if names is not None and isinstance(alias, str) else names
        hidden = ("item", "loop", *((alias,) if isinstance(alias, str) else ()))
        around = way.known.with_names(**called) if called is not None else way.known.without_names(*hidden)
        doubt = way.doubt or names is None
        row: dict[str, Any] = {} if index is None else {"index": index}
        if task is not None:
            inputs, faults = self._task_inputs(step, task, around)
            inner = _Way(known=_entered(task.task, inputs, around.names), doubt=doubt, leaks=way.leaks)
            row |= {"inputs": inputs} | ({"faults": faults} if faults else {})
            row |= self._walk(shown, path, inner, agent)
            way.leaks |= inner.ended == "fail"
            return row
        inner = _Way(known=around, doubt=doubt, leaks=way.leaks)
        row |= self._walk(shown, path, inner, agent)
        way.known = (
            replace(inner.known, names=way.known.names) if step.fields.get("sequential") is True and names is not None else way.known
        )
        left = inner.ended in {"return", "fail", "goto"}
        way.leaks |= inner.leaks or (left and names is None)
        way.ended = inner.ended if left and names is not None else ""
        return row

    def _task_inputs(self, step: StepTree, task: Part, known: Known) -> tuple[dict[str, Json], list[str]]:
        """Work out what a round of a task is given: what is not known is left out."""
        mapped = step.fields.get("inputs")
        given: dict[str, Json] = {}
        missing: set[str] = set()
        if isinstance(mapped, list):
            for name, expr in mapped:
                value = partially(expr, known)
                if value.is_known:
                    given[name] = value.value
                else:
                    missing.add(name)
        else:
            name = single_required(_task(task.task))
            if name is not None and "item" in known.names:
                given[name] = known.names["item"]
            elif name is not None:
                missing.add(name)
        bound, faults = _bound(task.task, given)
        own = [fault for fault in faults if not any(f"`{name}`" in fault for name in missing)]
        return {name: value for name, value in bound.items() if name not in missing}, own


def _go_on(way: _Way, inner: _Way, *, is_sure: bool) -> None:
    """Move on behind a step that was done, or perhaps was not."""
    if is_sure:
        way.known, way.leaks, way.ended = inner.known, inner.leaks, inner.ended
        return
    way.leaks |= bool(inner.leaks or inner.ended)
    way.known = way.known if inner.ended else way.known.common(inner.known)


def _meet(way: _Way, ways: Sequence[_Way]) -> None:
    """Go on behind branches of which one was taken."""
    going = [each for each in ways if not each.ended]
    if not going:
        ends = [each.ended for each in ways]
        way.ended = "goto" if "goto" in ends else ends[0]
        return
    known = going[0].known
    for each in going[1:]:
        known = known.common(each.known)
    way.known = replace(known, names=way.known.names)
    way.leaks |= any(each.ended or each.leaks for each in ways)


def _regions(steps: Sequence[StepTree]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Give, for each target of a jump in a list, what may have been written when it is reached by that jump."""
    places = {step.id: number for number, step in enumerate(steps)}
    found: dict[str, tuple[str, ...]] = {}
    for number, step in enumerate(steps):
        for inner in walk([step]):
            target = inner.fields.get("target") if inner.type == "goto" else None
            if isinstance(target, str) and target in places:
                low, high = sorted((number, places[target]))
                found[target] = (*found.get(target, ()), *_written(steps[low : high + 1]))
    yield from found.items()


def _written(steps: Sequence[StepTree]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for step in walk(list(steps)) for name in outline.written(step)))


def _entered(task: TaskTree, inputs: Mapping[str, Json], names: Mapping[str, Json]) -> Known:
    """Give what is known where a task or run begins."""
    written = frozenset(_written(task.steps)) | set(task.state_names)
    known = Known(inputs=inputs, names=names, declared=len(task.inputs), written=written)
    for name, expr in task.exprs("initial_state"):
        value = partially(expr, known)
        known = known.with_state(**{name: value.value}) if value.is_known else known
    return replace(known, names={})


def _task(task: TaskTree) -> Task:
    return Task(steps=(), inputs=cast(dict[str, dict[str, Json]], task.inputs))


def _bound(task: TaskTree, given: Mapping[str, Json]) -> tuple[dict[str, Json], list[str]]:
    bound, faults = bind_inputs(_task(task), dict(given), lambda value: value)
    return cast(dict[str, Json], bound), [fault.message for fault in faults]


def _deciding(text: str, answer: Partial | None) -> dict[str, Any]:
    found: dict[str, Any] = {"text": " ".join(text.split())}
    if answer is not None and answer.holes:
        found["holes"] = list(answer.holes)
    return found | ({"fault": answer.fault} if answer is not None and answer.fault else {})


def _sorted(value: object) -> object:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list | tuple) else value
