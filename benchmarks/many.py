"""Many runs at once, and many items in one run: what sharing commits is worth. Beside the floor with a commit per step."""

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks import floor, steps
from treadle.clock import SystemClock
from treadle.core.definition import LANGUAGE, Definition, Foreach, McpCall, Step, Task
from treadle.core.expr import const
from treadle.core.semantics import SEMANTICS
from treadle.engine.embedded.storage import EmbeddedStorage
from treadle.engine.local import LocalEngine
from treadle.engine.service import Service
from treadle.ports import ActionCall, Answer, RunMeta

RUNS, STEPS = 1_000, 5
WINDOW = 50
FLOOR_STEPS = 1_000


class AtOnce:
    """Performs whatever it is asked without doing anything."""

    async def perform(self, _call: ActionCall) -> Answer:
        await asyncio.sleep(0)
        return Answer(value={"done": True})


def fan(items: int) -> Definition:
    """A foreach whose items are performed by this process."""
    work = Step(id="work", spec=McpCall(tool="bench.work", parameters=const({})), effect="read", performer="server")
    each = Step(
        id="each", spec=Foreach(items=const(list(range(items))), do=(work,), max_parallel=WINDOW), effect="none", performer="server"
    )
    return Definition(name="bench:fan", main=Task(steps=(each,)), language=LANGUAGE, semantics=SEMANTICS)


async def at_once(path: Path) -> float:
    """Walk many runs side by side in one process; steps per second, their starts not counted."""
    clock = SystemClock()
    engine = LocalEngine(EmbeddedStorage.open(path), functions=steps.NoFunctions(), clock=clock, holder="bench")
    service, made = Service(engine, clock), steps.definition(STEPS)

    async def begun() -> str:
        return (await service.start(made, {}, steps.AGENT, RunMeta(workflow=made.name))).run.run_id

    async def walked(run_id: str) -> None:
        offer = await service.next_step(run_id, steps.AGENT)
        while offer.action is not None:
            offer = await service.submit(run_id, offer.action.id, offer.action.attempt, steps.AGENT, value="done")
        if offer.run.status != "completed":
            raise SystemExit(f"a run did not complete: {offer.run.status}")

    runs = await asyncio.gather(*(begun() for _ in range(RUNS)))
    began_s = time.perf_counter()
    await asyncio.gather(*map(walked, runs))
    rate = RUNS * STEPS / (time.perf_counter() - began_s)
    await engine.close()
    return rate


async def fanned(path: Path, items: int) -> float:
    """Seconds of one run over that many items."""
    clock = SystemClock()
    engine = LocalEngine(EmbeddedStorage.open(path), functions=steps.NoFunctions(), clock=clock, holder="bench", runner=AtOnce())
    service, made = Service(engine, clock), fan(items)
    serving = asyncio.create_task(engine.serve())
    await asyncio.sleep(0)
    began_s = time.perf_counter()
    offer = await service.start(made, {}, steps.AGENT, RunMeta(workflow=made.name))
    while (await engine.current(offer.run.run_id)).state.status != "completed":  # noqa: ASYNC110 (to follow it is measured too)
        await asyncio.sleep(0.01)
    took_s = time.perf_counter() - began_s
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    await engine.close()
    return took_s


def floor_rate(folder: Path) -> float:
    """Steps per second of the raw loop, one commit each."""
    raw = floor.Floor(folder / "floor.db", 300)
    taken_s = floor.timed(FLOOR_STEPS, raw.step)
    raw.close()
    return FLOOR_STEPS / sum(taken_s)


def table(rounds: int) -> None:
    """Print rates and times."""
    rows: list[tuple[float, float, float, float]] = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            base, rate = floor_rate(folder), asyncio.run(at_once(folder / "many.db"))
            small, large = asyncio.run(fanned(folder / "fan.db", 1_000)), asyncio.run(fanned(folder / "fan10.db", 10_000))
            rows.append((base, rate, small, large))
    base, rate, small, large = (statistics.median(column) for column in zip(*rows, strict=True))
    print(f"\nMany at once, {rounds} rounds; medians")
    print(f"{RUNS:,} runs of {STEPS} steps in one process: {rate:,.0f} steps/s ({rate / base:.1f} x one commit per step: {base:,.0f})")
    print(f"foreach of 1,000 items, {WINDOW} at a time: {small:.2f} s; of 10,000: {large:.2f} s ({large / small:.1f} x)")
