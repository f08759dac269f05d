"""docs/semantics.md, S41 to S59: claims, answers, retries, time limits, and what a failure does."""

import pytest

from tests.core.build import approve, call, condition, delegate, foreach, prompt, put, ret, task, workflow
from tests.core.clauses import clause
from tests.core.play import ANNA, ME, OTHER, SERVER, Play
from treadle.core.commands import Perform, StopAction
from treadle.core.definition import Retry
from treadle.core.errors import Failure
from treadle.core.events import ActionAnswered, Caller
from treadle.core.ids import branch_token, idempotency_key

FLAKY = Retry(attempts=3, backoff_ms=1_000, max_backoff_ms=1_500, on=("transient",))


@clause("S41")
def test_a_claim_makes_a_holder_and_asking_again_changes_nothing():
    play = Play(workflow(delegate("d")))
    play.claim("d")
    action = play.state.actions["d"]
    assert (action.status, action.holder, action.attempt, action.claimed_at_ms) == ("claimed", "me", 1, play.now_ms)
    state = play.state
    assert (play.claim("d").claimed, play.claim().claimed) == ("d", "d")
    assert play.state is state
    assert play.claim("d", by=OTHER).refused == "held"
    assert play.claim(by=OTHER).claimed is None
    assert play.state is state


def test_behaviour_30_asking_twice_without_answering_gives_the_same_step():
    play = Play(workflow(delegate("d"), delegate("e")))
    assert [play.claim().claimed for _ in range(2)] == ["d", "d"]
    assert play.decision.changed is False


@clause("S42")
def test_what_has_an_effect_is_claimed_before_it_is_begun():
    play = Play(
        workflow(
            foreach(
                "each",
                ["a"],
                do=[call("r", effect="read"), call("n", effect="none"), call("w"), call("s", effect="send")],
            )
        )
    )
    assert play.commands == [Perform(action="each[0]/r", attempt=1, claim=False)]
    play.answer("each[0]/r", by=SERVER)
    assert play.commands == [Perform(action="each[0]/n", attempt=1, claim=False)]
    play.answer("each[0]/n", by=SERVER)
    assert play.commands == [Perform(action="each[0]/w", attempt=1, claim=True)]
    assert play.answer("each[0]/w", by=SERVER).refused == "not_claimed"
    assert play.claim("each[0]/w", by=ME).refused == "foreign"
    play.claim("each[0]/w", by=SERVER).answer("each[0]/w", by=SERVER)
    assert play.commands == [Perform(action="each[0]/s", attempt=1, claim=True)]


@clause("S43")
def test_the_next_action_is_what_is_held_else_the_first_that_is_open():
    play = Play(workflow(foreach("each", [0, 1, 2], do=[delegate("d")]), delegate("last")))
    assert play.claim().claimed == "each[0]/d"
    assert play.claim(by=OTHER).claimed == "each[1]/d"
    assert play.claim(by=OTHER, lapsed=["each[0]/d"]).claimed == "each[1]/d"
    play.answer("each[1]/d", by=OTHER)
    assert play.claim(by=OTHER, lapsed=["each[0]/d"]).claimed == "each[2]/d"
    play.answer("each[2]/d", by=OTHER)
    assert (play.claim(by=OTHER).claimed, play.refused) == (None, None)
    assert play.claim(by=OTHER, lapsed=["each[0]/d"]).claimed == "each[0]/d"


@clause("S43")
def test_asking_for_the_next_action_passes_by_what_cannot_be_taken():
    play = Play(workflow(foreach("each", [0, 1], do=[delegate("d", repeatable=False)])))
    play.claim("each[0]/d").claim("each[1]/d", by=ME)
    assert play.claim(by=OTHER, lapsed=["each[0]/d", "each[1]/d"]).claimed is None
    assert {a.status for a in play.state.actions.values()} == {"unknown"}


