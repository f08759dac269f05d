"""A store in one file, made while others write, and put back.

Theory of operation
-------------------
A backup is a zip: `treadle.db`, a copy that SQLite makes within one read transaction (`VACUUM INTO`), the values that this copy names below
`blobs/`, and `manifest.json` with digests and counts. The copy comes first. So it holds all that was acknowledged when it began, and every value it
names was on disk by then. A value that is gone was collected meanwhile, together with its run; the copy is then made anew.

Putting it back unpacks it beside the store, checks every digest, the file, every chain and every value there, and only then touches the store:
under the turnstile, when no other connection is open, which SQLite's own lock tells (leaving WAL mode takes it alone). What was there is set
aside: the file as it is, the values by links. New values are added to the folder before the file is replaced, in one step, by rename. A kill
leaves the old store or the new one, and values that nobody names, which pruning collects.

The restored store has a new id, so that the high-water mark of the old one does not count, and no lease: whoever held an action held it in another
store. A process that was about to open the old file finds it replaced when it comes to the turnstile, and opens the new one (`store.py`).
"""

import contextlib
import hashlib
import json
import os
import shutil
import time
import uuid
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Final

import apsw

from treadle.engine.embedded import checks, faults, place, schema
from treadle.engine.embedded.blobs import FOLDER as BLOB_FOLDER
from treadle.engine.embedded.blobs import Blobs
from treadle.engine.embedded.connection import connect
from treadle.engine.embedded.errors import BlobError, StorageUnavailableError, StoreError, os_unavailable, unavailable
from treadle.engine.embedded.place import FILE
from treadle.engine.embedded.queries import query
from treadle.engine.embedded.reader import Reader
from treadle.engine.embedded.turnstile import Turnstile

FORMAT: Final = "treadle-backup"
FORMAT_NUMBER: Final = 1
MANIFEST: Final = "manifest.json"
MANIFEST_BYTES_MAX: Final = 1 << 16
TRIES: Final = 3
IN_USE_MS: Final = 500
ROOM_BYTES: Final = 64 << 20
_CHUNK_BYTES: Final = 1 << 20
_LEFT_OVER_S: Final = 86_400.0

Progress = Callable[[str, int, int], None]


