"""Mended files: read as bytes, written back whole or not at all, never over what somebody else has written meanwhile."""

import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from treadle.authoring.find import LIBRARY_DIR, Entry, Finder
from treadle.authoring.mend import Mended, mend
from treadle.authoring.mend_ground import Ground
from treadle.authoring.yaml_reader import FILE_BYTES_MAX, read_text
from treadle.core.errors import RequestError

_MARK: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, kw_only=True)
class MendedFile:
    """A file and what mending makes of it. `mended` is None where the file holds no text that could be read."""

    path: Path
    shown: str
    data: bytes
    mended: Mended | None

    @property
    def is_changed(self) -> bool:
        """Tell whether there is anything to write."""
        return self.mended is not None and self.mended.is_changed

    def write(self) -> None:
        """Replace the file in one move, with its mode; a link stays one. Raises RequestError, and then the file is as it was."""
        if self.mended is None or not self.mended.is_changed:
            return
        target = self.path.resolve()
        data = self.data[: len(_MARK) * self.data.startswith(_MARK)] + self.mended.text.encode()
        try:
            mode = stat.S_IMODE(target.stat().st_mode)
            if not mode & 0o222 or not os.access(target, os.W_OK):
                raise RequestError(f"{self.shown} may not be written", code="read_only_file", hint="make it writable, or see `--diff`")
            _replace(target, self.data, data, mode, self.shown)
        except OSError as error:
            message = f"{self.shown} could not be written: {error.strerror or error}"
            raise RequestError(message, code="not_written", hint="it is as it was; `--diff` shows what would be written") from error


def mend_file(finder: Finder, wanted: str | Path) -> MendedFile:
    """Mend a file in memory. Raises RequestError for what is not the user's to change, and as `Finder.entry` does."""
    entry = finder.entry(wanted)
    if entry.origin == "library" or entry.path.resolve().is_relative_to(LIBRARY_DIR):
        message = f"{entry.shown} belongs to Treadle's library and is not changed"
        raise RequestError(message, code="library_file", hint="copy it into your project's `workflows/` and mend the copy")
    data = entry.path.read_bytes() if entry.path.stat().st_size <= FILE_BYTES_MAX else b""
    try:
        text = data.removeprefix(_MARK).decode()
    except UnicodeDecodeError:
        return MendedFile(path=entry.path, shown=entry.shown, data=data, mended=None)
    if entry.foreign or not text:
        return MendedFile(path=entry.path, shown=entry.shown, data=data, mended=None)
    return MendedFile(path=entry.path, shown=entry.shown, data=data, mended=mend(text, lambda changed: examine(finder, entry, changed)))


def examine(finder: Finder, entry: Entry, text: str) -> Ground:
    """Check a text as if it stood in a file."""
    loaded = finder.load(entry, read_text(text, entry.shown))
    return Ground(text, loaded.tree, [problem for problem in loaded.problems if problem.file == entry.shown])


def _replace(target: Path, before: bytes, after: bytes, mode: int, shown: str) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(after)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode)
        if target.read_bytes() != before:
            raise RequestError(f"{shown} was changed while it was being mended", code="file_changed", hint="try once more")
        Path(name).replace(target)
    finally:
        Path(name).unlink(missing_ok=True)
