"""Two processes, one of which moves a run to a changed definition: the other notices, and goes on from what is stored."""

import asyncio

import pytest

from tests.conformance.harnesses import LocalHarness
from treadle.core.codec import digest_of, dumps
from treadle.core.errors import RequestError
from treadle.core.records import replace
from treadle.engine.embedded.turnstile import Turnstile
from treadle.testing.build import delegate, finish, prompt, read, workflow
from treadle.testing.world import AGENT, OTHER, PERSON, World, opened, refused_with


def definition(say, *more):
    steps = (prompt("ask", output_to="said"), delegate("work", say, output_to="done"), *more, finish(read("state.done")))
    return workflow(*steps, state={"said": None, "done": None})


OLD, NEW = definition("old"), definition("new", delegate("check"))


async def begun(one: World, two: World) -> str:
    run_id = (await one.begin(OLD)).run.run_id
    await one.answer(run_id, "it")
    await two.service.look(run_id)
    return run_id


async def test_whoever_has_the_old_definition_in_memory_does_not_go_on_with_it(tmp_path):
    path = tmp_path / "treadle.db"
    async with opened(LocalHarness(path)) as one, opened(LocalHarness(path)) as two:
        run_id = await begun(one, two)
        held = await two.claim(run_id)
        assert (held.attempt, held.params["instructions"]) == (1, "old")
        await one.service.migrate(run_id, NEW, PERSON)
        refused_with(await two.service.submit(run_id, "work", 1, AGENT, value="of the old"), "late")
        again = await two.claim(run_id)
        assert (again.attempt, again.params["instructions"]) == (2, "new")
        done = await two.answer(run_id, "of the new")
        assert [action.id for action in done.run.actions] == ["check"]
        await two.answer(run_id, "checked")
        assert (await one.ended(run_id)).result == "of the new"


async def test_a_run_that_moved_and_moved_back_meanwhile_is_computed_with_both(tmp_path):
    path = tmp_path / "treadle.db"
    async with opened(LocalHarness(path)) as one, opened(LocalHarness(path)) as two:
        run_id = await begun(one, two)
        await one.service.migrate(run_id, NEW, PERSON)
        await one.service.migrate(run_id, OLD, PERSON)
        seen = await two.engine.snapshot(run_id)
        assert digest_of(seen.definition) == digest_of(OLD)
        assert dumps(seen.state) == dumps((await one.engine.snapshot(run_id)).state)
        assert (await two.claim(run_id)).attempt == 3


async def test_a_race_between_an_answer_and_a_migration_is_settled_behind_the_fence(tmp_path):
    path = tmp_path / "treadle.db"
    async with opened(LocalHarness(path)) as one, opened(LocalHarness(path)) as two:
        run_id = await begun(one, two)
        await two.claim(run_id)
        plan = await one.service.plan_migration(run_id, NEW, PERSON)
        lock = Turnstile(path)
        lock.enter()
        asking = [
            asyncio.create_task(one.service.migrate(run_id, NEW, PERSON, planned=plan)),
            asyncio.create_task(two.service.submit(run_id, "work", 1, AGENT, value="mine")),
        ]
        while not all(world.engine.storage.store.writer._queue for world in (one, two)):
            await asyncio.sleep(0)
        lock.leave()
        lock.close()
        moved, answered = await asyncio.gather(*asking, return_exceptions=True)
        if isinstance(moved, RequestError):  # the answer was first: what was shown is not what would happen
            assert (moved.code, answered.refusal) == ("plan_changed", None)
            assert (await two.ended(run_id)).result == "mine"
        else:
            refused_with(answered, "late")
            assert (await two.claim(run_id)).params["instructions"] == "new"


async def test_a_definition_that_is_not_there_is_told(tmp_path):
    async with opened(LocalHarness(tmp_path / "treadle.db")) as world:
        with pytest.raises(RequestError) as caught:
            await world.engine.definition("sha256:none")
        assert caught.value.code == "definition_missing"


async def test_an_old_row_of_a_step_that_servers_perform_now_is_found(tmp_path):
    """Who performs a step may change: the row by which servers find work changes too."""
    work = delegate("work", "x", effect="read")
    first, second = (workflow(replace(work, performer=who), finish(1)) for who in ("agent", "server"))
    async with opened(LocalHarness(tmp_path / "treadle.db")) as world:
        run_id = (await world.begin(first)).run.run_id
        await world.halt()
        await world.service.migrate(run_id, second, PERSON)
        assert [(each.action, each.attempt) for each in world.engine.storage.served()] == [("work", 2)]
        refused_with(await world.service.next_step(run_id, OTHER, action="work"), "foreign")
