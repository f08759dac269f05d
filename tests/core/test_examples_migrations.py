"""Clauses S180 to S188: a run is moved to a changed definition, whole or not at all."""

import pytest

from tests.core.build import approve, call, condition, delegate, foreach, parallel, prompt, put, ret, run, task, wait, workflow, x
from tests.core.clauses import clause
from tests.core.play import ANNA, ME, OTHER, SERVER, Play
from treadle.core.commands import StopAction
from treadle.core.definition import By, Retry
from treadle.core.events import Caller, RunMigrated
from treadle.core.semantics import SEMANTICS

BOB = Caller(kind="human", name="bob", assurance="local")
TWO = (prompt("ask", output_to="said"), delegate("work", "Do {{ state.said }}.", output_to="done"), ret("end", "{{ state.done }}"))


def two(*, text="Do {{ state.said }}.", between=(), after=(), before=(), **scope):
    ask, _, end = TWO
    scope = {"initial_state": {"said": None, "done": None}, **scope}
    return workflow(ask, *before, delegate("work", text, output_to="done"), *after, end, **scope)


def at_work(**options) -> Play:
    return Play(two(**options)).done("ask", "it")


def params(play: Play, action: str) -> dict:
    return play.state.actions[action].params


@clause("S180", "S182")
def test_a_changed_text_is_handed_out_as_the_next_attempt_and_nothing_before_is_lost():
    play = at_work().claim("work").migrate(two(text="Mend {{ state.said }}."))
    work = play.state.actions["work"]
    assert (work.status, work.attempt, work.holder, work.redo) == ("open", 2, None, True)
    assert params(play, "work")["instructions"] == "Mend it."
    assert StopAction(action="work", attempt=1) in play.commands
    assert play.answer("work", "late", attempt=1).refused == "late"
    play.done("work", "mended").ended_properly()
    assert play.result == "mended"


@clause("S182")
def test_what_is_not_changed_stays_with_whoever_holds_it():
    play = at_work().claim("work").migrate(two(after=(delegate("more"),)))
    assert play.state.actions["work"].holder == ME.name
    play.answer("work", "x").done("more", 1).ended_properly()


@clause("S182")
def test_an_open_action_that_nobody_holds_is_not_marked_as_done_before():
    play = at_work().migrate(two(text="Other."))
    assert (play.state.actions["work"].attempt, play.state.actions["work"].redo) == (2, False)


@clause("S180")
def test_a_run_that_was_set_aside_stays_so_and_goes_on_with_the_new_text_when_it_is_resumed():
    play = at_work().park().migrate(two(text="Other."))
    assert play.view.status == "parked"
    assert play.open == []
    play.unpark()
    assert params(play, "work")["instructions"] == "Other."
    play.done("work", 1).ended_properly()


@clause("S182")
def test_attempts_are_counted_on_however_often_a_parked_run_is_moved():
    play = at_work().claim("work").park().migrate(two(text="Other.")).migrate(two(text="Another.")).unpark()
    assert (params(play, "work")["instructions"], play.state.actions["work"].attempt) == ("Another.", 2)
    assert play.answer("work", "late", attempt=1).refused == "late"


@clause("S180")
@pytest.mark.parametrize(
    "changed, said",
    [
        (two(text="x", after=()).main.steps[:1], "is not there any more"),
        ((TWO[0], call("work"), TWO[2]), "is an mcp_call now"),
        ((TWO[0], condition("if", True, [TWO[1]]), TWO[2]), "stands elsewhere now"),
    ],
)
def test_an_open_place_that_is_not_there_or_of_another_type_refuses_the_whole(changed, said):
    play = at_work().claim("work")
    before = play.state
    play.migrate(workflow(*changed, initial_state={"said": None, "done": None}))
    assert play.refused == "cannot_migrate"
    assert said in play.decision.refusal.message
    assert play.state is before
    play.answer("work", "as before").ended_properly()


@clause("S180")
def test_a_step_may_have_another_name_in_the_new_definition():
    renamed = workflow(
        TWO[0], delegate("labour", "Do {{ state.said }}.", output_to="done"), TWO[2], initial_state={"said": None, "done": None}
    )
    play = at_work().claim("work")
    assert play.migrate(renamed).refused == "cannot_migrate"
    play.migrate(renamed, work="labour")
    assert (play.open, play.state.actions["labour"].attempt) == (["labour"], 2)
    assert play.answer("work", 1, attempt=1).refused == "not_open"
    play.done("labour", 1).ended_properly()


