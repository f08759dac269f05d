"""Regular expressions: the syntax, published here, and the parser (ruling 51).

    abc .              characters; `.` is any but a newline            \\. \\[ \\/ \\-      punctuation as itself
    [a-z_] [^0-9]      one of, none of; in them \\d \\w \\s too         \\n \\t \\r \\f \\v \\0 \\x41 \\u00e9 \\u{1f600}
    \\d \\w \\s \\D \\W \\S  digit, word character, white space (ASCII), and not   ( ) (?: ) (?P<name> ) (?<name> )   groups
    a|b                either                                         ^ $ \\A \\z        begin and end of the text; with (?m) ^ $ of a line
    * + ? {3} {3,} {3,5}   repeated, as often as possible             \\b \\B            at a word's border (ASCII), not at one
    *? +? ?? {3,5}?    repeated, as seldom as possible                (?i) (?m) (?s)   at the start: ignore case, lines, `.` takes newlines

A match is found where it begins first; among those that begin there, the one that a backtracking engine would find. There are no
back-references, no look-around, no possessive or atomic groups and no \\p classes: with them no engine is linear in time. `$` is the very end,
also where the text ends in a newline. Text is matched by code point.
"""

from typing import Final, TypeAlias, cast

PATTERN_MAX: Final = 2_000
REPEAT_MAX: Final = 1_000
NESTING_MAX: Final = 50
CODE_MAX: Final = 0x10FFFF

Range: TypeAlias = tuple[int, int]
# ("char", c) · ("any",) · ("set", negated, ranges) · ("cat", node…) · ("alt", node…) · ("repeat", node, low, high, greedy)
# ("group", index, node) · ("begin",) · ("end",) · ("border",) · ("inside",)
Item: TypeAlias = "str | int | bool | tuple[Range, ...] | Parsed | None"
Parsed: TypeAlias = tuple[Item, ...]

DIGITS: Final[tuple[Range, ...]] = ((48, 57),)
WORD: Final[tuple[Range, ...]] = ((48, 57), (65, 90), (95, 95), (97, 122))
SPACE: Final[tuple[Range, ...]] = ((9, 13), (32, 32))
_CLASSES: Final = {"d": DIGITS, "w": WORD, "s": SPACE}
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "0": "\0"}
_PUNCTUATION: Final = frozenset("\\^$.|?*+()[]{}/-#&~`'\"!%,:;<=>@_ ")
_MISSING_FEATURES: Final = {"=": "look-ahead", "!": "look-ahead", ">": "atomic groups", "#": "comments", "(": "conditions"}


class RegexError(ValueError):
    """A pattern that cannot be used; `position` counts its characters from 0."""

    code = "bad_regex"

    def __init__(self, message: str, position: int) -> None:
        """Keep the place."""
        super().__init__(f"{message} (at character {position + 1} of the pattern)")
        self.position = position


