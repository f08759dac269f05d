"""docs/semantics.md, S124 to S128: forks, which share what another run did, and go on from a step by themselves."""

import pytest

from tests.core.build import approve, call, delegate, foreach, parallel, put, repeat, ret, run, task, wait, workflow
from tests.core.clauses import clause
from tests.core.play import T0, Play
from treadle.core.commands import Perform
from treadle.core.definition import By, Retry
from treadle.core.events import Caller
from treadle.core.ids import branch_token, child_run_id
from treadle.view import view

BOB = Caller(kind="human", name="bob", assurance="local")
STEPS = [delegate("one", output_to="a"), delegate("two", "of {{ state.a }}", output_to="b"), ret("end", "{{ state.a }}{{ state.b }}")]
DAY = 86_400_000


def done() -> Play:
    return Play(workflow(*STEPS, initial_state={"a": None, "b": None})).done("one", "1").done("two", "2").ended_properly()


def beside(*steps, then=(), **more) -> Play:
    """A run that has `steps` in one branch, and in another one `first` and then `point`, where forks begin."""
    return Play(workflow(parallel("p", {"x": list(steps), "y": [delegate("first"), delegate("point"), *then]}), **more))


@clause("S124")
def test_a_fork_shares_what_came_before_and_goes_on_by_itself():
    play = done()
    log, state = list(play.log), play.state
    fork = play.fork("two", by=BOB)
    assert (fork.open, fork.status, fork.fields) == (["two"], "running", {"a": "1", "b": None})
    fork.done("two", "x").ended_properly()
    assert (fork.result, play.result) == ("1x", "12")
    assert (play.log, play.state) == (log, state)
    assert fork.log[: len(fork.log) - 3] == log[:2]


@clause("S124")
def test_a_fork_is_a_run_with_a_name_and_a_start_of_its_own():
    play = done()
    play.now_ms += DAY
    fork = play.fork("two", by=BOB, run_id="run_9")
    shown = view(fork.definition, fork.state)
    assert (shown.run_id, shown.started_by, shown.started_at_ms, shown.forked_from) == ("run_9", "bob", T0 + DAY, "run_1/two")
    assert (fork.state.seed, fork.state.parent) != (play.state.seed, None)
    fork.check_log()


@clause("S124")
def test_a_fork_from_the_first_step_shares_the_inputs_alone():
    play = Play(workflow(delegate("d", "{{ inputs.name }}"), inputs={"name": {}}), name="ann").done("d")
    fork = play.fork("d")
    assert [type(event).__name__ for event in fork.log] == ["RunForked"]
    assert fork.state.actions["d"].params["instructions"] == "ann"
    fork.done("d").ended_properly()


@clause("S124")
def test_a_fork_can_begin_inside_of_items_rounds_and_later_visits():
    body = [delegate("a"), delegate("b")]
    play = Play(
        workflow(foreach("each", [0, 1], do=body, sequential=True), repeat("again", "{{ loop.index >= 2 }}", [delegate("c")]), ret("end"))
    )
    for path in ("each[0]/a", "each[0]/b", "each[1]/a", "each[1]/b", "again[0]/c", "again[1]/c"):
        play.done(path)
    play.ended_properly()
    for path, rest in (("each[1]/b", ["again[0]/c", "again[1]/c"]), ("again[1]/c", [])):
        fork = play.fork(path)
        assert fork.open == [path]
        for other in (path, *rest):
            fork.done(other)
        fork.ended_properly()


@clause("S124")
def test_a_fork_of_a_fork_shares_both_histories():
    fork = done().fork("two", run_id="run_2").done("two", "x")
    again = fork.fork("two", run_id="run_3", a="y")
    assert (again.state.forked_from, again.state.run_id) == ("run_2/two", "run_3")
    assert again.done("two", "z").ended_properly().result == "yz"
    earlier = fork.fork("one", run_id="run_4")
    assert earlier.open == ["one"]


@clause("S124")
def test_a_run_at_work_or_set_aside_can_be_forked():
    play = Play(workflow(*STEPS, initial_state={"a": None, "b": None})).done("one", "1").claim("two")
    assert play.fork("two").done("two").ended_properly()
    assert play.park().fork("one").done("one").done("two").ended_properly()
    assert play.state.parked is not None


@clause("S124")
def test_functions_that_were_asked_for_are_asked_again():
    play = Play(workflow(put("s", {"n": "{{ double(2) }}"}), delegate("d", "{{ double(state.n) }}"), initial_state={"n": 0}))
    fork = play.done("d").fork("d", n=5)
    assert fork.state.actions["d"].params["instructions"] == 10
    fork.done("d").ended_properly()


@clause("S125")
def test_what_others_hold_begins_anew_and_is_held_by_nobody():
    play = beside(delegate("d", retry=Retry(attempts=3, backoff_ms=1, on=("failed",))), call("c"))
    play.claim("p.x/d").answer("p.x/d", fails="failed").pass_ms(10).claim("p.x/d").done("p.y/first")
    assert (play.state.actions["p.x/d"].attempt, play.state.actions["p.x/d"].holder) == (2, "me")
    fork = play.fork("p.y/point")
    action = fork.state.actions["p.x/d"]
    assert (action.status, action.attempt, action.holder, action.failures) == ("open", 1, None, 0)
    fork.done("p.y/point").done("p.x/d").done("p.x/c").ended_properly()


