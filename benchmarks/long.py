"""Long runs: what a step costs early and late, and how long a run of 10,000 steps takes to open again."""

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks import steps
from treadle.clock import SystemClock
from treadle.core.definition import LANGUAGE, Definition, SetState, Step, Task
from treadle.core.expr import const
from treadle.core.semantics import SEMANTICS
from treadle.engine.embedded.storage import EmbeddedStorage
from treadle.engine.local import LocalEngine
from treadle.engine.service import Service
from treadle.ports import RunMeta

STEPS, WINDOW, UPDATES = 10_000, 200, 1_000
MS = 1_000


async def walked(path: Path) -> tuple[list[float], str]:
    """Walk a long run but for its last step; the times of its steps, and its id."""
    clock = SystemClock()
    engine = LocalEngine(EmbeddedStorage.open(path), functions=steps.NoFunctions(), clock=clock, holder="bench")
    service, made = Service(engine, clock), steps.definition(STEPS)
    offer = await service.start(made, {}, steps.AGENT, RunMeta(workflow=made.name))
    run_id = offer.run.run_id
    offer = await service.next_step(run_id, steps.AGENT)
    taken: list[float] = []
    while offer.action is not None and len(taken) < STEPS - 1:
        began_s = time.perf_counter()
        offer = await service.submit(run_id, offer.action.id, offer.action.attempt, steps.AGENT, value={"text": "x" * 20})
        taken.append((time.perf_counter() - began_s) * MS)
    await engine.close()
    return taken, run_id


async def opened(path: Path, run_id: str) -> float:
    """Milliseconds until a fresh process's engine has the run in hand, from its file."""
    clock = SystemClock()
    engine = LocalEngine(EmbeddedStorage.open(path), functions=steps.NoFunctions(), clock=clock, holder="other")
    began_s = time.perf_counter()
    await engine.snapshot(run_id)
    took_ms = (time.perf_counter() - began_s) * MS
    await engine.close()
    return took_ms


async def updated(path: Path) -> float:
    """Milliseconds of a run that makes 1,000 updates in one transition."""
    clock = SystemClock()
    engine = LocalEngine(EmbeddedStorage.open(path), functions=steps.NoFunctions(), clock=clock, holder="bench")
    service = Service(engine, clock)
    rows = tuple(Step(id=f"set_{n}", spec=SetState(updates=(("n", const(n)),)), effect="none", performer="server") for n in range(UPDATES))
    made = Definition(name="bench:set", main=Task(steps=rows, initial_state=(("n", const(0)),)), language=LANGUAGE, semantics=SEMANTICS)
    began_s = time.perf_counter()
    offer = await service.start(made, {}, steps.AGENT, RunMeta(workflow=made.name))
    took_ms = (time.perf_counter() - began_s) * MS
    if offer.run.status != "completed":
        raise SystemExit(f"the updates did not complete: {offer.run.status}")
    await engine.close()
    return took_ms


def table(rounds: int) -> None:
    """Print what length costs."""
    rows: list[tuple[float, float, float, float, float]] = []
    for _ in range(max(1, rounds // 2)):
        with tempfile.TemporaryDirectory() as name:
            path = Path(name) / "long.db"
            taken, run_id = asyncio.run(walked(path))
            open_ms, set_ms = asyncio.run(opened(path, run_id)), asyncio.run(updated(Path(name) / "set.db"))
            windows = [statistics.median(taken[at : at + WINDOW]) for at in (100, 1_000, len(taken) - WINDOW)]
            rows.append((*windows, open_ms, set_ms))
    early, middle, late, open_ms, set_ms = (statistics.median(column) for column in zip(*rows, strict=True))
    print(f"\nA run of {STEPS:,} steps, medians in ms")
    print(f"step 100: {early:.3f}; step 1,000: {middle:.3f} ({middle / early:.2f} x); step 9,800: {late:.3f} ({late / early:.2f} x)")
    print(f"opened again in {open_ms:.1f}; {UPDATES:,} updates of state in one transition: {set_ms:.1f}")
