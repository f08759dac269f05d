"""Playing by a script: time that stands until it must move, failures, losses, refusals, branches; and what each kind of entry does."""

import pytest

from tests.testing.support import ANSWERS, NOTES, missed, played

FIRST = "answers: [{match: changes, answer: x}, {match: draft, answer: {text: y}}, "


def test_all_as_expected_misses_nothing(tmp_path):
    text = (
        ANSWERS
        + """\
inputs: {version: "2"}
clock: 2026-03-01T10:00:00+01:00
expect:
  status: completed
  result: {saved: {ok: true}, at: "2026-03-01T09:00:00.000Z"}
  state: {draft: {text: Now dark.}}
  order: [changes, draft, publish, save]
  failures: []
  shown: [{match: draft, contains: Dark mode, not_contains: [Now dark, secret]}, {match: publish, contains: Now dark}]
  calls: [{tool: memory.save, parameters: {key: notes 2, value: {text: Now dark.}}, times: 1}]
"""
    )
    assert missed(tmp_path, text) == []


def test_an_answer_takes_the_time_that_it_says(tmp_path):
    text = (
        FIRST
        + "{match: publish, approve: true, after: 36h}, {match: save, answer: {}, after: 59s}]\nexpect: {result_includes: {at: '2026-01-02T12:00:59.000Z'}}"
    )
    assert missed(tmp_path, text) == []


def test_a_timer_that_is_due_before_an_answer_fires_first(tmp_path):
    text = (
        FIRST + "{match: publish, approve: true, after: 2d}]\nexpect: {failure: {class: rejected, step: publish, message: not done within}}"
    )
    assert missed(tmp_path, text) == []
    assert (
        missed(
            tmp_path,
            text.replace("2d}", "47h59m}, {match: save, answer: 1}").replace(
                "failure: {class: rejected, step: publish, message: not done within}", ""
            ),
        )
        == []
    )


def test_advance_leaves_an_action_open_and_the_next_entry_answers_it(tmp_path):
    text = (
        FIRST
        + "{match: publish, advance: 1d}, {match: publish, approve: late}, {match: save, answer: 1}]\nexpect: {result_includes: {at: '2026-01-02T00:00:00.000Z'}}"
    )
    assert missed(tmp_path, text) == []


def test_what_is_held_is_ended_by_time_alone(tmp_path):
    (verdict,) = played(
        tmp_path,
        FIRST
        + "{match: publish, approve: true}, {match: save, hold: true}]\nexpect: {failure: {class: timeout, step: save}, calls: [{tool: memory.save, times: 3}]}",
    )
    assert verdict.passed
    # Three attempts of a minute each, and two waits of at most ten and twenty seconds.
    assert 180_000 <= verdict.played.moments[-1].at_ms - verdict.played.started_ms <= 210_000


def test_a_run_that_nothing_moves_waits(tmp_path):
    text = "answers: [{match: changes, hold: true}]\nexpect: {status: waiting}"
    assert missed(tmp_path, text) == []
    (verdict,) = played(tmp_path, text.replace("waiting", "completed"))
    assert "nothing moves `changes` any more" in verdict.misses[0].message


def test_a_tool_may_fail_twice_and_then_answer(tmp_path):
    text = (
        FIRST
        + "{match: publish, approve: true}, {match: save, fail: {class: timeout, message: too slow}, times: 2}, {match: save, answer: {n: 3}}]\nexpect: {result_includes: {saved: {n: 3}}, calls: [{tool: memory.save, times: 3}]}"
    )
    assert missed(tmp_path, text) == []


def test_a_failure_that_is_not_retried_ends_the_step_with_its_class(tmp_path):
    text = (
        FIRST
        + "{match: publish, approve: true}, {match: save, fail: {class: denied, message: no key}}]\nexpect: {failure: {class: denied, message: no key}, failures: {match: save, class: denied}}"
    )
    assert missed(tmp_path, text) == []


@pytest.mark.parametrize("outcome,status", [("done, value: {ok: 1}", "completed"), ("failed", "failed")])
def test_a_lost_call_with_an_effect_is_decided_by_a_person(tmp_path, outcome, status):
    once = NOTES.replace("    repeatable: true\n", "").replace("    retry: {attempts: 3, backoff: 10s}\n", "")
    text = (
        FIRST
        + f"{{match: publish, approve: true}}, {{match: save, lost: true}}, {{match: save, outcome: {outcome}}}]\nexpect: {{status: {status}, calls: [{{tool: memory.save, times: 1}}]}}"
    )
    assert missed(tmp_path, text, once) == []


def test_a_lost_call_that_may_be_repeated_is_made_again(tmp_path):
    text = (
        FIRST
        + "{match: publish, approve: true}, {match: save, lost: true, times: 1}, {match: save, answer: 1}]\nexpect: {calls: [{tool: memory.save, times: 2}]}"
    )
    assert missed(tmp_path, text) == []


def test_a_person_ends_the_run(tmp_path):
    assert (
        missed(tmp_path, FIRST + "{match: publish, cancel: enough}]\nexpect: {status: cancelled, order: [changes, draft, publish]}") == []
    )


