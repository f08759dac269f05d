"""Many faults at once: each is told, each once, and none because of another."""

import re
from pathlib import Path
from textwrap import dedent

import pytest

from tests.authoring.support import codes, found, load, project_at

# A mark before each fault names its code.
TWENTY = """
    name: «bad_name»Twenty Faults
    version: «wrong_type»1.0
    inputs:
      topic: {type: string, «unknown_field»min_length: 1, required: true}
      depth: {enum: [quick, deep], default: «bad_default»full}
    initial_state: {plan: null, «bad_name»a-b: 1, notes: []}
    secrets: [TOKEN]
    steps:
      - id: ask
        type: «unknown_step_type»user_input
        message: What now?
      - {id: «duplicate_id»ask, prompt: hi, within: «bad_duration»90}
      - id: read
        prompt: "{{ «unknown_state»state.pla }} {{ «unknown_input»inputs.topik }} {{ state.plan | «unknown_filter»uper }}"
      - «missing_field»type: delegate
      - mcp_call: «bad_name»web_search
        «retry_may_repeat»retry: {attempts: 3}
      - if: «condition_braces»state.plan
        then: [{prompt: "{{ «secret_not_allowed»secrets.TOKEN }}"}]
      - {foreach: «wrong_type»notes, do: [{prompt: hi}]}
      - {goto: «unknown_step»reed, max_visits: 3}
    finally:
      - «step_not_allowed»return: 1
    output: {plan: "{{ state.plan + «syntax»}}", mode: "{{ «unknown_name»mode }}"}
"""


def marked(text: str) -> tuple[str, list[tuple[str, int, int]]]:
    """Give the text without its marks, and what they say: code, line and column."""
    places: list[tuple[str, int, int]] = []
    lines: list[str] = []
    for number, line in enumerate(dedent(text).lstrip("\n").split("\n"), 1):
        parts = re.split("«([a-z_]+)»", line)
        clean = parts[0]
        for code, rest in zip(parts[1::2], parts[2::2], strict=True):
            places.append((code, number, len(clean) + 1))
            clean += rest
        lines.append(clean)
    return "\n".join(lines), places


def test_a_file_with_twenty_faults_gives_exactly_these() -> None:
    text, places = marked(TWENTY)
    loaded = load(text)
    assert found(loaded) == places, "\n".join(map(str, loaded.problems))
    assert len(places) >= 20
    assert len({code for code, _, _ in places}) >= 16


