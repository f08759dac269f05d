"""docs/semantics.md, S63 to S70: parking, cancelling, and how a run looks from outside."""

from tests.core.build import approve, call, condition, delegate, foreach, prompt, put, ret, workflow
from tests.core.clauses import clause
from tests.core.play import ANNA, ME, OTHER, SERVER, Play
from treadle.core import codec
from treadle.core.commands import CloseRun, Perform, StopAction
from treadle.core.definition import Retry
from treadle.view import view


@clause("S63")
def test_a_parked_run_hands_out_nothing_and_takes_what_comes():
    play = Play(workflow(foreach("each", [0, 1], do=[delegate("d", timeout_ms=1_000), call("c", effect="read")]), prompt("next")))
    play.claim("each[0]/d").park(reason="think")
    assert (play.state.parked.reason, play.state.parked.by, play.view.status) == ("think", "anna", "parked")
    assert play.park().refused == "already_parked"
    assert play.claim("each[1]/d").refused == "run_parked"
    assert play.claim().refused == "run_parked"
    assert play.state.next_due_ms is None
    play.now_ms += 60_000
    play.wake()
    assert (play.state.actions["each[0]/d"].status, play.decision.changed) == ("claimed", False)
    play.answer("each[0]/d", "in the meantime")
    assert (play.refused, play.open, play.commands) == (None, ["each[1]/d"], [])
    play.unpark()
    assert play.open == ["each[1]/d", "each[0]/c"]
    assert play.commands == [Perform(action="each[0]/c", attempt=1, claim=False)]


@clause("S63")
def test_a_server_cannot_claim_while_the_run_is_parked():
    play = Play(workflow(call("w"))).park()
    assert play.claim("w", by=SERVER).refused == "run_parked"
    assert play.unpark().commands == [Perform(action="w", attempt=1, claim=True)]
    assert play.claim("w", by=SERVER).claimed == "w"


@clause("S63")
def test_nothing_ends_while_the_run_is_parked():
    play = Play(workflow(delegate("d"))).claim("d").park()
    play.answer("d", fails="denied")
    assert (play.status, play.open) == ("running", [])
    play.unpark()
    assert (play.status, play.state.failure.error_class) == ("failed", "denied")
    play.ended_properly()


@clause("S64")
def test_resuming_fires_what_came_due_in_order():
    play = Play(workflow(foreach("each", [300, 100], do=[condition("c", "{{ item == 100 }}", then=[delegate("a", within_ms=100, on_error="continue")],
                                 otherwise=[delegate("b", within_ms=300, on_error="continue")])]), prompt("next")))  # fmt: skip
    play.park().pass_ms(1_000).unpark()
    assert [note.path for note in play.notes if note.kind == "timer_fired"] == ["each[1]/c.then/a", "each[0]/c.else/b"]
    assert play.open == ["next"]
    assert play.unpark().refused == "not_parked"


@clause("S64")
def test_a_retry_that_came_due_is_performed_once():
    play = Play(workflow(foreach("each", [0, 1], do=[call("c", effect="read", retry=Retry(attempts=2, backoff_ms=1, on=("failed",)))])))
    play.answer("each[0]/c", fails="failed").park().pass_ms(1_000).unpark()
    performs = sorted((command.action, command.attempt) for command in play.commands)
    assert performs == [("each[0]/c", 2), ("each[1]/c", 1)]


@clause("S65", "S68")
def test_cancelling_stops_what_is_open_newest_first():
    play = Play(
        workflow(
            foreach(
                "each",
                range_of(4),
                do=[condition("c", "{{ item < 2 }}", then=[delegate("d")], otherwise=[call("w", effect="read")])],
            )
        )
    )
    play.claim("each[0]/c.then/d")
    play.cancel()
    assert play.commands == [
        StopAction(action="each[3]/c.else/w", attempt=1), StopAction(action="each[2]/c.else/w", attempt=1), StopAction(action="each[0]/c.then/d", attempt=1),
    ]  # fmt: skip
    assert (play.status, play.view.status) == ("cancelling", "cancelling")
    assert play.answer("each[0]/c.then/d", "finished after all", by=ME).refused == "stopped"
    recorded = next(note for note in play.notes if note.kind == "answer_after_stop")
    assert (recorded.path, recorded.data) == ("each[0]/c.then/d", {"done": True, "value": "finished after all"})
    assert play.claim().claimed is None
    play.lost("each[2]/c.else/w")
    assert play.open == ["each[3]/c.else/w"]
    play.pass_ms(9_999)
    assert play.status == "cancelling"
    play.pass_ms(1)
    assert play.status == "cancelled"
    play.ended_properly()


def range_of(count):
    return list(range(count))


@clause("S65")
def test_what_nobody_began_is_dropped_at_once():
    play = Play(
        workflow(
            foreach(
                "each",
                range_of(5),
                do=[condition("c", "{{ item == 0 }}", then=[call("w")], otherwise=[delegate("d", retry=2)])],
            )
        )
    )
    play.claim("each[1]/c.else/d").answer("each[1]/c.else/d", fails="transient")
    play.cancel()
    assert play.commands == [CloseRun(status="cancelled")]
    assert [note.data["was"] for note in play.notes if note.kind == "action_dropped"] == ["open", "open", "open", "backoff", "open"]


