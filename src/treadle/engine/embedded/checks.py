"""What `doctor` asks of a store: each check gives findings, a code, what was found and what to do. They change nothing.

A damaged file may break any statement, so each check turns SQLite's complaints into findings and the next one still runs.
"""

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import apsw

from treadle.engine.embedded import place, schema
from treadle.engine.embedded.blobs import FOLDER, Blobs
from treadle.engine.embedded.chain import first_break
from treadle.engine.embedded.connection import connect, refuse_affected
from treadle.engine.embedded.errors import (
    BlobError,
    RestartThisSessionError,
    StorageUnavailableError,
    StoreRefusedError,
    os_unavailable,
    unavailable,
)
from treadle.engine.embedded.foreign import refuse_foreign, refuse_without_log
from treadle.engine.embedded.queries import query
from treadle.engine.embedded.reader import Reader
from treadle.engine.embedded.sql import Db
from treadle.engine.embedded.turnstile import Turnstile, holders

COMPLAINTS_MAX: Final = 20
CLOCK_AHEAD_MS: Final = 2_000
_PAGE: Final = 500
_BACKUP: Final = "Stop every Treadle process on this project, keep a copy of the folder, and restore the newest backup."


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong: `code` is stable, `hint` says what to do; `run` where it concerns one run."""

    code: str
    message: str
    hint: str
    run: str | None = None


def check_place(path: Path) -> Iterator[Finding]:
    """Check SQLite's version, the kind of file system and who may read the files."""
    for refuse in (lambda: refuse_affected(apsw.sqlite_lib_version()), lambda: place.refuse_network(path.parent)):
        try:
            refuse()
        except StoreRefusedError as error:
            yield Finding(code=error.code, message=error.message, hint=error.hint)
    for each in place.open_to_others(path):
        yield Finding(
            code="open_to_others",
            message=f"Other users of this machine can use {each}.",
            hint=f"chmod go= {each}",
        )


def check_lock(path: Path) -> Iterator[Finding]:
    """Tell who holds the lock, or SQLite's own, at this moment, where the system says so. A holder is normal unless it stays for seconds."""
    pids = holders(path)
    if pids:
        yield Finding(
            code="locked",
            message=f"The store is held by process {', '.join(map(str, pids))} at this moment.",
            hint="If it stays so for more than a few seconds, see what that process does and stop it if it hangs.",
        )


def check_file(path: Path) -> Iterator[Finding]:
    """Check the file by SQLite's own means, its schema, and its end against the high-water mark. Reads the whole file."""
    try:
        turnstile = Turnstile(path)
        try:
            refuse_foreign(path, turnstile)
            db = connect(path, "read")
            refuse_without_log(path, db, turnstile)
        finally:
            turnstile.close()
    except StoreRefusedError as error:
        yield Finding(code=error.code, message=error.message, hint=error.hint)
        return
    except (apsw.CorruptError, apsw.NotADBError) as error:
        yield _damaged(error)
        return
    except (apsw.Error, OSError) as error:
        yield _unusable(path, error)
        return
    try:
        for check in (_integrity(db), _schema(db), _mark(db, path)):
            try:
                yield from check
            except apsw.Error as error:
                yield _damaged(error)
    finally:
        db.close()


def check_chains(reader: Reader, runs: Iterable[str] | None = None) -> Iterator[Finding]:
    """Check the hash chain of these runs, or of all: reads every event."""
    for run in _all_runs(reader) if runs is None else runs:
        try:
            row = reader.run(run)
            broken = "there is no such run" if row is None else first_break(run, reader.links(run), row.head.link)
        except (apsw.Error, StorageUnavailableError) as error:
            broken = f"its events cannot be read: {error}"
        if broken is not None:
            yield Finding(
                code="chain_broken",
                message=f"The history of run {run} does not hold together: {broken}.",
                hint=_BACKUP,
                run=run,
            )


def check_access(path: Path) -> Iterator[Finding]:
    """Check that this user may read and write the folder and the files in it."""
    beside = [path, *(path.with_name(path.name + end) for end in ("-wal", "-shm", ".next", ".hold")), path.with_name(FOLDER)]
    for each, wants in ((path.parent, os.R_OK | os.W_OK | os.X_OK), *((file, os.R_OK | os.W_OK) for file in beside)):
        there = _is_there(each)
        if there and not os.access(each, wants):
            lacks = "write" if os.access(each, os.R_OK) else "read"
            yield Finding(
                code="read_only" if lacks == "write" else "unreadable",
                message=f"This user may not {lacks} {each}.",
                hint=f"chmod u+rw{'x' if each.is_dir() else ''} {each}",
            )
            if each == path.parent:  # what lies in it cannot be seen
                return


