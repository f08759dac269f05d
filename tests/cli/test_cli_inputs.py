"""Inputs of a run: pairs, JSON, YAML, standard input; what does not fit is told at its line."""

import pytest

from tests.cli.here import Here
from tests.cli.support import Project

WORKFLOW = """\
name: w
inputs:
  count: {type: integer, required: true, minimum: 1}
  tags: {type: array, items: {type: string}, default: []}
  note: {type: string, default: none}
steps:
  - return: "{{ {'count': inputs.count, 'tags': inputs.tags, 'note': inputs.note} }}"
"""


@pytest.fixture
def started(here: Here) -> Here:
    here.write("workflows/w.yaml", WORKFLOW)
    return here


@pytest.mark.parametrize(
    "name, text",
    [
        ("i.json", '{"count": 2, "tags": ["a"], "note": "1"}'),
        ("i.yaml", "count: 2  # two\ntags: [a]\nnote: '1'\n"),
        ("i.txt", '{"count": 2, "tags": ["a"], "note": "1"}'),
    ],
)
def test_inputs_come_from_json_and_yaml_alike(started: Here, name: str, text: str):
    started.write(name, text)
    done = started.treadle("run", "w", "--inputs", name, "--json")
    assert (done.code, done.json["result"]) == (0, {"count": 2, "tags": ["a"], "note": "1"})


def test_pairs_go_before_the_file_and_mend_it(started: Here):
    started.write("i.json", '{"count": 0, "note": "x"}')
    done = started.treadle("run", "w", "--inputs", "i.json", "-i", "count=3", "-i", 'tags=["b"]', "--json")
    assert done.json["result"] == {"count": 3, "tags": ["b"], "note": "x"}


def test_standard_input_is_json_or_yaml(make_project):
    project: Project = make_project(w=WORKFLOW)
    assert project.treadle("run", "w", "--inputs", "-", "--json", given='{"count": 5}').json["result"]["count"] == 5
    done = project.treadle("run", "w", "--inputs", "-", given="count: 5\ncount: 6\n")
    assert done.code == 2
    assert "standard input:2:1" in done.err
    assert "stands twice" in done.err


@pytest.mark.parametrize(
    "name, text, code, places",
    [
        (
            "i.json",
            '{\n  "count": 0,\n  "tags": ["a",\n    3],\n  "nots": "x"\n}',
            "invalid_inputs",
            ["i.json:2:12", "i.json:4:5", "i.json:5:3", "`note`?"],
        ),
        ("i.yaml", "count: two\ntags:\n  - a\n  - 3\n", "invalid_inputs", ["i.yaml:1:8", "i.yaml:4:5", "`tags[1]`"]),
        ("i.json", '{\n  "count": 1,\n}', "bad_file", ["i.json:2:13", "delete the comma"]),
        ("i.json", '{"count": NaN}', "bad_file", ["i.json:1:11", "not_finite"]),
        ("i.json", '{"count": 1, // one\n"note": "x"}', "bad_file", ["i.json:1:14", "no comments"]),
        ("i.yaml", "[1, 2]", "bad_input", ["does not hold a map"]),
        ("i.yaml", "", "bad_file", ["empty_file"]),
    ],
)
def test_what_is_wrong_is_told_at_its_line_and_nothing_is_started(started: Here, name: str, text: str, code: str, places: list[str]):
    started.write(name, text)
    done = started.treadle("run", "w", "--inputs", name, "--json")
    assert (done.code, done.error["code"]) == (2, code)
    for place in places:
        assert place in done.error["message"]
    assert started.treadle("runs", "--all", "--json").json["runs"] == []


@pytest.mark.parametrize(
    "pair, words", [("count=x", "not JSON"), ("count", "NAME=VALUE"), ("count=NaN", "`count`"), ("count=0", "`count`")]
)
def test_a_pair_that_does_not_fit_is_told_with_its_name(started: Here, pair: str, words: str):
    done = started.treadle("run", "w", "-i", pair, "--json")
    assert done.code == 2
    assert words in done.error["message"]
