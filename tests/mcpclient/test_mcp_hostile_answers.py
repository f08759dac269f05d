"""Ruling 53: a server that answers badly costs the call it answers, at once, and nothing else."""

import asyncio
import resource
import time

import pytest

from tests.mcpclient.peers import hostile, pool_of


@pytest.mark.parametrize("tool", ["half", "half_without_id", "wrong_type", "wrong_content", "no_result", "deep", "not_finite"])
async def test_a_malformed_answer_fails_its_call_at_once_and_only_it(tool: str):
    async with pool_of(hostile("liar")) as pool:
        await pool.call("liar", "ok", {})
        began = time.monotonic()
        outcome = await pool.call("liar", tool, {}, timeout_ms=20_000)
        assert time.monotonic() - began < 2
        assert outcome.failure is not None
        assert (outcome.failure.error_class, outcome.failure.code) == ("bad_output", "bad_answer")
        assert outcome.failure.lost, "what the tool did is unknown"
        assert (await pool.call("liar", "ok", {})).value == "fine"
        assert pool.states()[0].starts == 1


@pytest.mark.parametrize(
    "tool, value",
    [
        ("garbage", "after the garbage"),
        ("broken_utf8", "Z\ufffdrich"),
        ("half_surrogate", "x\ufffd"),
        ("wrong_id", "for you"),
        ("twice", "first"),
        ("escape", "done"),
    ],
)
async def test_noise_around_an_answer_is_tolerated(tool: str, value: str):
    async with pool_of(hostile("liar")) as pool:
        assert (await pool.call("liar", tool, {})).value == value
        assert (await pool.call("liar", "ok", {})).value == "fine"


async def test_noise_is_reported_in_the_server_s_log(tmp_path):
    async with pool_of(hostile("liar"), log_dir=tmp_path) as pool:
        await pool.call("liar", "garbage", {})
        await pool.call("liar", "half", {})
    log = (tmp_path / "liar.log").read_text()
    assert "no message on stdout: Server starting up..." in log
    assert "an answer that cannot be used" in log


async def test_a_malformed_answer_without_id_fails_nobody_while_several_wait():
    async with pool_of(hostile("dier"), hostile("liar")) as pool:
        await pool.call("liar", "ok", {})
        waiting = asyncio.create_task(pool.call("liar", "log_flood", {"seconds": 0.3}))
        outcome = await pool.call("liar", "half_without_id", {}, timeout_ms=700)
        assert (await waiting).value == "logged"
        assert outcome.failure is not None
        assert outcome.failure.error_class == "timeout"


@pytest.mark.parametrize("place", ["first", "last", "nowhere"])
async def test_an_answer_of_100_megabytes_fails_its_call_within_seconds_and_bounded_memory(place: str):
    async with pool_of(hostile("liar")) as pool:
        await pool.call("liar", "ok", {})
        before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.monotonic()
        outcome = await pool.call("liar", "huge", {"megabytes": 100, "id": place}, timeout_ms=20_000)
        assert time.monotonic() - began < 4
        assert outcome.failure is not None
        assert outcome.failure.error_class == "bad_output"
        assert "at most 4194304" in outcome.failure.message
        assert (await pool.call("liar", "ok", {})).value == "fine"
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 40_000
        assert pool.states()[0].starts == 1


async def test_the_cap_on_a_line_is_the_server_s_own_where_it_has_one():
    async with pool_of(hostile("liar", line_bytes_max=1 << 20)) as pool:
        outcome = await pool.call("liar", "huge", {"megabytes": 2}, timeout_ms=20_000)
        assert outcome.failure is not None
        assert "at most 1048576" in outcome.failure.message


async def test_output_over_its_cap_is_a_clear_failure():
    async with pool_of(hostile("liar"), output_bytes_max=1 << 20) as pool:
        outcome = await pool.call("liar", "huge", {"megabytes": 2})
        assert outcome.failure is not None
        assert (outcome.failure.error_class, outcome.failure.code) == ("bad_output", "output_too_large")
        assert "carried out" in outcome.failure.message
        assert "servers.liar.max_output" in outcome.failure.hint


@pytest.mark.parametrize(
    "tool, reason",
    [
        ("endless_line", "line without end"),
        ("endless_garbage", "nobody asked"),
        ("endless_questions", "nobody asked"),
        ("endless_nothing", "nobody asked"),
        ("endless_long_lines", "nobody asked"),
    ],
)
async def test_a_flood_without_end_ends_the_server_not_us(tool: str, reason: str):
    async with pool_of(hostile("liar")) as pool:
        await pool.call("liar", "ok", {})
        outcome = await pool.call("liar", tool, {}, timeout_ms=20_000)
        assert outcome.failure is not None
        assert (outcome.failure.error_class, outcome.failure.code) == ("unavailable", "server_lost")
        assert reason in outcome.failure.message
        assert (await pool.call("liar", "ok", {})).value == "fine"


async def test_endless_progress_costs_its_call_within_the_time_out_and_then_the_server():
    async with pool_of(hostile("liar"), hostile("dier")) as pool:
        await pool.call("dier", "ok", {})
        await pool.call("liar", "ok", {})
        began = time.monotonic()
        flood = asyncio.create_task(pool.call("liar", "endless_progress", {}, timeout_ms=1_000))
        while not flood.done():
            asked = time.monotonic()
            assert (await pool.call("dier", "ok", {})).value == "fine"
            assert time.monotonic() - asked < 0.5, "the flood of one server holds up the calls of another"
        outcome = await flood
        assert time.monotonic() - began < 3
        assert outcome.failure is not None
        assert outcome.failure.error_class == "timeout"
        await pool.call("liar", "ok", {}, timeout_ms=10_000)
        assert (await pool.call("liar", "ok", {}, timeout_ms=10_000)).value == "fine"


async def test_a_flood_of_log_lines_neither_blocks_nor_fills_the_disk(tmp_path):
    async with pool_of(hostile("liar"), log_dir=tmp_path) as pool:
        assert (await pool.call("liar", "log_flood", {"seconds": 0.5})).value == "logged"
        assert (await pool.call("liar", "ok", {})).value == "fine"
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 5 << 20
