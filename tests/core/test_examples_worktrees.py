"""Worktrees and merges, clause by clause, as the core sees them: what is asked for, when, and what follows (ruling 29)."""

from tests.core.build import condition, delegate, foreach, merge, parallel, prompt, put, ret, shell, task, workflow
from tests.core.clauses import clause
from tests.core.play import SERVER, Play
from treadle.core.definition import Retry


def opened(play: Play, scope: str, **more) -> Play:
    return play.answer(f"{scope}.worktree", {"path": f"/w/{scope}", "base": "b0", "ref": f"refs/{scope}"} | more)


def kept(play: Play, scope: str, commit: str | None = "c1") -> Play:
    return play.answer(f"{scope}.worktree.commit", {"commit": commit, "files": ["f"], "file_count": 1})


@clause("S150")
def test_an_isolated_step_waits_for_its_worktree_and_works_in_it():
    play = Play(
        workflow(
            delegate("a", "In {{ worktree.path }}", isolation=True, output_to="x"),
            ret("r", "{{ steps.a.worktree }}"),
            initial_state={"x": 0},
        )
    )
    assert play.open == ["a.worktree"]
    asked = play.state.actions["a.worktree"]
    assert (asked.kind, asked.performer, asked.effect, asked.params) == ("worktree", "server", "none", {"scope": "a"})
    opened(play, "a")
    action = play.state.actions["a"]
    assert (action.params["instructions"], action.working_dir) == ("In /w/a", "/w/a")
    play.done("a", "done")
    assert play.open == ["a.worktree.commit"]
    assert play.state.actions["a.worktree.commit"].working_dir == "/w/a"
    kept(play, "a")
    assert play.status == "completed"
    assert play.state.result == {"path": "/w/a", "base": "b0", "ref": "refs/a", "commit": "c1", "files": ["f"], "file_count": 1}
    play.ended_properly()


@clause("S150")
def test_each_item_has_one_and_what_stands_in_it_works_there():
    do = [shell("s", "{{ worktree.path }}", effect="read"), condition("if", "{{ true }}", then=[prompt("p")])]
    play = Play(
        workflow(foreach("f", [1, 2], do=do, isolation=True, output="{{ item }}"), ret("r", "{{ [steps.f.result, steps.f.worktree] }}"))
    )
    assert play.open == ["f[0].worktree", "f[1].worktree"]
    opened(play, "f[1]")
    assert play.open == ["f[0].worktree", "f[1]/s"]
    play.done("f[1]/s", {})
    assert play.state.actions["f[1]/if.then/p"].working_dir == "/w/f[1]"
    play.done("f[1]/if.then/p", "x")
    assert play.open == ["f[0].worktree", "f[1].worktree.commit"]
    kept(play, "f[1]", "c2")
    opened(play, "f[0]").done("f[0]/s", {}).done("f[0]/if.then/p", "x")
    kept(play, "f[0]", None)
    results, trees = play.state.result
    assert results == [1, 2]
    assert [tree["commit"] for tree in trees] == [None, "c2"]
    play.ended_properly()


@clause("S150")
def test_each_branch_has_one_and_a_task_too():
    play = Play(
        workflow(
            parallel("p", {"l": [prompt("a")], "r": [prompt("b")]}, isolation=True),
            ret("r", "{{ steps.p.worktree | items | map('first') }}"),
        )
    )
    for name in ("l", "r"):
        opened(play, f"p.{name}").done(f"p.{name}/{'a' if name == 'l' else 'b'}", "x")
        kept(play, f"p.{name}")
    assert play.state.result == ["l", "r"]
    work = task(prompt("a", "{{ inputs.dir }}"), inputs={"dir": {"required": True}})
    play = Play(workflow(foreach("f", [1], task="t", inputs={"dir": "{{ worktree.path }}"}, isolation=True), tasks={"t": work}))
    opened(play, "f[0]")
    assert play.state.actions["f[0]/a"].params["message"] == "/w/f[0]"
    kept(play.done("f[0]/a", "x"), "f[0]").ended_properly()


@clause("S150")
def test_the_nearest_worktree_counts_and_a_new_one_begins_in_the_one_around_it():
    play = Play(workflow(foreach("f", [1], do=[prompt("a"), prompt("b", isolation=True)], isolation=True)))
    opened(play, "f[0]").done("f[0]/a", "x")
    assert play.state.actions["f[0]/b.worktree"].working_dir == "/w/f[0]"
    opened(play, "f[0]/b")
    assert play.state.actions["f[0]/b"].working_dir == "/w/f[0]/b"
    kept(play.done("f[0]/b", "x"), "f[0]/b")
    kept(play, "f[0]").ended_properly()


@clause("S151")
def test_a_skipped_step_has_none_and_neither_has_what_is_not_isolated():
    play = Play(workflow(prompt("a", isolation=True, when="{{ false }}"), prompt("b")))
    assert play.open == ["b"]
    assert play.state.actions["b"].working_dir == ""


