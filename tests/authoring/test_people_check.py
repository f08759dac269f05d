"""Gates held against the people of a project: names that are nobody's, and gates that too few could pass (ruling 26)."""

import pytest

from tests.authoring.support import NOWHERE
from treadle.authoring import find
from treadle.config.people import People, Person
from treadle.core.errors import RequestError

TEAM = People(
    by_name={
        "ann": Person(name="ann", account="amiller", roles=("editor", "release")),
        "bob": Person(name="bob", account="bob", roles=("editor",)),
    }
)
GATE = "name: g\nsteps:\n  - approve: x\n    id: gate\n    by: {by}\n"


def load(text: str, people: People | None = TEAM) -> find.Loaded:
    return find.load_text(NOWHERE, text, "g.yaml", people=people)


def told(text: str, people: People | None = TEAM) -> list[tuple[str, int, int]]:
    found = load(text, people).problems
    assert all(problem.severity == "warning" for problem in found)
    return [(p.code, p.line, p.column) for p in found]


def gate(by: str) -> str:
    return GATE.format(by=by)


@pytest.mark.parametrize(
    "by, code, column, hint",
    [
        ("{role: editr}", "unknown_role", 16, "did you mean `editor`?"),
        ("{role: [editor, boss]}", "unknown_role", 25, 'roles = ["boss"]'),
        ("{user: anne}", "unknown_person", 16, "did you mean `ann`?"),
        ("{user: amiller}", "unknown_person", 16, "the account of `ann`: write the name"),
        ("{any_of: [{role: editor}, {user: zoe}]}", "unknown_person", 42, "people: ann, bob"),
        ("{role: editor, never: [starter, zoe]}", "unknown_person", 41, "people: ann, bob"),
    ],
)
def test_a_name_that_is_nobody_s_is_told_once_with_the_nearest(by: str, code: str, column: int, hint: str) -> None:
    (problem,) = load(gate(by)).problems
    assert (problem.code, problem.severity, problem.line, problem.column) == (code, "warning", 5, column)
    assert hint in problem.suggestion


@pytest.mark.parametrize(
    "by",
    [
        "{role: editor, never: starter, count: 2}",
        "{user: [ann, bob], never: bob}",
        "{any_of: [{role: release}, {user: bob}], count: 2}",
        "{count: 2}",
    ],
)
def test_gates_that_the_people_there_are_could_pass_are_silent(by: str) -> None:
    loaded = load(gate(by))
    assert (loaded.problems, loaded.impossible) == ((), ())


@pytest.mark.parametrize(
    "by, words",
    [
        ("{role: editor, count: 3}", "needs 3 people, and only 2 (ann, bob) may decide"),
        ("{count: 3}", "needs 3 people"),
        ("{role: release, never: ann}", "everybody who may is excluded"),
    ],
)
def test_a_gate_that_nobody_could_pass_is_a_warning_and_an_error_at_start(by: str, words: str) -> None:
    loaded = load(gate(by))
    assert [(p.code, p.severity, p.line, p.column) for p in loaded.problems] == [("impossible_gate", "warning", 5, 9)]
    assert words in loaded.problems[0].message
    with pytest.raises(RequestError, match="nobody could pass the gate `gate`") as error:
        loaded.require()
    assert error.value.code == "impossible_gate"


def test_a_gate_whose_only_role_is_nobody_s_cannot_be_started_either() -> None:
    loaded = load(gate("{role: boss}"))
    assert [p.code for p in loaded.problems] == ["unknown_role"]
    with pytest.raises(RequestError, match="nobody has the role 'boss'"):
        loaded.require()


def test_what_a_step_requires_is_a_gate_too() -> None:
    text = "name: g\nsteps:\n  - delegate: x\n    requires: {by: {role: boss}}\n"
    assert told(text) == [("unknown_role", 4, 27)]
    assert "what `delegate_0` requires" in load(text).impossible[0].message


def test_a_gate_is_told_once_where_it_excludes_itself() -> None:
    assert told(gate("{user: ann, never: ann}")) == [("impossible_gate", 5, 9)]


PAIR = """
name: g
steps:
  - {{approve: x, id: first, by: {{role: release}}{extra}}}
  - {{approve: y, id: second, by: {{role: {role}, distinct_from: first}}}}
"""


def test_a_gate_distinct_from_another_needs_a_second_person() -> None:
    (problem,) = load(PAIR.format(role="release", extra="").lstrip()).problems
    assert (problem.code, problem.line, problem.column) == ("impossible_gate", 4, 34)
    assert "`distinct_from` `first`: the two need 2 different people, and only 1 (ann)" in problem.message
    assert told(PAIR.format(role="editor", extra="").lstrip()) == []


def test_a_gate_that_may_be_skipped_excludes_nobody_for_sure() -> None:
    assert told(PAIR.format(role="release", extra=', when: "{{ 1 == 2 }}"').lstrip()) == []


def test_without_people_any_user_may_be_meant_and_no_role_can_be_had() -> None:
    nobody = People()
    assert told(gate("{user: anna, never: [starter, otto], count: 1}"), nobody) == []
    assert told(gate("{role: editor}"), nobody) == [("unknown_role", 5, 16)]
    assert told(gate("{role: editor}"), None) == []


def test_gates_of_tasks_and_of_blocks_count() -> None:
    text = """
name: g
steps:
  - foreach: [1]
    task: t
  - if: "{{ 1 == 1 }}"
    then: [{approve: x, by: {role: boss}}]
tasks:
  t: {inputs: {n: {type: integer}}, steps: [{approve: x, by: {user: zoe}}]}
"""
    assert told(text.lstrip()) == [("unknown_role", 6, 36), ("unknown_person", 8, 69)]


def test_a_gate_that_not_every_run_comes_to_is_told_and_keeps_no_run_from_being_started() -> None:
    text = 'name: g\ninputs: {two: {type: boolean}}\nsteps:\n  - if: "{{ inputs.two }}"\n    then:\n      - {id: gate, approve: x, by: {role: boss}}\n'
    assert told(text) == [("unknown_role", 6, 43)]
    assert load(text).require()
