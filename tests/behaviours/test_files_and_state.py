"""Behaviours 1 to 17 of the system that went before (docs/behaviours.md): files, inputs, state; 11 and 13 hold when a file is checked."""

import asyncio
import textwrap
from typing import Any

import pytest

from tests.behaviours.support import started, steps_of
from tests.cli.here import Here
from tests.mcpserver.support import Shop

ASK = "name: ask\ndescription: from {place}\nsteps: [{{prompt: 'hello from {place}'}}]\n"


def validated(here: Here, text: str) -> list[dict[str, Any]]:
    """The problems that `treadle validate` finds in a file."""
    here.write("workflows/it.yaml", textwrap.dedent(text))
    done = here.treadle("validate", "workflows/it.yaml", "--json")
    problems = done.json["problems"]
    assert (done.code, done.json["ok"]) == ((1, False) if any(p["severity"] == "error" for p in problems) else (0, True))
    return problems


def codes(here: Here, text: str) -> list[str]:
    return [problem["code"] for problem in validated(here, text)]


def test_b01_a_project_file_wins_over_one_of_the_home_and_its_source_is_told(here: Here) -> None:
    here.write("workflows/ask.yaml", ASK.format(place="project"))
    (here.home / ".treadle" / "workflows").mkdir(parents=True)
    (here.home / ".treadle" / "workflows" / "ask.yaml").write_text(ASK.format(place="home"))
    run = here.treadle("run", "ask", "--json")
    assert run.code == 3, run.err
    shown = here.treadle("show", run.json["id"], "--json").json
    assert shown["actions"][0]["params"]["message"] == "hello from project"
    rows = [row for row in here.treadle("list", "--json").json["workflows"] if row["name"] == "ask"]
    assert [(row["origin"], row["hidden_by"]) for row in rows] == [("project", None), ("user", "workflows/ask.yaml")]
    assert here.treadle("describe", "ask", "--json").json["file"] == "workflows/ask.yaml"


def test_b02_all_faults_are_told_at_once_with_path_line_code_and_suggestion(here: Here) -> None:
    problems = validated(
        here,
        """\
        name: Bad Name
        version: 1.0
        inputs: {n: {type: integer, min: 1}}
        steps:
          - {id: x, type: prompti, message: hi}
          - {id: x, prompt: "{{ state.nothing }}", within: 90}
          - {id: y, if: state.n, then: []}
          - {foreach: [1], task: nowhere}
        """,
    )
    assert [(p["code"], p["line"], p["column"]) for p in problems] == [
        ("bad_name", 1, 7), ("wrong_type", 2, 10), ("unknown_field", 3, 29), ("unknown_step_type", 5, 19), ("duplicate_id", 6, 10),
        ("unknown_state", 6, 25), ("bad_duration", 6, 52), ("condition_braces", 7, 17), ("undefined_reference", 8, 26),
    ]  # fmt: skip
    assert all(p["path"] and p["message"] and p["suggestion"] for p in problems)


def test_b03_the_nearest_step_type_is_suggested(here: Here) -> None:
    (problem,) = validated(here, "name: a\nsteps: [{type: delegat, instructions: x}]\n")
    assert (problem["code"], problem["suggestion"]) == ("unknown_step_type", "did you mean `delegate`?")


def test_b04_a_repeated_id_or_key_fails_and_names_both_places(here: Here) -> None:
    (problem,) = validated(here, "name: a\nsteps:\n  - {id: x, prompt: hi}\n  - {id: x, prompt: hi}\n")
    assert (problem["code"], problem["line"], "line 3, column 10" in problem["message"]) == ("duplicate_id", 4, True)
    (problem,) = validated(here, "name: a\nsteps: [{prompt: hi}]\nname: b\n")
    assert (problem["code"], problem["line"], "line 1, column 1" in problem["message"]) == ("duplicate_key", 3, True)


def test_b05_an_unknown_field_of_a_step_is_an_error(here: Here) -> None:
    (problem,) = validated(here, "name: a\nsteps: [{prompt: hi, colour: red}]\n")
    assert (problem["code"], problem["severity"]) == ("unknown_field", "error")


def test_b06_a_foreach_over_a_missing_task_is_an_undefined_reference(here: Here) -> None:
    assert codes(here, "name: a\nsteps: [{foreach: [1], task: research}]\n") == ["undefined_reference"]


async def test_b07_a_syntax_error_in_any_template_is_found_before_anything_runs(store: Shop) -> None:
    store.write(
        "it",
        textwrap.dedent("""\
        name: it
        steps:
          - {id: first, mcp_call: a.first, effect: read}
          - if: "{{ false }}"
            then:
              - mcp_call: a.b
                parameters: {x: [{y: "{{ 1 + }}"}]}
        """),
    )
    async with store.agent() as agent:
        refused = await agent("start_workflow", workflow="it")
    assert (refused["code"], "workflows/it.yaml:7" in refused.text) == ("invalid_definition", True)
    assert (store.outside.calls, await started(store)) == ([], [])


INPUTS = """\
name: it
inputs:
  topic: {type: string, required: true, pattern: "^[a-z]+$"}
  count: {type: integer, minimum: 1, maximum: 9, default: 5}
  tags: {type: array, maxItems: 2, default: []}
steps:
  - prompt: "{{ inputs.topic }} {{ inputs.count }} {{ inputs.tags }}"
"""


async def test_b08_a_missing_required_input_refuses_the_start_and_creates_no_run(store: Shop) -> None:
    store.write("it", INPUTS)
    async with store.agent() as agent:
        refused = await agent("start_workflow", workflow="it", inputs={})
    assert (refused["code"], "`topic` is required" in refused.text) == ("invalid_inputs", True)
    assert await started(store) == []


