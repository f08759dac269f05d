"""What a run can prove: done, claimed, proven, decided by several, taken back; and what becomes of an action nobody answered."""

from tests.core.build import approve, call, delegate, fail, prompt, put, ret, wait, workflow
from tests.core.play import ANNA, SERVER, Play
from treadle.core.advance import advance
from treadle.core.definition import By, Requires
from treadle.core.events import Caller
from treadle.engine.receipts import Account, account_of
from treadle.engine.timeline import Moment

BERT = Caller(kind="human", name="bert", assurance="local")


def account(play: Play) -> Account:
    state, moments = None, []
    for number, event in enumerate(play.log, 1):
        decision = advance(play.definition, state, event, play.blobs)
        state = decision.state
        moments.append(Moment(seq=number, rev=number, at_ms=event.at_ms, event=event, notes=decision.notes))
    return account_of("run_1", moments)


def test_what_nothing_checked_is_claimed_and_what_treadle_or_a_person_did_is_not():
    play = Play(workflow(delegate("d"), prompt("p"), call("c", effect="read"), ret("r", 1)))
    play.done("d", "x").done("p", "y").done("c", 1)
    assert [(r.action, r.standing, r.by) for r in account(play).receipts] == [
        ("d", "claimed", "me"), ("p", "answered", "me"), ("c", "done", "worker"),
    ]  # fmt: skip


def test_what_the_world_showed_is_proven_with_its_facts_and_stays_the_performers_work():
    play = Play(workflow(delegate("d", verify=[{"shell": "make"}]), ret("r", 1))).claim("d").answer("d", "x")
    (open_one,) = account(play).receipts
    assert (open_one.standing, open_one.by) == ("open", "me")
    play.answer("d.verify", [{"ok": False, "message": "exit 1"}], by=SERVER)
    play.answer("d", "x", attempt=2).answer("d.verify", [{"ok": True, "message": "exit 0"}], by=SERVER)
    (proven,) = account(play).receipts
    assert (proven.standing, proven.by, proven.refused, proven.attempts) == ("proven", "me", 1, 2)
    assert proven.facts == [{"ok": True, "message": "exit 0"}]


def test_checks_that_need_no_world_prove_too():
    play = Play(workflow(delegate("d", verify=[{"expression": "{{ result > 2 }}"}, {"schema": {"type": "integer"}}]), ret("r", 1))).done(
        "d", 3
    )
    (receipt,) = account(play).receipts
    assert receipt.standing == "proven"
    assert [row["message"] for row in receipt.facts] == ["the expression holds", "the schema holds"]


def test_a_gate_of_several_is_approved_by_the_last_and_names_all():
    play = Play(workflow(approve("g", by=By(count=2)), ret("r", 1))).decide("g", approved=True, note="one")
    (receipt,) = account(play).receipts
    assert (receipt.standing, [d.by for d in receipt.decisions]) == ("open", ["anna"])
    play.decide("g", approved=True, by=BERT)
    (receipt,) = account(play).receipts
    assert (receipt.standing, [(d.by, d.assurance, d.note) for d in receipt.decisions]) == (
        "approved", [("anna", "local", "one"), ("bert", "local", "")],
    )  # fmt: skip
    assert receipt.decisions[0].digest.startswith("sha256:")


def test_a_gate_that_nobody_decided_in_time_is_rejected_and_says_so():
    play = Play(workflow(approve("g", within_ms=100, on_reject="continue"), ret("r", 1))).pass_ms(100)
    (receipt,) = account(play).receipts
    assert (receipt.standing, receipt.note, receipt.by) == ("rejected", "nobody decided in time", "")
    play = Play(workflow(call("send", requires=Requires(by=By(), within_ms=100)))).pass_ms(100)
    assert [(r.action, r.standing) for r in account(play).receipts] == [("send.requires", "rejected")]


def test_what_was_open_when_its_step_or_run_ended_is_not_open_any_more():
    play = Play(workflow(delegate("d", within_ms=100), ret("r", 1))).pass_ms(100)
    assert [(r.standing, r.note) for r in account(play).receipts] == [("failed", "timeout")]
    play = Play(workflow(prompt("p"))).cancel(by=ANNA)
    assert play.status == "cancelled"
    assert [r.standing for r in account(play).receipts] == ["stopped"]


def test_signals_skipped_steps_and_what_was_taken_back_are_in_the_account():
    play = Play(workflow(
        put("no", {"a": 1}, when="{{ false }}"), wait("w", signal="go"), delegate("a", undo=[prompt("u")]), fail("f"), undo_on=["failed"],
        initial_state={"a": None},
    ))  # fmt: skip
    play.signal("go", {}).done("a").done("a.undo/u", "x")
    found = account(play)
    assert (found.skipped, found.signals, found.undone) == (["no"], [("go", "anna", "w")], [("a", True)])