@clause("S43")
def test_an_action_that_is_tried_again_keeps_its_place():
    play = Play(workflow(foreach("each", [0, 1], do=[delegate("d", retry=Retry(attempts=2, backoff_ms=0, on=("failed",)))])))
    play.claim("each[0]/d").answer("each[0]/d", fails="failed").wake()
    assert play.open == ["each[0]/d", "each[1]/d"]
    assert play.claim(by=OTHER).claimed == "each[0]/d"


@clause("S44")
def test_a_lapsed_lease_makes_claimable_and_nothing_more():
    play = Play(workflow(delegate("d"), prompt("next")))
    play.claim("d")
    play.now_ms += 10_000_000
    assert play.answer("d", "still good").open == ["next"]

    play = Play(workflow(delegate("d"), prompt("next")))
    play.claim("d")
    assert play.claim("d", by=OTHER, lapsed=["d"]).claimed == "d"
    action = play.state.actions["d"]
    assert (action.holder, action.attempt, action.redo, action.lapses) == ("other", 2, True, 1)
    assert play.answer("d", "too late", by=ME, attempt=1).refused == "late"
    assert play.answer("d", "guessed", by=ME, attempt=2).refused == "foreign"
    assert play.answer("d", "good", by=OTHER, attempt=2).open == ["next"]


@clause("S45")
def test_the_third_lapse_is_a_failure_and_no_retry():
    play = Play(workflow(delegate("d", retry=Retry(attempts=2, on=("transient",)))))
    for number, name in enumerate(("b", "c"), start=2):
        play.claim("d").claim("d", by=Caller(kind="agent", name=name), lapsed=["d"])
        assert (play.state.actions["d"].attempt, play.state.actions["d"].failures) == (number, 0)
    play.claim("d", by=OTHER, lapsed=["d"])
    assert (play.refused, play.status, play.state.failure.error_class) == ("performer_lost", "failed", "performer_lost")


@clause("S45", "S68")
def test_a_lapse_too_many_closes_its_siblings_and_none_of_them_is_claimed_meanwhile():
    """Found by the simulator, seed 3038592: the claim that met the third lapse went on to a sibling that it had just stopped."""
    play = Play(workflow(foreach("each", [0, 1], do=[delegate("d")]), prompt("never")))
    play.claim("each[0]/d").claim("each[1]/d", by=OTHER)
    for name in ("b", "c"):
        play.claim("each[0]/d", by=Caller(kind="agent", name=name), lapsed=["each[0]/d"])
    play.claim(by=Caller(kind="agent", name="last"), lapsed=["each[0]/d", "each[1]/d"])
    assert (play.claimed, play.refused) == (None, None)
    assert {a.id: (a.status, a.holder) for a in play.state.actions.values()} == {"each[1]/d": ("stopping", "other")}
    assert play.answer("each[1]/d", by=OTHER).refused == "stopped"
    play.ended_properly()


@clause("S46")
def test_take_over_fences_the_holder_off():
    play = Play(workflow(delegate("d"), prompt("next")))
    play.claim("d").claim("d", by=OTHER, take_over=True)
    assert (play.claimed, play.state.actions["d"].attempt, play.state.actions["d"].lapses) == ("d", 2, 0)
    assert play.answer("d", "x", by=ME, attempt=1).refused == "late"
    play.claim(by=ANNA, take_over=True)
    assert play.claimed == "d"


@clause("S47")
@pytest.mark.parametrize(
    "outcome, status, changed",
    [("done", "completed", {"a": "it was"}), ("not_done", "running", {"a": 0}), ("failed", "failed", {"a": 0})],
)
def test_an_unknown_outcome_is_settled_by_a_person_alone(outcome, status, changed):
    play = Play(workflow(call("w", output_to="a"), initial_state={"a": 0}))
    play.claim("w", by=SERVER).lost("w")
    assert play.state.actions["w"].status == "unknown"
    assert play.view.actions[0].waits_for == "outcome"
    assert play.claim("w", by=SERVER).refused == "not_claimable"
    assert play.resolve("w", outcome, by=ME).refused == "needs_person"
    assert play.resolve("w", outcome, attempt=2).refused == "late"
    play.resolve("w", outcome, "it was")
    assert (play.status, play.fields) == (status, changed)
    if outcome == "not_done":
        assert play.commands == [Perform(action="w", attempt=2, claim=True)]
        assert play.state.actions["w"].redo is False
    if outcome == "failed":
        assert play.state.failure.error_class == "outcome_unknown"


