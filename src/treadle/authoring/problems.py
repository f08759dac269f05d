"""Problems: what is wrong with a file, each with a stable code, its place, and what to do; collected, so that all are told at once.

Lines and columns count from 1, columns in characters. `path` names the node (`steps[2].then[0].if`).
`render` shows them as a compiler does: place and message, the line of the source, marks under what is meant, what to do. A line of a file is
foreign text: tabs become spaces, what a terminal would obey or not show becomes a sign, and marks are placed by the columns that characters
take, of which East Asian ones and emoji take two and combining ones none. A long line is cut around its marks; problems of one line share
it. Nothing here knows about colours: each piece of a shown line says what it is, and whoever prints it may dress it.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from treadle.core.errors import TreadleError
from treadle.core.nearest import nearest as nearest_name
from treadle.core.values import Json

Severity = Literal["error", "warning"]
Role = Literal["place", "error", "warning", "message", "gutter", "source", "error_mark", "warning_mark", "help"]
COLUMNS_MAX: Final = 110
_TAB: Final = 4
_CUT: Final = "…"
# What belongs together at a place whose width is not known: a dotted path, a quoted text, an expression with its braces, one bracket's content.
_WORD: Final = re.compile(r"[@*$&!]?[\w$]+(?:[.:-]?[\w$]+|\[\s*(?:'[^']*'|\"[^\"]*\"|\d+)\s*\])*")
_QUOTED: Final = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^']|'')*'")
_BRACES: Final = re.compile(r"\{\{.*?\}\}|\{%.*?%\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One fault of a file. `suggestion` says what to write instead; it is empty where nothing better than the message is known.

    `width` is how many characters of the line it is about, 0 where that is not known.
    """

    code: str
    severity: Severity
    file: str
    line: int
    column: int
    path: str
    message: str
    suggestion: str = ""
    width: int = 0

    @property
    def place(self) -> tuple[str, int, int]:
        """Give what problems are sorted by."""
        return self.file, self.line, self.column

    def to_json(self) -> dict[str, Json]:
        """Give the shape that `treadle validate --json` prints."""
        return {
            "code": self.code, "severity": self.severity, "file": self.file, "line": self.line, "column": self.column,
            "path": self.path, "message": self.message, "suggestion": self.suggestion,
        }  # fmt: skip

    def __str__(self) -> str:
        """Say it on one line."""
        hint = f" ({self.suggestion})" if self.suggestion else ""
        return f"{self.file}:{self.line}:{self.column}: {self.severity}: {self.message} [{self.code}]{hint}"


class DefinitionError(TreadleError):
    """A workflow cannot be used as it is written; `problems` lists every fault that was found."""

    code = "invalid_definition"

    def __init__(self, problems: Iterable[Problem], *, name: str = "") -> None:
        """Join the faults into one message, in the order of the file."""
        self.problems = ordered(problems)
        errors = [p for p in self.problems if p.severity == "error"]
        head = f"the workflow {name!r} has {len(errors)} error{'s' * (len(errors) != 1)}" if name else "the file has errors"
        super().__init__(
            "\n".join([f"{head}:", *map(str, errors)]),
            hint="mend the named lines; `treadle validate` shows them with their source",
            details={"problems": [p.to_json() for p in self.problems]},
        )


