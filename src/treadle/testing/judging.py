"""Judging: what a case expected beside what came, each miss with the line that expected it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from typing import Final, cast

from treadle.core.errors import Failure
from treadle.core.state import ENDED
from treadle.core.values import Json, Value, as_text
from treadle.testing.differences import Difference, differences, shown
from treadle.testing.player import Handed, Played
from treadle.testing.reading import Case, place_of
from treadle.testing.script import Place, matches
from treadle.testing.snippet import snippet

TOLD_MAX: Final = 5
AROUND: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """One thing that is not as expected. `snippet` is what could be added to the file."""

    code: str
    message: str
    place: Place
    differences: tuple[Difference, ...] = ()
    snippet: str = ""


def judge(case: Case, played: Played) -> list[Miss]:
    """Compare a run with what its case expects; empty when all is as expected."""
    return list(_Judge(case, played).misses())


def stands(played: Played) -> str:
    """Give the status of a run that nothing moves any more."""
    run = played.run
    if run is None:
        return "refused"
    return run.status if run.status in ENDED or run.status == "parked" else "waiting"


_UNDONE: Final = {
    "none": "there was nothing to take back", "done": "it was taken back", "incomplete": "not all of it could be taken back",
    "kept": "it was kept, for `treadle undo`",
}  # fmt: skip


class _Judge:
    def __init__(self, case: Case, played: Played) -> None:
        self.case, self.played = case, played
        self.fields = case.expected.fields

    def misses(self) -> Iterator[Miss]:
        wanted, refused = self.fields.get("refused"), self.played.refused
        if wanted is not None or refused is not None:
            yield from self._refused(wanted)
            return
        if self.played.trouble is not None:
            yield self._trouble()
            return
        status = list(self._status())
        yield from status
        if not status:
            yield from self._values()
        yield from self._state()
        yield from self._order()
        yield from self._failure()
        yield from self._failures()
        yield from self._shown()
        yield from self._calls()
        yield from self._left()
        yield from self._unused()

    def _left(self) -> Iterator[Miss]:
        """Compare what the run left behind: signals that nobody read, and what was or was not taken back."""
        run = self.played.run
        if run is None:
            return
        if "undo" in self.fields and (came := run.undo or "none") != self.fields["undo"]:
            found = Difference(path="undo", expected=str(self.fields["undo"]), came=came)
            yield self._miss("undo", f"what the run did: {_UNDONE[came]}", self._place("undo"), found)
        if "unread_signals" in self.fields:
            found = differences(cast(Value, self.fields["unread_signals"]), list(run.signals))
            yield from self._told("unread_signals", "list of signals that no step read", found)
        for signal in self.played.unsent:
            yield self._miss("signal_unused", f"the signal `{signal.name}` was never sent: the run was over before", signal.place)

    def _place(self, name: str, path: str = "") -> Place:
        return place_of(self.case.expected.nodes.get(name), self.case.shown, path, fallback=self.case.place)

    def _miss(self, code: str, message: str, place: Place, *found: Difference) -> Miss:
        return Miss(code=code, message=message, place=place, differences=found)

    # How it ended

    def _refused(self, wanted: object) -> Iterator[Miss]:
        refused = self.played.refused
        if refused is None:
            yield self._miss("refused", f"the run was started; expected was that it is refused with `{wanted}`", self._place("refused"))
        elif refused.code != wanted:
            place = (
                self._place("refused")
                if wanted is not None
                else place_of(self.case.nodes[0].entries.get("inputs"), self.case.shown, fallback=self.case.place)
            )
            yield self._miss("refused", f"the run was not started: {refused.message} [{refused.code}]", place)

    def _trouble(self) -> Miss:
        trouble = self.played.trouble
        assert trouble is not None
        place = trouble.place or self.case.place
        entry = snippet(trouble.action) if trouble.code == "no_answer" and trouble.action is not None else ""
        return Miss(code=trouble.code, message=trouble.message, place=place, snippet=entry)

    def _status(self) -> Iterator[Miss]:
        wanted, came = self.case.expected.status, stands(self.played)
        if wanted == came:
            return
        name = "status" if "status" in self.fields else "failure"
        failure = self.played.run.failure if self.played.run is not None else None
        told = f": {_said(failure)}" if failure is not None else ""
        held = [action.id for action in self.played.run.actions] if self.played.run is not None else []
        told = told or (f": nothing moves {', '.join(f'`{a}`' for a in held[:TOLD_MAX])} any more" if came == "waiting" else "")
        told = told or _degraded(self.played) * (came == "completed_degraded")
        yield self._miss(
            "status", f"the run {_WORDED[came]}{told}", self._place(name), Difference(path="status", expected=wanted, came=came)
        )

    def _values(self) -> Iterator[Miss]:
        came = self.played.result
        if "result" in self.fields:
            yield from self._told("result", "result", differences(cast(Value, self.fields["result"]), came))
        if "result_includes" in self.fields:
            yield from self._told("result_includes", "result", differences(cast(Value, self.fields["result_includes"]), came, partly=True))

    def _state(self) -> Iterator[Miss]:
        wanted = self.fields.get("state")
        if isinstance(wanted, dict):
            known = self.played.state
            came = {name: known[name] for name in wanted if name in known}
            # A field that is not there is compared with all that are, for the nearest name.
            whole = {**came, **{n: v for n, v in known.items() if len(came) < len(wanted)}}
            found = differences(cast(Value, wanted), cast(Value, whole))
            yield from self._told("state", "state", [each for each in found if each.expected])

    def _told(self, code: str, what: str, found: Sequence[Difference]) -> Iterator[Miss]:
        """Tell of values that differ; the code is also the field that expects them."""
        if found:
            place = self._place(code, found[0].path)
            yield self._miss(code, f"the {what} differs", place, *(_under(what, each) for each in found))

    def _order(self) -> Iterator[Miss]:
        wanted = self.fields.get("order")
        if not isinstance(wanted, list):
            return
        came = self.played.order()
        patterns = [str(each) for each in wanted]
        if _fits(tuple(patterns), tuple((each.id, each.kind) for each in came)):
            return
        found = _order_differences(patterns, came)
        place = self._place("order", found[0].path.removeprefix("order")) if found else self._place("order")
        yield self._miss("order", "the actions were begun in another order", place, *found)

    # Failures

    def _failure(self) -> Iterator[Miss]:
        wanted = self.fields.get("failure")
        failure = self.played.run.failure if self.played.run is not None else None
        if not isinstance(wanted, dict) or failure is None:
            return
        found = list(_unlike(wanted, failure.error_class, failure.message, "failure"))
        step = wanted.get("step")
        if isinstance(step, str) and not matches(step, failure.step):
            found.append(Difference(path="failure.step", expected=step, came=failure.step))
        if found:
            place = self._place("failure", found[0].path.removeprefix("failure"))
            yield self._miss("failure", f"the run failed otherwise: {_said(failure)}", place, *found)

    def _failures(self) -> Iterator[Miss]:
        wanted = self.fields.get("failures")
        if not isinstance(wanted, list):
            return
        failed = [each.note for each in self.played.moments if each.note.kind == "step_failed"]
        for index, row in enumerate(cast("list[dict[str, object]]", wanted)):
            there = [note for note in failed if matches(str(row["match"]), note.path)]
            faults = [list(_unlike(row, str(n.data["error_class"]), str(n.data["message"]), f"failures[{index}]")) for n in there]
            if all(faults):
                told = "failed otherwise" if there else "did not fail"
                yield self._miss("failures", f"`{row['match']}` {told}", self._place("failures", f"[{index}]"), *min(faults, default=[]))
        if not wanted and failed:
            names = ", ".join(f"`{note.path}` ({note.data['error_class']})" for note in failed[:TOLD_MAX])
            yield self._miss("failures", f"there were failures: {names}", self._place("failures"))

    # What performers saw, and what they were asked to do

    def _shown(self) -> Iterator[Miss]:
        for index, row in enumerate(cast("list[dict[str, object]]", self.fields.get("shown", []))):
            pattern = str(row["match"])
            handed = [each for each in self.played.handed if each.fits(pattern)]
            if not handed:
                place = self._place("shown", f"[{index}].match")
                yield self._miss("shown", f"nothing that matches `{pattern}` was handed out", place)
            for number, phrase in enumerate(cast("list[str]", row.get("contains", []))):
                lacks = next((each for each in handed if phrase not in text_of(each)), None)
                if lacks is not None:
                    found = Difference(path=lacks.id, expected=shown(phrase), came=shown(text_of(lacks)))
                    yield self._miss(
                        "shown", f"`{lacks.id}` was not shown that text", self._place("shown", f"[{index}].contains[{number}]"), found
                    )
            for number, phrase in enumerate(cast("list[str]", row.get("not_contains", []))):
                has = next((each for each in handed if phrase in text_of(each)), None)
                if has is not None:
                    text = text_of(has)
                    at = text.index(phrase)
                    came = ("…" if at > AROUND else "") + text[max(0, at - AROUND) : at + len(phrase) + AROUND]
                    found = Difference(path=has.id, expected=f"not {shown(phrase)}", came=shown(came))
                    yield self._miss(
                        "shown",
                        f"`{has.id}` was shown what it must not see",
                        self._place("shown", f"[{index}].not_contains[{number}]"),
                        found,
                    )

    def _calls(self) -> Iterator[Miss]:
        wanted = self.fields.get("calls")
        if not isinstance(wanted, list):
            return
        rows = cast("list[dict[str, object]]", wanted)
        calls = [each for each in self.played.handed if each.kind == "mcp_call"]
        described: set[int] = set()
        told: set[str] = set()
        for index, row in enumerate(rows):
            found = [each for each in calls if not _unlike_call(row, each)]
            described |= {id(each) for each in found}
            times = row.get("times")
            if (len(found) == times) if isinstance(times, int) else found:
                continue
            told.add(str(row["tool"]))
            yield self._call_miss(index, row, calls, len(found))
        named = {str(row["tool"]) for row in rows} - told
        left = [each for each in calls if id(each) not in described and (not rows or tool_of(each) in named)]
        for each in left[:TOLD_MAX]:
            message = f"`{each.id}` called {tool_of(each)}, and " + ("no call was expected" if not rows else "no entry describes that call")
            parameters = Difference(path="parameters", expected="", came=shown(each.params.get("parameters")))
            yield self._miss("calls", message, self._place("calls"), parameters)

    def _call_miss(self, index: int, row: Mapping[str, object], calls: Sequence[Handed], count: int) -> Miss:
        tool, times, place = str(row["tool"]), row.get("times"), self._place("calls", f"[{index}]")
        if count:
            return self._miss("calls", f"{tool} was called so {count} times, not {times}", place)
        near = [
            _unlike_call(row, each) for each in calls if tool_of(each) == tool and matches(str(row.get("match", "**")), each.id, each.kind)
        ]
        if near:
            found = min(near, key=len)
            key = "parameters_include" if "parameters_include" in row else "parameters"
            at = self._place("calls", f"[{index}].{found[0].path.replace('parameters', key, 1)}")
            return self._miss("calls", f"{tool} was called with other arguments", at, *found)
        others = ", ".join(dict.fromkeys(tool_of(each) for each in calls)) or "no tool at all"
        return self._miss("calls", f"{tool} was not called; called was {others}", place)

    def _unused(self) -> Iterator[Miss]:
        own = len(self.case.script.entries) - self._shared_count()
        for entry in self.case.script.entries[:own]:
            if entry.unused:
                yield self._miss("entry_unused", f"{entry.unused}; `optional: true` allows that", entry.place)

    def _shared_count(self) -> int:
        """Count the entries that stand beside `cases`: whether those are used is a matter of all cases together."""
        node = self.case.nodes[-1].entries.get("answers") if len(self.case.nodes) > 1 else None
        return len(getattr(node, "items", None) or getattr(node, "entries", ())) if node is not None else 0


_WORDED: Final = {
    "completed": "completed", "completed_degraded": "completed, degraded", "goal_not_met": "did not meet its goal", "failed": "failed",
    "cancelled": "was cancelled", "waiting": "waits", "parked": "was parked", "refused": "was not started",
}  # fmt: skip


def text_of(handed: Handed) -> str:
    """Give all text that an action shows its performer."""
    return "\n".join(as_text(value) for value in handed.params.values())


def tool_of(handed: Handed) -> str:
    """Give the tool that a call names."""
    return str(handed.params.get("tool", ""))


def _unlike_call(row: Mapping[str, object], handed: Handed) -> list[Difference]:
    if row["tool"] != tool_of(handed):
        return [Difference(path="tool", expected=str(row["tool"]), came=tool_of(handed))]
    if "match" in row and not handed.fits(str(row["match"])):
        return [Difference(path="match", expected=str(row["match"]), came=handed.id)]
    for name in ("parameters", "parameters_include"):
        if name in row:
            return differences(cast(Json, row[name]), handed.params.get("parameters"), partly=name != "parameters", path="parameters")
    return []


def _unlike(row: Mapping[str, object], error_class: str, message: str, path: str) -> Iterator[Difference]:
    wanted, phrase = row.get("class"), row.get("message")
    if wanted is not None and wanted != error_class:
        yield Difference(path=f"{path}.class", expected=str(wanted), came=error_class)
    if isinstance(phrase, str) and phrase not in message:
        yield Difference(path=f"{path}.message", expected=shown(phrase), came=shown(message))


def _said(failure: Failure) -> str:
    where = f" in `{failure.step}`" if failure.step else ""
    return f"{failure.error_class}{where}: {failure.message}"


def _degraded(played: Played) -> str:
    names = [f"`{each.note.path}`" for each in played.moments if each.note.kind == "step_failed"]
    return f": {', '.join(names[:TOLD_MAX])} failed, and the run went on" if names else ""


def _under(what: str, found: Difference) -> Difference:
    path = f"{what}{found.path}" if found.path.startswith("[") else f"{what}.{found.path}" if found.path else what
    return Difference(path=path, expected=found.expected, came=found.came, hint=found.hint)


def _fits(patterns: tuple[str, ...], came: tuple[tuple[str, str], ...]) -> bool:
    """Tell whether patterns, each for one or more in a row, are all that came, in that order."""

    @cache
    def fits(p: int, c: int) -> bool:
        if p == len(patterns) or c == len(came):
            return p == len(patterns) and c == len(came)
        return matches(patterns[p], *came[c]) and (fits(p + 1, c + 1) or fits(p, c + 1))

    # From the end, so that nothing nests deeper than one step, however long the run was.
    for c in range(len(came), -1, -1):
        for p in range(len(patterns), -1, -1):
            fits(p, c)
    return fits(0, 0)


def _order_differences(patterns: list[str], came: Sequence[Handed]) -> list[Difference]:
    names: list[str] = []
    for each in came:
        name = next((p for p in patterns if each.fits(p)), each.id)
        if not names or names[-1] != name or name == each.id:
            names.append(name)
    if names == patterns:  # patterns that overlap: only the ids tell
        names = [each.id for each in came]
    found: list[Difference] = []
    for tag, a, b, c, d in SequenceMatcher(None, patterns, names, autojunk=False).get_opcodes():
        if tag != "equal":
            found.append(Difference(path=f"order[{a}]", expected=", ".join(patterns[a:b]), came=", ".join(names[c:d])))
    return found
