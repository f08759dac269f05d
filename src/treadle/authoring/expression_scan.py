"""Before Jinja's parser: tokens with their places, and the limits of ruling 50.

Jinja's lexer says on which line a token stands, never where. It gives all the text it read, though, so the place of each token can be found
again; the parser is then fed tokens whose line number is their offset, and every node carries the place where it stands. Its parser recurses
a dozen frames per bracket, so nesting is counted here first. Text in quotes is read here too: Jinja's own way warns on `'\\d'` and passes on
broken characters.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple, cast

from jinja2 import Environment, TemplateSyntaxError
from jinja2.lexer import Token, float_re, integer_re, operator_re, operators, string_re

SOURCE_MAX: Final = 1 << 18
EXPRESSION_MAX: Final = 8_192
EXPRESSION_TOKENS_MAX: Final = 4_000
TOKENS_MAX: Final = 20_000
NESTING_MAX: Final = 40
NUMBER_DIGITS_MAX: Final = 40
# Block names that the language has; `raw` is the lexer's.
BLOCKS: Final = frozenset({"if", "elif", "else", "endif", "for", "endfor", "set", "endset"})
_OPENING_BLOCKS: Final = frozenset({"if", "for", "set"})
_CLOSING_BLOCKS: Final = frozenset({"endif", "endfor", "endset"})
_IGNORED: Final = frozenset({"whitespace", "comment", "comment_begin", "comment_end", "raw_begin", "raw_end"})
_ESCAPE: Final = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(\r\n|.))", re.DOTALL)
_SIMPLE_ESCAPES: Final = {
    "n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"', "b": "\b", "f": "\f", "v": "\v", "a": "\a", "0": "\0", "\n": "",
}  # fmt: skip

_HOLE: Final = re.compile(r"\s*\{\{(?![-+])([^{}]*)(?<!-)\}\}\s*")
# Jinja's rules for what stands between braces; a name is tried first, because most are, and must be ASCII to be plain.
_TOKEN: Final = re.compile(
    rf"(?P<whitespace>\s+)|(?P<name>[A-Za-z_][A-Za-z0-9_]*+(?![^\x00-\x7f]))|(?P<float>(?ix:{float_re.pattern}))"
    rf"|(?P<integer>(?ix:{integer_re.pattern}))|(?P<string>(?s:{string_re.pattern}))|(?P<operator>{operator_re.pattern})"
)
_BRACKETS: Final = {"(": "", "[": "", ")": "(", "]": "["}

ENVIRONMENT: Final = Environment(  # noqa: S701 - only its lexer and parser are used; nothing is ever rendered
    keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpressionProblem:
    """One fault of a scalar. `offset` counts its characters from 0, `line` and `column` from 1; `path` leads to it within data."""

    code: str
    message: str
    offset: int
    line: int
    column: int
    suggestion: str = ""
    path: tuple[str | int, ...] = ()


class SourceFault(Exception):  # noqa: N818 - turned into an ExpressionProblem by whoever collects them
    """One fault, found where only the offset is known."""

    def __init__(self, code: str, message: str, offset: int, suggestion: str = "") -> None:
        """Keep the parts of the problem to be."""
        super().__init__(message)
        self.code, self.message, self.offset, self.suggestion = code, message, offset, suggestion


class Raw(NamedTuple):
    """A token as the lexer gives it."""

    offset: int
    kind: str
    text: str


def has_template(text: str) -> bool:
    """Tell whether a text holds anything that is evaluated."""
    return "{{" in text or "{%" in text or "{#" in text


def scan(source: str) -> list[Raw]:
    """Split a text into tokens, in order, with white space and comments left out. Raises SourceFault for the first that is wrong.

    Lines must end in a line feed alone: Jinja's lexer changes other ends, and the places would no longer fit.
    """
    if len(source) > SOURCE_MAX:
        raise SourceFault(
            "budget",
            f"a text with templates is longer than {SOURCE_MAX:,} characters",
            0,
            "move the long part to a file or an input",
        )
    if "\r" in source:
        raise SourceFault(
            "syntax",
            "a text with templates holds a carriage return",
            source.index("\r"),
            "end lines with a line feed alone",
        )
    limits = _Limits()
    tokens: list[Raw] = []
    for token in _tokens_of_hole(source) or _tokens(source):
        limits.count(token)
        tokens.append(token)
    if limits.open_at is not None:
        opening = source[limits.open_at : limits.open_at + 2]
        raise SourceFault("syntax", f"`{opening}` is not closed", limits.open_at, f"end it with `{'}}' if opening == '{{' else '%}'}`")
    return tokens


def _tokens(source: str) -> Iterator[Raw]:
    position = 0
    try:
        for _, kind, text in ENVIRONMENT.lexer.tokeniter(source, None):
            # Only white space before a block may have been taken out; everything else follows without a gap.
            offset = position if source.startswith(text, position) else source.index(text, position)
            position = offset + len(text)
            if kind in _IGNORED:
                continue
            yield Raw(offset, kind, text)
    except TemplateSyntaxError as error:
        raise _lexical(str(error.message), source, position) from error


def _tokens_of_hole(source: str) -> list[Raw]:
    """Split what is one `{{ … }}` alone, without braces inside, by Jinja's own rules in one pass; nothing where that is not plain."""
    hole = _HOLE.fullmatch(source)
    if hole is None:
        return []
    begin, end = hole.span(1)
    tokens = [Raw(begin - 2, "variable_begin", "{{")]
    open_brackets: list[str] = []
    while begin < end:
        found = _TOKEN.match(source, begin, end)
        if found is None:
            return []
        kind, text = cast(str, found.lastgroup), found[0]
        if kind == "operator" and text in _BRACKETS:
            closed = _BRACKETS[text]
            if closed and (not open_brackets or open_brackets.pop() != closed):
                return []
            open_brackets += [] if closed else [text]
        if kind != "whitespace":
            tokens.append(Raw(begin, kind, text))
        begin = found.end()
    return [] if open_brackets else [*tokens, Raw(end, "variable_end", "}}")]


