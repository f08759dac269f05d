"""Ten thousand runs that wait: how fast they are made, what each keeps in memory, how fast one is answered; and a file full of ended runs."""

import asyncio
import resource
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks import steps
from treadle.clock import SystemClock
from treadle.core.definition import LANGUAGE, Definition, Step, Task, Wait
from treadle.core.semantics import SEMANTICS
from treadle.engine.embedded.storage import EmbeddedStorage
from treadle.engine.local import LocalEngine
from treadle.engine.service import Service
from treadle.ports import RunMeta, RunQuery

WAITING, ASKED = 10_000, 200
MS = 1_000


def definition() -> Definition:
    """A workflow that waits for a signal."""
    wait = Step(id="wait", spec=Wait(signal="go"), effect="none", performer="server")
    return Definition(name="bench:wait", main=Task(steps=(wait,)), language=LANGUAGE, semantics=SEMANTICS)


async def measured(path: Path) -> tuple[float, float, float, float]:
    """Seconds to open all, kilobytes each, milliseconds of a signal, and of a first page of the list."""
    clock = SystemClock()
    engine = LocalEngine(EmbeddedStorage.open(path), functions=steps.NoFunctions(), clock=clock, holder="bench")
    service, made = Service(engine, clock), definition()
    await service.start(made, {}, steps.AGENT, RunMeta(workflow=made.name))
    before_kb = _memory_kb()
    began_s = time.perf_counter()
    offers = await asyncio.gather(*(service.start(made, {}, steps.AGENT, RunMeta(workflow=made.name)) for _ in range(WAITING)))
    open_s = time.perf_counter() - began_s
    ids = [offer.run.run_id for offer in offers]
    del offers
    each_kb = (_memory_kb() - before_kb) / WAITING
    answers = [await _timed_ms(service.signal(run_id, "go", steps.AGENT)) for run_id in ids[:: WAITING // ASKED]]
    lists = [await _timed_ms(service.runs(RunQuery())) for _ in range(20)]
    await engine.close()
    return open_s, each_kb, statistics.median(answers), statistics.median(lists)


async def _timed_ms(work: object) -> float:
    began_s = time.perf_counter()
    await work  # type: ignore[misc] # any awaitable
    return (time.perf_counter() - began_s) * MS


def _memory_kb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1024


def table(rounds: int) -> None:
    """Print what waiting costs."""
    rows: list[tuple[float, float, float, float]] = []
    for _ in range(max(1, rounds // 2)):
        with tempfile.TemporaryDirectory() as name:
            rows.append(asyncio.run(measured(Path(name) / "waiting.db")))
    open_s, each_kb, signal_ms, list_ms = (statistics.median(column) for column in zip(*rows, strict=True))
    print(f"\n{WAITING:,} runs that wait, medians")
    print(
        f"opened together in {open_s:.2f} s, {each_kb:.2f} kB of memory each, a signal answered in {signal_ms:.2f} ms, listed in {list_ms:.2f} ms"
    )