class Parser:
    """Reads one pattern."""

    def __init__(self, pattern: str) -> None:
        """Begin at the first character, after flags."""
        if len(pattern) > PATTERN_MAX:
            raise RegexError(f"the pattern is longer than {PATTERN_MAX:,} characters", PATTERN_MAX)
        self.pattern = pattern
        self.at = 0
        self.groups = 0
        self.names: dict[str, int] = {}
        self.flags: frozenset[str] = frozenset()
        if pattern.startswith("(?") and ")" in pattern:
            flags = pattern[2 : pattern.index(")")]
            if flags and set(flags) <= set("ims"):
                self.flags = frozenset(flags)
                self.at = len(flags) + 3

    def parse(self) -> Parsed:
        """Read the whole pattern. Raises RegexError."""
        node = self._alternatives(0)
        if self.at < len(self.pattern):
            raise RegexError("`)` closes nothing; write `\\)` for the character", self.at)
        return node

    def _peek(self) -> str:
        return self.pattern[self.at] if self.at < len(self.pattern) else ""

    def _take(self) -> str:
        char = self._peek()
        if not char:
            raise RegexError("the pattern ends too early", self.at)
        self.at += 1
        return char

    def _alternatives(self, depth: int) -> Parsed:
        if depth > NESTING_MAX:
            raise RegexError(f"groups are nested deeper than {NESTING_MAX}", self.at)
        options = [self._sequence(depth)]
        while self._peek() == "|":
            self.at += 1
            options.append(self._sequence(depth))
        return options[0] if len(options) == 1 else ("alt", *options)

    def _sequence(self, depth: int) -> Parsed:
        items: list[Parsed] = []
        while self._peek() not in {"", "|", ")"}:
            begin = self.at
            item = self._atom(depth)
            items.append(self._repeated(item, begin))
        return items[0] if len(items) == 1 else ("cat", *items)

    def _repeated(self, item: Parsed, begin: int) -> Parsed:
        bounds = self._bounds()
        if bounds is None:
            return item
        if item[0] in {"begin", "end", "border", "inside"}:
            raise RegexError("there is nothing to repeat before this", begin + 1)
        low, high = bounds
        greedy = True
        if self._peek() == "?":
            self.at += 1
            greedy = False
        elif self._peek() == "+":
            raise RegexError("possessive repetition is not there", self.at)
        if self._bounds() is not None:
            raise RegexError("a repetition cannot be repeated; put it in a group", self.at - 1)
        return ("repeat", item, low, high, greedy)

    def _bounds(self) -> tuple[int, int | None] | None:
        char = self._peek()
        if char in {"*", "+", "?"} and char:
            self.at += 1
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[char]
        if char != "{":
            return None
        end = self.pattern.find("}", self.at)
        low_text, comma, high_text = self.pattern[self.at + 1 : end].partition(",")
        if end < 0 or not low_text.isdecimal() or not (high_text.isdecimal() or not high_text) or len(low_text + high_text) > 8:
            raise RegexError("`{` begins a repetition as {3}, {3,} or {3,5}; write `\\{` for the character", self.at)
        low = int(low_text)
        high = (int(high_text) if high_text else None) if comma else low
        if low > REPEAT_MAX or (high or 0) > REPEAT_MAX or (high is not None and high < low):
            raise RegexError(f"a repetition counts up to {REPEAT_MAX:,}, from low to high", self.at)
        self.at = end + 1
        return low, high

    def _atom(self, depth: int) -> Parsed:
        begin = self.at
        char = self._take()
        if char == "(":
            return self._group(depth, begin)
        if char == "[":
            return self._set(begin)
        if char == "\\":
            return self._escape(begin)
        if char == ".":
            return ("any",)
        if char == "^":
            return ("begin",) if "m" not in self.flags else ("line_begin",)
        if char == "$":
            return ("end",) if "m" not in self.flags else ("line_end",)
        if char in "*+?{":
            raise RegexError(f"there is nothing to repeat before `{char}`; write `\\{char}` for the character", begin)
        return ("char", char)

    def _group(self, depth: int, begin: int) -> Parsed:
        index: int | None = None
        if self.pattern.startswith("?:", self.at):
            self.at += 2
        elif self._peek() == "?":
            index = self._named()
        else:
            self.groups += 1
            index = self.groups
        node = self._alternatives(depth + 1)
        if self._peek() != ")":
            raise RegexError("`(` is not closed; write `\\(` for the character", begin)
        self.at += 1
        return node if index is None else ("group", index, node)

    def _named(self) -> int:
        begin = self.at
        self.at += 2 if self.pattern.startswith("?P", self.at) else 1
        after = self.pattern[self.at + 1 : self.at + 2]
        if self._peek() != "<" or after in {"=", "!"}:
            feature = "look-behind" if self._peek() == "<" else _MISSING_FEATURES.get(self._peek(), "this kind of group")
            raise RegexError(f"{feature} is not there: no engine with it is linear in time", begin)
        end = self.pattern.find(">", self.at)
        name = self.pattern[self.at + 1 : end] if end > 0 else ""
        if not (name.isidentifier() and name.isascii()) or name in self.names:
            raise RegexError("a group's name is a word that no other group has", self.at)
        self.at = end + 1
        self.groups += 1
        self.names[name] = self.groups
        return self.groups

    def _escape(self, begin: int) -> Parsed:
        char = self._take()
        if char.lower() in _CLASSES and char in "dwsDWS":
            return ("set", char.isupper(), _CLASSES[char.lower()])
        if char in {"A", "z", "Z", "b", "B"}:
            return ({"A": "begin", "z": "end", "Z": "end", "b": "border", "B": "inside"}[char],)
        if char.isdigit() and char != "0":
            raise RegexError("back-references are not there: no engine with them is linear in time", begin)
        return ("char", self._literal(char, begin))

    def _literal(self, char: str, begin: int) -> str:
        if char in _ESCAPES:
            return _ESCAPES[char]
        if char in {"x", "u"}:
            return self._code_point(char, begin)
        if char in _PUNCTUATION or not char.isascii():
            return char
        raise RegexError(f"`\\{char}` means nothing here", begin)

    def _code_point(self, kind: str, begin: int) -> str:
        if kind == "u" and self._peek() == "{":
            end = self.pattern.find("}", self.at)
            digits, self.at = self.pattern[self.at + 1 : max(end, self.at + 1)], max(end, self.at) + 1
        else:
            width = 2 if kind == "x" else 4
            digits, self.at = self.pattern[self.at : self.at + width].rjust(width, "?"), self.at + width
        code = int(digits, 16) if 0 < len(digits) <= 6 and all(digit in "0123456789abcdefABCDEF" for digit in digits) else -1
        if not 0 <= code <= CODE_MAX or 0xD800 <= code <= 0xDFFF:
            raise RegexError(f"`\\{kind}` wants the hexadecimal number of a character", begin)
        return chr(code)

    def _set(self, begin: int) -> Parsed:
        negated = self._peek() == "^"
        self.at += negated
        ranges: list[Range] = []
        while self._peek() != "]":
            if not self._peek():
                raise RegexError("`[` is not closed; write `\\[` for the character", begin)
            low = self._member(ranges)
            if low is None:
                continue
            if self._peek() == "-" and self.pattern[self.at + 1 : self.at + 2] not in {"]", ""}:
                self.at += 1
                high = self._member(ranges)
                if high is None or high < low:
                    raise RegexError("a range goes from a lower to a higher character; write `\\-` for the character", self.at - 1)
                ranges.append((low, high))
            else:
                ranges.append((low, low))
        self.at += 1
        if not ranges:
            raise RegexError("a set is empty; write `\\]` to begin it with that character", begin)
        return ("set", negated, tuple(ranges))

    def _member(self, ranges: list[Range]) -> int | None:
        begin = self.at
        char = self._take()
        if char == "[" and self._peek() == ":":
            raise RegexError("named classes are not there; use \\d, \\w, \\s or ranges", begin)
        if char != "\\":
            return ord(char)
        char = self._take()
        if char in "dws":
            ranges.extend(_CLASSES[char])
            return None
        if char in "DWS":
            ranges.extend(complement(_CLASSES[char.lower()]))
            return None
        return ord("\b") if char == "b" else ord(self._literal(char, begin))


def complement(ranges: tuple[Range, ...]) -> tuple[Range, ...]:
    """Give the code points that sorted, disjoint ranges leave out."""
    out: list[Range] = []
    low = 0
    for first, last in ranges:
        if first > low:
            out.append((low, first - 1))
        low = last + 1
    out.append((low, CODE_MAX))
    return tuple(out)


def parts(node: Parsed) -> tuple[Parsed, ...]:
    """Give the nodes of a sequence or of alternatives."""
    return cast("tuple[Parsed, ...]", node[1:])
