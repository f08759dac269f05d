"""Durations and sizes as people write them in configuration files."""

import re

from treadle.core.durations import UNITS_MS, parse_duration_ms

_SIZE = re.compile(r"(\d+) ?(B|KiB|MiB|GiB)?")
_SIZES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def duration_ms(value: object) -> int:
    """Read `500ms`, `30s`, `1h30m`, `2d`, more than nothing. Raises ValueError with a message for the author."""
    found = parse_duration_ms(value) if isinstance(value, str) else 0
    if found <= 0:
        raise ValueError(f"must be a duration such as '500ms', '30s' or '1h30m', not {value!r}")
    return found


def duration_text(ms: int) -> str:
    """Write a duration as `duration_ms` reads it."""
    parts: list[str] = []
    for unit, length_ms in UNITS_MS.items():
        count, ms = divmod(ms, length_ms)
        parts += [f"{count}{unit}"] if count else []
    return "".join(parts) or "0s"


def size_bytes(value: object) -> int:
    """Read a whole number of bytes, or text such as `512 KiB`, `4 MiB`. Raises ValueError with a message for the author."""
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if found is None or not int(found[1]):
        raise ValueError(f"must be a number of bytes or text such as '4 MiB', not {value!r}")
    return int(found[1]) * _SIZES[found[2] or "B"]


def size_text(size: int) -> str:
    """Write a size as `size_bytes` reads it."""
    unit = next(unit for unit, length in reversed(_SIZES.items()) if size % length == 0 and size >= length)
    return f"{size // _SIZES[unit]} {unit}"
