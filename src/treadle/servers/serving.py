"""What our own servers share: a table of tools, served over stdio by the official SDK in both protocol eras.

The low-level server is used and not the decorator API, because that one parses texts that look like JSON before a tool sees them: a memory
must give back what it was given. Arguments and results are pydantic models, which make the schemas too. An error is a tool error with a
stable code in its text, so that the model on the other side can read it and do better.
"""

import asyncio
import json
import logging
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import mcp_types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from pydantic import BaseModel, ConfigDict, ValidationError

from treadle import __version__
from treadle.core.errors import TreadleError

# Sent by Treadle's client in `_meta` of a call, announced in `_meta` of a tool that keeps its reply to such a key.
KEY_META = "io.treadle/idempotencyKey"
KEY_CHARS_MAX = 1_200
_log = logging.getLogger(__name__)


class Model(BaseModel):
    """Arguments or a result: nothing unknown passes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


A = TypeVar("A", bound=Model)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedTool(Generic[A]):
    """One tool. `run` gets the arguments and the caller's idempotency key; `keeps_replies` says that it honours that key."""

    name: str
    description: str
    arguments: type[A]
    result: type[Model]
    run: Callable[[A, str | None], Awaitable[Model]]
    annotations: mcp_types.ToolAnnotations
    keeps_replies: bool = False

    def listed(self) -> mcp_types.Tool:
        """Give it as `tools/list` shows it."""
        return mcp_types.Tool(
            name=self.name,
            description=self.description,
            input_schema=self.arguments.model_json_schema(),
            output_schema=self.result.model_json_schema(mode="serialization"),
            annotations=self.annotations,
            _meta={KEY_META: True} if self.keeps_replies else None,
        )


def build(name: str, instructions: str, tools: Sequence[ServedTool[Any]]) -> Server[Any]:
    """Make a server that offers these tools, listed in the given order."""
    by_name = {tool.name: tool for tool in tools}

    async def on_list(_context: Any, _params: mcp_types.PaginatedRequestParams | None) -> mcp_types.ListToolsResult:
        return mcp_types.ListToolsResult(tools=[tool.listed() for tool in tools])

    async def on_call(context: Any, params: mcp_types.CallToolRequestParams) -> mcp_types.CallToolResult:
        tool = by_name.get(params.name)
        if tool is None:
            return _error("unknown_tool", f"there is no tool {params.name!r}", f"there are {', '.join(by_name)}")
        return await _perform(tool, params.arguments or {}, (context.meta or {}).get(KEY_META))

    return Server(name, version=__version__, instructions=instructions, on_list_tools=on_list, on_call_tool=on_call)


def serve(server: Server[Any]) -> None:
    """Serve one client over stdin and stdout until it closes them. Log lines go to stderr."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    asyncio.run(_serve(server))


async def _serve(server: Server[Any]) -> None:
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


async def _perform(tool: ServedTool[Any], arguments: dict[str, Any], key: object) -> mcp_types.CallToolResult:
    if key is not None and not (isinstance(key, str) and 0 < len(key) <= KEY_CHARS_MAX):
        return _error("bad_key", f"an idempotency key is text of at most {KEY_CHARS_MAX} characters")
    try:
        result = await tool.run(tool.arguments.model_validate(arguments), key)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'arguments'}: {fault['msg']}" for fault in error.errors(include_url=False)
        )
        return _error("bad_arguments", f"{tool.name}: {faults}")
    except TreadleError as error:
        return _error(error.code, error.message, error.hint)
    except Exception as error:  # noqa: BLE001 - the border of a tool: what went wrong is told, and nothing is claimed
        _log.exception("%s failed", tool.name)
        return _error("internal", f"{tool.name} failed: {type(error).__name__}: {error}", "the server's log on stderr says more")
    data = result.model_dump(mode="json")
    text = mcp_types.TextContent(text=json.dumps(data, ensure_ascii=False))
    return mcp_types.CallToolResult(content=[text], structured_content=data)


def _error(code: str, message: str, hint: str = "") -> mcp_types.CallToolResult:
    text = f"{code}: {message}" + (f" — {hint}" if hint else "")
    return mcp_types.CallToolResult(content=[mcp_types.TextContent(text=text)], is_error=True)
