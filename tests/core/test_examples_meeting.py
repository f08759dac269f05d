"""Clauses S112 to S118 and S131 to S134: where endings, budgets, gates, waits and gotos meet. Each was found by the simulator or by reading against it."""

from dataclasses import replace

from tests.core.build import (
    approve,
    call,
    condition,
    delegate,
    function,
    goto,
    parallel,
    prompt,
    put,
    repeat,
    ret,
    run,
    wait,
    while_,
    workflow,
)
from tests.core.clauses import clause
from tests.core.play import ANNA, ME, OTHER, SERVER, T0, Play
from treadle.core import limits
from treadle.core.advance import advance
from treadle.core.commands import StopAction
from treadle.core.definition import By, Retry
from treadle.core.events import ActionAnswered, CancelRequested, Continued
from treadle.replay import resume


def undone(play: Play) -> list[str]:
    return [note.path for note in play.every_note if note.kind == "undo_begun"]


def begun(play: Play, path: str) -> int:
    return sum(note.kind == "finally_begun" and note.path == path for note in play.every_note)


@clause("S112")
def test_a_spent_budget_does_not_stop_the_finally_of_the_run():
    play = Play(workflow(delegate("a"), final=[delegate("f")], budget={"calls": 1})).done("a", 1)
    assert play.open == ["finally/f"]
    play.done("finally/f").ended_properly()
    assert play.status == "completed"
    assert begun(play, "") == 1
    assert play.state.spent[""].calls == 2


@clause("S112")
def test_the_time_of_a_run_does_not_run_out_in_its_finally():
    play = Play(workflow(delegate("a"), final=[delegate("f")], budget={"wall_ms": 5_000})).done("a").pass_ms(6_000)
    play.done("finally/f").ended_properly()
    assert play.status == "completed"


@clause("S112")
def test_a_spent_budget_does_not_stop_undo():
    steps = [call("a", undo=[call("u")]), call("b")]
    play = Play(workflow(*steps, budget={"calls": 2})).done("a").done("b", fails="failed").done("a.undo/u").ended_properly()
    assert (play.status, play.state.undo_status, undone(play)) == ("failed", "done", ["a"])


@clause("S112")
def test_after_a_second_cancel_nothing_of_a_budget_that_is_gone_is_counted():
    steps = [call("a", undo=[call("u")]), delegate("b", budget={"calls": 1}, final=[delegate("f")], undo=[call("v")])]
    play = Play(workflow(*steps)).done("a").done("b").cancel().cancel().done("b.undo/v").done("a.undo/u").ended_properly()
    assert (play.status, undone(play)) == ("cancelled", ["b", "a"])


@clause("S112")
def test_a_finally_that_is_owed_below_a_spent_owner_makes_its_calls():
    inner = call("a", effect="read", final=[delegate("f")])
    play = Play(workflow(repeat("r", "{{ true }}", [inner], budget={"calls": 1}), prompt("p"))).done("r[0]/a")
    assert play.open == ["r[0]/a.finally/f"]
    assert play.state.spent["r"].calls == 2
    play.done("r[0]/a.finally/f")
    assert play.status == "failed"
    assert begun(play, "r[0]/a") == 1


@clause("S112")
def test_a_spent_owner_runs_its_finally_once_however_it_ends():
    step = delegate(
        "a", budget={"calls": 1}, retry=Retry(attempts=2, backoff_ms=0, on=("failed",)), on_error=[prompt("h")], final=[delegate("f")]
    )
    play = Play(workflow(step)).done("a", fails="failed").pass_ms(10).done("a.on_error/h", "well").done("a.finally/f").ended_properly()
    assert begun(play, "a") == 1


@clause("S113")
def test_a_goto_out_of_a_handler_leaves_its_step_failed():
    steps = [delegate("a"), call("b", on_error=[goto("g", "a", 1)], undo=[call("u")], output_to="x"), prompt("p", "{{ steps.b.status }}")]
    play = Play(workflow(*steps, initial_state={"x": "old"})).done("a").done("b", fails="failed").done("a~2")
    assert play.fields["x"] == "old"
    assert play.state.undo == {}
    assert play.state.frames[""].steps["b"]["status"] == "failed"
    play.done("b~2", "new")
    assert list(play.state.undo) == ["b~2"]


