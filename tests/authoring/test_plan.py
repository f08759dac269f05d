"""Plans: what inputs decide is decided and rendered, what they do not is left open by name; nothing is called, and the bytes are the same."""

import json

import pytest

from tests.authoring import drawn
from tests.authoring.support import load
from treadle.authoring.expressions import compile_data, compile_text
from treadle.authoring.plan import plan_of
from treadle.authoring.plan_values import Known, partially
from treadle.core.errors import RequestError


def plan(text, **inputs):
    loaded = load(text)
    assert not [p for p in loaded.problems if p.severity == "error"], loaded.problems
    return plan_of(loaded, inputs)


def flat(steps):
    for step in steps:
        yield step
        for each in step.get("lists", ()):
            yield from flat(each["steps"])


def by_action(made):
    return {step["action"]: step for step in flat([*made["steps"], *made["finally"]])}


# Values


@pytest.mark.parametrize(
    "text, value, holes",
    [
        ("Hi {{ inputs.a }}", "Hi you", ()),
        ("Hi {{ inputs.a }} {{ state.t | upper }}!", "Hi you ⟨state.t⟩!", ("state.t",)),
        ("{{ state.s }}", [1, 2], ()),
        ("{% for i in state.s %}{{ i }},{% endfor %}{{ state.t }}", "1,2,⟨state.t⟩", ("state.t",)),
        ("{% set z = inputs.a %}{{ z }}", "you", ()),
        ("{% set z = inputs.a %}{{ z }}{{ state.t }}", "⟨state.t⟩", ("state.t",)),
        ("{{ now() }}", "⟨now()⟩", ("now()",)),
        ("{{ [1, 2] | random }}", "⟨random⟩", ("random",)),
        ("{{ state }}", "⟨state⟩", ("state",)),
        ("{{ inputs.n + 1 }}", 4, ()),
        ("{{ steps.x.result }}", "⟨steps.x.result⟩", ("steps.x.result",)),
        ("{{ hash_it(inputs.a) }}", "⟨hash_it(…)⟩", ("hash_it(…)",)),
    ],
)
def test_a_text_is_rendered_as_far_as_it_is_known(text, value, holes):
    known = Known(inputs={"a": "you", "n": 3}, state={"s": [1, 2]}, declared=2, written=frozenset({"s", "t"}))
    found = partially(compile_text(text, functions={"hash_it": ("1", True)}), known)
    assert (found.value, found.holes, found.fault) == (value, holes, "")


def test_data_keeps_its_shape_around_what_is_missing():
    found = partially(compile_data({"a": "{{ inputs.a }}", "b": ["{{ state.t }}", 1]}, functions={}), Known(inputs={"a": 1}, declared=1))
    assert (found.value, found.holes) == ({"a": 1, "b": ["⟨state.t⟩", 1]}, ("state.t",))


# What inputs decide

CHOICE = """
    name: x
    inputs: {deep: {type: boolean, required: true}, names: {type: array, default: []}}
    initial_state: {mode: "{{ 'deep' if inputs.deep else 'flat' }}", said: null}
    steps:
      - id: choose
        if: "{{ state.mode == 'deep' }}"
        then:
          - {id: a, prompt: "Deep"}
        else:
          - {id: b, prompt: "Flat"}
      - {id: maybe, prompt: "Only deep", when: "{{ inputs.deep }}"}
      - {id: say, prompt: "What?", output_to: said}
      - {id: later, delegate: "{{ state.mode }}: {{ state.said }}", when: "{{ state.said == 'go' }}"}
      - id: open
        if: "{{ state.said == 'x' }}"
        then: [{id: c, prompt: c}]
      - id: each
        foreach: "{{ inputs.names }}"
        as: who
        do: [{id: greet, delegate: "{{ loop.index }} {{ who }} {{ state.said }}"}]
"""


