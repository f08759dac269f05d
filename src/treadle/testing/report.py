"""How a verdict reads: what was expected and what came, at which line, and what happened until then. Plain text; the terminal dresses it."""

from collections.abc import Iterator
from typing import Final

from treadle.core.values import Json
from treadle.testing.differences import Difference
from treadle.testing.judging import Miss
from treadle.testing.story import LINES_MAX, Line, story
from treadle.testing.suite import Verdict

EXPECTED: Final = "expected"
CAME: Final = "came"
HINT: Final = "note"
NOTHING: Final = "(nothing)"


def miss_lines(verdict: Verdict) -> Iterator[str]:
    """Give the misses of a case."""
    for miss in verdict.misses:
        yield f"{miss.place}: {miss.message} [{miss.code}]"
        for found in miss.differences:
            yield from difference_lines(found)
        if miss.snippet:
            yield "  add to `answers`:"
            yield from (f"    {line}" for line in miss.snippet.splitlines())


def difference_lines(found: Difference) -> Iterator[str]:
    """Give one difference: its path, what was expected, what came."""
    yield f"  {found.path or 'the whole'}"
    yield f"    {EXPECTED}  {found.expected or NOTHING}"
    yield f"    {CAME}      {found.came or NOTHING}"
    if found.hint:
        yield f"    {HINT}      {found.hint}"


def story_lines(verdict: Verdict, most: int = LINES_MAX) -> Iterator[str]:
    """Give what happened, the last lines of it."""
    lines = story(verdict.played)
    if not lines:
        return
    yield "what happened until then:"
    if len(lines) > most:
        yield f"  … {len(lines) - most} before that"
    width = max(len(line.path) for line in lines[-most:])
    for line in lines[-most:]:
        yield f"  {clock_text(line.at_ms).rjust(8)}  {line.path.ljust(width)}  {line.text}".rstrip()


def clock_text(ms: int) -> str:
    """Say an instant as the time since the run began, as durations are written."""
    text = ""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)):
        count, ms = divmod(ms, size)
        text += f"{count}{unit}" if count else ""
    return text or "0s"


def verdict_json(verdict: Verdict) -> dict[str, Json]:
    """Give a case as `--json` prints it."""
    case = verdict.case
    return {
        "file": case.shown, "name": case.name, "line": case.place.line, "ok": verdict.passed, "status": verdict.status,
        "took_ms": round(verdict.took_ms, 3), "misses": [_miss_json(miss) for miss in verdict.misses],
        "order": [each.id for each in verdict.played.order()], "story": [_line_json(line) for line in story(verdict.played)],
    }  # fmt: skip


def _miss_json(miss: Miss) -> dict[str, Json]:
    return {
        "code": miss.code, "message": miss.message, "file": miss.place.file, "line": miss.place.line, "column": miss.place.column,
        "differences": [{"path": d.path, "expected": d.expected, "came": d.came, "hint": d.hint} for d in miss.differences],
        "snippet": miss.snippet,
    }  # fmt: skip


def _line_json(line: Line) -> dict[str, Json]:
    return {"at_ms": line.at_ms, "word": line.word, "path": line.path, "text": line.text}