@clause("S114")
def test_a_gate_that_is_skipped_when_it_is_reached_again_does_not_stand():
    gate = approve("g", "this", when="{{ state.n == 0 }}")
    steps = [
        gate,
        prompt("p", output_to="n"),
        condition("if", "{{ state.n == 'again' }}", then=[goto("back", "g", 1)]),
        call("w", requires="g"),
    ]
    play = Play(workflow(*steps, initial_state={"n": 0}))
    play.decide("g", approved=True).done("p", "again").done("p~2", "on")
    assert play.status == "failed"
    assert play.state.failure.error_class == "rejected"


@clause("S114")
def test_a_gate_that_runs_out_when_it_is_reached_again_does_not_stand():
    gate = approve("g", "this", within_ms=1_000, on_reject="continue")
    steps = [
        gate,
        prompt("p", output_to="n"),
        condition("if", "{{ state.n == 'again' }}", then=[goto("back", "g", 1)]),
        call("w", requires="g"),
    ]
    play = Play(workflow(*steps, initial_state={"n": 0})).decide("g", approved=True).done("p", "again").pass_ms(1_000).done("p~2", "on")
    assert play.state.failure.error_class == "rejected"


@clause("S115")
def test_while_an_outcome_is_read_back_nobody_else_says_it():
    play = Play(workflow(call("a", read_back=[call("r", effect="read")]), prompt("p"))).claim("a", by=SERVER).lost("a")
    assert (play.resolve("a", "done", "it was").refused, play.open) == ("reading_back", ["a", "a.read_back/r"])


@clause("S115")
def test_an_answer_that_comes_after_all_ends_the_reading_back():
    play = Play(workflow(call("a", read_back=[call("r", effect="read")]), prompt("p"))).claim("a", by=SERVER).lost("a")
    play.answer("a", "here it is", by=SERVER)
    assert (play.refused, play.open) == (None, ["p"])
    assert StopAction(action="a.read_back/r", attempt=1) in play.commands
    play.check_log()


@clause("S116")
def test_a_cancel_in_the_finally_of_the_run_lets_it_finish_and_then_takes_back():
    play = Play(workflow(call("a", undo=[call("u")]), final=[delegate("f")])).done("a").cancel()
    assert (play.status, play.open) == ("cancelling", ["finally/f"])
    play.done("finally/f").done("a.undo/u").ended_properly()
    assert (play.status, undone(play)) == ("cancelled", ["a"])


@clause("S116")
def test_a_second_cancel_skips_the_finally_of_the_run():
    play = Play(workflow(delegate("a"), final=[delegate("f")])).done("a").cancel().cancel().ended_properly()
    assert play.status == "cancelled"


@clause("S116")
def test_a_finally_of_the_run_that_is_cut_is_no_success():
    play = Play(workflow(delegate("a"), final=[delegate("f")])).done("a").pass_ms(300_000).ended_properly()
    assert (play.status, play.state.failure.error_class) == ("failed", "timeout")


@clause("S93")
def test_a_finally_that_is_under_way_goes_on_after_a_cancel_that_comes_between_two_commits(monkeypatch):
    play = Play(workflow(delegate("a", final=[delegate("f")]), prompt("p"))).claim("a")
    monkeypatch.setattr(limits, "SETTLE_MOVES_MAX", 1)
    answered = advance(play.definition, play.state, ActionAnswered(at_ms=T0, action="a", attempt=1, holder="me", by=ME))
    assert answered.more
    cancelled = advance(play.definition, answered.state, CancelRequested(at_ms=T0, by=ANNA))
    monkeypatch.undo()
    assert list(advance(play.definition, cancelled.state, Continued(at_ms=T0)).state.actions) == ["a.finally/f"]


@clause("S93", "S67")
def test_cancelling_a_parked_run_hands_out_what_its_finally_waits_for():
    step = delegate("a", final=[call("f", effect="read")])
    play = Play(workflow(step, prompt("p"))).claim("a").park().answer("a").cancel()
    assert play.performs() == ["a.finally/f"]
    play.done("a.finally/f").ended_properly()
    assert play.status == "cancelled"


