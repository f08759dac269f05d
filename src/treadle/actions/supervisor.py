"""The supervisor of one command: a process of its own, which outlives the one that asked for it (ruling 59).

Run by its path with the interpreter alone (`python -I -S supervisor.py FOLDER`), so it imports the standard library only and starts at once.
What to run comes as JSON on standard input, because it holds secrets and a command line is seen by everybody. It is taken only whole.

`FOLDER/lock` is held from before the command begins until its end is on disk: whoever cannot lock it knows that the supervisor lives, and no
process number is ever trusted. `begun` is on disk before the command is; `ended` holds exit code and output. So a folder with `begun`, without
`ended`, whose lock is free, is a command of which nobody knows what became. A second supervisor of the same folder goes away.

A line on the pipe `FOLDER/control`, or the end of the time it was given, stops the command: SIGTERM to its process group, SIGKILL after a grace.
A command that ends by itself may leave others running, as in any shell; what they still write after a moment is not waited for.
"""

import base64
import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

if sys.platform != "win32":
    import fcntl  # only there on POSIX

LOCKED: Final = 3
DRAIN_S: Final = 1.0
KILL_AGAIN_S: Final = 2.0
_LOCK_PATIENCE_S: Final = 5.0
_READ_BYTES: Final = 1 << 16
_FAR_S: Final = 3600.0


class Stream:
    """What a command writes: the beginning and the end of it, each up to half of a limit."""

    def __init__(self, bytes_max: int) -> None:
        """Begin empty."""
        self._half = max(1, bytes_max // 2)
        self._head, self._tail, self.size_bytes = bytearray(), bytearray(), 0

    def add(self, data: bytes) -> None:
        """Take what was read."""
        self.size_bytes += len(data)
        room = self._half - len(self._head)
        self._head += data[:room]
        self._tail += data[room:]
        if len(self._tail) > 4 * self._half:
            del self._tail[: -self._half]

    def told(self) -> dict[str, Any]:
        """Give it for the record."""
        tail = bytes(self._tail[-self._half :])
        return {
            "head": base64.b64encode(self._head).decode(), "tail": base64.b64encode(tail).decode(),
            "left_out_bytes": self.size_bytes - len(self._head) - len(tail),
        }  # fmt: skip


class Supervised:
    """One command on its way."""

    def __init__(self, spec: dict[str, Any], control: int, wake: int) -> None:
        """Begin it. Raises OSError, ValueError if it cannot be begun."""
        self._began_s = time.monotonic()
        self._streams = {"stdout": Stream(spec["output_bytes_max"]), "stderr": Stream(spec["output_bytes_max"])}
        self._grace_s = spec["grace_ms"] / 1000
        timeout_ms = spec["timeout_ms"]
        self._time_out_s = self._began_s + timeout_ms / 1000 if timeout_ms is not None else None
        self._why = "exited"
        self._kill_s: float | None = None
        self._drained_s: float | None = None
        self._process = subprocess.Popen(
            spec["argv"], cwd=spec["cwd"], env=spec["env"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
        self._selector = selectors.DefaultSelector()
        for name, pipe in (("stdout", self._process.stdout), ("stderr", self._process.stderr)):
            if pipe is not None:
                os.set_blocking(pipe.fileno(), False)
                self._selector.register(pipe.fileno(), selectors.EVENT_READ, name)
        self._selector.register(control, selectors.EVENT_READ, "control")
        self._selector.register(wake, selectors.EVENT_READ, "wake")
        self._open = 2

    def finish(self) -> dict[str, Any]:
        """Stay with it until it has ended; gives the record."""
        while not self._has_ended():
            for key, _ in self._selector.select(self._patience_s()):
                self._take(key.data, key.fd)
        code = self._process.wait()
        return {
            "how": self._why, "exit_code": 128 - code if code < 0 else code, "signal": -code if code < 0 else None,
            "duration_ms": round((time.monotonic() - self._began_s) * 1000), **{name: s.told() for name, s in self._streams.items()},
        }  # fmt: skip

    def _take(self, name: str, handle: int) -> None:
        try:
            data = os.read(handle, _READ_BYTES)
        except BlockingIOError:
            return
        if name == "control":
            self._stop("stopped")
        elif name in self._streams and data:
            self._streams[name].add(data)
        elif name in self._streams:
            self._selector.unregister(handle)
            self._open -= 1

    def _has_ended(self) -> bool:
        now_s = time.monotonic()
        if self._time_out_s is not None and now_s >= self._time_out_s and self._drained_s is None:
            self._stop("timed_out")
        if self._kill_s is not None and now_s >= self._kill_s:
            self._signal(signal.SIGKILL)
            self._kill_s = now_s + KILL_AGAIN_S
        if self._drained_s is None and self._is_over():
            self._drained_s = now_s + (DRAIN_S if self._kill_s is None else self._grace_s + DRAIN_S)
        if self._drained_s is None or (self._open and now_s < self._drained_s):
            return False
        if self._kill_s is not None:
            self._signal(signal.SIGKILL)  # what is left of a group that was told to go
        return True

    def _is_over(self) -> bool:
        """Tell whether the command itself has ended, without burying it: until then its group's number is nobody else's."""
        if hasattr(os, "waitid"):
            return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        return self._process.poll() is not None

    def _stop(self, why: str) -> None:
        if self._kill_s is None and self._drained_s is None:
            self._why, self._kill_s = why, time.monotonic() + self._grace_s
            self._signal(signal.SIGTERM)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _patience_s(self) -> float:
        times = [each for each in (self._kill_s, self._drained_s) if each is not None]
        if self._time_out_s is not None and self._kill_s is None and self._drained_s is None:
            times.append(self._time_out_s)
        return max(0.0, min([*times, time.monotonic() + _FAR_S]) - time.monotonic())


def main() -> int:
    """Take what to do, make sure of being the only one, and go on alone."""
    os.chdir(sys.argv[1])
    spec = json.loads(sys.stdin.buffer.read())
    lock = os.open("lock", os.O_RDWR | os.O_CREAT, 0o600)
    if not _locked(lock) or Path("begun").exists():
        return LOCKED
    control = os.open("control", os.O_RDWR | os.O_NONBLOCK)
    _write("begun", {"argv": spec["argv"][:1]})
    if os.fork():
        return 0
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    _write("ended", _ended(spec, control))
    return 0


def _ended(spec: dict[str, Any], control: int) -> dict[str, Any]:
    wake, told = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(told, False)
    signal.set_wakeup_fd(told)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    try:
        return Supervised(spec, control, wake).finish()
    except (OSError, ValueError) as error:
        return {"how": "not_started", "error": f"{getattr(error, 'strerror', None) or error}"}


def _locked(lock: int) -> bool:
    """Lock it; who merely looks whether it is locked holds it for an instant."""
    until_s = time.monotonic() + _LOCK_PATIENCE_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if Path("begun").exists() or time.monotonic() > until_s:
                return False
            time.sleep(0.01)
        else:
            return True


def _write(name: str, data: dict[str, Any]) -> None:
    handle = os.open(f"{name}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(data, file)
        file.flush()
        os.fsync(file.fileno())
    Path(f"{name}.new").replace(name)
    folder = os.open(".", os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


if __name__ == "__main__":
    sys.exit(main())