class _Limits:
    """Counts what ruling 50 bounds."""

    def __init__(self) -> None:
        self.total = 0
        self.open_at: int | None = None
        self.tokens = 0
        self.unary = 0
        self.blocks = 0
        # One entry per open bracket: the inline ifs that are open in it.
        self.levels: list[int] = [0]
        self.statement = self.setting = False
        self.operand_before = False

    def count(self, token: Raw) -> None:
        """Count one token in. Raises SourceFault."""
        self.total += 1
        if self.total > TOKENS_MAX:
            raise SourceFault("budget", f"a text has more than {TOKENS_MAX:,} parts", token.offset, "split it")
        if token.kind in {"variable_begin", "block_begin"}:
            self.open_at, self.tokens, self.levels, self.unary = token.offset, 0, [0], 0
            self.statement, self.operand_before, self.setting = token.kind == "block_begin", False, False
        elif token.kind in {"variable_end", "block_end"}:
            self._close(token)
        elif self.open_at is not None:
            self._inside(token, self.open_at)

    def _close(self, token: Raw) -> None:
        if self.open_at is not None and token.offset - self.open_at > EXPRESSION_MAX:
            raise SourceFault(
                "budget",
                f"an expression is longer than {EXPRESSION_MAX:,} characters",
                self.open_at,
                "use several, or a function",
            )
        self.open_at = None

    def _inside(self, token: Raw, begin: int) -> None:
        self.tokens += 1
        if self.tokens > EXPRESSION_TOKENS_MAX:
            raise SourceFault(
                "budget",
                f"an expression has more than {EXPRESSION_TOKENS_MAX:,} parts",
                begin,
                "use several, or a function",
            )
        if token.offset - begin > EXPRESSION_MAX:
            raise SourceFault(
                "budget",
                f"an expression is longer than {EXPRESSION_MAX:,} characters",
                begin,
                "use several, or a function",
            )
        if self.statement and self.tokens == 1:
            self._block(token)
            return
        if self.setting and token.text == "=":  # a plain `set` has no block to close
            self.blocks, self.setting = self.blocks - 1, False
        self._nest(token)
        if sum(self.levels) + len(self.levels) - 1 + self.unary > NESTING_MAX:
            message = f"an expression is nested deeper than {NESTING_MAX} (brackets, signs, `not`, inline `if`)"
            raise SourceFault("budget", message, token.offset, "use `{% set %}`, or several steps")

    def _nest(self, token: Raw) -> None:
        text = token.text
        prefix = text == "not" or (text in {"-", "+"} and not self.operand_before)
        self.unary = self.unary + 1 if prefix else 0
        if token.kind == "operator" and text in {"(", "[", "{"}:
            self.levels.append(0)
        elif token.kind == "operator" and text in {")", "]", "}"}:
            self.levels[:] = self.levels[:-1] or [0]
        elif token.kind == "operator" and text in {",", ":"}:
            self.levels[-1] = 0
        elif token.kind == "name" and text == "if":
            self.levels[-1] += 1
        self.operand_before = token.kind in {"name", "string", "integer", "float"} or text in {")", "]", "}"}

    def _block(self, token: Raw) -> None:
        self.setting = token.text == "set"
        if token.text in _OPENING_BLOCKS:
            self.blocks += 1
        elif token.text in _CLOSING_BLOCKS:
            self.blocks = max(self.blocks - 1, 0)
        if self.blocks > NESTING_MAX:
            raise SourceFault("budget", f"blocks are nested deeper than {NESTING_MAX}", token.offset, "use several steps")


