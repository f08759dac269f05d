"""`treadle verify`: runs computed again from their events; whatever was changed by hand is named."""

import json
import sqlite3

import pytest

from tests.cli.here import Here

SMALL = """\
name: small
initial_state: {text: null}
steps:
  - {id: put, set_state: {text: "{{ 'x' * 70000 }}"}}
  - {id: ask, prompt: "{{ state.text | length }}?"}
"""


@pytest.fixture
def run(here: Here) -> str:
    here.write("workflows/small.yaml", SMALL)
    return here.treadle("run", "small", "--json").json["id"]


def change(here: Here, statement: str, *values: object) -> None:
    with sqlite3.connect(here.folder / ".treadle" / "treadle.db") as db:
        assert db.execute(statement, values).rowcount == 1
    db.close()


def found(here: Here, run: str) -> list[tuple[str, str]]:
    done = here.treadle("verify", run, "--json")
    assert (done.code, done.json["ok"]) == (1, False)
    return [(row["what"], row["place"]) for row in done.json["runs"][0]["differences"]]


def test_runs_that_hold_say_so(here: Here, run: str) -> None:
    here.treadle("run", "small", "--new", "--json")
    one = here.treadle("verify", run)
    assert (one.code, "events give what is stored" in one.out) == (0, True)
    every = here.treadle("verify", "--all", "--json")
    assert (every.code, every.json["ok"], len(every.json["runs"])) == (0, True, 2)
    assert "2 runs verified, all hold" in here.treadle("verify", "--all").out


def test_one_of_a_run_and_all_is_asked_for(here: Here, run: str) -> None:
    assert here.treadle("verify", "--json").error["code"] == "usage"
    assert here.treadle("verify", run, "--all", "--json").error["code"] == "usage"


def test_a_word_of_the_list_that_was_changed_is_found(here: Here, run: str) -> None:
    change(here, "UPDATE run SET status = 'completed' WHERE id = ?", run)
    assert found(here, run) == [("row", "status")]
    told = here.treadle("verify", run).out
    assert 'from the events: "waiting"' in told
    assert 'stored:          "completed"' in told


def test_an_event_that_was_changed_breaks_the_chain_and_one_run_does_not_hide_another(here: Here, run: str) -> None:
    here.treadle("run", "small", "--new", "--json")
    with sqlite3.connect(here.folder / ".treadle" / "treadle.db") as db:
        (body,) = db.execute("SELECT body FROM event WHERE run = ? AND rev = 1", (run,)).fetchone()
        event = json.loads(body)
        event["at_ms"] += 1
        db.execute("UPDATE event SET body = ? WHERE run = ? AND rev = 1", (json.dumps(event).encode(), run))
    db.close()
    places = found(here, run)
    assert places[0] == ("chain", "")
    every = here.treadle("verify", "--all")
    assert (every.code, "1 do not hold" in every.out) == (1, True)
