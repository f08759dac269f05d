"""`treadle describe`: what a person reads, what a program reads, and files that cannot be used."""

import pytest

from tests.authoring import drawn
from tests.cli.here import Here

BROKEN = "name: broken\nsteps:\n  - {id: a, type: promt, message: hi}\n"


@pytest.fixture
def here(tmp_path, monkeypatch, capfdbinary):
    return Here(tmp_path, monkeypatch, capfdbinary)


def test_a_person_reads_inputs_steps_effects_costs_and_approvals(here):
    done = here.treadle("describe", "planning:interactive")
    assert done.code == 0
    for said in (
        "task_description    string, required",
        "max_research_tasks  integer, default 5",
        "  gather-requirements",
        "    each item (planning:research_task):",
        "      search-web",
        "reads requirements, research_results · writes initial_plan",
        "  write  research-phase[]/read-sources, research-phase[]/save-research, create-plan",
        "  research-phase[]/read-sources: an agent works, at most 3 answers, per round of research-phase",
        "  create-plan: an agent works, one answer",
        "  approval-check.then/request-approval: a person; if rejected, the run goes on",
        "memory.save (write), web.search (read)",
        "analyze_search_results 1",
        "definition  sha256:",
    ):
        assert said in done.out


def test_json_has_the_documented_keys(here):
    found = here.treadle("describe", "planning:interactive", "--json").json
    assert list(found) == [
        "name", "version", "description", "file", "origin", "startable", "digest", "source_digest", "problems", "not_yet", "inputs", "state",
        "steps", "effects", "model_calls", "budgets", "approvals", "secrets", "tools", "workflows", "functions", "limits",
    ]  # fmt: skip
    assert set(found["steps"][0]) == {
        "address", "id", "type", "depth", "list", "by", "performer", "effect", "description", "conditional", "does", "reads",
        "reads_inferred", "writes", "secrets",
    }  # fmt: skip


def test_a_file_with_errors_is_shown_with_them_and_exit_code_1(here):
    here.write("workflows/broken.yaml", BROKEN)
    done = here.treadle("describe", "broken")
    assert (done.code, "workflows/broken.yaml:3:19" in done.out, "did you mean" in done.out) == (1, True, True)
    told = here.treadle("describe", "workflows/broken.yaml", "--json")
    assert (told.code, told.json["problems"][0]["code"], "steps" in told.json) == (1, "unknown_step_type", False)


def test_features_to_come_are_named_and_the_rest_is_described(here):
    here.write("workflows/every.yaml", drawn.EVERY.read_text())
    done = here.treadle("describe", "every:block")
    assert done.code == 0
    assert "a run will not be started: this version does not carry out" in done.out
    assert "definition  none: this version cannot run it" in done.out


def test_text_of_a_file_cannot_forge_lines(here):
    here.write(
        "workflows/x.yaml",
        'name: x\ndescription: "a\\u001b[2Jb\\nc"\nsteps:\n  - {id: a, prompt: "hi\\u202e", description: "d\\u001b[1m"}\n',
    )
    done = here.treadle("describe", "x")
    assert "\x1b[2J" not in done.out
    assert "\x1b[1m" not in done.out


def test_an_unknown_name_is_a_usage_error_with_the_nearest(here):
    done = here.treadle("describe", "planning:interactiv", "--json")
    assert (done.code, done.error["code"], done.error["hint"]) == (2, "unknown_workflow", "did you mean `planning:interactive`?")


def test_nothing_is_made_in_the_project(here):
    here.treadle("describe", "planning:interactive")
    here.treadle("graph", "planning:interactive")
    here.treadle("plan", "planning:interactive", "-i", "task_description=x")
    assert list(here.folder.iterdir()) == []
