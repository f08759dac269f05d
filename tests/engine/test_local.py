"""What is the local engine's own, beside the suite: nothing is left behind by who goes away, and one run's trouble is its own."""

import asyncio
import contextlib
from dataclasses import replace

import pytest

from tests.conformance.harnesses import LocalHarness
from treadle.core.definition import Retry
from treadle.core.errors import InvariantViolationError, RequestError
from treadle.core.events import ActionAnswered, Continued, RunParked
from treadle.engine import performing
from treadle.engine.embedded.storage import EmbeddedStorage
from treadle.engine.local import LocalEngine
from treadle.engine.memory import MemoryStorage
from treadle.engine.service import Service
from treadle.ports import Answer, RunMeta
from treadle.testing.build import (
    GO_ON,
    approve,
    assign,
    called,
    delegate,
    each,
    finish,
    handled,
    prompt,
    read,
    task,
    tool,
    workflow,
)
from treadle.testing.world import AGENT, PERSON, opened, refused_with


class Gate(MemoryStorage):
    """A memory storage whose commits can be stopped: before they take place, or before anybody hears of them."""

    def __init__(self):
        super().__init__()
        self.before, self.after = asyncio.Event(), asyncio.Event()
        self.before.set()
        self.after.set()
        self.reached = asyncio.Event()
        self.refusals = 0

    async def commit(self, batch):
        if not self.before.is_set():
            self.reached.set()
            await self.before.wait()
        if self.refusals and any(isinstance(event, ActionAnswered) for event in batch.transition.events):
            self.refusals -= 1
            raise RequestError("the disk is full", code="storage_unavailable")
        outcome = await super().commit(batch)
        if not self.after.is_set():
            self.reached.set()
            await self.after.wait()
        return outcome


@pytest.fixture
def harness():
    harness = LocalHarness(None)
    harness.memory = Gate()
    return harness


async def cancelled_at(event, coroutine):
    """Begin something, and cancel it when an event has come."""
    begun = asyncio.create_task(coroutine)
    await event.wait()
    begun.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await begun


@pytest.mark.parametrize("effect", ["read", "write"])
async def test_what_a_cancelled_caller_has_opened_is_performed_all_the_same(harness, effect):
    async with opened(harness) as world:
        run_id = (await world.begin(workflow(prompt("ask"), tool("call", effect=effect)))).run.run_id
        await world.claim(run_id)
        harness.memory.after.clear()

        def make(at_ms, _state, _lapsed):
            return ActionAnswered(at_ms=at_ms, action="ask", attempt=1, holder=AGENT.name, by=AGENT, value="x")

        await cancelled_at(harness.memory.reached, world.engine.send(run_id, make))
        harness.memory.after.set()
        run = await world.ended(run_id)
        assert (run.status, len(world.actions.calls)) == ("completed", 1)


async def test_a_transition_that_was_left_half_way_goes_on_by_itself(harness):
    one = task(
        assign("a", n=read("inputs.n")),
        assign("b", n=read("state.n")),
        finish(read("state.n")),
        inputs={"n": {}},
        state={"n": 0},
    )
    definition = workflow(prompt("ask"), each("all", list(range(700)), task="one"), tasks={"one": one})
    async with opened(harness) as world:
        run_id = (await world.begin(definition)).run.run_id
        await world.claim(run_id)

        def make(at_ms, _state, _lapsed):
            harness.memory.before.clear()  # the commit of the answer itself is stopped too, and let through once
            return ActionAnswered(at_ms=at_ms, action="ask", attempt=1, holder=AGENT.name, by=AGENT, value="x")

        sending = asyncio.create_task(world.engine.send(run_id, make))
        for _ in range(2):
            await harness.memory.reached.wait()
            harness.memory.reached.clear()
            if (await world.service.look(run_id)).revision > 2:
                break
            harness.memory.before.set()
            harness.memory.before.clear()
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sending
        assert (await world.service.look(run_id)).status == "running"
        harness.memory.before.set()
        assert (await world.ended(run_id)).status == "completed"
        assert sum(isinstance(event, Continued) for event in await world.history(run_id)) >= 1


async def test_what_was_done_is_told_until_it_can_be_stored(harness, monkeypatch):
    monkeypatch.setattr(performing, "ANSWER_AGAIN_S", 0.01)
    harness.memory.refusals = 3
    async with opened(harness) as world:
        run = await world.ended((await world.begin(workflow(tool("call")))).run.run_id)
        assert (run.status, len(world.actions.calls), harness.memory.refusals) == ("completed", 1, 0)