def test_a_condition_that_inputs_decide_is_decided():
    deep, flat_ = by_action(plan(CHOICE, deep=True)), by_action(plan(CHOICE, deep=False))
    assert (deep["choose"]["decided"], "choose.then/a" in deep, "choose.else/b" in deep) == ("then", True, False)
    assert (flat_["choose"]["decided"], "choose.else/b" in flat_) == ("else", True)
    assert flat_["maybe"]["skipped"] is True
    assert "skipped" not in deep["maybe"]


def test_what_is_not_known_stays_open_by_name():
    found = by_action(plan(CHOICE, deep=True))
    assert found["later"]["when"] == {"holes": ["state.said"], "text": "state.said == 'go'"}
    assert found["later"]["with"]["instructions"] == "deep: ⟨state.said⟩"
    assert ("decided" in found["open"], found["open.then/c"]["reached"]) == (False, "perhaps")


def test_a_known_list_is_unfolded_and_an_unknown_one_stands_for_all():
    found = by_action(plan(CHOICE, deep=True, names=["Ann", "Bob"]))
    assert [found[f"each[{n}]/greet"]["with"]["instructions"] for n in (0, 1)] == ["1 Ann ⟨state.said⟩", "2 Bob ⟨state.said⟩"]
    library = by_action(plan_of(drawn.loaded("planning:interactive"), {"task_description": "x"}))
    assert library["research-phase"]["lists"][0]["of"] == "⟨state.research_tasks⟩"
    assert library["research-phase[]/search-web"]["with"]["parameters"] == {"query": "⟨state.query⟩", "max_results": 5}


def test_a_long_list_is_cut_and_says_so():
    made = plan(CHOICE, deep=True, names=[str(n) for n in range(500)])
    each = next(step for step in made["steps"] if step["action"] == "each")
    assert each["lists"][-1]["rounds_not_shown"] == 450


def test_a_task_gets_its_item_and_its_own_state():
    found = by_action(plan("""
        name: x
        inputs: {names: {type: array, default: [Ann]}}
        tasks:
          part:
            inputs: {who: {type: string, required: true}, greeting: {type: string, default: Hello}}
            initial_state: {text: "{{ inputs.greeting }} {{ inputs.who }} ({{ loop.index }})"}
            steps: [{id: say, prompt: "{{ state.text }}"}]
        steps:
          - {id: each, foreach: "{{ inputs.names }}", task: part, inputs: {who: "{{ item }}"}}
          - {id: bad, foreach: [1], task: part, inputs: {who: "{{ item }}"}}
    """))  # fmt: skip
    assert found["each[0]/say"]["with"]["message"] == "Hello Ann (1)"
    assert found["bad"]["lists"][0]["faults"] == ["the input `who`: it must be text; it is a whole number (1)"]


def test_state_is_followed_and_forgotten_where_ways_differ():
    found = by_action(plan("""
        name: x
        initial_state: {n: 1, m: 1, k: 1}
        steps:
          - {id: up, set_state: {n: "{{ state.n + 1 }}", m: "{{ state.n * 10 }}"}}
          - {id: ask, prompt: "{{ state.n }} {{ state.m }}"}
          - id: open
            if: "{{ steps.ask.result == 'x' }}"
            then: [{id: other, set_state: {m: 5, k: 1}}]
          - {id: end, return: "{{ state.n }} {{ state.m }} {{ state.k }}"}
    """))  # fmt: skip
    assert found["ask"]["with"]["message"] == "2 20"
    assert found["end"]["with"]["value"] == "2 ⟨state.m⟩ 1"


def test_what_a_loop_writes_is_unknown_in_it_and_behind_it():
    found = by_action(plan("""
        name: x
        initial_state: {n: 0, fixed: 1}
        steps:
          - id: poll
            while: "{{ state.n < 3 }}"
            max_iterations: 5
            do:
              - {id: look, prompt: "{{ state.n }} {{ state.fixed }}"}
              - {id: count, set_state: {n: "{{ state.n + 1 }}"}}
          - {id: never, while: "{{ state.fixed == 2 }}", max_iterations: 5, do: [{id: no, prompt: no}, {id: w, set_state: {fixed: 2}}]}
          - {id: end, return: "{{ state.n }} {{ state.fixed }}"}
    """))  # fmt: skip
    assert found["poll[]/look"]["with"]["message"] == "⟨state.n⟩ 1"
    assert found["never"]["decided"] == "no rounds"
    assert found["end"]["with"]["value"] == "⟨state.n⟩ 1"