@clause("S65")
def test_an_answer_to_what_is_stopping_must_fit_the_attempt_as_ever():
    play = Play(workflow(delegate("d"))).claim("d").cancel()
    assert play.answer("d", by=OTHER).refused == "foreign"
    assert play.answer("d", by=ME, attempt=2).refused == "unknown_attempt"
    play.lost("d", attempt=7)
    assert (play.kinds, play.status) == (["ignored"], "cancelling")
    assert play.lost("d").status == "cancelled"


@clause("S66")
def test_a_second_cancel_waits_for_nobody():
    play = Play(workflow(delegate("d"))).claim("d").cancel().cancel()
    assert (play.status, play.commands) == ("cancelled", [CloseRun(status="cancelled")])
    assert play.answer("d", by=ME, attempt=1).refused == "run_ended"
    play.ended_properly()


@clause("S67")
def test_cancelling_takes_a_parked_run_up_to_end_it():
    play = Play(workflow(delegate("d"))).claim("d").park().cancel()
    assert (play.status, play.state.parked) == ("cancelling", None)
    play = Play(workflow(delegate("d"))).park().cancel()
    assert play.status == "cancelled"
    play.ended_properly()


@clause("S67")
def test_a_run_that_is_being_cancelled_can_be_parked_and_goes_on_later():
    play = Play(workflow(delegate("d"))).claim("d").cancel().park()
    play.now_ms += 60_000
    assert play.wake().status == "cancelling"
    assert play.unpark().status == "cancelled"


@clause("S69")
def test_a_view_changes_nothing_and_tells_who_is_waited_for():
    play = Play(workflow(prompt("p"), delegate("d"), call("w"), approve("g"), delegate("e", retry=2)))
    before = codec.dumps(play.state)
    assert view(play.definition, play.state) == view(play.definition, play.state)
    assert codec.dumps(play.state) == before

    def seen():
        (action,) = play.view.actions
        return play.view.status, action.id, action.waits_for

    assert seen() == ("waiting", "p", "person")
    play.done("p", "x")
    assert seen() == ("waiting", "d", "agent")
    assert seen() if play.claim("d") else None == ("running", "d", "agent")
    play.answer("d")
    assert seen() == ("running", "w", "server")
    play.claim("w", by=SERVER).lost("w")
    assert seen() == ("waiting", "w", "outcome")
    play.resolve("w", "done")
    assert seen() == ("waiting", "g", "person")
    play.decide("g", approved=True, by=ANNA).claim("e").answer("e", fails="transient")
    assert seen() == ("waiting", "e", "time")
    assert play.view.actions[0].due_ms == play.state.next_due_ms


def test_behaviour_38_asking_for_the_status_shows_state_step_and_progress_and_advances_nothing():
    play = Play(
        workflow(
            put("s", {"n": 1}),
            foreach("each", [0, 1, 2], do=[delegate("d")], max_parallel=2),
            prompt("p"),
            initial_state={"n": 0},
        )
    )
    play.done("each[0]/d")
    log = list(play.log)
    shown = play.view
    assert (shown.state, [a.id for a in shown.actions]) == ({"n": 1}, ["each[1]/d", "each[2]/d"])
    assert [(s.path, s.status, s.done, s.total) for s in shown.steps] == [
        ("s", "completed", None, None), ("each", "running", 1, 3), ("p", "pending", None, None),
    ]  # fmt: skip
    assert play.log == log


@clause("S70")
def test_the_outline_shows_every_step_with_one_word():
    steps = [
        put("done", {}), prompt("skipped", when="{{ false }}"), delegate("failed", on_error="continue"),
        condition("block", "{{ true }}", then=[put("in", {}), delegate("here", on_error=[prompt("tell")]), prompt("later")]),
        foreach("each", [1], do=[prompt("q")]), ret("end"),
    ]  # fmt: skip
    play = Play(workflow(*steps))
    play.claim("failed").answer("failed", fails="denied")

    def words(outline):
        return [(step.path, step.status, words(step.children)) for step in outline]

    before = [("done", "completed", []), ("skipped", "skipped", []), ("failed", "failed", [])]
    after = [("each", "pending", []), ("end", "pending", [])]
    inside = [
        ("block.then/in", "completed", []),
        ("block.then/here", "waiting", []),
        ("block.then/later", "pending", []),
    ]
    assert words(play.view.steps) == [*before, ("block", "running", inside), *after]
    play.claim("block.then/here").answer("block.then/here", fails="denied")
    here = play.view.steps[3].children[1]
    assert words([here]) == [("block.then/here", "handling", [("block.then/here.on_error/tell", "waiting", [])])]
    play.done("block.then/here.on_error/tell", "x").done("block.then/later", "x")
    (each,) = [step for step in play.view.steps if step.path == "each"]
    assert (each.status, each.done, each.total) == ("running", 0, 1)
    assert words(each.children) == [("each[0]", "running", [("each[0]/q", "waiting", [])])]
    play.done("each[0]/q", "x")
    assert [word for _, word, _ in words(play.view.steps)] == [
        "completed",
        "skipped",
        "failed",
        "completed",
        "completed",
        "completed",
    ]


@clause("S70")
def test_the_outline_of_a_run_that_ended_early():
    play = Play(workflow(put("a", {}), delegate("b"), put("c", {}))).claim("b").answer("b", fails="denied")
    assert [s.status for s in play.view.steps] == ["completed", "failed", "pending"]
    play = Play(workflow(put("a", {}), delegate("b"), put("c", {}))).cancel()
    assert [s.status for s in play.view.steps] == ["completed", "pending", "pending"]
