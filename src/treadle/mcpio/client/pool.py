"""The servers of one project: started on demand, shared, restarted when dead, stopped when idle, none left behind.

Each server has a slot. A call takes the slot's live connection or opens one; callers that come while it opens wait for the same start.
A start is allowed by the trust check alone, each time anew. After a failure the next start waits, longer each time; a call in that time
fails at once and says how long (the engine's retry keeps the time, not a sleeping call). A session that had worked is replaced at once.

Order of a call: configured and allowed → live → tool known → its digest as pinned → arguments fit → sent. Up to the last step nothing
has reached the tool, and a failure is sure; from then on a failure without an answer is `lost` (ruling 19).
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self, cast

from treadle.config.origin import did_you_mean
from treadle.config.redact import Redactor
from treadle.config.servers import Catalog, Launch, ServerSpec
from treadle.config.settings import Settings
from treadle.core.errors import RequestError, TreadleError
from treadle.core.values import Json, encode
from treadle.mcpio.client.checks import check_arguments, check_result
from treadle.mcpio.client.connection import ServerConnection, ServerUnavailableError, Times
from treadle.mcpio.client.outcome import ToolOutcome, failed, refused
from treadle.mcpio.client.server_log import ServerLog
from treadle.mcpio.client.tools import KEY_META, ToolInfo

BACKOFF_FIRST_MS: Final = 500
BACKOFF_MAX_MS: Final = 30_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """What the pool needs to know, in times and sizes. A server's own values go before these."""

    root: Path
    environ: Mapping[str, str] = field(repr=False)
    log_dir: Path | None = None
    timeout_ms: int = 60_000
    start_timeout_ms: int = 30_000
    idle_stop_ms: int = 600_000
    line_bytes_max: int = 4 << 20
    output_bytes_max: int = 10 << 20

    @classmethod
    def of(cls, settings: Settings, environ: Mapping[str, str]) -> "PoolSettings":
        """Take what the project's settings say. Servers log below the store's directory."""
        return cls(
            root=settings.project.root,
            environ=environ,
            log_dir=settings.project.store_dir / "logs" / "servers",
            timeout_ms=settings.mcp_timeout_ms,
            start_timeout_ms=settings.mcp_start_timeout_ms,
            idle_stop_ms=settings.mcp_idle_stop_ms,
            line_bytes_max=settings.mcp_line_bytes_max,
            output_bytes_max=settings.mcp_output_bytes_max,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerState:
    """How a server is doing, for `treadle doctor` and lists."""

    name: str
    status: str
    pid: int | None = None
    protocol_version: str = ""
    starts: int = 0
    message: str = ""


@dataclass(slots=True)
class _Slot:
    spec: ServerSpec
    log: ServerLog
    connection: ServerConnection | None = None
    starting: asyncio.Task[ServerConnection] | None = None
    watcher: asyncio.Task[None] | None = None
    calls: int = 0
    answered: bool = False
    starts: int = 0
    failures: int = 0
    retry_at: float = 0.0
    used_at: float = 0.0
    mode: str = "auto"
    last_error: str = ""


class ServerPool:
    """Calls tools by server and name. Give it up with `close`, from the loop that used it."""

    def __init__(
        self,
        catalog: Catalog,
        settings: PoolSettings,
        *,
        allow: Callable[[ServerSpec], None],
        clock: Callable[[], float] = time.monotonic,
        redactor: Redactor | None = None,
    ) -> None:
        """Start nothing yet. `allow` raises RequestError for a server that may not be started (`treadle.trust.gate`).

        `redactor` knows the secrets that servers are given, so that their logs and messages do not tell them.
        """
        self._redactor = redactor or Redactor()
        self._catalog = catalog
        self._settings = settings
        self._allow = allow
        self._clock = clock
        self._slots: dict[str, _Slot] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False

    async def __aenter__(self) -> Self:
        """Use the pool in a block that closes it."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        await self.close()

    async def tools(self, server: str) -> tuple[ToolInfo, ...]:
        """List a server's tools by name, starting it if need be. Raises RequestError or ServerUnavailableError."""
        connection = await self._connection(self._slot(server))
        return tuple(tool for _, tool in sorted((await connection.tools()).items()))

    async def call(
        self,
        server: str,
        tool: str,
        arguments: Mapping[str, Json],
        *,
        timeout_ms: int | None = None,
        idempotency_key: str | None = None,
        pinned: str | None = None,
    ) -> ToolOutcome:
        """Call a tool once; never raises for what the server is or does. `pinned` is the digest that the tool must still have.

        The time-out bounds everything, a start that comes first included.
        """
        try:
            slot = self._slot(server)
            spec = slot.spec
            limit_ms = timeout_ms or spec.timeout_ms or self._settings.timeout_ms
            ends = self._clock() + limit_ms / 1000
            connection, info = await asyncio.wait_for(self._find(slot, tool), limit_ms / 1000)
            given = _prepared(spec, info, arguments, idempotency_key, pinned)
            left_ms = max(1, round((ends - self._clock()) * 1000))
            outcome = await self._send(slot, connection, info, given, left_ms, idempotency_key)
        except TimeoutError:
            return failed("timeout", "start_timeout", f"the MCP server {server!r} was not ready in time; {tool} was not called")
        except ServerUnavailableError as error:
            waits = self._slots[server].retry_at - self._clock()
            return failed("unavailable", error.code, error.message, hint=error.hint, retry_after_ms=max(0, round(waits * 1000)))
        except TreadleError as error:
            return refused(error)
        return self._within_size(spec, info, check_result(info, outcome)).of(info.digest)

    def states(self) -> tuple[ServerState, ...]:
        """Tell how every configured server is doing; starts nothing."""
        return tuple(self._state(name) for name in sorted(self._catalog.specs))

    async def close(self) -> None:
        """End every server; returns when none is left. Calls under way fail as lost. Safe to repeat."""
        self._closed = True
        slots = list(self._slots.values())
        tasks: list[asyncio.Task[Any]] = [task for slot in slots for task in (slot.starting, slot.watcher) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(slot.connection.close() for slot in slots if slot.connection), *self._closing)

    # ---- slots

    def _slot(self, server: str) -> _Slot:
        if self._closed:
            raise _closing()
        if server not in self._slots:
            spec = self._catalog.get(server)
            file = self._settings.log_dir / f"{server}.log" if self._settings.log_dir else None
            self._slots[server] = _Slot(spec=spec, log=ServerLog(file, self._clock, self._redactor))
        return self._slots[server]

    def _state(self, name: str) -> ServerState:
        slot = self._slots.get(name)
        if slot is None:
            return ServerState(name=name, status="not started")
        connection = slot.connection
        if connection is None or not connection.alive:
            status = "starting" if slot.starting else "failed" if slot.last_error else "stopped"
            return ServerState(name=name, status=status, starts=slot.starts, message=slot.last_error)
        return ServerState(
            name=name,
            status="running",
            pid=connection.pid,
            protocol_version=connection.protocol_version,
            starts=slot.starts,
        )

    async def _find(self, slot: _Slot, tool: str) -> tuple[ServerConnection, ToolInfo]:
        connection = await self._connection(slot)
        tools = await connection.tools()
        if tool not in tools:
            raise _unknown_tool(slot.spec.name, tool, tools)
        return connection, tools[tool]

    async def _send(
        self,
        slot: _Slot,
        connection: ServerConnection,
        info: ToolInfo,
        arguments: dict[str, Any],
        timeout_ms: int,
        key: str | None,
    ) -> ToolOutcome:
        slot.calls += 1
        try:
            outcome = await connection.call(info.name, arguments, timeout_ms=timeout_ms, meta={KEY_META: key} if key else None)
        finally:
            slot.calls -= 1
            slot.used_at = self._clock()
        if outcome.failure is None or outcome.failure.error_class not in {"unavailable", "timeout"}:
            slot.answered, slot.failures = True, 0
        return outcome

    async def _connection(self, slot: _Slot) -> ServerConnection:
        if slot.connection is not None and slot.connection.alive and not (slot.connection.suspect and slot.calls == 0):
            return slot.connection
        if slot.starting is None:
            slot.starting = asyncio.create_task(self._start(slot))
            # Where every caller has left meanwhile, nobody else looks at the failure.
            slot.starting.add_done_callback(lambda task: task.cancelled() or task.exception())
        starting = slot.starting
        try:
            # Shielded: the start is shared, one caller's time-out is not the others'.
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            if starting.cancelled() and self._closed:
                raise _closing() from None
            raise

    async def _start(self, slot: _Slot) -> ServerConnection:
        try:
            live = slot.connection
            if live is not None and live.alive and await live.responds():
                return live
            await self._retire(slot)
            launch = self._may_start(slot)
            slot.starts += 1
            connection = await ServerConnection.open(slot.spec, launch, slot.log, self._times(slot.spec), slot.mode)
        except ServerUnavailableError as error:
            if slot.retry_at <= self._clock():
                self._count_failure(slot, error.message)
            raise
        finally:
            slot.starting = None
        slot.connection, slot.answered = connection, False
        slot.mode = "legacy" if connection.is_legacy else "auto"
        slot.last_error = ""
        slot.used_at = self._clock()
        slot.watcher = asyncio.create_task(self._watch(slot, connection))
        return connection

    def _may_start(self, slot: _Slot) -> Launch:
        """Give what to start. Raises RequestError for what must not be started, ServerUnavailableError while a new start has to wait."""
        _check_startable(slot.spec)
        self._allow(slot.spec)
        launch = slot.spec.launch(self._settings.environ, self._settings.root)
        waits = slot.retry_at - self._clock()
        if waits > 0:
            raise ServerUnavailableError(f"{slot.last_error} (no new start for another {waits:.1f} s)")
        return launch

    async def _retire(self, slot: _Slot) -> None:
        """Put a dead or suspect connection away. One that never served anything counts as a failed start."""
        connection, slot.connection = slot.connection, None
        watcher, slot.watcher = slot.watcher, None
        if watcher is not None:
            watcher.cancel()
        if connection is not None:
            if not slot.answered:
                self._count_failure(slot, f"the MCP server {slot.spec.name!r} has just failed without having served a call")
            await connection.close(hasty=True)

    def _count_failure(self, slot: _Slot, message: str) -> None:
        slot.last_error = message
        slot.mode = "auto"
        slot.retry_at = self._clock() + min(BACKOFF_FIRST_MS * 2**slot.failures, BACKOFF_MAX_MS) / 1000
        slot.failures += 1

    async def _watch(self, slot: _Slot, connection: ServerConnection) -> None:
        """Stop a server that nobody has used for long. One that died is left for the next call to retire."""
        idle_s = self._settings.idle_stop_ms / 1000
        while True:
            rest = idle_s if slot.calls else slot.used_at + idle_s - self._clock()
            if rest <= 0:
                break
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(connection.ended.wait(), rest)
                return
        slot.connection = slot.watcher = None
        closing = asyncio.create_task(connection.close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    def _times(self, spec: ServerSpec) -> Times:
        return Times(
            start_timeout_ms=spec.start_timeout_ms or self._settings.start_timeout_ms,
            line_bytes_max=spec.line_bytes_max or self._settings.line_bytes_max,
        )

    def _within_size(self, spec: ServerSpec, info: ToolInfo, outcome: ToolOutcome) -> ToolOutcome:
        limit = spec.output_bytes_max or self._settings.output_bytes_max
        size = len(encode(outcome.value).encode()) if outcome.failure is None else 0
        if size <= limit:
            return outcome
        message = f"{spec.name}.{info.name} gave {size} bytes; at most {limit} are taken. It was carried out all the same"
        return failed(
            "bad_output",
            "output_too_large",
            message,
            hint=f"ask the tool for less, or raise servers.{spec.name}.max_output",
        )


def _closing() -> RequestError:
    return RequestError("the servers are being stopped; nothing was called", code="closing")


def _check_startable(spec: ServerSpec) -> None:
    """Refuse by name what is never started."""
    name, hint = spec.name, ""
    if not spec.enabled:
        code, message = "server_disabled", f"the MCP server {name!r} is disabled ({spec.file})"
    elif spec.is_treadle_itself:
        code, message = (
            "own_entry",
            f"the entry {name!r} is Treadle itself, for agents; Treadle does not start itself to call its own tools",
        )
    elif spec.transport == "http":
        code, message = "not_yet", f"the MCP server {name!r} is reached over HTTP, which is not built yet"
        hint = "servers that are started by a command work"
    else:
        return
    raise RequestError(message, code=code, hint=hint)


def _prepared(spec: ServerSpec, info: ToolInfo, arguments: Mapping[str, Json], key: str | None, pinned: str | None) -> dict[str, Any]:
    """Give the arguments as they are sent, with the key where the configuration wants it. Raises RequestError before anything is sent."""
    if pinned is not None and pinned != info.digest:
        raise RequestError(
            f"{spec.name}.{info.name} is not the tool that this run began with: its schema or annotations have changed",
            code="tool_changed",
            hint="a new run takes the tool as it is now",
        )
    given = dict(arguments)
    if key is not None and info.name in spec.idempotency_key:
        given.setdefault(spec.idempotency_key[info.name], key)
    check_arguments(info, given)
    return cast(dict[str, Any], given)


def _unknown_tool(server: str, tool: str, tools: Mapping[str, ToolInfo]) -> RequestError:
    hint = did_you_mean(tool, tools) or f"it has: {', '.join(sorted(tools)[:30]) or 'none'}"
    return RequestError(f"the MCP server {server!r} has no tool {tool!r}", code="unknown_tool", hint=hint)
