"""docs/semantics.md, S30 to S40: what each type of step does."""

import pytest

from tests.core.build import approve, call, condition, delegate, foreach, prompt, put, ret, task, workflow
from tests.core.clauses import clause
from tests.core.play import ME, OTHER, SERVER, Play
from treadle.core import limits
from treadle.core.commands import CloseRun, StopAction
from treadle.core.errors import RequestError
from treadle.core.ids import branch_token


@clause("S30")
def test_steps_are_done_in_order_and_those_that_wait_for_nobody_at_once():
    play = Play(
        workflow(
            prompt("one"), put("a", {"n": "{{ state.n + 1 }}"}), condition("b", "{{ true }}", then=[put("c", {"n": "{{ state.n * 10 }}"})]),
            delegate("two"), put("d", {"n": "{{ state.n + 5 }}"}), initial_state={"n": 0}, output="{{ state.n }}",
        )
    )  # fmt: skip
    assert play.open == ["one"]
    play.done("one", "x")
    assert (play.open, play.fields["n"]) == (["two"], 10)
    assert [n.path for n in play.notes if n.kind == "step_completed"] == ["one", "a", "b.then/c", "b"]
    play.done("two")
    assert (play.status, play.result) == ("completed", 15)
    play.ended_properly()


@clause("S31")
@pytest.mark.parametrize("kind", [prompt, approve, delegate, call, put, ret])
def test_a_skipped_step_says_so_and_writes_nothing(kind):
    play = Play(
        workflow(
            kind("s", when="{{ state.a == 2 }}", **({"output_to": "a"} if kind not in {put, ret} else {})),
            ret("r", "{{ [steps.s.status, steps.s.result, state.a] }}"), initial_state={"a": 1},
        )
    )  # fmt: skip
    assert (play.status, play.result) == ("completed", ["skipped", None, 1])
    play.ended_properly()


def test_behaviour_17_a_false_when_skips_and_leaves_the_output_alone():
    play = Play(workflow(prompt("p", when="{{ false }}", output_to="a"), prompt("q"), initial_state={"a": "kept"}))
    assert (play.open, play.fields["a"]) == (["q"], "kept")
    assert play.view.steps[0].status == "skipped"


@clause("S31")
def test_a_block_is_skipped_with_all_that_is_in_it():
    steps = (
        condition("c", "{{ 1 / 0 }}", then=[prompt("p")], when="{{ false }}"),
        foreach("f", "{{ nothing }}", do=[prompt("q")], when="{{ false }}"),
    )
    assert Play(workflow(*steps)).ended_properly().status == "completed"


@clause("S32")
def test_updates_are_written_in_order_all_or_none():
    good = put("s", {"a": "{{ state.a + twice }}", "b": "{{ state.a * 2 }}"}, let={"once": 1, "twice": "{{ once * 2 }}"})
    bad = put("t", {"a": 100, "b": "{{ state.nothing }}"}, on_error="continue")
    play = Play(workflow(good, bad, prompt("p"), initial_state={"a": 1, "b": 0}))
    assert play.fields == {"a": 3, "b": 6}
    assert play.view.steps[1].status == "failed"


def test_behaviour_15_an_update_that_fails_leaves_the_others_unwritten():
    play = Play(workflow(put("s", {"a": 2, "b": "{{ 1 // 0 }}"}), initial_state={"a": 1, "b": 1}))
    assert (play.status, play.fields) == ("failed", {"a": 1, "b": 1})


def test_behaviour_16_a_later_update_sees_an_earlier_one():
    assert Play(workflow(put("s", {"a": 2, "b": "{{ state.a + 1 }}"}), initial_state={"a": 1, "b": 1})).fields == {
        "a": 2,
        "b": 3,
    }


@clause("S33")
def test_a_condition_carries_out_one_list():
    for value, path, branch in ((True, "c.then/yes", "then"), (0, "c.else/no", "else")):
        play = Play(
            workflow(condition("c", "{{ inputs.v }}", then=[prompt("yes")], otherwise=[prompt("no")]), inputs={"v": {}}),
            v=value,
        )
        assert play.open == [path]
        (chosen,) = [note.data["branch"] for note in play.notes if note.kind == "branch_chosen"]
        assert chosen == branch
        play.done(path, "x").ended_properly()
    assert Play(workflow(condition("c", "{{ false }}", then=[prompt("yes")]))).ended_properly().status == "completed"


