"""Where something stands in a source text: offsets, lines and columns, also inside a scalar whose text differs from what was written.

An expression's fault is known as an offset into the *value* of a scalar. What stands in the file differs by quotes, escapes, indentation
and folded lines, but both hold the same visible characters in the same order: the place is found by counting those.
"""

import re
from bisect import bisect_right
from typing import Final

_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
_SPACES: Final = frozenset(" \t\r\n\x85\u2028\u2029")
_ESCAPE = re.compile(r"\\(?:x[0-9a-fA-F]{2}|u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|\r\n|.)", re.DOTALL)
_BLANK_ESCAPES: Final = frozenset("tnrNLPv \t\r\n_")


class Source:
    """A text and the name of its file. `shifts` are (offset as parsed, characters that the parser did not see), in order."""

    def __init__(self, file: str, text: str) -> None:
        """Keep the text; its lines are only counted when asked for."""
        self.file = file
        self.text = text
        self.shifts: list[tuple[int, int]] = []
        self._starts: list[int] | None = None

    def original(self, parsed: int) -> int:
        """Turn an offset that the parser gave into one of the text."""
        return parsed + sum(by for at, by in self.shifts if at <= parsed)

    def place(self, at: int) -> tuple[int, int]:
        """Give line and column of an offset, from 1."""
        starts = self._line_starts()
        line = bisect_right(starts, at)
        return line, at - starts[line - 1] + 1

    def offset(self, line: int, column: int) -> int:
        """Give the offset of a place, as `place` names it."""
        starts = self._line_starts()
        return min(starts[min(line, len(starts)) - 1] + column - 1, len(self.text))

    def line_around(self, at: int) -> tuple[int, str]:
        """Give the offset where the line of an offset begins, and the line."""
        starts = self._line_starts()
        line = bisect_right(starts, at)
        end = starts[line] if line < len(starts) else len(self.text)
        return starts[line - 1], self.text[starts[line - 1] : end].rstrip("\r\n")

    def inside(self, start: int, end: int, style: str, value: str, offset: int) -> tuple[int, int]:
        """Give line and column of an offset into the value of the scalar that stands at `start` … `end`."""
        wanted = sum(1 for c in value[:offset] if c not in _SPACES)
        at = self._visible(start, end, style, wanted)
        # On white space of a single line nothing visible marks the place: go back over what was counted.
        if style in {"plain", "single", "double"} and offset < len(value) and value[offset] in _SPACES and "\n" not in self.text[start:end]:
            at = self._visible(start, end, style, wanted - 1) + 1 if wanted else at
        return self.place(min(at, end))

    def _visible(self, start: int, end: int, style: str, wanted: int) -> int:
        at = start
        if style in {"literal", "folded"}:
            found = _BREAK.search(self.text, start)
            at = found.end() if found else end
        elif style in {"single", "double"}:
            at += 1
        while at < end:
            width, is_visible = self._unit(at, style)
            if is_visible:
                if wanted == 0:
                    return at
                wanted -= 1
            at += width
        return end

    def _unit(self, at: int, style: str) -> tuple[int, bool]:
        """Give how many written characters make the one at `at`, and whether it is a visible one."""
        char = self.text[at]
        if style == "double" and char == "\\":
            found = _ESCAPE.match(self.text, at)
            if found is not None:
                return found.end() - at, found[0][1] not in _BLANK_ESCAPES
        if style == "single" and char == "'":
            return 2, True
        return 1, char not in _SPACES

    def _line_starts(self) -> list[int]:
        if self._starts is None:
            self._starts = [0, *(found.end() for found in _BREAK.finditer(self.text))]
        return self._starts