def test_an_answer_that_does_not_fit_may_be_mended(tmp_path):
    rest = "{match: publish, approve: true}, {match: save, answer: 1}]"
    mended = "answers: [{match: changes, answer: x}, {match: draft, answers: [{}, {text: 1}, {text: y}]}, " + rest
    assert missed(tmp_path, mended) == []
    (verdict,) = played(tmp_path, "answers:\n  - {match: changes, answer: x}\n  - {match: draft, answer: {}}")
    assert [(miss.code, miss.place.line) for miss in verdict.misses] == [("answer_refused", 3)]
    assert "`text` is missing" in verdict.misses[0].message


def test_a_gate_is_decided_in_the_name_of_whoever_is_said(tmp_path):
    two = NOTES.replace("    within: 2d\n", "    by: {user: [ann, bob], never: [starter]}\n")
    base = "user: ann\n" + FIRST + "{match: publish, approve: fine, by: NAME}, {match: save, answer: 1}]"
    assert missed(tmp_path, base.replace("NAME", "bob"), two) == []
    (verdict,) = played(tmp_path, base.replace("NAME", "ann"), two)
    assert verdict.misses[0].code == "answer_refused"
    assert "may never decide" in verdict.misses[0].message


FAN = """\
name: notes
steps:
  - id: all
    foreach: [a, b, c]
    agent: "@task"
    on_item_error: collect
    max_parallel: 2
    do:
      - {id: ask, prompt: "About {{ item }}?"}
      - {id: look, delegate: "Look at {{ item }}: {{ steps.ask.result }}"}
    output: "{{ steps.look.result }}"
  - return: "{{ steps.all.result }}"
"""


def test_branches_are_worked_side_by_side_each_by_its_own_performer(tmp_path):
    text = """\
answers:
  - {match: "all[*]/ask", answers: [one, two, three]}
  - {match: "all[1]/look", cannot: not this}
  - {match: "all[*]/look", answer: seen, after: 1h}
expect:
  status: completed_degraded
  result: [seen, null, seen]
  order: ["all[0]/ask", "all[1]/ask", "all[0]/look", "all[1]/look", "all[2]/ask", "all[2]/look"]
  shown: {match: "all[2]/look", contains: "c: three", not_contains: [one, two]}
"""
    assert missed(tmp_path, text, FAN) == []


def test_inputs_that_do_not_fit_start_nothing(tmp_path):
    assert missed(tmp_path, "inputs: {version: 2}\nexpect: {refused: invalid_inputs}") == []
    assert missed(tmp_path, "inputs: {version: 2}\n" + ANSWERS) == [("refused", 1)]
    assert missed(tmp_path, ANSWERS + "expect: {refused: invalid_inputs}") == [("refused", 6)]


def test_the_same_case_gives_the_same_run_each_time(tmp_path):
    text = ANSWERS.replace("{ok: true}", "{ok: true}, after: 7s")
    workflow = NOTES.replace("{{ now() }}", "{{ now() }} {{ uuid() }}")
    (one,), (two,) = played(tmp_path, text, workflow), played(tmp_path, text, workflow)
    assert one.played.result == two.played.result
    assert [moment.note for moment in one.played.moments] == [moment.note for moment in two.played.moments]


def test_a_hundred_cases_take_little(tmp_path):
    cases = "".join(f"  - {{name: case {n}, inputs: {{version: '{n}'}}}}\n" for n in range(100))
    verdicts = played(tmp_path, f"{ANSWERS}cases:\n{cases}")
    assert [verdict.passed for verdict in verdicts] == [True] * 100
    # The order asks for two seconds; measured are about 0.3. Here it is only seen that nobody waits.
    assert sum(verdict.took_ms for verdict in verdicts) < 5_000


READ_BACK = """\
name: notes
steps:
  - id: send
    shell: send it
    read_back:
      - {id: look, shell: look for it, effect: read, ok_exit: [0, 2]}
      - {id: there, shell: look again, effect: read, when: "{{ steps.look.result == 'there' }}"}
  - return: "{{ steps.send.result }}"
"""


@pytest.mark.parametrize("found,result", [("there", "it"), ("nothing", "sent again")])
def test_a_lost_action_that_is_read_back_is_no_question_to_anybody(tmp_path, found, result):
    text = f"answers: [{{match: send, lost: true, times: 1}}, {{match: send.read_back/look, answer: {found}}}, {{match: send.read_back/there, answer: it, optional: true}}, {{match: send, answer: sent again, optional: true}}]\nexpect: {{result: {result}}}"
    assert missed(tmp_path, text, READ_BACK) == []


def test_a_check_that_never_holds_refuses_the_same_answer_until_no_repair_is_left(tmp_path):
    workflow = "name: notes\nsteps:\n  - {id: mend, delegate: Mend it., verify: {shell: make}, repair: 2}\n"
    text = "answers: [{match: mend, answer: done}, {match: mend.verify, answer: [{check: make, ok: false, message: red}]}]\nexpect: {failure: {class: bad_output, message: red}}"
    assert missed(tmp_path, text, workflow) == []