async def test_a_runner_that_breaks_its_promise_fails_a_read_and_leaves_a_write_unknown(harness):
    async def broken(_call):
        raise KeyError("bug")

    async with opened(harness) as world:
        world.actions.on("*", broken)
        definition = workflow(tool("look", effect="read", on_error=GO_ON), tool("write"))
        run_id = (await world.begin(definition)).run.run_id
        await world.action(run_id, "write", "unknown")
        (answer,) = await world.answers_to(run_id, "look")
        assert (answer.failure.error_class, "KeyError" in answer.failure.message) == ("bug", True)


class BugError(Exception):
    """What no registered function is known to raise."""


def break_down():
    raise BugError("not foreseen")


async def test_a_run_that_the_core_cannot_carry_on_is_set_aside_and_others_go_on():
    broken = prompt("ask", within_ms=500, on_error=handled(prompt("tell", called("break_down"))))
    async with opened(LocalHarness(None), {"break_down": break_down}) as world:
        sick = (await world.begin(workflow(broken, functions=["break_down"]))).run.run_id
        sound = (await world.begin(workflow(prompt("ask", within_ms=600)))).run.run_id
        await world.elapse(550)
        run = await world.until(sick, lambda run: run.status == "parked")
        assert "Bug" in run.parked
        await world.elapse(100)
        assert (await world.ended(sound)).status == "failed"
        event = (await world.history(sick))[-1]
        assert isinstance(event, RunParked)
        assert event.details["code"] == "bug"


async def test_who_asked_for_what_breaks_a_run_is_told_and_the_run_is_set_aside():
    definition = workflow(prompt("ask"), prompt("tell", called("break_down")), functions=["break_down"])
    async with opened(LocalHarness(None), {"break_down": break_down}) as world:
        run_id = (await world.begin(definition)).run.run_id
        await world.claim(run_id)
        with pytest.raises(InvariantViolationError, match="Bug"):
            await world.service.submit(run_id, "ask", 1, AGENT, value="x")
        run = await world.service.look(run_id)
        assert run.status == "parked"
        assert [action.id for action in run.actions] == ["ask"], "the answer that broke it was not taken"


async def test_a_lease_is_told_as_it_stands(tmp_path):
    for path in (None, tmp_path / "treadle.db"):
        harness = LocalHarness(path)
        async with opened(harness) as world:
            run_id = (await world.begin(workflow(delegate("one")))).run.run_id
            first = await world.service.next_step(run_id, AGENT)
            assert first.lease_until_ms == harness.clock.now_ms() + harness.lease_ms
            await world.elapse(100_000)
            again = await world.service.next_step(run_id, AGENT)
            assert again.lease_until_ms == first.lease_until_ms, "asking again writes nothing, so it lengthens nothing"
            lengthened = await world.service.heartbeat(run_id, "one", 1, AGENT.name)
            assert (await world.service.next_step(run_id, AGENT)).lease_until_ms == lengthened


async def test_an_action_that_its_holder_left_behind_is_taken_up_when_its_lease_ends():
    """Another engine on the same storage, that is closed without a word, stands for a process that died."""
    harness = LocalHarness(None)
    started = asyncio.Event()

    async def forever(_call):
        started.set()
        await asyncio.Event().wait()

    async with opened(harness) as world:
        world.actions.on("call", forever, "by another")
        run_id = (
            await world.begin(
                workflow(
                    tool("call", effect="read", retry=Retry(attempts=2), output_to="a"),
                    finish(read("state.a")),
                    state={"a": None},
                )
            )
        ).run.run_id
        await started.wait()
        await world.restart()
        assert (await world.service.look(run_id)).status == "running"
        assert len(world.actions.calls) == 1, "the lease of the first one has not ended"
        await world.elapse(world.engine.served_lease_ms + 1)
        assert (await world.ended(run_id)).result == "by another"


async def test_an_action_in_this_process_name_but_not_in_its_hands_is_lost():
    """A claim whose caller was cancelled right after it: nobody will ever answer it."""
    harness = LocalHarness(None)
    harness.memory = Gate()
    async with opened(harness) as world:
        run_id = (await world.begin(workflow(prompt("ask"), tool("write")))).run.run_id
        await world.claim(run_id)
        claimed = asyncio.Event()
        commit = harness.memory.commit

        async def dying(batch):
            outcome = await commit(batch)
            if batch.transition.claimed == "write" and not claimed.is_set():
                claimed.set()
                raise RequestError("the reply of the commit was lost", code="storage_unavailable")
            return outcome

        harness.memory.commit = dying
        await world.service.submit(run_id, "ask", 1, AGENT, value="x")
        await world.action(run_id, "write", "unknown")
        assert world.actions.calls == []
        await world.service.resolve(run_id, "write", 1, PERSON, "not_done")
        assert (await world.ended(run_id)).status == "completed"


