"""Taking ended runs out of a store while others write.

Theory of operation
-------------------
Everything is done in many small transactions under the turnstile, each of a few milliseconds, with the lock let go between them, so that whoever
steps a run waits no longer than behind any other writer. A run may have more events than fit: its first transaction makes it a tombstone
(`status = GONE`), which no query of the store gives any more, and those that follow take its events away; the row itself goes last. A process
that dies on the way leaves tombstones, and the next one begins with them. So a run is there whole, or not at all.

Values are collected when no row names them and nobody has touched their file for an hour. A commit puts the file first and its row after, and
what `Blobs.put` finds it makes young; that alone leaves a gap for a process that slept for an hour between the two. So a commit looks, under
the turnstile, whether the files that it names are there (`writer.py`), and a file is taken away only under the turnstile, where no row can be
added: it is renamed first, looked at again, and put back if somebody touched it meanwhile.

A definition that no run has any more may still be needed by the history of a run that was moved away from it, and which definitions a history
names only the layer above can tell: it gives the word by which such events are found. The events are searched once, outside the lock; what was
stored since is searched inside.

The newest event stays (`schema.sql` says why), and with it its run.
"""

import contextlib
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import apsw

from treadle.engine.embedded import faults, schema
from treadle.engine.embedded.blobs import Blobs
from treadle.engine.embedded.connection import connect
from treadle.engine.embedded.errors import unavailable
from treadle.engine.embedded.queries import GONE, query
from treadle.engine.embedded.sql import Db
from treadle.engine.embedded.turnstile import Turnstile

TURN_S: Final = 0.005
EVENTS_AT_ONCE: Final = 100
PAGES_AT_ONCE: Final = 20
FILES_AT_ONCE: Final = 20
YOUNG_S: Final = 3_600.0
TEMPORARY_S: Final = 86_400.0
CHECKPOINT_PAGES: Final = 1_000
BUSY_MS: Final = 5_000

Progress = Callable[[str, int, int], None]
"""Called with what is done, how much of it is done, and how much there is."""


@dataclass(slots=True)
class Pruned:
    """What was taken away. `young` are values that nobody names and that are left for another time."""

    runs: int = 0
    events: int = 0
    definitions: int = 0
    blobs: int = 0
    blob_bytes: int = 0
    young: int = 0
    pages: int = 0
    left: tuple[str, ...] = ()


