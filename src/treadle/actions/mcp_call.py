"""The action `mcp_call`: one call of one tool, `server.tool` split at the first dot (language.md §2).

The pool of servers is handed in; this module knows its shape only, so that nothing here imports the MCP SDK.
"""

from collections.abc import Mapping
from typing import Protocol

from treadle.actions.outcome import CallOutcome
from treadle.core.values import Json


class Failure(Protocol):
    """Why a call gave no value, as the pool says it."""

    @property
    def error_class(self) -> str: ...
    @property
    def code(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def hint(self) -> str: ...
    @property
    def lost(self) -> bool: ...
    @property
    def retry_after_ms(self) -> int | None: ...
    @property
    def result(self) -> Json: ...
    @property
    def has_result(self) -> bool: ...


class Outcome(Protocol):
    """What a call gave, as the pool says it."""

    @property
    def value(self) -> Json: ...
    @property
    def failure(self) -> Failure | None: ...
    @property
    def digest(self) -> str | None: ...


class ToolPool(Protocol):
    """Whoever holds the servers: `treadle.mcpio.client.pool.ServerPool`."""

    async def call(
        self,
        server: str,
        tool: str,
        arguments: Mapping[str, Json],
        *,
        timeout_ms: int | None = None,
        idempotency_key: str | None = None,
        pinned: str | None = None,
    ) -> Outcome:
        """Call a tool once; never raises for what the server is or does."""
        ...


async def call_tool(
    pool: ToolPool,
    tool: str,
    arguments: Json,
    *,
    timeout_ms: int | None = None,
    idempotency_key: str | None = None,
    pinned: str | None = None,
) -> CallOutcome:
    """Call `server.tool` once; a failure is data. Cancelling the coroutine asks the server to stop."""
    server, dot, name = tool.partition(".")
    if not dot or not server or not name:
        return CallOutcome(
            has_value=False,
            error_class="refused",
            code="bad_tool_name",
            message=f"{tool!r} is no tool; write it as `server.tool`",
        )
    if not isinstance(arguments, dict):
        return CallOutcome(
            has_value=False,
            error_class="refused",
            code="bad_arguments",
            message=f"the parameters of {tool} must be an object, by name",
        )
    outcome = await pool.call(server, name, arguments, timeout_ms=timeout_ms, idempotency_key=idempotency_key, pinned=pinned)
    failure = outcome.failure
    if failure is None:
        return CallOutcome(value=outcome.value, digest=outcome.digest)
    return CallOutcome(
        value=failure.result,
        has_value=failure.has_result,
        error_class=failure.error_class,
        code=failure.code,
        message=f"{failure.message} — {failure.hint}" if failure.hint else failure.message,
        lost=failure.lost,
        retry_after_ms=failure.retry_after_ms,
        digest=outcome.digest,
    )
