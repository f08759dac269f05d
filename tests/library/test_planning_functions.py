"""The pure functions of the planning workflows, called as a run calls them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle import functions
from treadle.core.values import Json, Value
from treadle.ports import FunctionFailedError

REGISTRY = functions.Registry(functions.catalog(None))


def call(name: str, *args: Value) -> Value:
    return REGISTRY.call(name, "1", args, {})


REQUIREMENTS = """
Key objectives:
- No data loss.
- Less than five minutes of downtime; reads keep working

**Constraints or preferences**
must stay with the present provider. No new vendors

Timeline: two months, because the contract ends in May
"""


def test_every_statement_becomes_one_question_sorted_by_its_heading() -> None:
    assert call("generate_research_tasks", "Move billing to Postgres.", REQUIREMENTS) == [
        "Which approaches have proven themselves for: Move billing to Postgres?",
        "How can this objective be reached: No data loss?",
        "How can this objective be reached: Less than five minutes of downtime?",
        "How can this objective be reached: reads keep working?",
        "What follows from this constraint, and how is it met: must stay with the present provider?",
        "What follows from this constraint, and how is it met: No new vendors?",
        "What can be done in this time, and in which order: two months, because the contract ends in May?",
        "What commonly goes wrong with: Move billing to Postgres, and what prevents it?",
    ]


def test_without_headings_the_words_of_a_line_decide() -> None:
    questions = call(
        "generate_research_tasks",
        "Blog",
        "It must work offline\nWe want more readers\nDone by Friday\nThree authors write",
    )
    assert questions == [
        "Which approaches have proven themselves for: Blog?",
        "How can this objective be reached: We want more readers?",
        "What follows from this constraint, and how is it met: It must work offline?",
        "What can be done in this time, and in which order: Done by Friday?",
        "What should be known about: Three authors write?",
        "What commonly goes wrong with: Blog, and what prevents it?",
    ]


def test_nothing_said_leaves_the_two_general_questions() -> None:
    assert call("generate_research_tasks", "Blog", "\n  \n") == [
        "Which approaches have proven themselves for: Blog?", "What commonly goes wrong with: Blog, and what prevents it?",
    ]  # fmt: skip


def test_a_statement_said_twice_is_asked_once() -> None:
    questions = call("generate_research_tasks", "Blog", "- Goal: fast\n- goal: FAST")
    assert isinstance(questions, list)
    assert len(questions) == 3


@given(st.text(max_size=300), st.text(max_size=600))
def test_questions_are_the_same_each_time_distinct_and_framed(task: str, requirements: str) -> None:
    first = call("generate_research_tasks", task, requirements)
    assert first == call("generate_research_tasks", task, requirements)
    assert isinstance(first, list)
    assert len({str(question).casefold() for question in first}) == len(first) >= 2
    assert str(first[0]).startswith("Which approaches")
    assert str(first[-1]).startswith("What commonly goes wrong")


PLAN = """# Plan

## 1. Overview
Move it.

## Risk mitigation

Backups.

## Success criteria
It works.
"""


def test_a_change_goes_to_the_end_of_the_section_that_its_point_names_and_others_to_the_end() -> None:
    feedback: Json = {
        "feedback": [
            {"point": "Risk mitigation says nothing of a rollback", "change": "Describe the rollback"},
            {"point": "The overview is thin", "change": "Say who is concerned"},
            {"point": "No budget", "change": "Add a budget"},
        ],
        "verdict": "revise",
    }
    assert (
        call("merge_plan_with_feedback", PLAN, feedback)
        == """# Plan

## 1. Overview
Move it.
- Review: Say who is concerned (The overview is thin)

## Risk mitigation

Backups.
- Review: Describe the rollback (Risk mitigation says nothing of a rollback)

## Success criteria
It works.

## Changes from review

