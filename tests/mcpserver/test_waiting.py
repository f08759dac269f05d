"""Waiting: for a person, a server, another agent or time. Nothing blocks unless asked, and who waits is told for what."""

import asyncio
import time

from tests.mcpserver.flows import FANNED, GATED, SMALL
from tests.mcpserver.support import LOST, Shop, written

SERVED = """\
name: served
initial_state: {hits: null}
steps:
  - {id: ask, prompt: "Go?"}
  - {id: search, type: mcp_call, tool: web.search, parameters: {query: x}, effect: read, output_to: hits}
  - {id: work, delegate: "Found {{ state.hits }}"}
"""
WRITING = """\
name: writing
steps:
  - {id: ask, prompt: "Go?"}
  - {id: send, type: mcp_call, tool: mail.send, parameters: {to: x}, effect: send}
"""
ASKING = """\
name: asking
steps:
  - id: each
    type: foreach
    items: [a, b]
    task: one
    agent: "@task"
tasks:
  one:
    inputs: {thing: {type: string, required: true}}
    steps:
      - {id: sure, prompt: "Is {{ inputs.thing }} right?"}
      - {id: look, delegate: "Look at {{ inputs.thing }}: {{ steps.sure.result }}"}
"""


async def test_a_call_that_does_not_ask_to_wait_comes_back_at_once(store: Shop) -> None:
    store.write("served", SERVED)
    store.outside.held["web.search"] = asyncio.Event()
    async with store.agent() as agent:
        step = await agent("start_workflow", workflow="served")
        began = time.perf_counter()
        waiting = await agent.do(step["next"], result="go")
        assert time.perf_counter() - began < 1
        assert (waiting["kind"], waiting["waiting_on"], waiting["answer"]) == ("waiting", "server", "completed")
        assert waiting["next"] == f'Call get_next_step(run_id="{step["run_id"]}", wait_seconds=25)'


async def test_a_long_poll_ends_with_the_step_and_tells_that_it_is_alive(store: Shop) -> None:
    store.write("served", SERVED)
    held = store.outside.held["web.search"] = asyncio.Event()
    store.outside.answers["web.search"] = "three"
    beats: list[str | None] = []

    async def progress(_done: float, _total: float | None, message: str | None) -> None:
        beats.append(message)
        held.set()  # only now does the server's step come to an end

    async with store.agent() as agent:
        step = await agent("start_workflow", workflow="served")
        waiting = await agent.do(step["next"], result="go")
        name, arguments = written(waiting["next"])
        result = await agent.client.call_tool(name, arguments, progress_callback=progress)
    assert result.structured_content["instructions"] == "Found three"
    assert beats == ["waiting for something to do"]


async def test_a_wait_longer_than_the_limit_is_refused(store: Shop) -> None:
    async with store.agent() as agent:
        refused = await agent("get_next_step", run_id="run_222222222222", wait_seconds=26)
    assert (refused["code"], "wait_seconds" in refused["message"]) == ("bad_arguments", True)


async def test_a_decision_ends_the_wait_of_whoever_polls(store: Shop) -> None:
    store.write("gated", GATED)
    async with store.agent() as agent:
        step = await agent("start_workflow", workflow="gated")
        waiting = await agent.do(step["next"], result="the plan")
        polling = asyncio.create_task(agent.do(waiting["next"]))
        await store.decide(step["run_id"])
        ended = await polling
    assert (ended["status"], ended["result"]) == ("completed", "the plan")


async def test_a_question_inside_a_branch_goes_to_the_main_channel_and_the_branch_waits_for_a_person(
    store: Shop,
) -> None:
    store.write("asking", ASKING)
    async with store.agent() as agent:
        question = await agent("start_workflow", workflow="asking")
        assert (question["action"], question["message"]) == ("each[0]/sure", "Is a right?")
        second = await agent.do(question["next"], result="yes, a")
        assert second["action"] == "each[1]/sure"
        run = await store.service.look(question["run_id"])
        for branch in run.branches:
            written_so = f"{branch.path}#{branch.token.removeprefix('br_')}"
            told = await agent("get_next_step", run_id=question["run_id"], branch=written_so)
            if branch.index == 0:
                assert told["instructions"] == "Look at a: yes, a"
                continue
            assert (told["kind"], told["waiting_on"], told["next"].startswith("Call get_next_step")) == (
                "waiting",
                "person",
                True,
            )
            refused = await agent.do(second["next"], result="I say so", branch=written_so)
            assert refused["code"] == "foreign"


