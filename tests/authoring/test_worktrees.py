"""`isolation` and `merge` in files: where `worktree` can be read, what can be merged, and how they are frozen."""

import pytest

from tests.authoring.support import load
from treadle.core.definition import Merge


def problems(steps: str, more: str = "") -> list[tuple[str, str]]:
    found = load(f"name: a\nsteps:\n{steps}{more}").problems
    return [(problem.code, problem.message) for problem in found if problem.severity == "error"]


READABLE = {
    "in a step's own fields": '  - {id: a, delegate: "in {{ worktree.path }}", isolation: worktree}\n',
    "in its handler": '  - {id: a, delegate: x, isolation: worktree, on_error: {do: [{prompt: "{{ worktree.base }}"}]}}\n',
    "in its finally": '  - {id: a, delegate: x, isolation: worktree, finally: [{prompt: "{{ worktree.ref }}"}]}\n',
    "in a round": '  - {id: a, foreach: [1], isolation: worktree, do: [{prompt: "{{ worktree.path }}"}], output: "{{ worktree.path }}"}\n',
    "in a branch": '  - {id: a, type: parallel, isolation: worktree, branches: {l: [{prompt: "{{ worktree.path }}"}]}}\n',
    "deep inside": '  - {id: a, if: "{{ true }}", isolation: worktree, then: [{if: "{{ true }}", then: [{prompt: "{{ worktree.path }}"}]}]}\n',
    "as inputs of a task": '  - {foreach: [1], isolation: worktree, task: t, inputs: {dir: "{{ worktree.path }}"}}\n',
    "after it": '  - {id: a, delegate: x, isolation: worktree}\n  - {prompt: "{{ steps.a.worktree.files }}"}\n',
}
NOT_READABLE = {
    "outside of one": '  - {prompt: "{{ worktree.path }}"}\n',
    "before there is one": '  - {id: a, delegate: x, isolation: worktree, when: "{{ worktree.path }}"}\n',
    "in the items": '  - {id: a, foreach: "{{ worktree.path }}", isolation: worktree, do: [{prompt: hi}]}\n',
    "in its undo": '  - {id: a, delegate: x, isolation: worktree, undo: [{prompt: "{{ worktree.path }}"}]}\n',
    "behind a foreach": '  - {id: a, foreach: [1], do: [{prompt: hi}], isolation: worktree, finally: [{prompt: "{{ worktree.path }}"}]}\n',
    "in a task": "  - {foreach: [1], isolation: worktree, task: sealed, inputs: {}}\n",
}
TASKS = """\
tasks:
  t: {inputs: {dir: {required: true}}, steps: [{prompt: "{{ inputs.dir }}"}]}
  sealed: {steps: [{prompt: "{{ worktree.path }}"}]}
"""
ONE_TASK = TASKS.rpartition("  sealed")[0]


@pytest.mark.parametrize("place", READABLE)
def test_the_worktree_can_be_read_where_it_is(place: str) -> None:
    assert problems(READABLE[place], ONE_TASK) == []


@pytest.mark.parametrize("place", NOT_READABLE)
def test_it_cannot_be_read_elsewhere(place: str) -> None:
    (found,) = [problem for problem in problems(NOT_READABLE[place], TASKS if place == "in a task" else "") if problem[0] == "unknown_name"]
    assert found[1] == "`worktree` is only there inside of one"


@pytest.mark.parametrize(
    "steps, code",
    [
        ("  - {id: a, prompt: hi}\n  - {merge: a}\n", "not_a_worktree"),
        ("  - {id: a, prompt: hi, isolation: worktree}\n  - {merge: b}\n", "unknown_step"),
        ("  - {id: f, foreach: [1], do: [{id: a, prompt: hi, isolation: worktree}]}\n  - {merge: a}\n", "step_not_visible"),
        ("  - {id: a, prompt: hi, isolation: worktree}\n  - {merge: a, strategy: best}\n", "bad_value"),
        ("  - {id: a, prompt: hi, isolation: branch}\n", "bad_value"),
        ('  - {id: a, prompt: hi}\n  - {prompt: "{{ steps.a.worktree.commit }}"}\n', "not_a_worktree"),
        ('  - {id: a, prompt: hi, isolation: worktree}\n  - {prompt: "{{ steps.a.worktree.commits }}"}\n', None),
        ('  - {id: a, prompt: "{{ worktree.paht }}", isolation: worktree}\n', "unknown_name"),
        ("  - {id: a, foreach: [1], as: worktree, do: [{prompt: hi}]}\n", "bad_name"),
    ],
)
def test_what_cannot_be_meant_is_told_when_the_file_is_loaded(steps: str, code: str | None) -> None:
    assert [found[0] for found in problems(steps)] == ([code] if code else [])


def test_a_detached_run_has_no_worktree() -> None:
    steps = "  - {id: a, run: t, inputs: {dir: x}, detach: true, isolation: worktree}\n"
    assert [found[0] for found in problems(steps, ONE_TASK)] == ["bad_value"]


def test_both_are_frozen() -> None:
    definition = load("name: a\nsteps:\n  - {id: a, prompt: hi, isolation: worktree}\n  - {id: m, merge: a, strategy: union}\n").definition
    assert definition is not None
    isolated, merged = definition.main.steps
    assert isolated.isolation
    assert merged.spec == Merge(source="a", strategy="union")
    assert (merged.effect, merged.repeatable, merged.isolation) == ("write", True, False)
