"""What is Temporal's own about the shell: replay, what a request costs, a worker that dies, limits, refusals."""

import asyncio
import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.actions.support import surroundings
from tests.kill.child import lines
from tests.temporal.harness import TemporalHarness, replay
from treadle.actions.runner import answer_of
from treadle.actions.shell import run_shell
from treadle.actions.verify import run_verify
from treadle.clock import SystemClock
from treadle.core.codec import digest_of
from treadle.core.definition import Check, Shell, Step
from treadle.core.errors import RequestError
from treadle.engine.service import Service
from treadle.engine.temporal import workflow
from treadle.engine.temporal.engine import TemporalEngine, connect
from treadle.ports import RunMeta, RunQuery
from treadle.testing.build import delegate, each, expr, finish, joined, prompt, read, tool
from treadle.testing.build import workflow as frozen
from treadle.testing.world import AGENT, PERSON, ScriptedFunctions, opened

pytestmark = [pytest.mark.temporal, pytest.mark.slow]
ROOT = Path(__file__).parents[2]
TWO = frozen(delegate("one"), delegate("two"), finish("done"))


def handle_of(world, run_id):
    return world.engine._handle(run_id)


async def length_of(world, run_id):
    return (await handle_of(world, run_id).describe()).history_length


async def test_a_request_that_changes_nothing_leaves_no_trace_in_the_history(temporal_server):
    async with opened(TemporalHarness(temporal_server)) as world:
        run_id = (await world.begin(TWO)).run.run_id
        await world.claim(run_id)
        await world.service.submit(run_id, "one", 1, AGENT, value="x", then_next=False)
        before = await length_of(world, run_id)
        refused = await world.service.submit(run_id, "two", 5, AGENT, value="no such attempt", then_next=False)
        again = await world.service.submit(run_id, "one", 1, AGENT, value="x", then_next=False)
        other = await world.service.submit(run_id, "one", 1, AGENT, value="y", then_next=False)
        await world.service.look(run_id)
        assert (refused.refusal is not None, again.duplicate, other.refusal.code) == (True, True, "conflict")
        assert await length_of(world, run_id) == before


class Commander:
    """The runner of a project for which one definition is trusted, in place of the script: commands are really run."""

    def __init__(self, tmp_path, definition):
        def check(call):
            if call.definition is None or digest_of(call.definition) != digest_of(definition):
                raise RequestError("not trusted", code="not_trusted")

        here = replace(surroundings(tmp_path), check=check, root_of=lambda call: Path(call.directory))
        self.kinds = {"shell": partial(run_shell, here), "verify": partial(run_verify, here)}

    async def perform(self, call):
        return answer_of(call, await self.kinds[call.action.kind](call, call.params))


