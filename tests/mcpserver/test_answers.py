"""Answers: late, double, foreign, torn, too large and impossible ones; each gets an error of its own that says what to do next."""

import asyncio

import pytest

from tests.mcpserver.flows import FANNED, SMALL
from tests.mcpserver.support import PERSON, Agent, Shop, Told, written

LISTED = "name: listed\nsteps:\n  - {id: names, delegate: Name them, output: {type: array, items: {type: string}}, repair: 1}\n  - {id: finish, return: '{{ steps.names.result }}'}\n"


async def fanned(agent: Agent, *items: str) -> tuple[Told, list[str]]:
    """Start `fanned` and give its fan-out with the prompts of its branches."""
    step = await agent("start_workflow", workflow="fanned")
    fan = await agent.do(step["next"], result=list(items))
    return fan, [branch["prompt"] for branch in fan["branches"]]


async def test_a_refused_answer_comes_back_with_what_was_wrong_the_shape_and_the_next_attempt(store: Shop) -> None:
    store.write("listed", LISTED)
    async with store.agent() as agent:
        step = await agent("start_workflow", workflow="listed")
        refused = await agent.do(step["next"], result={"names": []})
        assert (refused["code"], refused["attempt"], refused["expected"]["type"]) == ("bad_output", 2, "array")
        assert "must be a list" in refused["faults"][0]
        assert written(refused["next"])[1] == {"run_id": step["run_id"], "action": "names", "attempt": 2}
        assert (await agent.do(refused["next"], result=["a"]))["result"] == ["a"]


async def test_an_answer_that_cannot_be_mended_any_more_is_not_called_a_success(store: Shop) -> None:
    store.write("listed", LISTED)
    async with store.agent() as agent:
        step = await agent("start_workflow", workflow="listed")
        refused = await agent.do(step["next"], result="no list")
        ended = await agent.do(refused["next"], result="still none")
    assert (ended["answer"], ended["status"], ended["failure"]["class"]) == ("failed", "failed", "bad_output")


async def test_a_refused_answer_given_again_is_told_so_with_the_way_to_the_open_attempt(store: Shop) -> None:
    store.write("listed", LISTED)
    async with store.agent() as agent:
        step = await agent("start_workflow", workflow="listed")
        await agent.do(step["next"], result="no list")
        again = await agent.do(step["next"], result="no list")
        assert (again["code"], again["duplicate"]) == ("bad_output", True)
        assert (await agent.do(again["next"]))["attempt"] == 2


async def test_another_answer_to_a_finished_attempt_conflicts_and_is_kept_as_evidence(store: Shop) -> None:
    store.write("small", SMALL)
    async with store.agent() as agent:
        step = await agent("start_workflow", workflow="small", inputs={"topic": "tea"})
        await agent.do(step["next"], result="one")
        before = await store.engine.events(step["run_id"])
        refused = await agent.do(step["next"], result="two")
        assert (refused["code"], refused.is_error) == ("conflict", True)
        assert f"`treadle fork {step['run_id']} --from {step['action']}`" in refused.text
        assert (await agent.do(refused["next"]))["instructions"] == "Reach ONE"
        assert await store.engine.events(step["run_id"]) == before


async def test_a_branch_cannot_answer_for_another_nor_for_the_main_channel(store: Shop) -> None:
    store.write("fanned", FANNED)
    async with store.agent() as agent:
        _, (one, two) = await fanned(agent, "pearl", "quartz")
        mine, other = await agent.do(one), await agent.do(two)
        branch = written(one)[1]["branch"]
        for changed in ({"branch": branch}, {"branch": None}):
            refused = await agent.do(other["next"], result="stolen", **changed)
            assert refused["code"] == "foreign"
        assert (await agent.do(other["next"], result="own"))["action"] == "each[1]/weigh"
        assert (await agent.do(mine["next"], result="own"))["action"] == "each[0]/weigh"


async def test_an_ended_branch_says_done_and_one_that_never_was_is_an_error(store: Shop) -> None:
    store.write("fanned", FANNED)
    async with store.agent() as agent:
        fan, (one, two) = await fanned(agent, "pearl", "quartz")
        step = await agent.do(one)
        step = await agent.do(step["next"], result="round")
        done = await agent.do(step["next"], result="heavy")
        assert (done["kind"], done["answer"]) == ("done", "completed")
        assert (await agent.do(one))["kind"] == "done"
        branch = written(two)[1]["branch"]
        for wrong in (branch[:-1] + ("0" if branch[-1] != "0" else "1"), f"each[7]#{24 * '0'}"):
            refused = await agent("get_next_step", run_id=fan["run_id"], branch=wrong)
            assert refused["code"] == "unknown_branch"
        assert (await agent("get_next_step", run_id=fan["run_id"], branch="each[1]"))["code"] == "bad_arguments"


async def test_what_an_agent_cannot_do_is_a_failure_of_its_class_and_never_a_result(store: Shop) -> None:
    store.write("fanned", FANNED)
    async with store.agent() as agent:
        fan, prompts = await fanned(agent, "pearl", "quartz")
        step = await agent.do(prompts[0])
        done = await agent.do(step["next"], outcome="cannot", reason="it is locked away", error_class="denied")
        assert (done["kind"], done["answer"]) == ("done", "failed")
        step = await agent.do(prompts[1])
        step = await agent.do(step["next"], result="clear")
        await agent.do(step["next"], result="light")
        ended = await agent.do(fan["next"])
    assert (ended["status"], ended["result"]) == ("completed_degraded", [None, "quartz: light"])


