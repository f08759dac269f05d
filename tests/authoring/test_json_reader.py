"""Workflow files and inputs in JSON: the same language, strictly JSON, each fault at its place."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.authoring.support import NOWHERE, project_at, unmarked
from treadle.authoring import find
from treadle.authoring.nodes import DEPTH_MAX, Mapping, data_of
from treadle.authoring.yaml_reader import read_text
from treadle.core.values import normalise

FAULTS = [
    ('{"name": "a",\n «"name": "b"}', "duplicate_key", "first at line 1, column 2"),
    ('{"x": «NaN}', "not_finite", "`NaN`"),
    ('{"x": [1, «-Infinity]}', "not_finite", "`-Infinity`"),
    ('{"x": «1e999}', "number_range", "quote it"),
    ('{"x": «123456789012345678901}', "number_range", "quote it"),
    ('{"x": 1 «// why\n}', "json_syntax", "no comments"),
    ('{«/* why */ "x": 1}', "json_syntax", "no comments"),
    ('«# why\n{"x": 1}', "json_syntax", "a file named .yaml may have them"),
    ('{"x": 1«,}', "json_syntax", "a comma stands before `}` delete the comma"),
    ('{"x": [1, 2«, ]}', "json_syntax", "a comma stands before `]`"),
    ('{"x": 1\n «"y": 2}', "json_syntax", "put a comma between the two"),
    ('{"x": [1«', "json_syntax", "the file ends where `]` is missing"),
    ('{"x": «', "json_syntax", "the file ends where a value is missing"),
    ('{"x" «1}', "json_syntax", "stands no `:`"),
    ("{«'x': 1}", "json_syntax", "double quotes"),
    ("{\"x\": «'y'}", "json_syntax", "double quotes"),
    ("{«x: 1}", "json_syntax", 'write "x"'),
    ('{"x": «True}', "json_syntax", "write `true`"),
    ('{"x": «None}', "json_syntax", "write `null`"),
    ('{"x": «hello}', "json_syntax", 'double quotes: "hello"'),
    ('{"x": «010}', "json_syntax", "without leading zeros"),
    ('{"x": «+1}', "json_syntax", "no number"),
    ('{"x": «.5}', "json_syntax", "no number"),
    ('{"x": "a«\nb"}', "json_syntax", "a line break stands in text"),
    ('{"x": "a«\tb"}', "json_syntax", "a tab stands in text"),
    ('{"x": "a«\\xb"}', "json_syntax", "no escape `\\x`"),
    ('{"x": «"abc', "json_syntax", "not closed"),
    ('{"x": «"\\ud800"}', "json_syntax", "half of a character"),
    ('{"x": «{{ state.y }}}', "unquoted_template", "in double quotes"),
    ('{"x": 1} «{"y": 2}', "json_syntax", "behind the end"),
    ('{"«$treadle.x": 1}'.replace('"«', '«"'), "reserved_key", "rename it"),
    ('{"a«\u200bb": 1}', "invisible_character", "in a name"),
    ("«", "empty_file", "empty"),
    ("[" * DEPTH_MAX + "«[" + "]" * DEPTH_MAX + "]", "too_deep", "nested"),
]


@pytest.mark.parametrize("marked, code, words", FAULTS, ids=lambda value: value if value and value.isidentifier() else "")
def test_each_fault_is_told_once_at_its_place(marked: str, code: str, words: str) -> None:
    text, line, column = unmarked(marked)
    problems = read_text(text, "x.json").problems
    assert [(p.code, p.line, p.column) for p in problems] == [(code, line, column)]
    assert words in f"{problems[0].message} {problems[0].suggestion}"


@pytest.mark.parametrize(
    "text",
    [
        '{\n\t"a":\t[1,\n\t2]\n}',
        '{"a"\n: 1}',
        '{"*a": "&b", "c": "!d", "<<": "%TAG", "e": "a # b", "f": "{{ x }}"}',
        '{"a": "\\/ \\ud83d\\ude00 \\u0041 \x85 \u2028"}',
        '{"' + "k" * 3000 + '": 1}',
        '{"a": [1E5, -0, 1.50, 3.0, true, false, null, [], {}]}',
    ],
)
def test_what_is_json_is_read_as_every_reader_of_json_does(text: str) -> None:
    document = read_text(text, "x.json")
    assert document.problems == []
    assert document.root is not None
    assert data_of(document.root) == normalise(json.loads(text))


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(-1e15, 1e15)
    | st.text(st.characters(exclude_categories=["Cs", "Cf", "Cc"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('abc \u00e9"\\', max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(values, st.booleans(), st.sampled_from([None, 1, "\t"]))
def test_any_value_comes_back_as_it_was_written(value: object, ascii_only: bool, indent: str | int | None) -> None:
    document = read_text(json.dumps(value, ensure_ascii=ascii_only, indent=indent), "x.json")
    assert [p for p in document.problems if p.severity == "error"] == []
    assert document.root is not None
    assert data_of(document.root) == normalise(value)


@given(st.text('{}[],:" \n1truenal\\u0', max_size=30))
def test_what_is_read_without_an_error_is_json_and_nothing_else_is(text: str) -> None:
    document = read_text(text, "x.json")
    errors = {p.code for p in document.problems if p.severity == "error"}
    try:
        json.loads(text)
    except ValueError:
        assert errors
    else:
        assert errors <= {"duplicate_key", "json_syntax"}


def test_values_know_their_lines_and_columns() -> None:
    document = read_text('{\n  "name": "a",\n  "steps": [\n    {"prompt": "hi"}\n  ]\n}', "x.json")
    assert isinstance(document.root, Mapping)
    step = document.root.entries["steps"].items[0]
    assert (step.line, step.column, step.path) == (4, 5, "steps[0]")
    assert (step.keys["prompt"].column, step.entries["prompt"].column, step.entries["prompt"].path) == (6, 16, "steps[0].prompt")


def test_faults_of_the_language_stand_at_their_place_in_json_too() -> None:
    text = """\
{
  "name": "a",
  "steps": [
    {"type": "prompt", "mesage": "hi"},
    {"return": "\\ud83d\\ude00 \\"x\\" {{ state.nope }}"}
  ]
}
"""
    problems = find.load_text(NOWHERE, text, "a.json").problems
    assert [(p.code, p.line, p.column) for p in problems] == [
        ("unknown_field", 4, 24),
        ("unknown_state", 5, 39),
    ]


def test_a_json_file_is_a_workflow_as_a_yaml_file_is(tmp_path: Path) -> None:
    data = {"name": "in:json", "steps": [{"id": "q", "prompt": "hi"}, {"return": "{{ steps.q.result }}"}]}
    project = project_at(tmp_path, workflows__j_json=json.dumps(data, indent=2))
    as_yaml = find.load_text(project, json.dumps(data), "x.yaml")
    loaded = find.load(project, "in:json")
    assert (loaded.problems, loaded.digest) == ((), as_yaml.digest)
