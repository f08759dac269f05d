"""Presence: which processes are at work on a project, told by a lock that the system lets go when one dies.

A process that performs holds an exclusive lock on a file of its own, `.treadle/live/HOLDER`, for as long as it lives. Whoever can lock such a file
knows that its owner is dead, whatever killed it, across containers and restarts of the machine: what the dead one held may be taken at once,
without waiting for its lease. The file stays until that was done, so that a crash in between is made up for by the next process.

Names of holders that are not of this form (a person, an agent's session) are never judged; only their leases run out.
"""

import contextlib
import json
import os
import secrets
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

FOLDER: Final = "live"
_PREFIX: Final = "treadle-"
_BYTES_MAX: Final = 4_096

if sys.platform == "win32":

    def _lock(fd: int) -> bool:  # noqa: ARG001 - without such locks nobody is judged dead, and leases run out
        return False

else:
    import fcntl  # only there on POSIX

    def _lock(fd: int) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """A process that is at work: `serves` tells whether it performs server steps and keeps time."""

    holder: str
    pid: int
    what: str
    serves: bool
    since_ms: int


def new_holder(what: str) -> str:
    """Name this process among all that ever work on a project; performers within it add `/NAME`."""
    return f"{_PREFIX}{what}-{os.getpid()}-{secrets.token_hex(3)}"


def process_of(holder: str) -> str | None:
    """Give the process that a holder belongs to; None for one that is not judged."""
    name = holder.partition("/")[0]
    return name if name.startswith(_PREFIX) and name.isascii() and ".." not in name else None


class Presence:
    """This process's own mark. Leave it after what was held has been let go."""

    def __init__(self, folder: Path, holder: str, *, what: str, serves: bool) -> None:
        """Make the mark and lock it. Raises OSError where the folder cannot be written."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = folder / holder
        mark = {"pid": os.getpid(), "what": what, "serves": serves, "since_ms": time.time_ns() // 1_000_000}
        # Written and locked under a name that nobody looks at: an unlocked mark would be taken for a dead process.
        hidden = folder / f".{holder}"
        self._fd = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600)
        os.write(self._fd, json.dumps(mark).encode())
        _lock(self._fd)
        hidden.rename(self._path)

    def leave(self) -> None:
        """Take the mark away. Safe to call again."""
        if self._fd >= 0:
            self._path.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        """Be present in a block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave."""
        self.leave()


def living(folder: Path) -> list[Present]:
    """List who is at work now. Changes nothing."""
    found: list[Present] = []
    for path in _marks(folder):
        with _opened(path) as fd:
            if fd is not None and not _lock(fd):
                found.append(_read(path.name, fd))
    return found


@contextlib.contextmanager
def dead(folder: Path) -> Iterator[list[str]]:
    """Give the holders whose process died without leaving; when the block ends without an error, their marks are taken away.

    Two processes never get the same one at once.
    """
    with contextlib.ExitStack() as stack:
        found: list[Path] = []
        for path in _marks(folder):
            fd = stack.enter_context(_opened(path))
            if fd is not None and _lock(fd):
                found.append(path)
        yield [path.name for path in found]
        for path in found:
            path.unlink(missing_ok=True)


def is_alive(folder: Path, holder: str) -> bool | None:
    """Tell whether the process behind a holder lives; None where that is not known."""
    process = process_of(holder)
    if process is None:
        return None
    with _opened(folder / process) as fd:
        return fd is not None and not _lock(fd)


def _marks(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.name.startswith(_PREFIX))
    except OSError:  # no folder: nobody was ever here
        return []


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int | None]:
    try:
        fd = os.open(path, os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
    except OSError:  # it has just left
        yield None
        return
    try:
        yield fd
    finally:
        os.close(fd)


def _read(holder: str, fd: int) -> Present:
    try:
        mark = json.loads(os.pread(fd, _BYTES_MAX, 0))
        return Present(
            holder=holder, pid=int(mark["pid"]), what=str(mark["what"]), serves=bool(mark["serves"]),
            since_ms=int(mark["since_ms"]),
        )  # fmt: skip
    except (ValueError, KeyError, TypeError):
        return Present(holder=holder, pid=0, what="unknown", serves=False, since_ms=0)
