"""Which kinds of action this process performs, and what does each."""

from collections.abc import Mapping
from functools import partial

from treadle.actions.function import call_function
from treadle.actions.http import Web, send_request
from treadle.actions.mcp_call import ToolPool, call_tool
from treadle.actions.outcome import CallOutcome
from treadle.actions.runner import Perform
from treadle.actions.shell import Surroundings, run_shell
from treadle.actions.verify import run_verify
from treadle.core.values import Json
from treadle.ports import ActionCall, Functions


def performers(
    *, pool: ToolPool, functions: Functions, web: Web, commands: Surroundings | None = None
) -> Mapping[str, Perform]:  # fmt: skip
    """Give the performer of each kind; without `commands` none is run."""

    async def mcp_call(call: ActionCall, params: dict[str, Json]) -> CallOutcome:
        return await call_tool(pool, str(params["tool"]), params.get("parameters"), timeout_ms=call.timeout_ms, idempotency_key=call.key)

    async def http(call: ActionCall, params: dict[str, Json]) -> CallOutcome:
        return await send_request(web, call, params)

    async def function(_call: ActionCall, params: dict[str, Json]) -> CallOutcome:
        return await call_function(functions, str(params["function"]), str(params["version"]), params.get("parameters"))

    kinds: dict[str, Perform] = {"mcp_call": mcp_call, "http": http, "function": function}
    if commands is not None:
        kinds |= {"shell": partial(run_shell, commands), "verify": partial(run_verify, commands)}
    return kinds
