"""Several processes on one file: what is to be done is done once, and what a dead process held goes on as its effect allows (ruling 19)."""

import asyncio
import contextlib
from collections import Counter

import pytest

from tests.kill.child import lines, opened
from treadle.core.state import ENDED
from treadle.ports import RunMeta
from treadle.testing.build import each, finish, joined, prompt, read, tool, workflow
from treadle.testing.world import AGENT, PERSON

PATIENCE_S = 20
FAN = workflow(
    each("write", list(range(25)), do=[tool("call")], max_parallel=25),
    each("read", list(range(25)), do=[tool("call", effect="read")], max_parallel=25), name="fan",
)  # fmt: skip


@contextlib.asynccontextmanager
async def looking(folder):
    """An engine that performs nothing, as the command line has it."""
    engine, service = opened(folder, performs=False)
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield service
    finally:
        await engine.close()


async def until(service, run_id, test):
    run = await service.look(run_id)
    while not test(run):
        await service.changed(run_id, run.revision, 500)
        run = await service.look(run_id)
    return run


async def world_says(folder, test):
    """Wait for a line in the outside world, which no engine tells of."""
    while not test(found := lines(folder)):
        await asyncio.sleep(0.01)
    return found


def has_ended(run):
    return run.status in ENDED


@pytest.mark.kill
def test_two_processes_that_serve_do_each_action_once(child, tmp_path):
    servers = [child("serve patiently"), child("serve patiently")]
    assert [server.told()["told"] for server in servers] == ["serving", "serving"]

    async def drive():
        async with looking(tmp_path) as service:
            offers = [await service.start(FAN, {}, AGENT, RunMeta(workflow="fan")) for _ in range(4)]
            return [(await until(service, offer.run.run_id, has_ended)).status for offer in offers]

    assert asyncio.run(drive()) == ["completed"] * 4
    times = Counter((line["key"], line["attempt"]) for line in lines(tmp_path))
    assert len(times) == 4 * 50
    assert set(times.values()) == {1}


@pytest.mark.kill
@pytest.mark.parametrize("effect", ["read", "write"])
def test_a_killed_process_leaves_a_read_to_be_done_again_and_a_write_unknown(child, tmp_path, effect):
    step = tool("call", parameters=joined(hold=True), effect=effect, output_to="got")
    definition = workflow(step, tool("next", parameters=joined(got=read("state.got"))), state={"got": None})

    async def drive():
        async with looking(tmp_path) as service:
            first = child("serve")
            first.told()
            run_id = (await service.start(definition, {}, AGENT, RunMeta(workflow="case"))).run.run_id
            await world_says(tmp_path, lambda found: len(found) == 1)
            first.kill()
            second = child("serve")
            second.told()
            if effect == "read":
                await world_says(tmp_path, lambda found: len(found) == 2)
            else:
                run = await until(service, run_id, lambda run: run.actions[0].status == "unknown")
                assert (run.status, run.actions[0].waits_for) == ("waiting", "outcome")
                await service.resolve(run_id, "call", 1, PERSON, "done", value="I looked")
            (tmp_path / "go").touch()
            return await until(service, run_id, has_ended)

    run = asyncio.run(drive())
    assert run.status == "completed"
    done = [line["key"].split("/")[1] for line in lines(tmp_path)]
    assert done == (["call", "call", "next"] if effect == "read" else ["call", "next"])
    assert len({line["pid"] for line in lines(tmp_path)}) == 2


@pytest.mark.kill
def test_a_run_that_another_process_moved_is_seen_as_it_is(child, tmp_path):
    """Two engines of one process stand for two processes: each has an old state of the run in hand when it asks."""
    definition = workflow(prompt("a"), prompt("b"), prompt("c"), prompt("d"), finish("done"))

    async def drive():
        async with looking(tmp_path) as one, looking(tmp_path) as two:
            run_id = (await one.start(definition, {}, AGENT, RunMeta(workflow="case"))).run.run_id
            for service, other, step in ((one, two, "a"), (two, one, "b")):
                offer = await service.next_step(run_id, AGENT)
                assert offer.action.id == step
                assert (await other.heartbeat(run_id, step, 1, AGENT.name)) is not None
                offer = await other.submit(run_id, step, 1, AGENT, value="x", then_next=False)
                assert offer.refusal is None
                again = await service.submit(run_id, step, 1, AGENT, value="x", then_next=False)
                assert (again.duplicate, again.run.revision) == (True, offer.run.revision)
                conflict = await service.submit(run_id, step, 1, AGENT, value="y")
                assert conflict.refusal.code == "conflict"
            await one.next_step(run_id, AGENT)
            await one.submit(run_id, "c", 1, AGENT, value="x")
            # `two` has not seen `d`, and must not say on the word of its old state that it is not open.
            return (await two.submit(run_id, "d", 1, AGENT, value="x")).run

    run = asyncio.run(drive())
    assert (run.status, run.result) == ("completed", "done")


@pytest.mark.kill
def test_a_long_action_keeps_its_lease_and_is_left_alone(child, tmp_path):
    definition = workflow(tool("call", parameters=joined(hold=True)))

    async def drive():
        async with looking(tmp_path) as service:
            for server in (child("serve"), child("serve")):
                server.told()
            run_id = (await service.start(definition, {}, AGENT, RunMeta(workflow="case"))).run.run_id
            ends = set()
            while len(ends) < 5:  # the lease was lengthened several times: it would have lapsed long ago
                ends |= {lease.until_ms for lease in (await service.engine.snapshot(run_id)).leases}
                await asyncio.sleep(0.01)
            (tmp_path / "go").touch()
            return await until(service, run_id, has_ended)

    assert asyncio.run(drive()).status == "completed"
    assert len(lines(tmp_path)) == 1
