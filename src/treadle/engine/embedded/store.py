"""The store of one project, opened by one process: the file, its lock, one writer, readers, the change feed, the blobs.

What holds, whatever happens:

- What a reply has reported is on disk: COMMIT with `synchronous=FULL` came first, and any blob it names before that.
- A write takes place whole or not at all, and only on the revision of the run that its writer saw.
- Only the holder of the turnstile writes or checkpoints; the order of locks is turnstile, then SQLite's own.
- The store knows runs, revisions, opaque bodies and action rows. What they mean is the business of the layers above.

What is ugly: fairness and the file's safety rest on two different locks, because SQLite's own lock starves processes;
and a process that is stopped (not killed) inside the turnstile stops all others until they give up waiting.
"""

import contextlib
import time
from pathlib import Path

import apsw

from treadle.engine.embedded import place, schema
from treadle.engine.embedded.blobs import FOLDER as BLOB_FOLDER
from treadle.engine.embedded.blobs import Blobs
from treadle.engine.embedded.connection import WriteSession, connect, make_durable
from treadle.engine.embedded.errors import StorageUnavailableError, StoreRefusedError, os_unavailable, unavailable
from treadle.engine.embedded.feed import Feed
from treadle.engine.embedded.foreign import refuse_foreign, refuse_without_log
from treadle.engine.embedded.queries import query
from treadle.engine.embedded.reader import Reader
from treadle.engine.embedded.records import Outcome, Unit
from treadle.engine.embedded.sql import Db
from treadle.engine.embedded.turnstile import Turnstile, holders
from treadle.engine.embedded.writer import WAIT_LIMIT_MS, Writer


class Store:
    """An open store. Made by `open_store`; for the coroutines of one event loop."""

    def __init__(self, path: Path, store: str, db: Db, turnstile: Turnstile, *, wait_limit_ms: int) -> None:
        """Take over a prepared write connection and the turnstile."""
        self.path = path
        self.id = store
        self.reader = self.new_reader()
        self.feed = Feed(self.reader)
        self.blobs = Blobs(path.with_name(BLOB_FOLDER))
        self.writer = Writer(WriteSession(db), turnstile, store, self.feed.wake, has_blob=self._has_blob, wait_limit_ms=wait_limit_ms)
        self._db = db
        self._turnstile = turnstile

    async def commit(self, unit: Unit) -> Outcome:
        """Make a unit durable: see Writer.commit."""
        return await self.writer.commit(unit)

    def _has_blob(self, digest: str) -> bool:
        return self.blobs.size_bytes(digest) is not None

    def new_reader(self) -> Reader:
        """Open one more reader, for another thread; whoever asked closes it."""
        try:
            return Reader(connect(self.path, "read"))
        except apsw.Error as error:
            raise unavailable(error) from error

    async def close(self) -> None:
        """Commit what is queued, move the log into the file if nobody else is using it, and release everything."""
        await self.writer.close()
        self.feed.close()
        self.reader.close()
        self._db.close()
        self._turnstile.close()


def open_store(path: Path, *, wait_limit_ms: int = WAIT_LIMIT_MS, accept_loss: bool = False) -> Store:
    """Open a project's store, making or migrating it first where needed. May wait for the disk and for the lock.

    `accept_loss` goes on with a file that lacks acknowledged commits, which is otherwise refused as `history_truncated`.
    Raises StoreRefusedError, RestartThisSessionError, StorageUnavailableError.
    """
    place.refuse_network(path.parent)
    try:
        made = place.make_private(path)
        turnstile = Turnstile(path)
    except OSError as error:
        raise os_unavailable(error, f"The store {path} cannot be opened") from error
    db = None
    try:
        if not (made or accept_loss):
            refuse_foreign(path, turnstile)
        inode = path.stat().st_ino
        db = connect(path, "write")
        if not (made or accept_loss):
            refuse_without_log(path, db, turnstile)
        store = _prepared(path, inode, db, turnstile, wait_limit_ms)
        _check_mark(path, store, db, turnstile, accept_loss=accept_loss)
        return Store(path, store, db, turnstile, wait_limit_ms=wait_limit_ms)
    except BaseException as error:  # nothing stays open behind a store that could not be opened
        if db is not None:
            db.close()
        turnstile.close()
        if isinstance(error, _ReplacedError):
            return open_store(path, wait_limit_ms=wait_limit_ms, accept_loss=accept_loss)
        if isinstance(error, apsw.Error):
            raise unavailable(error) from error
        if isinstance(error, OSError | MemoryError):
            raise os_unavailable(error, f"The store {path} cannot be opened") from error
        raise


class _ReplacedError(Exception):
    """A restore has put another file in the place of the one that was opened."""


def _prepared(path: Path, inode: int, db: Db, turnstile: Turnstile, wait_limit_ms: int) -> str:
    """Give the store's id. The turnstile is needed only where the file is new or older."""
    if schema.version(db) == schema.SCHEMA and db.execute("PRAGMA journal_mode").fetchall()[0][0] == "wal":
        return schema.checked(db)
    _enter(turnstile, wait_limit_ms)
    try:
        if path.stat().st_ino != inode:
            raise _ReplacedError
        make_durable(db)
        store = schema.prepare(db)
        with contextlib.suppress(apsw.Error):  # a reader is in the way
            # From here on the file itself says which store it is, whatever becomes of its log.
            db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    finally:
        turnstile.leave()
    return store


def _enter(turnstile: Turnstile, wait_limit_ms: int) -> None:
    give_up_s = time.monotonic() + wait_limit_ms / 1000
    while not turnstile.try_enter():
        if time.monotonic() > give_up_s:
            pids = ", ".join(map(str, holders(turnstile.store_path))) or "unknown"
            raise StorageUnavailableError(
                f"The store was locked by another process (pid {pids}) for {wait_limit_ms / 1000:.0f} s; it was not opened.",
                hint="See what that process does, stop it if it hangs, and try again.",
                reason="busy",
            )
        time.sleep(0.005)


def _check_mark(path: Path, store: str, db: Db, turnstile: Turnstile, *, accept_loss: bool) -> None:
    """Refuse a file that ends below its high-water mark. The mark is read first: commits meanwhile only raise the end."""
    mark = turnstile.read_mark()
    if mark is None or mark[0] != store:
        return
    last_seq = int(db.execute(query("last_seq")).fetchall()[0][0])
    if last_seq >= mark[1]:
        return
    if not accept_loss:
        raise StoreRefusedError(
            f"{path} ends at event {last_seq}, but event {mark[1]} was acknowledged: its log was cut off, or the file is an older copy. "
            "Nothing was changed.",
            hint="Restore a newer backup or the missing `-wal` file. To go on without the lost events: `treadle doctor --accept-loss`.",
            code="history_truncated",
        )
    turnstile.enter()
    try:
        turnstile.write_mark(store, last_seq)
    finally:
        turnstile.leave()
