"""The nearest name: what somebody may have meant, found the same way for fields, filters, steps and schema keywords."""

from collections.abc import Iterable
from typing import Final

_LENGTH_MAX: Final = 64
_NAMES_MAX: Final = 300


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Give the known name that is one typing slip or two away, or the same but for case and `-_`; None if there is none or several tie."""
    if not 1 < len(name) <= _LENGTH_MAX:
        return None
    limit = 1 if len(name) <= 4 else 2 if len(name) <= 9 else 3
    best, ties = None, 0
    for position, candidate in enumerate(known):
        if position >= _NAMES_MAX:
            break
        if not candidate or candidate == name or abs(len(candidate) - len(name)) > limit:
            continue
        found = 0 if _folded(candidate) == _folded(name) else _slips(name, candidate, limit)
        if found < limit or (found == limit and best is None):
            best, limit, ties = candidate, found, 0
        elif found == limit:
            ties += 1
    return best if not ties else None


def _folded(name: str) -> str:
    return name.lower().replace("-", "_")


def _slips(a: str, b: str, limit: int) -> int:
    """Count insertions, deletions, replacements and swapped neighbours; gives limit + 1 as soon as there are more."""
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, 1):
        previous, before, row = before, row, [i]
        for j, right in enumerate(b, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (left != right))
            if i > 1 and j > 1 and left == b[j - 2] and a[i - 2] == right:
                cost = min(cost, previous[j - 2] + 1)
            row.append(cost)
        if min(row) > limit:
            return limit + 1
    return row[-1]
