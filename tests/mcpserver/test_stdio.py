"""The process: what it lets out, how it ends, how fast it answers first, and that killing it costs nothing that was answered."""

import json
import signal
import statistics
import time
from pathlib import Path

import mcp_types
import pytest
from mcp import Client, StdioServerParameters

from tests.mcpserver.flows import FANNED, SMALL
from tests.mcpserver.processes import EMPTY, OURS, Process, environment, serving
from tests.mcpserver.support import MODES, Agent
from treadle.config.project import Project
from treadle.config.servers import Catalog
from treadle.trust import TrustStore, collect

NOISY = """\
import os
import subprocess
import sys

from treadle.functions import function

print("on import")


@function(version="1", pure=True)
def noisy(text: str) -> str:
    print("by print")
    sys.stdout.write("by sys.stdout\\n")
    os.write(1, b"by descriptor\\n")
    subprocess.run(["echo", "by child"], check=True)
    return text.upper()
"""
USES_NOISY = "name: noisy\nsteps:\n  - {id: ask, prompt: 'Say'}\n  - {id: finish, return: '{{ noisy(steps.ask.result) }}'}\n"


def project(root: Path, **workflows: str) -> Path:
    """Write workflows into a project."""
    (root / "workflows").mkdir()
    for name, text in workflows.items():
        (root / "workflows" / f"{name}.yaml").write_text(text)
    return root


@pytest.mark.parametrize("mode", MODES)
async def test_the_sdks_client_walks_a_workflow_over_stdio(tmp_path: Path, mode: str) -> None:
    root = project(tmp_path, small=SMALL)
    server = StdioServerParameters(command=OURS[0], args=list(OURS[1:]), env=environment(root), cwd=str(root))
    info = mcp_types.Implementation(name="sdk", version="1")
    async with Client(server, mode=mode, client_info=info) as client:
        agent = Agent(client)
        step = await agent("start_workflow", workflow="small", inputs={"topic": "tea"})
        step = await agent.do(step["next"], result="quiet")
        ended = await agent.do(step["next"], result={"files": ["a.md"], "ok": True})
        assert (ended["status"], ended["result"]) == ("completed", {"goal": "QUIET", "files": ["a.md"]})
        assert (await agent("get_run", run_id=step["run_id"]))["status"] == "completed"


def test_only_protocol_leaves_on_stdout_whatever_a_project_prints(tmp_path: Path) -> None:
    root = project(tmp_path, noisy=USES_NOISY)
    (root / "functions").mkdir()
    (root / "functions" / "loud.py").write_text(NOISY)
    here = Project(root=root, home=root)
    TrustStore(root / "data" / "treadle").accept(here, collect(here, Catalog(specs={})))
    with serving(root) as process:
        process.greet()
        step = process.tool("start_workflow", workflow="noisy")
        assert process.do(step["next"], result="hush")["result"] == "HUSH"
        code, said = process.end()
    assert code == 0
    for line in process.lines:
        assert json.loads(line)["jsonrpc"] == "2.0"
    for loud in ("on import", "by print", "by sys.stdout", "by descriptor", "by child"):
        assert loud in said


def test_a_project_that_is_not_trusted_starts_nothing(tmp_path: Path) -> None:
    root = project(tmp_path, noisy=USES_NOISY)
    (root / "functions").mkdir()
    (root / "functions" / "loud.py").write_text(NOISY)
    with serving(root) as process:
        process.greet()
        refused = process.tool("start_workflow", workflow="noisy")
        assert (refused["code"], "treadle trust" in refused["next"]) == ("not_trusted", True)
        assert process.tool("list_runs", all=True)["runs"] == []
        _, said = process.end()
    assert "on import" not in said


