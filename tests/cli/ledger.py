"""An MCP server that writes down what it is told: `note` at once; `slow` writes first and then waits for a file to appear before it answers.

`python ledger.py FILE`; the file that `slow` waits for is FILE with `.go` behind it.
"""

import asyncio
import sys
from pathlib import Path

import mcp_types

from treadle.core.errors import RequestError
from treadle.servers import serving

FILE = Path(sys.argv[1])
WRITES = mcp_types.ToolAnnotations(read_only_hint=False, idempotent_hint=False, destructive_hint=False, open_world_hint=False)


class Said(serving.Model):
    text: str


class Noted(serving.Model):
    count: int


async def note(given: Said, _key: str | None) -> Noted:
    with FILE.open("a") as file:
        file.write(given.text + "\n")
    return Noted(count=len(FILE.read_text().splitlines()))


async def slow(given: Said, key: str | None) -> Noted:
    noted = await note(given, key)
    while not FILE.with_name(FILE.name + ".go").exists():
        await asyncio.sleep(0.01)
    return noted


async def refuse(given: Said, _key: str | None) -> Noted:
    raise RequestError(f"no room for {given.text}", code="no_room")


def tool(name, run):
    return serving.ServedTool(name=name, description=name, arguments=Said, result=Noted, run=run, annotations=WRITES)


if __name__ == "__main__":
    serving.serve(serving.build("ledger", "", [tool("note", note), tool("slow", slow), tool("refuse", refuse)]))
