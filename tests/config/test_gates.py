"""Which gates a run could come to: what its inputs rule out is none of them, anything else may be."""

import pytest

from tests.authoring.support import load
from tests.core.clauses import clause
from treadle.config.gates import gates_of
from treadle.core.values import Value

TEXT = """\
name: g
inputs: {two: {type: boolean, default: false}, n: {type: integer}}
initial_state: {late: false}
steps:
  - id: split
    if: "{{ inputs.two }}"
    then:
      - {id: first, approve: x}
      - {id: second, approve: x, by: {role: editor}}
    else:
      - {id: alone, approve: x}
  - {id: many, approve: x, when: "{{ inputs.n > 3 }}"}
  - {id: maybe, approve: x, when: "{{ state.late }}"}
  - {id: call, mcp_call: a.b, requires: {by: {user: ann}}}
"""


@clause("S111")
@pytest.mark.parametrize(
    "given, gates",
    [
        (None, ["first", "second", "alone", "many", "maybe", "call"]),
        ({}, ["alone", "many", "maybe", "call"]),
        ({"two": True, "n": 4}, ["first", "second", "many", "maybe", "call"]),
        ({"two": False, "n": 3}, ["alone", "maybe", "call"]),
    ],
)
def test_what_the_inputs_rule_out_is_no_gate_of_the_run(given: dict[str, Value] | None, gates: list[str]) -> None:
    assert [step.id for step, _by in gates_of(load(TEXT).require(), given)] == gates
