"""Which kinds of action this process performs, and what does each."""

from collections.abc import Mapping
from functools import partial

from treadle.actions import child_run
from treadle.actions.child_run import ChildRuns
from treadle.actions.function import call_function
from treadle.actions.http import Web, send_request
from treadle.actions.mcp_call import ToolPool, call_tool
from treadle.actions.merging import merge
from treadle.actions.outcome import CallOutcome
from treadle.actions.runner import Perform
from treadle.actions.shell import Surroundings, run_shell
from treadle.actions.verify import run_verify
from treadle.actions.worktrees import Worktrees
from treadle.core.state import ActionState
from treadle.core.values import Json
from treadle.ports import ActionCall, Functions, Outliving


def performers(
    *, pool: ToolPool, functions: Functions, web: Web, commands: Surroundings | None = None, children: ChildRuns | None = None,
    trees: Worktrees | None = None,
) -> Mapping[str, Perform]:  # fmt: skip
    """Give the performer of each kind; without `commands` none is run, without `children` no run is started, without `trees` none is made."""

    async def mcp_call(call: ActionCall, params: dict[str, Json]) -> CallOutcome:
        return await call_tool(pool, str(params["tool"]), params.get("parameters"), timeout_ms=call.timeout_ms, idempotency_key=call.key)

    async def http(call: ActionCall, params: dict[str, Json]) -> CallOutcome:
        return await send_request(web, call, params)

    async def function(_call: ActionCall, params: dict[str, Json]) -> CallOutcome:
        return await call_function(functions, str(params["function"]), str(params["version"]), params.get("parameters"))

    kinds: dict[str, Perform] = {"mcp_call": mcp_call, "http": http, "function": function}
    if commands is not None:
        kinds |= {"shell": partial(run_shell, commands), "verify": partial(run_verify, commands)}
    if children is not None:
        kinds["run"] = children.perform
    if trees is not None:
        kinds |= {"worktree": trees.open, "worktree_commit": trees.commit, "merge": partial(merge, trees)}
    return kinds


class Lasting:
    """All that goes on without the process that performs it, commands and child runs; implements `ports.Outliving`."""

    def __init__(self, commands: Outliving, children: ChildRuns) -> None:
        """Ask each about their own."""
        self._commands, self._children = commands, children

    def outlives(self, action: ActionState) -> bool:
        """Tell whether an action is one of them."""
        return child_run.outlives(action) or self._commands.outlives(action)

    def stop(self, run_id: str, action: str, attempt: int) -> None:
        """Ask an attempt to stop."""
        self._commands.stop(run_id, action, attempt)
        self._children.stop(run_id, action, attempt)

    def settled(self, call: ActionCall) -> None:
        """Forget an attempt whose answer is stored."""
        if self._commands.outlives(call.action):
            self._commands.settled(call)
