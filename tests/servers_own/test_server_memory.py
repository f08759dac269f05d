"""`treadle server memory`, over real stdio, in the processes it would run in."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.mcpclient.peers import own, pool_of, until
from treadle.core.errors import RequestError
from treadle.mcpio.client.pool import ServerPool
from treadle.servers.memory_store import SCHEMA, MemoryStore


@pytest.fixture
async def pool(tmp_path: Path):
    async with pool_of(own("memory", "--file", str(tmp_path / "m.db"), annotations_confirmed=True)) as found:
        yield found


async def call(pool: ServerPool, tool: str, arguments: dict, key: str | None = None) -> Any:
    outcome = await pool.call("memory", tool, arguments, idempotency_key=key)
    assert outcome.failure is None, outcome.failure
    assert outcome.form == "structured"
    return outcome.value


async def refusal(pool: ServerPool, tool: str, arguments: dict, key: str | None = None) -> str:
    outcome = await pool.call("memory", tool, arguments, idempotency_key=key)
    assert outcome.failure is not None
    return outcome.failure.message


async def test_section_9e_save_gives_success_and_key_and_get_gives_it_back(pool: ServerPool):
    value = {"plan": "do it", "approved": True, "n": [1, 2.5, None]}
    saved = await call(pool, "save", {"key": "plan_1", "value": value})
    assert (saved["success"], saved["key"], saved["created"]) == (True, "plan_1", True)
    assert (await call(pool, "get", {"key": "plan_1"}))["value"] == value
    again = await call(pool, "save", {"key": "plan_1", "value": "new"})
    assert (again["created"], again["id"]) == (False, saved["id"])
    assert (await call(pool, "get", {"id": saved["id"]}))["value"] == "new"


@pytest.mark.slow
async def test_a_value_comes_back_exactly_as_it_was_given(pool: ServerPool):
    for value in ('{"a": 1}', "[1]", "null", "5", "", None, 0, False, [], {}, "ü\u0000\n😀", 2**60, 0.1):
        await call(pool, "save", {"key": "k", "value": value})
        found = (await call(pool, "get", {"key": "k"}))["value"]
        assert (found, type(found)) == (value, type(value))


async def test_section_9e_add_gives_success_and_id_and_appends(pool: ServerPool):
    first = await call(pool, "add", {"category": "research", "content": {"query": "q", "findings": ["x"]}})
    second = await call(pool, "add", {"category": "research", "content": {"query": "q", "findings": ["x"]}})
    assert first["success"] is second["success"] is True
    assert first["id"] != second["id"]
    listing = await call(pool, "list", {"category": "research"})
    assert listing["total"] == 2


@pytest.mark.slow
async def test_a_repeated_request_with_its_key_writes_nothing_and_gives_the_first_reply(pool: ServerPool):
    content = {"category": "research", "content": "once"}
    first = await call(pool, "add", content, key="run/add")
    assert await call(pool, "add", content, key="run/add") == first
    assert (await call(pool, "list", {}))["total"] == 1
    assert "conflict" in await refusal(pool, "add", {"category": "research", "content": "twice"}, key="run/add")
    assert (await call(pool, "list", {}))["total"] == 1


@pytest.mark.slow
async def test_a_missing_key_is_an_answer_and_no_error(pool: ServerPool):
    assert (await call(pool, "get", {"key": "none"}))["found"] is False
    assert await call(pool, "delete", {"key": "none"}) == {"success": True, "deleted": 0}


@pytest.mark.slow
async def test_a_deleted_entry_is_gone_also_from_search(pool: ServerPool):
    await call(pool, "save", {"key": "k", "value": "unforgettable"})
    assert await call(pool, "delete", {"key": "k"}) == {"success": True, "deleted": 1}
    assert (await call(pool, "search", {"query": "unforgettable"}))["results"] == []
    assert (await call(pool, "get", {"key": "k"}))["found"] is False


@pytest.mark.slow
async def test_search_prefers_all_words_then_any_then_the_text(pool: ServerPool):
    await call(pool, "add", {"category": "a", "content": {"note": "durable workflows survive a crash"}})
    await call(pool, "add", {"category": "a", "content": "workflows are durable"})
    await call(pool, "add", {"category": "b", "content": ["a crash course", "日本語の文章"]})

    async def found(**arguments) -> tuple[str, list[int]]:
        reply = await call(pool, "search", arguments)
        return reply["match"], [hit["id"] for hit in reply["results"]]

    assert await found(query="Durable WORKFLOWS crash") == ("all", [1])
    assert (await found(query="durable elephants"))[0] == "any"
    assert await found(query="crash", category="b") == ("all", [3])
    assert await found(query="本語") == ("text", [3])
    assert await found(query="elephants") == ("none", [])


@pytest.mark.slow
async def test_any_text_is_a_query_and_never_a_syntax_error(pool: ServerPool):
    await call(pool, "save", {"key": "k", "value": "x"})
    for query in ('"', "a OR", "NEAR(", "*", "col:x", "(", "%", "_", "!", "'; DROP TABLE entry; --"):
        assert (await call(pool, "search", {"query": query}))["match"] in {"all", "any", "text", "none"}


@pytest.mark.slow
async def test_a_found_entry_shows_where_it_matched(pool: ServerPool):
    await call(pool, "save", {"key": "k", "value": f"{'filler ' * 200}needle {'filler ' * 200}"})
    (hit,) = (await call(pool, "search", {"query": "needle"}))["results"]
    assert "needle" in hit["snippet"]
    assert len(hit["snippet"]) < 400


@pytest.mark.slow
async def test_lists_are_newest_first_filtered_and_paged(pool: ServerPool):
    for number in range(5):
        await call(pool, "save", {"key": f"plan_{number}", "value": "x" * 1_000, "category": "plans" if number % 2 else ""})
    page = await call(pool, "list", {"prefix": "plan_", "limit": 2, "offset": 1})
    assert ([entry["key"] for entry in page["entries"]], page["total"]) == (["plan_3", "plan_2"], 5)
    assert len(page["entries"][0]["preview"]) < 200
    assert (await call(pool, "list", {"category": "plans"}))["total"] == 2


@pytest.mark.slow
async def test_a_bad_request_says_what_is_wrong(pool: ServerPool):
    for tool, arguments, words in (
        ("get", {}, "either `key` or `id`"),
        ("get", {"key": "a", "id": 1}, "either `key` or `id`"),
        ("save", {"key": "a", "value": "x" * (1 << 20)}, "value_too_large"),
    ):
        assert words in await refusal(pool, tool, arguments)


@pytest.mark.slow
async def test_annotations_tell_the_effects_right(pool: ServerPool):
    found = {tool.name: (tool.effect, tool.idempotent, tool.repeats_by_key) for tool in await pool.tools("memory")}
    assert found == {
        "save": ("destroy", True, True),
        "get": ("read", True, False),
        "add": ("write", False, True),
        "search": ("read", True, False),
        "list": ("read", True, False),
        "delete": ("destroy", True, True),
    }


# ---- the file


@pytest.mark.slow
async def test_what_was_acknowledged_survives_kill_9(tmp_path: Path):
    file = tmp_path / "m.db"
    async with pool_of(own("memory", "--file", str(file))) as pool:
        content = [{"category": "c", "content": number} for number in range(20)]
        acknowledged = [(await call(pool, "add", arguments))["id"] for arguments in content]
        pid = pool.states()[0].pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await until(lambda: pool.states()[0].status != "running")
        assert (await call(pool, "list", {"limit": 100}))["total"] == 20
        assert [(await call(pool, "get", {"id": number}))["value"] for number in acknowledged] == list(range(20))


@pytest.mark.slow
async def test_several_processes_write_one_file_and_lose_nothing(tmp_path: Path):
    file = str(tmp_path / "m.db")
    pools = [pool_of(own("memory", "--file", file)) for _ in range(3)]

    async def write(pool: ServerPool, worker: int) -> None:
        for number in range(30):
            await call(pool, "add", {"category": "c", "content": f"{worker}-{number}"})
            await call(pool, "save", {"key": "shared", "value": worker})

    try:
        await asyncio.gather(*(write(pool, worker) for worker, pool in enumerate(pools)))
        listing = await call(pools[0], "list", {"category": "c", "limit": 500})
    finally:
        await asyncio.gather(*(pool.close() for pool in pools))
    assert {entry["preview"] for entry in listing["entries"]} == {f"{w}-{n}" for w in range(3) for n in range(30)}
    assert listing["total"] == 90


def test_a_failed_write_changes_nothing(tmp_path: Path):
    store = MemoryStore(tmp_path / "m.db", now_ms=lambda: 5)
    store.save("k", "old", "", None)
    with pytest.raises(RequestError):
        store.save("k", {"not": float("nan")}, "", "key")
    store.add("c", 1, "key")
    with pytest.raises(RequestError) as caught:
        store.save("k", "new", "", "key")
    assert caught.value.code == "conflict"
    found = store.get("k", None)
    assert found is not None
    assert found["value"] == "old"
    store.close()


@pytest.mark.slow
def test_a_file_of_a_newer_version_is_refused(tmp_path: Path):
    store = MemoryStore(tmp_path / "m.db")
    store._db.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    store.close()
    with pytest.raises(RequestError) as caught:
        MemoryStore(tmp_path / "m.db")
    assert caught.value.code == "memory_too_new"


@pytest.mark.slow
def test_a_file_that_is_no_database_is_refused_before_serving(tmp_path: Path):
    (tmp_path / "m.db").write_bytes(b"not a database at all, " * 100)
    ran = subprocess.run(
        [sys.executable, "-m", "treadle.servers.memory", "--file", str(tmp_path / "m.db")],
        input="", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "cannot be used" in ran.stderr


@pytest.mark.slow
def test_by_default_the_file_is_the_project_s(tmp_path: Path):
    (tmp_path / "treadle.toml").touch()
    (tmp_path / "sub").mkdir()
    subprocess.run([sys.executable, "-m", "treadle.servers.memory"], input="", cwd=tmp_path / "sub", check=True, text=True)
    assert (tmp_path / ".treadle" / "memory.db").exists()


@pytest.mark.slow
def test_stdout_carries_the_protocol_only(tmp_path: Path):
    request = {
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}},
    }  # fmt: skip
    lines = f"this is no JSON\n{json.dumps(request)}\n"
    command = [sys.executable, "-m", "treadle.servers.memory", "--file", str(tmp_path / "m.db")]
    ran = subprocess.run(command, input=lines, capture_output=True, text=True, check=True)
    assert all(json.loads(line)["jsonrpc"] == "2.0" for line in ran.stdout.splitlines())
