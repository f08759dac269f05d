"""What the reader makes of a text that is in order: values of the 1.2 core schema, and the place of everything."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.authoring.nodes import Mapping, Scalar, Sequence, data_of
from treadle.authoring.yaml_reader import read_text

VALUES = {
    "2026-11-20": "2026-11-20",
    "2001-12-14t21:59:43.10-05:00": "2001-12-14t21:59:43.10-05:00",
    "1_000": "1_000",
    "0b11": "0b11",
    "0o17": 15,
    "0O17": "0O17",
    "017": 17,
    "0xFf": 255,
    "-0xFf": "-0xFf",
    "+12": 12,
    "-0": 0,
    "1.0": 1,
    "1.5": 1.5,
    ".5": 0.5,
    "5.": 5,
    "1e3": 1000,
    "1.e+3": 1000,
    "1e17": 1e17,
    "-0.0": 0,
    "9007199254740993.0": 9007199254740992.0,
    "190:20:30": "190:20:30",
    "yes": "yes",
    "No": "No",
    "on": "on",
    "y": "y",
    "True": True,
    "tRUE": "tRUE",
    "~": None,
    "Null": None,
    "nULL": "nULL",
    "=": "=",
    "1e": "1e",
    ".": ".",
    "-": "-",
    "+": "+",
    "..": "..",
    "0x": "0x",
    "1.10": 1.1,
    "'1'": "1",
    '"true"': "true",
}


@pytest.mark.parametrize("written", [w for w in VALUES if w != "-"])
def test_a_plain_scalar_means_what_the_core_schema_says(written: str) -> None:
    document = read_text(f"x: {written}\n", "f")
    assert document.problems == []
    assert document.root is not None
    value = data_of(document.root)["x"]
    assert value == VALUES[written]
    assert type(value) is type(VALUES[written])


def test_every_node_knows_its_place_and_path() -> None:
    text = 'a:\n  - b: 1\n    "c d": [x, {e: |\n      y}]\n'
    root = read_text('a:\n  - b: 1\n    "c d": [x, {e: y}]\nf: |\n  text\n', "f").root
    del text
    assert isinstance(root, Mapping)
    a = root.entries["a"]
    assert isinstance(a, Sequence)
    first = a.items[0]
    assert isinstance(first, Mapping)
    c = first.entries["c d"]
    assert isinstance(c, Sequence)
    e = c.items[1]
    assert isinstance(e, Mapping)
    assert (a.line, a.column, a.path) == (2, 3, "a")
    assert (first.line, first.column, first.path) == (2, 5, "a[0]")
    assert (c.line, c.column, c.path) == (3, 12, "a[0]['c d']")
    assert (first.keys["c d"].line, first.keys["c d"].column) == (3, 5)
    assert (e.entries["e"].line, e.entries["e"].column, e.entries["e"].path) == (3, 20, "a[0]['c d'][1].e")
    assert (root.entries["f"].line, root.entries["f"].column) == (4, 4)


def test_an_alias_is_unfolded_with_paths_of_its_own_and_the_place_of_its_content() -> None:
    root = read_text("a: &x {b: [1]}\nc: *x\nd: [*x]\n", "f").root
    assert isinstance(root, Mapping)
    assert data_of(root) == {"a": {"b": [1]}, "c": {"b": [1]}, "d": [{"b": [1]}]}
    d = root.entries["d"]
    assert isinstance(d, Sequence)
    inner = d.items[0]
    assert isinstance(inner, Mapping)
    assert (inner.entries["b"].path, inner.entries["b"].line) == ("d[0].b", 1)


def test_an_alias_may_be_a_key() -> None:
    root = read_text("a: &x b\nc: {*x : 1}\n", "f").root
    assert root is not None
    assert data_of(root) == {"a": "b", "c": {"b": 1}}


@pytest.mark.parametrize(
    "text,offset,place",
    [
        ("x: plain text", 6, (1, 10)),
        ("x: 'it''s here'", 5, (1, 11)),
        ('x: "a\\tb\\"c \\u00e9 d"', 6, (1, 13)),
        ("x: |\n  one\n  two\n", 4, (3, 3)),
        ("x: |\n  one\n    two\n", 6, (3, 5)),
        ("x: >-\n  one\n  two\n", 4, (3, 3)),
        ("x: one\n  two three\n", 4, (2, 3)),
        ("x: one\n  two three\n", 8, (2, 7)),
        ("x: | # with a remark\n  one\n", 1, (2, 4)),
        ('x: "one\n  two"\n', 4, (2, 3)),
        ('x: "one \\\n  two"\n', 4, (2, 3)),
        ("x: one two", 3, (1, 7)),
    ],
)
def test_a_place_within_a_scalar_is_found_in_every_style(text: str, offset: int, place: tuple[int, int]) -> None:
    document = read_text(text, "f")
    assert isinstance(document.root, Mapping)
    node = document.root.entries["x"]
    assert isinstance(node, Scalar)
    assert document.source.inside(node.start, node.end, node.style, node.text, offset) == place


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\u2028\u2029\ufffe\uffff\ufeff")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc {}:,\"'#", max_size=6), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(JSON_VALUES, st.booleans(), st.sampled_from([None, 2, "\t"]))
def test_json_is_accepted_as_it_is(value: object, ascii_only: bool, indent: int | str | None) -> None:
    text = json.dumps({"x": value}, ensure_ascii=ascii_only, indent=indent)
    document = read_text(text, "f.json")
    assert [p for p in document.problems if p.severity == "error"] == []
    assert document.root is not None
    assert data_of(document.root) == {"x": value}


def test_places_behind_a_surrogate_pair_are_those_of_the_file() -> None:
    text = '{"x": "\\ud83d\\ude00", "y": 1, "y": 2}'
    (problem,) = read_text(text, "f.json").problems
    assert (problem.code, problem.line, problem.column) == ("duplicate_key", 1, text.rindex('"y"') + 1)
