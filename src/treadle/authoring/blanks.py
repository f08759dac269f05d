"""Characters that an author does not see: tabs where YAML wants spaces, and bidirectional or zero-width ones (language.md §6, ruling 57).

They are looked for in the source, because the parser drops what stands between values; where scalars and flow collections stand is known by
then. Both lists of spans are in order and do not overlap, so each character costs one look-up, however many there are.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

_INVISIBLE: Final = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_TABS: Final = re.compile("\t+")
# Text in scripts that are written from right to left may hold many of them honestly.
INVISIBLE_TOLD_MAX: Final = 20


class Finding(NamedTuple):
    """Something to tell: `is_error` or a warning, at an offset of the text."""

    code: str
    at: int
    message: str
    suggestion: str
    is_error: bool


def has_invisible(text: str) -> bool:
    """Tell whether a text holds characters that are not shown."""
    return _INVISIBLE.search(text) is not None


def has_blanks(text: str) -> bool:
    """Tell whether there is anything to look for."""
    return "\t" in text or has_invisible(text)


@dataclass(slots=True)
class Blanks:
    """Collects spans while a file is read, in order; `findings` looks between them."""

    text: str
    scalars: list[tuple[int, int, bool]] = field(default_factory=list[tuple[int, int, bool]])
    flows: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    comments: dict[int, tuple[int, int]] = field(default_factory=dict[int, tuple[int, int]])

    def findings(self) -> Iterator[Finding]:
        """Tell what stands where it should not."""
        told = 0
        for found in _INVISIBLE.finditer(self.text):
            name = f"the invisible character U+{ord(found[0]):04X}"
            scalar = self._scalar(found.start())
            if scalar is not None and scalar[2]:
                yield Finding("invisible_character", found.start(), f"{name} stands in a name", "delete it", is_error=True)
            elif told < INVISIBLE_TOLD_MAX:
                told += 1
                message = f"{name} stands in text: what is read may not be what is shown"
                yield Finding(
                    "invisible_text", found.start(), message, "delete it, or write it as an escape in double quotes", is_error=False
                )
        yield from self._tabs()

    def _tabs(self) -> Iterator[Finding]:
        found = _TABS.search(self.text)
        while found is not None:
            start, end = found.span()
            # What holds a tab legitimately is left behind as a whole: a file may be one long remark full of them.
            beyond = self._end_of_holder(start)
            if beyond is None:
                beyond = end
                if self.text[end : end + 1] not in {"", "\n", "\r", "#", " "}:
                    yield Finding("tab", start, "a tab stands where YAML wants spaces", "use spaces", is_error=True)
            found = _TABS.search(self.text, beyond)

    def _end_of_holder(self, at: int) -> int | None:
        """Give the end of the scalar, flow collection or comment that a place is in; None where it is between them."""
        scalar = self._scalar(at)
        if scalar is not None:
            return scalar[1]
        place = bisect_right(self.flows, at, key=lambda span: span[0]) - 1
        if place >= 0 and at < self.flows[place][1]:
            return self.flows[place][1]
        line = self.text.rfind("\n", 0, at) + 1
        if line not in self.comments:
            self.comments[line] = self._comment_of(line)
        start, end = self.comments[line]
        return end if start <= at else None

    def _scalar(self, at: int) -> tuple[int, int, bool] | None:
        place = bisect_right(self.scalars, at, key=lambda span: span[0]) - 1
        span = self.scalars[place] if place >= 0 else None
        return span if span is not None and at < span[1] else None

    def _comment_of(self, line: int) -> tuple[int, int]:
        """Give where the comment of a line begins and ends; it is empty where there is none."""
        end = self.text.find("\n", line)
        end = len(self.text) if end < 0 else end
        at = self.text.find("#", line, end)
        while at >= 0:
            scalar = self._scalar(at)
            if scalar is None and (at == line or self.text[at - 1] in " \t"):
                return at, end
            at = self.text.find("#", scalar[1] if scalar is not None else at + 1, end)
        return end, end
