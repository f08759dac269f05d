"""Faulty test files: each fault with its code and place, all at once; and for each a near-miss that gives nothing."""

import pytest

from tests.testing.support import ANSWERS, MARK, problems

# What is wrong, marked; what is right.
CASES = [
    ("unknown_field", "«expects: {status: failed}", "expect: {status: failed}"),
    ("unknown_field", "expect: {«stat: failed}", "expect: {status: failed}"),
    ("unknown_field", "answers: [{match: save, answer: 1, «befor: 1h}]", "answers: [{match: save, answer: 1, after: 1h}]"),
    ("bad_value", "expect: {status: «complete}", "expect: {status: completed}"),
    ("missing_field", "answers: [«{match: save}]", "answers: [{match: save, hold: true}]"),
    ("missing_field", "answers: [«{answer: 1}]", "answers: [{match: save, answer: 1}]"),
    ("bad_value", "answers: [{match: publish, approve: true, «reject: true}]", "answers: [{match: publish, reject: true}]"),
    ("bad_value", "answers: [{match: publish, reject: «false}]", "answers: [{match: publish, reject: why}]"),
    ("missing_field", "answers: [{match: save, fail: «{message: no}}]", "answers: [{match: save, fail: {class: timeout}}]"),
    ("field_not_allowed", "answers: [{match: save, answers: [1], «times: 2}]", "answers: [{match: save, answer: 1, times: 2}]"),
    ("field_not_allowed", "answers: [{match: save, lost: true, «by: ann}]", "answers: [{match: publish, approve: true, by: ann}]"),
    ("bad_duration", "answers: [{match: save, answer: 1, after: «2}]", "answers: [{match: save, answer: 1, after: 2s}]"),
    ("bad_value", "clock: «tomorrow", "clock: 2026-05-01T00:00:00+02:00"),
    ("bad_value", "clock: «2026-05-01T00:00:00", "clock: 2026-05-01T00:00:00Z"),
    ("unknown_signal", "signals: [{name: «go}]", "description: go"),
    ("missing_field", "signals: [«{payload: 1}]", "description: go"),
    ("unknown_workflow", "workflow: «notez", "workflow: notes"),
    ("unknown_workflow", "workflow: «./no.yaml", "workflow: ./notes.yaml"),
    ("unknown_input", "inputs: {«verson: 2}", "inputs: {version: 2}"),
    ("unknown_action", "answers: [{match: «chnages, answer: 1}]", "answers: [{match: changes, answer: 1}]"),
    ("unknown_action", "answers: [{match: «'save*/x', answer: 1}]", "answers: [{match: 'sav*', answer: 1}]"),
    ("unknown_action", "answers: {«chnages: 1}", "answers: {changes: 1}"),
    ("unknown_action", "expect: {order: [changes, «drafts]}", "expect: {order: [changes, draft]}"),
    ("unknown_action", "expect: {shown: {match: «publsh, contains: x}}", "expect: {shown: {match: publish, contains: x}}"),
    ("unknown_action", "expect: {failure: {step: «sav}}", "expect: {failure: {step: save}}"),
    ("unknown_tool", "expect: {calls: [{tool: «memory.sav}]}", "expect: {calls: [{tool: memory.save}]}"),
    ("unknown_state", "expect: {state: {«drft: 1}}", "expect: {state: {draft: 1}}"),
    ("bad_value", "expect: {result: 1, «result_includes: 1}", "expect: {result_includes: 1}"),
    ("bad_value", "expect: {refused: x, «status: failed}", "expect: {refused: x}"),
    ("bad_value", "expect: {calls: [{tool: memory.save, parameters: {}, «parameters_include: {}}]}", "expect: {calls: [{tool: memory.save, parameters: {}}]}"),
    ("field_not_allowed", "«name: all\ncases: [{name: a}]", "cases: [{name: a}]"),
    ("duplicate_id", "cases: [{name: a}, {name: «a}]", "cases: [{name: a}, {name: b}]"),
    ("missing_field", "cases: [«{inputs: {}}]", "cases: [{name: a, inputs: {}}]"),
    ("not_a_test", "«- {match: save, answer: 1}", "answers: [{match: save, answer: 1}]"),
    ("duplicate_key", "inputs: {}\n«inputs: {}", "inputs: {}"),
    ("template_not_allowed", "workflow: «'{{ x }}'", "description: '{{ x }}'"),
]  # fmt: skip


