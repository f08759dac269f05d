"""Formats of text in schemas: instant, date, duration, path, url, email, uuid, each with what to say where it does not fit."""

import re
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

from treadle.core.durations import DurationError, parse_duration_ms
from treadle.core.expr.library.dates import DateError, parse_date, parse_instant

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\Z")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*\Z")
_LONGEST: Final = 4_096


def _instant(text: str) -> str:
    try:
        parse_instant(text)
    except DateError as error:
        return str(error)
    return ""


def _date(text: str) -> str:
    try:
        parse_date(text)
    except DateError as error:
        return str(error)
    return ""


def _duration(text: str) -> str:
    try:
        parse_duration_ms(text)
    except DurationError as error:
        return str(error)
    return ""


def _path(text: str) -> str:
    fits = bool(text) and not any(ord(char) < 32 for char in text)
    return "" if fits else "a path is text without control characters, and not empty"


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        fits = bool(_SCHEME.match(parts.scheme)) and bool(parts.netloc or parts.path) and not any(ord(char) <= 32 for char in text)
        if parts.scheme in {"http", "https"}:
            fits = fits and bool(parts.hostname) and parts.port is not False
    except ValueError:
        fits = False
    return "" if fits else "it is no URL, write for example https://example.org/page"


def _email(text: str) -> str:
    name, at, host = text.rpartition("@")
    fits = bool(at and name) and "." in host.strip(".") and host == host.strip(".-") and len(text) <= 254
    return "" if fits and not any(char.isspace() or char in '@,;<>"' for char in name + host) else "it is no e-mail address"


def _uuid(text: str) -> str:
    return "" if _UUID.match(text) else "it is no UUID, write 8-4-4-4-12 hexadecimal digits"


_FORMATS: Final[Mapping[str, Callable[[str], str]]] = {
    "instant": _instant, "date-time": _instant, "date": _date, "duration": _duration, "path": _path, "url": _url, "uri": _url,
    "email": _email, "uuid": _uuid,
}  # fmt: skip
FORMATS: Final = tuple(_FORMATS)


def misfit(name: str, text: str) -> str:
    """Say why a text does not have a format; empty where it does, or where there is no such format."""
    check = _FORMATS.get(name)
    if check is None:
        return ""
    return check(text) if len(text) <= _LONGEST else f"it is longer than {_LONGEST:,} characters"
