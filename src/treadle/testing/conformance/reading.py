"""Cases: what can be seen of runs, what is kept of requests, and that nothing of it needs the process that wrote it."""

import asyncio

from treadle.core.values import BlobRef
from treadle.ports import RunMeta, RunQuery
from treadle.testing.build import choose, delegate, equal, finish, joined, prompt, read, tool, workflow
from treadle.testing.conformance.case import case
from treadle.testing.world import AGENT, OTHER, PATIENCE_S, World, check_numbers, raises, refused_with

ASK = workflow(
    prompt("ask", output_to="a"),
    finish(read("state.a")),
    state={"a": None},
    inputs={"n": {"type": "integer", "default": 0}},
    name="asking",
)
BIG = "0123456789abcdef" * 6_000


@case()
async def refused_inputs_start_nothing(world: World) -> None:
    offer = await world.begin(ASK, {"n": "many"})
    refused_with(offer, "invalid_inputs")
    assert offer.refusal is not None
    assert "`n`" in offer.refusal.message
    await raises("unknown_run", world.service.look(offer.run.run_id))


@case()
async def a_start_repeated_under_its_key_is_the_same_run(world: World) -> None:
    first = await world.begin(ASK, {"n": 1}, key="mine")
    again = await world.begin(ASK, {"n": 1}, key="mine")
    assert (again.run.run_id, again.duplicate) == (first.run.run_id, True)
    refused_with(await world.begin(ASK, {"n": 2}, key="mine"), "conflict")
    other = await world.begin(ASK, {"n": 1}, key="other")
    assert other.run.run_id != first.run.run_id


@case()
async def a_run_that_is_not_there_is_said_not_to_be_there(world: World) -> None:
    await raises("unknown_run", world.service.look("run_nowhere"))
    await raises("unknown_run", world.service.next_step("run_nowhere", AGENT))
    await raises("unknown_run", world.service.cancel("run_nowhere", AGENT))


@case("listing")
async def runs_are_listed_newest_first_and_page_by_page(world: World) -> None:
    ids = [(await world.begin(ASK)).run.run_id for _ in range(5)]
    rows = await world.service.runs(RunQuery(limit=3))
    assert [row.id for row in rows] == ids[:1:-1]
    rows = await world.service.runs(RunQuery(limit=3, before=rows[-1].id))
    assert [row.id for row in rows] == ids[1::-1]


@case("listing")
async def runs_are_found_by_words_place_and_status(world: World) -> None:
    here = RunMeta(workflow="asking", title="Move the garden shed", directory="/here", branch="main", started_by="ann")
    there = RunMeta(workflow="asking", title="Paint the fence", directory="/there", branch="fence")
    one = (await world.begin(ASK, meta=here)).run.run_id
    two = (await world.begin(ASK, meta=there)).run.run_id
    await world.answer(two, "blue")

    async def found(query: RunQuery) -> list[str]:
        return [row.id for row in await world.service.runs(query)]

    assert await found(RunQuery(words="garden")) == [one]
    assert await found(RunQuery(words="FEN paint")) == [two]
    assert await found(RunQuery(words="zebra")) == []
    assert await found(RunQuery(words=one)) == [one]
    assert await found(RunQuery(directory="/here")) == [one]
    assert await found(RunQuery(branch="fence")) == [two]
    assert await found(RunQuery(open_only=True)) == [one]
    assert await found(RunQuery(statuses=("completed", "failed"))) == [two]
    (row,) = await world.service.runs(RunQuery(words="garden"))
    assert (row.status, row.meta, row.revision) == ("waiting", here, 1)


@case()
async def a_history_is_numbered_from_one_and_read_from_anywhere(world: World) -> None:
    run_id = (await world.begin(ASK)).run.run_id
    await world.answer(run_id, "x")
    events = await world.engine.events(run_id)
    check_numbers(events)
    assert [type(each.event).__name__ for each in events] == ["RunStarted", "ActionClaimed", "ActionAnswered"]
    assert await world.engine.events(run_id, 2) == events[2:]
    assert {each.run_id for each in events} == {run_id}


@case("changes")
async def the_feed_tells_of_every_event_in_order(world: World) -> None:
    first = (await world.begin(ASK)).run.run_id
    seen: list[tuple[int, str]] = []

    async def follow() -> None:
        async for change in world.engine.changes(0):
            seen.append(change)
            if len(seen) == 4:
                return

    following = asyncio.create_task(follow())
    second = (await world.begin(ASK)).run.run_id
    await world.answer(first, "x")
    async with asyncio.timeout(PATIENCE_S):
        await following
    assert [run_id for _, run_id in seen] == [first, second, first, first]
    assert [seq for seq, _ in seen] == sorted({seq for seq, _ in seen})


