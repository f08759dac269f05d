"""What is not as expected: each with its code, the line that expected it, and only the paths that differ."""

import pytest

from tests.testing.support import ANSWERS, missed, played, written
from treadle.testing.cases import check_file
from treadle.testing.differences import Difference, differences
from treadle.testing.judging import _fits

MISSES = [
    ("status", "expect:\n  status: failed"),
    ("status", "expect:\n  failure: {class: denied}"),
    ("result", "expect:\n  result: {saved: {ok: true}}"),
    ("result_includes", "expect:\n  result_includes: {saved: {ok: false}}"),
    ("state", "expect:\n  state: {saved: {ok: 1}}"),
    ("order", "expect:\n  order: [changes, publish, draft, save]"),
    ("order", "expect:\n  order: [changes, draft, publish]"),
    ("failures", "expect:\n  failures: {match: save}"),
    ("shown", "expect:\n  shown: {match: draft, contains: Light mode}"),
    ("shown", "expect:\n  shown: {match: draft, not_contains: Dark}"),
    ("calls", "expect:\n  calls: []"),
    ("calls", "expect:\n  calls: [{tool: memory.save, times: 2}]"),
    ("calls", "expect:\n  calls: [{tool: memory.save, parameters: {key: notes 1}}]"),
    ("calls", "expect:\n  calls: [{tool: memory.save, match: save, parameters_include: {key: notes 2}}]"),
    ("entry_unused", "# one more\n  - {match: save, answer: 2}"),
    ("entry_unused", "# one more\n  - {match: prompt, answer: 2, times: 1}"),
]


@pytest.mark.parametrize("code,text", MISSES, ids=[f"{n}-{code}" for n, (code, _) in enumerate(MISSES)])
def test_what_differs_is_told_at_the_line_that_expects_it(tmp_path, code, text):
    assert missed(tmp_path, ANSWERS + text) == [(code, 7)]


def test_only_the_differing_paths_are_shown(tmp_path):
    text = ANSWERS + 'expect:\n  result:\n    saved:\n      ko: true\n    at: "2026-01-01T00:00:00.000Z"\n'
    (miss,) = played(tmp_path, text)[0].misses
    assert [(d.path, d.expected, d.came, d.hint) for d in miss.differences] == [
        ("result.saved.ko", "true", "", "there is `ok`"), ("result.saved.ok", "", "true", ""),
    ]  # fmt: skip
    assert miss.place.line == 9


def test_an_action_without_an_answer_comes_with_the_entry_to_add(tmp_path):
    text = "answers:\n  - {match: changes, answer: x}\n"
    (miss,) = played(tmp_path, text)[0].misses
    assert (miss.code, miss.snippet) == ("no_answer", '- {match: draft, answer: {text: ""}}')
    assert missed(tmp_path, text + "".join(f"  {line}\n" for line in miss.snippet.splitlines())) == [("no_answer", 1)]


@pytest.mark.parametrize(
    "answers,snippet",
    [
        ("[{match: changes, answer: x}, {match: draft, answer: {text: y}}]", "- {match: publish, approve: true}"),
        (
            "[{match: changes, answer: x}, {match: draft, answer: {text: y}}, {match: publish, approve: true}]",
            '- {match: save, answer: "…"}',
        ),
    ],
)
def test_the_snippet_is_of_the_kind_that_is_asked_for(tmp_path, answers, snippet):
    (miss,) = played(tmp_path, f"answers: {answers}")[0].misses
    assert miss.snippet == snippet


def test_a_call_that_no_entry_describes_is_told(tmp_path):
    text = ANSWERS + "expect:\n  calls: [{tool: memory.save, parameters: {key: notes 1, value: {text: Now dark.}}, times: 0}]"
    assert missed(tmp_path, text) == [("calls", 7)]


def test_a_shared_answer_that_one_case_uses_is_used(tmp_path):
    text = (
        ANSWERS.replace("}\n  - {match: publish, approve: true", "}\n  - {match: publish, reject: true")
        + """\
cases:
  - {name: rejected, expect: {status: failed}}
  - {name: approved, answers: [{match: publish, approve: true}]}
"""
    )
    assert len(check_file(written(tmp_path, text))) == 2
    with pytest.raises(AssertionError, match=r"notes.test.yaml:5: the entry for `save` \(answer\) was never used by any case"):
        check_file(written(tmp_path, text.rsplit("  - {name: approved", 1)[0]))


@pytest.mark.parametrize(
    "expected,came,found",
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 1.0}, []),
        ({"a": True}, {"a": 1}, ["a"]),
        ({"a": None}, {}, ["a"]),
        ([1, 2], [1], ["[1]"]),
        ([1], [1, 2], ["[1]"]),
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}]}, ["a[0].b"]),
        ("x", "y", [""]),
        ({"a": 1}, [1], [""]),
    ],
)
def test_differences_are_paths(expected, came, found):
    assert [each.path for each in differences(expected, came)] == found


def test_partly_leaves_other_keys_free_at_every_depth():
    assert differences({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}, "d": 3}, partly=True) == []
    assert [d.path for d in differences({"a": [{"b": 1}]}, {"a": [{"b": 1, "c": 2}, {}]}, partly=True)] == ["a[1]"]


@pytest.mark.parametrize(
    "expected,came,hint",
    [
        ("a\n", "a", "white space at the end"),
        ("1", 1, "only one of them is text"),
        ("x" * 50 + "a", "x" * 50 + "b", "they part at character 51"),
    ],
)
def test_what_the_eye_does_not_find_is_said(expected, came, hint):
    (found,) = differences(expected, came)
    assert isinstance(found, Difference)
    assert hint in found.hint


@pytest.mark.parametrize(
    "patterns,came,fits",
    [
        (["a", "b"], "ab", True),
        (["a", "b"], "ba", False),
        (["*", "c"], "abc", True),
        (["*", "b", "*"], "abb", True),
        (["a", "*"], "a", False),
        ([], "", True),
        ([], "a", False),
        (["prompt"], "ab", True),
    ],
)
def test_a_pattern_in_an_order_stands_for_one_or_more_in_a_row(patterns, came, fits):
    assert _fits(tuple(patterns), tuple((name, "prompt") for name in came)) is fits