def _lexical(message: str, source: str, position: int) -> SourceFault:
    char = source[position : position + 1]
    pair = source[position : position + 2]
    if message.startswith("Missing end of comment"):
        return SourceFault("syntax", "`{#` is not closed", source.rfind("{#", 0, position + 2), "end it with `#}`")
    if message.startswith("Missing end of raw"):
        return SourceFault("syntax", "`{% raw %}` is not closed", position, "end it with `{% endraw %}`")
    if char in {"'", '"'}:
        return SourceFault("syntax", "a text in quotes is not closed", position, f"end it with {char}")
    hint = {
        "&&": "write `and`",
        "! ": "write `not`",
        "!": "write `not`",
        "?": "write `a if b else c`",
        "$": "",
        ";": "",
    }
    if message.startswith("unexpected char"):
        return SourceFault("syntax", f"`{char}` means nothing in an expression", position, hint.get(pair, hint.get(char, "")))
    return SourceFault("syntax", f"{message[:1].lower()}{message[1:]}", position)


def parser_tokens(raws: list[Raw]) -> Iterator[Token]:
    """Give tokens as Jinja's parser wants them, the offset in place of the line. Raises SourceFault."""
    for raw in raws:
        match raw.kind:
            case "operator":
                yield Token(raw.offset, operators[raw.text], raw.text)
            case "name":
                if not raw.text.isascii():
                    raise SourceFault(
                        "syntax",
                        f"`{raw.text}` is no name: names are ASCII",
                        raw.offset,
                        f"write ['{raw.text}'] for a key",
                    )
                yield Token(raw.offset, "name", raw.text)
            case "string":
                yield Token(raw.offset, "string", unquoted(raw))
            case "integer" | "float":
                yield Token(raw.offset, raw.kind, _number(raw))  # type: ignore[arg-type] # Jinja's lexer does the same
            case _:
                yield Token(raw.offset, raw.kind, raw.text)


def _number(raw: Raw) -> float:
    digits = raw.text.replace("_", "")
    if len(digits) > NUMBER_DIGITS_MAX:
        raise SourceFault(
            "number_range",
            "a number has too many digits",
            raw.offset,
            "write it as text, and `| decimal` to compute with it",
        )
    if raw.kind == "integer":
        return int(digits, 0)
    number = float(digits)
    if number - number != 0.0:
        raise SourceFault("number_range", "a number is too large", raw.offset, "write it as text, and `| decimal` to compute with it")
    return number


def unquoted(raw: Raw) -> str:
    """Read a text in quotes: Python's escapes, and a backslash before anything else stays. Raises SourceFault."""
    body = raw.text[1:-1]
    if "\\" not in body:
        return body
    text = _ESCAPE.sub(_unescaped, body)
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        if "\ufffd" in text:
            raise SourceFault(
                "syntax", "a text holds half a character (a lone surrogate)", raw.offset, "write \\U and eight digits"
            ) from None
    return text


def _unescaped(found: re.Match[str]) -> str:
    hexadecimal = found[1] or found[2] or found[3]
    if hexadecimal is not None:
        code = int(hexadecimal, 16)
        return chr(code) if code <= 0x10FFFF else "\ufffd"
    return _SIMPLE_ESCAPES.get(found[4], found[0])