@clause("S180")
def test_names_change_wherever_they_stand():
    def steps(item, *, loop="each", inner="look", gate="gate"):
        return workflow(
            approve(gate, "{{ inputs.n }}"),
            foreach(loop, [1, 2], do=[delegate(inner, item, undo=[call("back")]), prompt("p", "{{ steps." + inner + ".result }}")]),
            ret("r", "{{ steps." + gate + ".result.approved }}"),
            inputs={"n": {"type": "integer", "default": 1}},
        )

    play = Play(steps("a")).decide("gate", approved=True).done("each[0]/look", "seen").claim("each[1]/look")
    play.migrate(steps("a", loop="every", inner="see", gate="door"), each="every", look="see", gate="door")
    assert play.refused is None, play.decision.refusal
    assert sorted(play.open) == ["every[0]/p", "every[1]/see"]
    assert list(play.state.undo) == ["every[0]/see"]
    play.done("every[1]/see", 2).done("every[0]/p", "x").done("every[1]/p", "y").ended_properly()
    assert play.result is True


@clause("S181")
def test_steps_added_behind_the_open_one_run_and_those_before_do_not():
    play = at_work().migrate(two(before=(prompt("early"),), after=(prompt("late"),)))
    play.done("work", 1).done("late", "x")
    assert play.status == "completed"
    assert "step_opened early" not in [f"{note.kind} {note.path}" for note in play.every_note]
    play.check_log()


@clause("S181")
def test_a_step_that_was_added_too_late_is_shown_as_skipped_and_never_as_done():
    play = at_work().migrate(two(before=(prompt("early"),)))
    shown = {step.path: (step.status, step.why) for step in play.view.steps}
    assert shown["early"] == ("skipped", "added when the run was past it")
    assert shown["ask"][0] == "completed"


@clause("S181")
def test_results_that_are_kept_are_read_by_the_new_text():
    first = workflow(delegate("a"), prompt("b", "{{ steps.a.result }}"), ret("r"))
    play = Play(first).done("a", 7).migrate(workflow(delegate("a"), prompt("b", "so {{ steps.a.result }}"), ret("r")))
    assert params(play, "b")["message"] == "so 7"


@clause("S183")
def test_what_may_have_had_an_effect_keeps_what_it_was_given_and_its_next_attempt_is_the_new_one():
    retry = Retry(attempts=3, backoff_ms=1_000, on=("failed",))
    first, second = (workflow(call("c", parameters={"n": n}, retry=retry), ret("r", 1)) for n in (1, 2))
    play = Play(first).claim("c", by=SERVER).migrate(second)
    assert (play.state.actions["c"].attempt, params(play, "c")["parameters"]) == (1, {"n": 1})
    play.answer("c", fails="failed").pass_ms(2_000)
    after = play.state.actions["c"]
    assert (after.attempt, after.failures, params(play, "c")["parameters"]) == (2, 1, {"n": 2})
    play.done("c", 1).ended_properly()


@clause("S183")
def test_a_retry_that_waits_is_rendered_anew_when_its_time_has_come():
    retry = Retry(attempts=3, backoff_ms=1_000, on=("failed",))
    play = Play(workflow(delegate("a", "one", retry=retry), ret("r"))).claim("a").answer("a", fails="failed")
    play.migrate(workflow(delegate("a", "two", retry=retry), ret("r")))
    assert play.state.actions["a"].status == "backoff"
    play.pass_ms(2_000)
    assert (params(play, "a")["instructions"], play.state.actions["a"].attempt) == ("two", 2)


@clause("S183")
def test_a_child_run_goes_on():
    play = Play(workflow(run("r", "child", {"n": 1}))).claim("r", by=SERVER).migrate(workflow(run("r", "child", {"n": 2})))
    assert (play.state.actions["r"].attempt, params(play, "r")["inputs"]) == (1, {"n": 1})


@clause("S184")
def test_an_open_gate_whose_material_changed_is_asked_anew_and_votes_for_other_bytes_are_gone():
    first, second = (workflow(approve("g", show, by=By(count=2)), ret("r")) for show in ("one", "two"))
    play = Play(first).decide("g", approved=True)
    shown = play.state.actions["g"].digest
    play.migrate(second)
    gate = play.state.actions["g"]
    assert (gate.votes, gate.digest != shown) == ((), True)
    assert play.decide("g", approved=True, digest=shown, by=BOB).refused == "digest_mismatch"
    play.decide("g", approved=True).decide("g", approved=True, by=BOB).ended_properly()