def ordered(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Sort by place, once each."""
    return tuple(sorted(dict.fromkeys(problems), key=lambda p: (p.place, p.severity, p.code)))


def has_errors(problems: Iterable[Problem], *, strict: bool = False) -> bool:
    """Tell whether anything forbids using the file; `strict` counts warnings too."""
    return any(strict or p.severity == "error" for p in problems)


def report(problems: Iterable[Problem], *, strict: bool = False) -> dict[str, Json]:
    """Give what `treadle validate --json` prints."""
    found = ordered(problems)
    return {"ok": not has_errors(found, strict=strict), "problems": [p.to_json() for p in found]}


def nearest(word: str, known: Iterable[str]) -> str:
    """Suggest the known name that was probably meant; empty text when none is near."""
    return nearest_name(word, known) or ""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Ask for the nearest known name, as a sentence for `suggestion`; empty when none is near."""
    found = nearest(word, known)
    return f"did you mean `{found}`?" if found else ""


def listed(names: Iterable[str], *, most: int = 12) -> str:
    """List names for a message, shortened when there are many; `none` when there are none."""
    rows = list(names)
    more = f" and {len(rows) - most} more" if len(rows) > most else ""
    return (", ".join(rows[:most]) + more) or "none"


class Piece(NamedTuple):
    """A part of a shown line, and what it is."""

    text: str
    role: Role


class _Mark(NamedTuple):
    """What is marked in a line: offsets into it, and how bad it is."""

    start: int
    end: int
    role: Role


def render(problems: Iterable[Problem], sources: dict[str, str], columns_max: int = COLUMNS_MAX) -> str:
    """Show problems as plain text. `sources` maps a file to its text."""
    return "\n".join("".join(piece.text for piece in line) for line in rendered(problems, sources, columns_max))


def rendered(problems: Iterable[Problem], sources: dict[str, str], columns_max: int = COLUMNS_MAX) -> Iterator[list[Piece]]:
    """Give the lines that show problems, in the order of their places, with an empty line between those of different lines."""
    lines_of: dict[str, list[str]] = {}
    first = True
    for group in _groups(ordered(problems)):
        file, line = group[0].file, group[0].line
        if file not in lines_of:
            lines_of[file] = re.split("\r\n|[\r\n\x85\u2028\u2029]", sources[file]) if file in sources else []
        source = lines_of[file][line - 1] if 1 <= line <= len(lines_of[file]) else None
        for part in _that_fit(group, source, columns_max):
            if not first:
                yield []
            first = False
            yield from _shown(part, source, columns_max)


def safe(text: str) -> str:
    """Make a text safe to show on one line: what a terminal would obey, or not show, is written out."""
    return text if text.isprintable() else "".join(c if c.isprintable() else " " if c == "\n" else f"\\u{{{ord(c):x}}}" for c in text)


def _groups(problems: Sequence[Problem]) -> Iterator[list[Problem]]:
    """Put problems of one line together."""
    group: list[Problem] = []
    for problem in problems:
        if group and (problem.file, problem.line) != (group[0].file, group[0].line):
            yield group
            group = []
        group.append(problem)
    if group:
        yield group


def _that_fit(group: list[Problem], source: str | None, columns_max: int) -> Iterator[list[Problem]]:
    """Divide problems of one line so that the marks of each part fit into one window."""
    if source is None or _width(source) <= columns_max:
        yield group
        return
    part: list[Problem] = []
    for problem in group:
        if part and _width(source[part[0].column - 1 : problem.column]) > columns_max // 2:
            yield part
            part = []
        part.append(problem)
    yield part


def _shown(group: list[Problem], source: str | None, columns_max: int) -> Iterator[list[Piece]]:
    alone = len(group) == 1
    for problem in group:
        place = f"{safe(problem.file)}:{problem.line}:{problem.column}: "
        yield [
            Piece(place, "place"),
            Piece(f"{problem.severity}[{problem.code}]", problem.severity),
            Piece(f": {safe(problem.message)}", "message"),
        ]
        if problem.suggestion and not alone:
            yield _help(problem)
    if source is not None:
        marks = [_mark_of(problem, source) for problem in group]
        text, row = _window(source, marks, columns_max)
        number = str(group[0].line)
        yield [Piece(f" {number} | ", "gutter"), Piece(text, "source")]
        yield [Piece(f" {' ' * len(number)} | ", "gutter"), *row]
    if group[0].suggestion and alone:
        yield _help(group[0])


def _help(problem: Problem) -> list[Piece]:
    return [Piece(f" help: {safe(problem.suggestion)}", "help")]


def _mark_of(problem: Problem, source: str) -> _Mark:
    start = min(problem.column - 1, len(source))
    end = start + problem.width if problem.width else _end_of(source, start)
    role: Role = "error_mark" if problem.severity == "error" else "warning_mark"
    return _Mark(start, max(start + 1, min(end, len(source.rstrip()))), role)


def _end_of(source: str, start: int) -> int:
    for pattern in (_BRACES, _QUOTED, _WORD):
        found = pattern.match(source, start)
        if found is not None:
            return found.end()
    if source[start : start + 1] in {"[", "{"}:
        depth = 0
        for at in range(start, len(source)):
            depth += (source[at] in "[{") - (source[at] in "]}")
            if depth == 0:
                return at + 1
    return start + 1


def _window(source: str, marks: Sequence[_Mark], columns_max: int) -> tuple[str, list[Piece]]:
    """Give the line as shown, cut around the marks, and the row of marks below it."""
    cells = [_cell(char) for char in source]
    low, high = min(mark.start for mark in marks), max(mark.end for mark in marks)
    start, end = 0, len(cells)
    if sum(width for _, width in cells) > columns_max:
        start, end = _cut(cells, low, min(high, low + columns_max // 2), columns_max)
    head, tail = _CUT if start else "", _CUT if end < len(cells) else ""
    text = head + "".join(shown for shown, _ in cells[start:end]) + tail
    row: list[Piece] = []
    column = 0
    for at in range(start, end + 1):
        width = (cells[at][1] if at < end else 1) + (len(head) if at == start else 0)
        role: Role | None = next((mark.role for mark in marks if mark.start <= at < max(mark.end, mark.start + 1)), None)
        if role is not None and width:
            gap = len(head) if at == start else 0
            row += [Piece(" " * (column + gap), "gutter")] if column + gap else []
            before = row.pop().text if row and row[-1].role == role else ""
            row.append(Piece(before + "^" * (width - gap), role))
            column = 0
        elif width:
            column += width
    return text, row


def _cut(cells: Sequence[tuple[str, int]], low: int, high: int, columns_max: int) -> tuple[int, int]:
    """Give the range of characters that is shown: the marked ones, with as much on both sides as there is room for."""
    low = min(low, len(cells))
    start = end = low
    room = columns_max - 2 * len(_CUT)
    while end < min(high, len(cells)) and room >= cells[end][1]:
        room -= cells[end][1]
        end += 1
    grew = True
    while grew:
        grew = False
        if start > 0 and room >= cells[start - 1][1]:
            start -= 1
            room -= cells[start][1]
            grew = True
        if end < len(cells) and room >= cells[end][1]:
            room -= cells[end][1]
            end += 1
            grew = True
    return start, end


def _cell(char: str) -> tuple[str, int]:
    """Give what stands for a character, and how many columns it takes."""
    if " " <= char <= "~":
        return char, 1
    if char == "\t":
        return " " * _TAB, _TAB
    if not char.isprintable():
        return "\N{REPLACEMENT CHARACTER}", 1
    if unicodedata.category(char) in {"Mn", "Me"}:
        return char, 0
    return char, 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1


def _width(text: str) -> int:
    return sum(_cell(char)[1] for char in text)