@clause("S125")
def test_keys_tokens_and_children_are_the_forks_own():
    child = workflow(delegate("x"), name="child")
    steps = [parallel("q", {"c": [call("c", key="{{ run.id }}-pay")], "r": [run("r", "it")]})]
    play = Play(
        workflow(parallel("p", {"x": steps, "f": [foreach("f", [0], do=[delegate("d")], agent="@a")], "y": [delegate("first"), delegate("point")]}),
                 children={"it": child})
    ).done("p.y/first")  # fmt: skip
    fork = play.fork("p.y/point")
    for each in (play, fork):
        run_id, seed = each.state.run_id, each.state.seed
        assert each.state.actions["p.x/q.c/c"].key == f"{run_id}-pay"
        assert each.state.actions["p.x/q.r/r"].params["run_id"] == child_run_id(run_id, "p.x/q.r/r")
        token = branch_token(seed, "p.f/f[0]")
        assert (each.state.frames["p.f/f[0]"].channel, each.state.actions["p.f/f[0]/d"].channel) == (token, token)
    assert sorted(fork.performs()) == ["p.x/q.c/c", "p.x/q.r/r"]


@clause("S125")
def test_an_outcome_that_nobody_knew_is_the_originals_affair():
    play = beside(call("c", read_back=[delegate("look")]))
    play.claim("p.x/c", by=Caller(kind="server", name="worker")).lost("p.x/c").done("p.y/first")
    assert play.open == ["p.x/c", "p.x/c.read_back/look", "p.y/point"]
    fork = play.fork("p.y/point")
    assert fork.open == ["p.x/c", "p.y/point"]
    assert fork.commands == [Perform(action="p.x/c", attempt=1, claim=True)]
    fork.done("p.x/c").done("p.y/point").ended_properly()


@clause("S126")
def test_an_approval_given_before_is_asked_for_again():
    play = Play(workflow(approve("gate"), call("deploy", requires="gate"))).decide("gate", True)
    assert play.open == ["deploy"]
    fork = play.fork("deploy")
    assert fork.open == ["deploy.requires"]
    assert "gate_reopened" in fork.kinds
    fork.decide("deploy.requires", True, by=BOB).done("deploy").ended_properly()
    assert fork.fork("deploy", run_id="run_3").open == ["deploy.requires"]


@clause("S126")
def test_an_approval_of_a_step_that_is_at_work_is_asked_for_again():
    play = beside(call("c", requires=By())).decide("p.x/c.requires", True).done("p.y/first")
    assert play.open == ["p.x/c", "p.y/point"]
    assert play.fork("p.y/point").open == ["p.x/c.requires", "p.y/point"]


@clause("S126")
def test_half_of_the_votes_of_a_gate_are_not_taken_over():
    play = beside(approve("gate", by=By(count=2))).decide("p.x/gate", True).done("p.y/first")
    fork = play.fork("p.y/point").done("p.y/point")
    assert fork.decide("p.x/gate", True).status == "running"
    assert fork.decide("p.x/gate", True, by=BOB).status == "completed"


@clause("S126")
def test_spent_budgets_stay_spent():
    play = Play(workflow(delegate("a"), delegate("b"), delegate("c"), budget={"calls": 3})).done("a").done("b").done("c").ended_properly()
    fork = play.fork("b")
    assert fork.state.spent[""].calls == 2
    fork.done("b").done("c").ended_properly()
    again = fork.fork("c", run_id="run_3")
    assert again.state.spent[""].calls == 3


@clause("S126")
def test_a_fork_takes_back_only_what_it_did_itself():
    steps = [delegate(name, undo=[delegate(f"un-{name}")]) for name in ("one", "two")]
    play = Play(workflow(*steps, delegate("last"))).done("one").done("two").claim("last")
    fork = play.fork("two").done("two").answer("last", fails="denied")
    assert fork.open == ["two.undo/un-two"]
    fork.done("two.undo/un-two").ended_properly()
    play.answer("last", fails="denied")
    assert play.done("two.undo/un-two").done("one.undo/un-one").ended_properly().state.undo_status == "done"


@clause("S127")
def test_as_much_time_is_left_as_there_was():
    play = Play(workflow(parallel("p", {"y": [delegate("first"), delegate("point")]}, within_ms=60_000), budget={"wall_ms": 90_000}))
    play.pass_ms(20_000).done("p.y/first").done("p.y/point").ended_properly()
    play.now_ms += DAY
    fork = play.fork("p.y/point")
    left = {name: due_ms - fork.now_ms for name, due_ms in fork.state.timers.items()}
    assert left == {"within:p": 40_000, "wall:": 70_000}
    assert fork.pass_ms(39_999).status == "running"
    assert fork.pass_ms(1).status == "failed"


