"""docs/semantics.md, S1 to S15: events, transitions, time, functions, the beginning and the end of a run."""

import json
import re

import pytest

from tests.core.build import call, condition, delegate, foreach, prompt, put, ret, task, without, workflow
from tests.core.clauses import clause
from tests.core.play import ANNA, OTHER, SERVER, Play
from treadle.core import codec, limits
from treadle.core.advance import advance
from treadle.core.commands import CloseRun, Evaluate, Perform, StopAction
from treadle.core.errors import HistoryMismatchError
from treadle.core.events import Continued, Evaluated, RunStarted, Woken
from treadle.replay import fold, resume


@clause("S1")
def test_the_same_event_on_the_same_state_gives_the_same_bytes_and_leaves_the_state_alone():
    play = Play(workflow(prompt("ask", output_to="a"), put("s", {"b": "{{ state.a }}"}), initial_state={"a": 1, "b": 2}))
    before = codec.dumps(play.state)
    event = play.claim("ask").answer("ask", "hello").log[-1]
    state = fold(play.definition, play.log[:-1])
    one, two = (advance(play.definition, state, event) for _ in range(2))
    assert codec.dumps(one.state) == codec.dumps(two.state) == codec.dumps(play.state) != before
    assert (one.commands, one.notes) == (two.commands, two.notes)


@clause("S2")
def test_an_event_that_changes_nothing_is_not_stored():
    play = Play(workflow(prompt("ask")))
    state = play.state
    for refused in (play.answer("nothing"), play.claim("nothing"), play.wake(), play.unpark()):
        assert refused.decision.changed is False
        assert refused.decision.state is state
    assert [type(event) for event in play.log] == [RunStarted]


@clause("S2")
def test_what_only_time_did_is_not_taken_for_the_events_own_doing():
    """Found by the simulator, seed 5094228: the refusal of a foreign answer was kept as the reply to that attempt, and its holder got `conflict`."""
    play = Play(workflow(foreach("each", [0, 1], do=[delegate("d", within_ms=1_000, on_error="continue"), delegate("e")], max_parallel=2)))
    play.done("each[0]/d").claim("each[0]/e")
    assert (play.claimed, play.decision.absorbed) == ("each[0]/e", True)
    play.now_ms += 1_000
    play.answer("each[0]/e", "not mine", by=OTHER)
    assert (play.refused, play.decision.changed, play.decision.absorbed) == ("foreign", True, False)
    assert play.kinds[0] == "timer_fired"
    assert play.answer("each[0]/e", "mine").decision.absorbed is True


@clause("S3")
def test_a_clock_set_back_moves_nothing():
    play = Play(workflow(prompt("one"), prompt("two", within_ms=5_000)))
    play.now_ms += 60_000
    play.claim("one")
    seen = play.state.now_ms
    play.now_ms -= 3_600_000
    play.answer("one", "x")
    assert play.state.now_ms == seen
    assert play.state.timers == {"within:two": seen + 5_000}


@clause("S4")
def test_due_timers_fire_first_in_the_order_of_due_and_path():
    gates = [delegate(name, within_ms=within, on_error="continue") for name, within in (("a", 300), ("b", 100), ("c", 300))]
    play = Play(
        workflow(
            foreach("each", [2, 0, 1], do=[condition("pick", "{{ item == 0 }}", then=gates[:1], otherwise=gates[1:2])]),
            prompt("after"),
        )
    )
    play.now_ms += 1_000
    play.claim("after", by=ANNA)
    fired = [note.path for note in play.notes if note.kind == "timer_fired"]
    assert fired == ["each[0]/pick.else/b", "each[2]/pick.else/b", "each[1]/pick.then/a"]
    assert play.claimed == "after", "what the timers brought about is done before the event is absorbed"


@clause("S4")
def test_a_decision_that_comes_after_its_gate_ran_out_loses():
    from tests.core.build import approve

    play = Play(workflow(approve("gate", within_ms=1_000), ret("r", "published")))
    digest = play.state.actions["gate"].digest
    play.now_ms += 1_000
    play.decide("gate", approved=True, digest=digest)
    assert (play.refused, play.status) == ("run_ended", "failed")
    assert play.state.failure.error_class == "rejected"