@clause("S47")
def test_the_holder_that_was_thought_lost_may_still_tell_the_outcome():
    play = Play(workflow(call("w"), prompt("next")))
    play.claim("w", by=SERVER).lost("w")
    assert play.answer("w", "x", by=ME).refused == "foreign"
    assert play.answer("w", "x", by=Caller(kind="server", name="another")).refused == "foreign"
    assert play.answer("w", "x", by=SERVER).open == ["next"]
    assert play.resolve("next", "done").refused == "not_unknown"


@clause("S47")
def test_losing_it_a_third_time_does_not_hide_that_the_outcome_is_unknown():
    play = Play(workflow(call("w")))
    for _ in range(4):
        play.claim("w", by=SERVER).lost("w")
        assert play.state.actions["w"].status == "unknown"
        play.resolve("w", "not_done")


@clause("S47")
def test_an_outcome_must_fit_what_was_asked_for():
    schema = {"type": "object", "required": ["n"]}
    play = Play(workflow(delegate("d", output=schema, repeatable=False), prompt("next")))
    play.claim("d").lost("d")
    assert play.resolve("d", "done", {"m": 1}).refused == "invalid_answer"
    assert play.resolve("d", "done", {"n": 1}).open == ["next"]


@clause("S48")
def test_what_may_be_done_again_is_offered_again():
    play = Play(workflow(call("r", effect="read"), call("w", repeatable=True)))
    play.lost("r")
    assert play.commands == [Perform(action="r", attempt=2, claim=False)]
    assert play.state.actions["r"].redo is True
    assert play.answer("r", by=SERVER, attempt=1).refused == "late"
    play.answer("r", by=SERVER).claim("w", by=SERVER).lost("w")
    assert play.commands == [Perform(action="w", attempt=2, claim=True)]
    play.lost("w", attempt=1)
    assert play.kinds == ["ignored"]
    play.lost("w", attempt=2)
    assert play.kinds == ["ignored"], "an action that nobody holds cannot be lost"
    assert idempotency_key("run_1", "w") == "run_1/w"


@clause("S49")
def test_an_answer_that_does_not_fit_changes_nothing():
    play = Play(workflow(foreach("each", [0, 1], do=[delegate("d")]), call("c", effect="read")))
    play.claim("each[0]/d").claim("each[1]/d", by=OTHER)
    state = play.state
    refused = [
        play.answer("each[0]/d", by=ME, attempt=2).refused, play.answer("each[1]/d", by=ME).refused,
        play.answer("each[0]/d", by=SERVER).refused, play.answer("each[7]/d", by=ME).refused, play.answer("c", by=ME).refused,
    ]  # fmt: skip
    assert refused == ["unknown_attempt", "foreign", "foreign", "not_open", "not_open"]
    assert play.state is state


def test_behaviour_32_a_wrong_step_is_a_specific_error_and_changes_nothing():
    play = Play(workflow(delegate("d")))
    state = play.state
    play.answer("nowhere")
    assert (play.refused, play.state) == ("not_open", state)
    assert "`nowhere`" in play.decision.refusal.message
    assert play.decision.refusal.hint


def test_behaviour_31_an_answer_given_again_runs_nothing_twice():
    play = Play(workflow(delegate("d"), put("s", {"n": "{{ state.n + 1 }}"}), prompt("next"), initial_state={"n": 0}))
    play.done("d", "x")
    state = play.state
    assert play.answer("d", "x", by=ME, attempt=1).refused == "not_open"  # the stored reply is the engine's (tests/engine)
    assert (play.state, play.fields) == (state, {"n": 1})