async def test_closing_twice_is_closing_once(tmp_path):
    for path in (None, tmp_path / "treadle.db"):
        async with opened(LocalHarness(path)) as world:
            await world.begin(workflow(prompt("ask")))
        await world.engine.close()


async def test_an_engine_without_a_runner_serves_nothing_and_says_so():
    harness = LocalHarness(None)
    engine = LocalEngine(harness.memory, functions=None, clock=harness.clock, holder="cli")
    with pytest.raises(RequestError) as refused:
        await engine.serve()
    assert refused.value.code == "no_runner"


async def test_a_refused_decision_is_not_kept_as_the_answer_to_its_request():
    """The time-out fires in the very transition that refuses the decision: something is stored, but not the reply."""
    harness = LocalHarness(None)
    engine = LocalEngine(harness.memory, functions=None, clock=harness.clock, holder="cli")
    service = Service(engine, harness.clock)
    definition = workflow(approve("gate", within_ms=500, on_error=GO_ON), prompt("ask"))
    offer = await service.start(definition, {}, AGENT, RunMeta(workflow="case"))
    (gate,) = offer.run.actions
    await harness.elapse(600)
    for _ in range(2):
        late = await service.decide(offer.run.run_id, "gate", gate.digest, PERSON, approved=True)
        refused_with(late, "not_open")
        assert not late.duplicate
    assert len(await engine.events(offer.run.run_id)) == 2


@pytest.mark.parametrize("stored", ["memory", "embedded"])
async def test_what_a_run_had_open_when_it_was_set_aside_waits_for_it_to_be_taken_up(tmp_path, stored):
    harness = LocalHarness(tmp_path / "treadle.db" if stored == "embedded" else None)
    storage = harness.memory if stored == "memory" else EmbeddedStorage.open(harness.path)
    cli = LocalEngine(storage, functions=None, clock=harness.clock, holder="cli")
    service = Service(cli, harness.clock)
    run_id = (await service.start(workflow(tool("call", effect="read")), {}, AGENT, RunMeta(workflow="case"))).run.run_id
    await service.park(run_id, PERSON, "not now")
    await cli.close()
    async with opened(harness) as world:
        other = (await world.begin(workflow(tool("other", effect="read")))).run.run_id
        await world.ended(other)
        await world.elapse(performing.LOOK_AGAIN_MS + 1)
        second = (await world.begin(workflow(tool("other", effect="read")))).run.run_id
        await world.ended(second)
        assert [call.action.id for call in world.actions.calls] == ["other", "other"]
        await world.service.resume(run_id, PERSON)
        assert (await world.ended(run_id)).status == "completed"


async def test_who_takes_a_run_up_does_not_begin_what_another_process_is_doing():
    harness = LocalHarness(None)
    go = asyncio.Event()

    async def slow(_call):
        await go.wait()
        return Answer(value="slow")

    async with opened(harness) as one, opened(harness) as two:
        one.actions.on("call", slow)
        run_id = (
            await one.begin(workflow(tool("call", effect="read", output_to="a"), finish(read("state.a")), state={"a": None}))
        ).run.run_id
        await one.actions.called("call")
        await two.service.park(run_id, PERSON, "wait")
        await two.service.resume(run_id, PERSON)
        other = (await two.begin(workflow(tool("other", effect="read")))).run.run_id
        await two.ended(other)
        go.set()
        assert (await two.ended(run_id)).result == "slow"
        assert [call.action.id for call in two.actions.calls] == ["other"]


class Slow(MemoryStorage):
    """A memory storage that tells of leases as they were before their holders lengthened them."""

    def served(self):
        return tuple(replace(each, until_ms=0) for each in super().served())


async def test_a_holder_that_came_back_in_time_is_not_called_lost():
    harness = LocalHarness(None)
    harness.memory = Slow()
    go = asyncio.Event()

    async def slow(_call):
        await go.wait()
        return Answer(value="slow")

    async with opened(harness) as one:
        one.actions.on("write", slow)
        run_id = (await one.begin(workflow(tool("write")))).run.run_id
        await one.action(run_id, "write", "claimed")
        async with opened(harness) as two:
            await two.ended((await two.begin(workflow(tool("other", effect="read")))).run.run_id)
            assert [action.status for action in (await two.service.look(run_id)).actions] == ["claimed"]
        go.set()
        assert (await one.ended(run_id)).status == "completed"
        assert len(one.actions.calls) == 1
