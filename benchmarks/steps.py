"""What a step costs: from an accepted answer to the next action committed, in a run of delegated steps on the embedded engine.

Each round interleaves the engine with the floor (one raw SQLite transaction per step, `floor.py`), so that both meet the same machine.
"""

import asyncio
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from treadle.clock import SystemClock
from treadle.core.definition import LANGUAGE, Definition, Delegate, Step, Task
from treadle.core.events import Caller
from treadle.core.expr import const
from treadle.core.semantics import SEMANTICS
from treadle.engine.embedded.storage import EmbeddedStorage
from treadle.engine.local import LocalEngine
from treadle.engine.service import Service
from treadle.ports import FunctionFailedError, RunMeta

AGENT = Caller(kind="agent", name="bench")


class NoFunctions:
    """A project without registered functions."""

    def call(self, name: str, *_: object) -> None:
        raise FunctionFailedError(f"there is no function {name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """What one walk through a run took, in milliseconds."""

    start_ms: float
    step_ms: list[float]


def definition(steps: int) -> Definition:
    rows = tuple(
        Step(
            id=f"step_{n}",
            spec=Delegate(instructions=const(f"Do part {n}")),
            effect="write",
            repeatable=True,
            performer="agent",
        )
        for n in range(steps)
    )
    return Definition(name="bench:steps", main=Task(steps=rows), language=LANGUAGE, semantics=SEMANTICS)


async def walk(path: Path, steps: int, result: object) -> Walk:
    """Walk one run from start to end on a fresh file."""
    clock = SystemClock()
    engine = LocalEngine(EmbeddedStorage.open(path), functions=NoFunctions(), clock=clock, holder="bench")
    service = Service(engine, clock)
    made = definition(steps)
    begun = time.perf_counter()
    offer = await service.start(made, {}, AGENT, RunMeta(workflow=made.name))
    start_ms = (time.perf_counter() - begun) * 1000
    offer = await service.next_step(offer.run.run_id, AGENT)
    taken: list[float] = []
    while offer.action is not None:
        begun = time.perf_counter()
        offer = await service.submit(offer.run.run_id, offer.action.id, offer.action.attempt, AGENT, value=result)
        taken.append((time.perf_counter() - begun) * 1000)
    if offer.run.status != "completed" or len(taken) != steps:
        raise SystemExit(f"the walk did not complete: {offer.run.status} after {len(taken)} steps, {offer.refusal}")
    await engine.close()
    return Walk(start_ms=start_ms, step_ms=taken)


def measure(steps: int, result: object) -> Walk:
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(walk(Path(folder) / "bench.db", steps, result))


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def p50(values: list[float]) -> float:
    return statistics.median(values)