async def test_commands_and_proofs_run_where_the_run_was_started_and_only_those_that_are_trusted(temporal_server, tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    make = Step(
        id="make", spec=Shell(command=expr("echo 12 > made; cat made")), effect="write", verify=(Check(shell=expr("test -s made")),)
    )
    definition = frozen(make, finish(read("steps.make.result.stdout")))
    for trusted, status, said in ((definition, "completed", "12\n"), (TWO, "failed", "not trusted")):
        async with opened(TemporalHarness(temporal_server)) as world:
            world.engine._runner = Commander(tmp_path, trusted)
            run_id = (await world.begin(definition, meta=RunMeta(workflow="case", directory=str(folder)))).run.run_id
            run = await world.ended(run_id)
            assert (run.status, said in str(run.result or run.failure)) == (status, True)
            await replay(await handle_of(world, run_id).fetch_history())


async def test_a_saved_history_replays(temporal_server):
    definition = frozen(
        prompt("ask", within_ms=60_000), tool("call", effect="read", timeout_ms=500), tool("write"),
        each("all", [1, 2], do=[tool("each")]), finish("done"),
    )  # fmt: skip
    async with opened(TemporalHarness(temporal_server)) as world:
        run_id = (await world.begin(definition)).run.run_id
        await world.answer(run_id, "x")
        await world.ended(run_id)
        history = await handle_of(world, run_id).fetch_history()
        assert history.events[-1].HasField("workflow_execution_completed_event_attributes")
        await replay(history)


@pytest.mark.kill
@pytest.mark.parametrize("effect", ["read", "write"])
async def test_a_killed_worker_leaves_a_read_to_be_done_again_and_a_write_unknown(temporal_server, tmp_path, effect):
    harness = TemporalHarness(temporal_server)
    command = [sys.executable, "-m", "tests.temporal.child", temporal_server, harness.task_queue, str(tmp_path)]
    environ = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"}
    client = await connect(temporal_server)
    engine = TemporalEngine(client, task_queue=harness.task_queue, functions=ScriptedFunctions({}), clock=SystemClock())
    service = Service(engine, SystemClock())
    definition = frozen(
        tool("call", parameters=joined(hold=True), effect=effect, output_to="a"),
        finish(read("state.a")),
        state={"a": None},
    )
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env=environ) as first:
        first.stdout.readline()
        run_id = (await service.start(definition, {}, AGENT, RunMeta(workflow="case"))).run.run_id
        while len(lines(tmp_path)) < 1:
            await asyncio.sleep(0.02)
        first.kill()
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env=environ) as second:
        try:
            second.stdout.readline()
            if effect == "read":
                while len(lines(tmp_path)) < 2:
                    await asyncio.sleep(0.02)
            else:
                while (await service.look(run_id)).actions[0].status != "unknown":
                    await asyncio.sleep(0.02)
                await service.resolve(run_id, "call", 1, PERSON, "done", value="I looked")
            (tmp_path / "go").touch()
            while (await service.look(run_id)).status != "completed":
                await asyncio.sleep(0.02)
            await harness.replay_all()
        finally:
            second.kill()
    assert [line["attempt"] for line in lines(tmp_path)] == ([1, 2] if effect == "read" else [1])


async def test_a_run_near_the_limits_of_an_execution_is_set_aside_and_can_be_cancelled(temporal_server, monkeypatch):
    monkeypatch.setattr(workflow, "UPDATES_MAX", 3)
    async with opened(TemporalHarness(temporal_server)) as world:
        run_id = (await world.begin(frozen(each("all", list(range(9)), do=[prompt("p")], sequential=True)))).run.run_id
        await world.claim(run_id)
        for index in range(3):
            offer = await world.service.submit(run_id, f"all[{index}]/p", 1, AGENT, value="x")
        assert offer.run.status == "parked"
        assert offer.run.parked.startswith("not_yet: this run is near Temporal's limits")
        assert (await world.service.cancel(run_id, PERSON)).run.status == "cancelling"
        assert (await world.service.cancel(run_id, PERSON)).run.status == "cancelled"


async def test_what_the_engine_cannot_do_it_refuses_by_name(temporal_server):
    client = await connect(temporal_server)
    engine = TemporalEngine(client, task_queue="nobody", functions=ScriptedFunctions({}), clock=SystemClock())
    requests = [engine.runs(RunQuery()), engine.blob("sha256:0"), Service(engine, SystemClock()).runs(RunQuery())]
    for request in requests:
        with pytest.raises(RequestError) as refused:
            await request
        assert refused.value.code == "not_yet"
    with pytest.raises(RequestError, match="not_yet"):
        engine.changes()
    with pytest.raises(RequestError) as refused:
        await engine.serve()
    assert refused.value.code == "no_runner"


async def test_a_message_that_temporal_would_not_take_is_refused_before_it_is_sent(temporal_server):
    async with opened(TemporalHarness(temporal_server)) as world:
        run_id = (await world.begin(TWO)).run.run_id
        await world.claim(run_id)
        before = await length_of(world, run_id)
        with pytest.raises(RequestError) as refused:
            await world.service.submit(run_id, "one", 1, AGENT, value="x" * (1 << 20))
        assert refused.value.code == "not_yet"
        assert await length_of(world, run_id) == before
        assert (await world.service.look(run_id)).state == {}
