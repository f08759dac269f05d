"""Requests of one run that gather while a commit is under way: they share the next one, and each gets what it would have got alone."""

import asyncio

import pytest

from tests.conformance.harnesses import LocalHarness
from treadle.core.errors import InvariantViolationError
from treadle.core.events import ActionAnswered
from treadle.engine.embedded.storage import EmbeddedStorage
from treadle.engine.memory import MemoryStorage
from treadle.ports import Request
from treadle.testing.build import delegate, each, prompt, workflow
from treadle.testing.world import AGENT, OTHER, THIRD, opened

BRANCHES = 20


class Counted(MemoryStorage):
    """A memory storage that counts its commits, and gives the loop a turn in each, as one with a disk does."""

    def __init__(self):
        super().__init__()
        self.sizes = []

    async def commit(self, batch):
        await asyncio.sleep(0)
        self.sizes.append(len(batch.transition.parts) or 1)
        return await super().commit(batch)


@pytest.fixture
def harness():
    harness = LocalHarness(None)
    harness.memory = Counted()
    return harness


FAN = workflow(each("all", list(range(BRANCHES)), do=[delegate("work")], max_parallel=BRANCHES))


def answered(action, attempt=1, value="done", by=AGENT):
    def make(at_ms, _state, _lapsed):
        return ActionAnswered(at_ms=at_ms, action=action, attempt=attempt, holder=by.name, by=by, value=value)

    return make


async def begun(world):
    """A run in which one agent holds every branch."""
    run_id = (await world.begin(FAN)).run.run_id
    for number in range(BRANCHES):
        await world.service.next_step(run_id, AGENT, action=f"all[{number}]/work")
    return run_id


async def test_what_gathers_shares_a_commit_and_each_has_its_reply(harness):
    async with opened(harness) as world:
        run_id = await begun(world)
        harness.memory.sizes.clear()
        replies = await asyncio.gather(*(world.engine.send(run_id, answered(f"all[{n}]/work", value=n)) for n in range(BRANCHES)))
        assert harness.memory.sizes == [1, BRANCHES - 1]
        assert [any(note.path == f"all[{n}]/work" for note in reply.notes) for n, reply in enumerate(replies)] == [True] * BRANCHES
        assert (await world.ended(run_id)).status == "completed"
        assert len([each for each in await world.history(run_id) if isinstance(each, ActionAnswered)]) == BRANCHES


async def test_one_refused_among_others_changes_nothing_for_them(harness):
    async with opened(harness) as world:
        run_id = await begun(world)
        sent = [
            answered("all[0]/work"),
            answered("all[1]/work"),
            answered("all[1]/work", attempt=7),
            answered("all[2]/work", by=OTHER),
            answered("all[3]/work"),
        ]
        replies = await asyncio.gather(*(world.engine.send(run_id, make) for make in sent))
        assert [reply.refusal is None for reply in replies] == [True, True, False, False, True]
        still_open = {action.id for action in (await world.service.look(run_id)).actions}
        assert still_open & {f"all[{n}]/work" for n in range(4)} == {"all[2]/work"}


async def test_a_request_repeated_among_them_is_carried_out_once(harness):
    async with opened(harness) as world:
        run_id = await begun(world)
        request = Request(key="once", digest="same")
        first = world.engine.send(run_id, answered("all[0]/work"))
        twice = [world.engine.send(run_id, answered("all[1]/work"), request) for _ in range(2)]
        replies = await asyncio.gather(first, *twice, world.engine.send(run_id, answered("all[2]/work")))
        assert [reply.duplicate for reply in replies] == [False, False, True, False]
        again = await world.engine.send(run_id, answered("all[1]/work"), request)
        assert again.duplicate


async def test_a_key_used_before_with_another_body_is_a_conflict_and_the_others_go_on(harness):
    async with opened(harness) as world:
        run_id = await begun(world)
        await world.engine.send(run_id, answered("all[0]/work"), Request(key="k", digest="one"))
        replies = await asyncio.gather(
            world.engine.send(run_id, answered("all[1]/work")),
            world.engine.send(run_id, answered("all[2]/work"), Request(key="k", digest="other")),
            world.engine.send(run_id, answered("all[3]/work")),
        )
        assert [reply.refusal and reply.refusal.code for reply in replies] == [None, "conflict", None]


async def test_a_caller_that_goes_away_takes_nothing_from_the_others(harness):
    async with opened(harness) as world:
        run_id = await begun(world)
        calls = [asyncio.create_task(world.engine.send(run_id, answered(f"all[{n}]/work"))) for n in range(4)]
        await asyncio.sleep(0)
        calls[1].cancel()
        done = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(done[1], asyncio.CancelledError)
        assert [reply.refusal for n, reply in enumerate(done) if n != 1] == [None, None, None]


async def test_an_event_that_breaks_the_core_is_its_callers_alone(harness):
    async with opened(harness) as world:
        run_id = await begun(world)

        def broken(_at_ms, _state, _lapsed):
            raise InvariantViolationError("a bug")

        sent = [answered("all[0]/work"), answered("all[1]/work"), broken, answered("all[2]/work")]
        done = await asyncio.gather(*(world.engine.send(run_id, make) for make in sent), return_exceptions=True)
        assert [isinstance(each, InvariantViolationError) for each in done] == [False, False, True, False]
        parked = (await world.service.look(run_id)).parked
        assert parked is not None


async def test_who_was_second_to_a_lapsed_step_within_one_commit_does_not_get_it(harness):
    async with opened(harness) as world:
        run_id = (await world.begin(workflow(prompt("ask"), delegate("work")))).run.run_id
        await world.claim(run_id)
        await harness.elapse(world.service.lease_ms + 1)
        offers = await asyncio.gather(*(world.service.next_step(run_id, by) for by in (OTHER, THIRD, OTHER, THIRD)))
        assert [offer.action is not None for offer in offers] == [True, False, True, False]


async def test_two_processes_send_together_on_one_file(tmp_path):
    harness = LocalHarness(tmp_path / "t.db")
    async with opened(harness) as one, opened(harness) as two:
        assert isinstance(one.engine.storage, EmbeddedStorage)
        run_id = await begun(one)
        await two.service.look(run_id)
        replies = await asyncio.gather(
            *(
                (one, two)[n % 2].engine.send(run_id, answered(f"all[{n}]/work", value=n), Request(key=f"k{n}", digest="d"))
                for n in range(BRANCHES)
            )
        )
        assert [reply.refusal for reply in replies] == [None] * BRANCHES
        assert (await one.ended(run_id)).status == "completed"
        history = await two.engine.events(run_id)
        assert [each.rev for each in history] == list(range(1, len(history) + 1))
