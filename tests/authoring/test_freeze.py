"""Freezing: what a file means, as a Definition that any process names alike."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.authoring.support import NOWHERE, load
from treadle.authoring import find
from treadle.authoring.freeze import digest_of
from treadle.core.codec import dumps, loads
from treadle.core.definition import (
    Approve,
    Condition,
    Definition,
    Delegate,
    Effect,
    Foreach,
    Limits,
    McpCall,
    Performer,
    Prompt,
    Return,
    SetState,
    Step,
)  # fmt: skip
from treadle.core.expr import const

# The digest of GOLDEN. Another one means that stored definitions, and runs that pin them, have changed their names:
# raise LANGUAGE or SEMANTICS, or find out why.
GOLDEN_DIGEST = "sha256:6162c7af4bf9791c7f6ea2092ea9563f6cddb04b674585813f55314ad8e09e4c"
GOLDEN = """
    name: golden
    version: 1.2.3
    description: Everything that this version carries out
    inputs:
      topic: {type: string, required: true}
      deep: {type: boolean, default: false}
    initial_state: {found: [], plan: null, gate: null, note: ""}
    state_schema: {type: object, properties: {found: {type: array}}}
    defaults: {mcp_call: {timeout: 30s}}
    steps:
      - id: ask
        prompt: What about {{ inputs.topic }}?
        format: choice
        options: [a, b, "{{ inputs.topic }}"]
        output_to: note
      - id: search
        mcp_call: web.search
        parameters: {query: "{{ state.note }}", max: 5}
        effect: read
        retry: {attempts: 3, backoff: 2s, on: [timeout, unavailable]}
        on_error: {fallback: {sources: []}}
        output_to: found
      - id: each
        foreach: "{{ state.found }}"
        task: one
        inputs: {item: "{{ item }}", place: "{{ loop.index }}"}
        agent: "@task"
        max_parallel: 3
        on_item_error: collect
      - id: rounds
        foreach: [1, 2]
        sequential: true
        as: number
        do:
          - set_state: {found: "{{ state.found + [number] }}"}
        output: "{{ number * 2 }}"
      - id: write
        delegate: Write about {{ steps.each.result | tojson }}
        agent: writer
        output: {type: object, properties: {text: {type: string}}, required: [text]}
        repair: 1
        within: 2h
        output_to: plan
      - id: gate
        approve: "{{ state.plan }}"
        by: {user: [anna, ben], never: starter}
        within: 2d
        on_reject: {do: [{id: rework, set_state: {plan: null}}]}
        output_to: gate
      - id: choose
        if: "{{ inputs.deep and state.plan is not none }}"
        then: [{type: set_state, let: {x: 1}, updates: {note: "{{ x }}"}}]
        else: [{prompt: Sure?, format: confirm, when: "{{ state.gate.approved }}", on_error: continue}]
      - return: {plan: "{{ state.plan }}", note: "{{ state.note }}"}
    tasks:
      one:
        inputs: {item: {type: object, required: true}, place: {type: integer, required: true}}
        initial_state: {seen: "{{ inputs.item }}"}
        steps: [{return: "{{ [inputs.place, state.seen] }}"}]
    """


def step_of(definition: Definition, name: str) -> Step:
    return next(step for step in definition.main.steps if step.id == name)


def test_every_field_that_is_carried_out_reaches_the_definition() -> None:
    loaded = load(GOLDEN)
    assert [p for p in loaded.problems if p.severity == "error"] == []
    definition = loaded.require()
    assert (definition.name, definition.version, definition.description) == (
        "golden",
        "1.2.3",
        "Everything that this version carries out",
    )
    assert definition.main.inputs["deep"] == {"type": "boolean", "default": False}
    assert [name for name, _ in definition.main.initial_state] == ["found", "plan", "gate", "note"]
    ask, search, each, rounds, write, gate, choose, last = definition.main.steps
    assert isinstance(ask.spec, Prompt)
    assert (ask.spec.format, ask.performer, ask.effect, ask.output_to) == ("choice", "human", "none", "note")
    assert isinstance(search.spec, McpCall)
    assert search.retry is not None
    assert (search.spec.tool, search.timeout_ms, search.effect, search.performer) == (
        "web.search",
        30_000,
        "read",
        "server",
    )
    assert (search.retry.attempts, search.retry.backoff_ms, search.retry.on) == (3, 2_000, ("timeout", "unavailable"))
    assert (search.on_error.policy, search.on_error.fallback) == ("fallback", const({"sources": []}))
    assert isinstance(each.spec, Foreach)
    assert (each.spec.task, each.spec.agent, each.spec.max_parallel, each.spec.on_item_error) == (
        "one",
        "@task",
        3,
        "collect",
    )
    assert [name for name, _ in each.spec.inputs or ()] == ["item", "place"]
    assert isinstance(rounds.spec, Foreach)
    assert (rounds.spec.item_name, rounds.spec.sequential, rounds.spec.task) == ("number", True, None)
    assert isinstance(rounds.spec.do[0].spec, SetState)
    assert isinstance(write.spec, Delegate)
    assert (write.spec.agent, write.repair, write.within_ms, write.performer) == ("writer", 1, 7_200_000, "agent")
    assert (write.effect, write.repeatable) == ("write", True)
    assert isinstance(gate.spec, Approve)
    assert (gate.spec.by.users, gate.spec.by.never, gate.spec.on_reject) == (("anna", "ben"), ("starter",), "do")
    assert gate.spec.reject_steps[0].id == "rework"
    assert isinstance(choose.spec, Condition)
    assert (choose.spec.then[0].id, choose.spec.otherwise[0].id) == ("set_state_1", "prompt_0")
    assert choose.spec.otherwise[0].on_error.policy == "continue"
    assert isinstance(last.spec, Return)
    assert last.id == "return_0"
    assert list(definition.tasks) == ["one"]


def test_a_definition_goes_through_its_stored_form_unchanged() -> None:
    definition = load(GOLDEN).require()
    again = loads(Definition, dumps(definition))
    assert again == definition
    assert digest_of(again) == digest_of(definition)
    assert dumps(again) == dumps(definition)


def test_the_digest_is_the_same_in_every_process(tmp_path: Path) -> None:
    (tmp_path / "golden.yaml").write_text(GOLDEN)
    script = (
        "from pathlib import Path; import sys; from treadle.authoring import find; from treadle.config.project import Project;"
        "root = Path(sys.argv[1]);"
        "print(find.load(Project(root=root, home=root), root / 'golden.yaml').digest)"
    )
    digests = set()
    for seed in ("0", "1", "4242"):
        done = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )  # fmt: skip
        digests.add(done.stdout.strip())
    assert digests == {GOLDEN_DIGEST}


@pytest.mark.parametrize(
    "same",
    [
        "name: a\nsteps:\n- {id: p, prompt: hi, within: 60s}\n",
        "# a remark\nname: 'a'\n\nsteps:\n    - type: prompt   # another\n      message: \"hi\"\n      within: 1m\n      id: p\n",
        '{"steps": [{"id": "p", "type": "prompt", "message": "hi", "within": "1m"}], "name": "a"}',
        "name: a\ndefaults: {prompt: {within: 1m}}\nsteps: [{id: p, prompt: hi}]\n",
        "name: a\nversion: 0.0.0\nsteps: [{id: p, prompt: &x hi, within: 1m, format: text}]\n",
    ],
)
def test_remarks_places_and_form_leave_no_trace_in_the_digest(same: str) -> None:
    assert load(same).digest == load("name: a\nsteps: [{id: p, prompt: hi, within: 1m}]").digest


@pytest.mark.parametrize(
    "other",
    [
        "name: b\nsteps: [{id: p, prompt: hi, within: 1m}]",
        "name: a\nversion: 0.0.1\nsteps: [{id: p, prompt: hi, within: 1m}]",
        "name: a\nsteps: [{id: p, prompt: ho, within: 1m}]",
        "name: a\nsteps: [{id: p, prompt: hi, within: 2m}]",
        "name: a\nsteps: [{id: p, prompt: hi, within: 1m}, {prompt: hi}]",
        "name: a\ninputs: {x: {type: string}}\nsteps: [{id: p, prompt: hi, within: 1m}]",
    ],
)
def test_another_meaning_has_another_digest(other: str) -> None:
    loaded = load(other)
    assert loaded.definition is not None
    assert loaded.digest != load("name: a\nsteps: [{id: p, prompt: hi, within: 1m}]").digest


def test_the_digest_of_the_source_is_kept_apart() -> None:
    one, two = load("name: a\nsteps: [{prompt: hi}]"), load("# hello\nname: a\nsteps: [{prompt: hi}]")
    assert one.digest == two.digest
    assert one.source_digest != two.source_digest


@pytest.mark.parametrize(
    "step,effect,repeatable,performer",
    [
        ("{prompt: hi}", "none", False, "human"),
        ("{approve: hi}", "none", False, "human"),
        ("{set_state: {x: 1}}", "none", False, "server"),
        ("{mcp_call: a.b}", "write", False, "server"),
        ("{mcp_call: a.read}", "read", False, "server"),
        ("{mcp_call: a.read, effect: send}", "send", False, "server"),
        ("{mcp_call: a.b, performer: agent, repeatable: true}", "write", True, "agent"),
        ("{delegate: hi}", "write", True, "agent"),
        ("{delegate: hi, effect: read, repeatable: false}", "read", False, "agent"),
        ("{delegate: hi, effect: pay}", "pay", False, "agent"),
        ("{if: '{{ true }}', then: []}", "none", False, "server"),
        ("{return: 1}", "none", False, "server"),
    ],
)
def test_effect_repeatable_and_performer_have_the_defaults_of_ruling_20(
    step: str, effect: Effect, repeatable: bool, performer: Performer
) -> None:
    finder = find.Finder(NOWHERE, tool_effects={"a.read": "read"})
    entry = find.Entry(name="", path=NOWHERE.root, origin="path", shown="t", place=NOWHERE.root)
    loaded = finder.load(entry, find.read_text(f"name: a\nsteps: [{step}]", "t"))
    frozen = loaded.require().main.steps[0]
    assert (frozen.effect, frozen.repeatable, frozen.performer) == (effect, repeatable, performer)


def test_a_retry_is_allowed_where_the_configuration_says_that_a_tool_only_reads() -> None:
    finder = find.Finder(NOWHERE, tool_effects={"a.read": "read"})
    entry = find.Entry(name="", path=NOWHERE.root, origin="path", shown="t", place=NOWHERE.root)
    text = "name: a\nsteps: [{mcp_call: a.read, retry: {attempts: 2}}]"
    assert finder.load(entry, find.read_text(text, "t")).problems == ()
    assert [p.code for p in load(text).problems] == ["retry_may_repeat"]


def test_needs_state_is_inferred_where_it_is_absent() -> None:
    definition = load("""
        name: a
        initial_state: {user: {name: x}, plan: null, n: 1}
        steps:
          - {id: one, prompt: "{{ state.user.name }} {{ state.user.email | default('') }} {{ state.plan }}"}
          - {id: two, prompt: "{{ state['user'] }} {{ state.user.name }}"}
          - {id: three, prompt: "{{ state }}"}
          - {id: four, set_state: {plan: "{{ state.n }}", user: "{{ state.plan }}"}}
          - {id: five, prompt: hi}
    """).require()
    assert {step.id: step.needs_state for step in definition.main.steps} == {
        "one": ("plan", "user.email", "user.name"), "two": ("user",), "three": ("*",), "four": ("n",), "five": (),
    }  # fmt: skip


def test_ids_that_are_left_out_are_counted_per_type_in_reading_order() -> None:
    definition = load("""
        name: a
        steps:
          - prompt: one
          - if: "{{ true }}"
            then: [{prompt: two}, {id: named, prompt: three}]
          - prompt: four
          - set_state: {x: 1}
    """).require()
    assert [step.id for step in definition.main.steps] == ["prompt_0", "condition_0", "prompt_2", "set_state_0"]
    inner = definition.main.steps[1].spec
    assert isinstance(inner, Condition)
    assert [step.id for step in inner.then] == ["prompt_1", "named"]


def test_backoff_longer_than_its_bound_raises_the_bound() -> None:
    step = load("name: a\nsteps: [{mcp_call: a.b, effect: read, retry: {attempts: 2, backoff: 5m}}]").require().main.steps[0]
    assert step.retry is not None
    assert (step.retry.backoff_ms, step.retry.max_backoff_ms) == (300_000, 300_000)


def test_a_workflow_may_allow_its_expressions_more_moves() -> None:
    bounded = load("name: a\nlimits: {expression_moves: 1000}\nsteps:\n  - return: 1\n").require()
    assert bounded.limits == Limits(expression_moves_max=1_000)
    assert load("name: a\nlimits: {expression_moves: 1000001}\nsteps:\n  - return: 1\n").definition is None


def test_a_required_list_of_an_object_input_stays_a_rule_about_its_keys() -> None:
    main = load("name: a\ninputs: {x: {type: object, required: [k]}}\nsteps: [{prompt: '{{ inputs.x }}'}]").require().main
    assert main.inputs == {"x": {"type": "object", "allOf": [{"required": ["k"]}]}}
