"""What a server says beside the protocol: stderr, and lines on stdout that are no messages.

The last lines stay in memory for error messages; all go to a file that is turned over at a fixed size. A server that floods is read no
faster than a fixed rate, so it waits for us, and not the other way round. Secrets are taken out before anything is kept; a line that is too
long is cut where no secret can have begun.
"""

import collections
import contextlib
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from treadle.config.redact import Redactor

RING_LINES = 200
LINE_CHARS = 2_000
FILE_BYTES_MAX = 2 << 20
RATE_BYTES = 1 << 20
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]")


class ServerLog:
    """The log of one server, over all its restarts. A log that cannot be written costs the log, never a call."""

    def __init__(self, file: Path | None, clock: Callable[[], float], redactor: Redactor | None = None) -> None:
        """Write to `file` (its directory is made), or keep the ring alone. `clock` gives seconds; `redactor` knows the secrets."""
        self._redactor = redactor or Redactor()
        self._path = file
        self._file: IO[bytes] | None = None
        self._size = 0
        self._clock = clock
        self._ring: collections.deque[str] = collections.deque(maxlen=RING_LINES)
        self._begun = b""
        self._window = (0.0, 0)

    def begin(self) -> None:
        """Start afresh for a new process: errors quote what that one said."""
        self._ring.clear()
        self._begun = b""
        self._write_line("[treadle] the server is started")

    def tail(self, count: int = 5) -> str:
        """Give the last lines as one text."""
        lines = [*self._ring, *([self._clean(self._begun)] if self._begun.strip() else [])]
        return "\n".join(lines[-count:])

    def stderr(self, data: bytes) -> float:
        """Take stderr in; give the seconds to wait before reading on (0 unless it floods)."""
        *lines, self._begun = (self._begun + data).split(b"\n")
        if len(self._begun) > LINE_CHARS + self._redactor.reach_chars:
            begun = self._redactor.exact(self._begun.decode(errors="surrogateescape")).encode(errors="surrogateescape")
            at = len(begun) - self._redactor.reach_chars
            lines.append(begun[:at])
            self._begun = begun[at:]
        for line in lines:
            self._line(self._clean(line))
        now = self._clock()
        start, read = self._window
        self._window = (start, read + len(data)) if now - start < 1 else (now, len(data))
        return max(0.0, self._window[0] + 1 - now) if self._window[1] > RATE_BYTES else 0.0

    def note(self, text: str) -> None:
        """Add a remark of our own to the file."""
        self._write_line(self._clean(f"[treadle] {text}".encode()))

    def redacted(self, text: str) -> str:
        """Take secrets out of what else the server says."""
        return self._redactor.text(text)

    def close(self) -> None:
        """Write what has no line end yet, and close the file; the next line opens it again."""
        if self._begun:
            self._line(self._clean(self._begun))
            self._begun = b""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _clean(self, raw: bytes) -> str:
        """Make a line safe to keep: no secrets, no control or direction characters, of bounded length."""
        text = self._redactor.text(_CONTROL.sub("", raw[: 4 * LINE_CHARS].decode("utf-8", "replace")).rstrip())
        return text if len(text) <= LINE_CHARS else f"{text[:LINE_CHARS]}…"

    def _line(self, line: str) -> None:
        if not line:
            return
        self._ring.append(line)
        self._write_line(line)

    def _write_line(self, line: str) -> None:
        if self._path is None:
            return
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        with contextlib.suppress(OSError):
            self._write(self._path, f"{stamp} {line}\n".encode())

    def _write(self, path: Path, data: bytes) -> None:
        if self._file is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab", buffering=0)
            self._size = path.stat().st_size
        if self._size + len(data) > FILE_BYTES_MAX:
            self._file.close()
            self._file = None
            path.replace(path.with_suffix(path.suffix + ".1"))
            self._write(path, data)
            return
        self._file.write(data)
        self._size += len(data)
