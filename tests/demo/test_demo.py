"""`treadle demo`: what it claims is what happened; and the same workflow killed anywhere loses and repeats nothing."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.support import TREADLE, Project
from treadle.cli import demo_report
from treadle.cli.demo import SCRIPT, WORKFLOW, docs_folder
from treadle.compose import locate, open_project
from treadle.engine.timeline import Timeline
from treadle.servers.memory_store import MemoryStore


@pytest.fixture
def project(tmp_path) -> Project:
    return Project(tmp_path)


def test_without_a_terminal_the_script_is_at_work_and_the_proof_holds(project, tmp_path):
    place = tmp_path / "stage"
    done = project.treadle("demo", "--dir", str(place), "--json", timeout_s=50)
    assert done.code == 0, done.err
    report = done.json
    assert report["ok"] is True
    assert report["status"] == "completed"
    assert report["seconds"] < 50  # 4 to 6 s on a machine with nothing else to do
    assert report["killed"]["revision"] > 0
    with pytest.raises(ProcessLookupError):
        os.kill(report["killed"]["pid"], 0)
    assert report["acknowledged"]["before"] >= 4
    assert report["acknowledged"]["missing"] == []
    assert {"gather-requirements", "research-phase[0]/save-research", "research-phase[1]/save-research"} <= set(report["kept"])
    assert {row["action"] for row in report["again"]} == {f"research-phase[{n}]/read-sources" for n in (2, 3, 4)}
    assert [(row["begun"], row["answered"]) for row in report["effects"]] == [(1, 1)] * 6
    assert report["memory"] == {"research": 5, "plans": 1, "expected_research": 5, "expected_plans": 1}
    standings = {row["action"]: row["standing"] for row in report["receipts"]}
    assert standings["save-to-memory"] == "done"
    assert standings["create-plan"] == "claimed"
    assert standings["approval-check.then/request-approval"] == "approved"
    shown = project.treadle("show", "last", "--project", str(place), "--json").json
    assert shown["result"]["success"] is True
    assert shown["state"] == {} or shown["state"]["approved"] is True


@pytest.mark.slow
def test_it_says_who_is_at_work_and_leaves_nothing_behind(project, tmp_path):
    places = tmp_path / "tmp"
    places.mkdir()
    done = project.treadle("demo", timeout_s=50, TMPDIR=str(places))
    assert done.code == 0, done.err
    for part in (
        "At work: the shipped script (no model, and no person)",
        "pages of Treadle's own docs, not the web",
        "was killed with SIGKILL",
        "trusted for this demo: server memory",
        "claimed`: an agent",
        "nothing was lost, nothing was done twice",
    ):
        assert part in done.out, part
    assert list(places.iterdir()) == []
    assert list((project.home / "data" / "treadle" / "trust").glob("*.json")) == []


def test_a_person_at_a_terminal_is_asked_and_may_let_the_script_answer(project):
    terminal = project.terminal("demo", columns=110, rows=45)
    terminal.until("Enter: you answer")
    terminal.type("")
    terminal.until("At work: you")
    terminal.until("you are asked: gather-requirements")
    terminal.until("> ")
    terminal.type("s")
    for _ in range(2):  # in the order in which the searches come back
        terminal.until("to be done: research-phase[")
        terminal.until("> ")
        terminal.type("s")
    terminal.until("was killed with SIGKILL")
    terminal.until("kept:     gather-requirements, generate-research-tasks")
    for name in ("research-phase[", "research-phase[", "research-phase[", "create-plan", "review-plan"):
        terminal.until(f"to be done: {name}")
        terminal.until("> ")
        terminal.type("s")
    terminal.until("approve? [y/n]")
    terminal.type("y")
    terminal.until("a note, if you like>")
    terminal.type("I saw it")
    assert terminal.end() == 0
    assert "the memory server's own file holds 5 findings and 1 plan" in terminal.text.replace("\n", " ")
    assert "nothing was lost, nothing was done twice" in terminal.text


def test_a_folder_with_something_in_it_is_refused(project):
    done = project.treadle("demo", "--dir", str(project.folder))
    assert done.code == 2
    assert "error[not_empty]" in done.err


@pytest.mark.slow
async def test_the_proof_fails_where_an_acknowledged_reply_is_missing_or_an_effect_came_twice(project, tmp_path):
    place = tmp_path / "stage"
    assert project.treadle("demo", "--dir", str(place), "--json", timeout_s=50).code == 0
    records = [place / "acks-1.jsonl", place / "acks-2.jsonl"]
    async with open_project(locate(place, {}), serve=False) as opened:
        run = json.loads(records[0].read_text().splitlines()[0])["run"]
        good = await demo_report.make(opened, run, 1, 5, records)
        assert good.ok
        lost = json.loads(records[0].read_text().splitlines()[1]) | {"digest": "sha256:other"}
        records[0].write_text(records[0].read_text() + json.dumps(lost) + "\n")
        assert (await demo_report.make(opened, run, 1, 5, records)).missing == ("gather-requirements",)
        assert not (await demo_report.make(opened, run, 1, 5, records)).ok
        records[0].write_text("\n".join(records[0].read_text().splitlines()[:-1]) + '\n{"ack": "answer", "cut')
        assert (await demo_report.make(opened, run, 1, 5, records)).ok
        store = MemoryStore(place / ".treadle" / "memory.db")
        store.add("research", {"twice": True}, None)
        store.close()
        twice = await demo_report.make(opened, run, 1, 5, records)
        assert twice.memory == (6, 1)
        assert not twice.ok


def planning_project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    python = json.dumps(sys.executable)
    docs = json.dumps(str(docs_folder()))
    project.write(
        "treadle.toml",
        f'[servers.memory]\ncommand = {python}\nargs = ["-m", "treadle.cli.main", "server", "memory"]\n'
        f'[servers.web]\ncommand = {python}\nargs = ["-m", "treadle.cli.main", "server", "web", "--provider", "files", "--folder", {docs}]\n'
        '[servers.web.effects]\nsearch = "read"\n',
    )
    assert project.treadle("trust", "--yes").code == 0
    return project


@pytest.mark.kill
@pytest.mark.slow
@pytest.mark.parametrize("revision", [3, 6, 9, 13, 16, 20, 24, 28, 33])
async def test_killed_anywhere_it_goes_on_and_no_effect_is_visible_twice(tmp_path, revision):
    project = planning_project(tmp_path)
    # Where nobody knows whether a call was made, it is made again under the same key, which the memory server honours.
    again = '- {match: "**/save-research", outcome: not_done}\n- {match: save-to-memory, outcome: not_done}\n'
    script = project.write("script.yaml", again + SCRIPT.read_text())
    command = ["run", WORKFLOW, "-i", "task_description=x", "--script", str(script), "--record", "acks.jsonl"]
    child = project.start(*command, "--new")
    async with open_project(locate(project.folder, {}), serve=False) as opened:
        async for _seq, run_id in opened.engine.changes(0):
            if len(await opened.engine.events(run_id)) >= revision:
                break
        child.send_signal(signal.SIGKILL)
        child.communicate()
    done = project.treadle(*command, "--resume", timeout_s=50)
    assert done.code == 0, done.err + done.out
    async with open_project(locate(project.folder, {}), serve=False) as opened:
        report = await demo_report.make(opened, run_id, child.pid, revision, [project.folder / "acks.jsonl", tmp_path / "none"])
        moments = await Timeline(opened.engine, run_id).more()
    assert report.missing == ()
    assert report.memory == (5, 1)
    assert [note.kind for note in moments[-1].notes].count("run_ended") == 1
    answered = [effect.answered for effect in report.effects]
    assert answered == [1] * 6


def test_dev_demo_is_this_command():
    root = Path(__file__).resolve().parents[2]
    assert 'treadle" demo' in (root / "dev").read_text()
    assert subprocess.run([*TREADLE, "demo", "--help"], check=True, capture_output=True, text=True).stdout.startswith("Usage:")
