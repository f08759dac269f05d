"""The Temporal engine under the suite: a real server, real time, and a worker in this process."""

import asyncio
import itertools
import uuid

from temporalio.worker import Replayer
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from treadle.clock import SystemClock
from treadle.engine.temporal.convert import CONVERTER
from treadle.engine.temporal.engine import TemporalEngine, connect
from treadle.engine.temporal.lacks import LACKS
from treadle.engine.temporal.workflow import RunShell


class TemporalHarness:
    """Runs of a task queue of their own. Time is the server's: to let it pass is to wait."""

    lacks = frozenset(LACKS)
    lease_ms = 1_000

    def __init__(self, address: str):
        self.address = address
        self.clock = SystemClock()
        self.task_queue = f"test-{uuid.uuid4().hex}"
        self.numbers = itertools.count(1)

    async def open(self, actions, functions):
        client = await connect(self.address)
        return TemporalEngine(
            client,
            task_queue=self.task_queue,
            functions=functions,
            clock=self.clock,
            runner=actions,
            lease_ms=self.lease_ms,
        )

    async def elapse(self, by_ms: int):
        await asyncio.sleep(by_ms / 1000)

    async def replay_all(self):
        """Replay the saved history of every run of this harness, as a worker with a newer Treadle will have to."""
        client = await connect(self.address)
        async for each in client.list_workflows(f"TaskQueue = '{self.task_queue}'"):
            await replay(await client.get_workflow_handle(each.id).fetch_history())


async def replay(history):
    sandbox = SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules("treadle"))
    replayer = Replayer(workflows=[RunShell], data_converter=CONVERTER, workflow_runner=sandbox)
    await replayer.replay_workflow(history)