@clause("S5")
def test_a_long_transition_yields_and_goes_on():
    items = list(range(1_500))
    definition = workflow(foreach("each", items, do=[put("s", {})], output="{{ item }}", output_to="all"), initial_state={"all": []})
    play = Play(definition, started=False)
    event = RunStarted(at_ms=0, run_id="r", seed="s", inputs={}, by=ANNA)
    first = advance(definition, None, event)
    assert first.more
    assert first.state.agenda
    assert first.state.moves == limits.SETTLE_MOVES_MAX
    second = advance(definition, first.state, Continued(at_ms=0))
    woken = advance(definition, first.state, Woken(at_ms=0))
    assert codec.dumps(second.state) == codec.dumps(woken.state)
    play.feed(event)
    assert play.fields["all"] == items
    play.ended_properly()


@clause("S6")
def test_a_run_that_moves_too_much_is_parked_and_may_go_on(monkeypatch):
    monkeypatch.setattr(limits, "RUN_MOVES_MAX", 80)
    play = Play(workflow(foreach("each", list(range(50)), do=[put("s", {})]), prompt("ask")))
    assert play.state.parked is not None
    assert "moves" in play.state.parked.reason
    assert play.decision.more is False
    parked = 1
    while play.unpark().state.parked is not None:
        parked += 1
    assert (parked, play.open) == (2, ["ask"])
    play.check_log()


@clause("S7")
def test_functions_are_called_one_by_one_in_reading_order_before_their_expression():
    definition = workflow(
        put("s", {"a": "{{ 1 if true else double(1) }}", "b": "{{ double(double(3)) + double(state.a) }}"}),
        initial_state={"a": 0, "b": 0},
    )
    play = Play(definition, started=False)
    decision = advance(definition, None, RunStarted(at_ms=0, run_id="r", seed="s", inputs={}, by=ANNA))
    asked = []
    while not decision.state.ended:
        (command,) = decision.commands
        assert isinstance(command, Evaluate)
        asked.append((command.node, command.ordinal, command.function, command.args))
        event = Evaluated(at_ms=0, node=command.node, ordinal=command.ordinal, value=command.args[0] * 2)
        decision = advance(definition, decision.state, event)
    # Called although the first `if` does not need it; the argument of the last is what an earlier update wrote.
    assert asked == [
        ("s", 0, "double", (1,)),
        ("s", 1, "double", (3,)),
        ("s", 2, "double", (6,)),
        ("s", 3, "double", (1,)),
    ]
    assert decision.state.frames[""].state == {"a": 1, "b": 14}
    play.start()
    called = [event for event in play.log if isinstance(event, Evaluated)]
    assert [event.value for event in called] == [2, 6, 12, 2]
    play.ended_properly()  # folds without calling anything


@clause("S7")
def test_an_answer_of_a_function_that_nobody_waits_for_is_ignored():
    play = Play(workflow(prompt("ask"), initial_state={"a": "{{ double(2) }}"}))
    state = play.state
    for event in (
        Evaluated(at_ms=0, node="ask", ordinal=0, value=1),
        Evaluated(at_ms=0, node="", ordinal=0, value=1),
        Evaluated(at_ms=0, node="gone", ordinal=0, value=1),
    ):
        play.feed(event)
        assert play.kinds == ["ignored"]
        assert play.state is state


@clause("S8")
def test_a_function_that_raises_fails_its_step():
    play = Play(
        workflow(
            put("s", {"a": "{{ broken(1) }}"}, fallback="caught"),
            ret("r", "{{ steps.s.result }}"),
            initial_state={"a": 0},
        )
    )
    assert (play.status, play.result) == ("completed_degraded", "caught")
    failed = next(note for note in play.every_note if note.kind == "step_failed")
    assert failed.data["error_class"] == "function"
    play.ended_properly()


