"""JSON text to a positioned tree: the same language as YAML files, and strictly JSON (RFC 8259).

YAML takes much that only looks like JSON (comments, a comma too many, `NaN` as text, single quotes), and refuses a little that is JSON. A file
named `.json` is read here, so that it means what every other reader of JSON takes it to mean. What leaves the rest readable (a repeated key, a
number out of range) is collected; the first fault of form ends the reading.
"""

import json
import re
from typing import Final

from treadle.authoring.blanks import Blanks, has_invisible
from treadle.authoring.nodes import DEPTH_MAX, NODES_MAX, PROBLEMS_MAX, Document, Mapping, Node, Scalar, Sequence, path_below, unfold
from treadle.authoring.places import Source
from treadle.authoring.problems import Problem, Severity
from treadle.authoring.scalars import ScalarError, resolve
from treadle.core.values import RESERVED, Json

_SPACE = re.compile(r"[ \t\r\n]*+")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*+"')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?(?![\w.])")
_WORD = re.compile(r"[-+]?[A-Za-z_$][\w$-]*|[-+.]?[0-9][\w.+-]*")
_LONE = re.compile("[\ud800-\udfff]")
_CONSTANTS: Final[dict[str, Json]] = {"null": None, "true": True, "false": False}
_MEANT: Final = {
    "none": "null",
    "nil": "null",
    "undefined": "null",
    "null": "null",
    "true": "true",
    "yes": "true",
    "false": "false",
    "no": "false",
}
_NOT_FINITE: Final = frozenset({"nan", "infinity", "inf"})


def read_json(source: Source) -> Document:
    """Read a text that is JSON; never raises for what it holds."""
    reader = _Reader(source)
    root = reader.read()
    return Document(source=source, root=None if root is None else unfold(root, ""), problems=reader.problems)


class _StopReading(Exception):  # noqa: N818 - control flow within this module
    """The rest cannot be read; the problem is recorded."""


