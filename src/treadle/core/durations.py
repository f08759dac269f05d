"""Durations as an author writes them: `500ms`, `30s`, `1h30m`, `2d` (language.md §6)."""

import re
from typing import Final

UNITS_MS: Final = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
DURATION_MS_MAX: Final = 100 * 366 * UNITS_MS["d"]
# Each unit at most once, from large to small.
_PATTERN = re.compile(r"(?:(\d{1,15})d)?(?:(\d{1,15})h)?(?:(\d{1,15})m(?!s))?(?:(\d{1,15})s)?(?:(\d{1,15})ms)?\Z", re.ASCII)


class DurationError(ValueError):
    """Text that is no duration; the message shows how one is written."""

    code = "bad_duration"


def parse_duration_ms(text: str) -> int:
    """Read a duration. Raises DurationError."""
    found = _PATTERN.match(text)
    if not text or found is None:
        unit = f"; `{text}` has no unit, write `{text}s`" if text.isascii() and text.isdigit() and len(text) <= 9 else ""
        raise DurationError(f"{text[:40]!r} is no duration{unit or ', write for example 500ms, 30s, 1h30m or 2d'}")
    total = sum(int(count) * unit for count, unit in zip(found.groups(), UNITS_MS.values(), strict=True) if count is not None)
    if total > DURATION_MS_MAX:
        raise DurationError(f"{text[:40]!r} is longer than 100 years")
    return total