@clause("S8")
@pytest.mark.parametrize("scope", [{"initial_state": {"a": "{{ broken(1) }}"}}, {"output": "{{ broken(1) }}"}])
def test_a_function_that_raises_in_the_first_state_or_output_fails_the_run(scope):
    play = Play(workflow(**scope))
    assert (play.status, play.state.failure.error_class) == ("failed", "function")
    play.ended_properly()


@clause("S9")
def test_now_is_the_instant_of_the_event_throughout_a_transition():
    definition = workflow(
        prompt("wait"), put("s", {"a": "{{ now() }}"}), put("t", {"b": "{{ now() }}", "c": "{{ run.now }}"}),
        initial_state={"a": "", "b": "", "c": ""},
    )  # fmt: skip
    play = Play(definition)
    play.now_ms += 5
    play.done("wait", "x")
    assert set(play.fields.values()) == {"2027-01-15T08:00:00.005Z"}
    play.check_log()


@clause("S10")
def test_chance_is_derived_from_the_run_the_step_and_the_field():
    draws = {"a": "{{ random() }}", "b": "{{ uuid() }}"}
    definition = workflow(put("s", draws), put("t", {"c": "{{ random() }}", "d": "{{ uuid() }}"}), initial_state=dict.fromkeys("abcd"))
    first, second = Play(definition), Play(definition)
    assert first.fields == second.fields
    assert first.fields["a"] != first.fields["c"]
    assert first.fields["b"] != first.fields["d"]
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", first.fields["b"])
    first.check_log()


@clause("S11")
def test_a_step_is_rendered_once_for_all_of_its_attempts():
    play = Play(workflow(delegate("d", "At {{ now() }}, draw {{ random() }}", retry=3)))
    shown = play.state.actions["d"].params
    play.now_ms += 1_000
    play.claim("d").answer("d", fails="transient").pass_ms(60_000)
    assert play.state.actions["d"].attempt == 2
    assert play.state.actions["d"].params == shown


@clause("S12")
def test_a_run_ends_once_and_takes_nothing_more():
    play = Play(workflow(foreach("each", [1, 2], do=[call("c", effect="read")]), prompt("ask"), ret("r", 1)))
    play.cancel()
    assert [type(command) for command in play.commands] == [StopAction, StopAction]
    play.answer("each[0]/c", by=SERVER).answer("each[1]/c", by=SERVER)
    assert play.commands == [CloseRun(status="cancelled")]
    play.ended_properly()
    state = play.state
    for asked in (play.claim(), play.answer("ask", "x"), play.cancel(), play.park(), play.unpark(), play.start()):
        assert (asked.refused, asked.commands) == ("run_ended", [])
    for told in (
        play.wake(),
        play.feed(Continued(at_ms=0)),
        play.feed(Evaluated(at_ms=0, node="", ordinal=0)),
        play.lost("ask", 1),
    ):
        assert (told.refused, told.kinds) == (None, ["ignored"])
    assert play.state is state


@clause("S13")
def test_faulty_inputs_start_nothing_and_are_all_reported():
    inputs = {
        "name": {"type": "string", "required": True}, "size": {"type": "integer", "minimum": 1, "default": 3}, "note": {"type": "string"},
    }  # fmt: skip
    definition = workflow(ret("r", "{{ inputs }}"), inputs=inputs)
    play = Play(definition, size=0, extra=1)
    assert play.refused == "invalid_inputs"
    assert [(fault["path"], fault["rule"]) for fault in play.decision.refusal.details["faults"]] == [
        ("name", "required"), ("size", "minimum"), ("extra", "unknown"),
    ]  # fmt: skip
    assert (play.log, play.decision.changed) == ([], False)
    play = Play(definition, name="x")
    assert play.result == {"name": "x", "size": 3, "note": None}


def test_behaviour_08_a_missing_required_input_refuses_the_start():
    play = Play(workflow(prompt("ask"), inputs={"a": {"required": True}}))
    assert (play.refused, play.state) == ("invalid_inputs", None)


def test_behaviour_09_a_default_is_visible_to_the_first_step():
    play = Play(workflow(prompt("ask", "{{ inputs.size }} boxes"), inputs={"size": {"type": "integer", "default": 3}}))
    assert play.state.actions["ask"].params["message"] == "3 boxes"


