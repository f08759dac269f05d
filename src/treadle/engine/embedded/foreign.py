"""What lies where the store should be, looked at before anything is made there.

A file without tables is made into a store. If a high-water mark stands beside it, it was a store already: its log was taken away, or it was cut off,
and making a new one would hide the loss. An empty file is not even shown to SQLite, which would remove the log beside it.
"""

import time
from pathlib import Path
from typing import Final

from treadle.engine.embedded import schema
from treadle.engine.embedded.errors import StoreRefusedError
from treadle.engine.embedded.sql import Db
from treadle.engine.embedded.turnstile import Turnstile

MADE_WITHIN_S: Final = 1.0
"""An empty file may be one that another process is making at this moment."""
_MAGIC: Final = b"SQLite format 3\0"


def refuse_foreign(path: Path, turnstile: Turnstile) -> None:
    """Raise StoreRefusedError `not_a_store` for what is no SQLite file, `history_truncated` for a store that was emptied."""
    give_up_s = time.monotonic() + MADE_WITHIN_S
    while True:
        with path.open("rb") as file:
            head = file.read(len(_MAGIC))
        if head == _MAGIC or (not head and not _has_history(turnstile)):
            return
        if head:
            raise StoreRefusedError(
                f"{path} is no SQLite file: something else lies where the store should be, or its beginning was overwritten. Nothing was changed.",
                hint="If it was your store, restore it from a backup. Else move it away; Treadle makes a new one.",
                code="not_a_store",
            )
        if time.monotonic() > give_up_s:
            raise _lost(path, "is empty")
        time.sleep(0.01)


def refuse_without_log(path: Path, db: Db, turnstile: Turnstile) -> None:
    """Raise StoreRefusedError `history_truncated` for an SQLite file without tables where a store was."""
    give_up_s = time.monotonic() + MADE_WITHIN_S
    while schema.version(db) == 0 and _has_history(turnstile):
        if time.monotonic() > give_up_s:
            raise _lost(path, "holds no tables")
        time.sleep(0.01)


def _has_history(turnstile: Turnstile) -> bool:
    mark = turnstile.read_mark()
    return mark is not None and mark[1] > 0


def _lost(path: Path, how: str) -> StoreRefusedError:
    return StoreRefusedError(
        f"{path} {how}, but events were acknowledged: it was cut off, or its log was taken away. Nothing was changed.",
        hint="Restore the missing `-wal` file, or a backup. To begin anew without what was lost: `treadle doctor --accept-loss`.",
        code="history_truncated",
    )