async def test_branches_in_work_are_not_handed_out_again_until_their_agent_is_gone(store: Shop) -> None:
    store.write("fanned", FANNED)
    async with store.agent() as agent:
        step = await agent("start_workflow", workflow="fanned")
        fan = await agent.do(step["next"], result=["pearl", "quartz"])
        await agent.do(fan["branches"][0]["prompt"])
        rest = await agent.do(fan["next"])
        assert ([branch["branch"] for branch in rest["branches"]], rest["in_work"]) == (
            [fan["branches"][1]["branch"]],
            1,
        )
        await agent.do(fan["branches"][1]["prompt"])
        waiting = await agent.do(fan["next"])
        assert (waiting["kind"], waiting["in_work"]) == ("waiting", ["each[0]", "each[1]"])
        assert "Wait for your sub-agents" in waiting["next"]
        store.clock.advance(300_001)
        assert len((await agent.do(fan["next"]))["branches"]) == 2


async def test_taking_over_fences_the_other_off(store: Shop) -> None:
    store.write("small", SMALL)
    async with (
        store.agent("first", session="treadle-agent-one") as one,
        store.agent("second", session="treadle-agent-two") as two,
    ):
        step = await one("start_workflow", workflow="small", inputs={"topic": "tea"})
        held = await two("get_next_step", run_id=step["run_id"])
        call = held["next"][held["next"].index("gone: ") + 6 :]
        mine = await two.do(call)
        assert (mine["attempt"], mine["action"]) == (2, "ask")
        assert (await one.do(step["next"], result="x"))["code"] == "late"
        assert (await two.do(mine["next"], result="y"))["instructions"] == "Reach Y"


async def test_a_session_that_comes_back_still_holds_what_it_held(store: Shop) -> None:
    store.write("small", SMALL)
    async with store.agent(session="treadle-agent-same") as before:
        step = await before("start_workflow", workflow="small", inputs={"topic": "tea"})
    async with store.agent(session="treadle-agent-same") as after:
        again = await after("get_next_step", run_id=step["run_id"])
        assert (again["attempt"], again["action"]) == (1, "ask")
        assert (await after.do(step["next"], result="x"))["action"] == "work"


async def test_a_heartbeat_keeps_a_step_and_only_its_holder_can_give_one(store: Shop) -> None:
    store.write("small", SMALL)
    async with (
        store.agent("first", session="treadle-agent-one") as one,
        store.agent("second", session="treadle-agent-two") as two,
    ):
        step = await one("start_workflow", workflow="small", inputs={"topic": "tea"})
        for _ in range(3):
            store.clock.advance(200_000)
            kept = await one("heartbeat", run_id=step["run_id"], action="ask", attempt=1)
            assert (kept["kind"], kept["lease_seconds"]) == ("held", 300)
        assert (await two("get_next_step", run_id=step["run_id"]))["waiting_on"] == "another_agent"
        refused = await two("heartbeat", run_id=step["run_id"], action="ask", attempt=1)
        assert (refused["code"], refused.is_error) == ("not_held", True)


async def test_asking_again_late_keeps_the_step_too(store: Shop) -> None:
    store.write("small", SMALL)
    async with (
        store.agent("first", session="treadle-agent-one") as one,
        store.agent("second", session="treadle-agent-two") as two,
    ):
        step = await one("start_workflow", workflow="small", inputs={"topic": "tea"})
        for _ in range(4):
            store.clock.advance(200_000)
            assert (await one("get_next_step", run_id=step["run_id"]))["attempt"] == 1
        assert (await two("get_next_step", run_id=step["run_id"]))["waiting_on"] == "another_agent"


async def test_what_nobody_knows_the_outcome_of_waits_for_a_person_and_an_agent_is_told_the_command(
    store: Shop,
) -> None:
    store.write("writing", WRITING)
    store.outside.answers["mail.send"] = LOST
    async with store.agent() as agent:
        step = await agent("start_workflow", workflow="writing")
        await agent.do(step["next"], result="go")
        await agent("get_next_step", run_id=step["run_id"], wait_seconds=1)
        waiting = await agent("get_next_step", run_id=step["run_id"])
        assert (waiting["kind"], waiting["waiting_on"]) == ("waiting", "person")
        assert f"treadle answer {step['run_id']}" in waiting["next"]
        refused = await agent("submit_result", run_id=step["run_id"], action="send", attempt=1, result="surely sent")
        assert (refused["code"], refused.is_error) == ("foreign", True)