@pytest.mark.parametrize(
    "schema, value, rule",
    [
        ({"type": "integer", "minimum": 1}, 0, "minimum"),
        ({"type": "integer", "maximum": 9}, 10, "maximum"),
        ({"type": "string", "pattern": "^[a-z]+$"}, "A1", "pattern"),
        ({"type": "array", "maxItems": 2}, [1, 2, 3], "maxItems"),
    ],
)
def test_behaviour_10_a_faulty_input_is_refused_by_its_name_and_rule(schema, value, rule):
    play = Play(workflow(prompt("ask"), inputs={"a": schema}), a=value)
    (fault,) = play.decision.refusal.details["faults"]
    assert (fault["path"], fault["rule"]) == ("a", rule)
    assert "`a`" in fault["message"]


@clause("S13")
def test_a_run_starts_once():
    play = Play(workflow(prompt("ask")))
    state = play.state
    assert play.start().refused == "already_started"
    assert play.state is state


@clause("S14")
def test_the_log_folds_to_the_state_and_resume_tells_what_is_left_to_do():
    definition = workflow(
        foreach("each", ["a", "b", "c"], do=[call("c", effect="read" if True else "", parameters={"k": "{{ item }}"})]),
        call("w"),
        prompt("ask"),
    )
    play = Play(definition)
    assert resume(definition, play.state) == tuple(Perform(action=f"each[{index}]/c", attempt=1, claim=False) for index in range(3))
    for index in (1, 0, 2):
        play.done(f"each[{index}]/c", index)
    assert resume(definition, play.state) == (Perform(action="w", attempt=1, claim=True),)
    play.claim("w", by=SERVER)
    assert resume(definition, play.state) == ()
    play.cancel()
    assert resume(definition, play.state) == (StopAction(action="w", attempt=1),)
    play.check_log()
    assert resume(definition, play.pass_ms(10_000).state) == ()
    play.ended_properly()


@clause("S15")
def test_a_run_that_does_not_fit_is_left_alone():
    play = Play(workflow(prompt("ask")))
    woken = Woken(at_ms=play.now_ms)
    with pytest.raises(HistoryMismatchError, match="its definition 99"):
        advance(without(play.definition, semantics=99), play.state, woken)
    other = workflow(prompt("other"))
    claimed = play.claim("ask").state
    answer = Play(workflow(prompt("ask"))).claim("ask").answer("ask", "x").log[-1]
    with pytest.raises(HistoryMismatchError, match="no such step"):
        advance(other, claimed, answer)
    with pytest.raises(HistoryMismatchError, match="begins with RunStarted"):
        advance(play.definition, None, woken)
    with pytest.raises(HistoryMismatchError, match="empty"):
        fold(play.definition, [])


@clause("S15")
def test_a_stored_record_of_an_unknown_kind_or_field_is_a_mismatch():
    from treadle.core.events import EVENT_TYPES

    with pytest.raises(HistoryMismatchError, match="RunTeleported"):
        codec.read_union(EVENT_TYPES, {"kind": "RunTeleported", "at_ms": 1})
    with pytest.raises(HistoryMismatchError, match="colour"):
        codec.read_union(EVENT_TYPES, {"kind": "Woken", "at_ms": 1, "colour": "red"})
    data = json.loads(codec.dumps(Woken(at_ms=3)))
    assert codec.read_union(EVENT_TYPES, data) == Woken(at_ms=3)


def test_behaviour_18_server_side_steps_run_in_one_call_until_somebody_is_asked():
    steps = [put(f"s{index}", {"n": "{{ state.n + 1 }}"}) for index in range(20)]
    play = Play(workflow(prompt("first"), *steps, prompt("second", "{{ state.n }}"), initial_state={"n": 0}, tasks={"t": task()}))
    play.claim("first").answer("first", "go", then=True)
    assert play.claimed == "second"
    assert play.state.actions["second"].params["message"] == 20
    assert len(play.log) == 3