# One mistake, and all that could be said because of it.
ALONE = {
    "a misspelt type of a step that others read": """
        name: a
        steps:
          - {id: ask, type: «unknown_step_type»promt, message: hi, output_to: answer}
          - {return: "{{ state.answer ~ steps.ask.result.confirmed }}"}
        """,
    "a list of steps that is none": """
        name: a
        steps:
          - if: "{{ true }}"
            then: «wrong_type»{id: ask, prompt: hi}
          - return: 1
        """,
    "an unknown state field that is needed too": """
        name: a
        initial_state: {plan: 1}
        steps:
          - {prompt: "{{ «unknown_state»state.plam }}", needs_state: [plan]}
        """,
    "an entry with `state.` in front of it": """
        name: a
        initial_state: {plan: 1}
        steps:
          - {prompt: "{{ state.plan }}", needs_state: [«bad_name»state.plan]}
        """,
    "an input that could not be read": """
        name: a
        inputs: {n: «wrong_type»integer}
        steps:
          - {prompt: "{{ inputs.n }}", when: "{{ inputs.n == 3 }}"}
        """,
    "an initial state that could not be read": """
        name: a
        initial_state: {plan: "{{ 1 + «syntax»}}"}
        steps:
          - {prompt: "{{ state.plan.x }}"}
        """,
    "a task with a fault": """
        name: a
        steps:
          - {id: each, foreach: [1], task: t}
          - return: "{{ steps.each.result }}"
        tasks:
          t:
            inputs: {n: {type: integer, «unknown_field»min: 1, required: true}}
            steps: [{return: "{{ inputs.n }}"}]
        """,
    "a loop whose rounds are unknown": """
        name: a
        initial_state: {n: 1}
        steps:
          - while: "{{ state.n < 3 }}"
            max_iterations: 5
            do: [{type: «unknown_step_type»setstate2, updates: {n: 2}}]
        """,
    "a step behind the end of all paths, and what it writes": """
        name: a
        steps:
          - return: 1
          - «unreachable_step»set_state: {x: 1}
          - prompt: "{{ state.x }}"
        """,
    "a retry whose effect could not be read": """
        name: a
        steps:
          - {mcp_call: a.b, effect: «bad_value»reed, retry: {attempts: 3}}
        """,
    "a form that could not be read": """
        name: a
        steps:
          - {prompt: hi, format: «bad_value»choise, options: [a]}
        """,
    "a step in another loop, read where it may not have run": """
        name: a
        steps:
          - {foreach: [1], do: [{id: ask, prompt: hi}]}
          - return: "{{ «step_not_visible»steps.ask.result.confirmed }}"
        """,
    "a gate that is none": """
        name: a
        steps:
          - {id: ask, type: «unknown_step_type»approv, show: x}
          - {mcp_call: a.b, requires: ask, effect: pay}
        """,
    "a required field by another name": """
        name: a
        steps:
          - {id: s, prompt: hi}
          - {goto: s, «unknown_field»max_iterations: 3}
        """,
    "the only case of a switch without quotes": """
        name: a
        inputs: {x: {type: boolean, required: true}}
        steps:
          - {switch: "{{ inputs.x }}", cases: {«key_not_text»true: [{prompt: hi}]}}
        """,
    "a default that several steps take": """
        name: a
        defaults: {mcp_call: {retry: «retry_may_repeat»{attempts: 3}}}
        steps:
          - {mcp_call: a.b}
          - {mcp_call: a.c}
        """,
    "a wrong kind of a wrong key": """
        name: a
        inputs: {s: {type: string, required: true}}
        steps:
          - {foreach: "{{ «unknown_key»inputs.s.items }}", do: [{prompt: hi}]}
        """,
}


@pytest.mark.parametrize("name", ALONE)
def test_one_mistake_is_one_problem(name: str) -> None:
    text, places = marked(ALONE[name])
    loaded = load(text)
    assert found(loaded) == places, "\n".join(map(str, loaded.problems))


def test_a_function_that_is_not_pure_stands_in_no_expression(tmp_path: Path) -> None:
    source = "from treadle.functions import function\n@function(version='1', pure={pure})\ndef draw() -> int:\n    return 4\n"
    text = "name: a\nsteps:\n  - return: '{{ draw() }}'\n"
    assert codes(text, project_at(tmp_path / "impure", functions__own_py=source.format(pure=False))) == ["not_pure"]
    assert codes(text, project_at(tmp_path / "pure", functions__own_py=source.format(pure=True))) == []


def test_child_workflows_that_lead_back_are_told_at_the_step_that_goes_there(tmp_path: Path) -> None:
    run = "name: {name}\nsteps:\n  - run: {other}\n"
    project = project_at(
        tmp_path,
        workflows__b_yaml=run.format(name="b", other="c"),
        workflows__c_yaml=run.format(name="c", other="b"),
        workflows__d_yaml="name: d\nsteps: [{prompt: hi}]\n",
    )
    (problem,) = load("name: a\nsteps:\n  - prompt: hi\n  - run: b\n", project).problems
    assert (problem.code, problem.line, problem.column) == ("cyclic_tasks", 4, 10)
    assert "b → c → b (workflows/c.yaml, line 3)" in problem.message
    assert codes("name: a\nsteps:\n  - {id: x, run: d}\n  - {id: y, run: d}\n", project) == []


def test_a_child_of_the_project_needs_no_version_and_one_from_elsewhere_does(tmp_path: Path) -> None:
    project = project_at(tmp_path, workflows__b_yaml="name: b\nversion: 1.2.0\nsteps: [{prompt: hi}]\n")
    assert codes("name: a\nsteps: [{run: b}]", project) == []
    assert codes("name: a\nsteps: [{run: b, version: 1.2.0}]", project) == []
    assert codes("name: a\nsteps: [{run: b, version: 1.3.0}]", project) == ["undefined_reference"]
