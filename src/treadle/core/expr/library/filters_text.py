"""Filters on text. Where Jinja has one of that name it does the same, without HTML."""

import re
from typing import Final
from urllib.parse import quote, quote_plus

from treadle.core.expr.evaluation import Evaluation, ExprError, V
from treadle.core.expr.given import int_given, text_given
from treadle.core.expr.library.filters_list import attributes
from treadle.core.expr.look import MOVE_BITS, opened, text_of, truth
from treadle.core.expr.out import Out
from treadle.core.values import BlobRef, Holed

# Ours, on one line or word at a time; patterns that an author writes never run on `re`.
_WORD_BEGINNING: Final = re.compile(r"([-\s({\[<]+)")
_BLANKS: Final = re.compile(r"([\t\n\x0b\x0c\r ]+)")
_WORD: Final = re.compile(r"\w+")
_SHELL_SAFE: Final = re.compile(r"[A-Za-z0-9_@%+=:,./-]+\Z")
_CHARACTERS_PER_TOKEN: Final = 4


def _made(ev: Evaluation, text: str) -> str:
    ev.charge(len(text) >> MOVE_BITS)
    ev.check_size(len(text))
    return text


def _read(ev: Evaluation, who: str, value: V, bits: int = MOVE_BITS) -> str:
    """Take a text that will be gone through, for one move per 2**bits characters; what it gives is no shorter."""
    text = text_given(ev, who, value)
    ev.check_size(len(text))
    ev.charge(len(text) >> bits)
    return text


def upper(ev: Evaluation, value: V) -> V:
    """Write in capitals."""
    return _made(ev, _read(ev, "upper", value).upper())


def lower(ev: Evaluation, value: V) -> V:
    """Write in small letters."""
    return _made(ev, _read(ev, "lower", value).lower())


def capitalize(ev: Evaluation, value: V) -> V:
    """Write the first letter as a capital, the others small."""
    return _made(ev, _read(ev, "capitalize", value).capitalize())


def title(ev: Evaluation, value: V) -> V:
    """Write each word's first letter as a capital, the others small."""
    text = _read(ev, "title", value, 4)
    parts = _WORD_BEGINNING.split(text)
    ev.charge(len(parts))
    return _made(ev, "".join(part[0].upper() + part[1:].lower() for part in parts if part))


def trim(ev: Evaluation, value: V, chars: V = None) -> V:
    """Take white space, or the given characters, off both ends."""
    return text_given(ev, "trim", value).strip(None if chars is None else text_given(ev, "trim", chars))


def replace(ev: Evaluation, value: V, old: V, new: V, count: V = None) -> V:
    """Replace one text by another, everywhere or `count` times."""
    text, before, after = (text_given(ev, "replace", part) for part in (value, old, new))
    times = text.count(before)
    if count is not None:
        times = min(times, int_given("replace", "count", count, 0))
    size = len(text) + times * (len(after) - len(before))
    ev.charge(times + (max(size, 0) >> MOVE_BITS))
    ev.check_size(size)
    return text.replace(before, after, times)


def truncate(ev: Evaluation, value: V, length: V = 255, killwords: V = False, end: V = "...", leeway: V = 5) -> V:  # noqa: FBT002
    """Cut to a length, at a word's end unless `killwords`; a text that is longer by no more than `leeway` stays."""
    text, mark = text_given(ev, "truncate", value), text_given(ev, "truncate", end)
    limit = int_given("truncate", "length", length, len(mark))
    if len(text) <= limit + int_given("truncate", "leeway", leeway, 0):
        return text
    kept = text[: limit - len(mark)]
    return (kept if truth(ev, killwords) else kept.rsplit(" ", 1)[0]) + mark


def truncate_tokens(ev: Evaluation, value: V, limit: V, end: V = "…") -> V:
    """Cut to about that many tokens of a model, counted as four characters each."""
    text, mark = text_given(ev, "truncate_tokens", value), text_given(ev, "truncate_tokens", end)
    size = int_given("truncate_tokens", "limit", limit, 1, 1 << 40) * _CHARACTERS_PER_TOKEN
    return text if len(text) <= size else text[: max(size - len(mark), 0)] + mark


def center(ev: Evaluation, value: V, width: V = 80) -> V:
    """Put spaces on both sides."""
    wide = int_given("center", "width", width, 0)
    ev.check_size(wide)
    return _made(ev, text_given(ev, "center", value).center(wide))


def indent(ev: Evaluation, value: V, width: V = 4, first: V = False, blank: V = False) -> V:  # noqa: FBT002
    """Indent every line but the first (`first` includes it) and empty ones (`blank` includes them) by spaces, or by a text."""
    text = _read(ev, "indent", value, 4)
    if isinstance(width, str):
        margin = width
    else:
        wide = int_given("indent", "width", width, 0)
        ev.check_size(wide)
        margin = " " * wide
    lines = (text + "\n").splitlines()
    size = len(text) + len(lines) * len(margin)
    ev.charge(len(lines) + (size >> MOVE_BITS))
    ev.check_size(size)
    with_blank = truth(ev, blank)
    rest = [margin + line if line or with_blank else line for line in lines[1:]]
    return "\n".join([margin + lines[0] if truth(ev, first) else lines[0], *rest])