@clause("S33")
def test_a_text_is_no_condition():
    play = Play(workflow(condition("c", "{{ inputs.v }}", then=[prompt("yes")]), inputs={"v": {}}), v="false")
    assert (play.status, play.state.failure.error_class) == ("failed", "expression")


def test_behaviour_23_of_nested_conditions_only_the_chosen_path_runs():
    inner = condition("in", "{{ state.n > 1 }}", then=[put("big", {"n": 100})], otherwise=[put("small", {"n": 0})])
    play = Play(workflow(condition("out", "{{ true }}", then=[inner], otherwise=[put("never", {"n": -1})]), initial_state={"n": 5}))
    assert play.fields["n"] == 100
    opened = [note.path for note in play.every_note if note.kind == "step_opened"]
    assert opened == ["out", "out.then/in", "out.then/in.then/big"]


@clause("S34")
def test_no_more_rounds_are_open_than_allowed():
    play = Play(workflow(foreach("each", list(range(7)), do=[delegate("d")], max_parallel=3)))
    opened = [list(play.open)]
    for index in (1, 0, 3, 2, 4, 5, 6):
        play.done(f"each[{index}]/d")
        opened.append(list(play.open))
    assert max(map(len, opened)) == 3
    assert opened[1] == ["each[0]/d", "each[2]/d", "each[3]/d"]
    play.ended_properly()


def test_behaviour_24_a_hundred_items_ten_at_a_time_in_item_order():
    child = task(
        delegate("d", "{{ inputs.n }}", output_to="z"),
        inputs={"n": {"required": True}},
        initial_state={"z": None},
        output="{{ state.z }}",
    )
    play = Play(
        workflow(
            foreach("each", list(range(100)), task="t", output_to="all"),
            initial_state={"all": None},
            output="{{ state.all }}",
            tasks={"t": child},
        )
    )
    while not play.state.ended:
        assert len(play.open) <= 10
        path = play.open[-1]
        play.done(path, play.state.actions[path].params["instructions"])
    assert play.result == list(range(100))


def test_behaviour_25_sequential_rounds_begin_one_after_the_other():
    play = Play(workflow(foreach("each", [0, 1, 2], do=[delegate("a"), delegate("b")], sequential=True)))
    seen = []
    while not play.state.ended:
        assert len(play.open) == 1
        seen += play.open
        play.done(play.open[0])
    assert seen == [f"each[{index}]/{name}" for index in range(3) for name in "ab"]


@clause("S35")
def test_a_foreach_over_nothing_over_no_list_and_over_too_much():
    def run(items, **more):
        return Play(
            workflow(
                foreach("each", items, do=[prompt("p")], output_to="all", **more),
                initial_state={"all": 1},
                output="{{ state.all }}",
            )
        )

    play = run([])
    assert (play.status, play.result) == ("completed", [])
    for items, error_class in (
        ("{{ 'abc' }}", "expression"),
        ("{{ none }}", "expression"),
        ({"a": 1}, "expression"),
        ([1, 2, 3], "failed"),
    ):
        play = run(items, items_max=2)
        assert (play.status, play.state.failure.error_class) == ("failed", error_class)


def test_behaviour_26_an_empty_list_opens_nothing_and_what_is_no_list_is_an_error():
    empty = Play(workflow(foreach("each", [], do=[prompt("p")])))
    assert (empty.status, [note.path for note in empty.every_note if note.kind == "item_opened"]) == ("completed", [])
    assert Play(workflow(foreach("each", "{{ 3 }}", do=[prompt("p")]))).status == "failed"


@clause("S36", "S68")
def test_the_first_failure_cancels_the_other_rounds_and_fails_the_foreach():
    play = Play(workflow(foreach("each", ["a", "b", "c", "d"], do=[delegate("d")], max_parallel=3), prompt("never")))
    play.claim("each[0]/d").claim("each[2]/d", by=OTHER)
    play.answer("each[1]/d", fails="denied")
    assert play.commands == [StopAction(action="each[2]/d", attempt=1), StopAction(action="each[0]/d", attempt=1)]
    assert {a.id: a.status for a in play.state.actions.values()} == {"each[2]/d": "stopping", "each[0]/d": "stopping"}
    assert play.status == "running"
    play.answer("each[0]/d", "late", by=ME)
    assert (play.refused, play.status) == ("stopped", "running")
    play.answer("each[2]/d", fails="failed", by=OTHER)
    assert play.status == "failed"
    failure = play.state.failure
    assert (failure.error_class, failure.message) == ("denied", "item 1 of `each` failed: it is denied")
    assert play.commands == [CloseRun(status="failed")]
    play.ended_properly()


