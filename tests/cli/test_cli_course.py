"""`show` and `logs` tell how each step went: what was chosen, how often, who won, what was tolerated, taken back, proven, only claimed."""

import time
from dataclasses import replace

import pytest

from tests.cli.here import Here
from treadle.cli import live
from treadle.view import ActionView

SHAPES = """\
name: shapes
initial_state: {n: 0, tries: 0}
steps:
  - {id: never, when: "{{ false }}", prompt: never}
  - id: pick
    switch: b
    cases:
      a: [{id: a, set_state: {n: 0}}]
      b: [{id: b, set_state: {n: 0}}]
  - id: loop
    while: "{{ state.n < 12 }}"
    max_iterations: 20
    do: [{id: inc, set_state: {n: "{{ state.n + 1 }}"}}]
  - id: each
    foreach: [1, 2, 3]
    on_item_error: collect
    do: [{id: part, if: "{{ item == 2 }}", then: [{id: bad, fail: no}]}]
  - id: bump
    set_state: {tries: "{{ state.tries + 1 }}"}
    undo: [{id: drop, set_state: {n: 0}}]
  - id: odd
    set_state: {n: "{{ 1 / (state.tries - 1) }}"}
    on_error: continue
  - id: again
    if: "{{ state.tries < 2 }}"
    then: [{id: back, goto: bump, max_visits: 3}]
  - id: race
    type: parallel
    join: any
    branches:
      quick: [{id: q, set_state: {n: 1}}]
      ask: [{id: which, prompt: Which?}]
  - {id: stop, fail: Enough}
finally:
  - {id: clean, set_state: {tries: 0}}
"""
CLAIM = """\
name: claim
steps:
  - {id: work, delegate: Do it}
  - {id: look, delegate: Do it well, verify: [{files: [{path: there}]}]}
"""


@pytest.fixture
def shapes(here: Here) -> str:
    here.write("workflows/shapes.yaml", SHAPES)
    done = here.treadle("run", "shapes", "--json")
    assert done.code == 1, done.err
    return done.json["id"]


def test_show_tells_how_each_step_went(here: Here, shapes: str) -> None:
    lines = [" ".join(line.split()) for line in here.treadle("show", shapes).out.splitlines()]
    steps = lines[lines.index("steps") + 1 : lines.index("state")]
    assert steps == [
        "- never prompt its `when` did not hold",
        "✓ pick switch chose `b`",
        "✓ b/b set_state",
        "✓ loop while 12 rounds",
        "· 12 steps below (--full shows them)",
        "! each foreach 3 items, 1 failed",
        "✓ [0]/part condition chose `else`",
        "✗ [1]/part condition failed, chose `then`",
        "✗ then/bad fail failed",
        "✓ [2]/part condition chose `else`",
        "✓ bump~2 set_state taken back",
        "✓ undo/drop set_state",
        "✓ odd~2 set_state",
        "✓ again~2 condition chose `else`",
        "✓ race parallel won by `quick`",
        "✓ quick/q set_state",
        "- ask/which prompt left before it was done",
        "✗ stop fail failed",
        "✓ finally/clean set_state",
    ]
    whole = here.treadle("show", shapes, "--full").out
    assert "[11]/inc" in whole
    assert "--full shows them" not in whole


def test_the_course_in_json_has_every_visit_in_the_order_of_their_beginning(here: Here, shapes: str) -> None:
    course = here.treadle("show", shapes, "--json").json["course"]
    assert [visit["path"] for visit in course[:4]] == ["never", "pick", "pick.b/b", "loop"]
    assert all(
        list(visit) == ["path", "type", "status", "said", "attempts", "opened_at", "ended_at"] and visit["ended_at"] for visit in course
    )
    by = {visit["path"]: (visit["type"], visit["status"], visit["said"]) for visit in course}
    assert by["odd"] == ("set_state", "failed", ["expression, and the run went on"])
    assert by["again.then/back"] == ("goto", "completed", ["went on at `bump`"])
    assert by["race.ask/which"] == ("prompt", "cancelled", [])
    assert [path for path in by if path.startswith(("bump", "finally"))] == [
        "bump",
        "bump~2",
        "finally/clean",
        "bump~2.undo/drop",
        "bump.undo/drop",
    ]


def test_logs_say_with_the_end_of_a_step_how_it_went(here: Here, shapes: str) -> None:
    told = here.treadle("logs", shapes).out
    for said in ("pick  done, chose `b`", "loop  done, 12 rounds", "each  done, 3 items, 1 failed", "race  done, won by `quick`"):
        assert said in told, said
    assert told.count("again.then/back  ") == 1, "that it went on elsewhere is said once"


def test_what_is_claimed_and_what_is_proven_is_told_apart_also_while_treadle_looks(here: Here) -> None:
    here.write("workflows/claim.yaml", CLAIM)
    run = here.treadle("run", "claim", "--json").json["id"]
    assert here.treadle("answer", run, "work", "done").code == 0
    assert "work  delegate  only claimed" in here.treadle("show", run).out
    here.write("there", "x")
    answered = here.treadle("answer", run, "look", "done", "--json").json["next"]
    assert (answered["action"], answered["others"], "claimed done" in answered["message"]) == ("look", 0, True)
    assert here.treadle("resume", run, "--json").json["status"] == "completed"
    assert "look  delegate  proven" in here.treadle("show", run).out


SLOW = """\
name: slow
steps:
  - id: slow
    shell: "echo as far as this; sleep 30"
    timeout: 2s
    effect: read
"""


def test_what_a_command_wrote_before_its_time_was_up_is_kept(here: Here) -> None:
    here.write("workflows/slow.yaml", SLOW)
    assert here.treadle("trust", "--yes").code == 0
    run = here.treadle("run", "slow", "--json")
    assert (run.code, run.json["failure"]["class"]) == (1, "timeout")
    assert run.json["failure"]["message"].endswith("its time being up: as far as this")


def test_what_is_tried_again_says_when_and_what_is_tried_again_now_says_so() -> None:
    base = ActionView(
        id="x", kind="shell", status="backoff", attempt=2, performer="server", channel="", effect="read", waits_for="time", params={}, expected={},
        opened_at_ms=0, due_ms=time.time_ns() // 1_000_000 + 65_000,
    )  # fmt: skip
    assert live.doing(base).startswith("attempt 2 failed, the next in 1 min")
    assert live.doing(replace(base, status="claimed", waits_for="server")) == "Treadle performs it, attempt 2"
