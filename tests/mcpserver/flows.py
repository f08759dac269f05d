"""Workflows that several tests drive."""

SMALL = """\
name: small
description: Ask, do, tell
inputs:
  topic: {type: string, required: true}
  depth: {type: integer, minimum: 1, maximum: 5, default: 2}
initial_state: {goal: null, done: null}
steps:
  - id: ask
    prompt: "What is the goal of {{ inputs.topic }} at depth {{ inputs.depth }}?"
    output_to: goal
  - id: shape
    type: set_state
    updates: {goal: "{{ state.goal | upper }}"}
  - id: work
    delegate: "Reach {{ state.goal }}"
    output:
      type: object
      properties: {files: {type: array, items: {type: string}}, ok: {type: boolean}}
      required: [files, ok]
    output_to: done
  - id: finish
    return: {goal: "{{ state.goal }}", files: "{{ state.done.files }}"}
"""

FANNED = """\
name: fanned
initial_state: {things: [], found: []}
steps:
  - id: things
    delegate: "Name the things"
    output: {type: array, items: {type: string}}
    output_to: things
  - id: each
    type: foreach
    items: "{{ state.things }}"
    task: one
    agent: "@task"
    max_parallel: 8
    on_item_error: collect
    output_to: found
  - id: finish
    return: "{{ state.found }}"
tasks:
  one:
    inputs: {thing: {type: string, required: true}}
    initial_state: {seen: null}
    steps:
      - id: look
        delegate: "Look at {{ inputs.thing }}"
        output_to: seen
      - id: weigh
        delegate: "Weigh {{ state.seen }}"
      - id: tell
        return: "{{ inputs.thing }}: {{ steps.weigh.result }}"
"""

GATED = """\
name: gated
initial_state: {plan: null}
steps:
  - id: plan
    delegate: Plan it
    output_to: plan
  - id: gate
    approve: "{{ state.plan }}"
  - id: finish
    return: "{{ state.plan }}"
"""
