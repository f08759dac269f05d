"""What a later version builds is checked from the start, and keeps its workflow from being started, by name (ruling 62)."""

import pytest

from tests.authoring.support import load
from treadle.authoring.model import COMMON, FILE, TYPES
from treadle.core.errors import RequestError

STEPS = {
    "flow": "{flow: browser:login}",
    "integration": "{integration: slack, inputs: {x: 1}}",
}
COMMON_FIELDS = {
    "tools": "{allow: [read], deny: write}",
}
OTHERS = {
    "skill": "{delegate: x, skill: writing}",
    "reads": "{delegate: x, reads: [a]}",
    "writes": "{delegate: x, writes: b}",
    "model": "{delegate: x, model: large}",
    "performer: headless": "{delegate: x, performer: headless}",
    "assurance: proven": "{approve: x, assurance: proven}",
}
TOP = {
    "tools": "{deny: [x]}",
    "trigger": "{every: day}",
}


def workflow(step: str, extra: str = "") -> str:
    return f"name: a\nsteps:\n  - {{id: start, prompt: hi}}\n  - {{id: gate, approve: hi}}\n  - {step}\n{extra}"


def not_yet(text: str) -> list[str]:
    loaded = load(text)
    assert [p for p in loaded.problems if p.severity == "error"] == [], "\n".join(map(str, loaded.problems))
    assert loaded.definition is None
    with pytest.raises(RequestError) as error:
        loaded.require()
    assert error.value.code == "not_yet"
    assert all(row.line > 1 and row.path and row.feature in error.value.message for row in loaded.not_yet)
    return [row.feature for row in loaded.not_yet]


def test_the_examples_below_are_all_there_is() -> None:
    assert set(STEPS) == {name for name, spec in TYPES.items() if spec.later}
    assert set(COMMON_FIELDS) == {name for name, field in COMMON.items() if field.later}
    assert set(TOP) == {name for name, field in FILE.items() if field.later}


@pytest.mark.parametrize("name", STEPS)
def test_a_step_type_that_is_not_built_is_checked_and_refused_by_name(name: str) -> None:
    assert not_yet(workflow(STEPS[name])) == [f"the step type `{name}`"]


@pytest.mark.parametrize("name", COMMON_FIELDS)
def test_a_common_field_that_is_not_built_is_checked_and_refused_by_name(name: str) -> None:
    assert not_yet(workflow(f"{{delegate: x, {name}: {COMMON_FIELDS[name]}}}")) == [f"`{name}`"]


@pytest.mark.parametrize("name", OTHERS)
def test_another_field_that_is_not_built_is_checked_and_refused_by_name(name: str) -> None:
    assert not_yet(workflow(OTHERS[name])) == [f"`{name}`"]


@pytest.mark.parametrize("name", TOP)
def test_a_field_of_the_file_that_is_not_built_is_checked_and_refused_by_name(name: str) -> None:
    assert not_yet(workflow("{prompt: hi}", f"{name}: {TOP[name]}\n")) == [f"`{name}`"]


@pytest.mark.parametrize(
    "step,code",
    [
        ("{while: '{{ true }}', do: [{prompt: hi}]}", "missing_field"),
        ("{repeat: '{{ true }}', condition: '{{ true }}', do: [{type: break}], max_iterations: 3}", "unknown_field"),
        (
            "{type: while, until: '{{ true }}', condition: '{{ true }}', do: [{prompt: hi}], max_iterations: 3}",
            "unknown_field",
        ),
        ("{http: 'https://x.y', method: FETCH}", "bad_value"),
        ("{shell: {cmd: x}}", "wrong_type"),
        ("{parallel: {}}", "wrong_type"),
        ("{parallel: {a: [{prompt: hi}]}, join: most}", "bad_value"),
        ("{wait: 5s, signal: go}", "bad_value"),
        ("{type: wait}", "missing_field"),
        ("{type: wait, duration: 5s, payload: {type: object}}", "field_not_allowed"),
        ("{goto: start}", "missing_field"),
        ("{delegate: x, verify: [{shell: a, files: b}]}", "bad_value"),
        ("{delegate: x, budget: {tokens: 0}}", "out_of_range"),
        ("{delegate: x, budget: {usd: lots}}", "wrong_type"),
        ("{foreach: [1], do: [{prompt: hi}], min_success: 2}", "field_not_allowed"),
        ("{foreach: [1], do: [{prompt: hi}], on_item_error: collect, min_success: 101%}", "bad_name"),
        ("{approve: x, by: {rôle: editor}}", "unknown_field"),
        ("{merge: 5}", "wrong_type"),
        ("{type: break, output_to: x}", "field_not_allowed"),
    ],
)
def test_what_is_not_built_is_checked_all_the_same(step: str, code: str) -> None:
    errors = [p.code for p in load(workflow(step)).problems if p.severity == "error" and p.code != "outside_loop"]
    assert errors == [code]
