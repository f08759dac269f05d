"""Faults that only the whole file shows: names, state, loops, gates; each at its exact place, and a near-miss that must be silent."""

import pytest

from tests.authoring.support import Case, assert_case

CASES = [
    Case(
        code="unknown_state",
        bad="""
        name: a
        initial_state: {plan: null}
        steps:
          - return: "{{ «state.plans }}"
        """,
        near="""
        name: a
        initial_state: {plan: null}
        steps:
          - return: "{{ state.plan }}"
        """,
        says="did you mean `plan`?",
    ),
    Case(
        code="unknown_state",
        bad="""
        name: a
        steps:
          - type: mcp_call
            tool: a.b
            parameters:
              first: 1
              second:
                - text: |
                    Dear reader,
                      it is {{ «state.nothing }}.
        """,
        near="""
        name: a
        steps:
          - set_state: {something: 1}
          - type: mcp_call
            tool: a.b
            parameters:
              second:
                - text: |
                    it is {{ state.something }}.
        """,
        says="nothing ever writes it",
    ),
    Case(
        code="unknown_state",
        bad="""
        name: a
        initial_state: {a: "{{ «state.b }}", b: 1}
        steps: [{prompt: hi}]
        """,
        near="""
        name: a
        initial_state: {b: 1, a: "{{ state.b }}"}
        steps: [{prompt: hi}]
        """,
        says="move it up",
    ),
    Case(
        code="unknown_state",
        bad="""
        name: a
        initial_state: {plan: 1}
        steps:
          - prompt: "{{ state.plan }}"
            needs_state: [plan, «plam]
        """,
        near="""
        name: a
        initial_state: {plan: 1}
        steps:
          - prompt: "{{ state.plan }}"
            needs_state: [plan]
        """,
    ),
    Case(
        code="unknown_input",
        bad="""
        name: a
        inputs: {topic: {type: string, required: true}}
        steps:
          - prompt: About {{ «inputs.topci }}
        """,
        near="""
        name: a
        inputs: {topic: {type: string, required: true}}
        steps:
          - prompt: About {{ inputs.topic }}
        """,
        says="did you mean `topic`?",
    ),
    Case(
        code="unknown_name",
        bad="""
        name: a
        initial_state: {plan: null}
        steps:
          - return: "{{ «plan }}"
        """,
        near="""
        name: a
        initial_state: {plan: null}
        steps:
          - return: "{{ state.plan }}"
        """,
        says="write `state.plan`",
    ),
    Case(
        code="unknown_name",
        bad="""
        name: a
        steps:
          - {id: p, prompt: hi}
          - return: "{{ «steps.p.reslt }}"
        """,
        near="""
        name: a
        steps:
          - {id: p, prompt: hi}
          - return: "{{ steps.p.result }}"
        """,
        says="did you mean `result`?",
    ),
    Case(
        code="unknown_name",
        bad="""
        name: a
        steps:
          - {id: p, prompt: "{{ «error.message }}"}
        """,
        near="""
        name: a
        steps:
          - id: p
            prompt: hi
            on_error: {do: [{prompt: "{{ error.message }}"}]}
        """,
        says="`on_error`",
    ),
    Case(
        code="unknown_step",
        bad="""
        name: a
        steps:
          - {id: gather-it, prompt: hi}
          - return: "{{ «steps.gather_its.result }}"
        """,
        near="""
        name: a
        steps:
          - {id: gather-it, prompt: hi}
          - return: "{{ steps.gather_it.result ~ steps['gather-it'].status }}"
        """,
        says="did you mean `gather_it`?",
    ),
    Case(
        code="implicit_id",
        bad="""
        name: a
        steps:
          - prompt: hi
          - return: "{{ «steps.prompt_0.result }}"
        """,
        near="""
        name: a
        steps:
          - {prompt: hi, id: prompt_9}
          - return: "{{ steps.prompt_9.result }}"
        """,
    ),
    Case(
        code="step_not_visible",
        bad="""
        name: a
        steps:
          - id: each
            foreach: [1, 2]
            do: [{id: ask, prompt: hi}]
          - return: "{{ «steps.ask.result }}"
        """,
        near="""
        name: a
        steps:
          - id: each
            foreach: [1, 2]
            do: [{id: ask, prompt: hi}, {prompt: "{{ steps.ask.result }}"}]
            output: "{{ steps.ask.result }}"
          - return: "{{ steps.each.result }}"
        """,
        says="steps.each.result",
    ),
    Case(
        code="step_not_visible",
        bad="""
        name: a
        steps:
          - {id: first, prompt: hi}
          - {foreach: [1], task: t}
        tasks:
          t:
            inputs: {n: {type: integer}}
            steps:
              - return: "{{ «steps.first.result }}"
        """,
        near="""
        name: a
        steps:
          - {id: first, prompt: hi}
          - {foreach: [1], task: t, inputs: {n: "{{ steps.first.result }}"}}
        tasks:
          t:
            inputs: {n: {type: string}}
            steps:
              - return: "{{ inputs.n }}"
        """,
    ),
    Case(
        code="item_outside_loop",
        bad="""
        name: a
        steps:
          - {foreach: [1], task: t}
        tasks:
          t:
            inputs: {n: {type: integer}}
            steps:
              - return: "{{ «item }}"
        """,
        near="""
        name: a
        steps:
          - {foreach: [1], task: t}
        tasks:
          t:
            inputs: {n: {type: integer}}
            initial_state: {number: "{{ item }}", place: "{{ loop.index }}"}
            steps:
              - return: "{{ [state.number, state.place] }}"
        """,
        says="inputs",
    ),
    Case(
        code="item_outside_loop",
        bad="""
        name: a
        steps:
          - foreach: [1]
            do: [{prompt: "{{ item }}"}]
          - prompt: "{{ «loop.index }}"
        """,
        near="""
        name: a
        steps:
          - foreach: [1]
            as: number
            do: [{prompt: "{{ item }} {{ number }} {{ loop.index0 }}"}]
        """,
    ),
    Case(
        code="outside_needs_state",
        bad="""
        name: a
        initial_state: {a: 1, b: 2}
        steps:
          - prompt: "{{ state.a }} {{ «state.b }}"
            needs_state: [a]
        """,
        near="""
        name: a
        initial_state: {a: 1, b: 2}
        steps:
          - prompt: "{{ state.a }} {{ state.b }}"
            needs_state: [a, b]
        """,
        says="add `b`",
    ),
    Case(
        code="outside_needs_state",
        bad="""
        name: a
        initial_state: {a: 1}
        inputs: {key: {type: string, required: true}}
        steps:
          - prompt: "{{ «state[inputs.key] }}"
            needs_state: [a]
        """,
        near="""
        name: a
        initial_state: {a: 1}
        inputs: {key: {type: string, required: true}}
        steps:
          - prompt: "{{ state[inputs.key] }}"
        """,
    ),
    Case(
        code="needs_all_state",
        severity="warning",
        bad="""
        name: a
        initial_state: {a: 1}
        steps:
          - prompt: "{{ state.a }}"
            needs_state: [«"*"]
        """,
        near="""
        name: a
        initial_state: {a: 1}
        steps:
          - prompt: "{{ state.a }}"
            needs_state: [a]
        """,
    ),
    Case(
        code="bad_name",
        bad="""
        name: a
        initial_state: {a: 1}
        steps:
          - prompt: hi
            needs_state: [«state.a]
        """,
        near="""
        name: a
        initial_state: {a: {b: 1}}
        steps:
          - prompt: "{{ state.a.b }}"
            needs_state: [a.b]
        """,
        says="write `a`",
    ),
    Case(
        code="maybe_unset",
        severity="warning",
        bad="""
        name: a
        inputs: {deep: {type: boolean, default: false}}
        steps:
          - if: "{{ inputs.deep }}"
            then: [{set_state: {found: 1}}]
          - return: "{{ «state.found }}"
        """,
        near="""
        name: a
        inputs: {deep: {type: boolean, default: false}}
        steps:
          - if: "{{ inputs.deep }}"
            then: [{set_state: {found: 1}}]
            else: [{set_state: {found: 0}}]
          - return: "{{ state.found }}"
        """,
    ),
    Case(
        code="maybe_unset",
        severity="warning",
        bad="""
        name: a
        steps:
          - {id: p, prompt: hi, output_to: answer, when: "{{ run.id == '1' }}"}
          - return: "{{ «state.answer }}"
        """,
        near="""
        name: a
        initial_state: {answer: null}
        steps:
          - {id: p, prompt: hi, output_to: answer, when: "{{ run.id == '1' }}"}
          - return: "{{ state.answer }}"
        """,
    ),
    Case(
        code="maybe_unset",
        severity="warning",
        bad="""
        name: a
        steps:
          - {id: p, prompt: hi, output_to: answer, on_error: continue}
          - return: "{{ «state.answer }}"
        """,
        near="""
        name: a
        steps:
          - {id: p, prompt: hi, output_to: answer, on_error: {fallback: none}}
          - return: "{{ state.answer }}"
        """,
    ),
    Case(
        code="maybe_unset",
        severity="warning",
        bad="""
        name: a
        inputs: {n: {type: integer, default: 1}}
        steps:
          - if: "{{ inputs.n > 1 }}"
            then: [{goto: end, max_visits: 1}]
          - set_state: {x: 1}
          - {id: end, type: return, value: "{{ «state.x }}"}
        """,
        near="""
        name: a
        inputs: {n: {type: integer, default: 1}}
        steps:
          - if: "{{ inputs.n > 1 }}"
            then: [{set_state: {x: 2}}, {goto: end, max_visits: 1}]
          - set_state: {x: 1}
          - {id: end, type: return, value: "{{ state.x }}"}
        """,
    ),
    Case(
        code="step_not_yet",
        severity="warning",
        bad="""
        name: a
        steps:
          - {id: first, prompt: "{{ «steps.second.status }}"}
          - {id: second, prompt: hi}
        """,
        near="""
        name: a
        steps:
          - {id: second, prompt: hi, when: "{{ run.id == '1' }}"}
          - {id: first, prompt: "{{ steps.second.status }}"}
        """,
    ),
    Case(
        code="undeclared_field",
        severity="warning",
        bad="""
        name: a
        initial_state: {answer: null}
        steps:
          - {id: p, prompt: hi, output_to: «answr}
          - return: "{{ [state.answer, state.answr] }}"
        """,
        near="""
        name: a
        steps:
          - {id: p, prompt: hi, output_to: answer}
          - return: "{{ state.answer }}"
        """,
        says="did you mean `answer`?",
    ),
    Case(
        code="unused_output",
        severity="warning",
        bad="""
        name: a
        steps:
          - {id: p, prompt: hi, output_to: «answer}
        """,
        near="""
        name: a
        steps:
          - {id: p, prompt: hi, output_to: answer}
        output: {answer: "{{ state.answer }}"}
        """,
    ),
    Case(
        code="unreachable_step",
        severity="warning",
        bad="""
        name: a
        inputs: {n: {type: integer, default: 1}}
        steps:
          - if: "{{ inputs.n > 1 }}"
            then: [{return: 1}]
            else: [{return: 2}]
          - «prompt: hi
          - prompt: again
        """,
        near="""
        name: a
        inputs: {n: {type: integer, default: 1}}
        steps:
          - if: "{{ inputs.n > 1 }}"
            then: [{return: 1}]
          - {return: 2, when: "{{ inputs.n == 0 }}"}
          - prompt: hi
        """,
    ),
    Case(
        code="parallel_write",
        bad="""
        name: a
        initial_state: {total: 0}
        steps:
          - foreach: [1, 2]
            do:
              - set_state: {«total: "{{ state.total + item }}"}
        """,
        near="""
        name: a
        initial_state: {total: 0}
        steps:
          - foreach: [1, 2]
            sequential: true
            do:
              - set_state: {total: "{{ state.total + item }}"}
        """,
        says="sequential: true",
    ),
    Case(
        code="parallel_write",
        bad="""
        name: a
        initial_state: {last: 0}
        steps:
          - foreach: [1, 2]
            do:
              - if: "{{ item > 1 }}"
                then: [{id: p, prompt: hi, output_to: «last}]
          - return: "{{ state.last }}"
        """,
        near="""
        name: a
        steps:
          - foreach: [1, 2]
            task: t
        tasks:
          t:
            inputs: {n: {type: integer}}
            initial_state: {last: 0}
            steps:
              - {id: p, prompt: hi, output_to: last}
              - return: "{{ state.last }}"
        """,
    ),
    Case(
        code="parallel_conflict",
        bad="""
        name: a
        steps:
          - parallel:
              logs: [{id: l, prompt: hi, output_to: found}]
              metrics: [{id: m, prompt: hi, output_to: «found}]
          - return: "{{ state.found }}"
        """,
        near="""
        name: a
        steps:
          - parallel:
              logs: [{id: l, prompt: hi, output_to: logs}]
              metrics: [{id: m, prompt: hi, output_to: metrics}]
          - return: "{{ [state.logs, state.metrics] }}"
        """,
    ),
    Case(
        code="parallel_conflict",
        bad="""
        name: a
        initial_state: {found: null}
        steps:
          - parallel:
              logs: [{id: l, prompt: hi, output_to: found}]
              metrics: [{id: m, prompt: "{{ «state.found }}"}]
        """,
        near="""
        name: a
        initial_state: {found: null}
        steps:
          - parallel:
              logs: [{id: l, prompt: hi, output_to: found}, {prompt: "{{ state.found }}"}]
              metrics: [{id: m, prompt: hi}]
        """,
    ),
    Case(
        code="outside_loop",
        bad="""
        name: a
        steps:
          - «break:
        """,
        near="""
        name: a
        steps:
          - foreach: [1]
            do: [{if: "{{ item == 1 }}", then: [{break: }]}]
        """,
    ),
    Case(
        code="outside_loop",
        bad="""
        name: a
        steps:
          - foreach: [1]
            do:
              - parallel:
                  x: [«{type: continue}]
        """,
        near="""
        name: a
        steps:
          - foreach: [1]
            do:
              - parallel:
                  x: [{foreach: [2], do: [{type: continue}]}]
        """,
    ),
    Case(
        code="goto_target",
        bad="""
        name: a
        steps:
          - if: "{{ run.id == '1' }}"
            then: [{id: inside, prompt: hi}]
          - {goto: «inside, max_visits: 3}
        """,
        near="""
        name: a
        steps:
          - {id: outside, prompt: hi}
          - if: "{{ run.id == '1' }}"
            then: [{goto: outside, max_visits: 3}]
        """,
    ),
    Case(
        code="unknown_step",
        bad="""
        name: a
        steps:
          - {id: start, prompt: hi}
          - {goto: «strat, max_visits: 3}
        """,
        near="""
        name: a
        steps:
          - {id: start, prompt: hi}
          - {goto: start, max_visits: 3}
        """,
        says="did you mean `start`?",
    ),
    Case(
        code="secret_not_allowed",
        bad="""
        name: a
        steps:
          - prompt: "{{ «secrets.TOKEN }}"
        """,
        near="""
        name: a
        steps:
          - mcp_call: a.b
            parameters: {token: "{{ secrets.TOKEN }}"}
        """,
        says="parameters, headers",
    ),
    Case(
        code="undeclared_secret",
        bad="""
        name: a
        secrets: [TOKEN]
        steps:
          - mcp_call: a.b
            parameters: {token: "{{ «secrets.TOKN }}"}
        """,
        near="""
        name: a
        secrets: [TOKEN]
        steps:
          - mcp_call: a.b
            parameters: {token: "{{ secrets.TOKEN }}"}
        """,
    ),
    Case(
        code="undefined_reference",
        bad="""
        name: a
        steps:
          - {foreach: [1], task: «reserch}
          - {foreach: [1], task: research}
        tasks:
          research: {inputs: {n: {type: integer}}, steps: [{prompt: hi}]}
        """,
        near="""
        name: a
        steps:
          - {foreach: [1], task: research}
        tasks:
          research: {inputs: {n: {type: integer}}, steps: [{prompt: hi}]}
        """,
        says="did you mean `research`?",
    ),
    Case(
        code="unused_task",
        severity="warning",
        bad="""
        name: a
        steps: [{prompt: hi}]
        tasks:
          «research: {steps: [{prompt: hi}]}
        """,
        near="""
        name: a
        steps: [{foreach: [1], task: research}]
        tasks:
          research: {steps: [{prompt: hi}]}
        """,
    ),
    Case(
        code="cyclic_tasks",
        bad="""
        name: a
        steps: [{foreach: [1], task: one}]
        tasks:
          one: {steps: [{foreach: [1], task: two}]}
          two: {steps: [{foreach: [1], task: «one}]}
        """,
        near="""
        name: a
        steps: [{foreach: [1], task: one}, {foreach: [1], task: two}]
        tasks:
          one: {steps: [{foreach: [1], task: two}]}
          two: {steps: [{prompt: hi}]}
        """,
        says="one → two → one",
    ),
    Case(
        code="item_not_mapped",
        bad="""
        name: a
        steps: [{foreach: [1], task: «t}]
        tasks:
          t:
            inputs: {x: {type: integer, required: true}, y: {type: integer, required: true}}
            steps: [{return: "{{ inputs.x + inputs.y }}"}]
        """,
        near="""
        name: a
        steps: [{foreach: [1], task: t}]
        tasks:
          t:
            inputs: {x: {type: integer, required: true}, y: {type: integer, default: 1}}
            steps: [{return: "{{ inputs.x + inputs.y }}"}]
        """,
    ),
    Case(
        code="missing_input",
        bad="""
        name: a
        steps: [{foreach: [1], task: t, inputs: «{x: "{{ item }}"}}]
        tasks:
          t:
            inputs: {x: {type: integer, required: true}, y: {type: integer, required: true}}
            steps: [{return: "{{ inputs.x + inputs.y }}"}]
        """,
        near="""
        name: a
        steps: [{foreach: [1], task: t, inputs: {x: "{{ item }}", y: 2}}]
        tasks:
          t:
            inputs: {x: {type: integer, required: true}, y: {type: integer, required: true}}
            steps: [{return: "{{ inputs.x + inputs.y }}"}]
        """,
    ),
    Case(
        code="unknown_input",
        bad="""
        name: a
        steps: [{foreach: [1], task: t, inputs: {x: "{{ item }}", «z: 2}}]
        tasks:
          t:
            inputs: {x: {type: integer, required: true}}
            steps: [{return: "{{ inputs.x }}"}]
        """,
        near="""
        name: a
        steps: [{foreach: [1], task: t, inputs: {x: "{{ item }}"}}]
        tasks:
          t:
            inputs: {x: {type: integer, required: true}}
            steps: [{return: "{{ inputs.x }}"}]
        """,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.code)
def test_a_fault_of_meaning_is_told_at_its_place_and_its_near_miss_is_silent(case: Case) -> None:
    assert_case(case)