def test_a_jump_back_makes_unknown_what_lies_between():
    found = by_action(plan("""
        name: x
        initial_state: {n: 0}
        steps:
          - {id: top, prompt: "{{ state.n }}"}
          - {id: count, set_state: {n: "{{ state.n + 1 }}"}}
          - {id: again, goto: top, max_visits: 2, when: "{{ steps.top.result == 'again' }}"}
          - {id: end, return: "{{ state.n }}"}
    """))  # fmt: skip
    assert found["top"]["with"]["message"] == "⟨state.n⟩"
    assert found["end"]["reached"] == "perhaps"


def test_what_comes_behind_a_certain_end_is_left_out():
    found = by_action(plan("""
        name: x
        inputs: {stop: {type: boolean, default: true}}
        steps:
          - {id: gate, if: "{{ inputs.stop }}", then: [{id: out, return: 1}]}
          - {id: more, prompt: more}
    """))  # fmt: skip
    assert list(found) == ["gate", "gate.then/out"]


def test_a_value_that_would_fail_is_told_and_ends_the_plan():
    found = by_action(plan("""
        name: x
        inputs: {n: {type: integer, default: 0}}
        steps:
          - {id: bad, prompt: "{{ 1 / inputs.n }}"}
          - {id: more, prompt: more}
    """))  # fmt: skip
    assert found["bad"]["faults"] == ["message: `/` divides by zero"]
    assert "more" not in found


def test_expected_answers_and_performers_are_told():
    found = by_action(plan_of(drawn.loaded("planning:interactive"), {"task_description": "x"}))
    assert found["gather-requirements"]["expected"] == {"type": "string"}
    assert found["review-plan"]["expected"]["required"] == ["feedback", "verdict"]
    assert found["review-plan"]["by"] == "the agent code-standards-reviewer"
    assert (found["save-to-memory"]["with"]["tool"], found["save-to-memory"]["effect"]) == ("memory.save", "write")


def test_the_same_definition_and_inputs_give_the_same_bytes_whatever_the_file_looks_like():
    one = "name: x\ninputs: {a: {type: string, default: q}, b: {type: string, default: r}}\nsteps:\n  - {id: s, prompt: '{{ inputs.a }}'}\n"
    other = "# a note\nname: x\nsteps:\n- id: s\n  type: prompt\n  message: '{{ inputs.a }}'\ninputs:\n  a: {default: q, type: string}\n  b: {default: r, type: string}\n"
    first, second = plan(one, b="z", a="y"), plan(other, a="y", b="z")
    assert first["definition"] == second["definition"] is not None
    assert json.dumps(first) == json.dumps(second)
    assert json.dumps(first) != json.dumps(plan(one, a="y", b="w"))


def test_bad_inputs_are_refused_with_every_fault():
    with pytest.raises(RequestError) as error:
        plan(CHOICE, names=1, other=2)
    assert error.value.code == "invalid_inputs"
    assert all(name in error.value.message for name in ("deep", "names", "other"))


def test_every_step_type_can_be_planned():
    made = plan_of(drawn.loaded(drawn.EVERY), {"colour": "deep blue"})
    found = by_action(made)
    assert found["which"]["decided"] == "deep blue"
    assert found["which.deep%20blue/again"]["with"] == {"target": "fetch", "max_visits": 2}
    assert made["definition"] is None
    assert "the step type `flow`" in made["not_yet"]
    whole = by_action(plan_of(drawn.loaded(drawn.EVERY), {"colour": "green"}))
    assert {step["type"] for step in whole.values()} >= {"parallel", "while", "repeat", "run", "merge", "flow", "integration", "break"}
    assert whole["fetch"]["with"]["url"] == "https://example.org/green"
    assert whole["gather"]["reached"] == "perhaps"
    assert whole["finally/say-bye"]["reached"] == "sure"
