"""The local engines under the suite: memory, and SQLite on a file."""

import itertools
from pathlib import Path

from treadle.clock import FakeClock
from treadle.engine.embedded.storage import EmbeddedStorage
from treadle.engine.local import LocalEngine
from treadle.engine.memory import MemoryStorage


class LocalHarness:
    """A local engine with a clock that only the test moves; `path` of None keeps runs in memory."""

    lacks = frozenset()
    lease_ms = 300_000

    def __init__(self, path: Path | None):
        self.clock = FakeClock()
        self.path, self.memory = path, MemoryStorage()
        self.numbers = itertools.count(1)

    async def open(self, actions, functions):
        storage = EmbeddedStorage.open(self.path) if self.path is not None else self.memory
        return LocalEngine(
            storage, functions=functions, clock=self.clock, runner=actions, holder=f"p{next(self.numbers)}",
            lease_ms=self.lease_ms, outliving=actions,
        )  # fmt: skip

    async def elapse(self, by_ms: int):
        self.clock.advance(by_ms)
