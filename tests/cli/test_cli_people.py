"""`treadle people`, and what being one of them changes."""

import pytest

from tests.cli.here import Here
from tests.core.clauses import clause
from treadle.cli.frame import decider, person, user_name
from treadle.config.people import People, Person
from treadle.core.errors import RequestError

TEAM = """\
[people.ann]
name = "Ann Miller"
user = "{me}"
roles = ["editor", "release"]

[people.bob]
"""
GATE = """\
name: gate
steps:
  - approve: Ship?
    id: ship
    by: {{user: {who}}}
  - return: "{{{{ steps.ship.result.by }}}}"
"""


def test_people_are_listed_with_roles_account_and_who_you_are(here: Here):
    here.write("treadle.toml", TEAM.format(me=user_name()))
    lines = here.treadle("people", "list").out.splitlines()
    assert [cell for cell in lines[1].split("  ") if cell] == [
        "ann",
        "editor, release",
        user_name(),
        " you",
        "Ann Miller",
    ] or "you" in lines[1]
    assert lines[2].split() == ["bob", "-", "bob"]
    found = here.treadle("people", "list", "--json").json
    assert (found["configured"], found["account"], found["you"]) == (True, user_name(), "ann")
    assert found["people"][0] == {
        "name": "ann", "full_name": "Ann Miller", "account": user_name(), "roles": ["editor", "release"], "you": True, "line": 1,
    }  # fmt: skip


def test_without_people_everybody_here_is_one(here: Here):
    assert "names no people" in here.treadle("people", "list").out
    found = here.treadle("people", "list", "--json").json
    assert found == {"configured": False, "account": user_name(), "you": user_name(), "people": []}


def test_a_stranger_is_told_so(here: Here):
    here.write("treadle.toml", "[people.bob]\nuser = 'nobody-of-that-name'\n")
    assert "is nobody's here" in here.treadle("people", "list").out
    assert here.treadle("people", "list", "--json").json["you"] is None


@clause("S110")
def test_a_gate_asks_for_the_person_and_not_for_the_account(here: Here):
    here.write("treadle.toml", TEAM.format(me=user_name()))
    here.write("workflows/gate.yaml", GATE.format(who="ann"))
    assert here.treadle("run", "gate").code == 3
    assert here.treadle("approve", "last", "--yes").code == 0
    shown = here.treadle("show", "last", "--json").json
    assert (shown["status"], shown["result"], shown["started_by"]) == ("completed", "ann", "ann")


@clause("S110")
def test_whoever_is_not_among_the_people_cannot_approve(here: Here):
    here.write("workflows/gate.yaml", GATE.format(who="ann").replace("    by: {user: ann}\n", ""))
    here.write("treadle.toml", "[people.ann]\nuser = 'somebody-else'\n")
    assert here.treadle("run", "gate").code == 3
    done = here.treadle("approve", "last", "--yes", "--json")
    assert (done.code, done.error["code"]) == (2, "not_a_person")
    assert here.treadle("show", "last", "--json").json["status"] == "waiting"


@clause("S111")
def test_a_gate_for_somebody_else_is_not_started_where_there_is_no_such_person(here: Here):
    here.write("workflows/gate.yaml", GATE.format(who="zoe"))
    here.write("treadle.toml", TEAM.format(me=user_name()))
    checked = here.treadle("validate", "gate", "--json")
    assert checked.code == 0
    assert [(p["code"], p["severity"], p["line"]) for p in checked.json["problems"]] == [("unknown_person", "warning", 5)]
    done = here.treadle("run", "gate", "--json")
    assert (done.code, done.error["code"]) == (2, "impossible_gate")
    (row,) = [row for row in here.treadle("list", "--json").json["workflows"] if row["name"] == "gate"]
    assert row["status"] == "broken"


def test_a_stranger_gives_no_assurance_so_that_no_engine_takes_their_word():
    team = People(by_name={"ann": Person(name="ann", account="somebody-else")})
    assert person(team).assurance == "none"
    assert person(team).name == f"account:{user_name()}"
    assert person(People()).assurance == "local"
    with pytest.raises(RequestError, match="nobody's in \\[people\\]"):
        decider(team)


@clause("S110")
def test_a_role_lets_its_people_approve_and_several_are_asked_for(here: Here):
    here.write("treadle.toml", TEAM.format(me=user_name()).replace("[people.bob]", '[people.bob]\nroles = ["editor"]'))
    here.write("workflows/gate.yaml", GATE.format(who="ann").replace("{user: ann}", "{role: editor, count: 2}"))
    assert here.treadle("run", "gate").code == 3
    assert here.treadle("approve", "last", "--yes").code in {0, 3}
    assert here.treadle("show", "last", "--json").json["status"] == "waiting"
    here.write("workflows/gate.yaml", GATE.format(who="ann").replace("{user: ann}", "{role: release}"))
    assert here.treadle("run", "gate", "--new").code == 3
    here.treadle("approve", "last", "--yes")
    assert here.treadle("show", "last", "--json").json["status"] == "completed"


@clause("S111")
def test_whoever_starts_and_alone_could_approve_is_refused_at_the_start(here: Here):
    here.write("treadle.toml", TEAM.format(me=user_name()))
    here.write("workflows/gate.yaml", GATE.format(who="ann").replace("{user: ann}", "{role: release, never: [starter]}"))
    assert here.treadle("validate", "gate", "--strict").code == 0
    done = here.treadle("run", "gate", "--json")
    assert (done.code, done.error["code"]) == (2, "impossible_gate")
    assert "'ann' alone could, and whoever starts the run may not" in done.error["message"]
    assert here.treadle("runs", "--all", "--json").json["runs"] == []
    here.write("workflows/gate.yaml", GATE.format(who="ann").replace("{user: ann}", "{role: [release, editor], never: [starter]}"))
    here.write("treadle.toml", TEAM.format(me=user_name()).replace("[people.bob]", '[people.bob]\nroles = ["editor"]'))
    assert here.treadle("run", "gate").code == 3
    assert here.treadle("approve", "last", "--yes", "--json").error["code"] == "not_an_approver"