@pytest.mark.parametrize("number", [None, signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly_and_lets_go_of_what_it_held(tmp_path: Path, number: int | None) -> None:
    root = project(tmp_path, small=SMALL)
    with serving(root) as first, serving(root) as second:
        first.greet()
        second.greet()
        step = first.tool("start_workflow", workflow="small", inputs={"topic": "tea"})
        assert second.tool("get_next_step", run_id=step["run_id"])["waiting_on"] == "another_agent"
        began = time.perf_counter()
        assert first.end(number)[0] == 0
        assert time.perf_counter() - began < 5
        assert second.tool("get_next_step", run_id=step["run_id"])["action"] == "ask"


def test_a_project_that_cannot_be_opened_is_told_in_every_reply(tmp_path: Path) -> None:
    root = project(tmp_path, small=SMALL)
    (root / "treadle.toml").write_text("[log]\nlevel = 'loud'\n")
    with serving(root) as process:
        process.greet()
        assert len(process.request("tools/list", {})["tools"]) == 11
        told = process.tool("list_runs")
        assert (told["kind"], "loud" in told["message"]) == ("error", True)
        assert process.end()[0] == 0


def test_a_server_that_treadle_started_refuses_the_circle(tmp_path: Path) -> None:
    with serving(tmp_path, TREADLE_STARTED_BY="1") as process:
        code, said = process.end()
    assert (code, "circle" in said) == (2, True)


@pytest.mark.kill
def test_a_session_whose_server_was_killed_goes_on_at_the_same_attempt(tmp_path: Path) -> None:
    root = project(tmp_path, small=SMALL)
    with serving(root, "chat-1") as process:
        process.greet()
        step = process.tool("start_workflow", workflow="small", inputs={"topic": "tea"})
        step = process.do(step["next"], result="quiet")
        process.kill()
    with serving(root, "chat-1") as process:
        process.greet()
        again = process.tool("get_next_step", run_id=step["run_id"])
        assert (again["action"], again["attempt"], "note" in again) == ("work", 1, False)
        assert again["lease_seconds"] > 100
        ended = process.do(step["next"], result={"files": [], "ok": True})
        assert (ended["status"], ended["result"]["goal"]) == ("completed", "QUIET")


@pytest.mark.kill
def test_another_session_takes_over_from_a_killed_one_without_waiting_for_its_lease(tmp_path: Path) -> None:
    root = project(tmp_path, small=SMALL)
    with serving(root, "chat-1") as first:
        first.greet()
        step = first.tool("start_workflow", workflow="small", inputs={"topic": "tea"})
        step = first.do(step["next"], result="quiet")
        first.kill()
    with serving(root, "chat-2") as second:
        second.greet()
        run = second.tool("get_run")
        assert (run["run_id"], run["current"], run["decided"]) == (step["run_id"], "work", ["ask: QUIET"])
        mine = second.do(run["resume"])
        assert (mine["attempt"], "lost in the middle" in mine["note"]) == (2, True)
        assert second.do(mine["next"], result={"files": [], "ok": True})["status"] == "completed"


@pytest.mark.kill
def test_branches_of_a_killed_session_go_on_where_each_stood(tmp_path: Path) -> None:
    root = project(tmp_path, fanned=FANNED)
    with serving(root, "chat-1") as process:
        process.greet()
        step = process.tool("start_workflow", workflow="fanned")
        fan = process.do(step["next"], result=["pearl", "quartz", "ruby"])
        prompts = [branch["prompt"] for branch in fan["branches"]]
        one = process.do(prompts[0])
        one = process.do(one["next"], result="round")
        process.do(prompts[1])
        process.kill()
    with serving(root, "chat-1") as process:
        process.greet()
        again = process.do(process.tool("get_run")["resume"])
        assert [branch["prompt"] for branch in again["branches"]] == prompts, "nobody works them now"
        assert process.do(prompts[0])["action"] == one["action"] == "each[0]/weigh"
        for prompt in prompts:
            told = process.do(prompt)
            while told["kind"] == "step":
                told = process.do(told["next"], result=told["instructions"])
        ended = process.do(fan["next"])
    assert ended["result"] == ["pearl: Weigh round", "quartz: Weigh Look at quartz", "ruby: Weigh Look at ruby"]


@pytest.mark.slow
def test_the_first_list_of_tools_comes_about_as_soon_as_from_an_empty_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = project(tmp_path, small=SMALL)

    def first_list(argv: tuple[str, ...]) -> float:
        with serving(root, argv=argv) as process:
            process.greet()
            process.request("tools/list", {})
            took = time.perf_counter() - process.began
            process.end()
        return took

    ours, empty = [], []
    for _ in range(5):
        empty.append(first_list(EMPTY))
        ours.append(first_list(OURS))
    with capsys.disabled():
        print(f"\nfirst tools/list: {min(ours) * 1000:.0f} ms (an empty server: {min(empty) * 1000:.0f} ms)")
    assert min(ours) <= 3 * min(empty), "generous: the order wants 1.5 on a machine of its own"


@pytest.mark.slow
def test_what_a_call_costs_over_an_empty_tool(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loop = "name: loop\ninitial_state: {n: 0}\nsteps:\n  - id: each\n    type: foreach\n    items: '{{ range(300) | list }}'\n    sequential: true\n    do:\n      - {id: work, delegate: 'Number {{ item }}'}\n"
    root = project(tmp_path, loop=loop)
    times: dict[str, list[float]] = {}

    def timed(process: Process, name: str, call: str | None = None, tool: str = "", **arguments: object) -> dict[str, object]:
        began = time.perf_counter()
        told = process.do(call, **arguments) if call is not None else process.request("tools/call", {"name": tool, "arguments": arguments})
        times.setdefault(name, []).append((time.perf_counter() - began) * 1000)
        return told

    with serving(root, argv=EMPTY) as empty, serving(root) as process:
        empty.greet()
        process.greet()
        step = process.tool("start_workflow", workflow="loop")
        for _ in range(200):
            timed(empty, "empty tool", tool="nothing")
            timed(process, "list_runs", tool="list_runs")
            timed(process, "get_run", tool="get_run", run_id=step["run_id"])
            timed(process, "get_next_step, again", tool="get_next_step", run_id=step["run_id"])
            step = timed(process, "submit_result", call=step["next"], result="done")
    floor = statistics.median(times["empty tool"])
    rows = {name: (statistics.median(each), sorted(each)[int(len(each) * 0.99)]) for name, each in times.items()}
    with capsys.disabled():
        print("\nms per call over stdio (p50, p99): " + "; ".join(f"{name} {p50:.2f}, {p99:.2f}" for name, (p50, p99) in rows.items()))
    for name in ("list_runs", "get_run", "get_next_step, again"):
        assert rows[name][0] - floor <= 10, "generous: the order wants 1 ms on a machine of its own"
