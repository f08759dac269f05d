"""Cases: what fails, how often it is tried, and what then becomes of the run."""

from treadle.core.definition import OnError, Retry, Step
from treadle.testing.build import GO_ON, fallback, finish, handled, joined, prompt, read, text, tool, workflow
from treadle.testing.conformance.case import case
from treadle.testing.world import AGENT, World, failure
from treadle.view import RunView

SLOW = Retry(attempts=3, backoff_ms=400, max_backoff_ms=400)


@case()
async def a_retry_waits_for_its_backoff_and_numbers_its_attempts(world: World) -> None:
    definition = workflow(tool("call", effect="read", retry=SLOW, output_to="got"), finish(read("state.got")), state={"got": None})
    world.actions.on("call", failure("transient"), failure("unavailable"), "at last")
    run_id = (await world.begin(definition)).run.run_id
    for attempt in (1, 2):
        await world.actions.called("call", attempt)
        waiting = await world.until(run_id, lambda run, n=attempt: run.status != "running" and _failures(run) == n)
        assert waiting.actions[0].status == "backoff"
        await world.elapse(450)
    run = await world.ended(run_id)
    assert (run.status, run.result) == ("completed", "at last")
    assert [call.action.attempt for call in world.actions.of("call")] == [1, 2, 3]
    assert len({call.key for call in world.actions.of("call")}) == 1


def _failures(run: RunView) -> int:
    return run.actions[0].attempt if run.actions and run.actions[0].status == "backoff" else 0


@case()
async def a_retry_that_is_used_up_fails_with_the_last_class(world: World) -> None:
    definition = workflow(tool("call", effect="read", retry=Retry(attempts=2, backoff_ms=0)))
    world.actions.on("call", failure("transient", "first"), failure("rate_limited", "second"))
    run = await world.ended((await world.begin(definition)).run.run_id)
    assert run.status == "failed"
    assert run.failure is not None
    assert (run.failure.error_class, run.failure.message) == ("rate_limited", "second")


@case()
async def a_class_that_is_not_listed_is_not_retried(world: World) -> None:
    world.actions.on("call", failure("denied"))
    run = await world.ended((await world.begin(workflow(tool("call", effect="read", retry=SLOW)))).run.run_id)
    assert run.status == "failed"
    assert len(world.actions.calls) == 1


@case()
async def a_timeout_ends_an_attempt_and_stops_its_performer(world: World) -> None:
    definition = workflow(prompt("ask", timeout_ms=500, on_error=GO_ON), finish(read("steps.ask.error.class")))
    run_id = (await world.begin(definition)).run.run_id
    await world.elapse(600)
    assert (await world.service.look(run_id)).status == "waiting", "an attempt that nobody claimed cannot time out"
    action = await world.claim(run_id)
    await world.elapse(600)
    run = await world.ended(run_id)
    assert (run.status, run.result) == ("completed_degraded", "timeout")
    offer = await world.service.submit(run_id, "ask", action.attempt, AGENT, value="too late")
    assert offer.refusal is not None
    assert offer.run.result == "timeout"


@case()
async def within_bounds_a_step_from_its_opening(world: World) -> None:
    definition = workflow(prompt("ask", within_ms=500))
    run_id = (await world.begin(definition)).run.run_id
    await world.claim(run_id)
    await world.elapse(600)
    run = await world.ended(run_id)
    assert run.status == "failed"
    assert run.failure is not None
    assert (run.failure.error_class, run.failure.step) == ("timeout", "ask")


async def _with_policy(world: World, policy: OnError) -> RunView:
    broken: Step = tool("call", effect="read", on_error=policy, output_to="got")
    definition = workflow(broken, finish(joined(got=read("state.got"), seen=read("state.seen"))), state={"got": "before", "seen": None})
    world.actions.on("call", failure("denied", "no entry"))
    return await world.ended((await world.begin(definition)).run.run_id)


@case()
async def on_error_fail_fails_the_run(world: World) -> None:
    run = await _with_policy(world, OnError())
    assert run.status == "failed"
    assert run.failure is not None
    assert run.failure.error_class == "denied"


@case()
async def on_error_continue_goes_on_degraded(world: World) -> None:
    run = await _with_policy(world, GO_ON)
    assert (run.status, run.result) == ("completed_degraded", {"got": "before", "seen": None})


@case()
async def on_error_fallback_gives_its_value_degraded(world: World) -> None:
    run = await _with_policy(world, fallback(text("instead of ", read("error.class"))))
    assert (run.status, run.result) == ("completed_degraded", {"got": "instead of denied", "seen": None})


@case()
async def on_error_do_reads_the_error_and_goes_on_behind_the_step(world: World) -> None:
    tell = prompt("tell", text(read("error.class"), " at ", read("error.step")), output_to="seen")
    definition = workflow(tool("call", effect="read", on_error=handled(tell)), finish(read("state.seen")), state={"seen": None})
    world.actions.on("call", failure("denied"))
    run_id = (await world.begin(definition)).run.run_id
    await world.action(run_id, "call.on_error/tell", "open")
    action = await world.claim(run_id)
    assert action.params["message"] == "denied at call"
    offer = await world.service.submit(run_id, action.id, 1, AGENT, value="I saw")
    assert (offer.run.status, offer.run.result) == ("completed", "I saw")


@case()
async def an_expression_that_fails_is_a_failure_of_its_step(world: World) -> None:
    run = await world.ended((await world.begin(workflow(prompt("ask", read("state.nothing"))))).run.run_id)
    assert run.failure is not None
    assert (run.status, run.failure.error_class, run.failure.step) == ("failed", "expression", "ask")
    assert "nothing" in run.failure.message
