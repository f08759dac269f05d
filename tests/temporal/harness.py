"""The Temporal engine under the suite: a real server, real time, and a worker in this process."""

import asyncio
import itertools
import uuid

from treadle.clock import SystemClock
from treadle.engine.temporal.engine import TemporalEngine, connect


class TemporalHarness:
    """Runs of a task queue of their own. Time is the server's: to let it pass is to wait."""

    lacks = frozenset({"blobs", "changes", "listing"})
    lease_ms = 1_000

    def __init__(self, address: str, cached_runs_max: int = 1_000):
        self.address, self.cached_runs_max = address, cached_runs_max
        self.clock = SystemClock()
        self.task_queue = f"test-{uuid.uuid4().hex}"
        self.numbers = itertools.count(1)

    async def open(self, actions, functions):
        client = await connect(self.address)
        return TemporalEngine(
            client, task_queue=self.task_queue, functions=functions, clock=self.clock, runner=actions, lease_ms=self.lease_ms,
            cached_runs_max=self.cached_runs_max,
        )  # fmt: skip

    async def elapse(self, by_ms: int):
        await asyncio.sleep(by_ms / 1000)