def test_behaviour_27_one_failing_child_among_others():
    def run(policy):
        steps = (
            foreach("each", [0, 1, 2], do=[delegate("d")], output="{{ item }}", on_item_error=policy, output_to="all"),
            ret("r", "{{ state.all }}"),
        )
        play = Play(workflow(*steps, initial_state={"all": None}))
        play.answer("each[1]/d", fails="failed")
        return play

    collect = run("collect")
    assert collect.open == ["each[0]/d", "each[2]/d"]
    assert collect.done("each[0]/d").done("each[2]/d").result == [0, None, 2]
    assert collect.status == "completed_degraded"
    fast = run("fail")
    assert (fast.open, fast.status) == ([], "failed")


@clause("S36", "S55")
def test_a_round_that_fails_while_the_foreach_is_closing_changes_nothing_more():
    play = Play(
        workflow(
            foreach("each", [0, 1], do=[delegate("d", within_ms=3_000)], within_ms=5_000, on_error="continue"),
            prompt("after"),
        )
    )
    play.claim("each[0]/d").answer("each[1]/d", fails="denied")
    play.pass_ms(6_000)
    assert play.open == ["each[0]/d"]
    play.pass_ms(4_000)
    assert play.open == ["after"]
    (failed,) = [note.data["error_class"] for note in play.every_note if note.kind == "step_failed" and note.path == "each"]
    assert failed == "denied"


@clause("S37")
def test_open_rounds_are_limited_for_the_whole_run(monkeypatch):
    monkeypatch.setattr(limits, "OPEN_ITEMS_MAX", 8)
    inner = foreach("in", list(range(5)), do=[delegate("d")], max_parallel=5)
    play = Play(workflow(foreach("out", list(range(6)), do=[inner], max_parallel=6)))
    # The first inner loop fills what is left of eight; the five others have the one that each always has.
    assert len([f for f in play.state.frames.values() if f.index is not None]) == 8 + 5
    while not play.state.ended:
        assert len([f for f in play.state.frames.values() if f.index is not None]) <= 13
        play.done(play.open[-1])
    play.ended_properly()


@clause("S38", "S68")
def test_return_ends_what_holds_it_and_cancels_what_is_open_there():
    rounds = [condition("if", "{{ item == 1 }}", then=[delegate("quick"), ret("r", "{{ item }}")], otherwise=[delegate("slow")])]
    play = Play(workflow(foreach("each", [0, 1, 2], do=rounds), prompt("never")))
    play.claim("each[2]/if.else/slow").done("each[1]/if.then/quick")
    assert play.commands == [StopAction(action="each[2]/if.else/slow", attempt=1)]
    assert {a.id: a.status for a in play.state.actions.values()} == {"each[2]/if.else/slow": "stopping"}
    play.pass_ms(10_000)
    assert (play.status, play.result) == ("completed", 1)
    play.ended_properly()


@clause("S38")
def test_return_in_a_task_ends_the_task_alone():
    child = task(
        condition("if", "{{ inputs.n == 1 }}", then=[ret("r", "early")]),
        delegate("d"),
        inputs={"n": {"required": True}},
        output="late",
    )
    play = Play(
        workflow(
            foreach("each", [0, 1], task="t", output_to="all"),
            initial_state={"all": None},
            output="{{ state.all }}",
            tasks={"t": child},
        )
    )
    assert play.open == ["each[0]/d"]
    assert play.done("each[0]/d").result == ["late", "early"]


def test_behaviour_33_return_in_a_nested_branch_ends_the_run_at_once():
    nested = condition("a", "{{ true }}", then=[condition("b", "{{ true }}", then=[ret("r", {"v": 7}), prompt("never")])])
    play = Play(workflow(nested, prompt("never-either")))
    assert (play.status, play.result) == ("completed", {"v": 7})
    assert [step.status for step in play.view.steps] == ["completed", "pending"]


@clause("S39")
def test_without_return_the_value_is_the_output_else_null():
    assert Play(workflow(put("s", {"a": 1}), initial_state={"a": 0}, output={"a": "{{ state.a }}", "b": 2})).result == {
        "a": 1,
        "b": 2,
    }
    assert Play(workflow(put("s", {"a": 1}), initial_state={"a": 0})).result is None
    for output, expected in (
        (..., [None, None]),
        ("{{ [loop.index, item, steps.s.status] }}", [[1, "x", "completed"], [2, "y", "completed"]]),
    ):
        play = Play(
            workflow(
                foreach("each", ["x", "y"], do=[put("s", {})], output=output, output_to="all"),
                initial_state={"all": 0},
                output="{{ state.all }}",
            )
        )
        assert play.result == expected


