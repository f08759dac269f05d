"""Problems as people and programs see them."""

import unicodedata

import pytest

from tests.authoring.support import load
from treadle.authoring.problems import Problem, has_errors, ordered, render, rendered, report


def problem(**changes: object) -> Problem:
    fields = {
        "code": "unknown_field", "severity": "error", "file": "a.yaml", "line": 2, "column": 3, "path": "x", "message": "no", "suggestion": "yes",
    }  # fmt: skip
    return Problem(**{**fields, **changes})  # type: ignore[arg-type]


def test_a_problem_is_shown_with_its_line_and_what_is_meant_is_marked() -> None:
    assert render([problem()], {"a.yaml": "name: a\n  foo: 1\n"}) == (
        "a.yaml:2:3: error[unknown_field]: no\n 2 |   foo: 1\n   |   ^^^\n help: yes"
    )


def marked(line: str, **changes: object) -> str:
    """Give what stands above the marks, found by the columns that characters take."""
    shown = render([problem(**{"line": 1, "suggestion": "", **changes})], {"a.yaml": line}).splitlines()
    assert len(shown) == 3
    cells = [(c, 0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1) for c in shown[1]]
    columns = [c for c, width in cells for _ in range(width)]
    return "".join(c for c, mark in zip(columns, shown[2], strict=False) if mark == "^")


@pytest.mark.parametrize(
    "line,column,under",
    [
        ("  state.user.name_2 + 1", 3, "state.user.name_2"),
        ("x: steps['a-b'].result, y", 4, "steps['a-b'].result"),
        ('x: "a \\" b" # c', 4, '"a \\" b"'),
        ("x: 'it''s', y", 4, "'it''s'"),
        ("x: {a: [1, 2], b: {}}, c", 4, "{a: [1, 2], b: {}}"),
        ("when: \"{{ 'no' }}\"", 8, "{{ 'no' }}"),
        ("agent: @task now", 8, "@task"),
        ("x: ) y", 4, ")"),
        ("- prompt:", 3, "prompt"),
        ("x: [1, 2", 4, "["),
    ],
)
def test_the_mark_is_as_wide_as_what_stands_there(line: str, column: int, under: str) -> None:
    assert marked(line, column=column) == under


def test_a_known_width_is_marked_and_never_beyond_the_line() -> None:
    assert marked("x: a b c d  ", column=4, width=5) == "a b c"
    assert marked("x: a b c d  ", column=4, width=500) == "a b c d"


def test_tabs_wide_characters_emoji_and_combining_marks_keep_the_mark_in_place() -> None:
    assert render([problem(line=1, column=3, suggestion="")], {"a.yaml": "\t\tx"}).splitlines()[1:] == [" 1 |         x", "   |         ^"]
    assert marked("\u5b57\u5b57: x: HERE", column=8) == "HERE"
    assert marked("\U0001f600 e\u0301: HERE", column=7) == "HERE"
    assert marked("\u5b57 \u5b57\u5b57: y", column=3) == "\u5b57\u5b57\u5b57\u5b57"  # each takes two columns


@pytest.mark.parametrize("filling", ["x", "\u5b57", "\U0001f600"])
@pytest.mark.parametrize("before", [0, 1, 60, 500])
@pytest.mark.parametrize("after", [0, 1, 60, 500])
def test_a_long_line_is_cut_around_the_mark(filling: str, before: int, after: int) -> None:
    line = filling * before + "!HERE!" + filling * after
    assert marked(line, column=before + 2, width=4) == "HERE"
    _, text, _ = render([problem(line=1, column=before + 2, suggestion="")], {"a.yaml": line}).splitlines()
    assert sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text) <= 118
    assert ("…" in text) == (len(line) * (1 if filling == "x" else 2) > 120)


def test_problems_of_one_line_share_it() -> None:
    rows = [problem(column=3), problem(column=9, severity="warning", message="hm", suggestion="")]
    assert render(rows, {"a.yaml": "name: a\n  foo: [ba, z]\n"}).splitlines() == [
        "a.yaml:2:3: error[unknown_field]: no",
        " help: yes",
        "a.yaml:2:9: warning[unknown_field]: hm",
        " 2 |   foo: [ba, z]",
        "   |   ^^^   ^^",
    ]


def test_problems_far_apart_on_one_long_line_are_shown_each_with_its_part() -> None:
    rows = [problem(line=1, column=column, suggestion="") for column in (1, 300)]
    shown = render(rows, {"a.yaml": f"AB{' ' * 297}CD{' ' * 300}"}).splitlines()
    assert len(shown) == 7
    assert ["AB" in shown[1], "CD" in shown[5]] == [True, True]


def test_each_piece_says_what_it_is_so_that_marks_can_be_coloured() -> None:
    (line,) = [
        line for line in rendered([problem(severity="warning")], {"a.yaml": "x\n  foo: 1"}) if any(p.role.endswith("mark") for p in line)
    ]
    assert [(p.text, p.role) for p in line] == [("   | ", "gutter"), ("  ", "gutter"), ("^^^", "warning_mark")]


def test_a_problem_without_its_source_is_shown_without_a_line() -> None:
    assert render([problem(suggestion="")], {}) == "a.yaml:2:3: error[unknown_field]: no"


def test_characters_that_a_terminal_would_obey_are_not_shown() -> None:
    shown = render([problem(line=1, column=1, message="a\x1b[31m\u202eb\nc", suggestion="\x07")], {"a.yaml": "\x1b[31mred\u202e"})
    assert all(char.isprintable() or char == "\n" for char in shown)
    assert "\\u{1b}[31m\\u{202e}b c" in shown


def test_problems_are_ordered_by_place_and_told_once() -> None:
    rows = [
        problem(line=9),
        problem(line=1, column=9),
        problem(line=1, column=2),
        problem(line=9),
        problem(file="A.yaml", line=50),
    ]
    assert [(p.file, p.line, p.column) for p in ordered(rows)] == [
        ("A.yaml", 50, 3),
        ("a.yaml", 1, 2),
        ("a.yaml", 1, 9),
        ("a.yaml", 9, 3),
    ]


def test_the_report_is_the_shape_that_programs_read() -> None:
    loaded = load("name: a\nsteps:\n  - {prompt: hi, outputto: x}\n")
    (row,) = report(loaded.problems)["problems"]
    assert report(loaded.problems)["ok"] is False
    assert row == {
        "code": "unknown_field", "severity": "error", "file": "test.yaml", "line": 3, "column": 18, "path": "steps[0].outputto",
        "message": "`prompt` has no field `outputto`", "suggestion": "did you mean `output_to`?",
    }  # fmt: skip
    assert report([]) == {"ok": True, "problems": []}


def test_strict_makes_warnings_count() -> None:
    assert not has_errors([problem(severity="warning")])
    assert has_errors([problem(severity="warning")], strict=True)
