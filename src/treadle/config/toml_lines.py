"""The line of each key in a TOML file, which tomllib does not tell.

A scanner of just enough TOML: table headers, keys (bare, quoted, dotted) and strings, so that brackets and `=` inside values
mislead nobody. It runs on files that tomllib has accepted; of a file that it has not, the parser's own message names the line.
Keys of inline tables have the line they stand on, too.
"""

import re

Path = tuple[str, ...]
_HEADER = re.compile(r"\s*\[(\[)?(.+?)\](?(1)\])\s*(?:#.*)?$")
_PART = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*""")
_STRINGS = ('"""', "'''", '"', "'")


def key_lines(text: str) -> dict[Path, int]:
    """Map each key's path to its line, from 1; the first place wins. Array tables count as one table."""
    return _Scanner(text).scan()


def line_of(lines: dict[Path, int], path: Path) -> int:
    """Give the line of a key, else of the nearest table that holds it; 0 where none is known."""
    while path:
        if path in lines:
            return lines[path]
        path = path[:-1]
    return 0


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._lines: dict[Path, int] = {}

    def scan(self) -> dict[Path, int]:
        table: Path = ()
        at = 0
        while at < len(self._text):
            end = self._text.find("\n", at)
            end = len(self._text) if end < 0 else end
            line = self._text[at:end]
            header = _HEADER.match(line)
            if header is not None:
                table = _parts(header[2])
                self._note(table, at)
                at = end + 1
            elif not line.strip() or line.lstrip().startswith("#"):
                at = end + 1
            else:
                at = self._pair(at, table)
        return self._lines

    def _note(self, path: Path, at: int) -> None:
        line = self._text.count("\n", 0, at) + 1
        for length in range(1, len(path) + 1):
            self._lines.setdefault(path[:length], line)

    def _pair(self, at: int, table: Path) -> int:
        """Read `key = value` from `at`; give the place behind it."""
        path: Path = ()
        while (part := _PART.match(self._text, at)) is not None:
            path = (*path, _name(part))
            at = part.end()
            if self._text[at : at + 1] != ".":
                break
            at += 1
        self._note((*table, *path), at - 1)
        if not path or self._text[at : at + 1] != "=":
            end = self._text.find("\n", at)
            return len(self._text) if end < 0 else end + 1
        return self._value(at + 1, (*table, *path))

    def _value(self, at: int, path: Path) -> int:
        """Skip a value, looking into inline tables; stops at the `,` `}` or line end that closes it."""
        depth = 0
        while at < len(self._text):
            char = self._text[at]
            quote = next((q for q in _STRINGS if self._text.startswith(q, at)), None)
            if quote is not None:
                at = self._string(at, quote)
                continue
            if char == "#":
                at = self._text.find("\n", at)
                at = len(self._text) if at < 0 else at
                continue
            if char == "{" and depth == 0:
                at = self._inline(at + 1, path)
                continue
            if depth == 0 and char in ",}\n":
                return at + 1 if char == "\n" else at
            depth += (char in "[{") - (char in "]}")
            at += 1
        return at

    def _inline(self, at: int, path: Path) -> int:
        while at < len(self._text) and self._text[at] != "}":
            before = at
            if self._text[at] in ", \t\n":
                at += 1
            else:
                at = self._pair(at, path)
            at = max(at, before + 1)
        return at + 1

    def _string(self, at: int, quote: str) -> int:
        at += len(quote)
        while at < len(self._text) and not self._text.startswith(quote, at):
            at += 2 if self._text[at] == "\\" and quote[0] == '"' else 1
        return at + len(quote)


def _name(part: re.Match[str]) -> str:
    return next(group for group in part.groups() if group is not None)


def _parts(header: str) -> Path:
    return tuple(_name(part) for part in _PART.finditer(header))