@pytest.mark.parametrize(
    "changed",
    [
        {"outcome": "cannot"},
        {"outcome": "cannot", "reason": "no", "result": "but here it is"},
        {"outcome": "maybe", "result": 1},
        {},
    ],
)
async def test_an_answer_that_says_two_things_or_nothing_is_refused_before_anything_is_stored(
    store: Shop, changed: dict[str, object]
) -> None:
    store.write("small", SMALL)
    async with store.agent() as agent:
        step = await agent("start_workflow", workflow="small", inputs={"topic": "tea"})
        refused = await agent.do(step["next"], **changed)
        assert refused["code"] == "bad_arguments"
        assert (await agent("get_next_step", run_id=step["run_id"]))["attempt"] == 1


async def test_a_result_larger_than_the_limit_is_refused_with_the_way_around(store: Shop) -> None:
    store.write("small", SMALL)
    async with store.agent() as agent:
        step = await agent("start_workflow", workflow="small", inputs={"topic": "tea"})
        refused = await agent.do(step["next"], result="x" * (4 << 20))
        assert (refused["code"], "into a file" in refused["next"]) == ("too_large", True)


async def test_a_large_result_is_kept_and_shown_whole_to_the_step_that_reads_it(store: Shop) -> None:
    store.write("small", SMALL)
    goal = "far " * 50_000
    async with store.agent() as agent:
        step = await agent("start_workflow", workflow="small", inputs={"topic": "tea"})
        step = await agent.do(step["next"], result=goal)
        assert step["instructions"] == f"Reach {goal.upper()}"
        shown = await agent("get_run", run_id=step["run_id"], full=True)
        assert len(shown.text) < 10_000


async def test_an_answer_to_an_ended_run_is_refused_with_how_it_ended(store: Shop) -> None:
    store.write("small", SMALL)
    async with store.agent() as agent:
        step = await agent("start_workflow", workflow="small", inputs={"topic": "tea"})
        await agent("cancel_run", run_id=step["run_id"], reason="changed my mind")
        await agent("cancel_run", run_id=step["run_id"])
        refused = await agent.do(step["next"], result="x")
        assert (refused["code"], refused["status"]) == ("run_ended", "cancelled")
        assert (await agent.do(refused["next"]))["status"] == "cancelled"
        ended = await agent("get_next_step", run_id=step["run_id"])
        assert (ended["kind"], ended["status"], ended.is_error) == ("ended", "cancelled", False)


async def test_sixteen_sub_agents_of_one_session_work_at_once(store: Shop) -> None:
    store.write("fanned", FANNED.replace("max_parallel: 8", "max_parallel: 16"))
    async with store.agent() as agent:
        fan, prompts = await fanned(agent, *(f"thing {n}" for n in range(16)))

        async def work(prompt: str) -> int:
            told, steps = await agent.do(prompt), 0
            while told["kind"] != "done":
                told = await agent.do(told["next"], **({"result": told["instructions"]} if told["kind"] == "step" else {}))
                steps += 1
            return steps

        assert await asyncio.gather(*map(work, prompts)) == [2] * 16
        ended = await agent.do(fan["next"])
    assert ended["result"] == [f"thing {n}: Weigh Look at thing {n}" for n in range(16)]


@pytest.mark.parametrize("attempt", ["1", 1.0])
async def test_numbers_as_text_are_understood_and_unknown_arguments_are_named(store: Shop, attempt: object) -> None:
    store.write("small", SMALL)
    async with store.agent() as agent:
        step = await agent("start_workflow", workflow="small", inputs={"topic": "tea"}, wait_seconds="0")
        refused = await agent.do(step["next"], result="x", step_id="ask")
        assert (refused["code"], "step_id" in refused["message"], "attempt" in refused["next"]) == (
            "bad_arguments",
            True,
            True,
        )
        assert (await agent.do(step["next"], result="x", attempt=attempt))["action"] == "work"


@pytest.mark.parametrize("run_id", ["run_\u202eabc", "run abc", "", "x" * 65, "../run", "run_\u200babc"])
async def test_names_with_characters_that_no_name_has_are_refused_at_the_border(store: Shop, run_id: str) -> None:
    async with store.agent() as agent:
        refused = await agent("get_next_step", run_id=run_id)
    assert (refused["code"], "copy it exactly" in refused["message"]) == ("bad_arguments", True)


async def test_a_person_who_answers_in_a_terminal_meanwhile_makes_the_agents_answer_late(store: Shop) -> None:
    store.write("small", SMALL)
    async with store.agent() as agent:
        step = await agent("start_workflow", workflow="small", inputs={"topic": "tea"})
        offer = await store.service.submit(step["run_id"], "ask", 1, PERSON, value="by hand", then_next=False)
        assert offer.answered == "completed"
        refused = await agent.do(step["next"], result="by agent")
        assert refused["code"] == "conflict"
        assert (await agent.do(refused["next"]))["instructions"] == "Reach BY HAND"
