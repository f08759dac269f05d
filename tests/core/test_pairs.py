"""Modifiers meet: each on every step type (allowed, or refused when the file is loaded), and each pair of those that decide how a step ends.

No row is undefined: a modifier that a type does not carry out is refused by name, and of every pair the order of what follows is written down
(tests/core/pairs.py).
"""

import pytest

from tests.authoring.support import load
from tests.core import matrix
from tests.core.pairs import FOLLOWS, PAIRS, SPEC, told
from treadle.authoring.model import COMMON, TYPES
from treadle.core.events import ActionAnswered

ATTEMPTS = ("timeout", "retry", "effect", "repeatable", "idempotency_key", "read_back", "requires", "verify", "cache")
MODIFIERS = {
    "when": "'{{ true }}'", "output_to": "x", "within": "1s", "on_error": "continue", "budget": "{calls: 1}", "finally": "[{prompt: f}]",
    "undo": "[{prompt: u}]", "timeout": "1s", "retry": "{attempts: 2}", "effect": "read", "repeatable": "true", "idempotency_key": "auto",
    "read_back": "[{prompt: r}]", "requires": "gate", "verify": "{expression: '{{ true }}'}", "cache": "true", "isolation": "worktree",
}  # fmt: skip
STEPS = {
    "prompt": "prompt: hi", "delegate": "delegate: do it", "mcp_call": "mcp_call: s.t", "http": "http: 'http://h/'", "shell": "shell: ls",
    "function": "function: f", "run": "run: other, version: 1.0.0", "merge": "merge: first",
    "approve": "approve: hi", "wait": "wait: 1s", "set_state": "set_state: {x: 1}", "condition": "if: '{{ true }}', then: [{prompt: a}]",
    "switch": "switch: a, cases: {a: [{prompt: a}]}", "foreach": "foreach: [1], do: [{prompt: a}]", "parallel": "type: parallel, branches: {l: [{prompt: a}]}",
    "while": "while: '{{ state.x == 1 }}', max_iterations: 2, do: [{set_state: {x: 2}}]",
    "repeat": "repeat: '{{ state.x == 2 }}', max_iterations: 2, do: [{set_state: {x: 2}}]",
    "break": "type: break", "continue": "type: continue", "goto": "goto: first, max_visits: 2", "return": "return: 1", "fail": "fail: no",
}  # fmt: skip
# What is refused, per type: nothing is attempted there, nothing is given, or nothing takes time.
REFUSED = {
    **dict.fromkeys(("prompt", "delegate", "mcp_call", "http", "shell", "function", "run", "merge"), ()),
    **dict.fromkeys(("approve", "wait"), (*ATTEMPTS, "isolation")),
    **dict.fromkeys(("foreach", "parallel"), ATTEMPTS),
    **dict.fromkeys(("condition", "switch", "while", "repeat"), (*ATTEMPTS, "output_to")),
    "set_state": (*ATTEMPTS, "output_to", "isolation"),
    **dict.fromkeys(("break", "continue", "goto", "return", "fail"), (*ATTEMPTS, "output_to", "within", "budget", "isolation")),
}
NO_MODIFIERS = {"id", "description", "needs_state", "tools"}
LATER = {"flow", "integration"}


def test_every_type_and_modifier_has_its_row():
    assert set(STEPS) == set(REFUSED) == set(TYPES) - LATER
    assert set(MODIFIERS) == set(COMMON) - NO_MODIFIERS


@pytest.mark.parametrize("kind", list(STEPS))
def test_each_modifier_is_allowed_or_refused_where_it_stands(kind):
    refused = [name for name, value in MODIFIERS.items() if _is_refused(kind, name, value)]
    assert sorted(refused) == sorted(REFUSED[kind])


def _is_refused(kind: str, name: str, value: str) -> bool:
    step = f"{{id: s, {STEPS[kind]}, {name}: {value}}}"
    inside = f"  - id: l\n    foreach: [1]\n    do:\n      - {step}\n" if kind in {"break", "continue"} else f"  - {step}\n"
    text = f"name: a\ninitial_state: {{x: 1}}\nsteps:\n  - {{id: first, prompt: hi}}\n  - {{id: gate, approve: hi}}\n{inside}"
    found = [problem for problem in load(text).problems if problem.code == "field_not_allowed"]
    assert all(f"`{name}`" in problem.message for problem in found), found
    return bool(found)


ROWS = [(kind, modifier) for kind in STEPS for modifier in MODIFIERS if modifier not in REFUSED[kind]]


def test_every_modifier_that_a_type_takes_has_a_row_with_what_follows():
    assert set(matrix.KINDS) == set(STEPS)
    assert set(matrix.EXPECTED) == set(MODIFIERS)
    refused = sum(len(names) for names in REFUSED.values())
    assert len(ROWS) + refused == len(STEPS) * len(MODIFIERS)


@pytest.mark.parametrize("kind, modifier", ROWS)
def test_what_follows_from_a_modifier_on_a_type(kind, modifier):
    row = matrix.row(kind, modifier)
    told, play = matrix.said(row)
    assert told == row.told
    if modifier == "output_to":
        assert play.fields["x"] != 0
    if modifier == "idempotency_key":
        assert {event.attempt for event in play.log if isinstance(event, ActionAnswered) and event.action == "s"} == {2}


def test_every_pair_has_its_row():
    assert list(SPEC) == list(FOLLOWS) == PAIRS


@pytest.mark.parametrize("pair", PAIRS)
def test_what_follows_where_two_meet(pair):
    assert told(SPEC[pair]) == FOLLOWS[pair]
