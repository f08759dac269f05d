"""Behaviours of the system that went before (docs/behaviours.md) about how work goes on: conditions, loops, children, waits, ends."""

import asyncio
from typing import Any

import pytest

from tests.behaviours.support import steps_of, trace
from tests.cli.here import Here
from tests.mcpserver.support import Shop
from treadle.ports import ActionCall, Answer

SHELL = """\
name: it
initial_state: {{got: null}}
steps:
  - id: sh
    shell: "echo half; exit 3"
    output_to: got
{more}  - return: "{{{{ state.got }}}}"
"""


@pytest.mark.parametrize("more, code, status", [("", 1, "failed"), ("    on_error: continue\n", 4, "completed_degraded")])
def test_b21_a_command_with_another_exit_code_fails_the_run_or_is_gone_on_with_and_its_result_stored(
    here: Here, more: str, code: int, status: str
) -> None:
    here.write("workflows/it.yaml", SHELL.format(more=more))
    assert here.treadle("trust", "--yes").code == 0
    run = here.treadle("run", "it", "--json")
    assert (run.code, run.json["status"]) == (code, status), run.err
    shown = here.treadle("show", run.json["id"], "--json").json
    assert shown["state"]["got"]["exit_code"] == 3
    assert shown["state"]["got"]["stdout"] == "half\n"
    if code == 1:
        assert (shown["failure"]["class"], shown["failure"]["step"]) == ("exit_code", "sh")
    else:
        assert run.json["result"]["exit_code"] == 3


NESTED = """\
name: it
steps:
  - id: a
    if: "{{ true }}"
    then:
      - id: b
        if: "{{ 1 > 2 }}"
        then: [{id: wrong, delegate: wrong}]
        else: [{id: right, delegate: right}]
    else: [{id: never, delegate: never}]
"""


async def test_b23_of_nested_conditions_only_the_chosen_path_runs_and_it_is_in_the_trace(store: Shop) -> None:
    store.write("it", NESTED)
    async with store.agent() as agent:
        step = await agent("start_workflow", workflow="it")
        assert step["action"] == "a.then/b.else/right"
        ended = await agent.do(step["next"], result="done")
        assert ended["status"] == "completed"
    opened = [path for kind, path in await trace(store, step["run_id"]) if kind == "step_opened"]
    assert opened == ["a", "a.then/b", "a.then/b.else/right"]


HUNDRED = """\
name: it
initial_state: {all: null}
steps:
  - id: each
    type: foreach
    items: "{{ range(100) }}"
    max_parallel: 10
    do: [{id: call, mcp_call: x.y, parameters: {n: "{{ item }}"}, effect: read}]
    output: "{{ steps.call.result }}"
    output_to: all
  - return: "{{ state.all }}"
"""


async def test_b24_a_hundred_items_all_run_never_more_than_ten_at_once_results_in_item_order(store: Shop, monkeypatch) -> None:
    at_once, seen = [0], list[int]()
    ten = asyncio.Event()

    async def counted(call: ActionCall) -> Answer:
        given: Any = call.params["parameters"]
        n: int = given["n"]
        seen.append(n)
        at_once.append(at_once[-1] + 1)
        if at_once[-1] == 10:
            ten.set()
        await ten.wait()
        for _ in range(37 * n % 11):
            await asyncio.sleep(0)
        at_once.append(at_once[-1] - 1)
        return Answer(value=n * 2)

    monkeypatch.setattr(store.outside, "perform", counted)
    store.write("it", HUNDRED)
    async with store.agent() as agent:
        told = await agent("start_workflow", workflow="it")
        while told["kind"] == "waiting":
            told = await agent("get_next_step", run_id=told["run_id"], wait_seconds=10)
    assert told["result"] == [n * 2 for n in range(100)]
    assert (sorted(seen), max(at_once)) == (list(range(100)), 10)


async def test_b25_sequential_items_begin_one_after_the_other(store: Shop) -> None:
    store.write(
        "it",
        "name: it\nsteps: [{id: each, type: foreach, items: [0, 1, 2], sequential: true, do: [{id: a, delegate: A}, {id: b, delegate: B}]}]\n",
    )
    order = []
    async with store.agent() as agent:
        step = await agent("start_workflow", workflow="it")
        while step["kind"] == "step":
            order.append(step["action"])
            begun = {path.partition("/")[0] for kind, path in await trace(store, step["run_id"]) if kind == "step_opened" and "/" in path}
            assert begun == {f"each[{n}]" for n in range(int(step["action"][5]) + 1)}, "a later round has not begun"
            step = await agent.do(step["next"], result="done")
    assert order == [f"each[{n}]/{name}" for n in range(3) for name in "ab"]


