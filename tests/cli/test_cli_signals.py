"""`treadle signal` and `treadle undo`, and how waits, signals, budgets, skipped steps and undo are seen in `show`, `why`, `logs`, `runs` and `--json`."""

import json
import re

import pytest

from tests.cli.here import Here

WAITING = """\
name: waiting
budget: {calls: 5}
undo_on: []
steps:
  - {id: nope, when: "{{ inputs.skip }}", set_state: {a: 1}}
  - id: jump
    if: "{{ true }}"
    then: [{id: leap, goto: go, max_visits: 2}]
  - {id: over, set_state: {b: 1}}
  - id: go
    type: wait
    signal: build-finished
    payload: {type: object, required: [ok], properties: {ok: {type: boolean}}}
    within: 2h
    undo: [{id: back, set_state: {undone: true}}]
  - if: "{{ not steps.go.result.ok }}"
    then: [{id: bad, fail: The build is red}]
  - return: green
inputs: {skip: {type: boolean, default: false}}
initial_state: {a: null, b: null, undone: false}
"""
ASKED = """\
name: asked
undo_on: []
steps:
  - {id: book, prompt: Book?, undo: [{id: unbook, prompt: Unbook?}]}
  - {id: stop, fail: That is all}
"""
UNDOABLE = """\
name: undoable
undo_on: []
steps:
  - id: one
    set_state: {n: 1}
    undo: [{id: fail_one, set_state: {n: "{{ 1 / state.zero }}"}}]
  - id: two
    set_state: {n: 2}
    undo: [{id: reset, set_state: {n: 0}}]
  - {id: stop, fail: That is all}
initial_state: {n: 0, zero: 0}
"""


@pytest.fixture
def waiting(here: Here) -> str:
    here.write("workflows/waiting.yaml", WAITING)
    done = here.treadle("run", "waiting", "--json")
    assert done.code == 3, done.err
    return done.json["id"]


def test_a_signal_that_is_waited_for_ends_the_wait(here: Here, waiting: str) -> None:
    done = here.treadle("signal", waiting, "build-finished", "--payload", '{"ok": true}', "--json").json
    assert (done["signal"], done["taken_by"], done["status"], done["run"]) == ("build-finished", "go", "completed", waiting)


@pytest.mark.parametrize("source", ["file", "-"])
def test_the_payload_comes_from_a_file_or_from_standard_input(here: Here, waiting: str, source: str, monkeypatch) -> None:
    path = here.write("payload.yaml", "ok: true\n")
    given = "@payload.yaml" if source == "file" else "-"
    with path.open(encoding="utf-8") as stream:
        monkeypatch.setattr("sys.stdin", stream)
        assert here.treadle("signal", waiting, "build-finished", "--payload", given, "--json").json["taken_by"] == "go"


@pytest.mark.parametrize(
    "arguments, code, said",
    [
        (["build-finishd"], "unknown_signal", "did you mean `build-finished`"),
        (["quite-other"], "unknown_signal", "build-finished"),
        (["build-finished", "--payload", '{"ok": 3}'], "invalid_signal", "nothing was sent"),
        (["build-finished", "--payload", "ok: true"], "bad_payload", "JSON"),
        (["build-finished", "--payload", "@missing.json"], "bad_file", ""),
    ],
)
def test_a_signal_that_would_come_to_nothing_is_refused(here: Here, waiting: str, arguments: list[str], code: str, said: str) -> None:
    done = here.treadle("signal", waiting, *arguments, "--json")
    assert (done.code, done.error["code"]) == (2, code)
    assert said in done.error["message"] + done.error["hint"]
    assert here.treadle("show", waiting, "--json").json["signals"] == []


def test_a_signal_nobody_waits_for_yet_is_kept_and_seen(here: Here) -> None:
    here.write(
        "workflows/late.yaml",
        WAITING.replace("name: waiting", "name: late").replace("  - {id: nope", "  - {id: first, prompt: Well?}\n  - {id: nope"),
    )
    run = here.treadle("run", "late", "--json").json["id"]
    told = here.treadle("signal", run, "build-finished", "--payload", '{"ok": true}')
    assert "kept until a step waits for it" in told.out
    assert here.treadle("show", run, "--json").json["signals"] == ["build-finished"]
    assert "no step has read: `build-finished`" in here.treadle("show", run).out
    assert "it is kept" in here.treadle("logs", run).out


