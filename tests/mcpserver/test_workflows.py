"""Workflows over MCP: what is listed and described, and every reason for which nothing is started."""

import pytest

from tests.mcpserver.flows import SMALL
from tests.mcpserver.support import Shop
from treadle.ports import RunQuery

BROKEN = "name: broken\nsteps:\n  - {id: a, type: promt, message: hi}\n"
LATER = "name: later\nsteps:\n  - {id: pause, type: flow, flow: x}\n"


async def started(store: Shop) -> int:
    """How many runs there are."""
    return len(await store.service.runs(RunQuery()))


async def test_listed_workflows_show_inputs_source_and_what_is_broken(store: Shop) -> None:
    for name, text in (("small", SMALL), ("broken", BROKEN), ("later", LATER)):
        store.write(name, text)
    async with store.agent() as agent:
        listed = {row["name"]: row for row in (await agent("list_workflows"))["workflows"]}
        assert listed["small"]["inputs"] == {"topic": "string, required", "depth": "integer, default 2"}
        assert (listed["small"]["source"], listed["small"]["status"]) == ("workflows/small.yaml", "ready")
        assert (listed["broken"]["status"], "prompt" in listed["broken"]["problem"]) == ("broken", True)
        assert listed["later"]["status"] == "not_yet"
        assert listed["planning:interactive"]["source"].startswith("library/")
        found = await agent("list_workflows", find="planning research")
        assert {row["name"] for row in found["workflows"]} == {"planning:interactive", "planning:research_task"}


async def test_a_description_says_who_does_what_with_which_effect(store: Shop) -> None:
    async with store.agent() as agent:
        described = await agent("describe_workflow", workflow="planning:interactive")
    by = {row["step"]: (row["type"], row["by"], row.get("effect")) for row in described["steps"]}
    assert by["gather-requirements"] == ("prompt", "the user, through the main agent", None)
    assert by["research-phase[]/read-sources"][1] == "the branch's sub-agent"
    assert by["research-phase[]/search-web"] == ("mcp_call", "treadle", "read")
    assert by["review-plan"][1] == "the agent code-standards-reviewer"
    assert by["approval-check.then/request-approval"][1] == "a person, never an agent"
    assert "save-to-memory" in described["effects"]["write"]
    assert described["inputs"]["task_description"]["required"] is True
    assert described["approvals"] == [{"step": "approval-check.then/request-approval", "by": "a person"}]
    # What it costs a model to read (ruling 43's measure).
    assert len(described.text) / 4 < 700


async def test_a_broken_workflow_is_described_with_every_fault(store: Shop) -> None:
    store.write("broken", BROKEN)
    async with store.agent() as agent:
        described = await agent("describe_workflow", workflow="broken")
    assert described["startable"] is False
    assert "workflows/broken.yaml:3" in described["problems"][0]


@pytest.mark.parametrize(
    "arguments, code, said",
    [
        ({"workflow": "smal", "inputs": {}}, "unknown_workflow", "list_workflows"),
        ({"workflow": "broken"}, "invalid_definition", "describe_workflow"),
        ({"workflow": "later"}, "not_yet", "flow"),
        ({"workflow": "small", "inputs": {}}, "invalid_inputs", "topic"),
        ({"workflow": "small", "inputs": {"topic": "x", "depth": 9}}, "invalid_inputs", "depth"),
        ({"workflow": "small", "inputs": {"topic": "x", "colour": "red"}}, "invalid_inputs", "colour"),
        ({"workflow": "small", "inputs": "not json"}, "bad_arguments", "object"),
        ({"workflow": "small", "inputs": ["topic"]}, "bad_arguments", "object"),
        ({"workflow": "small", "inputs": {"topic": "x" * (1 << 20)}}, "too_large", "1 MiB"),
        ({"workflow": "untrusted", "inputs": {}}, "not_trusted", "treadle trust"),
        ({"workflow": "../../etc/passwd"}, "unknown_workflow", ""),
        ({"inputs": {}}, "bad_arguments", "workflow"),
    ],
)
async def test_what_cannot_be_started_creates_no_run_and_says_why(store: Shop, arguments: dict[str, object], code: str, said: str) -> None:
    for name, text in (
        ("small", SMALL),
        ("broken", BROKEN),
        ("later", LATER),
        ("untrusted", "name: untrusted\nsteps:\n  - {prompt: hi}\n"),
    ):
        store.write(name, text)
    store.workflows.untrusted = ["untrusted"]
    async with store.agent() as agent:
        refused = await agent("start_workflow", **arguments)
    assert (refused["code"], said in refused.text) == (code, True), refused.text
    assert await started(store) == 0


async def test_an_unknown_workflow_is_answered_with_the_nearest_name(store: Shop) -> None:
    store.write("small", SMALL)
    async with store.agent() as agent:
        refused = await agent("start_workflow", workflow="smal")
    assert "did you mean `small`?" in refused["next"]


@pytest.mark.parametrize("meta", [{"claudecode/toolUseId": "toolu_1"}, {"callId": "call_1"}])
async def test_the_same_call_of_a_client_again_starts_nothing_new(store: Shop, meta: dict[str, str]) -> None:
    store.write("small", SMALL)
    async with store.agent() as agent:
        first = await agent("start_workflow", workflow="small", inputs={"topic": "tea"}, meta=meta)
        again = await agent("start_workflow", workflow="small", inputs={"topic": "tea"}, meta=meta)
        assert (again["run_id"], again["duplicate"], again["action"]) == (first["run_id"], True, "ask")
        other = await agent("start_workflow", workflow="small", inputs={"topic": "milk"}, meta=meta)
        assert other["code"] == "conflict"
    async with store.agent(session="treadle-agent-two") as stranger:
        own = await stranger("start_workflow", workflow="small", inputs={"topic": "tea"}, meta=meta)
        assert own["run_id"] != first["run_id"], "another session's id of a call is another call"
    assert await started(store) == 2


async def test_a_key_makes_a_repeated_start_harmless(store: Shop) -> None:
    store.write("small", SMALL)
    async with store.agent() as agent:
        starts = [await agent("start_workflow", workflow="small", inputs={"topic": "tea"}, key="mine-1") for _ in range(3)]
        without = await agent("start_workflow", workflow="small", inputs={"topic": "tea"})
    assert len({start["run_id"] for start in starts}) == 1
    assert without["run_id"] != starts[0]["run_id"]
