"""The embedded storage under the local engine: snapshots, races that are lost on another thread, what is kept of conflicts."""

import asyncio

from tests.conformance.harnesses import LocalHarness
from treadle.core.codec import dumps
from treadle.engine.embedded.turnstile import Turnstile
from treadle.engine.transact import replay
from treadle.testing.build import delegate, each, finish, prompt, read, workflow
from treadle.testing.world import AGENT, OTHER, PERSON, opened, refused_with


async def test_a_long_history_is_read_by_its_snapshot_and_a_short_tail(tmp_path):
    harness = LocalHarness(tmp_path / "treadle.db")
    definition = workflow(
        each("all", list(range(40)), do=[prompt("say", output_to="last")], sequential=True), finish(read("state.last")), state={"last": None}
    )  # fmt: skip
    async with opened(harness) as world:
        run_id = (await world.begin(definition)).run.run_id
        await world.claim(run_id)
        for index in range(39):
            await world.service.submit(run_id, f"all[{index}]/say", 1, AGENT, value=f"{index}" * 1_500)
        loaded = world.engine.storage.store.reader.load(run_id)
        assert loaded.snapshot is not None
        assert len(loaded.tail) < 25
        before = await world.engine.snapshot(run_id)
        await world.restart()
        after = await world.engine.snapshot(run_id)
        assert dumps(after.state) == dumps(before.state)
        events = [stored.event for stored in await world.engine.events(run_id)]
        assert dumps(replay(definition, None, events, world.engine.storage.blob)) == dumps(after.state)


async def test_a_race_that_is_lost_while_the_file_is_locked_is_settled_on_the_writers_thread(tmp_path):
    path = tmp_path / "treadle.db"
    async with opened(LocalHarness(path)) as one, opened(LocalHarness(path)) as two:
        run_id = (await one.begin(workflow(delegate("work")))).run.run_id
        await one.claim(run_id, PERSON)
        await one.elapse(one.harness.lease_ms + 1)
        await two.elapse(two.harness.lease_ms + 1)
        await two.service.look(run_id)
        lock = Turnstile(path)
        lock.enter()
        asking = [
            asyncio.create_task(one.service.next_step(run_id, AGENT)),
            asyncio.create_task(two.service.next_step(run_id, OTHER)),
        ]
        while not all(world.engine.storage.store.writer._queue for world in (one, two)):
            await asyncio.sleep(0)
        lock.leave()
        lock.close()
        offers = await asyncio.gather(*asking)
        assert sorted(offer.kind for offer in offers) == ["action", "waiting"]
        (winner,) = [offer for offer in offers if offer.action]
        assert (winner.action.attempt, winner.action.redo) == (2, True)


async def test_what_a_conflicting_request_said_is_kept_once(tmp_path):
    harness = LocalHarness(tmp_path / "treadle.db")
    async with opened(harness) as world:
        run_id = (await world.begin(workflow(prompt("ask"), prompt("again")))).run.run_id
        await world.claim(run_id)
        await world.service.submit(run_id, "ask", 1, AGENT, value="first")
        for _ in range(2):
            refused_with(await world.service.submit(run_id, "ask", 1, AGENT, value="second thoughts"), "conflict")
        rows = world.engine.storage.store.reader._db.execute("SELECT key, reply FROM request WHERE key LIKE '%!%'").fetchall()
        assert len(rows) == 1
        assert b"second thoughts" in rows[0][1]
