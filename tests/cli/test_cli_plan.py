"""`treadle plan`: what is shown, that it is the same each time, and that inputs are held against the workflow."""

import pytest

from tests.cli.here import Here

GIVEN = ("plan", "planning:interactive", "-i", "task_description=Move house")


@pytest.fixture
def here(tmp_path, monkeypatch, capfdbinary):
    return Here(tmp_path, monkeypatch, capfdbinary)


def test_a_person_reads_texts_performers_and_what_is_open(here):
    done = here.treadle(*GIVEN)
    assert done.code == 0
    for said in (
        "plan of planning:interactive 1.0.0; nothing was started",
        "    | I'll help you plan: Move house",
        "    for each item of state.research_tasks, not known before",
        "    research-phase[]/search-web  mcp_call web.search  treadle  [read]  perhaps",
        "    if inputs.require_approval: then",
        "    only when state.approved",
        "⟨state.final_plan⟩",
    ):
        assert said in done.out
    assert "auto-approve" not in done.out


def test_the_same_plan_is_the_same_bytes_also_in_a_file(here):
    first, again = here.treadle(*GIVEN, "--json"), here.treadle(*GIVEN, "--json", "--out", "plan.json")
    assert first.out == again.out == (here.folder / "plan.json").read_text()
    assert first.json["inputs"]["task_description"] == "Move house"


def test_inputs_come_from_a_file_and_are_checked(here):
    here.write("inputs.yaml", "task_description: Move house\nrequire_approval: false\n")
    assert "auto-approve" in here.treadle("plan", "planning:interactive", "--inputs", "inputs.yaml").out
    done = here.treadle("plan", "planning:interactive", "--json")
    assert (done.code, done.error["code"], "task_description" in done.error["message"]) == (2, "invalid_inputs", True)
