"""What an agent is told of waits, signals, votes, budgets and what was taken back, and what keeps a run from being started."""

from tests.mcpserver.support import PERSON, Shop

SIGNALLED = """\
name: signalled
budget: {calls: 5}
undo_on: []
steps:
  - {id: book, delegate: Book it, undo: [{id: unbook, prompt: Unbook it}]}
  - {id: go, type: wait, signal: built, within: 2h}
  - if: "{{ steps.go.result != 'good' }}"
    then: [{fail: It is red}]
  - {id: rest, type: wait, duration: 1h}
"""
PARENT = """\
name: parent
tasks:
  inner: {steps: [{id: ask, prompt: How many?}, {return: "{{ steps.ask.result }}"}]}
steps:
  - {id: child, run: inner}
  - return: "{{ steps.child.result }}"
"""
TWO = """\
name: two
steps:
  - {id: gate, approve: Ship it, by: {count: 2}}
"""


async def test_a_wait_for_a_signal_is_told_with_its_time_and_the_command_that_ends_it(store: Shop) -> None:
    store.write("signalled", SIGNALLED)
    async with store.agent() as agent:
        step = await agent("start_workflow", workflow="signalled")
        waiting = await agent.do(step["next"], result="done")
        assert (waiting["kind"], waiting["waiting_on"], waiting["status"]) == ("waiting", "signal", "waiting")
        assert f"treadle signal {step['run_id']} built" in waiting["next"]
        assert waiting["due_at"] in waiting.text
        run = await agent("get_run", full=True)
        assert run["waits"] == [{"path": "go", "since": run["waits"][0]["since"], "signal": "built", "due_at": waiting["due_at"]}]
        assert (run["waiting_on"], run["budgets"]) == ("signal", ["run: 1 of 5 calls"])

        await store.service.signal(step["run_id"], "built", PERSON, "good")
        waiting = await agent("get_next_step", run_id=step["run_id"])
        assert (waiting["waiting_on"], "due_at" in waiting.data) == ("time", True)


async def test_the_end_tells_of_unread_signals_and_of_what_can_be_taken_back(store: Shop) -> None:
    store.write("signalled", SIGNALLED)
    async with store.agent() as agent:
        step = await agent("start_workflow", workflow="signalled")
        await agent.do(step["next"], result="done")
        for name in ("noise", "built"):
            await store.service.signal(step["run_id"], name, PERSON, "bad")
        ended = await agent("get_next_step", run_id=step["run_id"])
        assert (ended["kind"], ended["status"], ended["undo"]) == ("ended", "failed", "kept")
        assert f"treadle undo {step['run_id']}" in ended.text
        assert ended["unread_signals"] == ["noise"]
        run = await agent("get_run", run_id=step["run_id"])
        assert (run["undo"], run["unread_signals"]) == ("kept", ["noise"])


async def test_a_gate_of_several_people_tells_who_has_approved(store: Shop) -> None:
    store.write("two", TWO)
    async with store.agent() as agent:
        waiting = await agent("start_workflow", workflow="two")
        assert waiting["approvals"][0]["approved_by"] == []
        await store.decide(waiting["run_id"])
        waiting = await agent("get_next_step", run_id=waiting["run_id"])
        assert (waiting["approvals"][0]["approved_by"], waiting["approvals"][0]["needed"]) == ([PERSON.name], 2)
        assert PERSON.name in waiting.text


async def test_a_gate_that_nobody_could_pass_keeps_a_run_from_being_started_by_an_agent(store: Shop) -> None:
    store.write("two", TWO)
    store.workflows.impossible.add("two")
    async with store.agent() as agent:
        refused = await agent("start_workflow", workflow="two")
        assert (refused["code"], "you cannot" in refused["next"]) == ("impossible_gate", True)
        assert (await agent("list_runs", all=True))["runs"] == []
    # The session is the starter: nobody who could decide is barred by `never: [starter]`.
    assert all(starter.startswith("treadle-agent-one") for starter in store.workflows.starters)


async def test_an_agent_is_led_from_a_run_to_the_child_that_it_waits_for_and_back(store: Shop) -> None:
    store.write("parent", PARENT)
    async with store.agent() as agent:
        waiting = await agent("start_workflow", workflow="parent")
        while waiting["waiting_on"] != "child":
            waiting = await agent("get_next_step", run_id=waiting["run_id"])
        child_id = waiting["child"]
        assert f'get_next_step(run_id="{child_id}")' in waiting["next"]
        shown = await agent("get_run", run_id=waiting["run_id"])
        assert (shown["waiting_on"], shown["child"], shown["resume"]) == ("child", child_id, f'get_next_step(run_id="{child_id}")')
        step = await agent("get_next_step", run_id=child_id)
        assert (await agent("get_run", run_id=child_id))["parent"] == f"{waiting['run_id']}/child"
        ended = await agent.do(step["next"], result="seven")
        assert (ended["kind"], ended["result"]) == ("ended", "seven")
        assert ended["next"].endswith(f'get_next_step(run_id="{waiting["run_id"]}")')
        parent = await agent("get_next_step", run_id=waiting["run_id"], wait_seconds=5)
        assert (parent["kind"], parent["result"]) == ("ended", "seven")


SPENT = """\
name: spent
budget: {calls: 1, on_exceed: ask}
steps:
  - {id: one, delegate: '1'}
  - id: loop
    while: "{{ true }}"
    max_iterations: 3
    do: [{id: two, delegate: "{{ 2 }}"}]
"""


async def test_a_spent_budget_is_a_persons_to_grant_and_steps_are_told_in_the_words_of_the_language(store: Shop) -> None:
    store.write("spent", SPENT)
    async with store.agent() as agent:
        step = await agent("start_workflow", workflow="spent")
        waiting = await agent.do(step["next"], result="done")
        assert (waiting["kind"], waiting["status"], waiting["waiting_on"]) == ("waiting", "parked", "person")
        assert "resume_run" in waiting["next"]
        refused = await agent("resume_run", run_id=step["run_id"])
        assert (refused["code"], f"treadle resume {step['run_id']}" in refused.text) == ("needs_person", True)
        await store.service.resume(step["run_id"], PERSON)
        step = await agent("get_next_step", run_id=step["run_id"])
        assert step["instructions"] == "2", "what is an instruction is text"
        run = await agent("get_run", run_id=step["run_id"], full=True)
        assert run["progress"] == "1 of 2 steps, `loop` round 1"
        assert [(row["path"], row["type"]) for row in run["steps"]] == [
            ("one", "delegate"), ("loop", "while"), ("loop[0]", "round"), ("loop[0]/two", "delegate"),
        ]  # fmt: skip
