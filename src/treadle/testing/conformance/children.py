"""Cases: a step that runs another workflow as a run of its own."""

import asyncio

from treadle.core.definition import Budget, Definition, Retry
from treadle.core.events import RunStarted, Usage
from treadle.core.ids import child_of_attempt, child_run_id
from treadle.ports import ActionCall, Answer
from treadle.testing.build import GO_ON, fallback, finish, prompt, read, run, text, tool, workflow
from treadle.testing.conformance.case import case
from treadle.testing.world import PERSON, World, failure

ASKS = workflow(
    prompt("ask", text("who is ", read("inputs.name"), "?"), output_to="a"), finish(read("state.a")),
    inputs={"name": {"type": "string", "required": True}}, state={"a": None}, name="asks",
)  # fmt: skip
WORKS = workflow(tool("work", output_to="a"), finish(read("state.a")), state={"a": None}, name="works")


def _parent(child: Definition, *, after: tuple[str, ...] = (), budget: Budget | None = None, **more: object) -> Definition:
    inputs = {"name": "ann"} if child.main.inputs else {}
    steps = [run("child", "it", inputs, output_to="got", **more), *(prompt(name) for name in after), finish(read("state.got"))]
    return workflow(*steps, state={"got": None}, children={"it": child}, name="parent", budget=budget)


async def _begun(world: World, definition: Definition) -> tuple[str, str]:
    """Start a parent, and wait until its child is there."""
    run_id = (await world.begin(definition)).run.run_id
    await world.actions.called("child")
    await world.action(run_id, "child", "claimed")
    child_id = child_run_id(run_id, "child")
    await world.there(child_id)
    return run_id, child_id


@case("children")
async def a_child_is_a_run_of_its_own_and_its_result_is_the_answer(world: World) -> None:
    run_id, child_id = await _begun(world, _parent(ASKS))
    child = await world.service.look(child_id)
    assert (child.parent, child.workflow, child.inputs) == (f"{run_id}/child", "asks", {"name": "ann"})
    first, *_ = await world.history(child_id)
    assert isinstance(first, RunStarted)
    assert (first.depth, first.by.name) == (1, "agent-1")
    assert (await world.service.look(run_id)).status == "waiting"
    offer = await world.answer(child_id, "a painter")
    assert offer.run.result == "a painter"
    parent = await world.ended(run_id)
    assert (parent.status, parent.result) == ("completed", "a painter")


@case("children")
async def the_failure_of_a_child_keeps_its_class(world: World) -> None:
    world.actions.on("work", failure("denied", "no entry"))
    run_id, child_id = await _begun(world, _parent(WORKS))
    parent = await world.ended(run_id)
    assert parent.failure is not None
    assert (parent.status, parent.failure.error_class, parent.failure.step) == ("failed", "denied", "child")
    assert parent.failure.message == f"child {child_id} failed: no entry"


@case("children")
async def a_child_that_completes_degraded_makes_its_parent_so(world: World) -> None:
    child = workflow(tool("work", on_error=fallback("instead"), output_to="a"), finish(read("state.a")), state={"a": None})
    world.actions.on("work", failure("denied"))
    run_id, _ = await _begun(world, _parent(child))
    parent = await world.ended(run_id)
    assert (parent.status, parent.result) == ("completed_degraded", "instead")


@case("children")
async def inputs_that_a_child_does_not_take_are_a_failure_of_the_step(world: World) -> None:
    parent = workflow(run("child", "it", {"name": 5}), children={"it": ASKS})
    found = await world.ended((await world.begin(parent)).run.run_id)
    assert found.failure is not None
    assert (found.failure.error_class, found.failure.step) == ("failed", "child")
    assert "`name`" in found.failure.message
    assert "[invalid_inputs]" in found.failure.message


@case("children")
async def a_cancelled_parent_cancels_its_child(world: World) -> None:
    run_id, child_id = await _begun(world, _parent(ASKS))
    await world.service.cancel(run_id, PERSON)
    assert (await world.ended(child_id)).status == "cancelled"
    assert (await world.ended(run_id)).status == "cancelled"


@case("children")
async def a_child_that_somebody_cancels_is_a_failure_of_its_step(world: World) -> None:
    run_id, child_id = await _begun(world, _parent(ASKS))
    await world.service.cancel(child_id, PERSON)
    parent = await world.ended(run_id)
    assert parent.failure is not None
    assert (parent.status, parent.failure.error_class, parent.failure.message) == ("failed", "failed", f"child {child_id}: cancelled")


@case("children")
async def a_parent_that_waits_for_its_child_ends_after_it(world: World) -> None:
    run_id, child_id = await _begun(world, _parent(ASKS, close_policy="wait"))
    await world.service.cancel(run_id, PERSON)
    await world.action(run_id, "child", "stopping")
    await world.elapse(20_000)
    assert (await world.service.look(run_id)).status == "cancelling"
    offer = await world.answer(child_id, "in peace")
    assert offer.run.status == "completed"
    assert (await world.ended(run_id)).status == "cancelled"


