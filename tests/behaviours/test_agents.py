"""Behaviours of the system that went before (docs/behaviours.md) that an agent meets: answers, branches, what is asked twice; by real calls of tools."""

import json
import re
from typing import Any

import pytest

from tests.mcpserver.flows import FANNED, GATED, SMALL
from tests.mcpserver.support import MODES, Shop, written

CONFIRMED = """\
name: confirmed
initial_state: {answer: null}
steps:
  - {id: sure, type: prompt, format: confirm, message: "Sure?", output_to: answer}
  - {id: finish, return: "{{ state.answer }}"}
"""
CHOSEN = """\
name: chosen
steps:
  - {id: colour, type: prompt, format: choice, message: "Which?", options: [red, green]}
  - {id: code, type: prompt, message: "Code?", pattern: "^[A-Z]{3}$", max_length: 3}
"""
SERVED = """\
name: served
initial_state: {hits: null}
steps:
  - {id: ask, prompt: "Go?"}
  - {id: search, type: mcp_call, tool: web.search, parameters: {query: x}, effect: read, output_to: hits}
  - {id: work, delegate: "Found {{ state.hits.total }}"}
"""
OWN_TOOL = """\
name: own-tool
initial_state: {hits: null}
steps:
  - id: search
    type: mcp_call
    tool: browser.open.page
    parameters: {url: "https://example.org", deep: {n: 1}}
    performer: agent
    effect: read
    output_to: hits
    on_error: continue
  - {id: finish, return: "{{ state.hits }}"}
"""


@pytest.mark.parametrize("mode", MODES)
async def test_b18_steps_of_the_server_run_within_the_call_that_leads_to_them(store: Shop, mode: str) -> None:
    store.write("small", SMALL)
    async with store.agent(mode=mode) as agent:
        first = await agent("start_workflow", workflow="small", inputs={"topic": "tea"})
        assert (first["action"], first["message"]) == ("ask", "What is the goal of tea at depth 2?")
        second = await agent.do(first["next"], result="quiet")
        assert (second["kind"], second["action"], second["instructions"]) == ("step", "work", "Reach QUIET")
        last = await agent.do(second["next"], result={"files": ["a.md"], "ok": True})
    assert (last["kind"], last["status"], last["result"]) == (
        "ended",
        "completed",
        {"goal": "QUIET", "files": ["a.md"]},
    )


async def test_b19_a_confirmation_without_its_flag_is_refused_and_stays_open(store: Shop) -> None:
    store.write("confirmed", CONFIRMED)
    async with store.agent() as agent:
        step = await agent("start_workflow", workflow="confirmed")
        for wrong in (True, {}, {"confirmed": "yes"}, "yes", None):
            refused = await agent.do(step["next"], result=wrong)
            assert (refused["code"], refused["attempt"]) == ("invalid_answer", 1)
            assert refused["expected"]["required"] == ["confirmed"]
        assert (await agent("get_next_step", run_id=step["run_id"]))["action"] == "sure"
        ended = await agent.do(refused["next"], result={"confirmed": False})
    assert ended["result"] == {"confirmed": False}


async def test_b20_a_choice_takes_an_option_and_a_text_its_pattern(store: Shop) -> None:
    store.write("chosen", CHOSEN)
    async with store.agent() as agent:
        step = await agent("start_workflow", workflow="chosen")
        assert step["expected"] == {"enum": ["red", "green"]}
        assert (await agent.do(step["next"], result="blue"))["code"] == "invalid_answer"
        step = await agent.do(step["next"], result="red")
        for wrong in ("abc", "ABCD", "AB"):
            refused = await agent.do(step["next"], result=wrong)
            assert refused["code"] == "invalid_answer"
            assert refused["faults"]
        assert (await agent.do(step["next"], result="ABC"))["status"] == "completed"


async def test_b21_what_an_agent_could_not_do_fails_the_run_or_is_gone_on_with_as_the_file_says(
    store: Shop,
) -> None:
    store.write("small", SMALL)
    store.write("own-tool", OWN_TOOL)
    async with store.agent() as agent:
        step = await agent("start_workflow", workflow="own-tool")
        ended = await agent.do(step["next"], outcome="cannot", reason="no browser here", error_class="unavailable")
        assert (ended["status"], ended["answer"]) == ("completed_degraded", "failed")
        step = await agent("start_workflow", workflow="small", inputs={"topic": "tea"})
        ended = await agent.do(step["next"], outcome="cannot", reason="the user is away")
    assert (ended["status"], ended["failure"]["class"], ended["failure"]["message"]) == (
        "failed",
        "refused",
        "the user is away",
    )


async def test_b22_the_result_of_a_call_that_an_agent_made_is_in_the_state(store: Shop) -> None:
    store.write("own-tool", OWN_TOOL)
    async with store.agent() as agent:
        step = await agent("start_workflow", workflow="own-tool")
        assert step["call"] == {
            "tool": "browser.open.page",
            "parameters": {"url": "https://example.org", "deep": {"n": 1}},
        }
        assert "Call tool `open.page` of your MCP server `browser`" in step["next"]
        assert (step["effect"], "`effect`: read" in step.text) == ("read", True)
        ended = await agent.do(step["next"], result='{"title": "Example"}')
    assert ended["result"] == {"title": "Example"}


