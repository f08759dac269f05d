"""The form of scripts: what is matched, what is refused, what a pattern means."""

from typing import Any

import pytest

from treadle.cli.script import read_script
from treadle.core.errors import RequestError
from treadle.view import ActionView


def action(name: str, kind: str = "delegate", **values: Any) -> ActionView:
    given: dict[str, Any] = {
        "id": name, "kind": kind, "status": "open", "attempt": 1, "performer": "agent", "channel": "", "effect": "write",
        "waits_for": "person" if kind in {"prompt", "approve"} else "agent", "params": {}, "expected": {}, "opened_at_ms": 0,
    }  # fmt: skip
    return ActionView(**given | values)


def script(tmp_path, text: str):
    path = tmp_path / "script.yaml"
    path.write_text(text)
    return read_script(str(path))


def test_the_first_entry_that_matches_is_used(tmp_path):
    read = script(tmp_path, '- {match: "a[1]/b", answer: exact}\n- {match: "a[*]/b", answer: any}\n- {match: delegate, answer: kind}\n')
    assert [read.entry(action(name)).answer() for name in ("a[1]/b", "a[12]/b", "c")] == ["exact", "any", "kind"]


@pytest.mark.parametrize(
    "pattern,name,fits",
    [
        ("a[*]/b", "a[10]/b", True),
        ("a[*]/b", "a[1]/c/b", False),
        ("*", "a", True),
        ("*", "a/b", False),
        ("**", "a/b/c", True),
        ("a[*]/**", "a[2]/x/y", True),
        ("**/save", "each[3]/save", True),
        ("a.then/b", "axthen/b", False),
    ],
)
def test_a_star_stays_within_a_segment_and_brackets_are_brackets(tmp_path, pattern, name, fits):
    read = script(tmp_path, f'- {{match: "{pattern}", answer: 1}}\n')
    if fits:
        assert read.entry(action(name)).answer() == 1
    else:
        with pytest.raises(RequestError, match="has no answer"):
            read.entry(action(name))


def test_several_answers_are_given_in_turn_and_then_none(tmp_path):
    read = script(tmp_path, "- {match: a, answers: [1, 2]}\n")
    assert [read.entry(action("a")).answer() for _ in range(2)] == [1, 2]
    with pytest.raises(RequestError, match="has no answer"):
        read.entry(action("a"))


def test_a_decision_is_not_an_answer_and_an_answer_no_decision(tmp_path):
    read = script(tmp_path, "- {match: gate, answer: yes}\n- {match: work, approve: true}\n- {match: gate, reject: no}\n")
    assert read.entry(action("gate", "approve")).verb == "reject"
    with pytest.raises(RequestError):
        read.entry(action("work"))


def test_an_unknown_outcome_takes_an_outcome_only(tmp_path):
    read = script(tmp_path, "- {match: save, answer: done}\n- {match: save, outcome: not_done}\n")
    assert read.entry(action("save", waits_for="outcome")).verb == "outcome"
    assert read.entry(action("save")).verb == "answer"


def test_the_short_form_maps_patterns_to_answers(tmp_path):
    read = script(tmp_path, "answers:\n  a: 1\n  b: two\n")
    assert read.entry(action("b")).answer() == "two"
    assert read.unused() == ["a"]


@pytest.mark.parametrize(
    "text,code,told",
    [
        ("[]", "not_a_test", "no list of answers"),
        ("- answer: 1", "missing_field", "needs `match`"),
        ("- {match: a}", "missing_field", "nothing beside `match`"),
        ("- {match: a, answer: 1, approve: true}", "bad_value", "`answer`, `approve`"),
        ("- {match: a, anwser: 1}", "unknown_field", "did you mean `answer`?"),
        ("- {match: a, answers: 1}", "wrong_type", "is a list"),
        ("- {match: a, outcome: perhaps}", "bad_value", "cannot be the text 'perhaps'"),
        ("- {match: a, cannot: 3}", "wrong_type", "a reason"),
        ("- {match: a, answer: 1, value: 2}", "field_not_allowed", "no sense beside `answer`"),
        ("- {match: a, approve: false}", "bad_value", "never `false`"),
        ("- {match: a, hold: true, after: 1h}", "field_not_allowed", "`after` makes no sense"),
        ("- {match: a, answer: 1, after: 3}", "bad_duration", "a duration with its unit"),
        ("- {match: a, answer: [", "yaml_syntax", "not YAML"),
    ],
)
def test_a_script_of_another_form_is_refused_with_its_entry(tmp_path, text, code, told):
    with pytest.raises(RequestError) as caught:
        script(tmp_path, f"# first line\n{text}\n")
    assert caught.value.code == "bad_script"
    problems = caught.value.details["problems"]
    assert [problem["code"] for problem in problems] == [code]
    assert problems[0]["line"] >= 2
    assert told in caught.value.message


def test_a_script_tells_all_its_faults_at_once(tmp_path):
    with pytest.raises(RequestError) as caught:
        script(tmp_path, "- {match: a}\n- {match: b, ansr: 1}\n- {match: c, answer: 1, times: 0}\n")
    assert [(p["code"], p["line"]) for p in caught.value.details["problems"]] == [
        ("missing_field", 1), ("unknown_field", 2), ("out_of_range", 3),
    ]  # fmt: skip


TESTS = """\
workflow: ask
answers: [{match: gate, approve: true}]
cases:
  - {name: one, answers: [{match: question, answer: 1}]}
  - {name: two, answers: [{match: question, answer: 2}, {match: question, advance: 1d}]}
"""


def test_a_case_of_a_test_file_is_a_script(tmp_path):
    path = tmp_path / "ask.test.yaml"
    path.write_text(TESTS)
    read = read_script(f"{path}::two")
    assert [read.entry(action("question")).answer(), read.entry(action("gate", "approve")).verb] == [2, "approve"]
    # What is about a test's clock is no part of a real run, and so nothing that was forgotten.
    assert read.unused() == ["gate"]


@pytest.mark.parametrize("named,told", [("", "has 2 cases"), ("::three", "no case 'three'")])
def test_of_several_cases_one_is_named(tmp_path, named, told):
    path = tmp_path / "ask.test.yaml"
    path.write_text(TESTS)
    with pytest.raises(RequestError, match=told) as caught:
        read_script(f"{path}{named}")
    assert caught.value.code == "bad_script"
    assert "one, two" in caught.value.hint