@case("children")
async def an_abandoned_child_lives_on(world: World) -> None:
    run_id, child_id = await _begun(world, _parent(ASKS, close_policy="abandon"))
    await world.service.cancel(run_id, PERSON)
    assert (await world.ended(run_id)).status == "cancelled"
    await world.actions.children.sweep()
    assert (await world.answer(child_id, "alone")).run.status == "completed"


@case("children")
async def a_detached_child_is_answered_by_its_id_at_once_and_lives_on(world: World) -> None:
    run_id = (await world.begin(_parent(ASKS, detach=True))).run.run_id
    parent = await world.ended(run_id)
    child_id = child_run_id(run_id, "child")
    assert (parent.status, parent.result) == ("completed", {"run_id": child_id})
    assert (await world.answer(child_id, "alone")).run.status == "completed"


@case("children")
async def child_runs_are_nested_only_as_deep_as_each_run_above_allows(world: World) -> None:
    middle = _parent(WORKS)
    top = workflow(
        run("child", "it", output_to="got"), finish(read("state.got")), state={"got": None}, children={"it": middle}, depth_max=1
    )
    run_id, child_id = await _begun(world, top)
    parent = await world.ended(run_id)
    assert parent.failure is not None
    assert parent.failure.error_class == "failed"
    assert "nested deeper than 1" in parent.failure.message
    assert (await world.service.look(child_id)).status == "failed"


@case("children")
async def another_attempt_is_another_child(world: World) -> None:
    world.actions.on("work", failure("transient"), "second")
    run_id, child_id = await _begun(world, _parent(WORKS, retry=Retry(attempts=2, backoff_ms=0)))
    parent = await world.ended(run_id)
    assert (parent.status, parent.result) == ("completed", "second")
    assert (await world.service.look(child_id)).status == "failed"
    assert (await world.service.look(child_of_attempt(child_id, 2))).status == "completed"


@case("children")
async def a_step_whose_time_is_up_leaves_no_child_behind(world: World) -> None:
    run_id, child_id = await _begun(world, _parent(ASKS, timeout_ms=500, on_error=GO_ON))
    await world.elapse(600)
    assert (await world.ended(child_id)).status == "cancelled"
    assert (await world.ended(run_id)).status == "completed_degraded"


@case("children")
async def what_a_child_calls_counts_in_every_budget_above_it(world: World) -> None:
    async def paid(_call: ActionCall) -> Answer:
        return Answer(value=1, usage=Usage(tokens=7, usd="0.5"))

    world.actions.on("work", paid)
    parent = _parent(_parent(WORKS), after=("last",), budget=Budget(calls=5, tokens=100))
    run_id, _ = await _begun(world, parent)
    await world.action(run_id, "last", "open")
    (budget,) = (await world.service.look(run_id)).budgets
    assert (budget.calls, budget.tokens, budget.usd) == (1, 7, "0.5")
    await world.answer(run_id, "x")


@case("children")
async def who_takes_a_parent_over_goes_on_waiting_for_the_same_child(world: World) -> None:
    run_id, child_id = await _begun(world, _parent(ASKS))
    await world.restart()
    await world.elapse(20_000)
    await world.actions.called("child", 2)
    await world.answer(child_id, "still here")
    parent = await world.ended(run_id)
    assert (parent.status, parent.result) == ("completed", "still here")
    assert [type(event) for event in await world.history(child_id)].count(RunStarted) == 1
    assert {answer.attempt for answer in await world.answers_to(run_id, "child")} == {1}


@case("children", "listing")
async def a_child_is_cancelled_with_its_parent_also_where_nobody_serves(world: World) -> None:
    run_id, child_id = await _begun(world, _parent(ASKS))
    await world.halt()
    await world.service.cancel(run_id, PERSON)
    assert (await world.ended(child_id)).status == "cancelled"


@case("children", "listing")
async def a_child_that_was_left_behind_is_swept(world: World) -> None:
    run_id, child_id = await _begun(world, _parent(ASKS, close_policy="wait"))
    await world.halt()
    await world.service.cancel(run_id, PERSON)
    await world.service.cancel(run_id, PERSON)
    assert (await world.service.look(run_id)).status == "cancelled"
    assert (await world.service.look(child_id)).status == "waiting"
    await world.actions.children.sweep()
    assert (await world.service.look(child_id)).status == "cancelled"


@case("children")
async def a_step_that_is_bounded_as_a_whole_leaves_no_child_behind(world: World) -> None:
    child = workflow(tool("work"), name="slow")
    stuck = asyncio.Event()

    async def wait(_call: ActionCall) -> Answer:
        await stuck.wait()
        return Answer()

    world.actions.on("work", wait)
    parent = _parent(child, within_ms=500)
    run_id, child_id = await _begun(world, parent)
    await world.action(child_id, "work", "claimed")
    await world.elapse(600)
    assert (await world.ended(child_id)).status == "cancelled"
    found = await world.ended(run_id)
    assert found.failure is not None
    assert found.failure.error_class == "timeout"


@case("children", "blobs")
async def a_large_result_of_a_child_is_given_back_whole(world: World) -> None:
    big = "0123456789abcdef" * 6_000
    run_id, child_id = await _begun(world, _parent(ASKS))
    await world.answer(child_id, big)
    parent = await world.ended(run_id)
    assert await world.service.filled(parent.result) == big