@clause("S50")
def test_an_answer_of_the_wrong_shape_leaves_the_action_as_it_was():
    play = Play(workflow(prompt("ask", format="choice", options=["a", "b"]))).claim("ask")
    state = play.state
    play.answer("ask", "c")
    details = play.decision.refusal.details
    assert (play.refused, play.state) == ("invalid_answer", state)
    assert details["expected"] == {"enum": ["a", "b"]}
    assert (details["attempt"], len(details["faults"])) == (1, 1)


@clause("S51")
def test_an_output_that_does_not_fit_uses_up_a_repair():
    schema = {"type": "object", "required": ["n"]}
    play = Play(
        workflow(
            delegate(
                "d",
                output=schema,
                repair=2,
                on_error="continue",
                retry=Retry(attempts=2, backoff_ms=0, on=("bad_output",)),
            ),
            prompt("next"),
        )
    )
    play.claim("d")
    for attempt in (2, 3):
        play.answer("d", {"m": 1})
        assert play.refused == "bad_output"
        assert (play.decision.refusal.details["attempt"], play.state.actions["d"].attempt) == (attempt, attempt)
        assert play.state.actions["d"].problem.error_class == "bad_output"
        assert (play.state.actions["d"].failures, play.state.actions["d"].holder) == (0, "me")
    play.answer("d", {"m": 1})
    assert (play.refused, play.state.actions["d"].failures, play.state.actions["d"].status) == (None, 1, "backoff")
    play.wake()
    assert (play.state.actions["d"].attempt, play.state.actions["d"].status) == (4, "open")
    assert play.done("d", {"n": 1}).status == "running"


@clause("S52")
def test_questions_from_a_branch_are_asked_on_the_main_channel():
    child = task(delegate("d"), prompt("p"), approve("g"), inputs={"it": {"required": True}})
    play = Play(workflow(foreach("each", ["a"], task="t", agent="@task"), tasks={"t": child}))
    token = branch_token("seed", "each[0]")
    play.claim(channel=token).answer("each[0]/d", channel=token)
    assert play.state.actions["each[0]/p"].channel == ""
    assert play.claim(channel=token).claimed is None
    assert play.claim("each[0]/p", channel=token).refused == "foreign"
    assert play.answer("each[0]/p", "mine", by=ME, channel=token).refused == "foreign"
    assert play.claim().claimed == "each[0]/p"
    assert play.answer("each[0]/p", "from the user", channel="").open == ["each[0]/g"]


@clause("S52")
def test_an_agent_answers_on_its_own_channel_alone():
    play = Play(workflow(foreach("each", ["a", "b"], do=[delegate("d")], agent="@task")))
    mine, theirs = (branch_token("seed", f"each[{index}]") for index in range(2))
    play.claim("each[0]/d", channel=mine)
    assert play.answer("each[0]/d", by=ME, channel=theirs).refused == "foreign"
    assert play.answer("each[1]/d", by=ME, channel=mine).refused == "foreign"
    assert play.answer("each[0]/d", by=ME, channel=mine).open == ["each[1]/d"]


@clause("S53")
def test_attempts_are_counted_in_all_and_waits_grow_to_a_ceiling():
    play = Play(workflow(delegate("d", retry=FLAKY)))
    waits = []
    for attempt in (1, 2):
        play.claim("d").answer("d", fails="transient")
        action = play.state.actions["d"]
        assert (action.status, action.attempt, action.failures) == ("backoff", attempt, attempt)
        assert play.answer("d", "late", by=ME, attempt=attempt).refused == "late"
        assert play.claim("d").refused == "not_claimable"
        waits.append(play.state.timers["backoff:d"] - play.now_ms)
        play.pass_ms(waits[-1])
        assert (play.state.actions["d"].status, play.state.actions["d"].attempt) == ("open", attempt + 1)
    assert 0 <= waits[0] <= 1_000
    assert 0 <= waits[1] <= 1_500
    play.claim("d").answer("d", fails="transient")
    assert (play.status, play.state.failure.error_class) == ("failed", "transient")


