"""Examples of blocks and jumps: switch, parallel, while, repeat, break, continue, goto."""

import pytest

from tests.core.build import (
    break_,
    call,
    condition,
    continue_,
    delegate,
    fail,
    foreach,
    goto,
    parallel,
    prompt,
    put,
    repeat,
    ret,
    switch,
    task,
    while_,
    workflow,
)  # fmt: skip
from tests.core.clauses import clause
from tests.core.play import Play


@clause("S83")
@pytest.mark.parametrize("value,took", [("red", "r"), (7, "n"), (True, "t"), ("gone", "d"), ("on_error", "o")])
def test_a_switch_takes_the_list_that_its_value_names_as_text(value, took):
    cases = {"red": [prompt("r")], "7": [prompt("n")], "true": [prompt("t")], "on_error": [prompt("o")]}
    play = Play(workflow(switch("s", "{{ inputs.v }}", cases, [prompt("d")]), ret("end", 1), inputs={"v": {}}), v=value)
    assert [path.rpartition("/")[2] for path in play.open] == [took]
    play.done(play.open[0], "x")
    assert play.ended_properly().status == "completed"


@clause("S83")
def test_a_switch_without_a_case_that_fits_and_without_default_does_nothing():
    assert Play(workflow(switch("s", "x", {"y": [prompt("p")]}), ret("end", 1))).ended_properly().result == 1


def two(need=0, **fields):
    return parallel("p", {"a": [delegate("x")], "b": [delegate("y")]}, need, **fields)


@clause("S84")
def test_all_branches_run_at_once_and_give_the_result_of_their_last_step():
    play = Play(workflow(two(output_to="got"), ret("end", "{{ state.got }}"), initial_state={"got": None}))
    assert play.open == ["p.a/x", "p.b/y"]
    play.done("p.b/y", 2).done("p.a/x", 1)
    assert play.ended_properly().result == {"a": 1, "b": 2}


@clause("S84")
def test_a_branch_that_fails_cancels_the_others_and_fails_the_block():
    play = Play(workflow(two(on_error="continue"), ret("end", "{{ [steps.p.error.class, steps.p.errors] }}")))
    play.claim("p.a/x").claim("p.b/y").answer("p.b/y", fails="denied")
    assert play.state.actions["p.a/x"].status == "stopping"
    play.lost("p.a/x")
    error = {"class": "denied", "message": "it is denied", "step": "p.b/y", "index": 1, "branch": "b"}
    assert play.ended_properly().result == ["denied", [error]]


@clause("S85")
def test_the_first_success_wins_and_the_losers_are_cancelled_in_file_order_before_the_next_step():
    branches = {name: [delegate(name)] for name in ("a", "b", "c")}
    play = Play(workflow(parallel("p", branches, 1, output_to="got"), prompt("next"), initial_state={"got": None}))
    play.claim("p.c/c").claim("p.a/a").claim("p.b/b").answer("p.b/b", "mine")
    assert [command.action for command in play.commands] == ["p.a/a", "p.c/c"]
    assert "next" not in play.open
    play.lost("p.a/a").lost("p.c/c")
    assert play.open == ["next"]
    assert play.fields["got"] == {"winners": ["b"], "results": {"b": "mine"}}


@clause("S85")
def test_two_of_three_fail_when_two_cannot_succeed_any_more_with_every_cause():
    branches = {name: [delegate(name)] for name in ("a", "b", "c")}
    play = Play(workflow(parallel("p", branches, 2)))
    play.claim("p.a/a").answer("p.a/a", fails="denied")
    assert play.status == "running"
    play.claim("p.c/c").answer("p.c/c", fails="unavailable")
    assert play.ended_properly().status == "failed"
    assert play.state.failure.error_class == "denied"
    assert "a: it is denied; c: it is unavailable" in play.state.failure.message


@clause("S85")
def test_a_loser_keeps_what_it_wrote():
    branches = {"slow": [put("w", {"seen": 1}), delegate("s")], "quick": [delegate("q")]}
    play = Play(workflow(parallel("p", branches, 1), ret("end", "{{ state.seen }}"), initial_state={"seen": 0}))
    play.done("p.quick/q")
    assert play.ended_properly().result == 1