OVER = """\
name: it
inputs: {items: {required: true}}
initial_state: {all: null}
steps:
  - {id: each, type: foreach, items: "{{ inputs.items }}", do: [{id: work, delegate: Work}], output_to: all}
  - return: "{{ state.all }}"
"""


async def test_b26_an_empty_list_gives_an_empty_list_and_opens_nothing_and_no_list_is_an_error(store: Shop) -> None:
    store.write("it", OVER)
    async with store.agent() as agent:
        ended = await agent("start_workflow", workflow="it", inputs={"items": []})
        assert (ended["status"], ended["result"]) == ("completed", [])
        assert set(await steps_of(agent, ended["run_id"])) == {"each", "return_0"}
        ended = await agent("start_workflow", workflow="it", inputs={"items": {"a": 1}})
    assert (ended["status"], ended["failure"]["step"], "list" in ended["failure"]["message"]) == ("failed", "each", True)


FAILING = """\
name: it
initial_state: {{all: null}}
steps:
  - id: each
    type: foreach
    items: [0, 1, 2]
    do: [{{id: work, delegate: "{{{{ item }}}}"}}]
    output: "{{{{ steps.work.result }}}}"
    on_item_error: {policy}
    output_to: all
  - return: "{{{{ [state.all, steps.each.errors | map(attribute='index')] }}}}"
"""


@pytest.mark.parametrize("policy", ["collect", "fail"])
async def test_b27_of_one_failing_child_the_others_finish_or_are_cancelled_as_the_file_says(store: Shop, policy: str) -> None:
    store.write("it", FAILING.format(policy=policy))
    async with store.agent() as agent:
        step = await agent("start_workflow", workflow="it")
        assert step["action"] == "each[0]/work"
        assert (await steps_of(agent, step["run_id"]))["each[2]/work"] == "waiting"
        step = await agent.do(step["next"], result="did 0")
        assert step["action"] == "each[1]/work"
        step = await agent.do(step["next"], outcome="cannot", reason="it is gone")
        if policy == "fail":
            assert (step["status"], step["failure"]["message"]) == ("failed", "item 1 of `each` failed: it is gone")
            assert ("action_dropped", "each[2]/work") in await trace(store, step["run_id"])
            return
        assert step["action"] == "each[2]/work"
        ended = await agent.do(step["next"], result="did 2")
        assert (ended["status"], ended["result"]) == ("completed_degraded", [["did 0", None, "did 2"], [1]])


ISOLATED = """\
name: it
initial_state: {note: of the parent, all: null}
steps:
  - {id: each, type: foreach, items: [5, 6], task: child, output_to: all}
  - return: "{{ [state.all, state.note] }}"
tasks:
  child:
    inputs: {it: {required: true}}
    initial_state: {note: empty}
    steps:
      - {id: seen, delegate: "{{ state.note }}"}
      - {id: put, set_state: {note: "{{ inputs.it }}"}}
      - {id: again, delegate: "now {{ state.note }}"}
      - return: "{{ state.note }}"
"""


async def test_b28_two_children_write_one_name_and_see_neither_each_others_nor_the_parents(store: Shop) -> None:
    store.write("it", ISOLATED)
    said = dict[str, str]()
    async with store.agent() as agent:
        step = await agent("start_workflow", workflow="it")
        while step["kind"] == "step":
            said[step["action"]] = step["instructions"]
            step = await agent.do(step["next"], result="done")
    assert said == {"each[0]/seen": "empty", "each[1]/seen": "empty", "each[0]/again": "now 5", "each[1]/again": "now 6"}
    assert step["result"] == [[5, 6], "of the parent"]


async def test_b33_a_return_in_a_nested_branch_ends_the_run_at_once(store: Shop) -> None:
    store.write(
        "it",
        "name: it\nsteps:\n  - if: '{{ true }}'\n    then:\n      - switch: a\n        cases: {a: [{return: {v: 7}}, {id: never, prompt: never}]}\n"
        "  - {id: nor_this, prompt: never}\n",
    )
    async with store.agent() as agent:
        ended = await agent("start_workflow", workflow="it")
        assert (ended["kind"], ended["status"], ended["result"]) == ("ended", "completed", {"v": 7})
        assert {path: status for path, status in (await steps_of(agent, ended["run_id"])).items() if "never" in path or "nor" in path} == {
            "nor_this": "pending"
        }


def test_b34_an_agent_of_a_bad_format_is_an_error_of_the_file(here: Here) -> None:
    here.write("workflows/it.yaml", "name: it\nsteps: [{delegate: x, agent: 'The Critic!'}]\n")
    (problem,) = here.treadle("validate", "it", "--json").json["problems"]
    assert (problem["severity"], "agent" in problem["path"]) == ("error", True)


