"""Cases: approvals. A person decides about exactly what was shown; time decides against."""

from dataclasses import replace

from treadle.core.events import Caller
from treadle.core.values import Value
from treadle.testing.build import approve, finish, prompt, read, workflow
from treadle.testing.conformance.case import case
from treadle.testing.world import AGENT, PERSON, World, refused_with

GATE = workflow(
    prompt("ask", output_to="plan"), approve("gate", read("state.plan"), within_ms=1_000), finish(read("steps.gate.result.by")),
    state={"plan": None},
)  # fmt: skip


async def _at_the_gate(world: World, plan: Value = "the plan") -> tuple[str, str]:
    run_id = (await world.begin(GATE)).run.run_id
    offer = await world.answer(run_id, plan)
    (gate,) = offer.run.actions
    assert (gate.id, gate.waits_for, gate.params["show"]) == ("gate", "person", plan)
    assert gate.digest is not None
    return run_id, gate.digest


@case()
async def an_approval_goes_on_and_says_by_whom(world: World) -> None:
    run_id, shown = await _at_the_gate(world)
    offer = await world.service.decide(run_id, "gate", shown, PERSON, approved=True)
    assert (offer.run.status, offer.run.result) == ("completed", "ann")


@case()
async def a_rejection_fails_the_step_as_rejected(world: World) -> None:
    run_id, shown = await _at_the_gate(world)
    offer = await world.service.decide(run_id, "gate", shown, PERSON, approved=False, note="no")
    assert offer.run.failure is not None
    assert (offer.run.status, offer.run.failure.error_class) == ("failed", "rejected")


@case()
async def an_approval_that_comes_late_loses(world: World) -> None:
    run_id, shown = await _at_the_gate(world)
    await world.elapse(1_100)
    offer = await world.service.decide(run_id, "gate", shown, PERSON, approved=True)
    assert offer.refusal is not None
    assert offer.run.failure is not None
    assert (offer.run.status, offer.run.failure.error_class) == ("failed", "rejected")


@case()
async def an_agent_never_approves(world: World) -> None:
    run_id, shown = await _at_the_gate(world)
    refused_with(await world.service.decide(run_id, "gate", shown, AGENT, approved=True), "agents_never_approve")
    refused_with(await world.service.submit(run_id, "gate", 1, AGENT, value={"approved": True}), "needs_decision")
    refused_with(await world.service.next_step(run_id, AGENT, action="gate"), "waiting_on_person")


@case()
async def an_approval_is_of_what_was_shown_and_at_its_level(world: World) -> None:
    run_id, shown = await _at_the_gate(world)
    refused_with(await world.service.decide(run_id, "gate", "sha256:other", PERSON, approved=True), "digest_mismatch")
    relayed: Caller = replace(PERSON, assurance="relayed")
    refused_with(await world.service.decide(run_id, "gate", shown, relayed, approved=True), "assurance_too_low")
    assert (await world.service.look(run_id)).status == "waiting"


@case()
async def a_decision_repeated_gives_the_first_reply_and_another_is_a_conflict(world: World) -> None:
    run_id, shown = await _at_the_gate(world)
    await world.service.decide(run_id, "gate", shown, PERSON, approved=True)
    count = len(await world.history(run_id))
    again = await world.service.decide(run_id, "gate", shown, PERSON, approved=True)
    assert (again.duplicate, again.refusal) == (True, None)
    refused_with(await world.service.decide(run_id, "gate", shown, PERSON, approved=False), "conflict")
    assert len(await world.history(run_id)) == count
