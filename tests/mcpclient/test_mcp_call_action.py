import subprocess
import sys
from pathlib import Path

from tests.mcpclient.peers import hostile, own, pool_of
from treadle.actions.mcp_call import call_tool


async def test_a_tool_is_named_by_server_and_tool_split_at_the_first_dot(tmp_path: Path):
    async with pool_of(own("memory", "--file", str(tmp_path / "m.db")), hostile("liar")) as pool:
        done = await call_tool(pool, "memory.save", {"key": "k", "value": 1}, idempotency_key="run/save")
        assert (done.error_class, done.lost) == (None, False)
        assert isinstance(done.value, dict)
        assert done.value["success"] is True
        assert done.digest
        assert (await call_tool(pool, "liar.a.b", {})).code == "unknown_tool"


async def test_what_is_no_call_is_refused():
    async with pool_of(hostile("liar")) as pool:
        for tool in ("ok", ".ok", "liar."):
            assert (await call_tool(pool, tool, {})).code == "bad_tool_name"
        assert (await call_tool(pool, "liar.ok", ["not", "by", "name"])).code == "bad_arguments"


async def test_failures_keep_their_class_and_whether_the_outcome_is_known(tmp_path: Path):
    async with pool_of(hostile("dier"), own("memory", "--file", str(tmp_path / "m.db"))) as pool:
        lost = await call_tool(pool, "dier.crash", {})
        assert (lost.error_class, lost.lost, lost.has_value) == ("unavailable", True, False)
        told = await call_tool(pool, "memory.get", {})
        assert (told.error_class, told.lost) == ("failed", False)
        assert "either `key` or `id`" in told.message


def test_the_action_imports_nothing_of_mcp():
    code = "import sys, treadle.actions.mcp_call; print([m for m in ('mcp', 'pydantic', 'asyncio') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
