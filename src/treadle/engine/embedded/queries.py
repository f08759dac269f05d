"""The named statements of queries.sql, read once; an unknown name fails at import of whoever asks for it."""

import re
from pathlib import Path
from typing import Final

RUN_COLUMNS: Final = (
    "number, id, name, definition, semantics, status, revision, head, snap_rev, snap_bytes, tail_bytes, "
    "now_ms, created_ms, updated_ms, next_due_ms, closed_ms, title, words, started_by, directory, branch, forked_from"
)
ACTION_COLUMNS: Final = "id, status, kind, performer, opened_ms, channel, attempt, holder, lease_until_ms, due_ms, params"
GONE: Final = "pruned"
"""The status of a run that is being taken away: nothing but pruning.py sees it."""
_PLACE: Final = re.compile(r"@\w+")
_NAME: Final = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def _read() -> dict[str, str]:
    text = Path(__file__).with_name("queries.sql").read_text(encoding="utf-8")
    _, *parts = _NAME.split(text)
    meant = {"@run": RUN_COLUMNS, "@action": ACTION_COLUMNS, "@gone": GONE}
    spelled = (_PLACE.sub(lambda found: meant[found[0]], part.strip().removesuffix(";")) for part in parts[1::2])
    return dict(zip(parts[0::2], spelled, strict=True))


_QUERIES: Final = _read()


def query(name: str) -> str:
    """Give the statement of that name."""
    return _QUERIES[name]