@case("changes")
async def who_waits_for_a_step_gets_it_when_it_comes(world: World) -> None:
    definition = workflow(prompt("ask"), delegate("work"))
    run_id = (await world.begin(definition)).run.run_id
    await world.claim(run_id)
    offer = await world.service.next_step(run_id, OTHER, wait_ms=1)
    assert offer.kind == "waiting"
    await world.service.changed(run_id, offer.run.revision, 1)  # an engine that cannot be followed says so here, however slow it is
    waiting = asyncio.create_task(world.service.next_step(run_id, OTHER, wait_ms=9_000))
    await asyncio.sleep(0)
    await world.service.submit(run_id, "ask", 1, AGENT, value="x", then_next=False)
    async with asyncio.timeout(PATIENCE_S):
        offer = await waiting
    assert offer.action is not None
    assert offer.action.id == "work"


@case("blobs")
async def a_large_answer_is_set_aside_and_given_back_whole(world: World) -> None:
    definition = workflow(
        prompt("ask", output_to="a"),
        tool("keep", parameters=joined(it=read("state.a"))),
        finish(read("state.a")),
        state={"a": None},
    )
    run_id = (await world.begin(definition)).run.run_id
    await world.answer(run_id, BIG)
    run = await world.ended(run_id)
    assert isinstance(run.result, BlobRef)
    assert isinstance(run.state["a"], BlobRef)
    assert await world.service.filled(run.result) == BIG
    assert world.actions.calls[0].params["parameters"] == {"it": BIG}
    (answer,) = await world.answers_to(run_id, "ask")
    assert isinstance(answer.value, BlobRef)


@case("blobs")
async def an_expression_may_look_into_what_was_set_aside(world: World) -> None:
    form = {"name": {"type": "string"}, "body": {"type": "string"}}
    definition = workflow(
        prompt("ask", format="form", fields=form, output_to="a"),
        choose("which", equal(read("state.a.name"), "big"), then=[finish("seen", "out")]), finish("not seen"), state={"a": None},
    )  # fmt: skip
    run_id = (await world.begin(definition)).run.run_id
    offer = await world.answer(run_id, {"name": "big", "body": BIG})
    assert offer.refusal is None
    assert offer.run.result == "seen"


@case("blobs")
async def a_large_result_of_the_server_is_set_aside(world: World) -> None:
    world.actions.on("call", {"body": BIG})
    definition = workflow(tool("call", output_to="a"), finish(read("state.a")), state={"a": None})
    run = await world.ended((await world.begin(definition)).run.run_id)
    assert await world.service.filled(run.result) == {"body": BIG}


@case()
async def an_engine_opened_again_goes_on_where_it_was(world: World) -> None:
    definition = workflow(
        prompt("ask", output_to="a"), tool("call", output_to="b"), prompt("last", output_to="c"),
        finish(joined(a=read("state.a"), b=read("state.b"), c=read("state.c"))), state={"a": None, "b": None, "c": None},
    )  # fmt: skip
    world.actions.on("call", "B")
    run_id = (await world.begin(definition)).run.run_id
    await world.answer(run_id, "A")
    await world.action(run_id, "last", "open")
    action = await world.claim(run_id)
    before = await world.service.look(run_id)
    await world.restart()
    assert await world.service.look(run_id) == before
    again = await world.service.submit(run_id, "ask", 1, AGENT, value="A")
    assert again.duplicate
    assert (await world.claim(run_id)).attempt == action.attempt
    offer = await world.service.submit(run_id, "last", 1, AGENT, value="C")
    assert (offer.run.status, offer.run.result) == ("completed", {"a": "A", "b": "B", "c": "C"})
    assert len(world.actions.calls) == 1


@case()
async def a_timer_that_came_due_while_nobody_served_fires_at_the_next_start(world: World) -> None:
    run_id = (await world.begin(workflow(prompt("ask", within_ms=500)))).run.run_id
    await world.close()
    await world.elapse(600)
    await world.restart()
    run = await world.ended(run_id)
    assert run.status == "failed"


@case()
async def what_an_ended_run_was_told_is_still_known(world: World) -> None:
    run_id = (await world.begin(ASK)).run.run_id
    await world.answer(run_id, "x")
    again = await world.service.submit(run_id, "ask", 1, AGENT, value="x")
    assert (again.kind, again.duplicate, again.refusal) == ("ended", True, None)
    refused_with(await world.service.submit(run_id, "ask", 1, AGENT, value="y"), "conflict")
    refused_with(await world.service.submit(run_id, "ask", 2, AGENT, value="x"), "run_ended")
    asked = await world.service.next_step(run_id, AGENT)
    assert (asked.kind, asked.refusal) == ("ended", None)