class Pruner:
    """Takes runs out of one store. For one thread; it has a connection and a place in the line of its own."""

    def __init__(self, path: Path, blobs: Blobs, told: Progress) -> None:
        """Open an existing store. Raises StorageUnavailableError."""
        try:
            self._db: Db = connect(path, "write")
            self._db.set_busy_timeout(BUSY_MS)
        except apsw.Error as error:
            raise unavailable(error) from error
        self._turnstile = Turnstile(path)
        self._blobs, self._show_progress = blobs, told
        self._log_pages = 0
        self._db.set_wal_hook(self._note_log)
        self.done = Pruned()

    def close(self) -> None:
        """Let everything go."""
        self._db.close()
        self._turnstile.close()

    def prune(self, runs: Sequence[tuple[str, int]], *, before_each: Callable[[str], None], moved_word: bytes) -> Pruned:
        """Take runs away, given as (id, revision); one that was carried on since, or that has the newest event, stays.

        `before_each` is called outside of the lock before a run goes; `moved_word` stands in every event that names another definition than the
        run has now. Raises StorageUnavailableError, RestartThisSessionError; what was done by then stays done.
        """
        try:
            self._remove(runs, before_each)
            self._collect_definitions(moved_word)
            self._collect_blobs()
            self._shrink()
        except apsw.Error as error:
            raise unavailable(error) from error
        return self.done

    # Runs

    def _remove(self, runs: Sequence[tuple[str, int]], before_each: Callable[[str], None]) -> None:
        begun = [run for (run,) in self._db.execute(query("gone_runs"))]
        left: list[str] = []
        starts: dict[str, list[str]] = {}
        for key, run in self._db.execute(query("start_keys")):
            starts.setdefault(run, []).append(key)
        for number, (run, revision) in enumerate([*((each, -1) for each in begun), *runs]):
            before_each(run)
            if revision >= 0 and not self._bury(run, revision, starts.get(run, ())):
                left.append(run)
                continue
            while not self._clear(run):
                pass
            self.done.runs += 1
            self._show_progress("runs", number + 1, len(runs) + len(begun))
        self.done.left = tuple(left)

    def _bury(self, run: str, revision: int, starts: Sequence[str]) -> bool:
        """Make a tombstone of a run: all of it but its events goes at once."""
        with self._turn() as db:
            newest = db.execute(query("newest_run")).fetchall()
            if not newest or newest[0][0] == run:
                return False
            number = db.execute(query("bury_run"), (GONE, run, revision)).fetchall()
            if not number:
                return False
            db.execute(query("unindex_run"), (number[0][0],))
            for name in ("drop_snapshot", "drop_actions", "drop_uses"):
                db.execute(query(name), (run,))
            # Keys of requests begin with their run; `0` follows on `/`.
            db.execute(query("drop_requests"), (f"{run}/", f"{run}0"))
            for key in starts:
                db.execute(query("drop_request"), (key,))
            faults.point("prune.burying")
        faults.point("prune.buried")
        return True

    def _clear(self, run: str) -> bool:
        """Take some events of a tombstone away, and the stone itself after the last; tells whether it is gone."""
        with self._turn() as db:
            until_s = time.monotonic() + TURN_S
            while True:
                db.execute(query("drop_events"), (run, run, EVENTS_AT_ONCE))
                self.done.events += db.changes()
                if db.changes() < EVENTS_AT_ONCE:
                    db.execute(query("drop_run"), (run,))
                    faults.point("prune.clearing")
                    return True
                if time.monotonic() > until_s:
                    break
        faults.point("prune.partly")
        return False

    # Definitions

    def _collect_definitions(self, moved_word: bytes) -> None:
        with self._view() as db:
            last_seq = int(db.execute(query("last_seq")).fetchall()[0][0])
            unused = [digest for (digest,) in db.execute(query("unused_definitions")).fetchall()]
            if unused and moved_word:
                named = b"\0".join(bytes(body) for (body,) in db.execute(query("events_with"), (moved_word,)))
                unused = [digest for digest in unused if digest.encode() not in named]
        # SQLite would look through all runs for each of them, inside the lock.
        self._db.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, 0)
        try:
            for digest in unused:
                with self._turn() as db:
                    if not db.execute(query("definition_named_since"), (last_seq, digest, digest.encode())).fetchall():
                        db.execute(query("drop_definition"), (digest,))
                        self.done.definitions += 1
                        faults.point("prune.definition")
        finally:
            self._db.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, 1)

    # Values

    def _collect_blobs(self) -> None:
        after = ""
        while rows := self._db.execute(query("unused_blobs"), (after, EVENTS_AT_ONCE)).fetchall():
            with self._turn() as db:
                for (digest,) in rows:
                    db.execute(query("drop_blob"), (digest, digest))
                    after = digest
            faults.point("prune.blob_rows")
        found = [digest for digest in self._blobs.digests() if not self._db.execute(query("blob"), (digest,)).fetchall()]
        for start in range(0, len(found), FILES_AT_ONCE):
            with self._turn() as db:
                for digest in found[start : start + FILES_AT_ONCE]:
                    if not db.execute(query("blob"), (digest,)).fetchall():
                        self._count_blob(self._blobs.remove_old(digest, YOUNG_S))
            self._show_progress("values", min(start + FILES_AT_ONCE, len(found)), len(found))
        self._blobs.remove_temporary(TEMPORARY_S)

    def _count_blob(self, size_bytes: int | None) -> None:
        if size_bytes is None:
            self.done.young += 1
        else:
            self.done.blobs += 1
            self.done.blob_bytes += size_bytes

    # The file

    def _shrink(self) -> None:
        free = whole = self._free_pages()
        while free:
            with self._turn() as db:
                until_s = time.monotonic() + TURN_S
                while free:
                    db.execute(f"PRAGMA incremental_vacuum({PAGES_AT_ONCE})").fetchall()
                    before, free = free, self._free_pages()
                    if free >= before:  # a file without incremental vacuum
                        free = 0
                    if time.monotonic() > until_s:
                        break
            self._show_progress("file", whole - free, whole)
        self.done.pages = whole
        self._checkpoint(truncate=True)

    def _free_pages(self) -> int:
        return int(self._db.execute("PRAGMA freelist_count").fetchall()[0][0])

    def _checkpoint(self, *, truncate: bool = False) -> None:
        self._turnstile.enter()
        try:
            if truncate and self._turnstile.others_wait():
                return
            mode = apsw.SQLITE_CHECKPOINT_TRUNCATE if truncate else apsw.SQLITE_CHECKPOINT_PASSIVE
            self._db.set_busy_timeout(0)
            with contextlib.suppress(apsw.BusyError):  # a reader is in the way; whoever commits next does it
                self._db.wal_checkpoint(mode=mode)
            self._log_pages = 0
        finally:
            self._db.set_busy_timeout(BUSY_MS)
            self._turnstile.leave()

    # Transactions

    @contextlib.contextmanager
    def _turn(self) -> Generator[Db]:
        """Be the one who writes, for a moment."""
        if self._log_pages > CHECKPOINT_PAGES:
            self._checkpoint()
        self._turnstile.enter()
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                schema.check_may_write(self._db, schema.version(self._db))
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:  # whatever broke in, nothing of this turn is stored
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        finally:
            self._turnstile.leave()

    @contextlib.contextmanager
    def _view(self) -> Generator[Db]:
        self._db.execute("BEGIN")
        try:
            yield self._db
        finally:
            self._db.execute("COMMIT")

    def _note_log(self, _db: apsw.Connection, _name: str, pages: int) -> int:
        self._log_pages = pages
        return apsw.SQLITE_OK
