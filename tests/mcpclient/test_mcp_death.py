"""Ruling 53: the death of a server shows at once, and nothing of it is left."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.mcpclient.peers import hostile, is_running, own, pool_of, until
from treadle.config.secret import Secret
from treadle.mcpio.client.connection import ServerConnection, ServerUnavailableError, Times
from treadle.mcpio.client.server_log import ServerLog


@pytest.mark.parametrize(
    "tool, reason",
    [("crash", "exited with code 3"), ("crash_in_line", "exited with code 4"), ("killed", "SIGKILL")],
)
async def test_a_crash_in_mid_call_shows_at_once_and_is_lost(tool: str, reason: str):
    async with pool_of(hostile("dier")) as pool:
        await pool.call("dier", "ok", {})
        began = time.monotonic()
        outcome = await pool.call("dier", tool, {}, timeout_ms=20_000)
        assert time.monotonic() - began < 1
        assert outcome.failure is not None
        assert (outcome.failure.error_class, outcome.failure.code) == ("unavailable", "server_lost")
        assert outcome.failure.lost
        assert reason in outcome.failure.message


async def test_the_last_words_of_a_crashed_server_are_in_the_message():
    async with pool_of(hostile("dier")) as pool:
        outcome = await pool.call("dier", "crash", {})
        assert outcome.failure is not None
        assert "Traceback: it is all over" in outcome.failure.message


async def test_every_call_under_way_fails_when_the_server_dies():
    async with pool_of(hostile("dier")) as pool:
        await pool.call("dier", "ok", {})
        waiting = [asyncio.create_task(pool.call("dier", "silence", {}, timeout_ms=20_000)) for _ in range(5)]
        await asyncio.sleep(0)
        await pool.call("dier", "crash", {})
        outcomes = await asyncio.wait_for(asyncio.gather(*waiting), 2)
        assert {outcome.failure.code for outcome in outcomes if outcome.failure} == {"server_lost"}


async def test_death_shows_at_once_although_a_grandchild_holds_the_pipe(tmp_path: Path):
    async with pool_of(hostile("dier")) as pool:
        await pool.call("dier", "ok", {})
        began = time.monotonic()
        outcome = await pool.call("dier", "leave_grandchild", {"pid_file": str(tmp_path / "pid")}, timeout_ms=20_000)
        assert time.monotonic() - began < 1
        assert outcome.failure is not None
        assert "exited with code 5" in outcome.failure.message
        grandchild = int((tmp_path / "pid").read_text())
        await until(lambda: not is_running(grandchild), within_s=1)


async def test_an_answer_given_on_the_way_out_still_counts():
    async with pool_of(hostile("dier")) as pool:
        assert (await pool.call("dier", "answer_and_leave", {})).value == "last words"


async def test_a_server_that_closes_its_output_is_gone():
    async with pool_of(hostile("dier")) as pool:
        await pool.call("dier", "ok", {})
        outcome = await pool.call("dier", "close_output", {}, timeout_ms=20_000)
        assert outcome.failure is not None
        assert "closed its output" in outcome.failure.message
        assert (await pool.call("dier", "ok", {})).value == "fine"


async def test_a_dead_server_is_started_again_at_the_next_call():
    async with pool_of(hostile("dier")) as pool:
        await pool.call("dier", "ok", {})
        first = pool.states()[0].pid
        await pool.call("dier", "crash", {})
        assert (await pool.call("dier", "ok", {})).value == "fine"
        assert pool.states()[0].pid != first
        assert pool.states()[0].starts == 2


async def test_silence_ends_at_the_time_out_and_a_living_server_is_kept():
    async with pool_of(hostile("dier")) as pool:
        await pool.call("dier", "ok", {})
        outcome = await pool.call("dier", "silence", {}, timeout_ms=200)
        assert outcome.failure is not None
        assert (outcome.failure.error_class, outcome.failure.lost) == ("timeout", True)
        assert (await pool.call("dier", "ok", {})).value == "fine"
        assert pool.states()[0].starts == 1


@pytest.mark.slow
async def test_a_deaf_server_is_replaced_after_its_time_out():
    async with pool_of(hostile("dier")) as pool:
        await pool.call("dier", "ok", {})
        deaf = pool.states()[0].pid
        assert deaf is not None
        outcome = await pool.call("dier", "deaf", {}, timeout_ms=200)
        assert outcome.failure is not None
        assert outcome.failure.error_class == "timeout"
        assert (await pool.call("dier", "ok", {}, timeout_ms=10_000)).value == "fine"
        assert pool.states()[0].starts == 2
        assert not is_running(deaf)


@pytest.mark.slow
async def test_closing_leaves_no_process_however_stubborn():
    pool = pool_of(hostile("dier"))
    grandchild = int((await pool.call("dier", "child_that_stays", {})).value)
    server = pool.states()[0].pid
    assert server is not None
    assert is_running(grandchild)
    await pool.close()
    await until(lambda: not is_running(server) and not is_running(grandchild), within_s=1)


async def test_closing_a_well_behaved_server_takes_no_grace(tmp_path: Path):
    pool = pool_of(own("memory", "--file", str(tmp_path / "m.db")))
    await pool.call("memory", "list", {})
    began = time.monotonic()
    await pool.close()
    assert time.monotonic() - began < 1.5


async def test_closing_in_the_middle_of_a_start_leaves_no_process():
    pool = pool_of(hostile("dier"))
    call = asyncio.create_task(pool.call("dier", "ok", {}))
    while pool.states()[0].status != "starting":
        await asyncio.sleep(0)
    await pool.close()
    outcome = await call
    assert outcome.failure is not None
    assert (outcome.failure.code, outcome.failure.lost) == ("closing", False)
    assert pool.states()[0].pid is None


async def test_calls_under_way_when_the_pool_closes_are_lost_and_say_so(tmp_path: Path):
    record = tmp_path / "record"
    pool = pool_of(hostile("fickle", env={"RECORD": Secret(str(record))}))
    call = asyncio.create_task(pool.call("fickle", "wait", {}, timeout_ms=20_000))
    await until(lambda: record.exists() and "tools/call" in record.read_text())
    await pool.close()
    outcome = await asyncio.wait_for(call, 1)
    assert outcome.failure is not None
    assert (outcome.failure.error_class, outcome.failure.lost) == ("unavailable", True)
    after = await pool.call("fickle", "wait", {})
    assert after.failure is not None
    assert after.failure.code == "closing"


async def test_a_server_leaves_when_treadle_is_killed(tmp_path: Path):
    program = (
        "import asyncio, os, signal\n"
        "from pathlib import Path\n"
        "from tests.mcpclient.peers import own, pool_of\n"
        "async def main():\n"
        f"    pool = pool_of(own('memory', '--file', {str(tmp_path / 'm.db')!r}))\n"
        "    await pool.call('memory', 'list', {})\n"
        f"    Path({str(tmp_path / 'pid')!r}).write_text(str(pool.states()[0].pid))\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    assert await process.wait() == -signal.SIGKILL
    server = int((tmp_path / "pid").read_text())
    await until(lambda: not is_running(server), within_s=2)


async def test_a_call_on_a_connection_that_is_over_was_never_sent(tmp_path: Path):
    spec = hostile("dier")
    times = Times(start_timeout_ms=10_000, line_bytes_max=1 << 20)
    log = ServerLog(None, time.monotonic)
    connection = await ServerConnection.open(spec, spec.launch(os.environ, tmp_path), log, times)
    assert connection.pid is not None
    os.kill(connection.pid, signal.SIGKILL)
    await asyncio.wait_for(connection.ended.wait(), 2)
    with pytest.raises(ServerUnavailableError, match="SIGKILL"):
        await connection.call("ok", {}, timeout_ms=1_000)
    await connection.close()
