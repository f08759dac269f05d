"""Values beside the database: one file per value, named by the SHA-256 of its bytes (ruling 11).

A blob is on disk, under its final name, before the commit that names it begins: written under a temporary name, forced,
renamed, and the folder forced. So a crash leaves at worst a blob that nobody names, never a name without its blob. What
is read is checked against its name. Temporary names start with a dot and may be removed when they are a day old.
"""

import contextlib
import hashlib
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from treadle.engine.embedded import faults
from treadle.engine.embedded.errors import BlobError, os_unavailable

FOLDER: Final = "blobs"
_HEX: Final = frozenset("0123456789abcdef")


def digest_of(value: bytes) -> str:
    """Give the name of a value."""
    return hashlib.sha256(value).hexdigest()


class Blobs:
    """The blob folder of one store. Every call may wait for the disk; repeating one is harmless."""

    def __init__(self, root: Path) -> None:
        """`root` need not be there yet."""
        self.root = root

    def put(self, value: bytes) -> str:
        """Store a value and give its digest; when this returns, it is on disk. Raises StorageUnavailableError."""
        digest = digest_of(value)
        path = self._path(digest)
        try:
            self._put(path, value)
        except OSError as error:
            raise os_unavailable(error, f"A value of {len(value)} bytes could not be stored beside the database") from error
        faults.point("blob.stored")
        return digest

    def get(self, digest: str) -> bytes:
        """Read a value. Raises BlobError `blob_missing` or `blob_damaged`."""
        try:
            value = self._path(digest).read_bytes()
        except FileNotFoundError as error:
            raise BlobError(
                f"The value {digest} is missing from {self.root}.",
                hint="Restore that folder from a backup; `treadle doctor` lists the runs that need it.",
                code="blob_missing",
            ) from error
        except OSError as error:
            raise BlobError(
                f"The value {digest} cannot be read: {error}.",
                hint="Check the disk and the rights of the folder, then try again.",
            ) from error
        if digest_of(value) != digest:
            raise BlobError(
                f"The value {digest} in {self.root} is not what its name says: the file was changed or damaged.",
                hint="Restore that file from a backup; `treadle doctor` lists the runs that need it.",
            )
        return value

    def size_bytes(self, digest: str) -> int | None:
        """Give the size of a stored value, None if it is not there."""
        try:
            return self._path(digest).stat().st_size
        except OSError:
            return None

    def digests(self) -> Iterator[str]:
        """Walk all stored values, in no particular order."""
        for path in self.root.glob("??/*"):
            if not path.name.startswith("."):
                yield path.parent.name + path.name

    def remove_old(self, digest: str, young_s: float) -> int | None:
        """Take a file away that nobody has touched for so long; gives its size, None if it stays. Only where no commit can name it now.

        Renamed and looked at again: whoever puts the same value meanwhile finds it gone and writes it anew, or has made it young.
        """
        path = self._path(digest)
        aside = path.with_name(f".gone-{path.name}")
        try:
            if _age_s(path) < young_s:
                return None
            path.replace(aside)
            faults.point("prune.blob_aside")
            if _age_s(aside) < young_s:
                aside.replace(path)
                return None
            size_bytes = aside.stat().st_size
            aside.unlink()
        except FileNotFoundError:
            return 0
        return size_bytes

    def remove_temporary(self, old_s: float) -> None:
        """Take away what a killed process left under a temporary name."""
        for path in self.root.glob("??/.*"):
            with contextlib.suppress(FileNotFoundError):
                if _age_s(path) >= old_s:
                    path.unlink()

    def _put(self, path: Path, value: bytes) -> None:
        faults.point("blob.before_write")
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_size == len(value):
                os.utime(path)  # young again: a collection that runs now leaves it alone
                _force_folder(path.parent)  # whoever renamed it may not have come that far
                return
        new_folder = not path.parent.exists()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = path.with_name(f".{uuid.uuid4().hex}")
        try:
            _write_through(temporary, value)
            faults.point("blob.before_rename")
            temporary.replace(path)
        except BaseException:  # a half-written file must not stay, whatever broke in
            temporary.unlink(missing_ok=True)
            raise
        faults.point("blob.renamed")
        _force_folder(path.parent)
        if new_folder:
            _force_folder(path.parent.parent)
            _force_folder(path.parent.parent.parent)

    def _path(self, digest: str) -> Path:
        if len(digest) != 64 or not _HEX.issuperset(digest):
            raise BlobError(f"{digest!r} is no digest of a value.", hint="This is a bug of Treadle: report it.", code="blob_digest")
        return self.root / digest[:2] / digest[2:]


def _age_s(path: Path) -> float:
    return time.time() - path.stat().st_mtime


def _write_through(path: Path, value: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(value)
        file.flush()
        os.fsync(file.fileno())


def _force_folder(path: Path) -> None:
    if os.name == "nt":  # folders cannot be forced there
        return
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
