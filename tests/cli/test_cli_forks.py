"""Forking a run from the command line: what is shown before, what is asked, and how origin and fork are told apart afterwards."""

from tests.cli.here import Here
from tests.cli.support import Project
from tests.core.clauses import clause

LETTER = """\
name: letter
initial_state: {tone: "", draft: ""}
steps:
  - id: ask
    prompt: Which tone?
    output_to: tone
  - id: write
    delegate: "Write it, {{ state.tone }}."
    output_to: draft
    undo: [{id: burn, delegate: Burn it.}]
  - id: send
    delegate: "Send {{ state.draft }}."
    effect: send
  - return: "{{ state.draft }}"
"""
ROUNDS = """\
name: rounds
steps:
  - id: each
    type: foreach
    items: [a, b]
    sequential: true
    do:
      - {id: look, prompt: "Look at {{ item }}"}
"""


def written(here: Here) -> str:
    """A run that has ended."""
    here.write("workflows/letter.yaml", LETTER)
    here.treadle("run", "letter", "--detach")
    for action, value in (("ask", "friendly"), ("write", "Dear all"), ("send", "sent")):
        assert here.treadle("answer", "last", action, value).code in {0, 3}
    return here.treadle("show", "last", "--json").json["id"]


def test_what_would_happen_again_is_listed_before(here: Here):
    run_id = written(here)
    done = here.treadle("fork", "last", "--from", "write", "--set", "tone=formal", "--dry-run")
    words = " ".join(done.out.split())
    assert (done.code, "fork of" in words, f"{run_id} (letter) from write" in words) == (0, True, True)
    assert 'set tone = "formal"' in words
    assert "write delegate [write] claimed, just now; its `undo` can take it back" in words
    assert "send delegate [send] claimed, just now; it has no `undo`" in words
    told = here.treadle("fork", run_id, "--from", "send", "--dry-run", "--json").json
    assert (told["from"], told["step"], told["type"], told["set"]) == (run_id, "send", "delegate", {})
    assert [(each["action"], each["effect"], each["standing"], each["undo"]) for each in told["again"]] == [
        ("send", "send", "claimed", False)
    ]
    assert told["shared"] == told["revision"] < here.treadle("show", run_id, "--json").json["revision"]
    assert [row["id"] for row in here.treadle("runs", "--all", "--json").json["runs"]] == [run_id]


def test_nobody_there_to_be_asked_is_told_how_to_say_yes(here: Here):
    run_id = written(here)
    refused = here.treadle("fork", "last", "--from", "send", "--json")
    assert (refused.code, refused.error["code"]) == (2, "not_confirmed")
    assert "1 effect would happen again" in refused.error["message"]
    refused = here.treadle("fork", "last", "--json")
    assert (refused.error["code"], "ask, write, send" in refused.error["hint"]) == ("no_step_named", True)
    steps = here.treadle("fork", run_id, "--dry-run", "--json").json["steps"]
    assert [step["step"] for step in steps][:3] == ["ask", "write", "send"]


@clause("S124")
def test_a_fork_goes_on_by_itself_and_both_are_told_apart(here: Here):
    run_id = written(here)
    fork = here.treadle("fork", "last", "--from", "write", "--set", "tone=formal", "--yes", "--detach", "--json").json
    assert (fork["forked_from"], fork["status"], fork["state"]["tone"]) == (f"{run_id}/write", "waiting", "formal")
    assert fork["actions"][0]["params"]["instructions"] == "Write it, formal."
    here.treadle("answer", fork["id"], "write", "Dear Sir")
    here.treadle("answer", fork["id"], "send", "sent")
    assert here.treadle("show", fork["id"], "--json").json["result"] == "Dear Sir"
    origin = here.treadle("show", run_id, "--json").json
    assert (origin["result"], origin["forks"], origin["forked_from"]) == ("Dear all", [fork["id"]], None)
    assert f"forked from {run_id} at `write`" in here.treadle("show", fork["id"]).out
    assert f"forked into {fork['id']}" in here.treadle("show", run_id).out
    tree = here.treadle("runs", "--all", "--tree").out.splitlines()
    assert [line.split()[:2] for line in tree[-2:]] == [[run_id, "✓"], ["fork", fork["id"]]]
    rows = here.treadle("runs", "--all", "--tree", "--json").json["runs"]
    assert [(row["id"], row["forked_from"], row["parent"]) for row in rows] == [(run_id, None, None), (fork["id"], run_id, None)]
    assert here.treadle("verify", "--all").code == 0


