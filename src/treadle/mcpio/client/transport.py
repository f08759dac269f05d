"""The stdio transport that we put under the SDK's client (ruling 53).

Inwards: bytes → lines under a cap → messages, handed over one at a time; while the session is busy the pipe is not read, so a flood waits
in the server. Outwards: a bounded queue of messages, each written when the pipe takes it. In between, the ids of requests without an
answer: a spoilt answer fails the request that it belongs to at once. Where its id cannot be read, it fails the only request under way;
with several under way it fails none, and they keep their time-outs.

A fault that this module makes is carried to the caller as `ErrorData.data` holding a `TransportFault`: an object that no server can send.
"""

import asyncio
import collections
import contextlib
from dataclasses import dataclass
from types import TracebackType

import anyio
import mcp_types
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage

from treadle.config.servers import Launch
from treadle.mcpio.client import wire
from treadle.mcpio.client.lines import LineSplitter, TooLong
from treadle.mcpio.client.process import Ears, ServerProcess
from treadle.mcpio.client.server_log import ServerLog

QUEUED_MESSAGES = 256
INBOX_BYTES = 1 << 20
# A line that grows past so many caps has no end, and a server that says so much unasked never stops: both are beyond help.
# What is said unasked is counted in lines, a long one as many; a question weighs more, because answering it costs us something.
ENDLESS_CAPS = 64
NOISE_MAX = 10_000
NOISE_LINE_BYTES = 4_096
NOISE_OF_QUESTION = 10
FAULT_CODE = -32700
_STDOUT, _STDERR = 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportFault:
    """Why an answer could not be used."""

    reason: str


