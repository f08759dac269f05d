"""Cases: who holds an action, and what becomes of answers that are late, double, foreign or wrong."""

from treadle.core.events import ActionClaimed
from treadle.testing.build import GO_ON, delegate, finish, joined, prompt, read, workflow
from treadle.testing.conformance.case import case
from treadle.testing.world import AGENT, OTHER, PERSON, THIRD, World, raises, refused_with

TWO = workflow(
    delegate("one", output_to="a"), delegate("two", output_to="b"), finish(joined(a=read("state.a"), b=read("state.b"))),
    state={"a": None, "b": None},
)  # fmt: skip


@case()
async def the_same_holder_asking_again_gets_the_same_and_writes_nothing(world: World) -> None:
    run_id = (await world.begin(TWO)).run.run_id
    first = await world.claim(run_id)
    count = len(await world.history(run_id))
    again = await world.claim(run_id)
    assert (again.id, again.attempt, again.holder) == (first.id, first.attempt, AGENT.name)
    assert len(await world.history(run_id)) == count


@case()
async def another_holder_finds_nothing_until_it_takes_over(world: World) -> None:
    run_id = (await world.begin(TWO)).run.run_id
    await world.claim(run_id)
    assert (await world.service.next_step(run_id, OTHER)).kind == "waiting"
    refused_with(await world.service.next_step(run_id, OTHER, action="one"), "held")
    taken = await world.service.next_step(run_id, OTHER, action="one", take_over=True)
    assert taken.action is not None
    assert (taken.action.attempt, taken.action.redo) == (2, True)
    refused_with(await world.service.submit(run_id, "one", 1, AGENT, value="mine"), "late")
    offer = await world.service.submit(run_id, "one", 2, OTHER, value="theirs")
    assert offer.run.state["a"] == "theirs"


@case()
async def a_lapsed_lease_makes_an_action_claimable_and_no_more(world: World) -> None:
    run_id = (await world.begin(TWO)).run.run_id
    await world.claim(run_id)
    await world.elapse(world.harness.lease_ms + 100)
    count = len(await world.history(run_id))
    offer = await world.service.submit(run_id, "one", 1, AGENT, value="late but good")
    assert offer.run.state["a"] == "late but good"
    assert offer.action is not None
    await world.elapse(world.harness.lease_ms + 100)
    taken = await world.claim(run_id, OTHER)
    assert (taken.id, taken.attempt, taken.redo) == ("two", 2, True)
    refused_with(await world.service.submit(run_id, "two", 1, AGENT, value="too late"), "late")
    assert len(await world.history(run_id)) == count + 2