- Review: Add a budget (No budget)
"""
    )


@pytest.mark.parametrize("feedback", [{"feedback": [], "verdict": "accept"}, None, "", {}, {"feedback": [{"point": "x"}]}])
def test_a_review_without_changes_leaves_the_plan_as_it_is(feedback: Json) -> None:
    assert call("merge_plan_with_feedback", PLAN, feedback) == PLAN


def test_a_review_in_plain_words_is_kept_whole() -> None:
    merged = call("merge_plan_with_feedback", "Do it.", "Looks fine,\nbut test it.")
    assert merged == "Do it.\n\n## Changes from review\n\n- Review: Looks fine, but test it.\n"


FEEDBACK = st.fixed_dictionaries({
    "feedback": st.lists(st.fixed_dictionaries({"point": st.text("Risk mtgaon Sucerv\n", max_size=30), "change": st.text(min_size=1, max_size=40)}), max_size=5),
    "verdict": st.sampled_from(["accept", "revise"]),
})  # fmt: skip


@given(st.text(max_size=200) | st.just(PLAN), FEEDBACK)
def test_merging_twice_is_merging_once_and_nothing_of_the_plan_is_lost(plan: str, feedback: Json) -> None:
    once = call("merge_plan_with_feedback", plan, feedback)
    assert isinstance(once, str)
    assert call("merge_plan_with_feedback", once, feedback) == once
    rest = iter(once.splitlines())
    assert all(line in rest for line in plan.rstrip().splitlines())


SOURCES: Json = {
    "sources": [
        {"title": "A", "url": "https://Example.org/a/", "snippet": "about a"},
        {"title": "A again", "url": "http://www.example.org/a#part", "snippet": "about a"},
        {"title": "B", "url": "docs/b.md", "snippet": ""},
        {"title": "no address"},
    ]
}


def test_findings_are_matched_with_the_sources_that_were_found() -> None:
    reading: Json = {
        "findings": [
            {"statement": " A  holds ", "sources": ["https://example.org/a", "https://invented.example"]},
            {"statement": "From memory", "sources": []},
            {"statement": "Invented", "sources": ["https://invented.example"]},
        ],
        "confidence": "high",
    }
    assert call("analyze_search_results", SOURCES, reading) == {
        "findings": [{"statement": "A holds", "sources": ["https://Example.org/a/"]}],
        "unsupported": ["From memory", "Invented"],
        "sources": [{"title": "A", "url": "https://Example.org/a/"}, {"title": "B", "url": "docs/b.md"}],
        "unused": ["docs/b.md"],
        "confidence": "high",
    }


def test_confidence_is_low_where_nothing_is_supported_whatever_was_said() -> None:
    result = call(
        "analyze_search_results",
        {"sources": []},
        {"findings": [{"statement": "x", "sources": ["y"]}], "confidence": "high"},
    )
    assert isinstance(result, dict)
    assert (result["confidence"], result["findings"], result["unsupported"]) == ("low", [], ["x"])


def test_snippets_stand_as_findings_of_low_confidence_where_nobody_read() -> None:
    result = call("analyze_search_results", SOURCES)
    assert isinstance(result, dict)
    assert result["findings"] == [{"statement": "about a", "sources": ["https://Example.org/a/"]}]
    assert result["confidence"] == "low"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)
LOOSE = st.dictionaries(st.sampled_from(["sources", "findings", "statement", "url", "title", "confidence"]), JSON | st.lists(st.dictionaries(
    st.sampled_from(["url", "title", "snippet", "statement", "sources"]), JSON, max_size=3), max_size=4), max_size=4)  # fmt: skip


@given(LOOSE, LOOSE | st.none())
def test_answers_of_any_shape_give_the_same_structure(search_results: Json, reading: Json) -> None:
    result = call("analyze_search_results", search_results, reading)
    assert isinstance(result, dict)
    assert list(result) == ["findings", "unsupported", "sources", "unused", "confidence"]
    assert json.loads(json.dumps(result)) == result


@pytest.mark.parametrize(
    "args,says",
    [((None, "x"), "must be text, not null"), (("x",), "missing a required argument"), (("x", ["y"]), "a list")],
)
def test_wrong_arguments_are_told_to_the_author(args: tuple[Value, ...], says: str) -> None:
    with pytest.raises(FunctionFailedError, match=says):
        call("generate_research_tasks", *args)