COUNT = put("count", {"n": "{{ state.n + 1 }}"})


@clause("S86")
def test_a_while_asks_before_each_round_and_says_how_many_it_made():
    loop = while_("w", "{{ state.n < 3 }}", [COUNT])
    play = Play(workflow(loop, ret("end", "{{ [steps.w.result, state.n] }}"), initial_state={"n": 0}))
    assert play.ended_properly().result == [{"iterations": 3}, 3]
    play = Play(workflow(while_("w", "{{ false }}", [COUNT]), ret("end", "{{ steps.w.result }}"), initial_state={"n": 0}))
    assert play.ended_properly().result == {"iterations": 0}


@clause("S86")
def test_a_repeat_asks_after_each_round_and_sees_what_the_round_did():
    loop = repeat("r", "{{ steps.try.result == 'ok' }}", [delegate("try")])
    play = Play(workflow(loop, ret("end", "{{ steps.r.result }}")))
    play.done("r[0]/try", "no").done("r[1]/try", "ok")
    assert play.ended_properly().result == {"iterations": 2}


@clause("S86")
def test_a_condition_of_a_loop_may_call_functions():
    loop = while_("w", "{{ double(state.n) < 6 }}", [COUNT])
    until = repeat("r", "{{ double(state.n) > 8 }}", [put("count2", {"n": "{{ state.n + 1 }}"})])
    play = Play(workflow(loop, until, ret("end", "{{ state.n }}"), initial_state={"n": 0}))
    assert play.ended_properly().result == 5


@clause("S87")
def test_a_loop_at_its_limit_fails_or_misses_its_goal():
    play = Play(workflow(while_("w", "{{ true }}", [COUNT], most=3), initial_state={"n": 0}))
    assert play.ended_properly().state.failure.error_class == "max_iterations"
    play = Play(workflow(repeat("w", "{{ false }}", [COUNT], 3, "continue"), ret("end", "{{ steps.w.result }}"), initial_state={"n": 0}))
    assert (play.ended_properly().status, play.result) == ("goal_not_met", {"iterations": 3})


@clause("S87")
def test_a_failing_round_fails_the_loop():
    play = Play(
        workflow(while_("w", "{{ true }}", [fail("f", "no", "mine")], on_error="continue"), ret("end", "{{ steps.w.error.class }}"))
    )
    assert play.ended_properly().result == "mine"


@clause("S88")
def test_break_leaves_the_innermost_loop_from_any_depth():
    body = [COUNT, condition("if", "{{ state.n == 2 }}", then=[break_()]), put("after", {"m": "{{ state.m + 1 }}"})]
    play = Play(workflow(while_("w", "{{ true }}", body), ret("end", "{{ [state.n, state.m] }}"), initial_state={"n": 0, "m": 0}))
    assert play.ended_properly().result == [2, 1]


@clause("S88")
def test_continue_goes_on_with_the_next_round():
    body = [condition("if", "{{ item == 2 }}", then=[continue_()]), delegate("d", "{{ item }}")]
    play = Play(workflow(foreach("f", [1, 2, 3], do=body, sequential=True, output="{{ item }}"), ret("end", "{{ steps.f.result }}")))
    play.done("f[0]/d").done("f[2]/d")
    assert play.ended_properly().result == [1, None, 3]


@clause("S88")
def test_break_in_a_foreach_cancels_its_open_rounds_and_leaves_null_where_nothing_ran():
    body = [delegate("d"), condition("if", "{{ item == 2 }}", then=[break_()])]
    play = Play(workflow(foreach("f", [1, 2, 3], do=body, output="{{ item }}"), ret("end", "{{ steps.f.result }}")))
    play.claim("f[2]/d").done("f[0]/d").done("f[1]/d")
    assert play.state.actions["f[2]/d"].status == "stopping"
    play.lost("f[2]/d")
    assert play.ended_properly().result == [1, None, None]


@clause("S88")
def test_continue_in_a_repeat_asks_its_condition():
    body = [COUNT, continue_(), fail("never")]
    play = Play(workflow(repeat("r", "{{ state.n == 2 }}", body), ret("end", "{{ state.n }}"), initial_state={"n": 0}))
    assert play.ended_properly().result == 2


