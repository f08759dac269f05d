"""Calls of registered functions, held against their signatures before anything runs."""

from pathlib import Path

import pytest

from tests.authoring.support import project_at
from treadle.authoring import find
from treadle.config.project import Project

SOURCE = """
    from typing import Literal, Optional

    from treadle.functions import function

    @function(version="1", pure=True)
    def grow(x: int, by: float = 1.5, *, mode: Literal["up", "down"] = "up") -> float: return x + by

    @function(version="1", pure=True)
    def rows(items: list[dict[str, int | None]], title: "str" = "", unknown: "Row" = None) -> list[str]: return []

    @function(version="1", pure=True)
    def any_number(first, *rest: int, **others: str): return None
    """


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return project_at(tmp_path, functions__own_py=SOURCE)


def told(project: Project, steps: str) -> list[tuple[str, int, int, str]]:
    loaded = find.load_text(project, f"name: f\nsteps:\n{steps}", "f.yaml")
    return [(p.code, p.line, p.column, f"{p.message} {p.suggestion}") for p in loaded.problems]


@pytest.mark.parametrize(
    "call, column, words",
    [
        ("grow('2')", 17, "`x` of `grow` is declared as `int`"),
        ("grow(1, 'a')", 17, "`by` of `grow` is declared as `float`"),
        ("grow(1, mode='sideways')", 17, "declared as `Literal['up', 'down']`"),
        ("grow(1, 2, 3)", 17, "takes at most 2 arguments by place, and gets 3"),
        ("grow(1, bye=2)", 17, "has no argument `bye` did you mean `by`?"),
        ("grow(1, x=2)", 17, "gets `x` twice"),
        ("grow()", 17, "needs `x`"),
        ("grow(1) + grow(true)", 27, "declared as `int`"),
        ("rows([], 3)", 17, "`title` of `rows` is declared as `'str'`"),
        ("any_number(1, 2, 'x')", 17, "`rest` of `any_number` is declared as `int`"),
        ("any_number(1, z=2)", 17, "`others` of `any_number` is declared as `str`"),
        ("any_number()", 17, "needs `first`"),
    ],
)
def test_a_call_that_cannot_fit_is_told_where_it_stands(project: Project, call: str, column: int, words: str) -> None:
    ((code, line, at, text),) = told(project, f'  - return: "{{{{ {call} }}}}"\n')
    assert (code, line, at) == ("bad_arguments", 3, column)
    assert words in text


@pytest.mark.parametrize(
    "call",
    [
        "grow(2)",
        "grow(2, 3)",
        "grow(x=2, by=0.5, mode='down')",
        "grow(run.id)",
        "rows([], unknown=3)",
        "rows([{'a': 1, 'b': none}], 'x')",
        "any_number('anything')",
        "any_number(1, 2, 3, z='x')",
    ],
)
def test_what_fits_or_is_not_known_is_silent(project: Project, call: str) -> None:
    assert told(project, f'  - return: "{{{{ {call} }}}}"\n') == []


def test_a_step_of_type_function_is_held_against_the_annotations(project: Project) -> None:
    steps = """\
  - type: function
    function: grow
    parameters:
      x: two
      by: "{{ run.id }}"
      mode: up
"""
    ((code, line, column, text),) = told(project, steps)
    assert (code, line, column) == ("bad_input", 6, 10)
    assert "`x` of `grow` is declared as `int`" in text
    assert told(project, steps.replace("two", "2")) == []
    listed = """\
  - function: rows
    parameters:
      items: [{a: 1}, {a: x}]
"""
    assert [row[:3] for row in told(project, listed)] == [("bad_input", 5, 14)]
