"""What an agent is told of the worktree that its step is done in."""

from tests.mcpserver.support import Outside, Shop
from treadle.ports import ActionCall, Answer

WORK = """\
name: work
steps:
  - id: each
    foreach: [a, b]
    agent: "@task"
    isolation: worktree
    do:
      - {id: mend, delegate: "Mend {{ item }}"}
      - {id: ask, prompt: "Good?"}
"""


class WithTrees(Outside):
    """An outside that makes worktrees without git."""

    async def perform(self, call: ActionCall) -> Answer:
        scope = call.params.get("scope")
        if call.action.kind == "worktree":
            return Answer(value={"path": f"/trees/{scope}", "base": "0" * 40, "ref": f"refs/treadle/x/{scope}"})
        if call.action.kind == "worktree_commit":
            return Answer(value={"commit": None, "files": [], "file_count": 0})
        return await super().perform(call)


async def test_an_agent_is_told_the_directory_of_its_step_and_a_question_goes_without(store: Shop) -> None:
    store.write("work", WORK)
    store.outside.perform = WithTrees().perform  # type: ignore[method-assign] - the rest of the shop stays
    async with store.agent() as agent:
        fan_out = await agent("start_workflow", workflow="work")
        while fan_out["kind"] == "waiting":  # until the worktrees are made
            fan_out = await agent("get_next_step", run_id=fan_out["run_id"], wait_seconds=1)
        branch = fan_out["branches"][1]["branch"]
        step = await agent("get_next_step", run_id=fan_out["run_id"], branch=branch)
        while step["kind"] == "waiting":
            step = await agent("get_next_step", run_id=fan_out["run_id"], branch=branch, wait_seconds=1)
        assert step["working_dir"] == "/trees/each[1]"
        assert "Work in /trees/each[1] and nowhere else" in step.text
        run = await store.service.look(fan_out["run_id"])
        assert next(action for action in run.actions if action.id == "each[1]/mend").working_dir == "/trees/each[1]"
        question = await agent.do(step["next"], result="done")
        assert "working_dir" not in question.data
