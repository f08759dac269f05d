"""Mending a file: for each problem that has one certain remedy, edits of the text; everything else is left to the author (issue 4 §2).

A fix is a small function, found by the problem's code, that gives edits or None. Its proposal is believed only after the edited text was
checked anew: the problem must be gone, and nothing may be wrong that was not wrong before, except what the fault itself had hidden: in the
same step, or about the values that come from it. So a fix that guesses badly is never kept, and one that would need a second reading of the author's mind is not written.
Rounds go on until one changes nothing; applied once more to its own result, mending therefore does nothing.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from treadle.authoring import mend_expressions, mend_fields, mend_reading
from treadle.authoring.mend_ground import Edit, Ground, Mend, applied, back
from treadle.authoring.places import Source
from treadle.authoring.problems import Problem
from treadle.core.values import Json

Fix: TypeAlias = Callable[[Ground, Problem], Mend | None]
Examine: TypeAlias = Callable[[str], Ground]
ROUNDS_MAX: Final = 40
PER_ROUND_MAX: Final = 100
EXAMINATIONS_MAX: Final = 400
_OF_SHAPES: Final = frozenset({"unknown_key", "bad_state", "condition_text"})
FIXES: Final[Mapping[str, Sequence[Fix]]] = {
    code: [fixes[code] for fixes in (mend_reading.FIXES, mend_fields.FIXES, mend_expressions.FIXES) if code in fixes]
    for code in sorted({*mend_reading.FIXES, *mend_fields.FIXES, *mend_expressions.FIXES})
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """A problem that was mended: its place in the file as it was, and the touched lines before and after."""

    problem: Problem
    line: int
    column: int
    before: str
    after: str

    def to_json(self) -> dict[str, Json]:
        """Give the shape that `treadle validate --fix --json` prints."""
        return {
            "code": self.problem.code, "file": self.problem.file, "line": self.line, "column": self.column,
            "before": self.before, "after": self.after,
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Mended:
    """A text after mending, and what is still wrong with it."""

    before: str
    ground: Ground
    fixed: tuple[Fixed, ...]

    @property
    def text(self) -> str:
        """Give the mended text."""
        return self.ground.text

    @property
    def is_changed(self) -> bool:
        """Tell whether anything was mended."""
        return self.text != self.before


def mend(text: str, examine: Examine) -> Mended:
    """Mend a text as far as that is certain. `examine` reads and checks a text; only problems of that text belong into its ground."""
    mender = _Mender(examine)
    ground = examine(text)
    for _ in range(ROUNDS_MAX):
        after = mender.round(ground)
        if after is None:
            break
        ground = after
    return Mended(before=text, ground=ground, fixed=tuple(sorted(mender.fixed, key=lambda f: (f.line, f.column))))


@dataclass(frozen=True, slots=True)
class _Proposal:
    problem: Problem
    mend: Mend


@dataclass(slots=True)
class _Mender:
    examine: Examine
    examinations: int = 0
    fixed: list[Fixed] = field(default_factory=list[Fixed])
    history: list[tuple[str, list[Edit]]] = field(default_factory=list[tuple[str, list[Edit]]])

    def round(self, ground: Ground) -> Ground | None:
        """Mend what can be mended side by side; None where nothing can."""
        proposals = _apart(_proposals(ground))
        kept, after = self._settle(ground, [], proposals, None)
        if after is None or after.text == ground.text:
            return None
        for proposal in kept:
            self.fixed.append(self._told(ground, proposal))
        self.history.append((ground.text, _edits(kept)))
        return after

    def _settle(
        self, ground: Ground, kept: list[_Proposal], rest: list[_Proposal], best: Ground | None
    ) -> tuple[list[_Proposal], Ground | None]:
        """Keep as many proposals as hold what they promise; where some do not, they are tried in halves."""
        if not rest or self.examinations >= EXAMINATIONS_MAX:
            return kept, best
        self.examinations += 1
        after = self.examine(applied(ground.text, _edits([*kept, *rest])))
        if _holds(ground, [*kept, *rest], after):
            return [*kept, *rest], after
        if len(rest) == 1:
            return kept, best
        half = len(rest) // 2
        kept, best = self._settle(ground, kept, rest[:half], best)
        return self._settle(ground, kept, rest[half:], best)

    def _told(self, ground: Ground, proposal: _Proposal) -> Fixed:
        at = ground.at(proposal.problem)
        original = ground.text
        for text, edits in reversed(self.history):
            at, original = back(at, edits), text
        line, column = Source("", original).place(at)
        before, after = _lines(ground, proposal.mend.edits)
        return Fixed(problem=proposal.problem, line=line, column=column, before=before, after=after)


def _proposals(ground: Ground) -> list[_Proposal]:
    found: list[_Proposal] = []
    for problem in ground.problems:
        for fix in FIXES.get(problem.code, ()):
            proposed = fix(ground, problem)
            if proposed is not None and proposed.edits:
                found.append(_Proposal(problem, proposed))
                break
    return found[:PER_ROUND_MAX]


def _apart(proposals: Iterable[_Proposal]) -> list[_Proposal]:
    """Leave those whose ranges overlap or touch to the next round."""
    taken: list[tuple[int, int]] = []
    found: list[_Proposal] = []
    for proposal in proposals:
        ranges = [(edit.start, edit.end) for edit in proposal.mend.edits]
        if all(end < start or begin > stop for begin, end in ranges for start, stop in taken):
            taken += ranges
            found.append(proposal)
    return found


def _edits(proposals: Iterable[_Proposal]) -> list[Edit]:
    return [edit for proposal in proposals for edit in proposal.mend.edits]


# What a fix promises


def _holds(before: Ground, proposals: list[_Proposal], after: Ground) -> bool:
    """Tell whether what was to be mended is gone, and nothing is wrong that was not wrong, or hidden, before."""
    old, new = Counter(map(_key, before.problems)), Counter(map(_key, after.problems))
    mended = Counter(_key(p.problem) for p in proposals)
    readable = before.root is not None
    if readable and any(new[key] > old[key] - count for key, count in mended.items()):
        return False
    # Where reading stopped at the first, the next of its kind is a new one.
    places = {(p.problem.code, before.at(p.problem)) for p in proposals}
    if not readable and any((problem.code, back(after.at(problem), _edits(proposals))) in places for problem in after.problems):
        return False
    if readable and after.root is None:
        return False
    if not readable and after.root is None and not _is_further(before, proposals, after):
        return False
    fresh = new - old
    shown = [problem for problem in after.problems if fresh[_key(problem)] > 0]
    return all(_is_uncovered(problem, before, proposals, after, readable=readable) for problem in shown)


def _key(problem: Problem) -> tuple[str, str]:
    # Lines move with what is inserted above them.
    return problem.code, re.sub(r"\d+", "#", problem.message)


def _is_further(before: Ground, proposals: list[_Proposal], after: Ground) -> bool:
    """Tell whether reading now comes further than it did."""
    stopped, stops = before.problems[-1:], after.problems[-1:]
    if not stopped or not stops:
        return True
    return back(after.at(stops[0]), _edits(proposals)) > before.at(stopped[0])


def _is_uncovered(problem: Problem, before: Ground, proposals: list[_Proposal], after: Ground, *, readable: bool) -> bool:
    """Tell whether a new problem only comes to light: a fault that was mended had hidden it."""
    touched = False
    at = back(after.at(problem), _edits(proposals))
    line = before.source.place(at)[0]
    for proposal in proposals:
        lines = {before.source.place(offset)[0] for edit in proposal.mend.edits for offset in (edit.start, edit.end)}
        if readable:
            step = before.step(proposal.problem.path)
            beside = bool(step) and (problem.path == step or problem.path.startswith((f"{step}.", f"{step}[")))
            beside = beside or (not step and _top(problem.path) == _top(proposal.problem.path))
        else:
            beside = min(lines) <= line <= max(lines)
        if beside:
            touched = True
            allowed = proposal.mend.uncovers
            if allowed is None or problem.code in allowed:
                return True
    if not readable:
        return not touched or problem.severity == "warning"
    # What a value is becomes known to those who read it.
    return problem.severity == "warning" or (problem.code in _OF_SHAPES and any(p.mend.uncovers is None for p in proposals))


def _top(path: str) -> str:
    return re.split(r"[.\[]", path, maxsplit=1)[0] if path else ""


def _lines(ground: Ground, edits: Sequence[Edit]) -> tuple[str, str]:
    """Give the lines that edits touch, as they are and as they become."""
    before: list[str] = []
    after: list[str] = []
    done = -1
    for edit in sorted(edits):
        start, _ = ground.line(edit.start)
        if start <= done:
            continue
        beside = [e for e in edits if ground.line(e.start)[0] == start]
        last_start, last = ground.line(max(e.end for e in beside))
        end = done = last_start + len(last)
        before.append(ground.text[start:end])
        moved = [Edit(e.start - start, e.end - start, e.text) for e in beside]
        after.append(applied(ground.text[start:end], moved))
    return "\n".join(before).strip("\r\n"), "\n".join(after).strip("\r\n")
