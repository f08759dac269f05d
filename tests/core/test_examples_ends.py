"""Examples of ends: `finally`, `undo`, and what cancelling makes of both."""

from tests.core.build import (
    approve,
    break_,
    call,
    condition,
    delegate,
    fail,
    foreach,
    goto,
    parallel,
    prompt,
    put,
    ret,
    task,
    while_,
    workflow,
)  # fmt: skip
from tests.core.clauses import clause
from tests.core.play import Play


def kinds(play, *wanted):
    return [(note.kind, note.path) for note in play.every_note if note.kind in wanted]


@clause("S92")
def test_a_finally_runs_after_a_success_and_after_a_failure_that_was_handled():
    play = Play(workflow(delegate("d", final=[prompt("tidy")]), ret("end", "{{ steps.d.status }}")))
    play.done("d", 1)
    assert play.open == ["d.finally/tidy"]
    assert play.done("d.finally/tidy", "x").ended_properly().result == "completed"
    play = Play(workflow(delegate("d", on_error=[prompt("mend")], final=[prompt("tidy")]), ret("end", 1)))
    play.claim("d").answer("d", fails="denied").done("d.on_error/mend", "x")
    assert play.open == ["d.finally/tidy"]
    assert play.done("d.finally/tidy", "x").ended_properly().status == "completed"


@clause("S92")
def test_a_finally_runs_after_a_failure_which_then_goes_on_upwards_and_can_be_read_in_it():
    play = Play(workflow(delegate("d", final=[prompt("tidy", "{{ error.class }}")])))
    play.claim("d").answer("d", fails="denied")
    assert play.state.actions["d.finally/tidy"].params["message"] == "denied"
    assert play.done("d.finally/tidy", "x").ended_properly().state.failure.error_class == "denied"


@clause("S92")
def test_the_failure_of_a_finally_is_the_steps_unless_that_had_failed_before():
    play = Play(workflow(delegate("d", final=[fail("f", "no", "mine")])))
    assert play.done("d").ended_properly().state.failure.error_class == "mine"
    play = Play(workflow(delegate("d", final=[fail("f", "no", "mine")])))
    play.claim("d").answer("d", fails="denied")
    assert play.ended_properly().state.failure.error_class == "denied"


@clause("S92")
def test_a_skipped_step_has_nothing_to_tidy_up():
    assert Play(workflow(delegate("d", when="{{ false }}", final=[prompt("tidy")]), ret("e", 1))).ended_properly().result == 1


@clause("S93")
def test_cancelling_runs_each_finally_from_the_inside_out():
    inner = foreach("f", [1], do=[delegate("d", final=[prompt("first")])], final=[prompt("second")])
    play = Play(workflow(condition("c", "{{ true }}", then=[inner], final=[prompt("third")]), prompt("never")))
    play.claim("c.then/f[0]/d").cancel()
    assert play.open == ["c.then/f[0]/d"]
    play.lost("c.then/f[0]/d")
    for path in ("c.then/f[0]/d.finally/first", "c.then/f.finally/second", "c.finally/third"):
        assert (play.open, play.status) == ([path], "cancelling")
        play.done(path, "x")
    assert play.ended_properly().status == "cancelled"


@clause("S93")
def test_a_finally_is_shielded_for_five_minutes():
    play = Play(workflow(delegate("d", final=[delegate("tidy")]))).cancel()
    assert play.open == ["d.finally/tidy"]
    play.claim("d.finally/tidy").pass_ms(299_999)
    assert play.status == "cancelling"
    play.pass_ms(1)
    assert play.state.actions["d.finally/tidy"].status == "stopping"
    play.pass_ms(10_000)
    assert play.ended_properly().status == "cancelled"


@clause("S93")
def test_what_closes_around_a_running_finally_waits_for_it():
    branches = {"a": [delegate("d", final=[prompt("tidy")]), prompt("never")], "b": [delegate("e")]}
    play = Play(workflow(parallel("p", branches)))
    play.done("p.a/d")
    assert play.open == ["p.b/e", "p.a/d.finally/tidy"]
    play.claim("p.b/e").answer("p.b/e", fails="denied")
    assert (play.open, play.status) == (["p.a/d.finally/tidy"], "running")
    assert play.done("p.a/d.finally/tidy", "x").ended_properly().state.failure.error_class == "denied"


@clause("S93")
def test_leaving_a_block_by_break_or_goto_or_return_runs_its_finally():
    play = Play(workflow(while_("w", "{{ true }}", [condition("c", "{{ true }}", then=[break_()], final=[prompt("t")])]), ret("e", 1)))
    assert play.done("w[0]/c.finally/t", "x").ended_properly().result == 1
    body = condition("c", "{{ steps.start.visits < 2 }}", then=[goto("g", "start")], final=[prompt("t")])
    play = Play(workflow(delegate("start"), body, ret("e", 1)))
    play.done("start").done("c.finally/t", "x").done("start~2")
    assert play.done("c~2.finally/t", "x").ended_properly().result == 1
    play = Play(workflow(condition("c", "{{ true }}", then=[ret("r", 7)], final=[prompt("t")])))
    assert play.done("c.finally/t", "x").ended_properly().result == 7


