"""Each fix on the text that it is for, and what looks like it and has a second reading: that is left to its author."""

import pytest

from tests.authoring.mending import fixed_text, mended

HEAD = """\
name: x
inputs: {what: {type: string, required: true}, n: {type: integer, default: 1}}
initial_state: {plan: null, files: [], count: 0}
steps:
"""
# A line, or lines, of a step list; `→` leads to what becomes of it.
FIXED = """
  - if: state.count > 3 → - if: "{{ state.count > 3 }}"
    then: [{return: 1}]
--
  - if: state.count && inputs.what → - if: "{{ state.count and inputs.what }}"
    then: [{return: 1}]
--
  - if: | # of two lines
      state.count > 3 or → {{ state.count > 3 or
      state.count == 1 → state.count == 1 }}
    then: [{return: 1}]
--
  - if: 'inputs.what == "a"' → - if: '{{ inputs.what == "a" }}'
    then: [{return: 1}]
--
  - if: inputs.what == "a" → - if: '{{ inputs.what == "a" }}'
    then: [{return: 1}]
--
  - id: a
    delegate: {{ inputs.what }} # say what → delegate: "{{ inputs.what }}" # say what
--
  - return: {plan: {{ state.plan }}, n: 1} → - return: {plan: "{{ state.plan }}", n: 1}
--
  - return: {{ inputs.what | replace("a", 'b') }} → - return: '{{ inputs.what | replace("a", ''b'') }}'
--
  - {id: a, type: delegate, agent: @task, instructions: hi} → - {id: a, type: delegate, agent: "@task", instructions: hi}
--
  - return: 50% of: it → - return: "50% of: it"
--
  - return: %d → - return: "%d"
--
  - return: *all → - return: "*all"
--
  - id: a
    type: delegate
    needs_state: [*] → needs_state: ["*"]
    instructions: hi
--
  - delegate: hi
    timeout: 5 minutes 30 seconds → timeout: 5m30s
--
  - delegate: hi
    timeout_seconds: 30 → timeout: 30s
--
  - delegate: hi
    retry: 3 → retry: {attempts: 3}
--
  - foreach: state.files → - foreach: "{{ state.files }}"
    sequential: "yes" → sequential: true
    max_parallel: "3" → max_parallel: 3
    as: file
    timeout: 1h → within: 1h
    do: [{delegate: "{{ file }}"}]
--
  - id: a
    approve: "{{ state.plan }}"
    timeout: 1h → within: 1h
--
  - id: a
    type: delegate
    needs_state: state.plan → needs_state: [plan]
    instructions: "{{ state.plan }}"
--
  - set_state: {state.plan: 1} → - set_state: {plan: 1}
--
  - switch: "{{ state.plan }}"
    cases: {true: [{return: 1}], 2: [{return: 2}]} → cases: {"true": [{return: 1}], "2": [{return: 2}]}
--
  - prompt: hi
    formt: confirm → format: confirm
--
  - id: a-b
    delegate: hi
  - return: "{{ steps.a-b.result }} - {{ steps.a-b.status }}" → - return: "{{ steps.a_b.result }} - {{ steps.a_b.status }}"
--
  - id: a
    delegate: hi
    output: {type: object, properties: {word: {type: string}}}
  - return: "{{ steps.a.word }}" → - return: "{{ steps.a.result.word }}"
--
  - return: "{{ inputs.what.strip().upper() ~ inputs.what.split(',')[0] }}" → - return: "{{ inputs.what | trim | upper ~ (inputs.what | split(','))[0] }}"
--
  - return: "{{ -inputs.n.length() }}" → - return: "{{ -(inputs.n | length) }}"
--
  - return: "{{ len(inputs.what) > 3 && str(inputs.n) == '1' || not inputs.n }}" → - return: "{{ inputs.what | length > 3 and inputs.n | string == '1' or not inputs.n }}"
--
  - return: "{{ inputs.what === 'a' }}" → - return: "{{ inputs.what == 'a' }}"
--
  - return: "{{ inputs.what = 'a' }}" → - return: "{{ inputs.what == 'a' }}"
--
  - return: "{{ inputs.waht | uper }} {{ inputs.n is evn }}" → - return: "{{ inputs.what | upper }} {{ inputs.n is even }}"
--
  - return: "{{ state.plan | to_json | safe }}" → - return: "{{ state.plan | tojson }}"
--
  - return: "{{ plan }} state.palns {{ state.paln }} 'state.paln'" → - return: "{{ state.plan }} state.palns {{ state.plan }} 'state.paln'"
--
  - {type: user_message, message: hi} → - {type: prompt, format: info, message: hi}
--
  - agent_task: hi → - delegate: hi
--
  - delegate: hi
    if: state.count == 1 → when: "{{ state.count == 1 }}"
--
  - foreach: "{{ state.files }}"
    do:
      delegate: hi → - delegate: hi
      timeout: 1s →   timeout: 1s
--
  - delegate: hi
    agent: null →
--
  - delegate: hi
    timeout: 1s
    timeout: 1s →
"""
LEFT = [
    "  - delegate: hi\n    timeout: 90\n",
    '  - delegate: hi\n    timeout: "90"\n',
    "  - delegate: hi\n    retry: {attempts: 2, max_retries: 3}\n",
    "  - delegate: hi\n    retry: attempts: 3\n",
    "  - if: ask me\n    then: [{return: 1}]\n",
    '  - if: "{{ state.count }} > 3"\n    then: [{return: 1}]\n',
    '  - return: "{{ state.plan_b }}"\n',
    '  - return: "{{ inputs.what.lstrip() }} {{ inputs.what.format(1) }}"\n',
    '  - return: "{{ inputs.what | escape }}"\n',
    "  - delegate: hi: there:\n",
    "  - {id: a, delegate: hi, 'a]b': {'c.d': 1}}\n",
    "  - id: my step\n    delegate: hi\n",
    "  - type: task\n    instructions: hi\n",
    "  - user_message: hi\n",
    "  - {type: user_message, message: hi, format: markdown}\n",
    "  - set_state: {plan.title: 1}\n",
    "  - switch: '{{ state.plan }}'\n    cases: {~: [{return: 1}]}\n",
    "  - delegate: a\n    description: one\n    description: two\n",
    "  - return: 1\n---\nname: y\n",
    "  - mcp_call: web_search\n    parameters: {q: 1}\n",
]  # fmt: skip


