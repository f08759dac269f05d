"""Where a configured value came from, and the error that lists everything wrong with a configuration at once."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from treadle.core.errors import TreadleError
from treadle.core.nearest import nearest


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The place that set a value: `where` is a file with its line, a variable's or a flag's name; empty for a default."""

    kind: Literal["default", "file", "environment", "flag"]
    where: str = ""

    def __str__(self) -> str:
        """Say it as `treadle config show` does."""
        return f"{self.kind} {self.where}".rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One fault of a configuration file; `line` counts from 1, 0 where no line can be named."""

    code: str
    message: str
    file: str
    line: int = 0
    suggestion: str = ""

    def __str__(self) -> str:
        """Say it on one line."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.message}" + (f" ({self.suggestion})" if self.suggestion else "")


class ConfigError(TreadleError):
    """The configuration cannot be used as it stands; `problems` lists every fault that was found."""

    code = "config_error"

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Join the faults into one message, first things first."""
        self.problems = tuple(problems)
        super().__init__(
            "\n".join(map(str, self.problems)),
            hint="mend the named lines",
        )


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Suggest the known name that was probably meant; empty text when none is near."""
    close = nearest(word, known)
    return f"did you mean {close!r}?" if close else ""
