"""The runner: performs every server-performed action by its kind (`ports.ActionRunner`).

An action that this version cannot perform is refused by name; nothing is ever reported done that was not.
"""

from typing import cast

from treadle.actions.mcp_call import CallOutcome, ToolPool, call_tool
from treadle.core.errors import Failure
from treadle.core.values import Json
from treadle.ports import ActionCall, Answer


class Runner:
    """Performs `mcp_call` through a pool of servers."""

    def __init__(self, pool: ToolPool) -> None:
        """Call nothing yet."""
        self._pool = pool

    async def perform(self, call: ActionCall) -> Answer:
        """Do it once; see `ports.ActionRunner.perform`."""
        if call.action.kind != "mcp_call":
            message = f"this version of Treadle cannot perform `{call.action.kind}` itself; nothing was done"
            return Answer(failure=Failure(error_class="refused", message=message, step=call.action.id))
        tool = call.params["tool"]
        outcome = await call_tool(
            self._pool,
            tool if isinstance(tool, str) else "",
            # What was set aside is filled in before dispatch, so these are plain values.
            cast(Json, call.params.get("parameters")),
            timeout_ms=call.timeout_ms,
            idempotency_key=call.key,
        )
        return _answer(call, outcome)


def _answer(call: ActionCall, outcome: CallOutcome) -> Answer:
    if outcome.error_class is None:
        return Answer(value=outcome.value)
    failure = Failure(
        error_class=outcome.error_class, message=outcome.message, step=call.action.id, result=outcome.value, has_result=outcome.has_value
    )  # fmt: skip
    return Answer(failure=failure, lost=outcome.lost)
