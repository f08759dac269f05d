"""Cases: the way through a workflow. What is deterministic costs no event of its own; what waits, waits for exactly one."""

from treadle.core.events import ActionAnswered, ActionClaimed, Continued, RunStarted
from treadle.testing.build import (
    assign,
    choose,
    delegate,
    each,
    equal,
    finish,
    joined,
    prompt,
    read,
    task,
    text,
    workflow,
)  # fmt: skip
from treadle.testing.conformance.case import case
from treadle.testing.world import AGENT, OTHER, World, failure, refused_with


@case()
async def a_prompt_is_asked_answered_and_returned(world: World) -> None:
    definition = workflow(prompt("ask", text("who is ", read("inputs.name"), "?"), output_to="who"), finish(read("state.who")),
                          inputs={"name": {"type": "string", "required": True}}, state={"who": None})  # fmt: skip
    offer = await world.begin(definition, {"name": "Ann"})
    assert offer.run.status == "waiting"
    action = await world.claim(offer.run.run_id)
    assert (action.id, action.attempt, action.params["message"]) == ("ask", 1, "who is Ann?")
    offer = await world.service.submit(offer.run.run_id, "ask", 1, AGENT, value="a person")
    assert (offer.kind, offer.run.status, offer.run.result) == ("ended", "completed", "a person")


@case()
async def one_answer_is_one_event_however_much_follows_from_it(world: World) -> None:
    definition = workflow(
        prompt("ask", output_to="word"), assign("one", a=read("state.word")), assign("two", b=text(read("state.a"), "!")),
        choose("three", equal(read("state.b"), "hey!"), then=[assign("four", c="yes")]), prompt("again"),
        state={"word": None, "a": None, "b": None, "c": None},
    )  # fmt: skip
    offer = await world.begin(definition)
    offer = await world.answer(offer.run.run_id, "hey")
    assert offer.action is not None
    assert offer.action.id == "again"
    assert offer.run.state["c"] == "yes"
    kinds = [type(event) for event in await world.history(offer.run.run_id)]
    assert kinds == [RunStarted, ActionClaimed, ActionAnswered]


@case()
async def a_condition_takes_one_branch_and_skips_what_is_not_wanted(world: World) -> None:
    definition = workflow(
        choose("which", read("inputs.yes"), then=[prompt("left", output_to="got")], otherwise=[prompt("right", output_to="got")]),
        finish(read("state.got")), inputs={"yes": {"type": "boolean", "required": True}}, state={"got": None},
    )  # fmt: skip
    for yes, expected in ((True, "which.then/left"), (False, "which.else/right")):
        run_id = (await world.begin(definition, {"yes": yes})).run.run_id
        action = await world.claim(run_id)
        assert action.id == expected
        offer = await world.service.submit(run_id, action.id, 1, AGENT, value="here")
        assert offer.run.result == "here"


@case()
async def a_step_whose_when_is_false_is_skipped_and_writes_nothing(world: World) -> None:
    definition = workflow(prompt("ask", when=equal(read("state.n"), 2), output_to="n"), finish(read("state.n")), state={"n": 1})
    offer = await world.begin(definition)
    assert (offer.kind, offer.run.result) == ("ended", 1)
    run = await world.service.look(offer.run.run_id)
    assert [(step.path, step.status) for step in run.steps] == [("ask", "skipped"), ("finish", "completed")]


@case()
async def a_return_ends_the_run_before_later_steps(world: World) -> None:
    definition = workflow(choose("stop", read("inputs.stop"), then=[finish("early", "out")]), prompt("late"), inputs={"stop": {}})
    offer = await world.begin(definition, {"stop": True})
    assert (offer.run.status, offer.run.result) == ("completed", "early")


ITEMS = workflow(
    each("all", read("inputs.items"), task="one", max_parallel=3, output_to="got", agent="@task"), finish(read("state.got")),
    inputs={"items": {"type": "array", "required": True}}, state={"got": None},
    tasks={"one": task(delegate("work", read("inputs.it"), output_to="r"), finish(read("state.r")), inputs={"it": {"required": True}}, state={"r": None})},
)  # fmt: skip


@case()
async def a_parallel_foreach_hands_out_branches_and_keeps_item_order(world: World) -> None:
    run_id = (await world.begin(ITEMS, {"items": ["a", "b", "c", "d"]})).run.run_id
    offer = await world.service.next_step(run_id, AGENT)
    assert offer.kind == "fan_out"
    assert [branch.item for branch in offer.branches] == [{"it": "a"}, {"it": "b"}, {"it": "c"}]
    for branch in reversed(offer.branches):
        action = await world.claim(run_id, OTHER, token=branch.token)
        assert action.id == f"all[{branch.index}]/work"
        done = await world.service.submit(run_id, action.id, 1, OTHER, value=f"{action.params['instructions']}!", token=branch.token)
        assert done.kind == "branch_ended"
    (last,) = (await world.service.next_step(run_id, AGENT)).branches
    await world.answer(run_id, "d!", by=OTHER, token=last.token)
    run = await world.ended(run_id)
    assert run.result == ["a!", "b!", "c!", "d!"]


