"""`treadle receipt`: text, Markdown that cannot be broken out of, JSON; no values of steps, never secrets."""

import re

import pytest

from tests.cli.here import Here

RELEASE = """\
name: release
inputs: {tag: {type: string}}
budget: {calls: 3}
steps:
  - {id: skipped, when: "{{ false }}", prompt: Never}
  - {id: build, delegate: Build it}
  - {id: gate, approve: "{{ steps.build.result }}", by: {count: 2}}
  - return: "{{ steps.build.result }}"
"""


@pytest.fixture
def run(here: Here) -> str:
    here.write("workflows/release.yaml", RELEASE)
    run = here.treadle("run", "release", "-i", "tag=v1 | <b>@all</b> `x`", "--json").json["id"]
    here.treadle("answer", run, "build", "THE ANSWER ITSELF")
    assert here.treadle("approve", run, "--yes", "--note", "ship | it").code == 0
    return run


def test_json_has_the_documented_keys(here: Here, run: str) -> None:
    data = here.treadle("receipt", run, "--json").json
    assert data == here.treadle("receipt", run, "--format", "json").json | {"took_ms": data["took_ms"]}
    documented = here.treadle("receipt", "--help").out
    assert all(re.search(rf"\b{key}\b", documented) for key in data)
    assert (data["complete"], data["status"], data["claimed"], data["proven"]) == (False, "waiting", 1, 0)
    build, gate = data["actions"]
    assert (build["standing"], build["effect"], build["attempts"]) == ("claimed", "write", 1)
    assert (gate["standing"], [row["note"] for row in gate["decisions"]]) == ("open", ["ship | it"])
    assert gate["decisions"][0]["digest"].startswith("sha256:")
    assert (data["skipped"], data["budgets"][0]["calls"]) == (["skipped"], 1)
    assert "THE ANSWER ITSELF" not in here.treadle("receipt", run, "--json").out


def test_text_says_who_on_whose_word_and_what_is_only_claimed(here: Here, run: str) -> None:
    told = here.treadle("receipt", run).out
    assert "1 only claimed (whoever did it says so, nothing checked it)" in told
    assert re.search(r"build  delegate \[write\]: claimed by \S+", told)
    assert re.search(r"approved by \S+ \(local\) at .*, of sha256:[0-9a-f]{64}: ship \| it", told)
    assert "the run: 1 of 3 calls" in told
    assert "1 of 2 have approved" in here.treadle("show", run).out


def test_markdown_holds_together_whatever_stands_in_it(here: Here, run: str) -> None:
    text = here.treadle("receipt", run, "--format", "markdown").out
    assert text.startswith("### Treadle receipt: `release` waiting")
    assert "- input tag: `v1 \\| <b>@all</b> 'x'`" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {8}
    assert "ship \\| it" in text


def test_a_start_by_name_says_which_file_was_meant(here: Here, run: str) -> None:
    told = here.treadle("run", "release", "-i", "tag=x", "--new")
    assert told.out.splitlines()[0] == "release is workflows/release.yaml"
    assert "release is" not in here.treadle("run", "workflows/release.yaml", "-i", "tag=x", "--new").out
