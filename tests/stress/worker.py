"""A worker: a process that performs what servers perform in a project, until it is killed. `python -m tests.stress.worker`."""

import asyncio
import os
from pathlib import Path

from treadle.compose import locate, open_project


async def serve() -> None:
    """Serve the project of the working directory."""
    async with open_project(locate(Path.cwd(), os.environ), serve=True, environ=os.environ, what="work"):
        print("serving", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve())
