"""Problems: what is wrong with a file, each with a stable code, its place, and what to do; collected, so that all are told at once.

Lines and columns count from 1, columns in characters. `path` names the node (`steps[2].then[0].if`). Nothing here knows about colours:
the terminal's rendering is plain text, and whoever prints it may dress it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from treadle.core.errors import TreadleError
from treadle.core.nearest import nearest as nearest_name
from treadle.core.values import Json

Severity = Literal["error", "warning"]
SHOWN_COLUMNS_MAX: Final = 110


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One fault of a file. `suggestion` says what to write instead; it is empty where nothing better than the message is known."""

    code: str
    severity: Severity
    file: str
    line: int
    column: int
    path: str
    message: str
    suggestion: str = ""

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


def render(problems: Iterable[Problem], sources: dict[str, str]) -> str:
    """Show problems as a compiler does: place, message, the source line with a caret, what to do. `sources` maps a file to its text."""
    lines_of = {file: text.splitlines() for file, text in sources.items()}
    return "\n\n".join("\n".join(_rendered(p, lines_of.get(p.file, ()))) for p in ordered(problems))


def _rendered(problem: Problem, lines: Sequence[str]) -> list[str]:
    out = [f"{problem.file}:{problem.line}:{problem.column}: {problem.severity}[{problem.code}]: {problem.message}"]
    if 1 <= problem.line <= len(lines):
        text, offset = _window(lines[problem.line - 1], problem.column - 1)
        number = str(problem.line)
        # A tab before the caret must be as wide below as above.
        gap = "".join("\t" if c == "\t" else " " for c in text[:offset])
        out += [f" {number} | {text}", f" {' ' * len(number)} | {gap}^"]
    if problem.suggestion:
        out.append(f" help: {problem.suggestion}")
    return out


def _window(line: str, offset: int) -> tuple[str, int]:
    """Cut a long line around the place that matters."""
    shown = "".join(c if c == "\t" or c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
    if len(shown) <= SHOWN_COLUMNS_MAX:
        return shown, offset
    start = max(0, min(offset - SHOWN_COLUMNS_MAX // 2, len(shown) - SHOWN_COLUMNS_MAX))
    piece = shown[start : start + SHOWN_COLUMNS_MAX]
    return ("…" + piece[1:] if start else piece), offset - start
