"""Examples of proof, cache, budgets and reading back."""

from tests.core import play as world
from tests.core.build import call, delegate, foreach, function, ret, task, workflow
from tests.core.clauses import clause
from tests.core.play import ME, SERVER, Play
from treadle.core.definition import Cache
from treadle.core.events import Usage


@clause("S102")
def test_an_answer_that_an_expression_refutes_is_refused_and_uses_up_a_repair():
    play = Play(workflow(delegate("d", verify=[{"expression": "{{ result > 2 }}"}], repair=1), ret("r", "{{ steps.d.result }}")))
    play.claim("d").answer("d", 1)
    assert play.refused == "bad_output"
    assert (play.state.actions["d"].attempt, play.state.actions["d"].holder) == (2, "me")
    assert play.answer("d", 3).ended_properly().result == 3
    play = Play(workflow(delegate("d", verify=[{"expression": "{{ result > 2 }}"}], repair=0)))
    assert play.claim("d").answer("d", 1).ended_properly().state.failure.error_class == "bad_output"


@clause("S102")
def test_an_expression_of_a_proof_may_call_functions_and_a_schema_is_checked_too():
    play = Play(workflow(delegate("d", verify=[{"schema": {"type": "integer"}}, {"expression": "{{ double(result) == 4 }}"}]), ret("r", 1)))
    assert play.claim("d").answer("d", "x").refused == "bad_output"
    assert play.answer("d", 3).refused == "bad_output"
    assert play.answer("d", 2).ended_properly().result == 1


@clause("S102")
def test_an_expression_that_does_not_hold_may_say_what_is_missing():
    rest = "{{ inputs.wanted | reject('in', result) }}"
    check = {"expression": f"{rest[:-3]} | length == 0 }}}}", "message": f"there is no {rest[:-3]} | join(', ') }}}}"}
    play = Play(workflow(delegate("d", verify=[check]), ret("r", 1), inputs={"wanted": {}}), wanted=["a", "b"]).claim("d")
    assert play.answer("d", ["x"]).refused == "bad_output"
    assert play.state.actions["d"].problem.message == "there is no a, b"
    assert play.answer("d", ["a", "b"]).ended_properly().result == 1
    broken = {"expression": "{{ false }}", "message": "{{ 1 / 0 }}"}
    play = Play(workflow(delegate("d", verify=[broken]), ret("r", 1))).claim("d").answer("d", 1).ended_properly()
    assert play.state.failure.error_class == "expression"


PROOF = [{"shell": "make {{ result }}"}, {"files": [{"path": "out.txt", "changed": True}]}]


@clause("S103")
def test_what_the_world_must_show_is_looked_at_before_the_answer_counts():
    world.FILES["out.txt"] = "abc"
    play = Play(workflow(delegate("d", verify=PROOF), ret("r", "{{ steps.d.result }}")))
    assert play.state.actions["d"].params["files_before"] == {"out.txt": "abc"}
    play.claim("d").answer("d", "test")
    assert (play.open, play.performs(), play.state.actions["d"].status) == (["d", "d.verify"], ["d.verify"], "verifying")
    assert play.state.actions["d.verify"].params["checks"][0] == {"shell": "make test"}
    assert play.answer("d", "test", by=ME).refused == "verifying"
    play.answer("d.verify", [{"ok": True}, {"ok": False, "message": "out.txt has not changed"}], by=SERVER)
    assert play.state.actions["d"].problem.message == "out.txt has not changed"
    assert (play.state.actions["d"].status, play.state.actions["d"].attempt) == ("claimed", 2)
    play.answer("d", "test", attempt=2).answer("d.verify", [{"ok": True}, {"ok": True}], by=SERVER)
    assert play.ended_properly().result == "test"


@clause("S103")
def test_what_treadle_performed_and_cannot_be_proven_has_failed():
    play = Play(workflow(call("c", effect="read", verify=[{"shell": "false"}], retry=2)))
    play.answer("c", 1).answer("c.verify", [{"ok": False, "message": "exit 1"}], by=SERVER)
    assert play.state.actions["c"].status == "backoff"
    play.pass_ms(60_000).answer("c", 1).answer("c.verify", [{"ok": True}], by=SERVER)
    assert play.ended_properly().status == "completed"


@clause("S103")
def test_cancelling_while_an_answer_is_proven():
    play = Play(workflow(delegate("d", verify=[{"shell": "make"}]))).claim("d").answer("d", 1).cancel()
    assert play.pass_ms(10_000).ended_properly().status == "cancelled"


@clause("S104")
def test_the_same_work_is_done_once():
    world.CACHE.clear()
    steps = workflow(
        call("c", "srv.look", {"q": "{{ inputs.q }}"}, effect="read", cache=Cache(ttl_ms=5)),
        ret("r", "{{ steps.c.result }}"),
        inputs={"q": {}},
    )
    assert Play(steps, q=1).answer("c", "one").ended_properly().result == "one"
    play = Play(steps, q=1)
    assert "cache_hit" in play.kinds
    assert play.ended_properly().result == "one"
    assert Play(steps, q=2).open == ["c"]


@clause("S105")
def test_calls_are_counted_before_they_are_dispatched_and_the_owner_fails():
    play = Play(
        workflow(
            foreach("f", [1, 2, 3], do=[call("c", effect="read")], sequential=True, budget={"calls": 2}, on_error="continue"),
            ret("r", "{{ steps.f.error.class }}"),
        )
    )
    play.answer("f[0]/c").answer("f[1]/c")
    assert play.ended_properly().result == "budget"


