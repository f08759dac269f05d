"""The fair lock in front of every write transaction and checkpoint (ruling 33).

SQLite's own busy handler sleeps and retries, and starves whoever is unlucky. Here one takes `next`, then `hold`, then
releases `next`: whoever holds `next` is the one that comes after the present holder, and the kernel keeps the rest in
order on `next`. Both are whole-file locks of the operating system, so the death of a process, even by kill -9, frees
them. They are advisory and only order the writers: what keeps a transaction whole is SQLite's own lock.

Within the process a plain mutex comes first, because two threads that share an open file share its lock. Children do
not inherit the descriptors (PEP 446), so none can keep the lock alive.

The file of `hold` also carries the high-water mark: the store's id and the highest `seq` of an acknowledged commit. It is
written after COMMIT and never forced to disk. A kill -9 cannot lose it, and after a power cut it can only be too low,
never too high; so a store that ends below its mark has lost acknowledged commits (a truncated log, an old copy).

On Windows the locks are those of `msvcrt`; nobody has tested that.
"""

import os
import sys
import threading
import time
from pathlib import Path
from typing import Final

_FLAGS: Final = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
_MARK_BYTES: Final = 32 + 1 + 20
_WRITE_LOCK_BYTE: Final = 120  # of the `-shm` file: WAL_WRITE_LOCK, as SQLite's file format fixes it

if sys.platform == "win32":
    import msvcrt  # only there on Windows

    _FAR: Final = 1 << 30  # the locked byte lies beyond the mark, which stays readable

    def _try_lock(fd: int) -> bool:
        os.lseek(fd, _FAR, os.SEEK_SET)
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _lock(fd: int) -> None:
        while not _try_lock(fd):
            time.sleep(0.002)  # msvcrt itself gives up after ten tries, one a second

    def _unlock(fd: int) -> None:
        os.lseek(fd, _FAR, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)

    def _write_at_start(fd: int, text: bytes) -> None:
        os.lseek(fd, 0, os.SEEK_SET)
        os.write(fd, text)

else:
    import fcntl  # only there on POSIX

    def _try_lock(fd: int) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _lock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX)

    def _unlock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_UN)

    def _write_at_start(fd: int, text: bytes) -> None:
        os.pwrite(fd, text, 0)


class Turnstile:
    """The lock of one store in one process; every entry is answered by exactly one `leave`, from any thread."""

    def __init__(self, store_path: Path) -> None:
        """Open (or make) the two lock files beside the store."""
        self.store_path = store_path
        self.hold_path = store_path.with_name(store_path.name + ".hold")
        self._mutex = threading.Lock()
        self._next = os.open(store_path.with_name(store_path.name + ".next"), _FLAGS, 0o600)
        self._hold = os.open(self.hold_path, _FLAGS, 0o600)

    def try_enter(self) -> bool:
        """Enter if that is possible at once; never waits, so it may be called on an event loop."""
        if not self._mutex.acquire(blocking=False):
            return False
        if _try_lock(self._next):
            entered = _try_lock(self._hold)
            _unlock(self._next)
            if entered:
                return True
        self._mutex.release()
        return False

    def enter(self) -> None:
        """Wait in line and enter. Only for threads that may block."""
        self._mutex.acquire()
        try:
            _lock(self._next)
            try:
                _lock(self._hold)
            finally:
                _unlock(self._next)
        except BaseException:  # whatever broke the wait, the mutex must not stay taken
            self._mutex.release()
            raise

    def leave(self) -> None:
        """Let the next one in."""
        _unlock(self._hold)
        self._mutex.release()

    def others_wait(self) -> bool:
        """Tell, while holding, whether another process stands next in line."""
        if _try_lock(self._next):
            _unlock(self._next)
            return False
        return True

    def read_mark(self) -> tuple[str, int] | None:
        """Give (store id, highest acknowledged seq), None if no mark was ever written. Only while holding."""
        os.lseek(self._hold, 0, os.SEEK_SET)
        store, _, seq = os.read(self._hold, _MARK_BYTES).decode("ascii", errors="replace").partition(" ")
        return (store, int(seq)) if len(store) == 32 and seq.strip().isdigit() else None

    def write_mark(self, store: str, seq: int) -> None:
        """Set the mark. Only while holding."""
        _write_at_start(self._hold, f"{store} {seq:020d}".encode("ascii"))

    def close(self) -> None:
        """Close both files, which also releases them."""
        os.close(self._next)
        os.close(self._hold)


def holder_pids(path: Path) -> list[int]:
    """Name the processes that hold a lock file, as far as the system tells (Linux: /proc/locks)."""
    try:
        inode = str(path.stat().st_ino)
        lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return []
    rows = (line.split() for line in lines if "->" not in line)
    return sorted({int(row[4]) for row in rows if row[1] == "FLOCK" and row[5].rpartition(":")[2] == inode})


def writer_pids(store_path: Path) -> list[int]:
    """Name the processes that hold SQLite's own write lock, with our turnstile or without it, as far as the system tells."""
    try:
        inode = str(store_path.with_name(store_path.name + "-shm").stat().st_ino)
        lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return []
    rows = (line.split() for line in lines if "->" not in line)
    held = (row for row in rows if row[1] != "FLOCK" and row[3] == "WRITE" and row[5].rpartition(":")[2] == inode)
    return sorted({int(row[4]) for row in held if int(row[6]) <= _WRITE_LOCK_BYTE and row[7] in {"EOF", str(_WRITE_LOCK_BYTE)}})


def holders(store_path: Path) -> list[int]:
    """Name the processes in front of whoever wants to write."""
    return sorted({*holder_pids(store_path.with_name(store_path.name + ".hold")), *writer_pids(store_path)})