@clause("S184")
def test_a_call_that_was_approved_and_is_not_begun_is_asked_about_again():
    first, second = (workflow(call("c", parameters={"n": n}, requires=By(users=("anna",)))) for n in (1, 2))
    play = Play(first)
    old = play.state.actions["c.requires"].digest
    play.decide("c.requires", approved=True)
    assert play.open == ["c"]
    play.migrate(second)
    assert play.open == ["c.requires"]
    assert play.state.actions["c.requires"].digest != old
    play.decide("c.requires", approved=True).done("c", 1).ended_properly()


@clause("S184")
def test_a_required_gate_that_shows_something_else_now_is_asked_again_before_the_step_is_begun():
    def definition(show):
        return workflow(approve("g", show), call("c", requires="g"))

    play = Play(definition("one")).decide("g", approved=True)
    assert play.open == ["c"]
    play.migrate(definition("two"))
    assert play.open == ["c.requires"]
    again = Play(definition("one")).decide("g", approved=True).migrate(workflow(approve("g", "one"), call("c", requires="g"), prompt("p")))
    assert again.open == ["c"]


@clause("S185")
def test_new_fields_and_inputs_get_their_defaults_and_what_is_not_declared_any_more_stays():
    play = at_work().migrate(
        two(
            initial_state={"done": None, "notes": ["{{ inputs.n }}"]},
            inputs={"n": {"type": "integer", "default": 4}},
            text="{{ state.notes }}",
        )
    )
    assert play.fields == {"said": "it", "done": None, "notes": [4]}
    assert params(play, "work")["instructions"] == [4]
    play.check_log()


@clause("S185")
@pytest.mark.parametrize(
    "scope, said",
    [
        ({"state_schema": {"said": {"type": "integer"}}}, "`said`"),
        ({"inputs": {"n": {"type": "integer", "required": True}}}, "the input `n` is required"),
        ({"initial_state": {"said": None, "done": None, "bad": "{{ 1 / 0 }}"}}, "initial_state.bad"),
        ({"initial_state": {"said": None, "done": None, "made": "{{ double(2) }}"}}, "a default calls `double`"),
    ],
)
def test_a_value_that_does_not_fit_or_a_default_that_cannot_be_given_refuses_the_whole(scope, said):
    play = at_work()
    before = play.state
    play.migrate(two(text="x", **scope))
    assert play.refused == "cannot_migrate"
    assert said in play.decision.refusal.message
    assert play.state is before


@clause("S185")
def test_tasks_of_a_foreach_get_theirs_too():
    def definition(text, **state):
        return workflow(foreach("f", [1, 2], task="t"), tasks={"t": task(delegate("a", text), initial_state=state)})

    play = Play(definition("x", n=1)).done("f[0]/a").migrate(definition("{{ state.m }}", n=1, m=5))
    assert params(play, "f[1]/a")["instructions"] == 5
    play.done("f[1]/a").ended_properly()


@clause("S186")
def test_an_answer_that_is_being_verified_is_verified_by_the_new_checks():
    def definition(command):
        return workflow(delegate("a", verify=[{"shell": command}]), ret("r", "{{ steps.a.result }}"))

    play = Play(definition("make wrong")).done("a", 5)
    assert play.open == ["a", "a.verify"]
    play.migrate(definition("make right"))
    look = play.state.actions["a.verify"]
    assert (look.attempt, look.params["checks"]) == (2, [{"shell": "make right"}])
    assert play.answer("a.verify", [{"ok": True}], attempt=1, by=SERVER).refused == "late"
    play.answer("a.verify", [{"ok": True}], by=SERVER).ended_properly()
    assert play.result == 5


@clause("S186")
def test_a_check_that_was_wrong_is_mended_without_disturbing_whoever_works():
    def definition(test):
        return workflow(delegate("a", verify=[{"expression": test}]), ret("r"))

    play = Play(definition("{{ result == 1 }}")).claim("a").answer("a", 2)
    assert play.refused == "bad_output"
    play.migrate(definition("{{ result == 2 }}"))
    assert play.state.actions["a"].holder == ME.name
    play.answer("a", 2).ended_properly()


