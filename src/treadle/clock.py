"""Time: the machine's, and one that a test moves."""

import asyncio
import contextlib
import time


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        """Give UTC epoch milliseconds."""
        return time.time_ns() // 1_000_000

    async def wait(self, until_ms: int | None, wake: asyncio.Event) -> None:
        """Return at an instant or when woken."""
        seconds = None if until_ms is None else max(0.0, (until_ms - self.now_ms()) / 1000)
        # Not `wait_for`: up to Python 3.11 it forgets a cancellation that comes together with the wake.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await wake.wait()


class FakeClock:
    """A clock that stands until it is moved; whoever waits for a passed instant goes on."""

    def __init__(self, at_ms: int = 1_700_000_000_000) -> None:
        """Begin at an instant."""
        self._at_ms = at_ms
        self._moved = asyncio.Event()

    def now_ms(self) -> int:
        """Give the instant at which it stands."""
        return self._at_ms

    def advance(self, by_ms: int) -> None:
        """Move it on."""
        self._at_ms += by_ms
        self._moved.set()
        self._moved = asyncio.Event()

    async def wait(self, until_ms: int | None, wake: asyncio.Event) -> None:
        """Return when it was moved to or past an instant, or when woken."""
        while not wake.is_set() and (until_ms is None or self._at_ms < until_ms):
            waits = {asyncio.ensure_future(wake.wait()), asyncio.ensure_future(self._moved.wait())}
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for future in waits:
                    future.cancel()
