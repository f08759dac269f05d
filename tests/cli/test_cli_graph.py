"""`treadle graph`: the three forms, files, and terminals that cannot show lines."""

from xml.etree import ElementTree as ET

import pytest

from tests.cli.here import Here


@pytest.fixture
def here(tmp_path, monkeypatch, capfdbinary):
    return Here(tmp_path, monkeypatch, capfdbinary)


def test_text_is_what_is_shown_and_fits_the_width(here):
    wide, narrow = here.treadle("graph", "planning:interactive"), here.treadle("graph", "planning:interactive", COLUMNS="60")
    assert "├─↻ research-phase           for each item of state.research_tasks, 5 at once" in wide.out
    assert max(map(len, narrow.out.splitlines())) <= 60
    assert "\x1b" not in wide.out


def test_the_ending_of_a_file_says_the_form(here):
    done = here.treadle("graph", "planning:interactive", "--out", "plan.svg")
    assert (done.code, done.out) == (0, "plan.svg: planning:interactive as svg\n")
    assert ET.parse(here.folder / "plan.svg").getroot().tag.endswith("svg")
    here.treadle("graph", "planning:interactive", "--out", "plan.mmd")
    assert (here.folder / "plan.mmd").read_text().startswith("flowchart TD\n")


def test_forms_are_printed_as_they_are(here):
    assert here.treadle("graph", "planning:interactive", "--format", "mermaid").out.startswith("flowchart TD\n")
    assert here.treadle("graph", "planning:interactive", "--format", "svg").out.startswith("<svg ")


def test_json_holds_the_drawing(here):
    found = here.treadle("graph", "planning:interactive", "--format", "mermaid", "--json").json
    assert (list(found), found["format"], found["file"]) == (["name", "version", "format", "file", "graph"], "mermaid", None)


def test_a_file_with_errors_is_not_drawn(here):
    here.write("workflows/broken.yaml", "name: broken\nsteps:\n  - {id: a, type: promt, message: hi}\n")
    done = here.treadle("graph", "broken", "--out", "x.svg")
    assert (done.code, "error[unknown_step_type]" in done.out, (here.folder / "x.svg").exists()) == (1, True, False)
    assert here.treadle("graph", "broken", "--json").error["code"] == "invalid_definition"


def test_a_place_that_cannot_be_written_is_told(here):
    done = here.treadle("graph", "planning:interactive", "--out", "no/such/folder.svg", "--json")
    assert (done.code, done.error["code"]) == (2, "bad_file")
