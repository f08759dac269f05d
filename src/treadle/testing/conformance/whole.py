"""Cases: the rest of the language, once each: waits and signals, branches that race, loops, `finally`, `undo`, budgets, proof, what is kept."""

import asyncio

from treadle.core.definition import Budget, Check, Definition, Fail, Parallel, Repeat, Requires, Step, Wait
from treadle.core.records import replace
from treadle.core.values import Value
from treadle.ports import ActionCall, Answer
from treadle.testing.build import approve, assign, delegate, equal, expr, finish, prompt, read, tool, workflow
from treadle.testing.conformance.case import case
from treadle.testing.world import AGENT, PERSON, World, refused_with


def _wait(step_id: str, **more: object) -> Step:
    return Step(id=step_id, spec=Wait(**more))  # type: ignore[arg-type] - the fields of Wait


def _stop(step_id: str = "stop") -> Step:
    return Step(id=step_id, spec=Fail(message=expr("no further")))


@case()
async def a_wait_for_time_ends_by_itself(world: World) -> None:
    run_id = (await world.begin(workflow(_wait("rest", duration_ms=1_500), finish(read("steps.rest.result.waited_ms"))))).run.run_id
    assert [wait.path for wait in (await world.service.look(run_id)).waits] == ["rest"]
    await world.elapse(1_600)
    result = (await world.ended(run_id)).result
    assert isinstance(result, int)
    assert 1_500 <= result < 4_000


@case()
async def a_signal_that_came_before_its_wait_is_kept_and_each_is_taken_once(world: World) -> None:
    definition = workflow(
        prompt("ask"), _wait("one", signal="go"), _wait("two", signal="go"),
        finish(read("state.got")), state={"got": None},
    )  # fmt: skip
    run_id = (await world.begin(definition)).run.run_id
    await world.service.signal(run_id, "go", PERSON, {"n": 1})
    await world.service.signal(run_id, "other", PERSON)
    await world.answer(run_id, "on")
    run = await world.service.look(run_id)
    assert ([wait.path for wait in run.waits], run.signals) == (["two"], ("other",))
    await world.service.signal(run_id, "go", AGENT)
    run = await world.ended(run_id)
    assert (run.status, run.signals) == ("completed", ("other",))
    refused_with(await world.service.signal(run_id, "go", PERSON), "run_ended")


@case()
async def the_first_branch_that_succeeds_wins_and_the_server_stops_the_others(world: World) -> None:
    stopped = asyncio.Event()

    async def slow(_call: ActionCall) -> Answer:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return Answer()

    world.actions.on("race.slow/call", slow)
    race = Parallel(branches={"quick": (prompt("ask"),), "slow": (tool("call", effect="read"),)}, need=1)
    run_id = (await world.begin(workflow(Step(id="race", spec=race), finish("over")))).run.run_id
    await world.actions.called("race.slow/call")
    await world.answer(run_id, "mine")
    async with asyncio.timeout(10):
        await stopped.wait()
    assert (await world.ended(run_id)).result == "over"


@case()
async def a_loop_at_its_limit_fails(world: World) -> None:
    loop = Repeat(until=equal(read("steps.ask.result"), "enough"), do=(prompt("ask"),), max_iterations=2)
    run_id = (await world.begin(workflow(Step(id="loop", spec=loop)))).run.run_id
    for _ in range(2):
        await world.answer(run_id, "more")
    run = await world.ended(run_id)
    assert run.failure is not None
    assert (run.status, run.failure.error_class) == ("failed", "max_iterations")


def _undoable(undo_on: tuple[str, ...] = ("failed",)) -> Definition:
    booked = [
        replace(assign(name, n=name), undo=(tool(f"un{name}"),), final_steps=(tool(f"after_{name}", effect="read"),))
        for name in ("one", "two")
    ]
    return replace(workflow(*booked, _stop(), state={"n": ""}), undo_on=undo_on)


@case()
async def what_was_done_is_taken_back_in_reverse_after_a_failure(world: World) -> None:
    run_id = (await world.begin(_undoable())).run.run_id
    run = await world.ended(run_id)
    assert (run.status, run.undo) == ("failed", "done")
    assert [call.action.id for call in world.actions.calls] == [
        "one.finally/after_one", "two.finally/after_two", "two.undo/untwo", "one.undo/unone",
    ]  # fmt: skip


@case("undo")
async def what_an_ended_run_has_kept_is_taken_back_when_it_is_asked_for(world: World) -> None:
    run_id = (await world.begin(_undoable(()))).run.run_id
    assert (await world.ended(run_id)).undo == "kept"
    await world.service.undo(run_id, PERSON)
    await world.until(run_id, lambda run: run.undo == "done")
    assert [call.action.id for call in world.actions.calls][-2:] == ["two.undo/untwo", "one.undo/unone"]


@case()
async def a_spent_budget_stops_the_run(world: World) -> None:
    run_id = (await world.begin(workflow(delegate("one"), delegate("two"), budget=Budget(calls=1)))).run.run_id
    await world.answer(run_id, "done")
    run = await world.ended(run_id)
    assert run.failure is not None
    assert (run.status, run.failure.error_class) == ("failed", "budget")


@case()
async def what_an_agent_claims_is_looked_at_before_it_counts(world: World) -> None:
    async def look(_call: ActionCall) -> Answer:
        found: list[Value] = [{"check": 1, "ok": len(world.actions.calls) > 1, "message": "make ended with exit code 2"}]
        return Answer(value=found)

    world.actions.on("work.verify", look)
    work = delegate("work", verify=(Check(shell=expr("make")),))
    run_id = (await world.begin(workflow(work, finish("proven")))).run.run_id
    await world.answer(run_id, "done")
    action = await world.action(run_id, "work", "claimed")
    assert action.problem is not None
    assert "exit code 2" in action.problem.message
    await world.service.submit(run_id, "work", action.attempt, AGENT, value="now it is done")
    assert (await world.ended(run_id)).result == "proven"


@case()
async def a_call_waits_for_the_gate_that_it_requires(world: World) -> None:
    definition = workflow(approve("gate", "pay 5?"), tool("pay", effect="pay", requires=Requires(gates=("gate",))))
    run_id = (await world.begin(definition)).run.run_id
    gate = await world.action(run_id, "gate", "open")
    assert world.actions.calls == []
    await world.service.decide(run_id, "gate", gate.digest or "", PERSON, approved=True)
    assert (await world.ended(run_id)).status == "completed"
    assert [each.action.id for each in world.actions.calls] == ["pay"]
