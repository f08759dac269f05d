"""The little that a hand-written MCP server needs: standard library only, the handshake of the older revisions.

Each hostile server is a program of its own beside this file. `serve` answers everything by the book; a server passes the handlers of
the tools with which it misbehaves. A handler gets (id, arguments) and writes what it likes, or returns a result.
"""

import json
import os
import sys
from collections.abc import Callable

Handler = Callable[[object, dict], dict | None]


def write(text: str | bytes) -> None:
    """Put bytes on stdout as they are, at once."""
    data = text.encode() if isinstance(text, str) else text
    while data:
        data = data[os.write(1, data) :]


def send(message: dict) -> None:
    write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")


def text(words: str) -> dict:
    return {"content": [{"type": "text", "text": words}]}


def answer(number: object, result: dict) -> None:
    send({"id": number, "result": result})


def tool(name: str, **extra: object) -> dict:
    return {"name": name, "description": name, "inputSchema": {"type": "object"}, **extra}


def serve(
    tools: dict[str, Handler],
    *,
    listed: Callable[[], list[dict]] | None = None,
    seen: Callable[[dict], None] | None = None,
) -> None:
    for line in sys.stdin.buffer:
        message = json.loads(line)
        if seen is not None:
            seen(message)
        method, number = message.get("method"), message.get("id")
        if number is None:
            continue
        if method == "initialize":
            version = message["params"]["protocolVersion"]
            info = {"name": "hostile", "version": "1"}
            answer(
                number,
                {"protocolVersion": version, "capabilities": {"tools": {"listChanged": True}}, "serverInfo": info},
            )
        elif method == "tools/list":
            answer(number, {"tools": listed() if listed else [tool(name) for name in ["ok", *tools]]})
        elif method == "tools/call":
            name, arguments = message["params"]["name"], message["params"].get("arguments") or {}
            result = text("fine") if name == "ok" else tools[name](number, arguments)
            if result is not None:
                answer(number, result)
        else:
            send({"id": number, "error": {"code": -32601, "message": f"no method {method}"}})
