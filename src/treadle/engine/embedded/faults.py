"""Named places where a test can make the process die as if by `kill -9`.

Inert by default. `TREADLE_FAULT=NAME` kills at the first passing of that point, `NAME:3` at the third. It is read once,
when this module is imported, so that a product process pays one comparison per point and nothing can arm it later.
"""

import os
import signal
from typing import Final, NoReturn

VARIABLE: Final = "TREADLE_FAULT"
POINTS: Final = {
    "blob.before_write": "before anything of a blob is on disk",
    "blob.before_rename": "the blob's bytes are on disk under a temporary name",
    "blob.renamed": "the blob has its name, the folder is not yet on disk",
    "blob.stored": "the blob is wholly on disk, no commit names it yet",
    "commit.locked": "the turnstile is held, the transaction not begun",
    "commit.begun": "the transaction is begun, nothing written",
    "commit.event": "events are inserted, the run's other rows not yet",
    "commit.unit": "all rows of one unit are written, the transaction is open",
    "commit.before": "just before COMMIT",
    "commit.after": "COMMIT has returned, the mark is not written and nobody has a reply",
    "commit.marked": "the high-water mark is written, the turnstile is held",
    "commit.released": "the turnstile is released, the reply has not left",
    "checkpoint.before": "the turnstile is held for a checkpoint",
    "checkpoint.after": "the checkpoint is done, the turnstile is held",
    "prune.burying": "a run that goes is made a tombstone, not yet committed",
    "prune.buried": "a run is a tombstone, its events are all there",
    "prune.partly": "some events of a tombstone are gone",
    "prune.clearing": "the last of a tombstone is taken away, not yet committed",
    "prune.definition": "a definition that nobody needs is taken away, not yet committed",
    "prune.blob_rows": "values that nobody uses have no row any more, their files are there",
    "prune.blob_aside": "the file of a value that nobody names has another name",
    "restore.checked": "a backup is unpacked and checked beside the store, nothing of the store is touched",
    "restore.aside": "what was there is set aside and still in place",
    "restore.values": "the values of the backup are there, the file is still the old one",
    "restore.replaced": "the file is the restored one, the mark is still of the old one",
    "migrate.before_commit": "a new or older file is brought up to date, not yet committed",
}


def _armed() -> tuple[str, int] | None:
    text = os.environ.get(VARIABLE, "")
    if not text:
        return None
    name, _, nth = text.partition(":")
    if name not in POINTS or not (nth or "1").isdigit():
        raise SystemExit(f"{VARIABLE}={text}: no such fault point; known are {', '.join(sorted(POINTS))}")
    return name, int(nth or "1")


class _Trap:
    """Counts the passings of the one armed point."""

    __slots__ = ("left", "name")

    def __init__(self, name: str, nth: int) -> None:
        self.name = name
        self.left = nth

    def passes(self, name: str) -> None:
        if name == self.name:
            self.left -= 1
            if self.left == 0:
                _die()


def _die() -> NoReturn:
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
    signal.pause()
    raise SystemExit(137)


_trap = _Trap(*found) if (found := _armed()) else None


def point(name: str) -> None:
    """Die here if this point is armed; else do nothing."""
    if _trap is not None:
        _trap.passes(name)


def points() -> dict[str, str]:
    """Give every fault point with what has happened by then."""
    return dict(POINTS)