@clause("S94")
def test_the_files_finally_runs_after_every_kind_of_end():
    def make(*steps):
        return Play(workflow(*steps, final=[prompt("last", "{{ error.class if error is defined else 'none' }}")]))

    play = make(delegate("d"), ret("r", 3))
    play.done("d")
    assert (play.open, play.status) == (["finally/last"], "running")
    assert play.done("finally/last", "x").ended_properly().result == 3
    play = make(fail("f", "no", "mine"))
    assert play.state.actions["finally/last"].params["message"] == "mine"
    assert play.done("finally/last", "x").ended_properly().state.failure.error_class == "mine"
    play = make(delegate("d")).cancel()
    assert play.done("finally/last", "x").ended_properly().status == "cancelled"


@clause("S94")
def test_a_second_cancel_skips_finally_and_the_undo_follows():
    play = Play(workflow(delegate("a", undo=[prompt("back")]), delegate("b"), final=[prompt("last")]))
    play.done("a").cancel()
    assert play.open == ["finally/last"]
    play.cancel()
    assert (play.open, play.status) == (["a.undo/back"], "undoing")
    assert play.done("a.undo/back", "x").ended_properly().status == "cancelled"
    assert play.state.undo_status == "done"


@clause("S95")
def test_undo_takes_completed_visits_back_newest_first_once_each():
    back = [delegate("back", "undo {{ inputs.it }} {{ steps.work.result }}")]
    inner = task(delegate("work", undo=back), inputs={"it": {}})
    play = Play(workflow(foreach("f", ["x", "y"], task="t", sequential=True), delegate("then"), tasks={"t": inner}))
    play.done("f[0]/work", 1).done("f[1]/work", 2).claim("then").answer("then", fails="denied")
    assert play.status == "undoing"
    assert play.state.actions["f[1]/work.undo/back"].params["instructions"] == "undo y 2"
    play.done("f[1]/work.undo/back")
    assert play.state.actions["f[0]/work.undo/back"].params["instructions"] == "undo x 1"
    play.done("f[0]/work.undo/back")
    assert (play.ended_properly().status, play.state.undo_status) == ("failed", "done")


@clause("S95")
def test_an_undo_sees_the_item_of_then_and_the_state_of_now():
    body = [delegate("work", undo=[put("u", {"log": "{{ state.log + [item, loop.index, state.n] }}"})])]
    play = Play(workflow(foreach("f", ["x", "y"], do=body), put("s", {"n": 9}), fail("end"), initial_state={"log": [], "n": 0}))
    play.done("f[1]/work").done("f[0]/work")
    assert play.ended_properly().fields["log"] == ["x", 1, 9, "y", 2, 9]


@clause("S95")
def test_a_failed_undo_does_not_stop_the_others():
    play = Play(workflow(delegate("a", undo=[delegate("ua")]), delegate("b", undo=[delegate("ub")]), delegate("c")))
    play.done("a").done("b").cancel()
    play.claim("b.undo/ub").answer("b.undo/ub", fails="denied")
    play.done("a.undo/ua")
    assert (play.ended_properly().status, play.state.undo_status) == ("failed", "incomplete")


@clause("S95")
def test_what_completed_is_never_undone():
    play = Play(workflow(delegate("a", undo=[prompt("u")]), ret("r", 1)))
    play.done("a")
    assert (play.ended_properly().status, play.state.undo_status, play.state.undo) == ("completed", "", {})


@clause("S96")
def test_undo_can_be_kept_for_later_and_asked_for_once():
    play = Play(workflow(delegate("a", undo=[prompt("u")]), fail("f"), undo_on=[]))
    play.done("a")
    assert (play.status, play.state.undo_status) == ("failed", "kept")
    play.undo()
    assert (play.status, play.open) == ("undoing", ["a.undo/u"])
    play.done("a.undo/u", "x")
    assert (play.status, play.state.undo_status) == ("failed", "done")
    assert play.undo().refused == "nothing_to_undo"
    play.check_log()


@clause("S96")
def test_undo_is_refused_while_the_run_goes_on():
    assert Play(workflow(prompt("p"))).undo().refused == "not_ended"


@clause("S95")
def test_a_gate_in_an_undo_is_a_gate():
    play = Play(workflow(delegate("a", undo=[approve("sure"), call("drop", effect="read")]), fail("f")))
    play.done("a").decide("a.undo/sure", approved=True)
    assert play.open == ["a.undo/drop"]
    assert play.answer("a.undo/drop").ended_properly().state.undo_status == "done"
