"""Problems as people and programs see them."""

from tests.authoring.support import load
from treadle.authoring.problems import Problem, has_errors, ordered, render, report


def problem(**changes: object) -> Problem:
    fields = {
        "code": "unknown_field", "severity": "error", "file": "a.yaml", "line": 2, "column": 3, "path": "x", "message": "no", "suggestion": "yes",
    }  # fmt: skip
    return Problem(**{**fields, **changes})  # type: ignore[arg-type]


def test_a_problem_is_shown_with_its_line_and_a_caret() -> None:
    assert render([problem()], {"a.yaml": "name: a\n  foo: 1\n"}) == (
        "a.yaml:2:3: error[unknown_field]: no\n 2 |   foo: 1\n   |   ^\n help: yes"
    )


def test_a_long_line_is_cut_around_the_place_and_tabs_keep_the_caret_in_line() -> None:
    shown = render([problem(line=1, column=501, suggestion="")], {"a.yaml": "x" * 500 + "HERE" + "y" * 500})
    text, caret = shown.splitlines()[1:]
    assert len(text) < 120
    assert text[caret.index("^")] == "H"
    shown = render([problem(line=1, column=3, suggestion="")], {"a.yaml": "\t\tx"})
    assert shown.splitlines()[2] == "   | \t\t^"


def test_a_problem_without_its_source_is_shown_without_a_line() -> None:
    assert render([problem(suggestion="")], {}) == "a.yaml:2:3: error[unknown_field]: no"


def test_characters_that_a_terminal_would_obey_are_not_shown() -> None:
    assert "\x1b" not in render([problem(line=1, column=1)], {"a.yaml": "\x1b[31mred"})


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