class StdioTransport:
    """An asynchronous context manager that starts the server and gives the two streams the SDK wants. Use it once."""

    def __init__(self, launch: Launch, *, log: ServerLog, line_bytes_max: int) -> None:
        """Prepare to start `launch`."""
        self._launch = launch
        self._log = log
        self._line_bytes_max = line_bytes_max
        self._splitter = LineSplitter(line_bytes_max)
        self._inbox: collections.deque[bytes | TooLong] = collections.deque()
        self._inbox_bytes = 0
        self._arrived = asyncio.Event()
        self._open_ids: dict[str, str | int] = {}
        self._noise = 0
        self._draining = False
        self._process: ServerProcess | None = None
        self._pumps: list[asyncio.Task[None]] = []
        self.ended = asyncio.Event()
        self.end_reason = ""
        self.heard_at = 0.0
        # Set for a server that is not worth waiting for, as one that has not even started: it is ended without the usual grace.
        self.hasty = True

    @property
    def stuck(self) -> bool:
        """Tell whether the server does not read what we wrote."""
        return self._process is not None and not self._process.writable.is_set()

    def give_up(self) -> None:
        """Count the server as gone although it may live: whoever still waits for it waits in vain."""
        self._end_with("it was closed")

    @property
    def pid(self) -> int | None:
        """Give the server's process id, once it was started."""
        return self._process.pid if self._process else None

    async def __aenter__(
        self,
    ) -> tuple[MemoryObjectReceiveStream[SessionMessage | Exception], MemoryObjectSendStream[SessionMessage]]:
        """Start the server. Raises OSError or ValueError when it cannot be started."""
        self._log.begin()
        ears = Ears(stdout=self._on_stdout, stderr=self._on_stderr, ended=self._on_ended)
        self._process = await ServerProcess.start(self._launch, ears)
        to_session, from_server = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        to_server, from_session = anyio.create_memory_object_stream[SessionMessage](QUEUED_MESSAGES)
        self._pumps = [
            asyncio.create_task(self._pump_in(self._process, to_session)),
            asyncio.create_task(self._pump_out(self._process, from_session)),
        ]
        return from_server, to_server

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End the server and everything it started, whatever happens to the caller meanwhile."""
        ending = asyncio.create_task(self._end())
        try:
            await asyncio.shield(ending)
        except asyncio.CancelledError:
            await ending
            raise

    async def _end(self) -> None:
        if self._process is not None:
            # A server that is stuck in writing would not notice that its stdin was closed.
            self._draining = True
            self._inbox.clear()
            self._process.listen(_STDOUT, on=True)
            await self._process.stop(hasty=self.hasty)
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        self._log.close()

    # ---- inwards

    def _on_stdout(self, data: bytes) -> None:
        if self._draining:
            return
        self.heard_at = asyncio.get_running_loop().time()
        for line in self._splitter.feed(data):
            self._inbox.append(line)
            self._inbox_bytes += _cost(line)
        self._arrived.set()
        if self._splitter.held_bytes > ENDLESS_CAPS * self._line_bytes_max:
            self._on_ended("it wrote a line without end")
        elif self._inbox_bytes > INBOX_BYTES:
            self._listen(_STDOUT, on=False)

    def _on_stderr(self, data: bytes) -> None:
        pause_s = self._log.stderr(data)
        if pause_s:
            self._listen(_STDERR, on=False)
            asyncio.get_running_loop().call_later(pause_s, lambda: self._listen(_STDERR, on=True))

    def _on_ended(self, reason: str) -> None:
        self.hasty = True
        self._end_with(reason)

    def _end_with(self, reason: str) -> None:
        if not self.ended.is_set():
            self.end_reason = reason
            cut = f", in the middle of a line of {self._splitter.held_bytes} bytes" if self._splitter.held_bytes else ""
            self._log.note(f"the connection ended: {reason}{cut}")
            self.ended.set()
            self._arrived.set()
            self._listen(_STDOUT, on=False)

    def _listen(self, fd: int, *, on: bool) -> None:
        if self._process is not None:
            self._process.listen(fd, on=on)

    async def _pump_in(self, process: ServerProcess, session: MemoryObjectSendStream[SessionMessage | Exception]) -> None:
        """Hand messages to the session in order; closing the stream is how it learns of the end."""
        with session, contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            while True:
                while self._inbox:
                    line = self._inbox.popleft()
                    self._inbox_bytes -= _cost(line)
                    message = self._read(line)
                    if message is not None:
                        await session.send(SessionMessage(message=message))
                    else:
                        await asyncio.sleep(0)
                if self.ended.is_set():
                    return
                process.listen(_STDOUT, on=True)
                self._arrived.clear()
                await self._arrived.wait()

    def _read(self, line: bytes | TooLong) -> mcp_types.JSONRPCMessage | None:
        found = wire.read_too_long(line, self._line_bytes_max) if isinstance(line, TooLong) else wire.read_line(line)
        self._count(found, line.size_bytes if isinstance(line, TooLong) else len(line))
        if found is None:
            return None
        if isinstance(found, wire.Garbage):
            self._log.note(f"no message on stdout: {found.text}")
            return None
        if isinstance(found, wire.Spoilt):
            self._log.note(f"an answer that cannot be used: {found.reason}")
            return self._fail(found)
        if isinstance(found, mcp_types.JSONRPCResponse | mcp_types.JSONRPCError):
            self._open_ids.pop(str(found.id), None)
        return found

    def _count(self, found: wire.Inbound | None, size_bytes: int) -> None:
        """Count what nobody asked for; a request or an answer starts the count anew."""
        if isinstance(found, mcp_types.JSONRPCResponse | mcp_types.JSONRPCError):
            self._noise = 0
            return
        question = isinstance(found, mcp_types.JSONRPCRequest)
        if isinstance(found, wire.Spoilt):
            size_bytes = 0  # it was asked for, however long it came
        if found is None or question or isinstance(found, wire.Garbage) or not self._open_ids or self._is_stray(found):
            self._noise += (NOISE_OF_QUESTION if question else 1) + size_bytes // NOISE_LINE_BYTES
            if self._noise >= NOISE_MAX:
                self._on_ended("it does not stop sending what nobody asked for")
                self._inbox.clear()

    def _is_stray(self, found: wire.Inbound) -> bool:
        """Tell whether this is progress of a request that is over."""
        if not isinstance(found, mcp_types.JSONRPCNotification) or found.method != "notifications/progress":
            return False
        return str((found.params or {}).get("progressToken")) not in self._open_ids

    def _fail(self, spoilt: wire.Spoilt) -> mcp_types.JSONRPCError | None:
        key = spoilt.id
        if key is None and len(self._open_ids) == 1:
            key = next(iter(self._open_ids))
        if key is None or key not in self._open_ids:
            return None
        error = mcp_types.ErrorData(code=FAULT_CODE, message=spoilt.reason, data=TransportFault(reason=spoilt.reason))
        return mcp_types.JSONRPCError(jsonrpc="2.0", id=self._open_ids.pop(key), error=error)

    # ---- outwards

    async def _pump_out(self, process: ServerProcess, session: MemoryObjectReceiveStream[SessionMessage]) -> None:
        with session:
            async for item in session:
                self._follow(item.message)
                data = item.message.model_dump_json(by_alias=True, exclude_unset=True)
                await process.writable.wait()
                process.write(data.encode() + b"\n")

    def _follow(self, message: mcp_types.JSONRPCMessage) -> None:
        if isinstance(message, mcp_types.JSONRPCRequest):
            self._noise = 0
            self._open_ids[str(message.id)] = message.id
        elif isinstance(message, mcp_types.JSONRPCNotification) and message.method == "notifications/cancelled":
            self._open_ids.pop(str((message.params or {}).get("requestId")), None)


def _cost(line: bytes | TooLong) -> int:
    """Give what a waiting line costs in memory, roughly."""
    return 64 + (len(line) if isinstance(line, bytes) else 0)
