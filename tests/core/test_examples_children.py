"""Clauses S119 to S123 as the core sees them: a child run is an action whose answer its performer brings."""

import pytest

from tests.core.build import call, delegate, foreach, parallel, prompt, ret, run, workflow
from tests.core.clauses import clause
from tests.core.play import ANNA, SERVER, Play
from treadle.core.definition import Retry
from treadle.core.events import RunStarted, Usage
from treadle.core.ids import child_of_attempt, child_run_id, is_child_run


@clause("S119")
def test_each_attempt_of_a_run_step_names_a_run_of_its_own_and_always_the_same():
    play = Play(workflow(run("r", "child", retry=Retry(attempts=3, backoff_ms=0)), prompt("p")))
    first = child_run_id(play.state.run_id, "r")
    assert play.state.actions["r"].params["run_id"] == first
    assert [action.child for action in play.view.actions] == [first]
    play.claim("r", by=SERVER).answer("r", fails="transient", by=SERVER).wake()
    assert [action.child for action in play.view.actions] == [child_of_attempt(first, 2)]
    assert child_of_attempt(first, 1) == first
    assert is_child_run(first)
    assert is_child_run(child_of_attempt(first, 2))
    assert not is_child_run("run_23456789abcd")


@clause("S104")
def test_a_child_that_only_reads_is_cached_whatever_it_is_called():
    again = foreach("f", [1, 2], do=[run("r", "child", {"n": 1}, effect="read", repeatable=False, cache=True)], sequential=True)
    play = Play(workflow(again, ret("e", "{{ steps.f.status }}"))).answer("f[0]/r", 5, by=SERVER)
    assert play.ended_properly().result == "completed"
    assert [note.path for note in play.every_note if note.kind == "cache_hit"] == ["f[1]/r"]


@clause("S120")
def test_the_class_of_a_childs_failure_is_kept_also_one_of_its_own():
    play = Play(workflow(run("r", "child"))).claim("r", by=SERVER).answer("r", fails="out_of_stock", by=SERVER)
    assert (play.status, play.state.failure.error_class) == ("failed", "out_of_stock")


@clause("S122")
def test_what_a_run_has_used_is_counted_with_and_without_a_budget():
    play = Play(workflow(run("r", "child"), delegate("a"), ret("e", 1)))
    play.claim("r", by=SERVER).answer("r", 1, by=SERVER, usage=Usage(calls=3, tokens=10, usd="0.5"))
    play.claim("a").answer("a", usage=Usage(tokens=5, usd="0.25"))
    assert play.state.spent == {}
    assert play.state.used == Usage(calls=4, tokens=15, usd="0.75")


def _child(**budget):
    return workflow(call("c", effect="read"), budget=budget or None)


@clause("S130")
def test_children_at_once_never_pass_a_bound_on_calls_together():
    children = {"small": _child(calls=3), "child": _child()}
    each = parallel("p", {"l": [run("a", "small")], "r": [run("b", "child")]})
    play = Play(workflow(each, call("c", effect="read"), budget={"calls": 10}, children=children))
    assert {name: action.reserved for name, action in play.state.actions.items()} == {"p.l/a": 3, "p.r/b": 7}
    assert play.state.spent[""].calls == 10
    play.claim("p.l/a", by=SERVER).answer("p.l/a", 1, by=SERVER, usage=Usage(calls=2))
    assert (play.state.spent[""].calls, play.state.used.calls) == (9, 2)
    play.claim("p.r/b", by=SERVER).answer("p.r/b", fails="failed", by=SERVER)  # it was never begun
    assert (play.state.spent[""].calls, play.state.used.calls) == (2, 2)


@clause("S130")
def test_beside_a_child_without_a_bound_nothing_is_left():
    beside = parallel("p", {"l": [run("a", "child")], "r": [delegate("b")]}, budget={"calls": 5})
    play = Play(workflow(beside, children={"child": _child()})).pass_ms(10_000)
    assert play.status == "failed"
    assert "5 calls, 5 of them set apart for child runs" in play.state.failure.message


@clause("S130")
def test_what_a_lost_child_may_have_made_stays_counted_and_its_next_attempt_has_the_rest():
    again = Retry(attempts=2, backoff_ms=0, on=("timeout",))
    play = Play(workflow(run("r", "small", retry=again, timeout_ms=500), budget={"calls": 5}, children={"small": _child(calls=3)}))
    play.claim("r", by=SERVER).pass_ms(500).wake()
    assert (play.state.spent[""].calls, play.state.actions["r"].reserved) == (5, 2)


@clause("S130")
def test_nothing_is_set_apart_where_nothing_bounds_calls_or_the_child_is_detached():
    detached = run("d", "small", detach=True)
    play = Play(workflow(foreach("f", [1], do=[run("r", "small")]), budget={"tokens": 5}, children={"small": _child(calls=3)}))
    assert (play.state.actions["f[0]/r"].reserved, play.state.spent[""].calls) == (0, 0)
    play = Play(workflow(detached, budget={"calls": 5}, children={"small": _child(calls=3)}))
    assert (play.state.actions["d"].reserved, play.state.spent[""].calls) == (0, 0)


@pytest.mark.parametrize("budget", [None, {"calls": 9}, {"calls": 9, "on_exceed": "ask"}, {"calls": 9, "on_exceed": "degrade"}])
@clause("S130")
def test_a_child_makes_no_more_calls_than_it_was_given_whatever_its_own_file_says(budget):
    play = Play(workflow(call("a", effect="read"), call("b", effect="read"), budget=budget), started=False)
    play.feed(RunStarted(at_ms=0, run_id="run_1", seed="seed", inputs={}, by=ANNA, calls_max=1))
    play.done("a")
    assert (play.status, play.state.failure.error_class, play.state.used.calls) == ("failed", "budget", 1)


@clause("S123")
def test_a_run_that_waits_for_a_child_is_waiting():
    play = Play(workflow(run("r", "child"), prompt("p"))).claim("r", by=SERVER)
    assert play.view.status == "waiting"
