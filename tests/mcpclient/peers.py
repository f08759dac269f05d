"""Pools over the programs in `hostile/`, and over our own servers, as the tests want them."""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from treadle.config.servers import Catalog, ServerSpec
from treadle.mcpio.client.pool import PoolSettings, ServerPool

HOSTILE = Path(__file__).parent / "hostile"


def hostile(name: str, **values: Any) -> ServerSpec:
    """One of the programs in `hostile/`, as a configured server."""
    return ServerSpec(name=name, file=".mcp.json", command=sys.executable, args=(str(HOSTILE / f"{name}.py"),), **values)


def own(name: str, *arguments: str, **values: Any) -> ServerSpec:
    """One of Treadle's own servers, as a configured server."""
    command = ("-m", f"treadle.servers.{name}", *arguments)
    return ServerSpec(name=name, file=".mcp.json", command=sys.executable, args=command, **values)


def pool_of(*specs: ServerSpec, root: Path = HOSTILE, allow: Callable[[ServerSpec], None] = lambda _: None, **values: Any) -> ServerPool:
    """A pool over these servers; every value of `PoolSettings` can be given."""
    settings = PoolSettings(root=root, environ={**os.environ, **values.pop("environ", {})}, **values)
    return ServerPool(Catalog(specs={spec.name: spec for spec in specs}), settings, allow=allow)


def is_running(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def until(condition: Callable[[], object], within_s: float = 5) -> None:
    """Wait for something that happens in another process."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.005)
