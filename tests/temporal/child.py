"""A worker in a process of its own, to be killed: `python -m tests.temporal.child ADDRESS TASK_QUEUE FOLDER`."""

import asyncio
import sys
from pathlib import Path

from tests.kill.child import FileWorld, say
from treadle.clock import SystemClock
from treadle.engine.temporal.engine import TemporalEngine, connect
from treadle.testing.world import ScriptedFunctions


async def work(address, task_queue, folder):
    client = await connect(address)
    engine = TemporalEngine(
        client,
        task_queue=task_queue,
        functions=ScriptedFunctions({}),
        clock=SystemClock(),
        runner=FileWorld(Path(folder)),
    )
    say(told="serving")
    await engine.serve()


if __name__ == "__main__":
    asyncio.run(work(*sys.argv[1:]))
