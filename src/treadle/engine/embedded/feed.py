"""The change feed: noticing what any process has stored (ruling 38).

Within the process the writer wakes whoever waits. Other processes are noticed by `PRAGMA data_version`, a question of
two microseconds, asked every 15 ms while somebody waits with urgency and every 250 ms otherwise; with nobody waiting it
is not asked at all. One asking serves all who wait. What was stored is then read as `event WHERE seq > last`.
"""

import asyncio
import contextlib
import threading
import time
from typing import Final

from treadle.engine.embedded.errors import StorageUnavailableError, closed
from treadle.engine.embedded.reader import Change, Reader

URGENT_S: Final = 0.015
IDLE_S: Final = 0.25


class Feed:
    """Lets coroutines of one event loop wait for changes."""

    def __init__(self, reader: Reader) -> None:
        """`reader` belongs to the loop's thread."""
        self._reader = reader
        self._waiters: dict[asyncio.Future[None], float] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._poll: asyncio.TimerHandle | None = None
        self._poll_at_s = 0.0
        self._version = -1

    async def wait(self, after_seq: int, *, timeout_s: float | None = None, urgent: bool = True) -> list[Change]:
        """Give what was stored after `after_seq`, waiting for it if there is nothing; empty after `timeout_s`.

        Raises StorageUnavailableError if the store cannot be read.
        """
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        until_s = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            # The version is taken before the rows: what is stored in between wakes us once too often, never too seldom.
            version = self._reader.data_version()
            changes = self._reader.changes(after_seq)
            left_s = None if until_s is None else until_s - time.monotonic()
            if changes or (left_s is not None and left_s <= 0):
                return changes
            await self._woken(version, IDLE_S if not urgent else URGENT_S, left_s)

    def wake(self) -> None:
        """Say that this process has stored something; from any thread."""
        loop = self._loop
        if loop is None or not self._waiters:
            return
        if threading.get_ident() == self._thread:
            self._wake_all()
        else:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(self._wake_all)

    def close(self) -> None:
        """Stop asking; who still waits gets StorageUnavailableError."""
        if self._poll is not None:
            self._poll.cancel()
        for waiter in list(self._waiters):
            if not waiter.done():
                waiter.set_exception(closed())

    async def _woken(self, version: int, poll_s: float, left_s: float | None) -> None:
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        if not self._waiters:
            self._version = version
        self._waiters[waiter] = poll_s
        self._plan(loop, poll_s)
        try:
            async with asyncio.timeout(left_s):
                await waiter
        except TimeoutError:
            return
        finally:
            self._waiters.pop(waiter, None)

    def _plan(self, loop: asyncio.AbstractEventLoop, poll_s: float) -> None:
        at_s = loop.time() + poll_s
        if self._poll is not None:
            if self._poll_at_s <= at_s:
                return
            self._poll.cancel()
        self._poll_at_s = at_s
        self._poll = loop.call_at(at_s, self._ask, loop)

    def _ask(self, loop: asyncio.AbstractEventLoop) -> None:
        self._poll = None
        if not self._waiters:
            return
        try:
            version = self._reader.data_version()
        except StorageUnavailableError:
            version = -1  # those who wait meet the error themselves
        if version != self._version:
            self._version = version
            self._wake_all()
        self._plan(loop, min(self._waiters.values()))

    def _wake_all(self) -> None:
        for waiter in list(self._waiters):
            if not waiter.done():
                waiter.set_result(None)
