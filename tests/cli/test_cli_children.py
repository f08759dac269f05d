"""A step that runs another workflow, from the command line: carried on, shown, answered, cancelled, and taken over from a process that was killed."""

import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.here import Here
from tests.cli.support import TREADLE
from tests.core.clauses import clause

ASKS = """\
name: asks
inputs: {who: {type: string, required: true}}
steps:
  - {id: ask, prompt: "What does {{ inputs.who }} want?"}
  - return: "{{ steps.ask.result }}"
"""
PARENT = """\
name: parent
tasks:
  next_number:
    inputs: {n: {type: integer, required: true}}
    steps: [{return: "{{ inputs.n + 1 }}"}]
steps:
  - {id: count, run: next_number, inputs: {n: 4}}
  - {id: child, run: asks, inputs: {who: ann}}
  - return: "{{ {'number': steps.count.result, 'wanted': steps.child.result} }}"
"""
GATED = """\
name: gated
steps:
  - {id: inner, run: gate}
  - return: "{{ steps.inner.result }}"
tasks:
  gate:
    steps:
      - {id: allow, approve: "the release"}
      - return: "{{ steps.allow.result.approved }}"
"""
SLOW = """\
name: slow
steps:
  - {id: child, run: pause}
  - return: "{{ steps.child.result }}"
tasks:
  pause:
    steps:
      - {id: rest, type: wait, duration: 1s}
      - return: rested
"""
COMMANDS = """\
name: commands
tasks:
  inner:
    steps: [{id: say, shell: echo from below}, {return: "{{ steps.say.result.stdout }}"}]
steps:
  - {id: go, run: inner}
  - return: "{{ steps.go.result }}"
"""


@pytest.fixture
def parent(here: Here) -> tuple[str, str]:
    """A parent whose child waits for a person, as it was left by `treadle run`."""
    here.write("workflows/asks.yaml", ASKS)
    here.write("workflows/parent.yaml", PARENT)
    done = here.treadle("run", "parent", "--json")
    assert done.code == 3, done.err
    return done.json["id"], done.json["actions"][0]["child"]


@clause("S123")
def test_a_run_goes_on_until_only_a_person_can_move_its_child_and_says_by_what(here: Here, parent: tuple[str, str]) -> None:
    run_id, child_id = parent
    why = here.treadle("why", run_id, "--json").json
    assert (why["kind"], why["action"], why["child"]) == ("answer", "child", child_id)
    assert why["command"] == f"treadle answer {child_id} ask"
    shown = here.treadle("show", run_id).out
    assert f"runs {child_id}" in shown
    assert f"treadle answer {child_id} ask" in shown
    assert f"started by the step {run_id} / child" in here.treadle("show", child_id).out


def test_runs_are_shown_as_a_tree(here: Here, parent: tuple[str, str]) -> None:
    run_id, child_id = parent
    lines = here.treadle("runs", "--tree", COLUMNS="160").out.splitlines()[1:]
    assert [(len(line) - len(line.lstrip()), line.split()[0]) for line in (lines[0], lines[2])] == [(0, run_id), (2, child_id)]
    rows = here.treadle("runs", "--tree", "--json").json["runs"]
    assert [row["parent"] for row in rows] == [None, f"{run_id}/count", f"{run_id}/child"]
    assert [row["workflow"] for row in rows] == ["parent", "parent/next_number", "asks"]


def test_what_a_child_asks_is_answered_through_its_parent(here: Here, parent: tuple[str, str]) -> None:
    run_id, child_id = parent
    answered = here.treadle("answer", "last", "a boat", "--json").json
    assert (answered["run"], answered["action"]) == (child_id, "ask")
    assert here.treadle("why", run_id, "--json").json["command"] == f"treadle resume {run_id}"
    done = here.treadle("resume", "last", "--json").json
    assert (done["status"], done["result"]) == ("completed", {"number": 5, "wanted": "a boat"})


def test_a_gate_of_a_child_is_decided_through_its_parent(here: Here) -> None:
    here.write("workflows/gated.yaml", GATED)
    assert here.treadle("run", "gated", "--json").code == 3
    assert here.treadle("approve", "last", "--yes").code == 0
    assert here.treadle("resume", "last", "--json").json["result"] is True


def test_a_script_answers_what_children_ask(here: Here) -> None:
    here.write("workflows/asks.yaml", ASKS)
    here.write("workflows/parent.yaml", PARENT)
    here.write("answers.yaml", "ask: a kite\n")
    done = here.treadle("run", "parent", "--script", "answers.yaml", "--json")
    assert done.code == 0, done.err
    assert done.json["result"]["wanted"] == "a kite"


@clause("S121")
def test_cancelling_a_parent_cancels_its_child(here: Here, parent: tuple[str, str]) -> None:
    run_id, child_id = parent
    assert here.treadle("cancel", run_id, "--yes", "--detach").code == 0
    assert here.treadle("show", child_id, "--json").json["status"] == "cancelled"


@clause("S119")
def test_who_takes_over_from_a_killed_process_waits_for_the_same_child(here: Here) -> None:
    here.write("workflows/slow.yaml", SLOW)
    process = subprocess.Popen([*TREADLE, "run", "slow"], cwd=here.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    child_id = _child_of_newest(here)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = here.treadle("resume", "last", "--json").json
    assert (done["status"], done["result"]) == ("completed", "rested")
    rows = here.treadle("runs", "--json").json["runs"]
    assert [row["id"] for row in rows if row["parent"]] == [child_id]
    (receipt,) = here.treadle("show", "last", "--json").json["receipts"]
    assert (receipt["attempts"], receipt["begun"]) == (1, 1)


def test_the_commands_of_a_child_are_shown_and_allowed_as_those_of_any_workflow(here: Here) -> None:
    here.write("workflows/commands.yaml", COMMANDS)
    refused = here.treadle("run", "commands", "--json")
    assert (refused.code, "commands/inner" in refused.err, "not_trusted" in refused.err) == (2, True, True)
    assert "workflows/commands.yaml:4 say: echo from below" in here.treadle("trust", "--yes").out
    assert here.treadle("run", "commands", "--json").json["result"] == "from below\n"


def test_what_is_not_built_is_refused_by_name_also_in_a_child(here: Here) -> None:
    here.write("workflows/later.yaml", "name: later\nsteps:\n  - {id: own, delegate: hi, skill: writing}\n")
    here.write("workflows/top.yaml", "name: top\nsteps: [{id: go, run: middle}]\n")
    here.write("workflows/middle.yaml", "name: middle\nsteps: [{id: go, run: later}]\n")
    refused = here.treadle("run", "top", "--json")
    assert "not_yet" in refused.err
    assert "workflows/later.yaml:3" in refused.err


def _child_of_newest(here: Here) -> str:
    until_s = time.monotonic() + 20
    while time.monotonic() < until_s:
        if Path(here.folder / ".treadle").exists():
            rows = here.treadle("runs", "--json").json["runs"]
            found = [row["id"] for row in rows if row["parent"]]
            if found:
                return found[0]
        time.sleep(0.02)
    raise AssertionError("no child was started")