class BackupError(StoreError):
    """A file is no backup, or not whole; or the store cannot be replaced. Nothing was changed."""

    code = "backup_damaged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a backup says of itself."""

    format: str
    number: int
    schema: int
    store: str
    made_at_ms: int
    last_seq: int
    runs: int
    database_bytes: int
    database_sha256: str
    blobs: int
    blob_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What was put back, and where what was there stands now; None if nothing was."""

    manifest: Manifest
    aside: Path | None


# Making one


def make_backup(path: Path, target: Path, told: Progress) -> Manifest:
    """Write a store to a new file. Raises BackupError `file_exists`, StorageUnavailableError, BlobError."""
    if target.exists():
        raise BackupError(f"{target} is there already, and was left as it is.", hint="Name another file.", code="file_exists")
    new = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    try:
        _clear_left_over(target)
        manifest = _written_again(path, new, told)
        new.rename(target)
        _force_folder(target.absolute().parent)
    except OSError as error:
        raise os_unavailable(error, f"{target} could not be written") from error
    except apsw.Error as error:
        raise unavailable(error) from error
    finally:
        new.unlink(missing_ok=True)
    return manifest


def _clear_left_over(target: Path) -> None:
    """Take away what a killed process left of the same backup."""
    for each in target.absolute().parent.iterdir():
        if each.name.startswith(f".{target.name}.") and time.time() - each.stat().st_mtime > _LEFT_OVER_S:
            each.unlink(missing_ok=True)


def _written_again(path: Path, new: Path, told: Progress) -> Manifest:
    """Write it anew for as long as runs that it holds are pruned meanwhile."""
    for _ in range(TRIES - 1):
        try:
            return _written(path, new, told)
        except BlobError:
            if not _collected_meanwhile(path):
                raise
    return _written(path, new, told)


def _written(path: Path, new: Path, told: Progress) -> Manifest:
    copy = new.with_name(new.name + ".db")
    blobs = Blobs(path.with_name(BLOB_FOLDER))
    try:
        number = _copy(path, copy)
        with new.open("wb") as file:
            new.chmod(0o600)
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive, _copied(copy) as reader:
                digest = _add_file(archive, copy, FILE, told)
                count = size_bytes = 0
                total = sum(1 for _ in _all_blobs(reader))
                for each in _all_blobs(reader):
                    archive.writestr(_entry(f"{BLOB_FOLDER}/{each}"), blobs.get(each), zipfile.ZIP_DEFLATED, 1)
                    count, size_bytes = count + 1, size_bytes + (blobs.size_bytes(each) or 0)
                    told("values", count, total)
                manifest = Manifest(
                    format=FORMAT, number=FORMAT_NUMBER, schema=number, store=reader.store_id(), made_at_ms=time.time_ns() // 1_000_000,
                    last_seq=reader.last_seq(), runs=sum(reader.counts().values()), database_bytes=copy.stat().st_size, database_sha256=digest,
                    blobs=count, blob_bytes=size_bytes,
                )  # fmt: skip
                archive.writestr(_entry(MANIFEST), json.dumps(asdict(manifest), indent=1))
            file.flush()
            os.fsync(file.fileno())
    finally:
        copy.unlink(missing_ok=True)
    return manifest


def _copy(path: Path, copy: Path) -> int:
    """Copy the file; gives its schema number."""
    os.close(os.open(copy, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    db = connect(path, "read")
    try:
        db.execute("PRAGMA query_only = OFF")  # SQLite counts this as writing; what is written is the copy
        db.execute("VACUUM INTO ?", (str(copy),))
        return schema.version(db)
    finally:
        db.close()


def _collected_meanwhile(path: Path) -> bool:
    """Tell whether every value that the store names now is there."""
    reader = Reader(connect(path, "read"))
    try:
        return not any(checks.check_blobs(reader, Blobs(path.with_name(BLOB_FOLDER))))
    finally:
        reader.close()


def _add_file(archive: zipfile.ZipFile, path: Path, name: str, told: Progress) -> str:
    seen, total, done = hashlib.sha256(), path.stat().st_size, 0
    with path.open("rb") as source, archive.open(_entry(name), "w", force_zip64=True) as sink:
        while chunk := source.read(_CHUNK_BYTES):
            seen.update(chunk)
            sink.write(chunk)
            done += len(chunk)
            told("file", done, total)
    return seen.hexdigest()


def _entry(name: str) -> zipfile.ZipInfo:
    found = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    found.compress_type, found.external_attr = zipfile.ZIP_DEFLATED, 0o600 << 16
    return found


# Looking into one


def unpack(source: Path, folder: Path, told: Progress) -> Manifest:
    """Unpack a backup into a folder of its own, and check all of it there. Raises BackupError, RestartThisSessionError, StorageUnavailableError."""
    try:
        with zipfile.ZipFile(source) as archive:
            manifest = _manifest(source, archive)
            free = shutil.disk_usage(folder).free
            if manifest.database_bytes + manifest.blob_bytes + ROOM_BYTES > free:
                wanted = (manifest.database_bytes + manifest.blob_bytes) >> 20
                raise StorageUnavailableError(
                    f"The backup holds {wanted:,} MiB, and {free >> 20:,} MiB are free.", hint="Make room, then try again.", reason="full"
                )
            _unpack(archive, manifest, folder, told)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, NotImplementedError, RuntimeError, zlib.error) as error:
        raise _damaged(f"{source} is no whole zip file: {error}") from error
    except OSError as error:
        raise os_unavailable(error, f"{source} could not be unpacked") from error
    _check(folder / FILE, manifest, told)
    return manifest


def _manifest(source: Path, archive: zipfile.ZipFile) -> Manifest:
    try:
        if archive.getinfo(MANIFEST).file_size > MANIFEST_BYTES_MAX:
            raise _damaged("its manifest is too large")
        told = json.loads(archive.read(MANIFEST))
        if told["format"] == FORMAT and told["number"] != FORMAT_NUMBER:
            raise BackupError(
                f"{source} has format number {told['number']!r}; this Treadle reads {FORMAT_NUMBER}.", hint="Use a newer Treadle.",
                code="backup_newer",
            )  # fmt: skip
        manifest = Manifest(**told)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise BackupError(f"{source} is no backup of Treadle.", hint="`treadle backup FILE` makes one.", code="not_a_backup") from error
    for name, value in asdict(manifest).items():
        sound = isinstance(value, str) if Manifest.__annotations__[name] is str else type(value) is int and 0 <= value < 1 << 62
        if not sound or (name == "format" and value != FORMAT):
            raise _damaged(f"its manifest says {str(value)[:100]!r} for {name}")
    return manifest


def _unpack(archive: zipfile.ZipFile, manifest: Manifest, folder: Path, told: Progress) -> None:
    count, blob_bytes, names = 0, 0, set[str]()
    for entry in archive.infolist():
        if entry.filename in names:
            raise _damaged(f"it has {entry.filename!r} twice")
        names.add(entry.filename)
        if entry.filename == MANIFEST:
            continue
        with archive.open(entry) as source:
            if entry.filename == FILE:
                digest, size_bytes = _take(source, folder / FILE, manifest.database_bytes)
                if (digest, size_bytes) != (manifest.database_sha256, manifest.database_bytes):
                    raise _damaged("its database is not what its digest says")
                continue
            top, _, digest = entry.filename.partition("/")
            if top != BLOB_FOLDER or len(digest) != 64 or set(digest) - set("0123456789abcdef"):
                raise _damaged(f"it holds {entry.filename[:100]!r}, which no backup has")
            to = folder / BLOB_FOLDER / digest[:2] / digest[2:]
            to.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            found, size_bytes = _take(source, to, manifest.blob_bytes - blob_bytes)
            if found != digest:
                raise _damaged(f"the value {digest} is not what its name says")
            count, blob_bytes = count + 1, blob_bytes + size_bytes
            told("values", count, manifest.blobs)
    if FILE not in names or (count, blob_bytes) != (manifest.blobs, manifest.blob_bytes):
        raise _damaged("something that its manifest counts is missing")


def _take(source: IO[bytes], to: Path, most_bytes: int) -> tuple[str, int]:
    """Write a part to a file, no more than was said: a small zip can hold very much."""
    seen, size_bytes = hashlib.sha256(), 0
    with os.fdopen(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as sink:
        while chunk := source.read(_CHUNK_BYTES):
            size_bytes += len(chunk)
            if size_bytes > most_bytes:
                raise _damaged("it holds more than its manifest says")
            seen.update(chunk)
            sink.write(chunk)
    return seen.hexdigest(), size_bytes


def _check(path: Path, manifest: Manifest, told: Progress) -> None:
    """Check an unpacked store whole; what any of the checks finds refuses it."""
    told("checking", 0, 3)
    findings = list(checks.check_file(path))
    if not findings:
        with _copied(path) as reader:
            told("checking", 1, 3)
            findings = [*checks.check_chains(reader), *checks.check_blobs(reader, Blobs(path.with_name(BLOB_FOLDER)))]
            counted = (reader.store_id(), reader.last_seq(), sum(reader.counts().values()))
        if not findings and counted != (manifest.store, manifest.last_seq, manifest.runs):
            raise _damaged("its manifest is of another database")
    if findings:
        first = findings[0]
        if first.code == "restart_this_session":
            raise BackupError(first.message, hint="Upgrade Treadle, then restore it.", code="backup_newer")
        raise _damaged(f"{first.message} ({len(findings)} finding{'s' * (len(findings) != 1)})")
    told("checking", 3, 3)


# Putting one back


@contextlib.contextmanager
def staged(path: Path) -> Generator[Path]:
    """Give a folder beside a store to unpack into; it goes in the end. What a killed process left is taken away after a day."""
    place.refuse_network(path.parent)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for each in path.parent.glob(".restoring-*"):
            if time.time() - each.stat().st_mtime > _LEFT_OVER_S:
                shutil.rmtree(each, ignore_errors=True)
        folder = path.parent / f".restoring-{uuid.uuid4().hex[:8]}"
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise os_unavailable(error, f"Nothing can be unpacked beside {path}") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def replace_store(path: Path, folder: Path, manifest: Manifest, *, wait_ms: int = IN_USE_MS) -> Restored:
    """Put what `unpack` has checked in the place of a store; there need be none. Raises BackupError `store_in_use`, StorageUnavailableError."""
    try:
        store = _renamed(folder / FILE)
        faults.point("restore.checked")
        turnstile = Turnstile(path)
        try:
            _enter(turnstile, path, wait_ms)
            try:
                aside = _swap(path, folder, wait_ms)
                turnstile.write_mark(store, manifest.last_seq)
            finally:
                turnstile.leave()
        finally:
            turnstile.close()
    except OSError as error:
        raise os_unavailable(error, f"The store {path} could not be replaced") from error
    except apsw.Error as error:
        raise unavailable(error) from error
    return Restored(manifest=manifest, aside=aside)


def _enter(turnstile: Turnstile, path: Path, wait_ms: int) -> None:
    give_up_s = time.monotonic() + wait_ms / 1000
    while not turnstile.try_enter():
        if time.monotonic() > give_up_s:
            raise _in_use(path)
        time.sleep(0.005)


def _renamed(path: Path) -> str:
    """Give the unpacked store an id of its own, and end every lease in it."""
    db = connect(path, "write")
    try:
        store = uuid.uuid4().hex
        db.execute("BEGIN IMMEDIATE")
        db.execute(query("rename_store"), (store,))
        db.execute(query("end_leases"))
        db.execute("COMMIT")
    finally:
        db.close()
    return store


def _swap(path: Path, folder: Path, wait_ms: int) -> Path | None:
    was = [each for each in (path, path.with_name(path.name + "-wal")) if each.exists() and each.stat().st_size]
    aside = _set_aside(path, wait_ms) if was else None
    faults.point("restore.aside")
    for new in (folder / BLOB_FOLDER).glob("??/*"):
        to = path.with_name(BLOB_FOLDER) / new.parent.name / new.name
        to.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new.replace(to)
    if hasattr(os, "sync"):
        os.sync()  # the values, before the file that names them
    faults.point("restore.values")
    (folder / FILE).replace(path)
    _force_folder(path.parent)
    faults.point("restore.replaced")
    return aside


def _set_aside(path: Path, wait_ms: int) -> Path:
    """Keep what is there beside it, under the time; raises if anybody has it open."""
    if path.exists() and path.stat().st_size:
        _let_go(path, wait_ms)
    aside = path.with_name(time.strftime(f"replaced-%Y%m%dT%H%M%SZ-{uuid.uuid4().hex[:4]}", time.gmtime()))
    aside.mkdir(mode=0o700)
    for old in path.with_name(BLOB_FOLDER).glob("??/*"):
        if not old.name.startswith("."):
            to = aside / BLOB_FOLDER / old.parent.name / old.name
            to.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _keep(old, to)
    if path.exists():
        _keep(path, aside / FILE)
    for end in ("-wal", "-shm"):
        # Of a damaged file they are still there, and SQLite would take the log for one of the new file.
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + end).replace(aside / (FILE + end))
    return aside


def _keep(old: Path, to: Path) -> None:
    try:
        os.link(old, to)
    except OSError:  # a file system without links
        shutil.copy2(old, to)


def _let_go(path: Path, wait_ms: int) -> None:
    """Move the log into the file and leave WAL mode, which SQLite grants to the only connection; a file that it cannot read stays as it is."""
    try:
        db = connect(path, "write")
        try:
            db.set_busy_timeout(wait_ms)
            mode = db.execute("PRAGMA journal_mode = DELETE").fetchall()[0][0]
        finally:
            db.close()
    except (apsw.BusyError, apsw.LockedError) as error:
        raise _in_use(path) from error
    except (apsw.CorruptError, apsw.NotADBError):
        return
    if mode != "delete":
        raise _in_use(path)


def _in_use(path: Path) -> BackupError:
    return BackupError(
        f"Another process has {path} open; nothing was replaced.", hint="End it (`treadle doctor` names those at work), then try again.",
        code="store_in_use",
    )  # fmt: skip


def _damaged(what: str) -> BackupError:
    return BackupError(f"The backup is damaged: {what}. Nothing was changed.", hint="Use another backup.")


@contextlib.contextmanager
def _copied(path: Path) -> Generator[Reader]:
    reader = Reader(connect(path, "read"))
    try:
        yield reader
    finally:
        reader.close()


def _all_blobs(reader: Reader) -> Iterator[str]:
    after = ""
    while rows := reader.blobs(after=after):
        yield from (row.digest for row in rows)
        after = rows[-1].digest


def _force_folder(path: Path) -> None:
    if os.name == "nt":  # folders cannot be forced there
        return
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
