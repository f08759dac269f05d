"""Dates and instants as text, in UTC alone (ruling 4); an instant carries its zone or it is an error (language.md §6).

A date is `2026-11-20`. An instant is written by us with milliseconds and `Z`, so that two of them compare as text.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Final

from treadle.core.expr.evaluation import Evaluation, ExprError, V
from treadle.core.expr.given import int_given, text_given
from treadle.core.expr.look import shown

_DATE: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)\Z", re.ASCII)
_INSTANT: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?\s?(?:([Zz])|([+-])(\d\d):?(\d\d))?\Z", re.ASCII
)
_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
)  # fmt: skip
DIRECTIVES: Final = "%Y %m %d %H %M %S %f %j %y %I %p %a %A %b %B %e %u %w %V %G %F %T %s %Z %z %%, and %-d without the zero"


class DateError(ValueError):
    """Text that is no date or instant; the message shows how one is written."""


def parse_date(text: str) -> date:
    """Read a date. Raises DateError."""
    found = _DATE.match(text)
    try:
        return date(*map(int, found.groups())) if found else _no_date(text)
    except ValueError as error:
        raise DateError(f"{shown(text)} is no date, write for example 2026-11-20") from error


def _no_date(text: str) -> date:
    raise DateError(f"{shown(text)} is no date, write for example 2026-11-20")


def parse_instant(text: str) -> datetime:
    """Read an instant with its zone, to the millisecond. Raises DateError."""
    found = _INSTANT.match(text)
    if found is None:
        raise DateError(f"{shown(text)} is no instant, write for example 2026-11-20T09:30:00Z")
    year, month, day, hour, minute, second, fraction, utc, sign, hours, minutes = found.groups()
    if utc is None and sign is None:
        raise DateError(f"{shown(text)} names no zone; end it with Z for UTC, or with an offset as +01:00")
    try:
        offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0)) * (-1 if sign == "-" else 1)
        micros = int((fraction or "0")[:3].ljust(3, "0")) * 1_000
        local = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0), micros, timezone(offset))
        return local.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise DateError(f"{shown(text)} is no instant: {error}") from error


def written_instant(at: datetime) -> str:
    """Write an instant: ISO-8601, UTC, milliseconds."""
    return f"{at.year:04d}-{at:%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


def instant_of_ms(at_ms: int) -> str:
    """Write epoch milliseconds as an instant (ruling 5)."""
    return written_instant(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms))


def _read(ev: Evaluation, who: str, value: V) -> date | datetime:
    text = text_given(ev, who, value).strip()
    ev.charge(8)
    try:
        return parse_date(text) if len(text) <= 10 else parse_instant(text)
    except DateError as error:
        raise ExprError("bad_date", f"`{who}`: {error}") from error


def _day(value: date | datetime) -> date:
    return value.date() if isinstance(value, datetime) else value


def to_date(ev: Evaluation, value: V) -> V:
    """Give the date of a date or instant, in UTC."""
    return _day(_read(ev, "date", value)).isoformat()


def to_instant(ev: Evaluation, value: V) -> V:
    """Write an instant in UTC with milliseconds; of a date, its beginning."""
    read = _read(ev, "instant", value)
    return written_instant(read if isinstance(read, datetime) else datetime(read.year, read.month, read.day, tzinfo=UTC))


def days_between(ev: Evaluation, value: V, other: V) -> V:
    """Count the days from the first date (or instant, by its UTC date) to the second; negative where that lies before."""
    return (_day(_read(ev, "days_between", other)) - _day(_read(ev, "days_between", value))).days


def add_days(ev: Evaluation, value: V, days: V) -> V:
    """Go forward by days of 24 hours, or back; a date stays a date, an instant an instant."""
    count = int_given("add_days", "days", days, -4_000_000, 4_000_000)
    start = _read(ev, "add_days", value)
    try:
        end = start + timedelta(days=count)
    except OverflowError as error:
        raise ExprError("bad_date", "`add_days` leaves the years 1 to 9999") from error
    return written_instant(end) if isinstance(end, datetime) else end.isoformat()


def strftime(ev: Evaluation, value: V, pattern: V) -> V:
    """Write a date or instant by a pattern, in UTC and English."""
    read = _read(ev, "strftime", value)
    at = read if isinstance(read, datetime) else datetime(read.year, read.month, read.day, tzinfo=UTC)
    first, *others = text_given(ev, "strftime", pattern).split("%")
    out = [first]
    position = 0
    while position < len(others):
        piece = others[position]
        position += 1
        if not piece:  # two percent signs: one
            out.append("%" + (others[position] if position < len(others) else ""))
            position += 1
            continue
        code, rest = (piece[:2], piece[2:]) if piece[0] == "-" else (piece[0], piece[1:])
        out += [_directive(at, code), rest]
    text = "".join(out)
    ev.charge(20 + 3 * len(others) + (len(text) >> 6))
    return text


def _directive(at: datetime, code: str) -> str:
    if code[0] == "-" and code[1:] and code[1:] in "dmHIMSjyuw":
        return _directive(at, code[1:]).lstrip("0") or "0"
    if code in _DIGITS:
        return at.strftime(f"%{code}")  # digits: the same in every locale
    return _DIRECTIVES[code](at) if code in _DIRECTIVES else _no_directive(code)


def _no_directive(code: str) -> str:
    raise ExprError("types", f"`strftime` has no directive `%{code[:5]}`", suggestion=f"there are {DIRECTIVES}")


_DIGITS: Final = frozenset("mdHMSIyjuwVf")
_DIRECTIVES: Final[dict[str, Callable[[datetime], str]]] = {
    "Y": lambda at: f"{at.year:04d}",
    "G": lambda at: f"{at.isocalendar().year:04d}",
    "e": lambda at: f"{at.day:2d}",
    "a": lambda at: _DAYS[at.weekday()][:3],
    "A": lambda at: _DAYS[at.weekday()],
    "b": lambda at: _MONTHS[at.month - 1][:3],
    "h": lambda at: _MONTHS[at.month - 1][:3],
    "B": lambda at: _MONTHS[at.month - 1],
    "p": lambda at: "AM" if at.hour < 12 else "PM",
    "F": lambda at: at.date().isoformat(),
    "T": lambda at: f"{at:%H:%M:%S}",
    "s": lambda at: str(int(at.timestamp())),
    "Z": lambda _at: "UTC",
    "z": lambda _at: "+0000",
}