@clause("S53")
def test_the_wait_begins_after_the_time_that_a_failure_asks_for():
    play = Play(workflow(delegate("d", retry=FLAKY)))
    play.claim("d").answer("d", fails="transient", retry_after_ms=60_000)
    assert 60_000 <= play.state.timers["backoff:d"] - play.now_ms <= 61_000
    assert play.pass_ms(59_999).state.actions["d"].status == "backoff"
    assert play.pass_ms(1_001).state.actions["d"].status == "open"


@clause("S53")
def test_only_the_named_classes_are_retried():
    play = Play(workflow(delegate("d", retry=FLAKY)))
    play.claim("d").answer("d", fails="denied")
    assert (play.status, play.state.failure.error_class) == ("failed", "denied")


@clause("S54")
def test_a_timeout_bounds_an_attempt_from_its_claim():
    play = Play(workflow(delegate("d", timeout_ms=5_000, retry=Retry(attempts=2, backoff_ms=0))))
    play.pass_ms(60_000)
    play.claim("d").pass_ms(4_999)
    assert play.state.actions["d"].status == "claimed"
    play.now_ms += 1
    play.wake()
    assert play.commands == [StopAction(action="d", attempt=1)]
    assert play.kinds == ["timer_fired", "attempt_failed", "retry_planned", "timer_fired", "action_offered"]
    assert (play.state.actions["d"].status, play.state.actions["d"].attempt) == ("open", 2)
    assert play.answer("d", "late", by=ME, attempt=1).refused == "late"
    play.claim("d").pass_ms(5_000)
    assert (play.status, play.state.failure.error_class) == ("failed", "timeout")


@clause("S54")
def test_where_no_claim_is_needed_the_attempt_begins_when_it_is_dispatched():
    play = Play(workflow(call("r", effect="read", timeout_ms=1_000), call("w", timeout_ms=1_000)))
    assert play.state.timers == {"timeout:r": play.now_ms + 1_000}
    play.answer("r", by=SERVER)
    assert play.state.timers == {}
    play.claim("w", by=SERVER)
    assert play.state.timers == {"timeout:w": play.now_ms + 1_000}


@clause("S55")
def test_within_bounds_the_whole_step():
    play = Play(workflow(delegate("d", within_ms=10_000, retry=Retry(attempts=99, backoff_ms=4_000, on=("transient",)))))
    play.pass_ms(6_000).claim("d").answer("d", fails="transient").pass_ms(3_999)
    assert play.status == "running"
    play.pass_ms(1)
    assert (play.status, play.state.failure.error_class) == ("failed", "timeout")
    assert "10000 ms" in play.state.failure.message


@clause("S55", "S68")
def test_within_closes_a_block_first():
    play = Play(
        workflow(
            condition(
                "c",
                "{{ true }}",
                then=[foreach("each", [0, 1], do=[delegate("d")])],
                within_ms=1_000,
                on_error="continue",
            ),
            prompt("after"),
        )
    )
    play.claim("c.then/each[0]/d").pass_ms(1_000)
    assert play.open == ["c.then/each[0]/d"]
    assert play.state.nodes["c"].closing is not None
    play.answer("c.then/each[0]/d", by=ME)
    assert play.open == ["after"]


@clause("S56")
def test_on_error_continue_goes_on_behind_the_step():
    play = Play(
        workflow(
            delegate("d", on_error="continue", output_to="a"),
            ret("r", "{{ [steps.d.status, steps.d.error.class, state.a] }}"),
            initial_state={"a": 1},
        )
    )
    play.claim("d").answer("d", fails="denied")
    assert (play.status, play.result) == ("completed_degraded", ["failed", "denied", 1])


@clause("S56")
def test_a_fallback_gives_the_step_a_value():
    play = Play(workflow(delegate("d", fallback="{{ 'not: ' ~ error.message }}", output_to="a"), delegate("e", fallback=None, output_to="b"),
                         ret("r", "{{ [state.a, steps.d.status, state.b] }}"), initial_state={"a": 1, "b": 1}))  # fmt: skip
    play.claim("d").answer("d", fails="denied", result="thrown away")
    play.claim("e").answer("e", fails="denied")
    assert (play.status, play.result) == ("completed_degraded", ["not: it is denied", "completed", None])


