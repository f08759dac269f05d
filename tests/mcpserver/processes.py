"""Server processes over real pipes, driven by a minimal client that sees every byte."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.mcpserver.support import written

PATIENCE_S = 20.0
OURS = (
    sys.executable,
    "-c",
    "import os, sys; from treadle.mcpio.server import run_stdio; sys.exit(run_stdio(os.environ))",
)
_EMPTY = """\
from mcp.server.mcpserver import MCPServer
server = MCPServer("empty")
@server.tool(structured_output=False)
async def nothing() -> str:
    return "nothing"
server.run()
"""
EMPTY = (sys.executable, "-c", _EMPTY)


def environment(root: Path, session: str | None = None, **more: str) -> dict[str, str]:
    """What a client starts its server with; whatever a user accepted lies below the project of the test."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "PYTHONPATH") if name in os.environ}
    told = {"CLAUDE_CODE_SESSION_ID": session} if session is not None else {}
    return {
        **kept,
        "HOME": str(root),
        "XDG_DATA_HOME": str(root / "data"),
        "CLAUDE_PROJECT_DIR": str(root),
        **told,
        **more,
    }


class Process:
    """A server process and its client."""

    def __init__(self, argv: tuple[str, ...], env: Mapping[str, str], cwd: Path) -> None:
        self.began = time.perf_counter()
        self.popen = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(env),
            cwd=cwd,
            bufsize=0,
        )
        self.lines: list[bytes] = []
        self._buffer = b""
        self._ids = 0

    def greet(self, version: str = "2025-11-25") -> dict[str, Any]:
        """Shake hands as clients of the older revisions do."""
        info = {"name": "raw", "version": "1"}
        answer = self.request("initialize", {"protocolVersion": version, "capabilities": {}, "clientInfo": info})
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return answer

    def send(self, message: Mapping[str, Any]) -> None:
        """Write one line."""
        assert self.popen.stdin is not None
        self.popen.stdin.write(json.dumps(message).encode() + b"\n")

    def request(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Ask, and give the result."""
        self._ids += 1
        self.send({"jsonrpc": "2.0", "id": self._ids, "method": method, "params": params})
        while True:
            line = self._line()
            message = json.loads(line)
            if message.get("id") == self._ids:
                assert "error" not in message, message
                return message["result"]

    def tool(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool; gives its data."""
        return self.request("tools/call", {"name": name, "arguments": arguments})["structuredContent"]

    def do(self, call: str, **changed: Any) -> dict[str, Any]:
        """Make a call as a reply wrote it."""
        name, arguments = written(call, **changed)
        return self.tool(name, **arguments)

    def _line(self) -> bytes:
        assert self.popen.stdout is not None
        until = time.monotonic() + PATIENCE_S
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([self.popen.stdout], [], [], max(0.0, until - time.monotonic()))
            read = os.read(self.popen.stdout.fileno(), 1 << 16) if ready else b""
            assert read, f"the server said no more: {self.popen.poll()}"
            self._buffer += read
        line, _, self._buffer = self._buffer.partition(b"\n")
        self.lines.append(line)
        return line

    def kill(self) -> None:
        """End it as a crash does."""
        self.popen.send_signal(signal.SIGKILL)
        self.popen.wait(PATIENCE_S)

    def end(self, number: int | None = None) -> tuple[int, str]:
        """Close its stdin, or send a signal; gives exit code and stderr. Whatever is left on stdout is kept in `lines`."""
        assert self.popen.stdin is not None
        assert self.popen.stdout is not None
        assert self.popen.stderr is not None
        if number is None:
            self.popen.stdin.close()
        else:
            self.popen.send_signal(number)
        code = self.popen.wait(PATIENCE_S)
        self.lines += [line for line in (self._buffer + self.popen.stdout.read()).split(b"\n") if line]
        return code, self.popen.stderr.read().decode()


@contextmanager
def serving(root: Path, session: str | None = None, argv: tuple[str, ...] = OURS, **more: str) -> Iterator[Process]:
    """Start a server for a project; it is gone when the block ends."""
    process = Process(argv, environment(root, session, **more), root)
    try:
        yield process
    finally:
        if process.popen.poll() is None:
            process.kill()
        for stream in (process.popen.stdin, process.popen.stdout, process.popen.stderr):
            if stream is not None:
                stream.close()
