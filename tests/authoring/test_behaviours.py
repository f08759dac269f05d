"""The behaviours of the source system (its study, §8.1) that hold when a file is loaded, one test per number."""

from pathlib import Path

from tests.authoring.support import codes, found, load, project_at
from treadle.authoring import find
from treadle.core.bind import bind_inputs
from treadle.core.expr import Env, evaluate
from treadle.core.values import Json

ASK = """
    name: {name}
    description: from {place}
    steps: [{{prompt: hi}}]
    """


def test_behaviour_01_a_project_file_wins_over_one_of_the_home_and_its_source_is_told(tmp_path: Path) -> None:
    home, root = tmp_path / "home", tmp_path / "project"
    project = project_at(root, workflows__ask_yaml=ASK.format(name="ask", place="project"))
    project_at(home, **{".treadle/workflows/ask_yaml": ASK.format(name="ask", place="home")})
    loaded = find.load(project, "ask", user_home=home)
    assert loaded.definition is not None
    assert (loaded.definition.description, loaded.origin, loaded.shown) == (
        "from project",
        "project",
        "workflows/ask.yaml",
    )
    rows = [row for row in find.list_workflows(project, user_home=home) if row.name == "ask"]
    assert [(row.origin, row.hidden_by) for row in rows] == [("project", ""), ("user", "workflows/ask.yaml")]


def test_behaviour_02_all_faults_are_told_at_once_with_path_line_code_and_suggestion() -> None:
    loaded = load("""
        name: Bad Name
        version: 1.0
        inputs: {n: {type: integer, min: 1}}
        steps:
          - {id: x, type: prompti, message: hi}
          - {id: x, prompt: "{{ state.nothing }}", within: 90}
          - {id: y, if: state.n, then: []}
          - {foreach: [1], task: nowhere}
    """)
    assert found(loaded) == [
        ("bad_name", 1, 7), ("wrong_type", 2, 10), ("unknown_field", 3, 29), ("unknown_step_type", 5, 19), ("duplicate_id", 6, 10),
        ("unknown_state", 6, 25), ("bad_duration", 6, 52), ("condition_braces", 7, 17), ("undefined_reference", 8, 26),
    ]  # fmt: skip
    assert all(p.path and p.message and p.suggestion for p in loaded.problems)


def test_behaviour_03_the_nearest_step_type_is_suggested() -> None:
    (problem,) = load("name: a\nsteps: [{type: delegat, instructions: x}]").problems
    assert (problem.code, problem.suggestion) == ("unknown_step_type", "did you mean `delegate`?")


def test_behaviour_04_a_repeated_id_or_key_fails_and_names_both_places() -> None:
    (problem,) = load("name: a\nsteps:\n  - {id: x, prompt: hi}\n  - {id: x, prompt: hi}\n").problems
    assert problem.code == "duplicate_id"
    assert problem.line == 4
    assert "line 3, column 10" in problem.message
    (problem,) = load("name: a\nsteps: [{prompt: hi}]\nname: b\n").problems
    assert problem.code == "duplicate_key"
    assert problem.line == 3
    assert "line 1, column 1" in problem.message


def test_behaviour_05_an_unknown_field_of_a_step_is_an_error() -> None:
    loaded = load("name: a\nsteps: [{prompt: hi, colour: red}]")
    assert [(p.code, p.severity) for p in loaded.problems] == [("unknown_field", "error")]
    assert loaded.definition is None


def test_behaviour_06_a_foreach_over_a_missing_task_is_an_undefined_reference() -> None:
    assert codes("name: a\nsteps: [{foreach: [1], task: research}]") == ["undefined_reference"]


def test_behaviour_07_a_syntax_error_in_any_template_is_found_before_anything_runs() -> None:
    loaded = load("""
        name: a
        steps:
          - if: "{{ false }}"
            then:
              - mcp_call: a.b
                parameters: {x: [{y: "{{ 1 + }}"}]}
    """)
    assert [(p.line, p.severity) for p in loaded.problems] == [(6, "error")]
    assert loaded.definition is None


INPUTS = """
    name: a
    inputs:
      topic: {type: string, required: true, pattern: "^[a-z]+$"}
      count: {type: integer, minimum: 1, maximum: 9, default: 5}
      tags: {type: array, maxItems: 2, default: []}
    steps:
      - prompt: "{{ inputs.topic }} {{ inputs.count }}"
    """


def bound(given: dict[str, Json]) -> tuple[dict[str, Json], list[str]]:
    definition = load(INPUTS).require()
    values, faults = bind_inputs(definition.main, given, lambda value: value)
    return values, [fault.message for fault in faults]


def test_behaviour_08_a_required_input_that_is_absent_is_a_fault_of_the_start() -> None:
    assert "`topic` is required" in bound({})[1][0]


def test_behaviour_09_the_default_of_an_omitted_input_is_what_steps_see() -> None:
    values, faults = bound({"topic": "x"})
    assert (values, faults) == ({"topic": "x", "count": 5, "tags": []}, [])


def test_behaviour_10_an_input_out_of_its_rules_is_named_with_the_rule() -> None:
    _, faults = bound({"topic": "X", "count": 10, "tags": [1, 2, 3]})
    assert [name for name in ("topic", "count", "tags") for fault in faults if f"`{name}`" in fault] == [
        "topic",
        "count",
        "tags",
    ]
    assert "9" in faults[1]


def test_behaviour_11_a_read_outside_needs_state_names_step_and_field() -> None:
    (problem,) = load("""
        name: a
        initial_state: {a: 1, b: 2}
        steps: [{id: ask, prompt: "{{ state.b }}", needs_state: [a]}]
    """).problems
    assert problem.code == "outside_needs_state"
    assert "`ask`" in problem.message
    assert "state.b" in problem.message


def test_behaviour_12_needs_state_of_a_star_sees_everything_and_warns() -> None:
    loaded = load("""
        name: a
        initial_state: {a: 1, b: 2}
        steps: [{id: ask, prompt: "{{ state.a }} {{ state.b }}", needs_state: ["*"]}]
    """)
    assert [(p.code, p.severity) for p in loaded.problems] == [("needs_all_state", "warning")]
    assert loaded.require().main.steps[0].needs_state == ("*",)


def test_behaviour_13_a_dotted_entry_opens_no_other_key() -> None:
    text = """
        name: a
        inputs: {{user: {{type: object, required: true}}}}
        initial_state: {{user: "{{{{ inputs.user }}}}"}}
        steps: [{{prompt: "{{{{ {read} }}}}", needs_state: [user.name]}}]
    """
    assert codes(text.format(read="state.user.name")) == []
    assert codes(text.format(read="state.user.name.first")) == []
    assert codes(text.format(read="state.user.email")) == ["outside_needs_state"]
    assert codes(text.format(read="state.user")) == ["outside_needs_state"]


def test_behaviour_14_a_single_expression_keeps_its_type_and_mixed_text_is_text() -> None:
    definition = load("""
        name: a
        initial_state: {xs: [1, 2]}
        steps:
          - set_state:
              single: "{{ state.xs }}"
              block: |
                {{ state.xs }}
              mixed: "xs: {{ state.xs }}"
    """).require()
    spec = definition.main.steps[0].spec
    values = {name: evaluate(expr, Env(names={"state": {"xs": [1, 2]}})) for name, expr in spec.updates}  # type: ignore[union-attr]
    assert values == {"single": [1, 2], "block": [1, 2], "mixed": "xs: [1, 2]"}
