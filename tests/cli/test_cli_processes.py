"""Several processes on one file: who died is noticed at once, who only looks takes nothing away, what nobody performs is said (rulings 46, 59)."""

import asyncio
import subprocess
import time

import pytest

from tests.cli.support import EFFECT, TREADLE, WORK
from treadle import presence
from treadle.compose import locate, open_project
from treadle.core.events import Caller

READ = """\
name: reading
steps:
  - {id: look, mcp_call: ledger.slow, parameters: {text: seen}, effect: read}
  - return: done
"""


def wait_until(condition, within_s=20.0):
    ends = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < ends, "it did not come to that"


def test_what_nobody_performs_is_stalled_and_why_names_the_command(make_project):
    project = make_project(effect=EFFECT).with_ledger()
    run = project.treadle("run", "effect", "--detach", "--json").json["id"]
    data = project.treadle("why", run, "--json").json
    assert (data["kind"], data["status"], data["command"]) == ("stalled", "stalled", f"treadle resume {run}")
    assert project.treadle("runs", "--json").json["runs"][0]["status"] == "stalled"
    assert project.show(run)["status"] == "stalled"


@pytest.mark.kill
def test_a_read_that_a_killed_process_had_begun_is_begun_again_at_once(make_project):
    project = make_project(reading=READ).with_ledger()
    child = project.start("run", "reading")
    wait_until(project.noted)
    child.kill()
    child.communicate()
    project.ledger.with_name("ledger.txt.go").touch()
    began = time.monotonic()
    assert project.treadle("resume", "last", "--json").json["result"] == "done"
    assert time.monotonic() - began < 20  # the lease would have lasted for minutes
    assert project.noted() == ["seen", "seen"]


@pytest.mark.kill
@pytest.mark.slow
def test_another_process_at_work_takes_over_what_a_killed_one_left(make_project):
    project = make_project(effect=EFFECT).with_ledger()
    child = project.start("run", "effect")
    wait_until(project.noted)
    run = project.show()["id"]
    other = subprocess.Popen(
        [*TREADLE, "mcp"], cwd=project.folder, env=project.environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )  # fmt: skip
    live = project.folder / ".treadle" / "live"
    wait_until(lambda: any(each.what == "mcp" for each in presence.living(live)))
    child.kill()
    child.communicate()
    wait_until(lambda: project.show(run)["actions"][0]["status"] == "unknown")
    assert other.stdin is not None
    other.stdin.close()
    assert other.wait(20) == 0
    assert presence.living(live) == []


def test_the_steps_of_an_agent_that_is_at_work_are_left_to_it(make_project):
    project = make_project(work=WORK).with_ledger()
    run = project.treadle("run", "work", "--json").json["id"]
    with presence.Presence(project.folder / ".treadle" / "live", "treadle-agent-test", what="agent", serves=False):
        asyncio.run(taken(project, run, Caller(kind="agent", name="treadle-agent-test/x")))
        terminal = project.terminal("resume", run)
        terminal.until("its steps are left to it")
        actions = {action["id"]: action["holder"] for action in project.show(run)["actions"]}
        assert actions == {"each[0]/look": "treadle-agent-test/x", "each[1]/look": None, "each[2]/look": None}
        terminal.interrupt()
        assert terminal.end() == 3
    # Once the session is gone, the person at the terminal is asked.
    again = project.terminal("resume", run)
    again.until("shows more")
    again.interrupt()
    again.end()


async def taken(project, run, by):
    async with open_project(locate(project.folder, {}), serve=False) as opened:
        token = (await opened.service.look(run)).branches[0].token
        offer = await opened.service.next_step(run, by, token=token)
        assert offer.action is not None


@pytest.mark.slow
def test_doctor_and_why_name_the_processes_at_work(make_project):
    project = make_project(effect=EFFECT).with_ledger()
    child = project.start("run", "effect")
    wait_until(project.noted)
    findings = project.treadle("doctor", "--json").json["findings"]
    assert any(f["check"] == "processes" and f"pid {child.pid}" in f["message"] for f in findings)
    assert project.treadle("why", "last", "--json").json["kind"] == "server"
    project.ledger.with_name("ledger.txt.go").touch()
    child.communicate()
    assert child.returncode == 0


def test_what_performers_held_is_free_again_when_their_process_ends(make_project):
    project = make_project(work=WORK).with_ledger()
    script = project.write("s.yaml", '- {match: "each[0]/look", hold: true}\n- {match: "each[1]/look", hold: true}\n')
    done = project.treadle("run", "work", "--script", str(script))
    assert done.code == 3
    assert "each[2]/look" in done.err
    assert [action["holder"] for action in project.show()["actions"]] == [None, None, None]
    assert presence.living(project.folder / ".treadle" / "live") == []
