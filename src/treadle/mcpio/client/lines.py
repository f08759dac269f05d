"""Cutting a byte stream into lines, with a cap on what one line may cost.

Work is linear in the bytes received, however they are chopped. Of a line over the cap only head and tail are kept, enough to find out
whose answer it was; the rest is dropped as it arrives.
"""

from collections.abc import Iterator
from dataclasses import dataclass

KEEP_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class TooLong:
    """A line over the cap. It comes twice: when the cap is passed (`ended` false, no tail yet), and when the line ends."""

    head: bytes
    tail: bytes
    size_bytes: int
    ended: bool


class LineSplitter:
    """Feed it bytes, iterate over lines without their line ends."""

    def __init__(self, line_bytes_max: int) -> None:
        """Cap a line at `line_bytes_max` bytes."""
        self._max = line_bytes_max
        self._parts: list[bytes] = []
        self._size = 0
        self._head: bytes | None = None
        self._tail = b""

    @property
    def held_bytes(self) -> int:
        """Give the size of the line that has begun, including what was dropped of it."""
        return self._size

    def feed(self, data: bytes) -> Iterator[bytes | TooLong]:
        """Take bytes in; give every line that they complete."""
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            yield from self._add(data[start:end])
            yield self._finish()
            start = end + 1
        if start < len(data):
            yield from self._add(data[start:])

    def _add(self, piece: bytes) -> Iterator[TooLong]:
        self._size += len(piece)
        if self._head is None and self._size <= self._max:
            self._parts.append(piece)
            return
        if self._head is None:
            begun = b"".join((*self._parts, piece))
            self._parts = []
            self._head = begun[:KEEP_BYTES]
            self._tail = begun[-KEEP_BYTES:]
            yield TooLong(head=self._head, tail=b"", size_bytes=self._size, ended=False)
            return
        self._tail = (self._tail + piece[-KEEP_BYTES:])[-KEEP_BYTES:]

    def _finish(self) -> bytes | TooLong:
        line: bytes | TooLong
        if self._head is None:
            line = b"".join(self._parts)
        else:
            line = TooLong(head=self._head, tail=self._tail, size_bytes=self._size, ended=True)
        self._parts, self._size, self._head, self._tail = [], 0, None, b""
        return line
