"""The load of the system that Treadle takes the place of, made real; the number of cycles by hand: `CYCLES=500 pytest tests/load -m slow`."""

import asyncio
import gc
import os
import tracemalloc
from pathlib import Path

import pytest

from tests.mcpserver.processes import serving
from treadle.compose import locate, open_project
from treadle.core.events import Caller
from treadle.ports import RunMeta

AGENT = Caller(kind="agent", name="load")
ASK = "name: ask\nsteps:\n  - {id: ask, prompt: What}\n  - return: '{{ steps.ask.result }}'\n"
MANY = (
    "name: many\ninitial_state: {found: []}\nsteps:\n"
    "  - {id: each, type: foreach, items: '{{ range(100) | list }}', max_parallel: 100, output_to: found,\n"
    "     do: [{id: work, delegate: 'Number {{ item }}'}], output: '{{ steps.work.result }}'}\n"
    "  - return: '{{ state.found }}'\n"
)
UPDATES = (
    "name: updates\ninitial_state: {n: 0}\nsteps:\n"
    "  - {id: each, type: foreach, items: '{{ range(1000) | list }}', sequential: true, do: [{set_state: {n: '{{ state.n + 1 }}'}}]}\n"
    "  - return: '{{ state.n }}'\n"
)
CYCLES = int(os.environ.get("CYCLES", "25"))
CACHED = 1_400


@pytest.fixture
def project(tmp_path):
    for name in ("workflows", ".treadle"):
        (tmp_path / name).mkdir(mode=0o700)
    for name, text in (("ask", ASK), ("many", MANY), ("updates", UPDATES)):
        (tmp_path / "workflows" / f"{name}.yaml").write_text(text)
    return tmp_path


async def ended(opened, name):
    """Start a run and answer all that it asks, on whatever branch."""
    definition = opened.load(name).require()
    offer = await opened.service.start(definition, {}, AGENT, RunMeta(workflow=name))
    run_id = offer.run.run_id
    while (view := await opened.service.look(run_id)).status in {"running", "waiting"}:
        for action in view.actions:
            taken = await opened.service.next_step(run_id, AGENT, action=action.id)
            await opened.service.submit(run_id, action.id, taken.action.attempt, AGENT, value=f"answer to {action.id}", then_next=False)
    return await opened.service.filled(view.result)


async def test_ten_runs_at_once(project):
    async with open_project(locate(project, {}), serve=True) as opened:
        assert await asyncio.gather(*(ended(opened, "ask") for _ in range(10))) == ["answer to ask"] * 10


@pytest.mark.slow
async def test_a_thousand_updates_of_the_state(project):
    async with open_project(locate(project, {}), serve=True) as opened:
        assert await ended(opened, "updates") == 1_000


@pytest.mark.slow
async def test_a_hundred_items_at_once(project):
    async with open_project(locate(project, {}), serve=True) as opened:
        assert await ended(opened, "many") == [f"answer to each[{n}]/work" for n in range(100)]


@pytest.mark.slow
async def test_what_a_waiting_run_takes_when_it_is_not_kept_and_when_it_is(project):
    async with open_project(locate(project, {}), serve=True) as opened:
        definition = opened.load("ask").require()

        async def start(count):
            for _ in range(count):
                await opened.service.start(definition, {}, AGENT, RunMeta(workflow="ask"))
            gc.collect()
            return tracemalloc.get_traced_memory()[0]

        await start(50)
        tracemalloc.start()
        try:
            before = await start(0)
            kept = await start(500)
            full = await start(CACHED)
            more = await start(500)
        finally:
            tracemalloc.stop()
    print(f"a run that is kept takes {(kept - before) / 500:.0f} bytes, one that is not {(more - full) / 500:.0f}")
    assert (kept - before) / 500 <= 100_000
    assert (more - full) / 500 <= 1_000


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_starting_and_stopping_the_server_leaves_nothing_behind(project):
    def left():
        return sorted(str(path.relative_to(project)) for path in (project / ".treadle").rglob("*") if path.is_file())

    def descriptors():
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    seen = []
    for _ in range(CYCLES):
        with serving(project) as server:
            server.greet()
            server.tool("list_runs")
            assert server.end()[0] == 0
            seen.append((left(), descriptors()))
    assert seen[-1] == seen[0]
    assert not any("/live/" in name for name in seen[-1][0])