@clause("S98")
def test_a_wait_that_is_over_takes_no_other_signal():
    play = Play(workflow(wait("w", signal="go", final=[delegate("f")]), prompt("p"))).signal("go", 1).signal("go", 2)
    assert (play.kinds, play.open) == (["signal_kept"], ["w.finally/f"])
    play.done("w.finally/f").check_log()


@clause("S117")
def test_what_a_lost_performer_leaves_is_the_same_call_and_a_repair_another():
    play = Play(workflow(delegate("a", output={"type": "object"}), prompt("p"), budget={"calls": 2}))
    play.claim("a").claim("a", by=OTHER, lapsed=["a"])
    assert play.state.spent[""].calls == 1
    play.answer("a", "no object", by=OTHER)
    assert (play.refused, play.state.spent[""].calls) == ("bad_output", 2)


@clause("S117", "S106")
def test_a_repair_beyond_the_budget_waits_until_a_person_grants_more():
    checks = [{"expression": "{{ result == 'good' }}"}]
    play = Play(workflow(delegate("a", verify=checks), prompt("p"), budget={"calls": 1, "on_exceed": "ask"})).claim("a").answer("a", "bad")
    assert play.state.parked is not None
    play.unpark()
    assert (play.state.actions["a"].status, play.state.spent[""].calls) == ("claimed", 2)
    play.answer("a", "good")
    assert play.open == ["p"]


@clause("S118")
def test_a_child_that_is_waited_for_is_not_told_to_stop_by_whoever_comes_back():
    definition = workflow(run("r", "child", close_policy="wait"), prompt("p"))
    play = Play(definition).claim("r", by=SERVER).cancel()
    assert play.state.actions["r"].status == "stopping"
    assert resume(definition, play.state) == ()
    play.answer("r", {}, by=SERVER)
    assert play.status == "cancelled"


@clause("S1")
def test_a_key_is_not_taken_out_of_the_state_that_was_given():
    play = Play(workflow(call("a", key="auto", requires=[]), approve("g"), call("b", key="k", requires="g"), prompt("p")))
    play.done("a").decide("g", approved=True)
    assert play.state.actions["b"].key == "k"
    play.check_log()


@clause("S84", "S106")
def test_a_loop_whose_branch_fails_ends_its_finally_once_whatever_a_function_says_then():
    """A `while` in one branch waits for a function when the other branch fails; the function raises when the loop's `finally` runs."""
    branches = {
        "a": [while_("w", "{{ broken(1) }}", [function("x", "double")], final=[delegate("f")])],
        "b": [call("c", effect="read"), prompt("z")],
    }
    play = Play(workflow(parallel("p", branches)))
    assert begun(play, "p.a/w") == 1
    play.cancel()
    for name in list(play.open):
        play.lost(name) if play.state.actions[name].status == "stopping" else play.done(name)
    assert begun(play, "p.a/w") == 1


# A step with `undo` and `finally`


@clause("S131")
def test_what_is_closed_while_the_finally_of_a_step_runs_is_taken_back():
    """The step had done its work: its entry was lost when a cancel came while its `finally` ran."""
    play = Play(workflow(call("a", final=[delegate("f")], undo=[call("u", parameters={"k": "{{ steps.a.result }}"})]), prompt("b")))
    play.done("a", 7).cancel().done("a.finally/f")
    assert play.state.actions["a.undo/u"].params["parameters"] == {"k": 7}
    play.done("a.undo/u").ended_properly()
    assert (play.status, play.state.undo_status, undone(play)) == ("cancelled", "done", ["a"])


@clause("S131")
def test_the_undo_of_a_step_comes_after_that_of_its_finally():
    step = call("a", final=[call("f", undo=[call("v")])], undo=[call("u")])
    play = Play(workflow(step, call("z", effect="read"))).done("a").done("a.finally/f").answer("z", fails="failed")
    play.done("a.finally/f.undo/v").done("a.undo/u").ended_properly()
    assert undone(play) == ["a.finally/f", "a"]