def test_a_wait_its_time_and_what_was_skipped_are_seen_everywhere(here: Here, waiting: str) -> None:
    shown = here.treadle("show", waiting).out
    assert "nope  set_state  its `when` did not hold" in shown
    assert "over  set_state  jumped over" in shown
    assert re.search(r"waits for the signal `build-finished`, at the longest (2 h|1 h 59 min) more", shown)
    assert "the run: 0 of 5 calls" in shown
    why = here.treadle("why", waiting)
    assert f"treadle signal {waiting} build-finished" in why.out
    assert here.treadle("why", waiting, "--json").json["kind"] == "signal"
    assert "waits for the signal" in here.treadle("runs").out
    data = here.treadle("show", waiting, "--json").json
    assert (data["waits"][0]["signal"], data["waits"][0]["path"]) == ("build-finished", "go")
    assert data["waits"][0]["due_at"] is not None
    assert data["budgets"] == [{"owner": "", "calls": 0, "calls_max": 5, "tokens": 0, "tokens_max": None, "usd": "0", "usd_max": None}]
    steps = {step["path"]: step for step in data["steps"]}
    assert (steps["over"]["status"], steps["over"]["why"]) == ("skipped", "jumped over")
    log = here.treadle("logs", waiting).out
    assert "goes on at `go`" in log
    assert "skipped: its `when` did not hold" in log


def test_what_was_jumped_over_is_shown_so_after_the_end_too(here: Here, waiting: str) -> None:
    here.treadle("signal", waiting, "build-finished", "--payload", '{"ok": true}')
    steps = {step["path"]: step for step in here.treadle("show", waiting, "--json").json["steps"]}
    assert (steps["over"]["status"], steps["go"]["status"]) == ("skipped", "completed")


def test_undo_lists_asks_and_takes_back_once(here: Here, waiting: str) -> None:
    here.treadle("signal", waiting, "build-finished", "--payload", '{"ok": false}')
    assert "`treadle undo` can take it back" in here.treadle("logs", waiting).out
    assert "can be taken back: treadle undo" in here.treadle("runs", "--all").out
    listed = here.treadle("undo", waiting, "--list", "--json").json
    assert (listed["undo"], listed["kept"]) == (
        "kept",
        [{"step": "go", "by": [{"id": "back", "type": "set_state", "does": "set_state", "effect": "none"}]}],
    )
    asked = here.treadle("undo", waiting)
    assert (asked.code, "go  by back (set_state)" in asked.out, "not_confirmed" in asked.err) == (2, True, True)
    assert here.treadle("show", waiting, "--json").json["undo"] == "kept"
    done = here.treadle("undo", waiting, "--yes", "--json")
    assert (done.code, done.json["undo"], done.json["state"]["undone"]) == (1, "done", True)
    assert "was taken back" in here.treadle("logs", waiting).out
    again = here.treadle("undo", waiting, "--yes", "--json")
    assert (again.code, again.error["code"]) == (2, "nothing_to_undo")


def test_an_undo_that_fails_goes_on_with_the_others_and_has_an_exit_code_of_its_own(here: Here) -> None:
    here.write("workflows/undoable.yaml", UNDOABLE)
    run = here.treadle("run", "undoable", "--json").json["id"]
    listed = here.treadle("undo", run, "--list").out.splitlines()
    assert [line.split()[0] for line in listed] == ["two", "one"]
    done = here.treadle("undo", run, "--yes", "--json")
    assert (done.code, done.json["exit_code"], done.json["undo"], done.json["state"]["n"]) == (8, 8, "incomplete", 0)
    assert here.treadle("runs", "--all", "--json").json["runs"][0]["exit_code"] == 8
    assert "not all" in here.treadle("show", run).out


def test_an_undo_that_asks_a_person_waits(here: Here) -> None:
    here.write("workflows/asked.yaml", ASKED)
    run = here.treadle("run", "asked", "--json").json["id"]
    early = here.treadle("undo", run, "--yes", "--json")
    assert (early.code, early.error["code"]) == (2, "not_ended")
    here.treadle("answer", run, "book", "yes")
    done = here.treadle("undo", run, "--yes", "--json")
    assert (done.code, done.json["status"], done.json["ending"]) == (3, "undoing", "undo")
    assert "what it did is taken back" in here.treadle("show", run).out
    here.treadle("answer", run, "yes")
    assert here.treadle("show", run, "--json").json["undo"] == "done"


def test_json_lines_of_logs_hold_the_notes_of_waiting(here: Here, waiting: str) -> None:
    rows = [json.loads(line) for line in here.treadle("logs", waiting, "--json").out.splitlines()]
    kinds = {note["kind"] for row in rows for note in row["notes"]}
    assert {"waiting", "goto_taken", "step_skipped"} <= kinds