class _Reader:
    def __init__(self, source: Source) -> None:
        self.source, self.text = source, source.text
        self.at = 0
        self.problems: list[Problem] = []
        self.path: list[str] = []
        self.nodes = 0
        self.blanks = Blanks(source.text, flows=[(0, len(source.text))]) if has_invisible(source.text) else None

    def read(self) -> Node | None:
        try:
            if not self._next():
                raise self._stopped("empty_file", 0, "the file is empty")
            root = self._value(1)
            if self._next():
                raise self._stopped(
                    "json_syntax", self.at, "behind the end of the data stands more", "a file holds one value: delete the rest"
                )
        except _StopReading:
            return None
        for found in self.blanks.findings() if self.blanks is not None else ():
            self._fault(found.code, found.at, found.message, found.suggestion, "error" if found.is_error else "warning")
        return root

    # Values

    def _value(self, depth: int) -> Node:
        start, char = self.at, self._next()
        start = self.at
        self.nodes += 1
        if self.nodes > NODES_MAX:
            raise self._stopped("too_many_values", start, f"the file holds more than {NODES_MAX:,} values", "divide it")
        if char in {"{", "["}:
            if depth > DEPTH_MAX:
                raise self._stopped("too_deep", start, f"data is nested deeper than {DEPTH_MAX} levels")
            self.at += 1
            return self._map(start, depth) if char == "{" else self._list(start, depth)
        if char == '"':
            return self._string(is_key=False)
        found = _NUMBER.match(self.text, start)
        return self._word(start) if found is None else self._scalar(start, found.end(), self._number(found[0], start), found[0])

    def _list(self, start: int, depth: int) -> Sequence:
        node = Sequence(*self.source.place(start), start)
        while self._goes_on("]", first=not node.items):
            self.path.append(f"[{len(node.items)}]")
            node.items.append(self._value(depth + 1))
            self.path.pop()
        node.end = self.at
        return node

    def _map(self, start: int, depth: int) -> Mapping:
        node = Mapping(*self.source.place(start), start)
        first = True
        while self._goes_on("}", first=first):
            first = False
            key = self._key()
            self.path.append(key.text)
            self._check_key(node, key)
            if self._next() != ":":
                raise self._stopped("json_syntax", self.at, f"behind the key `{key.text[:40]}` stands no `:`", 'write `"key": value`')
            self.at += 1
            value = self._value(depth + 1)
            self.path.pop()
            # Of a repeated key the first stands.
            if key.text not in node.entries:
                node.entries[key.text], node.keys[key.text] = value, key
        node.end = self.at
        return node

    def _goes_on(self, end: str, *, first: bool) -> bool:
        """Tell whether another entry follows; leaves what stands between behind."""
        char = self._next()
        if char == end:
            self.at += 1
            return False
        if first:
            return True
        if char != ",":
            raise self._missing(end)
        comma = self.at
        self.at += 1
        if self._next() == end:
            raise self._stopped("json_syntax", comma, f"a comma stands before `{end}`", "delete the comma")
        return True

    def _missing(self, end: str) -> _StopReading:
        if not self.text[self.at : self.at + 1]:
            return self._stopped("json_syntax", self.at, f"the file ends where `{end}` is missing", "close the bracket")
        self._look_for_habits()
        return self._stopped(
            "json_syntax", self.at, f"here stands neither `,` nor `{end}`", "put a comma between the two, or close the bracket"
        )

    def _key(self) -> Scalar:
        char = self._next()
        if char == '"':
            return self._string(is_key=True)
        self._look_for_habits()
        if char == "{" and self.text.startswith("{{", self.at - 1):
            raise self._stopped(
                "unquoted_template", self.at - 1, "a value that begins with `{{` must be quoted", 'write "{{ … }}" in double quotes'
            )
        found = _WORD.match(self.text, self.at)
        hint = f'write "{found[0]}"' if found is not None else 'write `"key": value`'
        raise self._stopped("json_syntax", self.at, "a key is text in double quotes", hint)

    def _check_key(self, node: Mapping, key: Scalar) -> None:
        if key.text.startswith(RESERVED):
            message = f"the key `{key.text}` is reserved: no key may start with `{RESERVED}`"
            self._fault("reserved_key", key.start, message, "rename it")
        elif key.text in node.keys:
            first = node.keys[key.text]
            message = f"the key `{key.text}` stands twice: first at line {first.line}, column {first.column}"
            self._fault("duplicate_key", key.start, message, "keep one of them")

    # Scalars

    def _string(self, *, is_key: bool) -> Scalar:
        found = _STRING.match(self.text, self.at)
        if found is None:
            raise self._bad_string()
        start = self.at
        text = json.loads(found[0])
        lone = _LONE.search(text)
        if lone is not None:
            self._fault(
                "json_syntax",
                start,
                f"half of a character, U+{ord(lone[0]):04X}, stands alone in a text",
                "write both halves, or the character",
            )
            text = _LONE.sub("\N{REPLACEMENT CHARACTER}", text)
        if self.blanks is not None:
            self.blanks.scalars.append((start, found.end(), is_key))
        node = self._scalar(start, found.end(), text, text)
        node.style = "double"
        return node

    def _bad_string(self) -> _StopReading:
        at = self.at + 1
        plain = re.compile(r'(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*+').match(self.text, at)
        at = plain.end() if plain is not None else at
        char = self.text[at : at + 1]
        if char == "\\":
            return self._stopped(
                "json_syntax", at, f"JSON has no escape `{self.text[at : at + 2]}` in text", "write a backslash itself as `\\\\`"
            )
        if char in {"\n", "\r", "\t"}:
            name, written = ("a tab", "\\t") if char == "\t" else ("a line break", "\\n")
            return self._stopped(
                "json_syntax",
                at,
                f"{name} stands in text, or the text is not closed",
                f'close the text with `"`, or write {name} as `{written}`',
            )
        return self._stopped("json_syntax", self.at, "this text is not closed", 'put `"` at its end')

    def _number(self, text: str, at: int) -> Json:
        try:
            return resolve(text)
        except ScalarError as error:
            self._fault(error.code, at, error.message, f'to keep it as text, quote it: "{text[:40]}"')
            return None

    def _word(self, start: int) -> Node:
        found = _WORD.match(self.text, start)
        text = found[0] if found is not None else ""
        if text in _CONSTANTS:
            return self._scalar(start, start + len(text), _CONSTANTS[text], text)
        if text.lstrip("+-").lower() in _NOT_FINITE:
            raise self._stopped(
                "not_finite",
                start,
                f"`{text}` is no number that JSON can hold; numbers are finite",
                f'write null, or "{text}" for the text',
            )
        self._look_for_habits()
        if not text:
            char = self.text[start : start + 1]
            where = f"`{char}` stands where a value is missing" if char else "the file ends where a value is missing"
            raise self._stopped("json_syntax", start, where)
        if text[0].isdigit() or text[0] in "+-.":
            raise self._stopped(
                "json_syntax", start, f"`{text[:40]}` is no number of JSON", "write it like -1.5e3, without leading zeros, or quote it"
            )
        meant = _MEANT.get(text.lower())
        raise self._stopped(
            "json_syntax",
            start,
            f"`{text[:40]}` is no value of JSON",
            f"write `{meant}`" if meant else f'text stands in double quotes: "{text[:40]}"',
        )

    def _scalar(self, start: int, end: int, value: Json, text: str) -> Scalar:
        self.at = end
        return Scalar(*self.source.place(start), start, "", end, value, text)

    def _look_for_habits(self) -> None:
        """Stop at what other languages have at this place."""
        if self.text.startswith(("//", "/*", "#"), self.at):
            raise self._stopped("json_syntax", self.at, "there are no comments in JSON", "delete it; a file named .yaml may have them")
        if self.text.startswith("'", self.at):
            raise self._stopped("json_syntax", self.at, "text stands in double quotes", 'write `"` at both ends')

    # Places

    def _next(self) -> str:
        """Go on to what is no white space; gives it, empty at the end."""
        space = _SPACE.match(self.text, self.at)
        self.at = space.end() if space is not None else self.at
        return self.text[self.at : self.at + 1]

    def _fault(self, code: str, at: int, message: str, suggestion: str = "", severity: Severity = "error") -> None:
        if len(self.problems) >= PROBLEMS_MAX:
            raise _StopReading
        line, column = self.source.place(at)
        path = ""
        for part in self.path:
            path = path + part if part.startswith("[") and part.endswith("]") else path_below(path, part)
        self.problems.append(
            Problem(code=code, severity=severity, file=self.source.file, line=line, column=column, path=path, message=message,
                    suggestion=suggestion)
        )  # fmt: skip

    def _stopped(self, code: str, at: int, message: str, suggestion: str = "") -> _StopReading:
        """Record what ends the reading and give what to raise."""
        self._fault(code, at, message, suggestion)
        return _StopReading()
