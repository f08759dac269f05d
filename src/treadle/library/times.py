"""The pure functions that know time zones. The core knows UTC alone; what a zone says is asked once and kept in the run's events (ruling 4)."""

import re
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from treadle.functions import function

_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


@function(version="1", pure=True)
def next_time_of_day(after: str, time_of_day: str, zone: str) -> dict:
    """Give the first instant after `after` at which clocks in a time zone show a time such as `02:30`: `{instant, date}`.

    `instant` is in UTC, `date` the date there. On a day on which the time is skipped it is the instant at which clocks go forward; on one on
    which it comes twice it is the first.
    """
    if _TIME.fullmatch(time_of_day) is None:
        raise ValueError(f"{time_of_day!r} is no time of day such as '02:30'")
    start = datetime.fromisoformat(after)
    if start.tzinfo is None:
        raise ValueError(f"{after!r} has no zone")
    there = _zone(zone)
    wanted = time.fromisoformat(time_of_day)
    day = start.astimezone(there).date()
    found = _at(datetime.combine(day, wanted), there)
    while found <= start:
        day += timedelta(days=1)
        found = _at(datetime.combine(day, wanted), there)
    return {"instant": found.isoformat(timespec="milliseconds").replace("+00:00", "Z"), "date": day.isoformat()}


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        message = f"there is no time zone {name!r} here; names are such as 'Europe/Zurich' and 'UTC'"
        raise ValueError(message) from error


def _at(wall: datetime, there: ZoneInfo) -> datetime:
    """Give the instant at which clocks show a time, or first show a later one where they never show it."""
    instant = wall.replace(tzinfo=there).astimezone(UTC)
    shown = instant.astimezone(there).replace(tzinfo=None)
    if shown == wall:
        return instant
    # `wall` is skipped: within the gap Python goes by the offset before it, so that the gap's end lies at most the gap's length before.
    low, high = instant - (shown - wall), instant
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) / 2
        low, high = (low, middle) if middle.astimezone(there).replace(tzinfo=None) >= wall else (middle, high)
    return high.replace(microsecond=0)


@function(version="1", pure=True)
def minutes_after(start: str, minutes: float) -> str:
    """Give the instant so many minutes after another, for the `until` of a `wait` whose length is an input; parts of a minute count."""
    at = datetime.fromisoformat(start)
    if at.tzinfo is None:
        raise ValueError(f"{start!r} has no zone")
    return (at.astimezone(UTC) + timedelta(minutes=minutes)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
