"""A test written from a run that has ended: its inputs, every answer in order, and what came of them.

Theory of operation
-------------------
The history says who answered what. Each answer becomes an entry; what was never answered is held, so that the run's own timers end it as they
did. The case is then played, as it will be. What the play gives otherwise than the run did depends on time or chance (`now()`, `uuid()`), is
left out of what is expected, and named in a comment. If status or failure differ, or an action, the run cannot be played again, and nothing is
written: a test that fails from the start would be worth nothing.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final, cast

from treadle.core.aside import named
from treadle.core.definition import EFFECTS, Definition
from treadle.core.errors import RequestError
from treadle.core.events import ActionAnswered, ApprovalDecided, CancelRequested, OutcomeResolved, PerformerLost, RunStarted, SignalSent
from treadle.core.state import RunState
from treadle.core.values import Json, Value
from treadle.core.worktrees import KINDS as WORKTREES
from treadle.engine.timeline import Moment
from treadle.ports import Functions
from treadle.testing.differences import differences
from treadle.testing.judging import stands, tool_of
from treadle.testing.player import Handed, Played, play
from treadle.testing.script import Entry, Place, Script, Signal, entry_of
from treadle.testing.snippet import INDENT, entry_lines, field_lines, scalar
from treadle.view import RunView, view

DEFAULT_USER: Final = "tester"
_CLOSED: Final = frozenset({"action_completed", "action_dropped", "action_stopped", "step_completed", "step_failed"})
_TAKEN: Final = frozenset({"action_completed", "attempt_failed", "output_refused", "step_failed"})


@dataclass(slots=True, kw_only=True)
class Recorded:
    """What of a run a test is made of; blobs filled in, secrets out."""

    definition: Definition
    started_ms: int = 0
    user: str = DEFAULT_USER
    inputs: dict[str, Json] = field(default_factory=dict[str, Json])
    rows: list[dict[str, Json]] = field(default_factory=list[dict[str, Json]])
    signals: list[dict[str, Json]] = field(default_factory=list[dict[str, Json]])
    order: list[str] = field(default_factory=list[str])
    effects: list[str] = field(default_factory=list[str])
    run: RunView | None = None


def record(
    definition: Definition, moments: Sequence[Moment], state: RunState, whole: Callable[[Value], Value], clean: Callable[[Json], Json]
) -> Recorded:  # fmt: skip
    """Read a history that ended in `state`. `whole` fills in what was set aside, `clean` takes secrets out."""
    return _Recorder(definition, whole, clean).read(moments, state)


class _Recorder:
    def __init__(self, definition: Definition, whole: Callable[[Value], Value], clean: Callable[[Json], Json]) -> None:
        self.found = Recorded(definition=definition)
        self._whole, self._clean = whole, clean
        self._answered: set[str] = set()
        self._open: dict[str, None] = {}
        self._cancelled = False

    def read(self, moments: Sequence[Moment], state: RunState) -> Recorded:
        for moment in moments:
            self._event(moment)
            for note in moment.notes:
                if note.kind == "action_opened" and note.data["action_kind"] not in WORKTREES:
                    self._opened(note.path, str(note.data["effect"]))
                elif note.kind == "timer_fired" and note.data["timer"] == "timeout":
                    # An attempt that nobody ended: taken, and left until its time was up.
                    self._row(note.path, {"hold": True})
                elif note.kind in _CLOSED:
                    self._open.pop(note.path, None)
        for path in self.found.order:
            if path not in self._answered:
                self.found.rows.append({"match": path, "hold": True, "optional": True})
        self._number()
        run = view(self.found.definition, state)
        self.found.run = replace(
            run, result=self._plain(run.result), state={name: self._plain(value) for name, value in run.state.items()}
        )  # fmt: skip
        return self.found

    def _opened(self, path: str, effect: str) -> None:
        self._open[path] = None
        if path not in self.found.order:
            self.found.order.append(path)
            if effect in EFFECTS[EFFECTS.index("write") :]:
                self.found.effects.append(path)

    def _event(self, moment: Moment) -> None:
        event = moment.event
        match event:
            case RunStarted():
                self.found.started_ms, self.found.inputs = event.at_ms, cast("dict[str, Json]", self._plain(dict(event.inputs)))
                self.found.user = event.by.name if event.by.kind == "human" else DEFAULT_USER
            case ActionAnswered() if _noted(moment, event.action, _TAKEN):
                self._row(event.action, self._answer(event))
            case ApprovalDecided() if _noted(moment, event.action, {"gate_decided"}):
                verb = "approve" if event.approved else "reject"
                self._row(event.action, {verb: self._clean(event.note) or True} | self._by(event.by.name))
            case PerformerLost() if _noted(moment, event.action, {"outcome_unknown", "lease_lapsed"}):
                self._row(event.action, {"lost": True})
            case OutcomeResolved() if _noted(moment, event.action, {"outcome_resolved"}):
                value: dict[str, Json] = {"value": self._plain(event.value)} if event.outcome == "done" else {}
                self._row(event.action, {"outcome": event.outcome} | value | self._by(event.by.name))
            case SignalSent() if any(note.kind in {"signal_taken", "signal_kept"} for note in moment.notes):
                after_ms = event.at_ms - self.found.started_ms
                carried: dict[str, Json] = {"payload": self._plain(event.payload)} if event.payload is not None else {}
                self.found.signals.append({"name": event.name, **carried, **({"after": f"{after_ms}ms"} if after_ms else {})})
            case CancelRequested() if self._open and not self._cancelled:
                self._cancelled = True
                self._row(next(reversed(self._open)), {"cancel": self._clean(event.reason) or "cancelled"} | self._by(event.by.name))
            case _:
                pass

    def _answer(self, event: ActionAnswered) -> dict[str, Json]:
        failure = event.failure
        if failure is None:
            return {"answer": self._plain(event.value)}
        said: dict[str, Json] = {"class": failure.error_class, "message": cast(str, self._clean(failure.message))}
        return {"fail": said | ({"result": self._plain(failure.result)} if failure.has_result else {})}

    def _by(self, name: str) -> dict[str, Json]:
        return {"by": name} if name != self.found.user else {}

    def _plain(self, value: Value) -> Json:
        return self._clean(cast(Json, named(self._whole(value))))

    def _row(self, path: str, row: dict[str, Json]) -> None:
        self._answered.add(path)
        self.found.rows.append({"match": path, **row})

    def _number(self) -> None:
        """Where an action was answered several times, each answer is for once; the last may stay."""
        left = Counter(str(row["match"]) for row in self.found.rows)
        for row in self.found.rows:
            left[str(row["match"])] -= 1
            if left[str(row["match"])] and "cancel" not in row:
                row["times"] = 1


def _noted(moment: Moment, path: str, kinds: Collection[str]) -> bool:
    """Tell whether an event did something to an action; what was refused or came too late is no answer."""
    return any(note.path == path and note.kind in kinds for note in moment.notes)


async def write(found: Recorded, workflow: str, about: str, functions: Functions) -> str:
    """Play what was recorded and give the text of a test that passes. Raises RequestError `not_reproduced` that says what differs."""
    assert found.run is not None
    script = Script(name="recorded", entries=tuple(_entry(row) for row in found.rows))
    played = await play(
        found.definition, script, found.inputs, functions=functions, user=found.user, clock_ms=found.started_ms,
        signals=[_signal(row) for row in found.signals],
    )  # fmt: skip
    _check(found, found.run, played)
    return "\n".join(_lines(found, found.run, played, workflow, about)) + "\n"


def _signal(row: Mapping[str, Json]) -> Signal:
    after_ms = int(str(row.get("after", "0ms")).removesuffix("ms"))
    return Signal(name=str(row["name"]), payload=row.get("payload"), after_ms=after_ms, place=Place(file="recorded", line=1))


def _entry(row: Mapping[str, Json]) -> Entry:
    return entry_of(row, Place(file="recorded", line=1))


def _check(found: Recorded, run: RunView, played: Played) -> None:
    """Compare how both ended. Raises RequestError."""
    was, is_now = run.status, stands(played)
    told = ""
    if played.refused is not None:
        told = f"it would not be started: {played.refused.message}"
    elif played.trouble is not None:
        told = played.trouble.message
    elif was != is_now:
        told = f"it {was}, and {is_now} when it was played"
    elif (run.failure and run.failure.error_class) != (played.run and played.run.failure and played.run.failure.error_class):
        told = "it failed in another way when it was played"
    elif sorted(each.id for each in played.order()) != sorted(found.order):
        missing = [path for path in found.order if path not in {each.id for each in played.order()}]
        more = [each.id for each in played.order() if each.id not in set(found.order)]
        told = f"other actions were begun when it was played: without {', '.join(missing) or 'none'}, and also {', '.join(more) or 'none'}"
    if told:
        raise RequestError(
            f"the run cannot be played again from its history: {told}", code="not_reproduced",
            hint="a run that hangs on the hour, on chance or on code that has changed cannot be a test as it is; write one by hand",
        )  # fmt: skip


def _lines(found: Recorded, run: RunView, played: Played, workflow: str, about: str) -> Iterator[str]:
    yield f"# {about}"
    yield "# Run it with `treadle test`; docs/reference/test-files.md says what else can stand here."
    yield f"workflow: {scalar(workflow)}"
    if found.inputs:
        yield from field_lines("inputs", found.inputs)
    yield f"user: {scalar(found.user)}"
    yield f"clock: {scalar(_instant(found.started_ms))}"
    yield ""
    yield "# What performers, people and tools answered, in that order. No tool is called in a test."
    yield "answers:" if found.rows else "answers: []"
    for row in found.rows:
        yield from (INDENT + line if line else "" for line in entry_lines(row))
    if found.signals:
        yield ""
        yield "# What signals it got, counted from its start."
        yield "signals:"
        for row in found.signals:
            yield from (INDENT + line if line else "" for line in entry_lines(row))
    yield ""
    yield "# What must hold; delete what may change."
    yield "expect:"
    expected = [*_ending(run), *_values(run, played), *_order(found, played), *_calls(found, played)]
    yield from (INDENT + line if line else "" for line in expected)


def _ending(run: RunView) -> Iterator[str]:
    yield f"status: {run.status}"
    if run.failure is not None:
        yield from field_lines("failure", {"class": run.failure.error_class, **({"step": run.failure.step} if run.failure.step else {})})


def _values(run: RunView, played: Played) -> Iterator[str]:
    assert played.run is not None
    unlike = [each.path for each in differences(run.result, played.result)]
    if not unlike:
        yield from field_lines("result", run.result)
    else:
        kept = _without(run.result, unlike)
        yield f"# Of the result this hangs on time or chance and is left out: {', '.join(path or 'all of it' for path in unlike)}"
        if kept is not None and "" not in unlike:
            yield from field_lines("result_includes", kept)
    state = {name: value for name, value in run.state.items() if not differences(value, played.state.get(name))}
    left = [name for name in run.state if name not in state]
    if left:
        yield f"# Of the state this hangs on time or chance and is left out: {', '.join(left)}"
    if state:
        yield from field_lines("state", state)


def _order(found: Recorded, played: Played) -> Iterator[str]:
    order = [each.id for each in played.order()]
    if order != found.order:
        yield "# What ran side by side is begun here in the order of the file, not as it happened then."
    yield from field_lines("order", cast(Value, order))


def _calls(found: Recorded, played: Played) -> Iterator[str]:
    """Say what was done to the world; calls of one tool that are alike are counted."""
    calls = [each for each in played.handed if each.kind == "mcp_call"]
    tools = {tool_of(each) for each in calls if each.id in set(found.effects)}
    rows: list[dict[str, Json]] = []
    for each in calls:
        if tool_of(each) not in tools:
            continue
        row = _call(each)
        same = next((known for known in rows if {**known, "times": 0} == {**row, "times": 0}), None)
        if same is None:
            rows.append(row)
        else:
            same["times"] = cast(int, same["times"]) + 1
    if rows:
        yield "# What was done to the world: these calls, and no others of these tools."
        yield "calls:"
        for row in rows:
            yield from (INDENT + line if line else "" for line in entry_lines(row))


def _call(handed: Handed) -> dict[str, Json]:
    return {"tool": tool_of(handed), "match": handed.id, "parameters": cast(Json, handed.params.get("parameters")), "times": 1}


def _without(value: Value, paths: Sequence[str]) -> Value:
    """Give a value without what stands at some paths; a list in which something is left out goes as a whole."""
    return _cut(value, "", set(paths))


def _cut(value: Value, path: str, paths: set[str]) -> Value:
    if not isinstance(value, dict):
        return value
    kept: dict[str, Value] = {}
    for key, item in value.items():
        here = f"{path}.{key}" if path else key
        below = [each for each in paths if each == here or each.startswith((f"{here}.", f"{here}["))]
        if not below:
            kept[key] = item
        elif isinstance(item, dict) and here not in paths:
            kept[key] = _cut(item, here, paths)
    return kept


def _instant(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