def check_clock(reader: Reader, now_ms: int) -> Iterator[Finding]:
    """Check that nothing was stored later than it is now."""
    latest_ms = reader.latest_ms()
    if latest_ms is not None and latest_ms - now_ms > CLOCK_AHEAD_MS:
        then = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(latest_ms / 1000))
        yield Finding(
            code="clock_back",
            message=f"Something was stored at {then}, which is still to come: the clock was set back, or was far ahead then.",
            hint="Set the clock right. Runs keep their own time and never go back in it; timers that were counted from then wait until then.",
        )


def _is_there(path: Path) -> bool:
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


def check_blobs(reader: Reader, blobs: Blobs, *, deep: bool = False) -> Iterator[Finding]:
    """Check that every value which commits have named is there in its size; `deep` also reads each and checks its digest."""
    after = ""
    while rows := reader.blobs(after=after, limit=_PAGE):
        for row in rows:
            after = row.digest
            finding = _blob(blobs, row.digest, row.size_bytes, deep=deep)
            if finding is not None:
                users = ", ".join(reader.users_of_blob(row.digest))
                yield Finding(code=finding.code, message=f"{finding.message} Used by: {users}.", hint=finding.hint)


def _blob(blobs: Blobs, digest: str, size_bytes: int, *, deep: bool) -> Finding | None:
    found_bytes = blobs.size_bytes(digest)
    try:
        if found_bytes is None or deep:
            blobs.get(digest)
    except BlobError as error:
        return Finding(code=error.code, message=error.message, hint=error.hint)
    if found_bytes != size_bytes:
        return Finding(
            code="blob_damaged",
            message=f"The value {digest} has {found_bytes} bytes, not {size_bytes}.",
            hint="Restore that file from a backup.",
        )
    return None


def _integrity(db: Db) -> Iterator[Finding]:
    for (complaint,) in db.execute(f"PRAGMA integrity_check({COMPLAINTS_MAX})"):
        if complaint != "ok":
            yield Finding(code="file_damaged", message=f"The file is damaged: {complaint}.", hint=_BACKUP)
    for table, *_ in islice(db.execute("PRAGMA foreign_key_check"), COMPLAINTS_MAX):
        yield Finding(code="file_damaged", message=f"A row of {table} refers to one that is not there.", hint=_BACKUP)


def _schema(db: Db) -> Iterator[Finding]:
    found = schema.version(db)
    if found > schema.SCHEMA:
        try:
            schema.check_may_write(db, found)
        except RestartThisSessionError as error:
            yield Finding(code=error.code, message=error.message, hint=error.hint)
    elif found == schema.SCHEMA and schema.shape(db) != schema.wanted_shape():
        yield Finding(
            code="schema_changed",
            message="The tables are not those that Treadle makes: somebody has changed the schema.",
            hint="Undo that change, or restore a backup.",
        )


def _mark(db: Db, path: Path) -> Iterator[Finding]:
    turnstile = Turnstile(path)
    try:
        mark = turnstile.read_mark()
    finally:
        turnstile.close()
    store = schema.store_id(db)
    last_seq = db.execute(query("last_seq")).fetchall()[0][0]
    if mark is not None and mark[0] == store and last_seq < mark[1]:
        yield Finding(
            code="history_truncated",
            message=f"The file ends at event {last_seq}, but event {mark[1]} was acknowledged: its log was cut off, or it is an older copy.",
            hint="Restore a newer backup or the missing `-wal` file. To go on without the lost events: `treadle doctor --accept-loss`.",
        )


def _all_runs(reader: Reader) -> Iterator[str]:
    after = 0
    while rows := reader.run_ids(after=after, limit=_PAGE):
        for number, run in rows:
            after = number
            yield run


def _unusable(path: Path, error: apsw.Error | OSError) -> Finding:
    told = unavailable(error) if isinstance(error, apsw.Error) else os_unavailable(error, f"{path} cannot be used")
    return Finding(code=told.code, message=told.message, hint=told.hint)


def _damaged(error: apsw.Error) -> Finding:
    return Finding(code="file_damaged", message=f"The file cannot be read: {type(error).__name__}: {error}.", hint=_BACKUP)
