"""Faults that reading by the tables finds: one faulty file each, at its exact place, and a near-miss that must be silent."""

import pytest

from tests.authoring.support import Case, assert_case

CASES = [
    Case(
        code="unknown_field",
        bad="""
        name: a
        steps:
          - type: prompt
            message: hi
            «outputto: x
        """,
        near="""
        name: a
        steps:
          - {type: prompt, id: p, message: hi, output_to: x}
          - return: "{{ state.x }}"
        """,
        says="did you mean `output_to`?",
    ),
    Case(
        code="unknown_field",
        bad="""
        name: a
        «step: []
        steps: [{prompt: hi}]
        """,
        near="""
        name: a
        version: 1.2.3
        steps: [{prompt: hi}]
        """,
        says="did you mean `steps`?",
    ),
    Case(
        code="unknown_field",
        bad="""
        name: a
        steps:
          - type: mcp_call
            tool: a.b
            effect: read
            retry: {attempts: 2, «back_off: 1s}
        """,
        near="""
        name: a
        steps:
          - type: mcp_call
            tool: a.b
            effect: read
            retry: {attempts: 2, backoff: 1s, max_backoff: 1m, on: timeout}
        """,
        says="did you mean `backoff`?",
    ),
    Case(
        code="unknown_field",
        bad="""
        name: a
        inputs:
          n: {type: number, «min: 1}
        steps: [{prompt: hi}]
        """,
        near="""
        name: a
        inputs:
          n: {type: number, minimum: 1}
        steps: [{prompt: hi}]
        """,
        says="did you mean `minimum`?",
    ),
    Case(
        code="unknown_step_type",
        bad="""
        name: a
        steps:
          - type: «promt
            message: hi
        """,
        near="""
        name: a
        steps:
          - type: prompt
            message: hi
        """,
        says="did you mean `prompt`?",
    ),
    Case(
        code="unknown_step_type",
        bad="""
        name: a
        steps:
          - type: «user_input
            message: hi
        """,
        near="""
        name: a
        steps:
          - prompt: hi
        """,
        says="did you mean `prompt`?",
    ),
    Case(
        code="missing_type",
        bad="""
        name: a
        steps:
          - «promt: hi
        """,
        near="""
        name: a
        steps:
          - prompt: hi
        """,
        says="did you mean `prompt`?",
    ),
    Case(
        code="missing_type",
        bad="""
        name: a
        steps:
          - «message: hi
        """,
        near="""
        name: a
        steps:
          - {message: hi, type: prompt}
        """,
        says="types: prompt",
    ),
    Case(
        code="two_types",
        bad="""
        name: a
        steps:
          - prompt: hi
            «if: "{{ true }}"
        """,
        near="""
        name: a
        steps:
          - prompt: hi
            when: "{{ true }}"
        """,
        says="`when`",
    ),
    Case(
        code="two_types",
        bad="""
        name: a
        steps:
          - type: prompt
            message: hi
            «delegate: do it
        """,
        near="""
        name: a
        steps:
          - type: prompt
            message: hi
          - delegate: do it
        """,
    ),
    Case(
        code="two_types",
        bad="""
        name: a
        steps:
          - prompt: hi
            «message: again
        """,
        near="""
        name: a
        steps:
          - prompt: hi
            format: info
        """,
    ),
    Case(
        code="missing_field",
        bad="""
        name: a
        steps:
          - «type: prompt
        """,
        near="""
        name: a
        steps:
          - type: prompt
            message: ""
        """,
        says="`message`",
    ),
    Case(
        code="missing_field",
        bad="""
        «version: 1.0.0
        steps: [{prompt: hi}]
        """,
        near="""
        name: a
        steps: [{prompt: hi}]
        """,
        says="`name`",
    ),
    Case(
        code="no_steps",
        bad="""
        name: a
        steps: «[]
        """,
        near="""
        name: a
        steps:
          - if: "{{ true }}"
            then: []
            else: [{prompt: hi}]
        """,
    ),
    Case(
        code="wrong_type",
        bad="""
        name: a
        version: «1.10
        steps: [{prompt: hi}]
        """,
        near="""
        name: a
        version: "1.10.0"
        steps: [{prompt: hi}]
        """,
        says='quote it: "1.10"',
    ),
    Case(
        code="bad_name",
        bad="""
        name: a
        version: «v1
        steps: [{prompt: hi}]
        """,
        near="""
        name: a
        version: 1.0.0-rc.1
        steps: [{prompt: hi}]
        """,
    ),
    Case(
        code="bad_name",
        bad="""
        name: «Planning:Interactive
        steps: [{prompt: hi}]
        """,
        near="""
        name: planning:interactive-2_b
        steps: [{prompt: hi}]
        """,
    ),
    Case(
        code="bad_name",
        bad="""
        name: a
        steps:
          - {id: p, prompt: hi, output_to: «state.x}
          - return: null
        """,
        near="""
        name: a
        steps:
          - {id: p, prompt: hi, output_to: state_x}
          - return: "{{ state.state_x }}"
        """,
        says="write `x`",
    ),
    Case(
        code="bad_name",
        bad="""
        name: a
        steps:
          - set_state: {«user.name: x}
        """,
        near="""
        name: a
        steps:
          - set_state: {user: {name: x}}
        """,
        says="write `user`",
    ),
    Case(
        code="bad_name",
        bad="""
        name: a
        steps:
          - mcp_call: «save
        """,
        near="""
        name: a
        steps:
          - mcp_call: memory.save.v2
        """,
        says="server.tool",
    ),
    Case(
        code="bad_name",
        bad="""
        name: a
        steps:
          - delegate: do it
            agent: «"@Task!"
        """,
        near="""
        name: a
        steps:
          - delegate: do it
            agent: "@task"
          - delegate: do it
            agent: code-standards-reviewer
        """,
    ),
    Case(
        code="bad_name",
        bad="""
        name: a
        steps:
          - {id: «1st, prompt: hi}
        """,
        near="""
        name: a
        steps:
          - {id: _1st-step, prompt: hi}
        """,
    ),
    Case(
        code="duplicate_id",
        bad="""
        name: a
        steps:
          - {id: x, prompt: hi}
          - if: "{{ true }}"
            then:
              - {id: «x, prompt: hi}
        """,
        near="""
        name: a
        steps:
          - {id: x, prompt: hi}
          - if: "{{ true }}"
            then:
              - {id: X, prompt: hi}
        """,
        says="line 3, column 10",
    ),
    Case(
        code="id_collision",
        bad="""
        name: a
        steps:
          - {id: a-b, prompt: hi}
          - {id: «a_b, prompt: hi}
        """,
        near="""
        name: a
        steps:
          - {id: a-b, prompt: hi}
          - {id: ab, prompt: hi}
        """,
    ),
    Case(
        code="implicit_id_taken",
        bad="""
        name: a
        steps:
          - prompt: hi
          - {id: «prompt_0, prompt: hi}
        """,
        near="""
        name: a
        steps:
          - prompt: hi
          - {id: prompt_1, prompt: hi}
        """,
    ),
    Case(
        code="wrong_type",
        bad="""
        name: a
        steps: «{prompt: hi}
        """,
        near="""
        name: a
        steps: [{prompt: hi}]
        """,
        says="list of steps",
    ),
    Case(
        code="wrong_type",
        bad="""
        name: a
        steps:
          - «prompt
        """,
        near="""
        name: a
        steps:
          - prompt: ""
        """,
        says="a step is a map",
    ),
    Case(
        code="wrong_type",
        bad="""
        name: a
        steps:
          - prompt: «5
        """,
        near="""
        name: a
        steps:
          - prompt: "5"
        """,
        says="quote it",
    ),
    Case(
        code="wrong_type",
        bad="""
        name: a
        steps:
          - {type: prompt, message: hi, format: choice, options: [a], multiple: «yes}
        """,
        near="""
        name: a
        steps:
          - {type: prompt, message: hi, format: choice, options: [a], multiple: true}
        """,
        says="`true`",
    ),
    Case(
        code="wrong_type",
        bad="""
        name: a
        steps:
          - {foreach: [1], max_parallel: «"5", task: t}
        tasks:
          t: {inputs: {n: {type: integer, required: true}}, steps: [{return: "{{ inputs.n }}"}]}
        """,
        near="""
        name: a
        steps:
          - {foreach: [1], max_parallel: 5, task: t}
        tasks:
          t: {inputs: {n: {type: integer, required: true}}, steps: [{return: "{{ inputs.n }}"}]}
        """,
        says="without quotes",
    ),
    Case(
        code="wrong_type",
        bad="""
        name: a
        initial_state: {xs: []}
        steps:
          - foreach: «xs
            do: [{prompt: "{{ item }}"}]
        """,
        near="""
        name: a
        initial_state: {xs: []}
        steps:
          - foreach: "{{ state.xs }}"
            do: [{prompt: "{{ item }}"}]
        """,
        says="is a list",
    ),
    Case(
        code="wrong_type",
        bad="""
        name: a
        steps:
          - mcp_call: a.b
            parameters: «[1]
        """,
        near="""
        name: a
        inputs: {p: {type: object, required: true}}
        steps:
          - mcp_call: a.b
            parameters: "{{ inputs.p }}"
        """,
    ),
    Case(
        code="out_of_range",
        bad="""
        name: a
        steps:
          - {foreach: [1], max_parallel: «257, do: [{prompt: hi}]}
        """,
        near="""
        name: a
        steps:
          - {foreach: [1], max_parallel: 256, do: [{prompt: hi}]}
        """,
    ),
    Case(
        code="out_of_range",
        bad="""
        name: a
        steps:
          - {prompt: hi, min_length: 5, max_length: «4}
        """,
        near="""
        name: a
        steps:
          - {prompt: hi, min_length: 5, max_length: 5}
        """,
    ),
    Case(
        code="bad_duration",
        bad="""
        name: a
        steps:
          - {prompt: hi, within: «90}
        """,
        near="""
        name: a
        steps:
          - {prompt: hi, within: 90s}
        """,
        says='"90s"',
    ),
    Case(
        code="bad_duration",
        bad="""
        name: a
        steps:
          - {prompt: hi, within: «30m1h}
        """,
        near="""
        name: a
        steps:
          - {prompt: hi, within: 1h30m}
        """,
    ),
    Case(
        code="bad_value",
        bad="""
        name: a
        steps:
          - {prompt: hi, format: «confrim}
        """,
        near="""
        name: a
        steps:
          - {prompt: hi, format: confirm}
        """,
        says="did you mean `confirm`?",
    ),
    Case(
        code="bad_value",
        bad="""
        name: a
        steps:
          - prompt: hi
            on_error: «{fallback: 1, do: [{prompt: hi}]}
        """,
        near="""
        name: a
        steps:
          - prompt: hi
            on_error: {fallback: null}
        """,
        says="exactly one",
    ),
    Case(
        code="bad_value",
        bad="""
        name: a
        steps:
          - prompt: hi
            on_error: «ignore
        """,
        near="""
        name: a
        steps:
          - prompt: hi
            on_error: continue
        """,
    ),
    Case(
        code="template_not_allowed",
        bad="""
        name: a
        inputs: {tool: {type: string, required: true}}
        steps:
          - mcp_call: «"{{ inputs.tool }}"
        """,
        near="""
        name: a
        inputs: {tool: {type: string, required: true}}
        steps:
          - mcp_call: a.b
            description: calls {{ inputs.tool }}, in the words of its author
        """,
    ),
    Case(
        code="template_not_allowed",
        bad="""
        name: a
        inputs: {n: {type: integer, required: true}}
        steps:
          - foreach: [1]
            max_parallel: «"{{ inputs.n }}"
            do: [{prompt: hi}]
        """,
        near="""
        name: a
        inputs: {n: {type: integer, required: true}}
        steps:
          - foreach: "{{ [inputs.n] }}"
            max_parallel: 3
            do: [{prompt: hi}]
        """,
    ),
    Case(
        code="condition_braces",
        bad="""
        name: a
        initial_state: {n: 1}
        steps:
          - if: «state.n > 3
            then: [{prompt: hi}]
        """,
        near="""
        name: a
        initial_state: {n: 1}
        steps:
          - if: "{{ state.n > 3 }}"
            then: [{prompt: hi}]
        """,
        says="{{ state.n > 3 }}",
    ),
    Case(
        code="wrong_type",
        bad="""
        name: a
        steps:
          - prompt: hi
            when: «1
        """,
        near="""
        name: a
        steps:
          - prompt: hi
            when: true
        """,
    ),
    Case(
        code="field_not_allowed",
        bad="""
        name: a
        steps:
          - if: "{{ true }}"
            then: [{prompt: hi}]
            «retry: {attempts: 2}
        """,
        near="""
        name: a
        steps:
          - if: "{{ true }}"
            then: [{prompt: hi, retry: {attempts: 2}}]
        """,
    ),
    Case(
        code="field_not_allowed",
        bad="""
        name: a
        steps:
          - approve: the plan
            «timeout: 2d
        """,
        near="""
        name: a
        steps:
          - approve: the plan
            within: 2d
            on_timeout: reject
        """,
        says="within",
    ),
    Case(
        code="field_not_allowed",
        bad="""
        name: a
        steps:
          - set_state: {x: 1}
            «output_to: y
        """,
        near="""
        name: a
        steps:
          - set_state: {x: 1}
        """,
    ),
    Case(
        code="field_not_allowed",
        bad="""
        name: a
        steps:
          - prompt: hi
            format: confirm
            «options: [a]
        """,
        near="""
        name: a
        steps:
          - prompt: hi
            format: choice
            options: [a]
        """,
        says="format: choice",
    ),
    Case(
        code="field_not_allowed",
        bad="""
        name: a
        defaults:
          «approve: {within: 1h}
        steps: [{prompt: hi}]
        """,
        near="""
        name: a
        defaults:
          mcp_call: {timeout: 1m, on_error: continue}
        steps: [{mcp_call: a.b}]
        """,
    ),
    Case(
        code="field_not_allowed",
        bad="""
        name: a
        defaults:
          mcp_call:
            on_error: {«do: [{prompt: hi}]}
        steps: [{mcp_call: a.b}]
        """,
        near="""
        name: a
        defaults:
          mcp_call:
            on_error: {fallback: null}
        steps: [{mcp_call: a.b}]
        """,
    ),
    Case(
        code="field_not_allowed",
        bad="""
        name: a
        steps:
          - foreach: [1]
            do: [{prompt: hi}]
            «inputs: {x: "{{ item }}"}
        """,
        near="""
        name: a
        steps:
          - foreach: [1]
            do: [{prompt: hi}]
            output: "{{ item }}"
        """,
    ),
    Case(
        code="two_bodies",
        bad="""
        name: a
        steps:
          - foreach: [1]
            task: t
            «do: [{prompt: hi}]
        tasks: {t: {inputs: {n: {type: integer}}, steps: [{prompt: hi}]}}
        """,
        near="""
        name: a
        steps:
          - foreach: [1]
            task: t
        tasks: {t: {inputs: {n: {type: integer}}, steps: [{prompt: hi}]}}
        """,
    ),
    Case(
        code="bad_default",
        bad="""
        name: a
        inputs:
          n: {type: integer, minimum: 1, default: «0}
        steps: [{prompt: hi}]
        """,
        near="""
        name: a
        inputs:
          n: {type: integer, minimum: 1, default: 1}
        steps: [{prompt: hi}]
        """,
    ),
    Case(
        code="required_with_default",
        bad="""
        name: a
        inputs:
          n: {type: integer, required: true, default: «1}
        steps: [{prompt: hi}]
        """,
        near="""
        name: a
        inputs:
          n: {type: integer, required: false, default: 1}
        steps: [{prompt: hi}]
        """,
    ),
    Case(
        code="bad_schema",
        bad="""
        name: a
        steps:
          - delegate: do it
            output: {type: object, properties: {x: {type: «strng}}}
        """,
        near="""
        name: a
        steps:
          - delegate: do it
            output: {type: object, properties: {x: {type: string}}}
        """,
    ),
    Case(
        code="bad_pattern",
        bad="""
        name: a
        steps:
          - prompt: hi
            pattern: «"(a"
        """,
        near="""
        name: a
        steps:
          - prompt: hi
            pattern: "(a){2}[{]{1,2}"
        """,
    ),
    Case(
        code="impossible_gate",
        severity="warning",
        bad="""
        name: a
        steps:
          - approve: the plan
            by: «{user: anna, never: [starter, anna]}
        """,
        near="""
        name: a
        steps:
          - approve: the plan
            by: {user: [anna, ben], never: [starter, anna]}
        """,
    ),
    Case(
        code="shell_template",
        severity="warning",
        bad="""
        name: a
        inputs: {file: {type: string, required: true}}
        steps:
          - shell: «"rm {{ inputs.file }}"
        """,
        near="""
        name: a
        inputs: {file: {type: string, required: true}}
        steps:
          - shell: "ls {{ inputs.file | shell_quote }} {{ 'x' }}"
          - shell: [ls, "{{ inputs.file }}"]
          - shell: ls "$FILE"
            env: {FILE: "{{ inputs.file }}"}
        """,
    ),
    Case(
        code="hidden_name",
        bad="""
        name: a
        steps:
          - type: set_state
            let: {«state: 1}
            updates: {x: 1}
        """,
        near="""
        name: a
        steps:
          - type: set_state
            let: {one: 1}
            updates: {x: "{{ one }}"}
        """,
    ),
    Case(
        code="condition_text",
        bad="""
        name: a
        steps:
          - prompt: hi
            when: "«{{ 'false' }}"
        """,
        near="""
        name: a
        steps:
          - prompt: hi
            when: "{{ false }}"
        """,
    ),
    Case(
        code="not_repeatable",
        bad="""
        name: a
        steps:
          - mcp_call: bank.transfer
            effect: pay
            repeatable: «true
        """,
        near="""
        name: a
        steps:
          - mcp_call: disk.write
            effect: write
            repeatable: true
        """,
    ),
    Case(
        code="retry_may_repeat",
        bad="""
        name: a
        steps:
          - mcp_call: disk.append
            «retry: {attempts: 3}
        """,
        near="""
        name: a
        steps:
          - mcp_call: disk.read
            effect: read
            retry: {attempts: 3}
        """,
        says="`idempotency_key`, `read_back` or `repeatable`",
    ),
    Case(
        code="retry_may_repeat",
        bad="""
        name: a
        steps:
          - mcp_call: mail.send
            effect: send
            «retry: {attempts: 3}
        """,
        near="""
        name: a
        steps:
          - delegate: write the file
            retry: {attempts: 3}
        """,
        says="`idempotency_key` or `read_back`",
    ),
    Case(
        code="unknown_class",
        bad="""
        name: a
        steps:
          - mcp_call: disk.read
            effect: read
            retry: {attempts: 3, on: [timeout, «unavailble]}
        """,
        near="""
        name: a
        steps:
          - mcp_call: disk.read
            effect: read
            retry: {attempts: 3, on: [timeout, unavailable]}
        """,
        says="did you mean `unavailable`?",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.code)
def test_a_faulty_field_is_told_at_its_place_and_its_near_miss_is_silent(case: Case) -> None:
    assert_case(case)