@clause("S39")
def test_an_output_that_fails_fails_its_round_or_run():
    play = Play(
        workflow(
            foreach("each", [1, 0], do=[], output="{{ 1 // item }}", on_item_error="collect", output_to="all"),
            initial_state={"all": 0},
            output="{{ state.all }}",
        )
    )
    assert (play.status, play.result) == ("completed_degraded", [1, None])
    assert Play(workflow(output="{{ 1 // 0 }}")).status == "failed"


@clause("S40")
def test_every_round_of_a_foreach_with_an_agent_is_a_branch_of_its_own():
    child = task(delegate("d"), call("c", effect="read"), delegate("e"), inputs={"it": {"required": True}})
    play = Play(
        workflow(
            foreach("each", ["a", "b"], task="t", agent="@task"),
            foreach("plain", [1], do=[delegate("f")]),
            tasks={"t": child},
        )
    )
    tokens = [branch_token("seed", f"each[{index}]") for index in range(2)]
    assert [a.channel for a in play.state.actions.values()] == tokens
    assert len(set(tokens)) == 2
    assert play.claim().claimed is None
    assert play.claim(channel=tokens[1]).claimed == "each[1]/d"
    play.answer("each[1]/d", by=ME).answer("each[1]/c", by=SERVER)
    assert play.claim("each[1]/e", channel=tokens[0]).refused == "foreign"
    assert play.claim(channel=tokens[1]).claimed == "each[1]/e"
    for path in ("each[1]/e", "each[0]/d", "each[0]/c", "each[0]/e"):
        play.done(path)
    assert play.state.actions["plain[0]/f"].channel == ""


def test_behaviour_29_each_child_of_a_foreach_is_shown_with_its_id_and_item_and_no_parent_state():
    play = Play(
        workflow(
            foreach("each", [{"k": 1}, {"k": 2}], task="t", agent="@task", inputs={"it": "{{ item.k }}"}), initial_state={"secret": "s"},
            tasks={"t": task(delegate("d", "Do {{ inputs.it }}"), inputs={"it": {"required": True}})},
        )
    )  # fmt: skip
    branches = play.view.branches
    assert [(b.path, b.agent, b.foreach, b.index, b.item) for b in branches] == [
        ("each[0]", "@task", "each", 0, {"it": 1}), ("each[1]", "@task", "each", 1, {"it": 2}),
    ]  # fmt: skip
    assert [b.token for b in branches] == [a.channel for a in play.state.actions.values()]
    assert "secret" not in str([b.item for b in branches])


def test_behaviour_34_a_delegate_without_an_agent_is_offered_on_the_main_channel():
    play = Play(workflow(delegate("d", "Do it")))
    assert play.claim().claimed == "d"
    assert "agent" not in play.state.actions["d"].params


def test_nested_loops_see_their_own_item_and_named_ones_of_both():
    inner = foreach("in", [10, 20], do=[put("s", {})], item_name="small", output="{{ [item, small, big, loop.index0] }}")
    play = Play(
        workflow(
            foreach("out", [1], do=[inner], item_name="big", output="{{ steps.in.result }}", output_to="all"),
            initial_state={"all": 0}, output="{{ state.all }}",
        )
    )  # fmt: skip
    assert play.result == [[[10, 10, 1, 0], [20, 20, 1, 1]]]


@clause("S72")
def test_a_definition_whose_tasks_go_round_or_unfold_without_end_is_refused():
    child = task(foreach("f", [1], task="t"), inputs={"it": {"required": True}})
    with pytest.raises(RequestError) as circle:
        workflow(foreach("f", [1], task="t"), tasks={"t": child})
    twice = {
        f"t{n}": task(*(foreach(f"f{m}", [1], task=f"t{n + 1}") for m in range(2)), inputs={"it": {"required": True}}) for n in range(20)
    }
    with pytest.raises(RequestError) as tree:
        workflow(foreach("f", [1], task="t0"), tasks={**twice, "t20": task(put("s", {}), inputs={"it": {"required": True}})})
    assert {circle.value.code, tree.value.code} == {"definition_too_large"}
