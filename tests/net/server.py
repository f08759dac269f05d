"""A scripted HTTP server on loopback: it says bytes, so that it can also say what no server should."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

Say = Callable[["Heard", asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One request as it came."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


@dataclass(slots=True)
class Server:
    """What the server says by path, and what it heard."""

    says: Mapping[str, bytes | Say]
    port: int = 0
    heard: list[Heard] = field(default_factory=list[Heard])
    connections: int = 0
    at_work: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def paths(self) -> list[str]:
        return [each.path for each in self.heard]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.at_work.add(cast("asyncio.Task[None]", asyncio.current_task()))
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, target, _ = head[0].split(" ")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                heard = Heard(method=method, target=target, headers=headers, body=body)
                self.heard.append(heard)
                said = self.says[heard.path]
                if isinstance(said, bytes):
                    writer.write(said)
                    await writer.drain()
                else:
                    await said(heard, writer)
            finally:
                writer.close()
                await writer.wait_closed()


def answer(body: bytes = b"", status: str = "200 OK", **headers: str) -> bytes:
    """Give the bytes of a whole answer; `_` in names of headers stands for `-`."""
    lines = [
        f"HTTP/1.1 {status}",
        f"content-length: {len(body)}",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def redirect(to: str, status: str = "302 Found") -> bytes:
    return answer(b"", status, location=to)


@contextlib.asynccontextmanager
async def serving(says: Mapping[str, bytes | Say], *, ssl: object = None) -> AsyncIterator[Server]:
    """Serve while the block runs."""
    server = Server(says)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=ssl)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for each in server.at_work:
            each.cancel()
        await asyncio.gather(*server.at_work, return_exceptions=True)
