"""Tells whatever it is given, everywhere and in every form: result, error, progress, log message, stderr, junk on stdout.

`teller.py RECORD` writes the arguments as they came to RECORD, so that a test sees that they did come.
"""

import base64
import json
import os
import sys
from pathlib import Path
from urllib.parse import quote

from wire import send, serve, tool, write

RECORD = Path(sys.argv[1])


def forms(token: str) -> list[str]:
    raw = token.encode()
    return [
        token, f"x{token}y", json.dumps(token), json.dumps(json.dumps({"t": token})), repr(token), quote(token), quote(token, safe=""),
        raw.hex(), base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode(),
        *(base64.b64encode(b"user:"[: n + 1] + raw + b"!").decode() for n in range(4)),
    ]  # fmt: skip


def everywhere(arguments: dict) -> list[str]:
    """Write to all but the answer."""
    RECORD.write_text(json.dumps(arguments))
    told = forms(arguments["token"])
    for line in told:
        os.write(2, f"stderr {line}\n".encode())
    for size in (1_990, 3_000, 7_995, 40_000):  # where lines are cut
        os.write(2, b"z" * size + arguments["token"].encode() + b"\n")
    os.write(2, b"w" * 1_000)
    os.write(2, b"w" * 995 + arguments["token"].encode()[:9])
    os.write(2, arguments["token"].encode()[9:] + b" begun\n")
    write(f"junk {arguments['token']}\n")
    write("k" * 490 + arguments["token"] + "\n")
    send({"method": "notifications/message", "params": {"level": "error", "data": {"token": told}}})
    send({"method": "notifications/progress", "params": {"progressToken": 1, "progress": 0.5, "message": arguments["token"]}})
    send({"method": "notifications/message", "params": {"level": arguments["token"], "data": None, "what": told}})
    return told


def echo(number, arguments):
    told = everywhere(arguments)
    return {
        "content": [],
        "structuredContent": {"told": told, arguments["token"]: True, "header": arguments["header"], "deep": {"a": [told]}},
    }


def blocks(number, arguments):
    told = everywhere(arguments)
    return {"content": [{"type": "text", "text": "\n".join(told)}]}


def fail(number, arguments):
    told = everywhere(arguments)
    return {"isError": True, "content": [{"type": "text", "text": " ".join(told) + "q" * 1_000 + arguments["token"] * 40}]}


def cut(number, arguments):
    everywhere(arguments)
    return {"isError": True, "content": [{"type": "text", "text": "q" * (1_995) + arguments["token"]}]}


def protest(number, arguments):
    everywhere(arguments)
    send({"id": number, "error": {"code": -32603, "message": f"no {arguments['token']}", "data": forms(arguments["token"])}})


def spoil(number, arguments):
    everywhere(arguments)
    return {"content": arguments["token"]}


def die(number, arguments):
    everywhere(arguments)
    os.write(2, f"last: {arguments['token']}".encode())
    os._exit(3)


def typed(number, arguments):
    raise AssertionError("its arguments never fit")


def misfit(number, arguments):
    everywhere(arguments)
    return {"content": [], "structuredContent": {"told": arguments["token"]}}


def listed() -> list[dict]:
    integers = {"type": "object", "properties": {"token": {"type": "integer"}}}
    told = {"type": "object", "properties": {"told": {"enum": ["x"]}}}
    plain = [tool(name) for name in TOOLS if name not in {"typed", "misfit"}]
    return [*plain, {**tool("typed"), "inputSchema": integers}, {**tool("misfit"), "outputSchema": told}]


TOOLS = {function.__name__: function for function in (echo, blocks, fail, cut, protest, spoil, die, typed, misfit)}
serve(TOOLS, listed=listed)