async def test_b09_the_default_of_an_omitted_input_is_visible_to_the_first_step(store: Shop) -> None:
    store.write("it", INPUTS)
    async with store.agent() as agent:
        step = await agent("start_workflow", workflow="it", inputs={"topic": "tea"})
    assert step["message"] == "tea 5 []"


@pytest.mark.parametrize(
    "given, rule",
    [({"count": 10}, "maximum"), ({"count": 0}, "minimum"), ({"topic": "X"}, "pattern"), ({"tags": [1, 2, 3]}, "maxItems")],
)
async def test_b10_an_input_outside_its_rules_is_refused_by_its_name_and_the_rule(store: Shop, given: dict[str, Any], rule: str) -> None:
    store.write("it", INPUTS)
    async with store.agent() as agent:
        refused = await agent("start_workflow", workflow="it", inputs={"topic": "tea", **given})
    (fault,) = refused["faults"]
    (name,) = given
    assert (refused["code"], fault["path"], fault["rule"], f"`{name}`" in refused.text) == ("invalid_inputs", name, rule, True)
    assert await started(store) == []


def test_b11_a_read_outside_needs_state_is_an_error_of_the_file_that_names_step_and_field(here: Here) -> None:
    (problem,) = validated(
        here,
        """\
        name: a
        initial_state: {a: 1, b: 2}
        steps: [{id: ask, prompt: "{{ state.b }}", needs_state: [a]}]
        """,
    )
    assert (problem["code"], problem["severity"]) == ("outside_needs_state", "error")
    assert "`ask`" in problem["message"]
    assert "state.b" in problem["message"]
    refused = here.treadle("run", "a", "--json")
    assert (refused.code, refused.error["code"]) == (2, "invalid_definition")
    assert here.treadle("runs", "--all", "--json").json["runs"] == []


async def test_b12_needs_state_of_a_star_sees_everything_and_warns(here: Here, store: Shop) -> None:
    text = 'name: a\ninitial_state: {a: 1, b: 2}\nsteps: [{prompt: "{{ state.a }} {{ state.b }}", needs_state: ["*"]}]\n'
    (problem,) = await asyncio.to_thread(validated, here, text)
    assert (problem["code"], problem["severity"]) == ("needs_all_state", "warning")
    store.write("a", text)
    async with store.agent() as agent:
        assert (await agent("start_workflow", workflow="a"))["message"] == "1 2"


def test_b13_a_dotted_entry_opens_no_other_key(here: Here) -> None:
    text = (
        "name: a\ninputs: {user: {type: object, required: true}}\ninitial_state: {user: '{{ inputs.user }}'}\n"
        "steps: [{prompt: '{{ READ }}', needs_state: [user.name]}]\n"
    )
    for read, found in (
        ("state.user.name", []), ("state.user.name.first", []), ("state.user.email", ["outside_needs_state"]), ("state.user", ["outside_needs_state"]),
    ):  # fmt: skip
        assert codes(here, text.replace("READ", read)) == found, read


TYPES = """\
name: it
inputs: {xs: {type: array, required: true}}
initial_state: {single: null, block: null, mixed: null}
steps:
  - set_state:
      single: "{{ inputs.xs }}"
      block: |
        {{ inputs.xs }}
      mixed: "xs: {{ inputs.xs }}"
  - return: {single: "{{ state.single }}", block: "{{ state.block }}", mixed: "{{ state.mixed }}"}
"""


async def test_b14_a_single_expression_keeps_its_type_and_mixed_text_is_text(store: Shop) -> None:
    store.write("it", TYPES)
    async with store.agent() as agent:
        ended = await agent("start_workflow", workflow="it", inputs={"xs": [1, 2]})
    assert ended["result"] == {"single": [1, 2], "block": [1, 2], "mixed": "xs: [1, 2]"}


async def test_b15_of_two_updates_of_which_one_fails_neither_is_written(store: Shop) -> None:
    store.write("it", 'name: it\ninitial_state: {a: 1, b: 1}\nsteps: [{id: put, set_state: {a: 2, b: "{{ 1 // 0 }}"}}]\n')
    async with store.agent() as agent:
        ended = await agent("start_workflow", workflow="it")
        assert (ended["status"], ended["failure"]["step"], ended["failure"]["class"]) == ("failed", "put", "expression")
        assert (await agent("get_run", run_id=ended["run_id"], full=True))["state"] == {"a": 1, "b": 1}


async def test_b16_a_later_update_sees_the_new_value_of_an_earlier_one(store: Shop) -> None:
    store.write(
        "it",
        'name: it\ninitial_state: {a: 1, b: 1}\nsteps: [{set_state: {a: 5, b: "{{ state.a + 1 }}"}}, {return: "{{ [state.a, state.b] }}"}]\n',
    )
    async with store.agent() as agent:
        assert (await agent("start_workflow", workflow="it"))["result"] == [5, 6]


async def test_b17_a_false_when_skips_marks_it_and_leaves_the_output_alone(store: Shop) -> None:
    store.write(
        "it",
        'name: it\ninitial_state: {got: before}\nsteps:\n  - {id: ask, prompt: "?", when: "{{ state.got == \'x\' }}", output_to: got}\n'
        '  - {id: end, return: "{{ [state.got, steps.ask.status, steps.ask.result] }}"}\n',
    )
    async with store.agent() as agent:
        ended = await agent("start_workflow", workflow="it")
        assert ended["result"] == ["before", "skipped", None]
        assert await steps_of(agent, ended["run_id"]) == {"ask": "skipped", "end": "completed"}