async def test_b29_a_foreach_with_agents_gives_one_instruction_and_a_prompt_per_item_without_parent_state(
    store: Shop,
) -> None:
    store.write("fanned", FANNED)
    async with store.agent() as agent:
        step = await agent("start_workflow", workflow="fanned")
        fan = await agent.do(step["next"], result=["pearl", "quartz"])
        assert (fan["kind"], fan["foreach"], fan["agent"], len(fan["branches"])) == ("fan_out", "each", "@task", 2)
        for item, other, branch in (("pearl", "quartz", fan["branches"][0]), ("quartz", "pearl", fan["branches"][1])):
            prompt = branch["prompt"]
            assert item in prompt
            assert other not in prompt, "of its siblings a branch knows nothing"
            assert written(prompt) == (
                "get_next_step",
                {"run_id": step["run_id"], "branch": branch["branch"], "wait_seconds": 25},
            )
            assert prompt in fan.text
        assert len({branch["branch"] for branch in fan["branches"]}) == 2


async def test_b30_asking_twice_gives_the_same_step_and_writes_nothing(store: Shop) -> None:
    store.write("fanned", FANNED)
    async with store.agent() as agent:
        step = await agent("start_workflow", workflow="fanned")
        fan = await agent.do(step["next"], result=["pearl", "quartz"])
        name, arguments = written(fan["branches"][0]["prompt"])
        first = await agent(name, **arguments)
        before = await store.engine.events(step["run_id"])
        again = [await agent(name, **arguments) for _ in range(3)]
        assert [told.data for told in again] == [first.data] * 3
        assert await store.engine.events(step["run_id"]) == before


async def test_b31_an_answer_given_again_gets_the_first_reply_and_nothing_runs_twice(store: Shop) -> None:
    store.write("served", SERVED)
    store.outside.answers["web.search"] = {"total": 3}
    async with store.agent() as agent:
        step = await agent("start_workflow", workflow="served")
        after = await agent.do(step["next"], result="go", wait_seconds=5)
        assert after["instructions"] == "Found 3"
        before = await store.engine.events(step["run_id"])
        again = await agent.do(step["next"], result="go")
        assert (again["answer"], again["duplicate"], again["action"]) == ("duplicate", True, "work")
        assert await store.engine.events(step["run_id"]) == before
    assert len(store.outside.calls) == 1


async def test_b32_a_wrong_step_or_run_gets_an_error_of_its_own_and_changes_nothing(store: Shop) -> None:
    store.write("small", SMALL)
    async with store.agent() as agent:
        one = await agent("start_workflow", workflow="small", inputs={"topic": "tea"})
        two = await agent("start_workflow", workflow="small", inputs={"topic": "milk"})
        before = [await store.engine.events(run["run_id"]) for run in (one, two)]
        wrong = {
            "unknown_run": {"run_id": "run_222222222222"},
            "not_open": {"action": "work"},
            "unknown_attempt": {"attempt": 7},
            "bad_arguments": {"action": "ask me"},
        }
        for code, changed in wrong.items():
            refused = await agent.do(one["next"], result="x", **changed)
            assert (refused["code"], bool(refused["next"])) == (code, True)
        assert [await store.engine.events(run["run_id"]) for run in (one, two)] == before


async def test_b34_a_step_without_an_agent_is_the_callers_own_and_one_with_an_agent_names_it(
    store: Shop,
) -> None:
    store.write(
        "named",
        "name: named\nsteps:\n  - {id: a, delegate: A}\n  - {id: b, delegate: B, agent: '@task'}\n  - {id: c, delegate: C, agent: '@critic'}\n",
    )
    async with store.agent() as agent:
        step = await agent("start_workflow", workflow="named")
        assert ("agent" in step.data, step["next"].startswith("Do this yourself")) == (False, True)
        step = await agent.do(step["next"], result="a")
        assert (step["agent"], "fresh sub-agent" in step["next"]) == ("@task", True)
        step = await agent.do(step["next"], result="b")
        assert (step["agent"], "the agent `critic`" in step["next"]) == ("@critic", True)


async def test_b38_status_shows_state_current_step_and_progress_and_advances_nothing(store: Shop) -> None:
    store.write("small", SMALL)
    async with store.agent() as agent:
        step = await agent("start_workflow", workflow="small", inputs={"topic": "tea"})
        await agent.do(step["next"], result="quiet")
        before = await store.engine.events(step["run_id"])
        shown = [await agent("get_run", run_id=step["run_id"], full=True) for _ in range(2)]
        assert shown[0].data == shown[1].data
        assert await store.engine.events(step["run_id"]) == before
    run = shown[0]
    assert (run["current"], run["state"]["goal"], run["progress"]) == ("work", "QUIET", "2 of 4 steps")
    assert [(row["path"], row["status"]) for row in run["steps"]] == [
        ("ask", "completed"), ("shape", "completed"), ("work", "running"), ("finish", "pending"),
    ]  # fmt: skip
    (action,) = run["actions"]
    assert (action["action"], action["status"], action["holder"]) == (
        "work",
        "claimed",
        "treadle-agent-one/test-client",
    )