def wordcount(ev: Evaluation, value: V) -> V:
    """Count words."""
    text = text_given(ev, "wordcount", value)
    ev.charge(len(text) >> 3)
    words = _WORD.findall(text)
    ev.charge(len(words))
    return len(words)


def wordwrap(ev: Evaluation, value: V, width: V = 79, break_long_words: V = True, wrapstring: V = "\n") -> V:  # noqa: FBT002
    """Break lines at white space so that none is longer than `width`; existing breaks stay."""
    text, wide = _read(ev, "wordwrap", value, 2), int_given("wordwrap", "width", width, 1)
    lines: list[str] = []
    for line in text.splitlines():
        lines += _wrapped(ev, line, wide, cut=truth(ev, break_long_words)) or [""]
    mark = text_given(ev, "wordwrap", wrapstring)
    ev.check_size(len(text) + len(mark) * len(lines))
    return _made(ev, mark.join(lines))


def _wrapped(ev: Evaluation, line: str, width: int, *, cut: bool) -> list[str]:
    """Break one line as Python's `textwrap` does: white space goes where a line is broken, but not at the beginning of the first."""
    lines: list[str] = []
    pieces = [piece for piece in _BLANKS.split(line) if piece][::-1]
    ev.charge(len(pieces))
    while pieces:
        current: list[str] = []
        room = width
        ev.charge(2)
        if lines and pieces[-1].isspace():
            pieces.pop()
        while pieces and len(pieces[-1]) <= room:
            current.append(pieces.pop())
            room -= len(current[-1])
        if pieces and len(pieces[-1]) > width:
            if cut:
                long = pieces.pop()
                current.append(long[:room])
                # All of it at once: cut off line by line it would be copied as often.
                ev.charge(len(long) // width)
                pieces += [long[at : at + width] for at in range(room, len(long), width)][::-1]
            elif not current:
                current.append(pieces.pop())
        if current and not current[-1].strip():
            current.pop()
        if current:
            lines.append("".join(current))
    return lines


def split(ev: Evaluation, value: V, sep: V = None, maxsplit: V = -1) -> V:
    """Split at a separator, else at white space."""
    text, limit = text_given(ev, "split", value), int_given("split", "maxsplit", maxsplit, -1)
    mark = None if sep is None else text_given(ev, "split", sep)
    if mark == "":
        raise ExprError("types", "`split` needs a separator that is not empty", suggestion="for the characters of a text use `| list`")
    ev.charge(len(text) >> 3 if mark is None else 1 + text.count(mark))
    return list[V](text.split(mark, limit))


def join(ev: Evaluation, value: V, d: V = "", attribute: V = None) -> V:
    """Write a list's items one after another with a text between; of each item, an attribute."""
    items = attributes(ev, "join", value, attribute)
    mark = text_given(ev, "join", d)
    out = Out()
    for index, item in enumerate(items):
        if index and mark:
            out.text(ev, mark)
        out.value(ev, item)
    return out.result()


def string(ev: Evaluation, value: V) -> V:
    """Write any value as in text."""
    is_text = isinstance(value, Holed) or (isinstance(value, BlobRef) and value.kind == "text")
    return value if is_text else text_of(ev, value)


def urlencode(ev: Evaluation, value: V) -> V:
    """Escape for a URL's path; an object or a list of pairs becomes a query string."""
    value = opened(ev, value)
    if isinstance(value, dict):
        pairs: list[list[V]] = [[key, item] for key, item in value.items()]
    elif isinstance(value, list):
        pairs = [item for item in value if isinstance(item, list) and len(item) == 2]
        if len(pairs) < len(value):
            raise ExprError("types", "`urlencode` of a list wants pairs of name and value")
    else:
        return _made(ev, quote(_escapable(ev, value), safe="/"))
    ev.charge(5 * len(pairs))
    return _made(ev, "&".join("=".join(quote_plus(_escapable(ev, part)) for part in pair) for pair in pairs))


def _escapable(ev: Evaluation, value: V) -> str:
    text = text_given(ev, "urlencode", value)
    ev.charge(len(text) >> 1)  # escaping goes through it character by character
    return text


def shell_quote(ev: Evaluation, value: V) -> V:
    """Quote for a POSIX shell, so that it is one word whatever is in it; a list becomes words."""
    value = opened(ev, value)
    words = value if isinstance(value, list) else [value]
    ev.charge(3 * len(words))
    return _made(ev, " ".join(_quoted(text_given(ev, "shell_quote", word)) for word in words))


def _quoted(word: str) -> str:
    if "\0" in word:
        raise ExprError("types", "a shell's word cannot hold a NUL character")
    return word if _SHELL_SAFE.match(word) else "'" + word.replace("'", "'\"'\"'") + "'"
