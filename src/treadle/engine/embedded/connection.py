"""Opening the file, and the write session: begin, version check, commit, roll back.

Only the turnstile's holder begins a write transaction. The session notices by the pager's data version (a call into C of
a fraction of a microsecond) whether another connection has committed since its own last commit; only then can the
schema number have changed and is worth reading again.
"""

from pathlib import Path
from typing import Final, Literal

import apsw

from treadle.engine.embedded import schema
from treadle.engine.embedded.errors import StoreRefusedError
from treadle.engine.embedded.sql import Db, opened

CLOSE_CHECKPOINTS_OFF: Final = apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE
READ_BUSY_MS: Final = 250  # a reader waits only while the log is recovered after a crash, or truncated
OPEN_BUSY_MS: Final = 5_000  # another process may be making the file at this very moment
LOG_LIMIT_BYTES: Final = 64 << 20


def refuse_affected(version: str) -> None:
    """Raise StoreRefusedError for an SQLite that can lose a committed write when a checkpoint races a commit (ruling 32)."""
    number = tuple(int(part) for part in version.split("."))
    if number >= (3, 51, 3) or (3, 50, 7) <= number < (3, 51) or (3, 44, 6) <= number < (3, 45):
        return
    raise StoreRefusedError(
        f"SQLite {version} can lose a committed write when a checkpoint races a commit.",
        hint="Upgrade the package `apsw` (it brings its own SQLite) so that SQLite is 3.51.3 or newer.",
        code="sqlite_affected",
    )


def connect(path: Path, role: Literal["write", "read"]) -> Db:
    """Open an existing file. A `read` connection cannot change it."""
    refuse_affected(apsw.sqlite_lib_version())
    db = opened(str(path), apsw.SQLITE_OPEN_READWRITE)
    db.set_busy_timeout(OPEN_BUSY_MS)
    db.config(CLOSE_CHECKPOINTS_OFF, 1)  # a checkpoint happens under the turnstile or not at all
    db.config(apsw.SQLITE_DBCONFIG_DQS_DML, 0)
    db.config(apsw.SQLITE_DBCONFIG_DQS_DDL, 0)
    db.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, 1)
    db.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
    db.execute("PRAGMA cell_size_check = ON")
    if role == "read":
        db.execute("PRAGMA query_only = ON")
        db.set_busy_timeout(READ_BUSY_MS)
        return db
    db.execute("PRAGMA wal_autocheckpoint = 0")
    db.execute("PRAGMA synchronous = FULL")
    db.execute(f"PRAGMA journal_size_limit = {LOG_LIMIT_BYTES}")
    return db


def make_durable(db: Db) -> None:
    """Set what is kept in the file itself. Before the first table is made, by the turnstile's holder."""
    db.execute("PRAGMA auto_vacuum = INCREMENTAL")
    mode = db.execute("PRAGMA journal_mode = WAL").fetchall()[0][0]
    if mode != "wal":
        raise StoreRefusedError(
            f"{db.filename} cannot use a write-ahead log (SQLite answered {mode!r}).",
            hint="Put the project on a local disk with working file locks and shared memory.",
            code="no_write_ahead_log",
        )


class WriteSession:
    """The one connection of this process that writes, between BEGIN and COMMIT."""

    def __init__(self, db: Db) -> None:
        """Take over a connection made by `connect(path, "write")`."""
        self.db = db
        self.log_bytes = 0
        self._page_bytes = int(db.execute("PRAGMA page_size").fetchall()[0][0])
        self._seen = -1
        self._accepted = -1
        db.set_busy_timeout(0)  # the loop never waits for a lock, and the thread does so in its own way
        db.set_wal_hook(self._note_log)

    def begin(self) -> None:
        """Begin a write transaction and check the schema number. Raises apsw.Error or RestartThisSessionError."""
        self.db.execute("BEGIN IMMEDIATE")
        if self.db.data_version() != self._seen:
            found = schema.version(self.db)
            if found != self._accepted:
                schema.check_may_write(self.db, found)
                self._accepted = found

    def commit(self) -> None:
        """Commit; when it returns, all of it is on disk."""
        self.db.execute("COMMIT")
        self._seen = self.db.data_version()

    def roll_back(self) -> None:
        """Undo whatever is open. SQLite has done so itself after a full disk or a failed write."""
        if self.db.in_transaction:
            self.db.execute("ROLLBACK")

    def checkpoint(self, *, truncate: bool) -> None:
        """Move the log into the file as far as readers let it; `truncate` also cuts the log's file if they all do."""
        self.db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE if truncate else apsw.SQLITE_CHECKPOINT_PASSIVE)
        self.log_bytes = 0

    def _note_log(self, _db: apsw.Connection, _name: str, pages: int) -> int:
        self.log_bytes = pages * self._page_bytes
        return apsw.SQLITE_OK
