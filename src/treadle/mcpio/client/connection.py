"""One live session with one server: the SDK's client over our transport, from start to death.

The SDK wants its context entered and left by the same asyncio task, so a task of the connection's own does both and lives as long as the
session; calls come from anywhere. When the process dies, every call under way fails at once, and the connection is over: it is never
revived, the pool opens another.

Time is kept here and not by the SDK, whose clock starts only after a request was written. After a call that timed out, a server that said
nothing during it, or does not even read, is `suspect`: before its next use the pool asks it for a sign of life, and replaces a dead one.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import mcp_types
from mcp import Client, MCPError
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from pydantic import TypeAdapter, ValidationError

from treadle import __version__
from treadle.config.servers import Launch, ServerSpec
from treadle.core.errors import TreadleError
from treadle.core.values import ValueProblem
from treadle.mcpio.client.outcome import ToolOutcome, failed, read_result
from treadle.mcpio.client.server_log import ServerLog
from treadle.mcpio.client.tools import ToolInfo, tool_info
from treadle.mcpio.client.transport import StdioTransport, TransportFault

PAGES_MAX: Final = 100
LIST_BYTES_MAX: Final = 4 << 20
PROBE_S: Final = 2.0
_RESULT: Final[TypeAdapter[Any]] = TypeAdapter(mcp_types.CallToolResult | mcp_types.InputRequiredResult)


class ServerUnavailableError(TreadleError):
    """The server could not be started, or is gone."""

    code = "server_unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """How long a start may take, and how large a line may be."""

    start_timeout_ms: int
    line_bytes_max: int


class ServerConnection:
    """A session. Made by `open`; over when `ended` is set; always to be closed."""

    def __init__(self, spec: ServerSpec, launch: Launch, log: ServerLog, times: Times, mode: str) -> None:
        """Prepare a session; `open` is the way to get a live one."""
        self._spec = spec
        self._log = log
        self._times = times
        self._transport = StdioTransport(launch, log=log, line_bytes_max=times.line_bytes_max)
        self._client = Client(
            self._transport,
            mode=mode,
            cache=None,
            client_info=mcp_types.Implementation(name="treadle", version=__version__),
            message_handler=self._on_message,
        )
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._leave = asyncio.Event()
        self._started = False
        self._tools: dict[str, ToolInfo] | None = None
        self._task: asyncio.Task[None] | None = None
        self.suspect = False

    @classmethod
    async def open(cls, spec: ServerSpec, launch: Launch, log: ServerLog, times: Times, mode: str = "auto") -> "ServerConnection":
        """Start the server and agree on a protocol. Raises ServerUnavailableError; then nothing of it is left."""
        connection = cls(spec, launch, log, times, mode)
        connection._task = asyncio.create_task(connection._live(), name=f"mcp server {spec.name}")
        try:
            await connection._ready
        except BaseException:  # cancelling too: a process must not outlive the wish for it
            await connection.close()
            raise
        return connection

    @property
    def alive(self) -> bool:
        """Tell whether calls can still be made."""
        return not self._transport.ended.is_set() and not self._leave.is_set()

    @property
    def ended(self) -> asyncio.Event:
        """Give the event that is set when the server is gone."""
        return self._transport.ended

    @property
    def is_legacy(self) -> bool:
        """Tell whether the session was made by the handshake of the older revisions."""
        return self._client.protocol_version in HANDSHAKE_PROTOCOL_VERSIONS

    @property
    def protocol_version(self) -> str:
        """Give the revision that was agreed on."""
        return self._client.protocol_version

    @property
    def pid(self) -> int | None:
        """Give the server's process id."""
        return self._transport.pid

    async def close(self, *, hasty: bool = False) -> None:
        """End session, server and all that it started. Safe to repeat. `hasty` leaves the server little time to leave by itself."""
        self._transport.hasty = self._transport.hasty or hasty
        self._leave.set()
        if self._task is not None:
            if not self._started:
                self._task.cancel()
            await asyncio.gather(asyncio.shield(self._task), return_exceptions=True)

    async def tools(self) -> Mapping[str, ToolInfo]:
        """List the tools by name; asked again only after the server said that they changed. Raises ServerUnavailableError."""
        if self._tools is None:
            try:
                async with asyncio.timeout(self._times.start_timeout_ms / 1000):
                    self._tools = await self._list()
            except TimeoutError as error:
                self.suspect = True
                raise self._unavailable(f"it did not list its tools within {self._times.start_timeout_ms} ms") from error
            except (MCPError, ValidationError, RuntimeError) as error:
                gone = self._transport.end_reason or f"it did not list its tools: {_said(error)}"
                raise self._unavailable(gone) from error
        return self._tools

    async def responds(self) -> bool:
        """Tell whether a suspect server still answers; if so it is suspect no more, and was only slow."""
        try:
            async with asyncio.timeout(PROBE_S):
                self._tools = await self._list()
        except (TimeoutError, MCPError, ValidationError, RuntimeError):
            return False
        self.suspect = False
        return True

    async def call(self, tool: str, arguments: dict[str, Any], *, timeout_ms: int, meta: dict[str, Any] | None = None) -> ToolOutcome:
        """Call a tool once. Cancelling passes `notifications/cancelled` on; so does the time-out.

        Raises ServerUnavailableError when the server was gone before; everything later is an outcome.
        """
        if not self.alive:
            raise self._unavailable(self._transport.end_reason)
        params = mcp_types.CallToolRequestParams.model_validate({"name": tool, "arguments": arguments, "_meta": meta})
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                result = await self._client.session.send_request(mcp_types.CallToolRequest(params=params), _RESULT)
        except TimeoutError:
            self.suspect = self.suspect or self._transport.stuck or self._transport.heard_at < began
            return failed("timeout", "tool_timeout", f"{self._spec.name}.{tool} gave no answer within {timeout_ms} ms", lost=True)
        except MCPError as error:
            return self._refusal(tool, error)
        except (ValidationError, RuntimeError) as error:
            return self._unusable(tool, _said(error))
        try:
            return read_result(result, structured_null=not self.is_legacy, redacted=self._log.redacted)
        except ValueProblem as problem:
            return self._unusable(tool, f"{problem.message}, at {problem.path or 'its top'}")

    # ----

    async def _live(self) -> None:
        try:
            async with contextlib.AsyncExitStack() as stack:
                async with asyncio.timeout(self._times.start_timeout_ms / 1000):
                    await stack.enter_async_context(self._client)
                self._started, self._transport.hasty = True, False
                if not self._ready.done():
                    self._ready.set_result(None)
                leaving = asyncio.create_task(self._leave.wait())
                over = asyncio.create_task(self._transport.ended.wait())
                listening = asyncio.create_task(self._listen())
                await asyncio.wait({leaving, over}, return_when=asyncio.FIRST_COMPLETED)
                for task in (leaving, over, listening):
                    task.cancel()
                await asyncio.gather(leaving, over, listening, return_exceptions=True)
                self._transport.give_up()
        except Exception as error:  # noqa: BLE001 - the border to the SDK: whatever it raises means that this session is over
            if not self._ready.done():
                self._ready.set_exception(self._start_failure(error))
            self._log.note(f"the session ended: {_said(error)}")
        finally:
            self._transport.give_up()
            if not self._ready.done():
                self._ready.cancel()

    async def _listen(self) -> None:
        """Hear of changed tools where the revision wants that asked for; the older ones tell `_on_message` unasked."""
        tools = self._client.server_capabilities.tools
        if self.is_legacy or tools is None or not tools.list_changed:
            return
        with contextlib.suppress(MCPError, RuntimeError):
            async with self._client.listen(tools_list_changed=True) as events:
                async for _ in events:
                    self._tools = None

    async def _on_message(self, message: object) -> None:
        if isinstance(message, mcp_types.ToolListChangedNotification):
            self._tools = None

    async def _list(self) -> dict[str, ToolInfo]:
        found: dict[str, ToolInfo] = {}
        cursor: str | None = None
        size_bytes = 0
        for _ in range(PAGES_MAX):
            page = await self._client.session.list_tools(params=mcp_types.PaginatedRequestParams(cursor=cursor))
            for tool in page.tools:
                size_bytes += len(tool.model_dump_json())
                if size_bytes > LIST_BYTES_MAX:
                    raise self._unavailable(f"its list of tools is larger than {LIST_BYTES_MAX} bytes")
                try:
                    found.setdefault(tool.name, tool_info(self._spec, tool))
                except ValueProblem as problem:
                    self._log.note(f"the tool {tool.name[:200]!r} was left out: {problem.message}")
            cursor = page.next_cursor
            if cursor is None:
                break
        return found

    def _refusal(self, tool: str, error: MCPError) -> ToolOutcome:
        """Classify a protocol error. Only an object of our own in `data` is ours; codes can be anybody's."""
        if isinstance(error.error.data, TransportFault):
            return self._unusable(tool, error.error.data.reason)
        if self._transport.ended.is_set():
            message = f"the MCP server {self._spec.name!r} was lost during {tool}: {self._transport.end_reason}"
            return failed("unavailable", "server_lost", self._with_log(message), lost=True)
        said = f"{self._spec.name}.{tool}: {self._log.redacted(error.error.message) or 'no message'} (code {error.error.code})"
        if error.error.code == mcp_types.INVALID_PARAMS:
            return failed("refused", "arguments_refused", said)
        return failed("failed", "protocol_error", said)

    def _unusable(self, tool: str, reason: str) -> ToolOutcome:
        return failed(
            "bad_output", "bad_answer", f"the answer of {self._spec.name}.{tool} cannot be used: {self._log.redacted(reason)}", lost=True
        )

    def _start_failure(self, error: Exception) -> ServerUnavailableError:
        command = self._spec.command
        if isinstance(error, TimeoutError):
            return self._unavailable(f"it gave no answer within {self._times.start_timeout_ms} ms of its start")
        if isinstance(error, FileNotFoundError):
            return self._unavailable(f"the program {command!r} or its directory {self._spec.cwd!r} was not found")
        if isinstance(error, OSError | ValueError):
            return self._unavailable(f"{command!r} could not be started: {error}")
        if self._transport.ended.is_set():
            return self._unavailable(f"at its start {self._transport.end_reason}")
        return self._unavailable(f"no protocol could be agreed on: {_said(error)}")

    def _unavailable(self, reason: str) -> ServerUnavailableError:
        message = f"the MCP server {self._spec.name!r} is not available: {reason}"
        return ServerUnavailableError(self._with_log(message), hint=f"try its command by hand: {' '.join(self._spec.argv)}")

    def _with_log(self, message: str) -> str:
        tail = self._log.tail()
        return f"{message}; it last said:\n{tail}" if tail else message


def _said(error: BaseException) -> str:
    """Put a foreign error on one bounded line."""
    if isinstance(error, BaseExceptionGroup):
        return _said(error.exceptions[0])
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"not as the protocol has it, at {'.'.join(map(str, first['loc']))}: {first['msg']}"
    return f"{type(error).__name__}: {error}"[:500]