WAIT = "name: it\nsteps: [{id: rest, type: wait, duration: 30s}, {return: done}]\n"


async def test_b35_a_wait_of_thirty_seconds_ends_by_itself_and_can_be_cancelled_earlier(store: Shop) -> None:
    store.write("it", WAIT)
    async with store.agent() as agent:
        waiting = await agent("start_workflow", workflow="it")
        assert (waiting["kind"], waiting["waiting_on"]) == ("waiting", "time")
        store.clock.advance(29_999)
        assert (await agent("get_next_step", run_id=waiting["run_id"]))["kind"] == "waiting"
        asleep = asyncio.create_task(agent("get_next_step", run_id=waiting["run_id"], wait_seconds=20))
        await asyncio.sleep(0)
        store.clock.advance(1)
        ended = await asleep
        assert (ended["kind"], ended["result"]) == ("ended", "done")
        other = await agent("start_workflow", workflow="it")
        store.clock.advance(10_000)
        ended = await agent("cancel_run", run_id=other["run_id"])
        assert ended["status"] == "cancelled"


COUNTED = """\
name: it
initial_state: {n: 0}
steps:
  - id: loop
    while: "{{ state.n < 3 }}"
    max_iterations: 10
    do:
      - {id: say, delegate: "n is {{ state.n }}"}
      - {id: add, set_state: {n: "{{ state.n + 1 }}"}}
  - return: "{{ [state.n, steps.loop.result] }}"
"""


async def test_b36_a_while_to_three_has_three_rounds_that_see_fresh_values(store: Shop) -> None:
    store.write("it", COUNTED)
    said = list[str]()
    async with store.agent() as agent:
        step = await agent("start_workflow", workflow="it")
        while step["kind"] == "step":
            said.append(step["instructions"])
            step = await agent.do(step["next"], result="done")
    assert (said, step["result"]) == (["n is 0", "n is 1", "n is 2"], [3, {"iterations": 3}])


INNER = """\
name: it
initial_state: {{n: 0, after: 0}}
steps:
  - id: outer
    foreach: [a, b]
    sequential: true
    do:
      - set_state: {{n: 0}}
      - id: inner
        while: "{{{{ state.n < 3 }}}}"
        max_iterations: 5
        do:
          - set_state: {{n: "{{{{ state.n + 1 }}}}"}}
          - if: "{{{{ state.n == 2 }}}}"
            then:
              - {what}
              - {{id: dead, delegate: dead}}
          - {{id: late, delegate: "{{{{ item }}}}{{{{ state.n }}}}"}}
"""


@pytest.mark.parametrize("what, late", [("break", ["a1", "b1"]), ("continue", ["a1", "a3", "b1", "b3"])])
async def test_b37_break_and_continue_of_an_inner_loop_end_its_round_and_the_outer_goes_on(store: Shop, what: str, late: list[str]) -> None:
    store.write("it", INNER.format(what=f"{{type: {what}}}"))
    said = list[str]()
    async with store.agent() as agent:
        step = await agent("start_workflow", workflow="it")
        while step["kind"] == "step":
            said.append(step["instructions"])
            step = await agent.do(step["next"], result="done")
    assert (said, step["status"]) == (late, "completed")


FINDINGS = {"findings": [{"statement": "It works", "sources": ["https://docs.example/a"]}], "confidence": "high"}


async def test_b40_a_plan_that_the_user_declines_is_not_saved_and_the_result_says_so(store: Shop) -> None:
    store.outside.answers["web.search"] = {"sources": [{"url": "https://docs.example/a", "title": "A"}]}
    store.outside.answers["memory.add"] = {"success": True}
    async with store.agent() as agent:
        step = await agent("start_workflow", workflow="planning:interactive", inputs={"task_description": "x", "max_research_tasks": 1})
        fan = await agent.do(step["next"], result="fast; safe", wait_seconds=5)
        told = await agent.do(fan["branches"][0]["prompt"])
        while told["kind"] != "done":
            told = await agent.do(told["next"], **({"result": FINDINGS} if told["kind"] == "step" else {}))
        step = await agent("get_next_step", run_id=step["run_id"], wait_seconds=5)
        assert step["action"] == "create-plan"
        step = await agent.do(step["next"], result="# Plan\n\n## Overview\nOne by one.\n")
        waiting = await agent.do(step["next"], result={"feedback": [], "verdict": "accept"})
        assert waiting["waiting_on"] == "person"
        await store.decide(waiting["run_id"], approved=False)
        ended = await agent("get_next_step", run_id=waiting["run_id"])
    assert (ended["status"], ended["result"]["approved"], ended["result"]["saved"]) == ("completed", False, False)
    assert [call.params["tool"] for call in store.outside.calls] == ["web.search", "memory.add"], "memory.save was never called"
