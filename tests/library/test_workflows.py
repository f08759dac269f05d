"""The shipped workflows load without a problem and say what the study of the source system asks of them (§9A, §1.5)."""

from pathlib import Path
from typing import cast

import pytest

from tests.authoring.support import NOWHERE
from treadle.authoring import find
from treadle.core.definition import (
    Approve,
    Condition,
    Definition,
    Delegate,
    Foreach,
    McpCall,
    Prompt,
    Return,
    SetState,
    Step,
)
from treadle.core.schema import check
from treadle.core.values import Json


@pytest.mark.parametrize("path", sorted(find.LIBRARY_DIR.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_shipped_workflow_has_no_problem_and_can_be_started(path: Path) -> None:
    loaded = find.load(NOWHERE, path)
    assert loaded.problems == ()
    assert loaded.not_yet == ()
    assert loaded.require().description
    assert loaded.origin == "library"


@pytest.fixture(scope="module")
def planning() -> Definition:
    return find.load(NOWHERE, "planning:interactive").require()


def step(steps: tuple[Step, ...], name: str) -> Step:
    return next(s for s in steps if s.id == name)


def test_planning_has_the_steps_of_the_brief_in_their_order(planning: Definition) -> None:
    assert [(s.id, type(s.spec)) for s in planning.main.steps] == [
        ("gather-requirements", Prompt), ("generate-research-tasks", SetState), ("research-phase", Foreach), ("create-plan", Delegate),
        ("review-plan", Delegate), ("update-plan", SetState), ("approval-check", Condition), ("save-to-memory", McpCall), ("complete", Return),
    ]  # fmt: skip
    gate = step(planning.main.steps, "approval-check").spec
    assert isinstance(gate, Condition)
    assert [s.id for s in gate.then] == ["request-approval", "set-approval"]
    assert [s.id for s in gate.otherwise] == ["auto-approve"]
    ask = gate.then[0].spec
    assert isinstance(ask, Approve)
    assert ask.on_reject == "continue"
    assert planning.functions == {
        "analyze_search_results": "1", "generate_research_tasks": "1", "merge_plan_with_feedback": "1",
    }  # fmt: skip


def test_planning_inputs_have_their_defaults(planning: Definition) -> None:
    assert planning.main.inputs["task_description"]["required"] is True
    assert planning.main.inputs["max_research_tasks"]["default"] == 5
    assert planning.main.inputs["require_approval"]["default"] is True


def test_the_maximum_of_tasks_and_the_parallelism_are_two_things(planning: Definition) -> None:
    research = step(planning.main.steps, "research-phase")
    assert isinstance(research.spec, Foreach)
    assert (research.spec.task, research.spec.agent, research.spec.max_parallel) == (
        "planning:research_task",
        "@task",
        5,
    )
    assert (research.spec.on_item_error, research.output_to) == ("collect", "research_results")
    assert "not_researched" in (step(planning.main.steps, "complete").needs_state or ())


def test_a_plan_is_saved_only_when_it_was_approved(planning: Definition) -> None:
    save = step(planning.main.steps, "save-to-memory")
    assert save.when is not None
    assert save.when.reads == ("state.approved",)
    assert save.effect == "write"


def test_research_searches_reads_analyses_keeps_and_returns(planning: Definition) -> None:
    task = planning.tasks["planning:research_task"]
    assert [(s.id, type(s.spec), s.effect) for s in task.steps] == [
        ("search-web", McpCall, "read"), ("read-sources", Delegate, "write"), ("analyze-results", SetState, "none"),
        ("save-research", McpCall, "write"), ("return-findings", Return, "none"),
    ]  # fmt: skip
    search = task.steps[0]
    assert search.retry is not None
    assert search.timeout_ms == 30_000
    read = task.steps[1].spec
    assert isinstance(read, Delegate)
    # The sub-agent of the branch reads; no other is asked for.
    assert read.agent is None
    assert [name for name, rule in task.inputs.items() if rule.get("required")] == ["question"]


def schema_of(definition: Definition, name: str) -> dict[str, Json]:
    spec = step((*definition.main.steps, *definition.tasks["planning:research_task"].steps), name).spec
    assert isinstance(spec, Delegate)
    return cast(dict[str, Json], spec.output)


def test_what_the_performers_must_answer_is_what_the_functions_take(planning: Definition) -> None:
    review: Json = {"feedback": [{"point": "p", "change": "c"}], "verdict": "revise"}
    assert check(schema_of(planning, "review-plan"), review) == ()
    assert check(schema_of(planning, "review-plan"), {"feedback": [{"point": "p"}], "verdict": "revise"}) != ()
    assert check(schema_of(planning, "review-plan"), {"feedback": [], "verdict": "maybe"}) != ()
    reading: Json = {"findings": [{"statement": "s", "sources": ["u"]}], "confidence": "high"}
    assert check(schema_of(planning, "read-sources"), reading) == ()
    assert check(schema_of(planning, "read-sources"), {"findings": ["s"], "confidence": "high"}) != ()
