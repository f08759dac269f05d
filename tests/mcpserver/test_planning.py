"""The library's `planning:interactive`, whole: real servers for memory and search, sub-agents at once, a kill in the middle, a person's approval."""

import asyncio
import json
import sqlite3
import sys
from pathlib import Path

import mcp_types
import pytest
from mcp import Client, StdioServerParameters

from tests.mcpserver.processes import OURS, environment, serving
from tests.mcpserver.support import PERSON, Agent, Told
from treadle import compose
from treadle.config.project import Project
from treadle.config.settings import load as load_settings
from treadle.trust import TrustStore, collect

FINDINGS = {
    "findings": [{"statement": "It works", "sources": ["https://docs.example/python.md"]}],
    "confidence": "high",
}


def planning_project(root: Path) -> Path:
    """A project whose servers are Treadle's own, and trusted."""
    (root / "docs").mkdir()
    (root / "docs" / "python.md").write_text(
        "# Python\nHow to move to Python 3.13, what goes wrong, in which order, and what prevents it.\n"
    )
    (root / "treadle.toml").write_text('[web_search]\nprovider = "files"\nfolder = "docs"\nsite = "https://docs.example"\n')
    servers = {
        "memory": {"command": sys.executable, "args": ["-m", "treadle.servers.memory"]},
        "web": {"command": sys.executable, "args": ["-m", "treadle.servers.web"]},
    }
    (root / ".mcp.json").write_text(json.dumps({"mcpServers": servers}))
    here = Project(root=root, home=root, marker="treadle.toml")
    settings = load_settings(here, environ={}, flags=None)
    TrustStore(root / "data" / "treadle").accept(here, collect(here, settings.servers()))
    return root


async def decide(root: Path, run_id: str) -> None:
    """Approve the open gate from another process's place: this one."""
    settings = compose.locate(root, {})
    async with compose.open_project(settings, serve=False) as opened:
        run = await opened.service.look(run_id)
        (gate,) = [action for action in run.actions if action.kind == "approve"]
        offer = await opened.service.decide(run_id, gate.id, gate.digest or "", PERSON, approved=True)
        assert offer.refusal is None, offer.refusal


async def work(agent: Agent, prompt: str) -> Told:
    """Do what a sub-agent does with its prompt."""
    told = await agent.do(prompt)
    while told["kind"] != "done":
        told = await agent.do(told["next"], **({"result": FINDINGS} if told["kind"] == "step" else {}))
    return told


@pytest.mark.kill
async def test_planning_goes_through_a_kill_with_nothing_lost_and_nothing_done_twice(tmp_path: Path) -> None:
    root = planning_project(tmp_path)
    with serving(root, "chat-1") as process:
        process.greet()
        step = process.tool("start_workflow", workflow="planning:interactive", inputs={"task_description": "move to Python 3.13"})
        fan = process.do(step["next"], result="fast; safe; by May", wait_seconds=25)
        assert (fan["kind"], len(fan["branches"])) == ("fan_out", 5)
        prompts = [branch["prompt"] for branch in fan["branches"]]
        told = process.do(prompts[0])
        assert "docs.example/python.md" in told["instructions"], "the search was made for real"
        assert process.do(told["next"], result=FINDINGS, wait_seconds=25)["kind"] == "done"
        process.do(prompts[1])
        process.kill()

    server = StdioServerParameters(command=OURS[0], args=list(OURS[1:]), env=environment(root, "chat-2"), cwd=str(root))
    async with Client(server, mode="auto", client_info=mcp_types.Implementation(name="another", version="1")) as client:
        agent = Agent(client)
        run = await agent("get_run")
        assert run["decided"][0] == "gather-requirements: fast; safe; by May"
        assert [told["kind"] for told in await asyncio.gather(*(work(agent, prompt) for prompt in prompts))] == ["done"] * 5
        step = await agent.do(run["resume"])
        assert step["action"] == "create-plan"
        step = await agent.do(step["next"], result="# Plan\n\n## Overview\nGo.")
        waiting = await agent.do(step["next"], result={"feedback": [], "verdict": "accept"})
        assert waiting["approvals"][0]["show"].startswith("# Plan")
        polling = asyncio.create_task(agent.do(waiting["next"]))
        await decide(root, run["run_id"])
        ended = await polling
        while ended["kind"] == "waiting":
            ended = await agent.do(ended["next"])
    assert (ended["status"], ended["result"]["approved"], ended["result"]["saved"]) == ("completed", True, True)
    kept = sqlite3.connect(root / ".treadle" / "memory.db")
    try:
        rows = kept.execute("SELECT key, category FROM entry").fetchall()
    finally:
        kept.close()
    assert sorted(category for key, category in rows if key is None) == ["research"] * 5, "one per question, although a process was killed"
    assert len([key for key, _ in rows if key is not None]) == 1