@case()
async def a_heartbeat_keeps_a_lease(world: World) -> None:
    run_id = (await world.begin(TWO)).run.run_id
    await world.claim(run_id)
    for _ in range(3):
        await world.elapse(world.harness.lease_ms * 2 // 3)
        assert await world.service.heartbeat(run_id, "one", 1, AGENT.name) is not None
    assert (await world.service.next_step(run_id, OTHER)).kind == "waiting"
    assert await world.service.heartbeat(run_id, "one", 1, OTHER.name) is None
    assert await world.service.heartbeat(run_id, "two", 1, AGENT.name) is None
    events = await world.history(run_id)
    assert sum(isinstance(event, ActionClaimed) for event in events) == 1, "a renewal is no event"


@case()
async def three_lapses_are_a_lost_performer(world: World) -> None:
    definition = workflow(delegate("one", on_error=GO_ON), finish(read("steps.one.error.class")))
    run_id = (await world.begin(definition)).run.run_id
    for attempt, holder in enumerate((AGENT, OTHER, THIRD), 1):
        assert (await world.claim(run_id, holder)).attempt == attempt
        await world.elapse(world.harness.lease_ms + 100)
    await world.service.next_step(run_id, AGENT)
    run = await world.ended(run_id)
    assert (run.status, run.result) == ("completed_degraded", "performer_lost")


@case()
async def a_lapsed_action_that_may_not_be_done_twice_is_unknown_until_a_person_says(world: World) -> None:
    definition = workflow(delegate("send", effect="send", repeatable=False, output_to="a"), finish(read("state.a")), state={"a": None})
    run_id = (await world.begin(definition)).run.run_id
    await world.claim(run_id)
    await world.elapse(world.harness.lease_ms + 100)
    refused_with(await world.service.next_step(run_id, OTHER, action="send"), "outcome_unknown")
    run = await world.service.look(run_id)
    assert [(action.status, action.waits_for) for action in run.actions] == [("unknown", "outcome")]
    refused_with(await world.service.resolve(run_id, "send", 1, AGENT, "done"), "needs_person")
    offer = await world.service.resolve(run_id, "send", 1, PERSON, "done", value="it was sent")
    assert (offer.run.status, offer.run.result) == ("completed", "it was sent")


@case()
async def a_repeated_answer_gets_the_stored_reply_and_the_present_step(world: World) -> None:
    run_id = (await world.begin(TWO)).run.run_id
    first = await world.answer(run_id, "A")
    count = len(await world.history(run_id))
    again = await world.service.submit(run_id, "one", 1, AGENT, value="A")
    assert again.duplicate
    assert first.action is not None
    assert again.action is not None
    assert (again.action.id, again.action.attempt) == (first.action.id, first.action.attempt) == ("two", 1)
    assert len(await world.history(run_id)) == count


@case()
async def the_same_answer_with_another_body_is_a_conflict_and_moves_nothing(world: World) -> None:
    run_id = (await world.begin(TWO)).run.run_id
    await world.answer(run_id, "A")
    count = len(await world.history(run_id))
    offer = await world.service.submit(run_id, "one", 1, AGENT, value="B")
    refused_with(offer, "conflict")
    assert offer.run.state["a"] == "A"
    assert len(await world.history(run_id)) == count


@case()
async def answers_to_what_is_not_open_not_theirs_or_not_there_are_told_apart(world: World) -> None:
    run_id = (await world.begin(TWO)).run.run_id
    await world.claim(run_id)
    refused_with(await world.service.submit(run_id, "two", 1, AGENT, value="x"), "not_open")
    refused_with(await world.service.submit(run_id, "one", 2, AGENT, value="x"), "unknown_attempt")
    refused_with(await world.service.submit(run_id, "one", 1, OTHER, value="x"), "foreign")
    await raises("unknown_run", world.service.submit("run_nowhere", "one", 1, AGENT, value="x"))
    assert (await world.service.look(run_id)).state == {"a": None, "b": None}


@case()
async def a_refused_answer_may_be_given_again_rightly(world: World) -> None:
    definition = workflow(
        prompt("ask", format="choice", options=["red", "blue"], output_to="c"),
        finish(read("state.c")),
        state={"c": None},
    )
    run_id = (await world.begin(definition)).run.run_id
    await world.claim(run_id)
    refused_with(await world.service.submit(run_id, "ask", 1, AGENT, value="green"), "invalid_answer")
    offer = await world.service.submit(run_id, "ask", 1, AGENT, value="blue")
    assert (offer.refusal, offer.run.result) == (None, "blue")


@case()
async def an_output_that_does_not_fit_draws_on_repair_and_then_fails(world: World) -> None:
    schema = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
    definition = workflow(delegate("one", output=schema, repair=1, on_error=GO_ON), finish(read("steps.one.error.class")))
    run_id = (await world.begin(definition)).run.run_id
    await world.claim(run_id)
    refused = await world.service.submit(run_id, "one", 1, AGENT, value={"n": "x"})
    refused_with(refused, "bad_output")
    again = await world.service.submit(run_id, "one", 1, AGENT, value={"n": "x"})
    assert again.duplicate
    refused_with(again, "bad_output")
    offer = await world.service.submit(run_id, "one", 2, AGENT, value={})
    assert (offer.run.status, offer.run.result) == ("completed_degraded", "bad_output")


@case()
async def a_person_may_answer_a_prompt_that_an_agent_holds(world: World) -> None:
    run_id = (await world.begin(workflow(prompt("ask", output_to="a"), finish(read("state.a")), state={"a": None}))).run.run_id
    await world.claim(run_id)
    offer = await world.service.submit(run_id, "ask", 1, PERSON, value="myself")
    assert (offer.refusal, offer.run.result) == (None, "myself")


@case()
async def asking_looking_and_listing_never_advance_a_run(world: World) -> None:
    run_id = (await world.begin(TWO)).run.run_id
    await world.claim(run_id)
    revision = (await world.service.look(run_id)).revision
    await world.claim(run_id)
    await world.service.next_step(run_id, OTHER)
    assert (await world.service.look(run_id)).revision == revision
