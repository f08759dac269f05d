import asyncio
import json
import sys
import time
from pathlib import Path

import pytest

from tests.mcpclient.peers import hostile, is_running, own, pool_of, until
from treadle.config.secret import Secret
from treadle.config.servers import Catalog, ServerSpec
from treadle.core.errors import RequestError
from treadle.mcpio.client.connection import ServerUnavailableError
from treadle.mcpio.client.pool import PoolSettings, ServerPool


def recorded(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


async def test_nothing_is_started_before_it_is_wanted():
    async with pool_of(hostile("dier"), hostile("liar")) as pool:
        assert {state.status for state in pool.states()} == {"not started"}
        await pool.call("liar", "ok", {})
        assert {state.name: state.status for state in pool.states()} == {"dier": "not started", "liar": "running"}


async def test_callers_that_come_together_share_one_start():
    async with pool_of(hostile("liar")) as pool:
        outcomes = await asyncio.gather(*(pool.call("liar", "ok", {}) for _ in range(20)))
        assert {outcome.value for outcome in outcomes} == {"fine"}
        assert pool.states()[0].starts == 1


async def test_a_caller_that_leaves_does_not_end_the_start_of_the_others():
    async with pool_of(hostile("liar")) as pool:
        first = asyncio.create_task(pool.call("liar", "ok", {}))
        second = asyncio.create_task(pool.call("liar", "ok", {}))
        await until(lambda: pool.states()[0].status == "starting")
        first.cancel()
        assert (await second).value == "fine"
        assert pool.states()[0].starts == 1


async def test_an_unused_server_is_stopped_and_comes_back_when_wanted():
    async with pool_of(hostile("liar"), idle_stop_ms=100) as pool:
        await pool.call("liar", "ok", {})
        pid = pool.states()[0].pid
        assert pid is not None
        await until(lambda: not is_running(pid))
        assert pool.states()[0].status == "stopped"
        assert (await pool.call("liar", "ok", {})).value == "fine"
        assert pool.states()[0].starts == 2


async def test_a_server_at_work_is_not_idle():
    async with pool_of(hostile("liar"), idle_stop_ms=100) as pool:
        assert (await pool.call("liar", "log_flood", {"seconds": 0.5})).value == "logged"
        assert pool.states()[0].starts == 1


# ---- what is never started


async def test_an_untrusted_server_is_refused_and_not_started(tmp_path: Path):
    def deny(spec: ServerSpec) -> None:
        raise RequestError(f"{spec.name} is not trusted", code="not_trusted", hint="treadle trust")

    mark = tmp_path / "started"
    spec = ServerSpec(name="x", file=".mcp.json", command="touch", args=(str(mark),))
    async with pool_of(spec, allow=deny) as pool:
        outcome = await pool.call("x", "anything", {})
        assert outcome.failure is not None
        assert (outcome.failure.error_class, outcome.failure.code) == ("refused", "not_trusted")
        assert not outcome.failure.lost
        with pytest.raises(RequestError):
            await pool.tools("x")
    assert not mark.exists()


async def test_trust_is_asked_at_each_start():
    asked: list[str] = []
    async with pool_of(hostile("dier"), allow=lambda spec: asked.append(spec.name)) as pool:
        await pool.call("dier", "ok", {})
        await pool.call("dier", "ok", {})
        assert asked == ["dier"]
        await pool.call("dier", "crash", {})
        await pool.call("dier", "ok", {})
        assert asked == ["dier", "dier"]


@pytest.mark.parametrize(
    "values, code",
    [
        ({"command": "treadle", "args": ("mcp",)}, "own_entry"),
        ({"command": sys.executable, "args": ("-m", "treadle", "--project", "x", "mcp")}, "own_entry"),
        ({"command": "uvx", "args": ("--from", ".", "treadle", "mcp", "--http")}, "own_entry"),
        ({"command": "touch", "enabled": False}, "server_disabled"),
        ({"transport": "http", "url": "http://127.0.0.1:1/mcp"}, "not_yet"),
        ({"command": "${NO_SUCH_VARIABLE_HERE}"}, "variable_missing"),
    ],
)
async def test_what_may_not_be_started_is_refused_by_name(values: dict, code: str):
    async with pool_of(ServerSpec(name="x", file=".mcp.json", **values)) as pool:
        outcome = await pool.call("x", "ok", {})
        assert outcome.failure is not None
        assert (outcome.failure.error_class, outcome.failure.code, outcome.failure.lost) == ("refused", code, False)


def test_treadle_s_other_servers_are_not_its_own_entry():
    for words in (
        ("treadle", "server", "memory"),
        ("treadle", "server", "mcp"),
        ("my-treadle", "mcp"),
        ("mcp", "treadle"),
    ):
        assert not ServerSpec(name="x", file="f", command=words[0], args=words[1:]).is_treadle_itself


async def test_an_unknown_server_and_an_unknown_tool_name_the_nearest():
    async with pool_of(hostile("liar")) as pool:
        server = await pool.call("lair", "ok", {})
        tool = await pool.call("liar", "garbag", {})
        assert server.failure is not None
        assert tool.failure is not None
        assert (server.failure.code, server.failure.error_class) == ("unknown_server", "refused")
        assert "did you mean 'liar'?" in server.failure.hint
        assert (tool.failure.code, tool.failure.hint) == ("unknown_tool", "did you mean 'garbage'?")


# ---- what cannot be started


@pytest.mark.parametrize(
    "command, arguments, reason",
    [
        ("no-such-program-here", (), "not found"),
        (sys.executable, ("-c", "import sys; sys.exit('no licence')"), "no licence"),
        (sys.executable, ("-c", "print('{}')"), "exited with code 0"),
    ],
)
async def test_a_server_that_cannot_start_says_why(command: str, arguments: tuple[str, ...], reason: str):
    async with pool_of(ServerSpec(name="x", file=".mcp.json", command=command, args=arguments)) as pool:
        outcome = await pool.call("x", "ok", {})
        assert outcome.failure is not None
        assert (outcome.failure.error_class, outcome.failure.lost) == ("unavailable", False)
        assert reason in outcome.failure.message


async def test_a_server_that_never_answers_its_start_is_given_up_and_ended(tmp_path: Path):
    program = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(600)"
    mark = tmp_path / "pid"
    spec = ServerSpec(name="x", file="f", command=sys.executable, args=("-c", program, str(mark)), start_timeout_ms=500)
    async with pool_of(spec) as pool:
        with pytest.raises(ServerUnavailableError, match="no answer within 500 ms"):
            await pool.tools("x")
        assert pool.states()[0].status == "failed"
        await until(lambda: not is_running(int(mark.read_text())), within_s=1)


async def test_failing_starts_wait_longer_each_time_and_a_call_does_not_wait_with_them():
    now = [0.0]
    spec = ServerSpec(name="x", file="f", command=sys.executable, args=("-c", "raise SystemExit(1)"))
    settings = PoolSettings(root=Path.cwd(), environ={})
    async with ServerPool(Catalog(specs={"x": spec}), settings, allow=lambda _: None, clock=lambda: now[0]) as pool:
        waits = []
        for _ in range(9):
            outcome = await pool.call("x", "ok", {})
            assert outcome.failure is not None
            began = time.monotonic()
            held = await pool.call("x", "ok", {})
            assert time.monotonic() - began < 0.2
            assert held.failure is not None
            assert held.failure.retry_after_ms is not None
            waits.append(held.failure.retry_after_ms)
            now[0] += held.failure.retry_after_ms / 1000 + 0.001
        assert waits == [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]
        assert pool.states()[0].starts == 9


async def test_a_server_that_dies_on_every_call_is_held_back():
    async with pool_of(hostile("dier")) as pool:
        await pool.call("dier", "crash", {})
        outcome = await pool.call("dier", "crash", {})
        assert outcome.failure is not None
        assert (outcome.failure.error_class, outcome.failure.lost) == ("unavailable", False)
        assert outcome.failure.retry_after_ms is not None
        assert 0 < outcome.failure.retry_after_ms <= 500


async def test_the_time_out_of_a_call_bounds_the_start_too():
    spec = ServerSpec(name="x", file="f", command=sys.executable, args=("-c", "import time; time.sleep(600)"))
    async with pool_of(spec) as pool:
        began = time.monotonic()
        outcome = await pool.call("x", "ok", {}, timeout_ms=200)
        assert time.monotonic() - began < 1
        assert outcome.failure is not None
        assert (outcome.failure.error_class, outcome.failure.lost) == ("timeout", False)
        began = time.monotonic()
    assert time.monotonic() - began < 5, "closing waited for a start that nobody wants any more"


# ---- environment, arguments, keys


async def test_a_server_sees_its_own_environment_and_little_of_ours(monkeypatch: pytest.MonkeyPatch):
    spec = hostile("fickle", env={"GIVEN": Secret("a-${OUTER}-${UNSET:-default}")})
    async with pool_of(spec, environ={"OUTER": "x", "ANTHROPIC_API_KEY": "not for everybody"}) as pool:
        seen = (await pool.call("fickle", "environment", {})).value
        assert isinstance(seen, dict)
        assert seen["GIVEN"] == "a-x-default"
        assert "PATH" in seen
        assert "TREADLE_STARTED_BY" in seen
        assert "ANTHROPIC_API_KEY" not in seen
        assert "OUTER" not in seen


async def test_the_idempotency_key_goes_where_the_configuration_wants_it(tmp_path: Path):
    record = tmp_path / "record"
    spec = hostile("fickle", env={"RECORD": Secret(str(record))}, idempotency_key={"typed": "request_id"})
    async with pool_of(spec) as pool:
        await pool.call("fickle", "typed", {"n": 1}, idempotency_key="run/1")
    (call,) = [message for message in recorded(record) if message["method"] == "tools/call"]
    assert call["params"]["arguments"] == {"n": 1, "request_id": "run/1"}
    assert call["params"]["_meta"]["io.treadle/idempotencyKey"] == "run/1"


async def test_arguments_that_do_not_fit_are_refused_before_anything_is_sent(tmp_path: Path):
    record = tmp_path / "record"
    async with pool_of(hostile("fickle", env={"RECORD": Secret(str(record))})) as pool:
        for arguments in ({}, {"n": "one"}, {"n": 1.5}):
            outcome = await pool.call("fickle", "typed", arguments)
            assert outcome.failure is not None
            assert (outcome.failure.error_class, outcome.failure.code) == ("refused", "bad_arguments")
            assert not outcome.failure.lost
        assert (await pool.call("fickle", "typed", {"n": 1})).value == '{"n": 1}'
    assert [message["method"] for message in recorded(record)].count("tools/call") == 1


async def test_a_result_that_breaks_the_tool_s_own_schema_is_bad_output():
    async with pool_of(hostile("fickle")) as pool:
        assert (await pool.call("fickle", "promise", {"n": 1})).value == {"n": 1}
        broken = await pool.call("fickle", "promise", {"n": "one"})
        assert broken.failure is not None
        assert (broken.failure.error_class, broken.failure.code) == ("bad_output", "result_does_not_fit")


async def test_a_schema_that_cannot_be_read_checks_nothing():
    async with pool_of(hostile("fickle")) as pool:
        assert (await pool.call("fickle", "riddle", {"n": "x"})).value == "solved"


# ---- cancelling


async def test_cancelling_a_call_is_passed_on_to_the_server(tmp_path: Path):
    record = tmp_path / "record"
    async with pool_of(hostile("fickle", env={"RECORD": Secret(str(record))})) as pool:
        call = asyncio.create_task(pool.call("fickle", "wait", {}))
        await until(lambda: any(message["method"] == "tools/call" for message in recorded(record)))
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await until(lambda: recorded(record)[-1]["method"] == "notifications/cancelled")
        sent = next(message for message in recorded(record) if message["method"] == "tools/call")
        assert recorded(record)[-1]["params"]["requestId"] == sent["id"]
        assert (await pool.call("fickle", "typed", {"n": 1})).failure is None


async def test_a_time_out_is_passed_on_as_cancellation(tmp_path: Path):
    record = tmp_path / "record"
    async with pool_of(hostile("fickle", env={"RECORD": Secret(str(record))})) as pool:
        await pool.tools("fickle")
        outcome = await pool.call("fickle", "wait", {}, timeout_ms=100)
        assert outcome.failure is not None
        assert outcome.failure.error_class == "timeout"
        await until(lambda: recorded(record)[-1]["method"] == "notifications/cancelled")


# ---- tools


async def test_tools_have_effects_as_configured_else_as_annotated_where_believed_else_write():
    plain = hostile("fickle", effects={"change": "none"})
    believed = hostile("fickle", annotations_confirmed=True, effects={"typed": "send"})
    for spec, effects in (
        (plain, {"change": "none", "typed": "write", "break_everything": "write", "wait": "write"}),
        (believed, {"change": "write", "typed": "send", "break_everything": "destroy", "wait": "write"}),
    ):
        async with pool_of(spec) as pool:
            found = {tool.name: tool.effect for tool in await pool.tools("fickle")}
            assert {name: found[name] for name in effects} == effects


async def test_a_tool_with_an_unfit_name_is_left_out():
    async with pool_of(hostile("fickle")) as pool:
        assert all(tool.name.isascii() for tool in await pool.tools("fickle"))


async def test_a_tool_that_changes_under_a_run_is_refused():
    async with pool_of(hostile("fickle")) as pool:
        pinned = (await pool.call("fickle", "typed", {"n": 1})).digest
        unchanged = (await pool.call("fickle", "change", {})).digest
        assert pinned is not None
        assert (await pool.call("fickle", "change", {}, pinned=unchanged)).failure is None
        outcome = await pool.call("fickle", "typed", {"n": 1}, pinned=pinned)
        assert outcome.failure is not None
        assert (outcome.failure.error_class, outcome.failure.code) == ("refused", "tool_changed")
        assert (await pool.call("fickle", "typed", {"n": 1})).digest != pinned


async def test_digests_do_not_depend_on_the_process():
    digests = []
    for _ in range(2):
        async with pool_of(hostile("fickle")) as pool:
            digests.append({tool.name: tool.digest for tool in await pool.tools("fickle")})
    assert digests[0] == digests[1]
    assert len(set(digests[0].values())) == len(digests[0])


async def test_both_protocol_eras_are_spoken(tmp_path: Path):
    async with pool_of(hostile("liar"), own("memory", "--file", str(tmp_path / "m.db"))) as pool:
        await pool.call("liar", "ok", {})
        await pool.call("memory", "list", {})
        versions = {state.name: state.protocol_version for state in pool.states()}
        assert versions == {"liar": "2025-11-25", "memory": "2026-07-28"}
