"""What a description says, for workflows of every kind; a file that cannot be used is described by its problems."""

import pytest

from tests.authoring import drawn
from tests.authoring.support import load
from treadle.authoring import model
from treadle.authoring.describe import describe


def step(found, address):
    return next(row for row in found["steps"] if row["address"] == address)


def test_the_example_with_every_block_has_every_step_type():
    shown = {row["type"] for row in describe(drawn.loaded(drawn.EVERY))["steps"]}
    assert shown == set(model.TYPES)


def test_who_does_what_with_which_effect():
    found = describe(drawn.loaded(drawn.EVERY))
    by = {row["address"]: (row["by"], row["effect"]) for row in found["steps"]}
    assert by["ask"] == ("a person", "none")
    assert by["gate"] == ("somebody with the role editor, but not whoever started it, never an agent", "none")
    assert by["each[]/look"] == ("the branch's sub-agent", "write")
    assert by["which.green/do-green"] == ("a fresh sub-agent", "write")
    assert by["fetch"] == ("treadle", "read")
    assert found["effects"]["pay"] == ["each[]/keep"]
    assert "finally/say-bye" in by
    assert "which.deep%20blue/again" in by
    assert "fetch.on_error/note-it" in by


def test_reads_are_inferred_where_none_are_declared_and_writes_are_named():
    found = describe(load("""
        name: x
        initial_state: {a: 1, b: {c: 2}}
        steps:
          - {id: one, delegate: "{{ state.a }} {{ state.b.c }}", output_to: a}
          - {id: two, delegate: "{{ state.a }}", needs_state: [a]}
          - {return: "{{ state.a }}"}
    """))  # fmt: skip
    assert (step(found, "one")["reads"], step(found, "one")["reads_inferred"], step(found, "one")["writes"]) == (["a", "b.c"], True, ["a"])
    assert (step(found, "two")["reads"], step(found, "two")["reads_inferred"]) == (["a"], False)


def test_what_may_cost_counts_tries_repairs_and_rounds():
    found = describe(load("""
        name: x
        budget: {usd: 1.50, on_exceed: ask}
        steps:
          - id: each
            foreach: [1, 2]
            do:
              - id: a
                delegate: "Do {{ item }}"
                output: {type: string}
                retry: {attempts: 2}
          - {id: b, delegate: Do it, budget: {wall: 1m}}
    """))  # fmt: skip
    assert found["model_calls"] == [
        {"step": "each[]/a", "per_item_of": ["each"], "at_most": 6},
        {"step": "b", "per_item_of": [], "at_most": 1},
    ]
    assert found["budgets"] == [{"at": "x", "usd": "1.50", "on_exceed": "ask"}, {"at": "b", "wall_ms": 60_000}]


def test_approvals_tools_secrets_children_and_functions_are_gathered():
    found = describe(drawn.loaded(drawn.EVERY))
    gate = found["approvals"][0]
    assert (gate["step"], gate["within_ms"], gate["on_reject"]) == ("gate", 172_800_000, "do")
    assert {"step": "each[]/keep", "by": "as decided in gate"}.items() <= found["approvals"][1].items()
    assert ("ledger.pay", "pay", ["each[]/keep"]) in [(row["tool"], row["effect"], row["steps"]) for row in found["tools"]]
    assert [(row["kind"], row["name"]) for row in found["workflows"]] == [
        ("run", "planning:research_task"), ("flow", "browser:login"), ("integration", "github:review"),
    ]  # fmt: skip
    assert [row["name"] for row in found["functions"]] == ["generate_research_tasks"]
    secret = describe(load('name: x\nsteps:\n  - {mcp_call: a.b, parameters: {key: "{{ secrets.KEY }}"}}\n'))
    assert (secret["secrets"], secret["steps"][0]["secrets"]) == (["KEY"], ["KEY"])


def test_a_task_is_shown_once_and_named_where_it_is_used_again():
    found = describe(load("""
        name: x
        tasks:
          part: {inputs: {n: {type: integer, required: true}}, steps: [{id: a, delegate: "{{ inputs.n }}"}]}
        steps:
          - {id: one, foreach: [1], task: part}
          - {id: two, foreach: [2], task: part}
    """))  # fmt: skip
    assert [row["address"] for row in found["steps"]] == ["one", "one[]/a", "two"]
    assert (step(found, "two")["task"], step(found, "two")["task_shown_at"]) == ("part", "one")


def test_digests_tell_definition_and_source_apart():
    ready, later = describe(drawn.loaded("planning:interactive")), describe(drawn.loaded(drawn.EVERY))
    assert ready["digest"].startswith("sha256:")
    assert ready["digest"] != ready["source_digest"]
    assert (later["digest"], later["startable"], later["source_digest"][:7]) == (None, False, "sha256:")
    assert {row["feature"] for row in later["not_yet"]} >= {"the step type `flow`"}


def test_warnings_do_not_hinder_and_errors_leave_only_the_problems():
    warned = describe(load("name: x\nsteps:\n  - {id: a, delegate: hi, output_to: nobody}\n"))
    assert [p["severity"] for p in warned["problems"]] == ["warning"]
    assert [row["id"] for row in warned["steps"]] == ["a"]
    broken = describe(load("name: x\nsteps:\n  - {id: a, promt: hi}\n"))
    assert broken["problems"][0]["line"] == 3
    assert "steps" not in broken


@pytest.mark.parametrize("wanted", drawn.ALL, ids=drawn.named)
def test_addresses_are_unique(wanted):
    addresses = [row["address"] for row in describe(drawn.loaded(wanted))["steps"]]
    assert len(addresses) == len(set(addresses))


def test_addresses_are_those_of_the_definition():
    loaded = load("""
        name: x
        inputs: {c: {type: string, default: red}}
        tasks:
          part: {inputs: {n: {type: integer, required: true}}, steps: [{id: a, prompt: "{{ inputs.n }}"}]}
        steps:
          - id: pick
            switch: "{{ inputs.c }}"
            cases:
              red: [{id: r, prompt: r}]
              "a.b ~ c": [{id: s, prompt: s}]
              on_error: [{id: t, prompt: t}]
            default: [{id: d, prompt: d}]
          - id: both
            parallel:
              one: [{id: p, prompt: p}]
              two: [{id: q, prompt: q}]
          - {id: each, foreach: [1], task: part}
          - id: poll
            while: "{{ steps.pick.status == 'failed' }}"
            max_iterations: 3
            do: [{id: w, prompt: w}, {break: }]
          - id: work
            delegate: Do it
            on_error: {do: [{id: e, prompt: e}]}
            undo: [{id: u, prompt: u}]
            finally: [{id: f, prompt: f}]
          - {id: gate, approve: x, on_reject: {do: [{id: j, prompt: j}]}}
        finally: [{id: bye, prompt: bye, format: info}]
    """)  # fmt: skip
    assert loaded.definition is not None, loaded.not_yet
    assert {row["address"] for row in describe(loaded)["steps"]} == set(loaded.definition.index.steps)
