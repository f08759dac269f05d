"""docs/semantics.md, S60 to S62: what people decide."""

from dataclasses import replace

import pytest

from tests.core.build import approve, call, foreach, prompt, put, ret, workflow
from tests.core.clauses import clause
from tests.core.play import ANNA, ME, SERVER, T0, Play
from treadle.core.events import Caller
from treadle.core.values import canonical, digest

BERT = Caller(kind="human", name="bert", assurance="local")


@clause("S60")
def test_a_gate_is_bound_to_the_digest_of_what_it_shows():
    play = Play(
        workflow(approve("gate", {"plan": "{{ inputs.plan }}"}), ret("r", "{{ steps.gate.result }}"), inputs={"plan": {}}),
        plan=[1, 2],
    )
    shown = digest(canonical({"plan": [1, 2]}))
    assert (play.state.actions["gate"].digest, play.view.actions[0].digest) == (shown, shown)
    assert play.decide("gate", approved=True, digest=digest(b"other")).refused == "digest_mismatch"
    assert play.decision.refusal.details["digest"] == shown
    play.decide("gate", approved=True, digest=shown, note="fine")
    assert play.result == {
        "approved": True, "by": "anna", "at": "2027-01-15T08:00:00.000Z", "note": "fine", "digest": shown, "assurance": "local",
    }  # fmt: skip


@clause("S60")
def test_the_digest_is_of_the_whole_also_where_parts_were_set_aside():
    large = "x" * 70_000
    play = Play(workflow(approve("gate", ["{{ inputs.text }}", "{{ inputs.text ~ '!' }}"]), inputs={"text": {}}), text=large)
    action = play.state.actions["gate"]
    assert action.digest == digest(canonical([large, large + "!"]))
    assert len(str(action.params["show"])) < 1_000
    assert play.decide("gate", approved=True).status == "completed"
    play.ended_properly()


@clause("S60")
@pytest.mark.parametrize("by", [ME, SERVER, Caller(kind="headless", name="h"), Caller(kind="agent", name="anna", assurance="local")])
def test_only_people_decide(by):
    play = Play(workflow(approve("gate")))
    state = play.state
    assert play.decide("gate", approved=True, by=by).refused == "agents_never_approve"
    assert play.answer("gate", {"approved": True}, by=by).refused == "needs_decision"
    assert play.claim("gate", by=by).refused == "waiting_on_person"
    assert play.claim(by=by).claimed is None
    assert play.state is state


@clause("S60")
def test_a_gate_asks_for_a_level_of_assurance():
    play = Play(workflow(approve("gate", assurance="local"), prompt("next")))
    for level in ("none", "relayed"):
        assert play.decide("gate", approved=True, by=replace(ANNA, assurance=level)).refused == "assurance_too_low"
    assert play.decide("gate", approved=True, by=replace(ANNA, assurance="proven")).open == ["next"]


@clause("S60")
def test_users_and_never_say_who_may():
    play = Play(workflow(approve("gate", users=["bert"])))
    assert play.decide("gate", approved=True).refused == "not_an_approver"
    assert play.decide("gate", approved=True, by=BERT).status == "completed"
    play = Play(workflow(approve("gate", never=["starter"])), by=ANNA)
    assert play.decide("gate", approved=False).refused == "not_an_approver"
    assert play.decide("gate", approved=True, by=BERT).status == "completed"
    play = Play(workflow(approve("gate", never=["bert"])), by=ANNA)
    assert play.decide("gate", approved=True, by=BERT).refused == "not_an_approver"
    assert play.decide("gate", approved=True).status == "completed"


@clause("S60")
def test_what_is_no_gate_is_not_decided():
    play = Play(workflow(prompt("p")))
    assert play.decide("p", approved=True, digest="x").refused == "not_a_gate"
    assert play.decide("gone", approved=True, digest="x").refused == "not_open"


@clause("S61")
def test_a_rejection_fails_the_gate():
    play = Play(workflow(approve("gate", output_to="a"), prompt("never"), initial_state={"a": None}))
    play.decide("gate", approved=False, note="no")
    assert (play.status, play.state.failure.error_class) == ("failed", "rejected")
    assert (play.fields["a"]["approved"], play.fields["a"]["note"]) == (False, "no")
    play.ended_properly()


@clause("S61")
def test_on_reject_continue_completes_the_gate_and_leaves_the_status_alone():
    play = Play(workflow(approve("gate", on_reject="continue"), ret("r", "{{ [steps.gate.status, steps.gate.result.approved] }}")))
    assert play.decide("gate", approved=False).result == ["completed", False]
    assert play.status == "completed"


@clause("S61")
def test_on_reject_may_give_steps():
    handler = [prompt("why", "{{ [error.class, steps.gate.result.by] }}")]
    play = Play(
        workflow(
            approve("gate", on_reject=handler, output_to="a", on_error="continue"),
            ret("r", "{{ state.a.approved }}"),
            initial_state={"a": None},
        )
    )
    play.decide("gate", approved=False, by=BERT)
    assert play.state.actions["gate.on_reject/why"].params["message"] == ["rejected", "bert"]
    play.done("gate.on_reject/why", "because")
    assert (play.status, play.result) == ("completed", False)


@clause("S61")
def test_running_out_of_time_rejects_for_nobody():
    play = Play(workflow(approve("gate", within_ms=1_000, on_reject="continue"), ret("r", "{{ steps.gate.result }}")))
    play.pass_ms(1_000)
    assert (play.result["approved"], play.result["by"]) == (False, None)
    play = Play(workflow(approve("gate", within_ms=1_000, on_error="continue"), prompt("next"))).pass_ms(1_000)
    assert (play.open, play.view.steps[0].status) == (["next"], "failed")


@clause("S62")
def test_a_decision_is_used_once():
    play = Play(workflow(approve("gate", "the same"), approve("again", "the same"), call("publish")))
    first = play.state.actions["gate"].digest
    play.decide("gate", approved=True)
    assert play.decide("gate", approved=True, digest=first).refused == "not_open"
    assert play.decide("gate", approved=False, digest=first).refused == "not_open"
    assert play.open == ["again"], "the digest is the same, the decision is not used for the other gate"


def test_behaviour_40_when_the_user_declines_nothing_is_saved():
    play = Play(
        workflow(
            foreach("research", "{{ make_items(2) }}", do=[put("s", {})], output="{{ item }}", output_to="found"),
            approve("accept", "{{ state.found }}", on_reject=[ret("declined", {"approved": False, "saved": False})]),
            call("save", "memory.save", {"plan": "{{ state.found }}"}), ret("done", {"approved": True, "saved": True}),
            initial_state={"found": None},
        )
    )  # fmt: skip
    play.decide("accept", approved=False)
    assert (play.status, play.result) == ("completed", {"approved": False, "saved": False})
    assert not any(note.path == "save" for note in play.every_note)
    assert play.now_ms == T0
