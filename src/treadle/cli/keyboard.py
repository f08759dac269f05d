"""The keyboard of a terminal: lines that can be waited for beside other things, and given up when the question is answered elsewhere.

The terminal edits the line itself (its canonical mode). Two traps of that mode are met here: several lines that were pasted at once are one answer,
so that the second line of a paste cannot answer the next question; and a line of 4,095 characters or more was cut by the terminal, so it is
refused instead of taken. While nobody is asked, typing is not echoed, and it is thrown away before the next question.
"""

import asyncio
import contextlib
import os
import select
import sys
import termios
from collections.abc import Iterator
from typing import Final

LINE_BYTES_MAX: Final = 4_095
PASTE_PAUSE_S: Final = 0.03


class LineTooLongError(Exception):
    """The terminal cut what was typed."""


class Keyboard:
    """Reads from the terminal on standard input."""

    def __init__(self) -> None:
        """Take nothing yet."""
        self._fd = sys.stdin.fileno()

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """Do not echo what is typed while the block runs."""
        before = termios.tcgetattr(self._fd)
        silent = termios.tcgetattr(self._fd)
        silent[3] &= ~termios.ECHO
        termios.tcsetattr(self._fd, termios.TCSADRAIN, silent)
        try:
            yield
        finally:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, before)

    def forget(self) -> None:
        """Throw away what was typed before it was asked for."""
        termios.tcflush(self._fd, termios.TCIFLUSH)

    async def lines(self, prompt: str) -> str | None:
        """Read an answer: a line, or all lines that were pasted together; None at the end of input. Raises LineTooLongError."""
        sys.stdout.write(prompt)
        sys.stdout.flush()
        await self._ready()
        data = os.read(self._fd, 1 << 16)
        if not data:
            sys.stdout.write("\n")
            return None
        while select.select([self._fd], [], [], PASTE_PAUSE_S)[0]:
            more = os.read(self._fd, 1 << 16)
            data += more
            if not more:
                break
        if any(len(line) >= LINE_BYTES_MAX for line in data.split(b"\n")):
            raise LineTooLongError
        return data.decode(errors="replace").removesuffix("\n")

    async def _ready(self) -> None:
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        loop.add_reader(self._fd, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(self._fd)


@contextlib.contextmanager
def restored() -> Iterator[None]:
    """Give the terminal back as it was, whatever a child process that shares it did."""
    if not sys.stdin.isatty():
        yield
        return
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)