@clause("S187")
def test_a_wait_is_counted_from_when_it_began():
    play = Play(workflow(wait("w", ms=10_000), ret("r", "{{ steps.w.result.waited_ms }}"))).pass_ms(4_000)
    play.migrate(workflow(wait("w", ms=6_000), ret("r", "{{ steps.w.result.waited_ms }}")))
    assert play.state.next_due_ms == play.now_ms + 2_000
    assert play.pass_ms(2_000).result == 6_000


@clause("S187")
def test_the_time_of_an_open_step_moves_by_as_much_as_it_was_changed():
    play = Play(workflow(delegate("a", within_ms=10_000))).claim("a").pass_ms(4_000)
    play.migrate(workflow(delegate("a", within_ms=20_000)))
    assert play.state.actions["a"].holder == ME.name
    assert play.state.next_due_ms == play.now_ms + 16_000
    play.migrate(workflow(delegate("a")))
    assert play.state.next_due_ms is None
    play.migrate(workflow(delegate("a", within_ms=1_000)))
    assert play.state.next_due_ms == play.now_ms + 1_000
    assert play.pass_ms(1_000).status == "failed"


@clause("S180")
def test_branches_of_an_open_parallel_must_be_the_same():
    def definition(*names):
        return workflow(parallel("p", {name: [delegate(name)] for name in names}))

    play = Play(definition("a", "b")).done("p.a/a", 1)
    for names in (("a", "b", "c"), ("b",), ("a",)):
        assert play.migrate(definition(*names)).refused == "cannot_migrate"
    play.migrate(workflow(parallel("p", {"a": [delegate("a", "x")], "b": [delegate("b", "new")]}), ret("r", "{{ 1 }}")))
    assert play.done("p.b/b", 2).status == "completed"


@clause("S180")
def test_what_can_be_taken_back_must_still_be_able_to():
    def definition(text, **undo):
        return workflow(delegate("a", **undo), delegate("b", text))

    play = Play(definition("one", undo=[call("back")])).done("a")
    assert play.migrate(definition("two")).refused == "cannot_migrate"
    play.migrate(definition("two", undo=[call("forth")]))
    assert play.refused is None
    play.claim("b").answer("b", fails="denied")
    assert play.open == ["a.undo/forth"]


@clause("S180")
def test_a_run_that_is_ending_or_has_ended_keeps_its_definition():
    play = at_work().claim("work").cancel()
    assert play.migrate(two(text="x")).refused == "ending"
    ended = at_work().done("work", 1)
    assert ended.migrate(two(text="x")).refused == "run_ended"


@clause("S180")
def test_what_only_the_event_claims_is_held_against_the_new_definition():
    """An event that no plan made: the core refuses what does not fit, and moves nothing."""
    play = at_work().claim("work")
    event = RunMigrated(at_ms=play.now_ms, by=ANNA, was="a", to="b", cursors={"": 2})
    assert play.feed_migration(two(text="x"), event).refused == "cannot_migrate"
    event = RunMigrated(at_ms=play.now_ms, by=ANNA, was="a", to="b", anew=("nowhere", "work.verify"))
    assert play.feed_migration(two(text="x"), event).refused is None
    play.answer("work", 1).ended_properly()


@clause("S188")
def test_a_run_moves_there_and_back():
    play = at_work()
    play.migrate(two(text="Other.", after=(prompt("more"),))).migrate(two())
    assert params(play, "work")["instructions"] == "Do it."
    assert play.state.actions["work"].attempt == 3
    play.done("work", 1).ended_properly()


def test_the_semantics_of_the_two_are_the_same_number():
    assert two().semantics == SEMANTICS


def test_a_waiting_signal_moves_with_its_step():
    play = Play(workflow(wait("w", signal="go"), put("s", {"n": x(1)}), initial_state={"n": 0}))
    play.migrate(workflow(wait("w", signal="start"), put("s", {"n": x(1)}), initial_state={"n": 0}))
    assert play.signal("go").status == "running"
    assert play.signal("start").status == "completed"


def test_another_holder_takes_what_was_let_go():
    play = at_work().claim("work").migrate(two(text="New."))
    play.claim(by=OTHER)
    assert (play.claimed, play.state.actions["work"].holder) == ("work", OTHER.name)
