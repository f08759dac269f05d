"""The MCP server: what an agent drives runs with.

`stdio` is the process, `build` the server, `tools` the table of tools with its border (`arguments`, `holder`, `replies`), `calls` what they do,
`offers`, `runs` and `described` how it is told.
"""

from typing import TYPE_CHECKING, Any

from treadle.mcpio.server.build import build
from treadle.mcpio.server.stdio import run_stdio

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

    from treadle.engine.service import Service
    from treadle.mcpio.server.calls import Here, Workflows


def build_server(
    service: "Service", workflows: "Workflows", here: "Here | None" = None, *, session: str = "treadle-agent-here"
) -> "MCPServer[Any]":
    """Make a server over an open service, for any transport of the SDK; `session` names whoever holds steps through it."""
    # Core and engine: `treadle mcp` imports them beside its start.
    from treadle.mcpio.server.calls import Calls, Here

    answering = Calls(service, workflows, here or Here())

    async def answers() -> Calls:
        return answering

    return build(answers, session)


__all__ = ["build_server", "run_stdio"]