@clause("S131")
def test_a_step_whose_finally_fails_is_not_undone():
    play = Play(workflow(call("a", final=[call("f", effect="read")], undo=[call("u")]))).done("a").answer("a.finally/f", fails="failed")
    assert (play.ended_properly().status, undone(play)) == ("failed", [])


# Cancelling while undo runs


@clause("S132")
def test_the_first_cancel_while_undo_runs_lets_it_go_on():
    play = Play(workflow(call("a", undo=[call("u")]), call("b"))).done("a").done("b", fails="failed").cancel()
    assert play.open == ["a.undo/u"]
    play.done("a.undo/u").ended_properly()
    assert (play.status, play.state.undo_status) == ("failed", "done")


@clause("S132")
def test_the_second_cancel_while_undo_runs_cuts_it_off_and_tells_who_is_at_work():
    play = Play(workflow(call("a", undo=[call("u")]), prompt("b"))).done("a").cancel().claim("a.undo/u", by=SERVER).cancel()
    assert play.open == ["a.undo/u"]
    play.cancel().ended_properly()
    assert (play.status, play.state.undo_status) == ("failed", "incomplete")
    assert StopAction(action="a.undo/u", attempt=1) in play.commands


# What the owner of a spent budget still does, and gives


@clause("S133")
def test_a_spent_budget_is_handled_by_its_owner_and_counts_what_the_handler_does():
    play = Play(workflow(call("a", effect="read", on_error=[delegate("h"), delegate("i")], retry=2, budget={"calls": 1}), ret("r", 1)))
    play.answer("a", fails="failed").pass_ms(60_000).done("a.on_error/h").done("a.on_error/i")
    assert (play.ended_properly().status, play.state.used.calls) == ("completed", 3)


@clause("S133")
def test_each_visit_of_a_step_has_a_budget_of_its_own():
    back = condition("if", "{{ steps.a.visits < 2 }}", then=[goto("g", "a", 1)])
    play = Play(workflow(call("a", effect="read", budget={"calls": 1}), back)).done("a").done("a~2")
    assert (play.ended_properly().status, play.state.used.calls) == ("completed", 2)


@clause("S134")
def test_a_parallel_that_degrades_gives_what_its_branches_gave():
    both = parallel("p", {"l": [call("a", effect="read")], "r": [call("b", effect="read")]}, budget={"calls": 1, "on_exceed": "degrade"})
    play = Play(workflow(both, ret("r", "{{ steps.p.result }}")))
    assert play.pass_ms(10_000).ended_properly().result == {"l": None, "r": None}
    slow = parallel(
        "p", {"l": [call("a", effect="read")], "r": [prompt("q"), call("b", effect="read")]}, budget={"calls": 1, "on_exceed": "degrade"}
    )
    play = Play(workflow(slow, ret("r", "{{ steps.p.result }}"))).answer("p.l/a", 5).answer("p.r/q", "go")
    assert (play.ended_properly().result, play.status) == ({"l": 5, "r": None}, "completed_degraded")


@clause("S134")
def test_what_else_degrades_gives_null():
    chosen = condition(
        "c", "{{ true }}", then=[call("a", effect="read"), call("b", effect="read")], budget={"calls": 1, "on_exceed": "degrade"}
    )
    play = Play(workflow(chosen, put("s", {"x": 1}), ret("r", "{{ steps.c.result }}"), initial_state={"x": 0})).answer("c.then/a", 5)
    assert (play.ended_properly().result, play.status) == (None, "completed_degraded")


@clause("S68")
def test_a_time_that_runs_out_at_the_moment_in_which_the_budget_did_changes_nothing_more():
    """Found by the simulator, seed 1021031: the wait of a step that its own budget had just stopped fired as well."""
    gated = delegate("a", requires=By(), budget={"wall_ms": 1_000})
    gated = replace(gated, requires=replace(gated.requires, within_ms=1_500))
    play = Play(workflow(gated))
    play.now_ms += 5_000
    assert play.wake().ended_properly().state.failure.error_class == "budget"
    play = Play(workflow(wait("w", ms=1_500, budget={"wall_ms": 1_000, "on_exceed": "degrade"}), prompt("p")))
    play.now_ms += 5_000
    assert (play.wake().open, [note.path for note in play.notes if note.kind == "step_completed"]) == (["p"], ["w"])
