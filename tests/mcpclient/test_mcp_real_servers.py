"""The client against the reference servers from the registry."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.mcpclient.peers import pool_of
from treadle.config.secret import Secret
from treadle.config.servers import ServerSpec

pytestmark = pytest.mark.npm
NpmServer = Callable[[str], list[str]]


def spec(npm_server: NpmServer, name: str, *arguments: str, **values) -> ServerSpec:
    command, *rest = npm_server(name)
    return ServerSpec(name=name, file=".mcp.json", command=command, args=(*rest, *arguments), **values)


async def test_server_everything_text_structure_blocks_and_errors(npm_server: NpmServer):
    async with pool_of(spec(npm_server, "everything", "stdio")) as pool:
        assert (await pool.call("everything", "echo", {"message": "hi"})).value == "Echo: hi"
        structured = await pool.call("everything", "get-structured-content", {"location": "New York"})
        assert structured.form == "structured"
        assert isinstance(structured.value, dict)
        assert {"temperature", "conditions", "humidity"} <= structured.value.keys()
        blocks = await pool.call("everything", "get-tiny-image", {})
        assert blocks.form == "blocks"
        assert isinstance(blocks.value, list)
        assert [block["type"] for block in blocks.value if isinstance(block, dict)] == ["text", "image", "text"]


async def test_server_everything_a_long_operation_times_out_and_the_server_goes_on(npm_server: NpmServer):
    async with pool_of(spec(npm_server, "everything", "stdio")) as pool:
        await pool.tools("everything")
        slow = await pool.call("everything", "trigger-long-running-operation", {"duration": 30, "steps": 3}, timeout_ms=200)
        assert slow.failure is not None
        assert slow.failure.error_class == "timeout"
        assert (await pool.call("everything", "echo", {"message": "still here"})).value == "Echo: still here"
        assert pool.states()[0].starts == 1


async def test_server_memory_keeps_its_graph_over_restarts(npm_server: NpmServer, tmp_path: Path):
    env = {"MEMORY_FILE_PATH": Secret(str(tmp_path / "graph.jsonl"))}
    entity = {"name": "treadle", "entityType": "engine", "observations": ["durable"]}
    async with pool_of(spec(npm_server, "memory", env=env)) as pool:
        created = await pool.call("memory", "create_entities", {"entities": [entity]})
        assert created.failure is None
    async with pool_of(spec(npm_server, "memory", env=env)) as pool:
        graph = (await pool.call("memory", "read_graph", {})).value
        assert isinstance(graph, dict)
        assert graph["entities"] == [entity]


async def test_server_filesystem_reads_writes_and_stays_inside_its_root(npm_server: NpmServer, tmp_path: Path):
    root = tmp_path / "allowed"
    root.mkdir()
    async with pool_of(spec(npm_server, "filesystem", str(root), annotations_confirmed=True)) as pool:
        written = await pool.call("filesystem", "write_file", {"path": str(root / "a.txt"), "content": "hello"})
        assert written.failure is None
        assert (root / "a.txt").read_text() == "hello"
        read = await pool.call("filesystem", "read_text_file", {"path": str(root / "a.txt")})
        assert read.value == {"content": "hello"}
        outside = await pool.call("filesystem", "read_text_file", {"path": "/etc/hostname"})
        assert outside.failure is not None
        assert (outside.failure.error_class, outside.failure.code, outside.failure.lost) == (
            "failed",
            "tool_error",
            False,
        )
        effects = {tool.name: tool.effect for tool in await pool.tools("filesystem")}
        assert (effects["read_text_file"], effects["write_file"]) == ("read", "destroy")
