"""Clauses S119 to S123 as the core sees them: a child run is an action whose answer its performer brings."""

from tests.core.build import delegate, prompt, ret, run, workflow
from tests.core.clauses import clause
from tests.core.play import SERVER, Play
from treadle.core.definition import Retry
from treadle.core.events import Usage
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


@clause("S123")
def test_a_run_that_waits_for_a_child_is_waiting():
    play = Play(workflow(run("r", "child"), prompt("p"))).claim("r", by=SERVER)
    assert play.view.status == "waiting"