async def test_b39_inputs_and_results_as_json_text_are_read_as_if_native(store: Shop) -> None:
    store.write("small", SMALL)
    async with store.agent() as agent:
        step = await agent("start_workflow", workflow="small", inputs='{"topic": "tea", "depth": 4}')
        assert step["message"] == "What is the goal of tea at depth 4?"
        # A text is wanted here: what looks like JSON stays the text that the user wrote.
        step = await agent.do(step["next"], result='{"not": "parsed"}')
        assert step["instructions"] == 'Reach {"NOT": "PARSED"}'
        written_out = '```json\n{"files": [], "ok": true}\n```'
        ended = await agent.do(step["next"], result=written_out)
        assert ended["status"] == "completed"
        again = await agent.do(step["next"], result={"files": [], "ok": True})
        assert again["duplicate"], "the same answer, however it was written"


async def test_b40_what_a_person_rejects_is_not_approved_and_no_agent_can_decide_it(store: Shop) -> None:
    store.write("gated", GATED)
    async with store.agent() as agent:
        step = await agent("start_workflow", workflow="gated")
        waiting = await agent.do(step["next"], result="burn it down")
        assert (waiting["kind"], waiting["waiting_on"]) == ("waiting", "person")
        assert waiting["approvals"] == [{"action": "gate", "show": "burn it down"}]
        assert f"treadle approve {step['run_id']}" in waiting["next"]
        for answer in ({"approved": True}, "yes"):
            refused = await agent("submit_result", run_id=step["run_id"], action="gate", attempt=1, result=answer)
            assert (refused["code"], "you cannot" in refused["next"]) == ("needs_decision", True)
        await store.decide(step["run_id"], approved=False)
        ended = await agent.do(waiting["next"])
    assert (ended["status"], ended["failure"]["class"]) == ("failed", "rejected")


async def test_better_09_the_step_of_a_silent_agent_is_offered_to_another(store: Shop) -> None:
    store.write("small", SMALL)
    async with (
        store.agent("first", session="treadle-agent-one") as one,
        store.agent("second", session="treadle-agent-two") as two,
    ):
        step = await one("start_workflow", workflow="small", inputs={"topic": "tea"})
        held = await two("get_next_step", run_id=step["run_id"])
        assert (held["kind"], held["waiting_on"], "held_until" in held.data) == ("waiting", "another_agent", True)
        store.clock.advance(300_001)
        mine = await two("get_next_step", run_id=step["run_id"])
        assert (mine["attempt"], "lost in the middle" in mine["note"]) == (2, True)
        late = await one.do(step["next"], result="too late")
        assert (late["code"], late.is_error) == ("late", True)
        assert (await two.do(mine["next"], result="in time"))["action"] == "work"


async def test_better_10_no_reply_holds_a_secret_of_the_run(store: Shop) -> None:
    store.write("fanned", FANNED)
    async with store.agent() as agent:
        step = await agent("start_workflow", workflow="fanned")
        fan = await agent.do(step["next"], result=["pearl", "quartz"])
        tokens = [branch["branch"].rpartition("#")[2] for branch in fan["branches"]]
        worker = await agent.do(fan["branches"][0]["prompt"])
        looking: tuple[tuple[str, dict[str, Any]], ...] = (
            ("get_run", {"run_id": step["run_id"], "full": True}), ("get_run", {"run_id": step["run_id"]}), ("list_runs", {}),
            ("describe_workflow", {"workflow": "fanned"}), ("park_run", {"run_id": step["run_id"], "reason": "x"}),
        )  # fmt: skip
        for tool, arguments in looking:
            told = await agent(tool, **arguments)
            assert not any(token in told.text + json.dumps(told.data) for token in tokens), tool
        assert tokens[1] not in worker.text + json.dumps(worker.data), "a branch is not told another's name"
        seed = (await store.engine.snapshot(step["run_id"])).state.seed
        assert not any(seed in told.text + json.dumps(told.data) for _, told in agent.seen)
        assert not any(re.search(r"br_[0-9a-f]{24}", told.text) for _, told in agent.seen)


async def test_better_05_a_run_keeps_the_definition_that_it_started_with(store: Shop) -> None:
    store.write("small", SMALL)
    async with store.agent() as agent:
        step = await agent("start_workflow", workflow="small", inputs={"topic": "tea"})
        store.write("small", SMALL.replace("Reach {{ state.goal }}", "Forget {{ state.goal }}"))
        assert (await agent.do(step["next"], result="quiet"))["instructions"] == "Reach QUIET"
        step = await agent("start_workflow", workflow="small", inputs={"topic": "milk"})
        assert (await agent.do(step["next"], result="quiet"))["instructions"] == "Forget QUIET"
