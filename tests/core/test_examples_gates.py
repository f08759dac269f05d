"""Examples of gates: who may decide, several approvals, and steps that require one."""

from dataclasses import replace

import pytest

from tests.core.build import approve, call, condition, delegate, goto, put, ret, workflow
from tests.core.clauses import clause
from tests.core.play import ANNA, Play
from treadle.core.definition import By, Requires

BERT = replace(ANNA, name="bert", roles=("release",))
CLEO = replace(ANNA, name="cleo", roles=("release", "qa"))


@clause("S60")
def test_a_role_admits_whoever_has_it():
    play = Play(workflow(approve("g", by=By(roles=("release",)))))
    assert play.decide("g", approved=True).refused == "not_an_approver"
    assert "whoever is release" in play.decision.refusal.message
    assert play.decide("g", approved=True, by=BERT).ended_properly().status == "completed"


@clause("S99")
def test_several_people_approve_each_once_and_one_rejects_for_all():
    definition = workflow(approve("g", by=By(count=2), output_to="got"), ret("r", "{{ state.got.by }}"), initial_state={"got": None})
    play = Play(definition).decide("g", approved=True)
    assert play.view.actions[0].votes == ("anna",)
    assert play.decide("g", approved=True).refused == "decided_already"
    assert play.decide("g", approved=True, by=BERT).ended_properly().result == ["anna", "bert"]
    play = Play(definition).decide("g", approved=True).decide("g", approved=False, by=BERT)
    assert play.ended_properly().state.failure.error_class == "rejected"


@clause("S99")
def test_who_decided_one_gate_may_be_kept_from_another():
    play = Play(workflow(approve("first"), approve("second", by=By(distinct_from=("first",)))))
    play.decide("first", approved=True)
    assert play.decide("second", approved=True).refused == "not_an_approver"
    assert play.decide("second", approved=True, by=BERT).ended_properly().status == "completed"


@clause("S60")
def test_a_relayed_answer_is_enough_where_the_gate_says_so():
    relayed = replace(ANNA, assurance="relayed")
    assert Play(workflow(approve("g"))).decide("g", approved=True, by=relayed).refused == "assurance_too_low"
    assert Play(workflow(approve("g", assurance="relayed"))).decide("g", approved=True, by=relayed).ended_properly().status == "completed"


@clause("S100")
def test_a_step_that_requires_an_approval_shows_its_rendered_call_first_and_asks_once_for_all_attempts():
    step = call("send", parameters={"to": "{{ inputs.to }}"}, requires=By(users=("anna",)), retry=2)
    play = Play(workflow(step, inputs={"to": {}}), to="bob")
    assert play.open == ["send.requires"]
    assert play.performs() == []
    assert play.state.actions["send.requires"].params["show"] == {"step": "send", "tool": "srv.tool", "parameters": {"to": "bob"}}
    assert play.decide("send.requires", approved=True, by=BERT).refused == "not_an_approver"
    play.decide("send.requires", approved=True)
    assert play.performs() == ["send"]
    play.claim("send", by=replace(ANNA, kind="server", name="worker")).answer("send", fails="transient").pass_ms(60_000)
    assert play.open == ["send"]
    play.done("send")
    assert play.ended_properly().status == "completed"


@clause("S100")
def test_a_call_that_is_rejected_or_not_decided_in_time_fails_the_step():
    play = Play(workflow(call("send", requires=By(), fallback=0), ret("r", "{{ steps.send.error }}")))
    play = Play(workflow(call("send", requires=By(), on_error="continue"), ret("r", "{{ steps.send.error.class }}")))
    assert play.decide("send.requires", approved=False).ended_properly().result == "rejected"
    play = Play(workflow(call("send", requires=Requires(by=By(), within_ms=100)))).pass_ms(100)
    assert play.ended_properly().state.failure.error_class == "rejected"


@clause("S101")
def test_a_gate_that_is_required_by_id_is_good_for_what_it_showed():
    steps = [approve("gate", "{{ state.plan }}"), call("send", requires="gate"), ret("r", 1)]
    play = Play(workflow(*steps, initial_state={"plan": "a"}))
    play.decide("gate", approved=True)
    assert play.open == ["send"]
    assert play.done("send").ended_properly().result == 1


@clause("S101")
def test_where_something_else_would_be_shown_it_is_shown_again():
    steps = [
        approve("gate", "{{ state.plan }}"),
        put("change", {"plan": "b"}),
        call("send", requires="gate"),
        call("again", requires="gate"),
    ]
    play = Play(workflow(*steps, initial_state={"plan": "a"}))
    play.decide("gate", approved=True)
    assert play.open == ["send.requires"]
    assert play.state.actions["send.requires"].params["show"] == "b"
    play.decide("send.requires", approved=True)
    play.done("send")
    assert play.open == ["again"]
    assert play.done("again").ended_properly().status == "completed"


@clause("S101")
@pytest.mark.parametrize("gate", [approve("gate", on_reject="continue"), approve("gate", when="{{ false }}")], ids=["rejected", "skipped"])
def test_a_gate_that_did_not_approve_fails_who_requires_it(gate):
    play = Play(workflow(gate, call("send", requires="gate")))
    if play.open:
        play.decide("gate", approved=False)
    assert play.ended_properly().state.failure.error_class == "rejected"


@clause("S101")
def test_after_a_rejection_and_rework_the_gate_opens_after_the_steps_between():
    rework = condition("if", "{{ not steps.gate.result.approved }}", then=[goto("back", "work", 3)])
    play = Play(
        workflow(delegate("work"), approve("gate", "{{ steps.work.result }}", on_reject="continue"), rework, call("send", requires="gate"))
    )
    play.done("work", 1).decide("gate", approved=False)
    assert play.open == ["work~2"]
    play.done("work~2", 2)
    assert play.open == ["gate~2"]
    play.decide("gate~2", approved=True)
    assert play.open == ["send"]
    assert play.done("send").ended_properly().status == "completed"


@clause("S101")
def test_one_decision_opens_one_gate_and_cancelling_withdraws_it():
    play = Play(workflow(call("send", requires=By()))).cancel()
    assert play.ended_properly().status == "cancelled"
