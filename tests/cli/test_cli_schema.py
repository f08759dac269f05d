"""`treadle schema`, and what `treadle init` gives editors."""

import json
import re

import pytest

from tests.cli.here import Here
from treadle.authoring.json_schema import file_schema


def test_the_schema_is_printed_and_written(here: Here):
    printed = here.treadle("schema")
    assert printed.json == json.loads(json.dumps(file_schema()))
    assert here.treadle("schema", "--json").out == printed.out
    done = here.treadle("schema", "--out", "s.json", "--json")
    assert done.json == {"file": "s.json"}
    assert (here.folder / "s.json").read_text(encoding="utf-8") == printed.out


def test_one_type_and_test_files_have_schemas_with_what_they_need_alone(here: Here):
    assert here.treadle("schema", "--step", "goto").json["$ref"] == "#/$defs/step_goto"
    tests = here.treadle("schema", "--tests").json
    assert (tests["title"], "step" in tests["$defs"]) == ("Treadle test", False)


@pytest.mark.parametrize(
    "arguments, code, words",
    [
        (("--step", "sleep"), "unknown_step_type", "did you mean `wait`?"),
        (("--step", "forech"), "unknown_step_type", "did you mean `foreach`?"),
        (("--step", "wait", "--tests"), "usage", "give one of them"),
        (("--out", "no/such/place.json"), "unwritable", "name another file"),
    ],
)
def test_what_cannot_be_given_is_told(here: Here, arguments: tuple[str, ...], code: str, words: str):
    done = here.treadle("schema", *arguments, "--json")
    assert (done.code, done.error["code"]) == (2, code)
    assert words in done.error["hint"]


def test_init_writes_a_first_workflow_whose_comment_leads_to_the_schema(here: Here):
    changed = here.treadle("init", "--yes", "--json").json["changed"]
    assert {"workflows/hello.yaml", ".treadle/workflow.schema.json", ".treadle/test.schema.json"} < set(changed)
    first = here.folder / "workflows" / "hello.yaml"
    named = re.match(r"# yaml-language-server: \$schema=(\S+)\n", first.read_text(encoding="utf-8"))
    assert named is not None
    assert json.loads((first.parent / named[1]).read_text(encoding="utf-8")) == here.treadle("schema").json
    assert here.treadle("validate", "hello", "--strict").code == 0
    assert here.treadle("init", "--yes", "--json").json["changed"] == []
    assert not (here.folder / ".vscode").exists()


def test_init_renews_a_schema_of_another_version_and_nothing_else(here: Here):
    here.treadle("init", "--yes")
    here.write(".treadle/workflow.schema.json", "{}")
    here.write("workflows/hello.yaml", "name: mine\nsteps: [{prompt: x}]\n")
    assert here.treadle("init", "--dry-run", "--json").json["changed"] == [".treadle/workflow.schema.json"]
    assert "anew .treadle/workflow.schema.json" in here.treadle("init", "--yes").out
    assert (here.folder / "workflows" / "hello.yaml").read_text().startswith("name: mine")
    assert (here.folder / ".treadle" / "workflow.schema.json").read_text() != "{}"


def test_init_adds_no_workflow_where_there_is_a_place_for_them(here: Here):
    (here.folder / ".treadle" / "workflows").mkdir(parents=True)
    assert "workflows/hello.yaml" not in here.treadle("init", "--yes", "--json").json["changed"]