def _cases() -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for case in FIXED.strip("\n").split("\n--\n"):
        before: list[str] = []
        after: list[str] = []
        for line in case.split("\n"):
            old, arrow, new = line.partition(" →")
            lead = old[: len(old) - len(old.lstrip())]
            before.append(old)
            after += [lead + new.removeprefix(" ")] if new.strip() else [] if arrow else [old]
        found.append(("\n".join(before) + "\n", "\n".join(after) + "\n"))
    return found


@pytest.mark.parametrize("before, after", _cases())
def test_what_has_one_remedy_is_mended_in_place(before: str, after: str) -> None:
    assert fixed_text(HEAD + before) == HEAD + after


@pytest.mark.parametrize("text", LEFT)
def test_what_has_two_readings_is_left_and_told(text: str) -> None:
    done = mended(HEAD + text)
    assert done.text == HEAD + text
    assert done.ground.problems


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_everything_else_stays_to_the_byte(ends: str) -> None:
    text = (
        "# A remark   \n\nname:   'x'\nversion: 1.10  # two parts\n\n\nsteps:\n"
        "    -   id:  a   # odd\n        delegate: >-\n           folded\n           text\n\n"
        "    - {type: wait,duration:   '5 min' }\n# the end"
    ).replace("\n", ends)
    assert fixed_text(text) == text.replace("1.10", "1.10.0").replace("5 min", "5m")


def test_a_fix_that_would_make_something_else_wrong_is_not_kept() -> None:
    # `timeout` would become a second `within`; the name would be taken twice.
    text = HEAD + "  - if: '{{ state.plan }}'\n    timeout: 1s\n    within: 2s\n    then: []\n"
    assert mended(text).text == text
    text = HEAD + "  - set_state: {state.plan: 1, plan: 2}\n"
    assert mended(text).text == text


def test_merge_keys_are_written_out() -> None:
    text = HEAD + (
        "  - id: a\n    type: delegate\n    retry: &again {attempts: 2, backoff: 1s}\n    instructions: hi\n"
        "  - id: b\n    type: delegate\n    retry:\n      <<: *again\n      attempts: 4\n    instructions: hi\n"
    )
    assert fixed_text(text) == text.replace("<<: *again", "backoff: 1s")


def test_tabs_of_indentation_become_spaces_and_those_of_a_text_stay() -> None:
    text = "name: x\nsteps:\n\t- id: a\n\t  delegate: |\n\t\tall:\n\t\t\tmake\n\t\tend\n"
    done = mended(text.replace("\t  ", "\t\t").replace("\t\tdelegate", "\t  delegate"))
    assert "\tmake" in done.text
    tabbed = "name: x\nsteps:\n\t- return:\n\t\t\ta: 1\n\t\t\tb:\t2\n"
    assert fixed_text(tabbed) == "name: x\nsteps:\n  - return:\n      a: 1\n      b: 2\n"


def test_rules_of_inputs_are_unfolded_and_take_the_names_of_json_schema() -> None:
    text = (
        "name: x\ninputs:\n  what:\n    type: str\n    validation:\n      min_length: 1\n      pattern: a+\n"
        "  n: {type: int, validation: {min: 1, max: 3}}\n  all:\n    type: list\n    item_type: string\n    max_items: 3  # few\n"
        "steps:\n  - return: 1\n"
    )
    assert fixed_text(text) == (
        "name: x\ninputs:\n  what:\n    type: string\n    minLength: 1\n    pattern: a+\n"
        "  n: {type: integer, minimum: 1, maximum: 3}\n  all:\n    type: array\n    items: {type: string}\n    maxItems: 3  # few\n"
        "steps:\n  - return: 1\n"
    )


def test_a_fix_says_where_the_fault_stood_in_the_file_as_it_was() -> None:
    text = "name: x\nsteps:\n  - id: a\n    type: user_message\n    mesage: hi\n  - delegate: hi\n    timeout: 1 s\n"
    told = [(f.problem.code, f.line, f.column) for f in mended(text).fixed]
    assert told == [("unknown_step_type", 4, 11), ("unknown_field", 5, 5), ("bad_duration", 7, 14)]


def test_json_files_are_mended_as_json() -> None:
    text = '{"name": "x", "version": 1.1, "steps": [{"type": "delgate", "instructions": "hi", "retry": 2, "repeatable": "true"}]}\n'
    expected = text.replace("1.1", '"1.1.0"').replace("delgate", "delegate").replace(": 2", ': {"attempts": 2}').replace('"true"', "true")
    assert fixed_text(text) == expected