def test_logs_and_receipt_part_what_is_shared(here: Here):
    run_id = written(here)
    fork = here.treadle("fork", "last", "--from", "write", "--yes", "--detach", "--json").json["id"]
    here.treadle("answer", fork, "write", "Dear Sir")
    lines = here.treadle("logs", fork).out.splitlines()
    parted = next(number for number, line in enumerate(lines) if f"forked from {run_id} at `write`" in line)
    assert any("ask  answered by" in line for line in lines[:parted])
    assert any("write  claimed done by" in line for line in lines[parted:])
    receipt = here.treadle("receipt", fork, "--json").json
    assert receipt["forked_from"] == f"{run_id}/write"
    told = [(each["action"], each["run"], each["key"], each["shared"]) for each in receipt["actions"]]
    assert told == [
        ("ask", run_id, f"{run_id}/ask", True), ("write", fork, f"{fork}/write", False), ("send", fork, f"{fork}/send", False),
    ]  # fmt: skip
    assert f", in {run_id}" in here.treadle("receipt", fork).out


@clause("S128")
def test_names_that_are_not_there_come_with_what_was_meant(here: Here):
    written(here)
    for step, code, hint in (
        ("wriet", "no_such_step", "`write`"), ("write.undo/burn", "no_fork_point", "the step before"), ("burn", "no_such_step", "ask, write"),
    ):  # fmt: skip
        error = here.treadle("fork", "last", "--from", step, "--dry-run", "--json").error
        assert (error["code"], hint in error["hint"]) == (code, True), error
    error = here.treadle("fork", "last", "--from", "write", "--set", "tome=1", "--yes", "--detach", "--json").error
    assert (error["code"], "`tone`" in error["hint"]) == ("no_such_state", True)
    assert here.treadle("fork", "last", "--from", "write", "--set", "tone", "--yes", "--json").error["code"] == "bad_input"
    assert len(here.treadle("runs", "--all", "--json").json["runs"]) == 1


def test_an_id_means_the_last_visit_and_several_places_want_a_path(here: Here):
    here.write("workflows/rounds.yaml", ROUNDS)
    here.treadle("run", "rounds", "--detach")
    for index in (0, 1):
        here.treadle("answer", "last", f"each[{index}]/look", "seen")
    error = here.treadle("fork", "last", "--from", "look", "--dry-run", "--json").error
    assert (error["code"], "each[0]/look, each[1]/look" in error["message"]) == ("ambiguous_step", True)
    fork = here.treadle("fork", "last", "--from", "each[1]/look", "--yes", "--detach", "--json").json
    assert [action["id"] for action in fork["actions"]] == ["each[1]/look"]


def test_a_terminal_lists_the_steps_asks_and_goes_on(tmp_path):
    project = Project(tmp_path, letter=LETTER)
    project.treadle("run", "letter", "--detach")
    project.treadle("answer", "last", "ask", "friendly")
    project.treadle("answer", "last", "write", "Dear all")
    terminal = project.terminal("fork", "last")
    terminal.until("From which step")
    assert "2  write  delegate" in terminal.text
    terminal.type("2")
    terminal.until("Fork it?")
    assert "again" in terminal.text
    terminal.type("y")
    terminal.until("Write it, friendly")
    terminal.type("/quit")
    assert terminal.end() == 3


def test_a_process_that_is_killed_leaves_the_whole_fork_or_nothing(tmp_path):
    project = Project(tmp_path, letter=LETTER)
    project.treadle("run", "letter", "--detach")
    project.treadle("answer", "last", "ask", "friendly")
    fork = ("fork", "last", "--from", "ask", "--yes", "--detach")
    assert project.treadle(*fork, TREADLE_FAULT="commit.event").code < 0
    assert len(project.treadle("runs", "--json").json["runs"]) == 1
    assert project.treadle(*fork, TREADLE_FAULT="commit.marked").code < 0
    made, origin = project.treadle("runs", "--json").json["runs"]
    assert (made["forked_from"], made["status"]) == (origin["id"], "waiting")
    assert project.treadle("verify", "--all").code == 0
