"""A `run` step: what is frozen of it, how it is named, and what the digest covers."""

from pathlib import Path

from tests.authoring.support import load, project_at
from treadle.core.definition import Run
from treadle.core.index import walk

PARENT = "name: parent\nsteps:\n  - {id: go, run: child, inputs: {n: 1}, close_policy: wait}\n"
CHILD = "name: child\nversion: 1.2.0\ninputs: {n: {type: integer, required: true}}\nsteps:\n  - return: '{{ inputs.n + %d }}'\n"


def steps(definition):
    return list(walk(definition.main.steps))


def test_a_child_of_another_file_is_frozen_with_its_version_and_policy(tmp_path: Path) -> None:
    project = project_at(tmp_path, workflows__child_yaml=CHILD % 1)
    definition = load(PARENT, project).require()
    (go,) = steps(definition)
    assert go.spec == Run(workflow="child", inputs=go.spec.inputs, close_policy="wait")
    assert (definition.children["child"].name, definition.children["child"].version) == ("child", "1.2.0")


def test_a_child_run_is_a_write_that_may_be_repeated_unless_it_says_otherwise(tmp_path: Path) -> None:
    project = project_at(tmp_path, workflows__child_yaml=CHILD % 1)
    (go,) = steps(load(PARENT, project).require())
    assert (go.effect, go.repeatable, go.performer) == ("write", True, "server")
    retried = PARENT.replace("close_policy: wait", "retry: {attempts: 2}")
    assert [p.code for p in load(retried, project).problems] == []
    (pays,) = steps(load(PARENT.replace("close_policy: wait", "effect: pay"), project).require())
    assert (pays.effect, pays.repeatable) == ("pay", False)


def test_the_digest_covers_children_and_the_children_of_children(tmp_path: Path) -> None:
    middle = "name: middle\nsteps: [{id: below, run: child, inputs: {n: 2}}]\n"
    top = "name: top\nsteps: [{id: down, run: middle}]\n"

    def digest(number: int) -> str:
        return load(top, project_at(tmp_path, workflows__child_yaml=CHILD % number, workflows__middle_yaml=middle)).digest

    first = digest(1)
    assert digest(2) != first
    assert digest(1) == first
    definition = load(top, project_at(tmp_path)).require()
    assert list(definition.children) == ["middle"]
    assert list(definition.children["middle"].children) == ["child"]


def test_an_entry_of_tasks_is_run_as_a_workflow_of_its_own() -> None:
    text = "name: a\ntasks: {one: {inputs: {n: {required: true}}, steps: [{return: 1}]}}\nsteps: [{id: go, run: one, inputs: {n: 1}}]\n"
    definition = load(text).require()
    assert list(definition.tasks) == []
    child = definition.children["one"]
    assert (child.name, list(child.main.inputs)) == ("a/one", ["n"])
