"""Faults of the file as YAML: each at its exact place, and a near-miss that must be silent."""

import pytest

from tests.authoring.support import Case, assert_case

TAIL = "steps: [{prompt: hi}]\n"
CASES = [
    Case(
        code="duplicate_key",
        bad="""
        name: a
        steps: [{prompt: hi}]
        «name: b
        """,
        near="""
        name: a
        steps: [{prompt: name}, {prompt: name}]
        """,
        says="first at line 1, column 1",
    ),
    Case(
        code="duplicate_key",
        bad="""
        name: a
        steps:
          - type: prompt
            message: hi
            «type: text
        """,
        near="""
        name: a
        steps:
          - type: prompt
            message: hi
            format: text
        """,
        says="first at line 3, column 5",
    ),
    Case(
        code="key_not_text",
        bad="""
        name: a
        initial_state: {«1: x}
        steps: [{prompt: hi}]
        """,
        near="""
        name: a
        initial_state: {one: {"1": x}}
        steps: [{prompt: hi}]
        """,
        says='quote it: "1"',
    ),
    Case(
        code="key_not_text",
        bad="""
        name: a
        inputs: {x: {type: string, default: a}}
        steps:
          - switch: "{{ inputs.x }}"
            cases: {a: [{prompt: hi}], «true: [{prompt: hi}]}
        """,
        near="""
        name: a
        inputs: {x: {type: string, default: a}}
        steps:
          - switch: "{{ inputs.x }}"
            cases: {a: [{prompt: hi}], "true": [{prompt: hi}]}
        """,
    ),
    Case(
        code="key_not_text",
        bad="name: a\n? «[x]\n: y\n" + TAIL,
        near="? name\n: a\n" + TAIL,
    ),
    Case(
        code="merge_key",
        bad="name: a\ninitial_state:\n  s: &s {x: 1}\n  t:\n    «<<: *s\n" + TAIL,
        near='name: a\ninitial_state: {x: {"<<": 1}}\n' + TAIL,
    ),
    Case(
        code="yaml_tag",
        bad="name: «!!str a\n" + TAIL,
        near="name: a\ndescription: '!!str a'\n" + TAIL,
    ),
    Case(
        code="yaml_tag",
        bad="name: a\ninitial_state: «!!python/object:os.system {x: 1}\n" + TAIL,
        near="name: a\ninitial_state: {x: 1}\n" + TAIL,
    ),
    Case(
        code="yaml_directive",
        bad="«%YAML 1.1\n---\nname: a\n" + TAIL,
        near="%YAML 1.2\n---\nname: a\n" + TAIL,
    ),
    Case(
        code="yaml_directive",
        bad="«%TAG ! tag:x,2000:\n---\nname: a\n" + TAIL,
        near="---\nname: a\n" + TAIL + "...\n",
    ),
    Case(
        code="several_documents",
        bad="name: a\n" + TAIL + "«---\nname: b\n",
        near="name: a\n" + TAIL + "# ---\n",
    ),
    Case(
        code="unquoted_template",
        bad="""
        name: a
        initial_state: {x: 1}
        steps:
          - return: «{{ state.x }}
        """,
        near="""
        name: a
        initial_state: {x: 1}
        steps:
          - return: "{{ state.x }}"
        """,
        says='"{{ … }}"',
    ),
    Case(
        code="unquoted_template",
        bad="""
        name: a
        initial_state: {x: 1}
        steps:
          - prompt: «{{ state.x }} is it
        """,
        near="""
        name: a
        initial_state: {x: 1}
        steps:
          - prompt: It is {{ state.x }}
        """,
    ),
    Case(
        code="unquoted_template",
        bad="""
        name: a
        steps:
          - prompt: «{% if true %}hi{% endif %}
        """,
        near="""
        name: a
        steps:
          - prompt: |
              {% if true %}hi{% endif %}
        """,
    ),
    Case(
        code="tab",
        bad="name: a\nsteps:\n«\t- prompt: hi\n",
        near="name: a\nsteps:\n  - prompt: |\n      a\tb\n",
    ),
    Case(
        code="tab",
        bad="name:«\ta\n" + TAIL,
        near="name: a #\ta\n" + TAIL,
    ),
    Case(
        code="recursive_alias",
        bad="name: a\ninitial_state: {x: &x [«*x]}\n" + TAIL,
        near="name: a\ninitial_state: {x: &x [1], y: *x}\n" + TAIL,
    ),
    Case(
        code="unknown_alias",
        bad="name: a\ninitial_state: {x: «*y}\n" + TAIL,
        near='name: a\ninitial_state: {x: "*y"}\n' + TAIL,
    ),
    Case(
        code="yaml_syntax",
        bad="name: a\nsteps:\n  - delegate: do it\n    agent: «@task\n",
        near='name: a\nsteps:\n  - delegate: do it\n    agent: "@task"\n',
        says="double quotes",
    ),
    Case(
        code="yaml_syntax",
        bad="name: a\ndescription: one«: two\n" + TAIL,
        near='name: a\ndescription: "one: two"\n' + TAIL,
        says="quote the text",
    ),
    Case(
        code="yaml_syntax",
        bad="name: a\nsteps: [{prompt: hi}\n«",
        near="name: a\nsteps: [{prompt: hi}\n]\n",
    ),
    Case(
        code="not_finite",
        bad="name: a\ninitial_state: {x: «.inf}\n" + TAIL,
        near='name: a\ninitial_state: {x: ".inf", y: .info}\n' + TAIL,
    ),
    Case(
        code="number_range",
        bad="name: a\ninitial_state: {x: «9223372036854775808}\n" + TAIL,
        near='name: a\ninitial_state: {x: 9223372036854775807, y: "9223372036854775808"}\n' + TAIL,
    ),
    Case(
        code="number_range",
        bad="name: a\ninitial_state: {x: «1e999}\n" + TAIL,
        near="name: a\ninitial_state: {x: 1e99}\n" + TAIL,
    ),
    Case(
        code="control_character",
        bad="name: a«\x00\n" + TAIL,
        near='name: a\ninitial_state: {x: "\\0"}\n' + TAIL,
    ),
    Case(
        code="invisible_character",
        bad="name: a\ninitial_state: {x«\u202e: 1}\n" + TAIL,
        near='name: a\ninitial_state: {x: "\\u202e"}\n' + TAIL,
    ),
    Case(
        code="invisible_text",
        severity="warning",
        bad="name: a\ninitial_state: {x: y«\u202e}\n" + TAIL,
        near="name: a\ninitial_state: {x: y\N{LATIN SMALL LETTER E WITH ACUTE}}\n" + TAIL,
    ),
    Case(
        code="reserved_key",
        bad='name: a\ninitial_state: {x: {«"$treadle.blob": 1}}\n' + TAIL,
        near='name: a\ninitial_state: {x: {"$treadle": 1}}\n' + TAIL,
    ),
    Case(
        code="empty_file",
        bad="«# nothing yet\n",
        near="# a comment first\nname: a\n" + TAIL,
    ),
    Case(
        code="not_a_workflow",
        bad="«- prompt: hi\n",
        near="name: a\n" + TAIL,
    ),
    Case(
        code="too_deep",
        bad="name: a\ninitial_state: {x: " + "[" * 62 + "«" + "[" * 30_000 + "\n" + TAIL,
        near="name: a\ninitial_state: {x: " + "[" * 62 + "]" * 62 + "}\n" + TAIL,
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.code)
def test_a_fault_of_the_yaml_is_told_at_its_place_and_its_near_miss_is_silent(case: Case) -> None:
    assert_case(case)
