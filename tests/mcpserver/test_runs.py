"""Runs: finding one again, where it stands in few words, lists by page, setting aside, taking up, ending."""

import pytest

from tests.mcpserver.flows import GATED, SMALL
from tests.mcpserver.support import PERSON, Shop
from treadle.engine.forking import look


async def test_a_new_chat_finds_its_run_by_nothing_by_words_and_by_branch_and_goes_on(store: Shop) -> None:
    store.write("small", SMALL)
    async with store.agent() as agent:
        store.branch = "tea"
        tea = await agent("start_workflow", workflow="small", inputs={"topic": "Darjeeling tea"})
        store.branch = "milk"
        milk = await agent("start_workflow", workflow="small", inputs={"topic": "oat milk"})
        assert (await agent("get_run"))["run_id"] == milk["run_id"]
        store.branch = "tea"
        assert (await agent("get_run"))["run_id"] == tea["run_id"]
        assert (await agent("get_run", find="darjeeling"))["run_id"] == tea["run_id"]
        found = await agent("get_run", find="small")
        assert {row["run_id"] for row in found["runs"]} == {tea["run_id"], milk["run_id"]}
        run = await agent("get_run", find="oat")
        assert (await agent.do(run["resume"]))["action"] == "ask"
        assert (await agent("get_run", find="coffee"))["code"] == "unknown_run"


async def test_what_was_decided_comes_back_within_four_hundred_tokens(store: Shop) -> None:
    store.write("gated", GATED.replace("delegate: Plan it", "delegate: Plan it at length"))
    async with store.agent() as agent:
        step = await agent("start_workflow", workflow="gated")
        await agent.do(step["next"], result="first this, then that " * 2_000)
        run = await agent("get_run")
        assert run["decided"][0].startswith("plan: first this, then that")
        assert "approve" not in run["decided"]
        assert max(len(run.text), len(str(run.data))) / 4 < 400
        await store.decide(step["run_id"])
        ended = await agent("get_run", run_id=step["run_id"])
    assert (ended["status"], ended["resume"], ended["progress"]) == ("completed", None, "3 of 3 steps")


async def test_lists_are_paged_and_filtered(store: Shop) -> None:
    store.write("small", SMALL)
    async with store.agent() as agent:
        ids = [(await agent("start_workflow", workflow="small", inputs={"topic": f"t{n}"}))["run_id"] for n in range(5)]
        page = await agent("list_runs", limit=2)
        seen = [row["run_id"] for row in page["runs"]]
        while page["more"]:
            page = await agent.do(page["next"], limit=2)
            seen += [row["run_id"] for row in page["runs"]]
        assert seen == ids[::-1]
        await agent("park_run", run_id=ids[0], reason="later")
        assert [row["run_id"] for row in (await agent("list_runs", status="parked"))["runs"]] == [ids[0]]
        await agent("cancel_run", run_id=ids[1])
        await agent("cancel_run", run_id=ids[1])
        assert ids[1] not in [row["run_id"] for row in (await agent("list_runs"))["runs"]]
        assert ids[1] in [row["run_id"] for row in (await agent("list_runs", all=True))["runs"]]
        assert [row["run_id"] for row in (await agent("list_runs", find="t3"))["runs"]] == [ids[3]]


async def test_a_parked_run_says_why_completes_nothing_and_is_taken_up_again(store: Shop) -> None:
    store.write("small", SMALL)
    async with store.agent() as agent:
        step = await agent("start_workflow", workflow="small", inputs={"topic": "tea"})
        parked = await agent("park_run", run_id=step["run_id"], reason="the user went to lunch")
        assert (parked["status"], "went to lunch" in parked["why"]) == ("parked", True)
        refused = await agent("get_next_step", run_id=step["run_id"])
        assert refused["code"] == "run_parked"
        assert (await agent("park_run", run_id=step["run_id"], reason="again"))["code"] == "already_parked"
        resumed = await agent.do(parked["resume"])
        assert (await agent.do(resumed["resume"]))["action"] == "ask"
        assert (await agent("resume_run", run_id=step["run_id"]))["code"] == "not_parked"


@pytest.mark.parametrize("tool", ["get_run", "get_next_step", "cancel_run", "resume_run"])
async def test_an_unknown_run_is_an_error_with_a_way_to_find_it(store: Shop, tool: str) -> None:
    async with store.agent() as agent:
        refused = await agent(tool, run_id="run_222222222222")
    assert (refused["code"], "list_runs" in refused["next"]) == ("unknown_run", True)


async def test_looking_writes_nothing(store: Shop) -> None:
    store.write("small", SMALL)
    async with store.agent() as agent:
        step = await agent("start_workflow", workflow="small", inputs={"topic": "tea"})
        before = await store.engine.events(step["run_id"])
        leases = (await store.engine.snapshot(step["run_id"])).leases
        store.clock.advance(250_000)
        for tool, arguments in (
            ("get_run", {}), ("get_run", {"run_id": step["run_id"], "full": True}), ("list_runs", {"all": True}), ("list_workflows", {}),
            ("describe_workflow", {"workflow": "small"}),
        ):  # fmt: skip
            await agent(tool, **arguments)
        assert await store.engine.events(step["run_id"]) == before
        assert (await store.engine.snapshot(step["run_id"])).leases == leases


async def test_a_fork_says_which_run_it_comes_from_and_an_agent_goes_on_with_it(store: Shop) -> None:
    store.write("small", SMALL)
    async with store.agent() as agent:
        step = await agent("start_workflow", workflow="small", inputs={"topic": "tea"})
        await agent.do(step["next"], result="one")
        origin = await look(store.engine, step["run_id"])
        forked = (await store.service.fork(origin, origin.point("ask"), PERSON, {})).run.run_id
        listed = {row["run_id"]: row.get("forked_from") for row in (await agent("list_runs"))["runs"]}
        assert listed == {forked: step["run_id"], step["run_id"]: None}
        run = await agent("get_run", run_id=forked)
        assert (run["forked_from"], run["current"]) == (f"{step['run_id']}/ask", "ask")
        assert "forked_from" in run.text
        own = await agent.do(run["resume"])
        assert (await agent.do(own["next"], result="two"))["instructions"] == "Reach TWO"
        assert (await agent("get_next_step", run_id=step["run_id"]))["instructions"] == "Reach ONE"