@clause("S56")
def test_a_handler_reads_the_error_and_the_run_goes_on_behind_the_step():
    handler = [prompt("tell", "{{ [error.class, steps.d.error.step, steps.d.status] }}"), put("s", {"a": "handled"})]
    play = Play(
        workflow(
            delegate("d", on_error=handler),
            ret("r", "{{ [state.a, steps.d.status, error is defined] }}"),
            initial_state={"a": 1},
        )
    )
    play.claim("d").answer("d", fails="denied")
    assert play.open == ["d.on_error/tell"]
    assert play.state.actions["d.on_error/tell"].params["message"] == ["denied", "d", "failed"]
    play.done("d.on_error/tell", "ok")
    assert (play.status, play.result) == ("completed", ["handled", "failed", False])
    play.ended_properly()


@clause("S56")
def test_an_empty_handler_handles():
    play = Play(workflow(foreach("each", "{{ 1 // 0 }}", do=[], on_error=[]), ret("r", "on")))
    assert (play.status, play.result) == ("completed", "on")


@clause("S57")
def test_a_failure_in_the_handler_or_fallback_is_not_handled_again():
    play = Play(workflow(delegate("d", on_error=[delegate("again")])))
    play.claim("d").answer("d", fails="denied").claim("d.on_error/again").answer("d.on_error/again", fails="unavailable")
    assert (play.status, play.state.failure.error_class, play.state.failure.step) == (
        "failed",
        "unavailable",
        "d.on_error/again",
    )
    play = Play(workflow(delegate("d", fallback="{{ error.nothing }}")))
    play.claim("d").answer("d", fails="denied")
    assert (play.status, play.state.failure.error_class) == ("failed", "expression")


@clause("S57")
def test_return_works_from_a_handler():
    play = Play(workflow(foreach("each", [1, 2], do=[delegate("d", on_error=[ret("r", "{{ error.class }}")])]), prompt("never")))
    play.claim("each[0]/d").answer("each[1]/d", fails="denied").pass_ms(10_000)
    assert (play.status, play.result) == ("completed", "denied")
    play.ended_properly()


@clause("S58")
def test_an_answer_closes_one_action_and_claims_the_next_in_one_transition():
    play = Play(workflow(delegate("d"), delegate("e", timeout_ms=500), prompt("p")))
    play.claim().answer("d", then=True)
    assert (play.claimed, play.state.actions["e"].holder, len(play.log)) == ("e", "me", 3)
    assert play.state.timers == {"timeout:e": play.now_ms + 500}
    assert play.answer("e", by=OTHER, then=True).claimed is None, "a refused answer claims nothing"
    assert play.answer("e", then=True).claimed == "p"
    assert play.answer("p", "x", then=True).claimed is None
    play.ended_properly()


@clause("S71")
def test_a_long_message_is_cut_in_the_state_and_whole_in_the_log():
    play = Play(workflow(delegate("d", on_error="continue"), prompt("p", "{{ steps.d.error.message | length }}"))).claim("d")
    failure = Failure(error_class="failed", message="x" * 100_000, step="d")
    play.feed(ActionAnswered(at_ms=play.now_ms, action="d", attempt=1, holder="me", by=ME, failure=failure))
    assert play.state.actions["p"].params["message"] == 4_000
    assert len(play.log[-1].failure.message) == 100_000


@clause("S59")
def test_an_unknown_class_counts_as_failed():
    play = Play(workflow(delegate("d", retry=Retry(attempts=2, backoff_ms=0, on=("failed",)))))
    play.claim("d").answer("d", fails="gremlins")
    assert play.state.actions["d"].problem.error_class == "failed"
    play.wake().claim("d").answer("d", fails="gremlins")
    assert play.state.failure.error_class == "failed"


def test_a_person_may_answer_a_prompt_that_an_agent_holds():
    play = Play(workflow(prompt("p"), prompt("next"))).claim("p")
    assert play.answer("p", "from the terminal", by=ANNA).open == ["next"]
    assert play.answer("p", "too", by=ME, attempt=1).refused == "not_open"