@pytest.mark.parametrize("code,bad,near", CASES, ids=[f"{n}-{code}" for n, (code, _, _) in enumerate(CASES)])
def test_a_fault_is_told_at_its_place_and_its_near_miss_is_silent(tmp_path, code, bad, near):
    before, _, after = bad.partition(MARK)
    line, column = before.count("\n") + 1, len(before.rsplit("\n", 1)[-1]) + 1
    assert [found[:3] for found in problems(tmp_path, before + after)] == [(code, line, column)]
    assert problems(tmp_path, near) == []


def test_every_fault_of_a_file_is_told_at_once(tmp_path):
    text = """\
        inputs: {verson: 1}
        clock: soon
        answers:
          - {match: chnages, answer: 1}
          - {match: save}
        expect: {stat: 1}
        cases:
          - {name: a, answers: [{match: publish, anwser: 1}]}
        """
    assert [(code, line) for code, line, _, _ in problems(tmp_path, text)] == [
        ("bad_value", 2), ("missing_field", 5), ("unknown_field", 6), ("unknown_field", 8),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text,suggestion",
    [
        ("expect: {statsu: 1}", "did you mean `status`?"),
        ("workflow: notez", "did you mean `notes`?"),
        ("inputs: {verson: 2}", "did you mean `version`?"),
        ("answers: {chnages: 1}", "did you mean `changes`?"),
        ("expect: {calls: [{tool: memory.sav}]}", "did you mean `memory.save`?"),
    ],
)
def test_the_nearest_name_is_suggested(tmp_path, text, suggestion):
    assert [found[3] for found in problems(tmp_path, text)] == [suggestion]


EACH = """\
name: each
steps:
  - id: all
    foreach: [1, 2]
    do:
      - {id: look, delegate: "Look at {{ item }}"}
      - {id: keep, set_state: {kept: 1}}
    sequential: true
"""


def test_an_action_inside_a_loop_is_found_by_its_last_name(tmp_path):
    assert problems(tmp_path, "answers: {look: 1}", EACH) == [("unknown_action", 1, 11, "did you mean `all[*]/look`?")]
    assert problems(tmp_path, "answers: {'all[*]/look': 1, 'all[7]/look': 1, delegate: 1}", EACH) == []


def test_a_step_that_asks_nobody_is_told_as_one(tmp_path):
    (found,) = problems(tmp_path, "answers: {'all[0]/keep': 1}", EACH)
    assert found[0] == "unknown_action"
    assert problems(tmp_path, "expect: {failures: {match: 'all[0]/keep'}}", EACH) == []


def test_a_broken_workflow_is_told_where_the_test_names_it(tmp_path):
    (found,) = problems(tmp_path, "user: ann\nworkflow: notes\n", "name: notes\nsteps: [{promt: x}]\n")
    assert found[:3] == ("invalid_definition", 2, 11)
    assert "validate" in found[3]


def test_a_file_without_a_workflow_beside_it_says_so(tmp_path):
    path = tmp_path / "workflows"
    problems(tmp_path, ANSWERS)
    (path / "other.test.yaml").write_text(ANSWERS)
    from treadle.compose import locate
    from treadle.testing.suite import Suite

    (found,) = Suite(locate(tmp_path, {})).check(path / "other.test.yaml").problems
    assert (found.code, found.line) == ("unknown_workflow", 1)
    assert "other.yaml" in found.message