@case()
async def a_sequential_foreach_opens_one_item_at_a_time(world: World) -> None:
    definition = workflow(
        each("all", ["x", "y", "z"], do=[prompt("say", read("item"))], sequential=True, output=joined(i=read("loop.index"), it=read("item")),
             output_to="got"), finish(read("state.got")), state={"got": None},
    )  # fmt: skip
    run_id = (await world.begin(definition)).run.run_id
    for index, item in enumerate("xyz"):
        run = await world.service.look(run_id)
        assert [action.id for action in run.actions] == [f"all[{index}]/say"]
        action = await world.claim(run_id)
        assert action.params["message"] == item
        await world.service.submit(run_id, action.id, 1, AGENT, value="ok", then_next=False)
    run = await world.ended(run_id)
    assert run.result == [{"i": 1, "it": "x"}, {"i": 2, "it": "y"}, {"i": 3, "it": "z"}]


async def _fail_the_second(world: World, policy: str) -> str:
    definition = workflow(
        each("all", ["a", "b", "c"], task="one", output_to="got", on_item_error=policy, agent="@task"),
        finish(joined(got=read("state.got"), errors=read("steps.all.errors"))), state={"got": None}, tasks=ITEMS.tasks,
    )  # fmt: skip
    run_id = (await world.begin(definition)).run.run_id
    branches = (await world.service.next_step(run_id, AGENT)).branches
    for branch in (branches[2], branches[0], branches[1]):
        action = await world.claim(run_id, OTHER, token=branch.token)
        bad = failure("denied", "no entry") if branch.index == 1 else None
        await world.service.submit(run_id, action.id, 1, OTHER, value=action.params["instructions"], failure=bad, token=branch.token)
    return run_id


@case()
async def a_collecting_foreach_gives_null_and_an_error_for_a_failed_item(world: World) -> None:
    run = await world.ended(await _fail_the_second(world, "collect"))
    assert run.status == "completed_degraded"
    assert isinstance(run.result, dict)
    assert run.result["got"] == ["a", None, "c"]
    errors = run.result["errors"]
    assert isinstance(errors, list)
    assert [(e["index"], e["class"], e["step"]) for e in errors if isinstance(e, dict)] == [(1, "denied", "all[1]/work")]


@case()
async def a_failing_foreach_fails_the_run_with_the_items_class(world: World) -> None:
    run = await world.ended(await _fail_the_second(world, "fail"))
    assert run.status == "failed"
    assert run.failure is not None
    assert (run.failure.error_class, run.failure.step) == ("denied", "all[1]/work")


@case()
async def a_branch_token_opens_its_own_branch_alone(world: World) -> None:
    run_id = (await world.begin(ITEMS, {"items": ["a", "b"]})).run.run_id
    first, second = (await world.service.next_step(run_id, AGENT)).branches
    action = await world.claim(run_id, AGENT, token=first.token)
    offer = await world.service.submit(run_id, action.id, 1, AGENT, value="stolen", token=second.token)
    refused_with(offer, "foreign")
    offer = await world.service.next_step(run_id, AGENT, token=second.token, action=action.id)
    refused_with(offer, "foreign")


@case()
async def a_prompt_in_a_branch_is_asked_on_the_main_channel(world: World) -> None:
    tasks = {"one": task(prompt("ask", output_to="r"), finish(read("state.r")), inputs={"it": {"required": True}}, state={"r": None})}
    definition = workflow(each("all", ["a"], task="one", agent="@task", output_to="got"), finish(read("state.got")), tasks=tasks,
                          state={"got": None})  # fmt: skip
    run_id = (await world.begin(definition)).run.run_id
    action = await world.claim(run_id)
    assert action.id == "all[0]/ask"
    offer = await world.service.submit(run_id, action.id, 1, AGENT, value="me")
    assert offer.run.result == ["me"]


@case("yielding")
async def what_is_too_much_for_one_commit_goes_on_in_the_next(world: World) -> None:
    body = [assign("note", seen=read("inputs.it")), assign("twice", seen=read("inputs.it"))]
    one = task(*body, finish(read("inputs.it")), inputs={"it": {}}, state={"seen": None})
    definition = workflow(each("all", list(range(1_000)), task="one", output_to="got"), finish(read("state.got")), tasks={"one": one},
                          state={"got": None})  # fmt: skip
    offer = await world.begin(definition)
    run = await world.ended(offer.run.run_id)
    assert run.status == "completed", run.failure
    assert await world.service.filled(run.result) == list(range(1_000))
    assert sum(isinstance(event, Continued) for event in await world.history(run.run_id)) >= 1