@clause("S89")
def test_a_goto_visits_again_under_a_path_of_its_own():
    again = condition("if", "{{ state.n < 2 }}", then=[goto("back", "work")])
    play = Play(workflow(delegate("work"), COUNT, again, ret("end", "{{ steps.work.visits }}"), initial_state={"n": 0}))
    play.done("work")
    assert play.open == ["work~2"]
    assert play.done("work~2").ended_properly().result == 2


@clause("S89")
def test_a_goto_forward_skips_what_lies_between():
    play = Play(workflow(goto("on", "last"), delegate("between"), delegate("last")))
    assert play.open == ["last"]
    assert [step.status for step in play.view.steps] == ["completed", "skipped", "waiting"]


@clause("S89")
def test_a_goto_that_was_taken_often_enough_fails():
    play = Play(workflow(put("a", {"n": "{{ state.n + 1 }}"}), goto("back", "a", 3), initial_state={"n": 0}))
    assert play.ended_properly().state.failure.error_class == "max_visits"
    assert play.fields["n"] == 4


@clause("S89")
def test_a_goto_inside_a_round_counts_per_round():
    body = [delegate("d"), condition("if", "{{ steps.d.visits < 2 }}", then=[goto("back", "d", 1)])]
    play = Play(workflow(foreach("f", [1, 2], do=body, sequential=True), ret("end", 1)))
    for path in ("f[0]/d", "f[0]/d~2", "f[1]/d", "f[1]/d~2"):
        play.done(path)
    assert play.ended_properly().result == 1


@clause("S90")
def test_fail_fails_with_a_class_of_its_own_and_may_say_that_the_goal_was_not_met():
    play = Play(workflow(fail("f", "no {{ 1 + 1 }}", "too_bad")))
    assert (play.ended_properly().status, play.state.failure.error_class, play.state.failure.message) == ("failed", "too_bad", "no 2")
    play = Play(workflow(condition("c", "{{ true }}", then=[fail("f", "no", status="goal_not_met")])))
    assert play.ended_properly().status == "goal_not_met"
    play = Play(workflow(fail("f", "no", on_error="continue"), ret("end", "{{ steps.f.error.message }}")))
    assert (play.ended_properly().result, play.status) == ("no", "completed_degraded")


@clause("S91")
def test_too_few_successes_fail_a_foreach_with_the_list_of_results():
    fields = {"on_item_error": "collect", "output_to": "got", "output": "{{ item }}"}

    def make(**more):
        return Play(workflow(foreach("f", [1, 2, 3], do=[delegate("d")], **fields, **more), initial_state={"got": 0}))

    play = make(min_success=2)
    play.done("f[0]/d").claim("f[1]/d").answer("f[1]/d", fails="denied")
    assert play.status == "running"
    play.claim("f[2]/d").answer("f[2]/d", fails="denied")
    assert play.ended_properly().state.failure.error_class == "min_success"
    assert play.fields["got"] == [1, None, None]
    play = make(min_success_percent=60)
    play.done("f[0]/d").done("f[1]/d").claim("f[2]/d").answer("f[2]/d", fails="denied")
    assert play.ended_properly().status == "completed_degraded"


@clause("S38")
def test_return_out_of_a_parallel_cancels_its_branches():
    play = Play(workflow(parallel("p", {"a": [prompt("x"), ret("r", 5)], "b": [call("w", effect="read")]}), prompt("never")))
    play.done("p.a/x", "y")
    assert play.state.actions["p.b/w"].status == "stopping"
    play.lost("p.b/w")
    assert play.ended_properly().result == 5


@clause("S22")
def test_loops_work_inside_a_task():
    inner = task(while_("w", "{{ state.n < inputs.it }}", [COUNT]), ret("end", "{{ state.n }}"), inputs={"it": {}}, initial_state={"n": 0})
    play = Play(workflow(foreach("f", [1, 2], task="t"), ret("end", "{{ steps.f.result }}"), tasks={"t": inner}))
    assert play.ended_properly().result == [1, 2]
