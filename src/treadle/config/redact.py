"""Taking secrets out of what comes back from the world, before anything of it is stored, shown or logged.

The second line of defence: the first is that only the process that performs ever has a value. A value is known here from the moment it is given
out, in the forms in which programs usually write it: as it is, escaped for JSON (once and twice), Python, HTML and URLs, as hexadecimal, as
base64 at each of the three places where it can begin in what was encoded. Each form reads `***NAME***` afterwards. Text that was cut short
may hold the beginning or the end of a form beside the sign of the cut: in messages that is taken out as well. A server that means to hide a value (in pieces, encrypted, reversed)
can; it has been given the secret anyway.
"""

import base64
import html
import json
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, quote_plus

from treadle.config.secret import Secret
from treadle.core.values import Json, encode

# Beside the sign of a cut so many characters of a value count as a piece of it; at a text's end, where nothing says that it was cut, more.
PIECE_CHARS: Final = 4
PIECE_AT_END_CHARS: Final = 8
_LINE_CHARS_MIN: Final = 6
_CUT: Final = re.compile(r"(…|\.\.\.)")


class Redactor:
    """Knows the values that were given out in this process. Adding is cheap and safe to repeat."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._known: set[tuple[str, str]] = set()
        # The longest first, so that a whole value goes before a line of it. Replaced whole: other threads read them.
        self._forms: tuple[tuple[str, str], ...] = ()
        self._encoded: tuple[str, ...] = ()
        self.reach_chars = 0

    def add(self, name: str, secret: Secret) -> None:
        """Take a value out from now on."""
        known = (name, secret.reveal())
        if known in self._known:
            return
        self._known.add(known)
        # Of two secrets of one value the first gives the name.
        found = dict.fromkeys(_forms(known[1]), name) | dict(self._forms)
        self._forms = tuple(sorted(found.items(), key=lambda item: -len(item[0])))
        self._encoded = tuple(json.dumps(form, ensure_ascii=False)[1:-1] for form, _ in self._forms)
        self.reach_chars = len(self._forms[0][0])

    def exact(self, text: str) -> str:
        """Take whole forms out of a text."""
        for form, name in self._forms:
            if form in text:
                text = text.replace(form, _mark(name))
        return text

    def text(self, text: str) -> str:
        """Take whole forms out of a message, and what is left of one where it was cut short."""
        if not self._forms:
            return text
        *parts, last = _CUT.split(self.exact(text))
        if not parts:
            return self._without_beginning(last, PIECE_AT_END_CHARS)
        pieces, signs = [*parts[::2], last], parts[1::2]
        out = [self._without_beginning(pieces[0], PIECE_CHARS)]
        for sign, piece in zip(signs, pieces[1:], strict=True):
            out += [sign, self._without_beginning(self._without_ending(piece), PIECE_CHARS)]
        return "".join(out)

    def value(self, value: Json) -> Json:
        """Take whole forms out of every text in a value, keys too; the same object where there is none."""
        if not self._forms:
            return value
        written = encode(value)
        return self._replaced(value) if any(form in written for form in self._encoded) else value

    def _replaced(self, value: Json) -> Json:
        if isinstance(value, str):
            return self.exact(value)
        if isinstance(value, list):
            return [self._replaced(item) for item in value]
        if isinstance(value, dict):
            return {self.exact(key): self._replaced(item) for key, item in value.items()}
        # A number can be a secret too: a code, an account.
        name = dict(self._forms).get(encode(value)) if isinstance(value, int | float) else None
        return value if name is None else _mark(name)

    def _without_beginning(self, text: str, least: int) -> str:
        """Take the beginning of a form out of a text's end."""
        for form, name in self._forms:
            at = text.find(form[:least], max(0, len(text) - len(form) + 1))
            while at >= 0 and len(form) > least:
                if form.startswith(text[at:]):
                    return text[:at] + _mark(name)
                at = text.find(form[:least], at + 1)
        return text

    def _without_ending(self, text: str) -> str:
        """Take the end of a form out of a text's beginning."""
        for form, name in self._forms:
            at = text.rfind(form[-PIECE_CHARS:], 0, len(form) - 1)
            while at >= 0:
                if form.endswith(text[: at + PIECE_CHARS]):
                    return _mark(name) + text[at + PIECE_CHARS :]
                at = text.rfind(form[-PIECE_CHARS:], 0, at + PIECE_CHARS - 1)
        return text


def _mark(name: str) -> str:
    return f"***{name}***"


def _forms(text: str) -> Iterator[str]:
    """Give every form of a value, the value itself among them."""
    lines = text.splitlines()
    if len(lines) > 1:
        # What is logged is logged by lines.
        yield from (line.strip() for line in lines if len(line.strip()) >= _LINE_CHARS_MIN)
    # A header is read back as Latin-1 by many servers, whatever was sent.
    for read in dict.fromkeys((text, text.encode().decode("latin-1"))):
        yield read
        for ascii_only in (False, True):
            once = json.dumps(read, ensure_ascii=ascii_only)[1:-1]
            yield once
            # Who quotes what he was sent does it in his own way, not in the sender's.
            yield from (json.dumps(once, ensure_ascii=again)[1:-1] for again in (False, True))
    yield repr(text)[1:-1]
    yield html.escape(text)
    for written in (quote(text), quote(text, safe=""), quote_plus(text)):
        yield written
        yield _lower_escapes(written)
    raw = text.encode()
    yield raw.hex()
    yield raw.hex().upper()
    yield from _base64_forms(raw)


def _lower_escapes(written: str) -> str:
    first, *parts = written.split("%")
    return first + "".join(f"%{part[:2].lower()}{part[2:]}" for part in parts)


def _base64_forms(raw: bytes) -> Iterator[str]:
    """Give what is certain of a value in base64, wherever in the encoded bytes it begins."""
    for encode_bytes in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode_bytes(raw).decode()
        for before in range(3):
            written = encode_bytes(bytes(before) + raw).decode()
            yield written[(before * 8 + 5) // 6 : (before + len(raw)) * 8 // 6]