@clause("S127")
def test_a_step_that_begins_anew_has_all_of_its_time():
    play = beside(wait("w", ms=60_000), delegate("d", within_ms=5_000))
    play.pass_ms(20_000).done("p.y/first")
    fork = play.fork("p.y/point")
    assert fork.state.timers == {"wait:p.x/w": fork.now_ms + 60_000}
    fork.pass_ms(60_000).done("p.y/point").done("p.x/d").ended_properly()


@clause("S128")
def test_what_is_set_is_seen_by_the_step():
    fork = done().fork("two", a="other")
    assert fork.state.actions["two"].params["instructions"] == "of other"
    assert fork.fields == {"a": "other", "b": None}


@clause("S128")
def test_in_an_item_the_state_of_its_task_is_set():
    own = task(delegate("d", "{{ state.n }}"), delegate("e", "{{ state.n }}"), initial_state={"n": 1})
    play = Play(workflow(foreach("each", [0, 1], task="t"), ret("end"), tasks={"t": own}, initial_state={"m": 0}))
    play.done("each[0]/d").done("each[1]/d").done("each[1]/e").done("each[0]/e").ended_properly()
    fork = play.fork("each[1]/e", n=7)
    assert fork.state.actions["each[1]/e"].params["instructions"] == 7
    assert fork.state.actions["each[0]/e"].params["instructions"] == 1
    assert play.fork("each[1]/e", m=7).refused == "no_such_state"


@clause("S128")
def test_a_state_that_is_not_there_or_does_not_fit_is_refused():
    play = Play(workflow(*STEPS, initial_state={"a": None, "b": ""}, state_schema={"b": {"type": "string"}})).done("one", "1").claim("two")
    refused = play.fork("two", c=1)
    assert (refused.refused, refused.log[-1:]) == ("no_such_state", play.log[1:2])
    refused = play.fork("two", b=1)
    assert (refused.refused, refused.log[-1:]) == ("invalid_state", play.log[1:2])
    assert play.fork("one", b=1).log == []


@clause("S128")
@pytest.mark.parametrize("path", ["one.undo/u", "finally/clean", "three.read_back/look"])
def test_what_tidies_up_is_no_place_to_begin(path):
    steps = [delegate("one", undo=[delegate("u")]), call("three", read_back=[delegate("look", "?")])]
    play = Play(workflow(*steps, final=[delegate("clean")])).done("one").claim("three", by=Caller(kind="server", name="w")).lost("three")
    play.done("three.read_back/look", None)
    play.cancel().cancel() if path == "one.undo/u" else play.cancel().claim("finally/clean")
    fork = play.fork(path)
    assert (fork.refused, fork.decision.changed) == ("no_fork_point", False)


def tree(play: Play, scope: str) -> Play:
    return play.answer(f"{scope}.worktree", {"path": f"/w/{play.state.run_id}/{scope}", "base": "b0", "ref": f"refs/{scope}"})


@clause("S125")
def test_a_step_with_a_worktree_gets_one_of_the_forks_own():
    play = tree(beside(delegate("d", isolation=True)), "p.x/d").done("p.y/first")
    assert play.state.actions["p.x/d"].working_dir == "/w/run_1/p.x/d"
    fork = play.fork("p.y/point")
    assert fork.open == ["p.x/d.worktree", "p.y/point"]
    assert tree(fork, "p.x/d").state.actions["p.x/d"].working_dir == "/w/run_2/p.x/d"
    assert play.fork("p.x/d").open == ["p.y/first", "p.x/d.worktree"]


@clause("S128")
def test_inside_or_beside_a_worktree_of_the_original_is_no_place_to_begin():
    play = Play(workflow(foreach("f", [0], do=[delegate("a"), delegate("b")], isolation=True)))
    tree(play, "f[0]").done("f[0]/a").claim("f[0]/b")
    fork = play.fork("f[0]/b")
    assert (fork.refused, "`f[0]`" in fork.decision.refusal.message) == ("in_worktree", True)
    assert play.fork("f").open == ["f[0].worktree"]


@clause("S125")
def test_what_was_being_stopped_is_gone_and_what_closes_has_closed():
    play = Play(workflow(parallel("p", {"x": [foreach("f", [0, 1], do=[delegate("a")], on_error="continue"), delegate("after")],
                                        "y": [delegate("first"), delegate("point")]})))  # fmt: skip
    play.claim("p.x/f[0]/a").answer("p.x/f[1]/a", fails="denied").done("p.y/first")
    assert play.state.actions["p.x/f[0]/a"].status == "stopping"
    fork = play.fork("p.y/point")
    assert sorted(fork.open) == ["p.x/after", "p.y/point"]
    fork.done("p.x/after").done("p.y/point").ended_properly()


@clause("S126")
def test_a_step_whose_finally_runs_in_the_fork_is_not_the_forks_to_take_back():
    steps = [delegate("d", undo=[delegate("u")], final=[delegate("clean"), delegate("point")])]
    play = Play(workflow(*steps, delegate("last"))).done("d").done("d.finally/clean")
    fork = play.fork("d.finally/point").done("d.finally/point").claim("last").answer("last", fails="denied")
    assert (fork.status, fork.state.undo_status) == ("failed", "")
    fork.ended_properly()