@clause("S105")
def test_nothing_below_the_owner_catches_a_spent_budget():
    body = [call("c", effect="read", on_error="continue", retry=9)]
    play = Play(workflow(foreach("f", [1, 2], do=body, sequential=True, on_item_error="collect"), budget={"calls": 1}))
    play.answer("f[0]/c", fails="transient").pass_ms(100_000)
    assert play.ended_properly().state.failure.error_class == "budget"


@clause("S105")
def test_tokens_and_money_are_counted_as_reported_and_stop_the_next_attempt():
    play = Play(workflow(delegate("a"), delegate("b"), budget={"tokens": 100, "usd": "0.30"}))
    play.claim("a").answer("a", usage=Usage(tokens=40, usd="0.10")).claim("b").answer(
        "b", fails="denied", usage=Usage(tokens=1, usd="0.20")
    )
    assert play.state.spent[""].usd == "0.30"
    play = Play(workflow(delegate("a"), delegate("b"), budget={"usd": "0.30"}))
    play.claim("a").answer("a", usage=Usage(usd="0.31"))
    assert play.ended_properly().state.failure.error_class == "budget"


@clause("S105")
def test_a_budget_of_time_stops_its_owner():
    play = Play(workflow(delegate("d", budget={"wall_ms": 100}, on_error="continue"), ret("r", 1))).claim("d").pass_ms(100)
    assert play.lost("d").ended_properly().result == 1


@clause("S106")
def test_a_budget_may_ask_and_is_granted_again_by_resuming():
    play = Play(workflow(foreach("f", [1, 2, 3], do=[call("c", effect="read")], sequential=True), budget={"calls": 1, "on_exceed": "ask"}))
    play.answer("f[0]/c")
    assert (play.view.status, play.performs()) == ("parked", [])
    assert "budget of the run is spent: 1 calls" in play.view.parked
    refused = play.unpark(by=ME)
    assert (refused.refused, play.view.status) == ("needs_person", "parked")
    play.unpark()
    assert play.performs() == ["f[1]/c"]
    play.answer("f[1]/c").unpark().answer("f[2]/c")
    assert play.ended_properly().status == "completed"
    assert play.state.spent[""].calls == 3


@clause("S106")
def test_a_budget_may_let_its_owner_end_with_what_it_has():
    fields = {"sequential": True, "budget": {"calls": 1, "on_exceed": "degrade"}, "output": "{{ item }}"}
    play = Play(workflow(foreach("f", [1, 2], do=[call("c", effect="read")], **fields), ret("r", "{{ steps.f.result }}")))
    assert play.answer("f[0]/c").ended_properly().result == [1, None]
    assert play.status == "completed_degraded"


@clause("S105")
def test_a_tasks_budget_is_each_rounds_own():
    inner = task(call("a", effect="read"), call("b", effect="read"), inputs={"it": {}}, budget={"calls": 1})
    play = Play(workflow(foreach("f", [1, 2], task="t", on_item_error="collect"), ret("r", 1), tasks={"t": inner}))
    play.answer("f[0]/a").answer("f[1]/a")
    assert play.ended_properly().status == "completed_degraded"


@clause("S105")
def test_a_spent_budget_lets_finally_do_its_work():
    play = Play(workflow(call("a", effect="read"), call("b", effect="read"), budget={"calls": 1}, final=[call("tidy", effect="read")]))
    play.answer("a").answer("finally/tidy")
    assert play.ended_properly().state.failure.error_class == "budget"


@clause("S107")
def test_reading_back_settles_an_outcome_that_nobody_knows():
    def make(value):
        return (
            Play(workflow(call("c", read_back=[call("look", effect="read")]), ret("r", "{{ steps.c.result }}")))
            .claim("c", by=SERVER)
            .lost("c")
        )

    play = make(1)
    assert play.open == ["c", "c.read_back/look"]
    assert [action.waits_for for action in play.view.actions] == ["server", "server"]
    assert play.resolve("c", "done").refused == "reading_back"
    assert play.answer("c.read_back/look", {"id": 5}).ended_properly().result == {"id": 5}
    play = make(None)
    play.answer("c.read_back/look", None)
    assert (play.performs(), play.state.actions["c"].attempt) == (["c"], 2)
    play = make(None)
    play.answer("c.read_back/look", fails="unavailable")
    assert (play.open, play.state.actions["c"].status) == (["c"], "unknown")
    assert play.resolve("c", "done", 7).ended_properly().result == 7


@clause("S108")
def test_what_carries_a_key_may_be_sent_again():
    play = Play(workflow(call("c", key="order-{{ inputs.n }}"), inputs={"n": {}}), n=5)
    assert play.state.actions["c"].key == "order-5"
    play.claim("c", by=SERVER).lost("c")
    assert (play.state.actions["c"].status, play.state.actions["c"].attempt, play.state.actions["c"].redo) == ("open", 2, True)


@clause("S109")
def test_a_function_is_a_step_of_its_own():
    play = Play(workflow(function("f", "double", {"value": "{{ 2 }}"}, effect="none"), ret("r", "{{ steps.f.result }}")))
    assert play.state.actions["f"].params == {"function": "double", "version": "1", "parameters": {"value": 2}}
    assert play.answer("f", 4).ended_properly().result == 4