@clause("S152")
def test_a_list_ends_when_its_work_is_kept_and_what_failed_is_not_kept_by_it():
    play = Play(workflow(foreach("f", [1, 2], do=[delegate("a")], isolation=True, on_item_error="collect"), merge("m", "f")))
    opened(play, "f[0]")
    opened(play, "f[1]").answer("f[1]/a", fails="failed")
    assert play.open == ["f[0]/a"]
    kept(play.done("f[0]/a", "x"), "f[0]")
    params = play.state.actions["m"].params
    assert [tree and tree["commit"] for tree in params["worktrees"]] == ["c1", None]
    assert (params["from"], params["strategy"]) == ("f", "merge")
    play.claim("m", by=SERVER).answer("m", {"merged": [], "conflicts": []})
    assert play.status == "completed_degraded"


@clause("S152")
def test_a_step_whose_work_cannot_be_kept_has_failed_and_is_taken_back():
    play = Play(workflow(delegate("a", isolation=True, undo=[prompt("u")], on_error="continue"), prompt("b")))
    opened(play, "a").done("a", "x").answer("a.worktree.commit", fails="failed")
    assert play.open == ["a.undo/u"]
    play.done("a.undo/u", "x")
    assert (play.status, play.state.undo_status) == ("failed", "done")


@clause("S154")
def test_a_worktree_that_cannot_be_made_fails_what_asked_for_it():
    play = Play(workflow(delegate("a", isolation=True, fallback="no git"), ret("r", "{{ steps.a.result }}")))
    play.answer("a.worktree", fails="failed")
    assert (play.status, play.state.result) == ("completed_degraded", "no git")
    play = Play(
        workflow(foreach("f", [1, 2], do=[prompt("a")], isolation=True, on_item_error="collect"), ret("r", "{{ steps.f.errors | length }}"))
    )
    play.answer("f[0].worktree", fails="failed")
    kept(opened(play, "f[1]").done("f[1]/a", "x"), "f[1]")
    assert play.state.result == 1


@clause("S150")
def test_attempts_share_the_worktree_and_a_second_visit_has_its_own():
    play = Play(workflow(delegate("a", isolation=True, retry=Retry(attempts=2, on=("failed",), backoff_ms=0))))
    opened(play, "a").answer("a", fails="failed").pass_ms(1)
    assert (play.open, play.state.actions["a"].working_dir) == (["a"], "/w/a")


@clause("S153")
def test_what_is_cancelled_is_left_to_whoever_clears_up():
    play = Play(workflow(foreach("f", [1, 2], do=[prompt("a")], isolation=True)))
    opened(play, "f[0]")
    play.cancel()
    assert play.open == ["f[1].worktree"]  # it is asked to stop
    play.lost("f[1].worktree")
    assert play.status == "cancelled"
    play.ended_properly()


@clause("S154")
def test_who_makes_worktrees_may_be_lost_so_often():
    play = Play(workflow(prompt("a", isolation=True)))
    for attempt in (1, 2, 3):
        play.lost("a.worktree", attempt)
    assert (play.status, play.state.failure.error_class) == ("failed", "performer_lost")
    play = Play(workflow(delegate("a", verify=[{"shell": "make"}])))
    play.claim("a").answer("a", "x")
    for attempt in (1, 2, 3):
        play.lost("a.verify", attempt)
    assert (play.status, play.state.failure.error_class) == ("failed", "performer_lost")


@clause("S156")
def test_a_merge_is_an_action_of_effect_write_that_may_be_done_again():
    play = Play(workflow(prompt("a", isolation=True), merge("m", "a", strategy="theirs")))
    kept(opened(play, "a").done("a", "x"), "a")
    play.claim("m", by=SERVER).lost("m")
    action = play.state.actions["m"]
    assert (action.status, action.attempt, action.redo, action.effect) == ("open", 2, True, "write")
    assert (action.params["strategy"], action.params["worktrees"]["commit"]) == ("theirs", "c1")


@clause("S156")
def test_what_was_skipped_has_nothing_to_merge_and_what_was_not_reached_fails_the_merge():
    play = Play(workflow(prompt("a", isolation=True, when="{{ false }}"), merge("m", "a")))
    assert play.state.actions["m"].params["worktrees"] is None
    late = condition("if", "{{ false }}", then=[prompt("a", isolation=True)])
    play = Play(workflow(late, merge("m", "a"), put("never", {})))
    assert play.status == "failed"
    assert "`a` has not been done here" in play.state.failure.message


def test_a_run_that_is_set_aside_asks_when_it_is_resumed():
    play = Play(workflow(prompt("first"), prompt("a", isolation=True)))
    play.park()
    assert play.unpark().done("first", "x").open == ["a.worktree"]
