"""Cases: cancelling and setting aside."""

import asyncio

from treadle.ports import ActionCall, Answer
from treadle.testing.build import delegate, finish, prompt, read, tool, workflow
from treadle.testing.conformance.case import case
from treadle.testing.world import AGENT, PERSON, World, refused_with

GRACE_MS = 10_000


@case()
async def a_cancelled_run_with_nothing_in_hand_ends_at_once(world: World) -> None:
    run_id = (await world.begin(workflow(prompt("ask")))).run.run_id
    offer = await world.service.cancel(run_id, PERSON, "changed my mind")
    assert (offer.kind, offer.run.status) == ("ended", "cancelled")
    refused_with(await world.service.cancel(run_id, PERSON), "run_ended")


@case()
async def an_answer_within_the_grace_of_a_cancellation_is_recorded_and_not_used(world: World) -> None:
    definition = workflow(delegate("work", output_to="a"), finish(read("state.a")), state={"a": None})
    run_id = (await world.begin(definition)).run.run_id
    await world.claim(run_id)
    offer = await world.service.cancel(run_id, PERSON)
    assert offer.run.status == "cancelling"
    assert (await world.service.next_step(run_id, AGENT)).action is None
    await world.service.submit(run_id, "work", 1, AGENT, value="just done")
    run = await world.ended(run_id)
    assert (run.status, run.result, run.state["a"]) == ("cancelled", None, None)
    assert [answer.value for answer in await world.answers_to(run_id, "work")] == ["just done"]


@case()
async def a_second_cancel_waits_for_nobody(world: World) -> None:
    run_id = (await world.begin(workflow(delegate("work")))).run.run_id
    await world.claim(run_id)
    assert (await world.service.cancel(run_id, PERSON)).run.status == "cancelling"
    assert (await world.service.cancel(run_id, PERSON)).run.status == "cancelled"


@case()
async def cancelling_stops_what_the_server_is_doing(world: World) -> None:
    stopped = asyncio.Event()

    async def slow(_call: ActionCall) -> Answer:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            stopped.set()
            raise
        return Answer()

    world.actions.on("call", slow)
    run_id = (await world.begin(workflow(tool("call")))).run.run_id
    await world.actions.called("call")
    await world.action(run_id, "call", "claimed")
    await world.service.cancel(run_id, PERSON)
    async with asyncio.timeout(10):
        await stopped.wait()
    run = await world.ended(run_id)
    assert run.status == "cancelled"


@case()
async def a_parked_run_hands_nothing_out_and_completes_nothing(world: World) -> None:
    run_id = (
        await world.begin(workflow(prompt("ask", within_ms=500, output_to="a"), finish(read("state.a")), state={"a": None}))
    ).run.run_id
    offer = await world.service.park(run_id, AGENT, "I cannot see what is meant")
    assert (offer.run.status, offer.run.parked) == ("parked", "I cannot see what is meant")
    refused_with(await world.service.park(run_id, AGENT, "again"), "already_parked")
    refused_with(await world.service.next_step(run_id, AGENT), "run_parked")
    assert (await world.service.look(run_id)).status == "parked"
    offer = await world.service.resume(run_id, PERSON)
    assert offer.run.status == "waiting"
    refused_with(await world.service.resume(run_id, PERSON), "not_parked")
    assert (await world.answer(run_id, "now")).run.result == "now"


@case()
async def no_timer_fires_while_a_run_is_set_aside(world: World) -> None:
    run_id = (await world.begin(workflow(prompt("ask", within_ms=500)))).run.run_id
    await world.service.park(run_id, PERSON, "later")
    await world.elapse(600)
    assert (await world.service.look(run_id)).status == "parked"
    offer = await world.service.resume(run_id, PERSON)
    assert offer.run.failure is not None
    assert (offer.run.status, offer.run.failure.error_class) == ("failed", "timeout")


@case()
async def a_server_performed_action_waits_while_its_run_is_set_aside(world: World) -> None:
    definition = workflow(prompt("ask"), tool("call", output_to="a"), finish(read("state.a")), state={"a": None})
    world.actions.on("call", "done")
    run_id = (await world.begin(definition)).run.run_id
    await world.claim(run_id)
    await world.service.park(run_id, PERSON, "wait")
    await world.service.submit(run_id, "ask", 1, AGENT, value="x")
    assert (await world.service.look(run_id)).status == "parked"
    assert world.actions.calls == []
    await world.service.resume(run_id, PERSON)
    assert (await world.ended(run_id)).result == "done"
    assert len(world.actions.calls) == 1
