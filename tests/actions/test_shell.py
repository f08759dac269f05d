"""The action `shell`: a command that runs once under a supervisor of its own (rulings 58, 59; language.md §2)."""

import asyncio
import contextlib
import os
import signal
import stat
from pathlib import Path

import pytest

from tests.actions.support import a_call, surroundings
from treadle.actions.commands import Asked, Commands
from treadle.actions.outcome import CallOutcome
from treadle.actions.shell import run_shell
from treadle.core.errors import RequestError
from treadle.ports import STOP, ActionCall


async def done(folder: Path, command, *, call: ActionCall | None = None, here=None, **params) -> CallOutcome:
    return await run_shell(here or surroundings(folder), call or a_call(), {"command": command, "ok_exit": [0], "parse": "text", **params})


async def until(test):
    async with asyncio.timeout(10):
        while not test():
            await asyncio.sleep(0.01)


async def test_a_text_runs_in_a_shell_and_a_list_without_one(tmp_path):
    text = await done(tmp_path, "echo one | tr a-z A-Z; echo two >&2")
    assert text.error_class is None
    assert text.value == {
        "stdout": "ONE\n",
        "stderr": "two\n",
        "exit_code": 0,
        "duration_ms": text.value["duration_ms"],
        "truncated": False,
    }
    listed = await done(tmp_path, ["echo", "$HOME; ls *"], call=a_call("other"))
    assert listed.value["stdout"] == "$HOME; ls *\n"


async def test_an_exit_code_that_is_not_ok_fails_with_what_was_written(tmp_path):
    outcome = await done(tmp_path, "echo partly; echo why >&2; exit 3")
    assert (outcome.error_class, outcome.message) == ("exit_code", "`echo partly; echo why >&2; exit 3` ended with exit code 3: why")
    assert outcome.has_value
    assert (outcome.value["stdout"], outcome.value["exit_code"]) == ("partly\n", 3)
    assert (await done(tmp_path, "exit 3", call=a_call("b"), ok_exit=[0, 3])).error_class is None
    killed = await done(tmp_path, "kill -9 $$", call=a_call("c"))
    assert (killed.value["exit_code"], killed.message) == (137, "`kill -9 $$` was killed by SIGKILL")


async def test_parse_adds_the_value_and_what_is_no_json_is_bad_output(tmp_path):
    assert (await done(tmp_path, ["printf", '{"a": [1, 2.5]}'], parse="json")).value["value"] == {"a": [1, 2.5]}
    assert (await done(tmp_path, ["printf", "a\\r\\n\\nb\\n"], parse="lines", call=a_call("b"))).value["value"] == ["a", "", "b"]
    assert (await done(tmp_path, "true", parse="lines", call=a_call("c"))).value["value"] == []
    bad = await done(tmp_path, "echo no", parse="json", call=a_call("d"))
    assert (bad.error_class, bad.value["stdout"], bad.value["value"]) == ("bad_output", "no\n", None)


async def test_bytes_that_are_no_text_are_replaced(tmp_path):
    assert (await done(tmp_path, ["printf", "a\\377b"])).value["stdout"] == "a\ufffdb"


async def test_of_much_output_the_beginning_and_the_end_are_kept(tmp_path):
    outcome = await done(tmp_path, "seq 1 200000", here=surroundings(tmp_path, output_bytes_max=2_000))
    text = outcome.value["stdout"]
    assert outcome.value["truncated"] is True
    assert text.startswith("1\n2\n")
    assert text.endswith("199999\n200000\n")
    assert "bytes left out]" in text
    assert len(text) < 2_100


async def test_a_command_sees_a_few_variables_its_own_and_the_key_of_the_call(tmp_path):
    here = surroundings(tmp_path, environ={"PATH": os.environ["PATH"], "HOME": "/there", "OPENAI_API_KEY": "dear"})
    outcome = await done(tmp_path, "env", here=here, env={"A": 5, "B": [True], "HOME": "/here"})
    lines = set(outcome.value["stdout"].splitlines())
    assert {"A=5", "B=[true]", "HOME=/here", "TREADLE_RUN=run_1", "TREADLE_IDEMPOTENCY_KEY=run_1/build"} <= lines
    assert "OPENAI_API_KEY" not in outcome.value["stdout"]


async def test_secrets_reach_the_command_by_its_environment_and_no_file(tmp_path):
    call = a_call()
    running = asyncio.create_task(
        done(tmp_path, "echo $TOKEN; test -e go || touch at; until test -e go; do sleep 0.01; done", call=call, env={"TOKEN": "dear-one"})
    )
    await until((tmp_path / "project/at").exists)
    kept = b"".join(path.read_bytes() for path in (tmp_path / "store").rglob("*") if path.is_file())
    assert b"dear-one" not in kept
    folders = [path for path in (tmp_path / "store").rglob("*") if path.is_dir()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}
    (tmp_path / "project/go").touch()
    assert (await running).value["stdout"] == "dear-one\n"


@pytest.mark.parametrize("place", ["..", "/", "a/../..", "out", "missing", "file"])
async def test_a_working_dir_is_a_directory_below_the_project(tmp_path, place):
    here = surroundings(tmp_path)
    (tmp_path / "project/out").symlink_to("/")
    (tmp_path / "project/file").touch()
    (tmp_path / "project/a").mkdir()
    outcome = await done(tmp_path, "touch was-here", here=here, working_dir=place)
    assert outcome.error_class == "failed"
    assert place in outcome.message
    assert "nothing was run" in outcome.message
    inside = await done(tmp_path, "pwd", here=here, working_dir="a", call=a_call("b"))
    assert inside.value["stdout"] == f"{tmp_path}/project/a\n"


@pytest.mark.parametrize(
    "command,env", [(["no-such-program"], {}), ([""], {}), ("a\0b", {}), ("true", {"A=B": "c"}), ("true", {"A": "\0"})]
)
async def test_what_cannot_be_started_is_a_failure_in_which_nothing_was_run(tmp_path, command, env):
    outcome = await done(tmp_path, command, env=env)
    assert outcome.error_class == "failed"
    assert "nothing was run" in outcome.message
    assert not outcome.lost


async def test_a_command_that_nobody_trusted_is_refused(tmp_path):
    def no(_call):
        raise RequestError("not allowed", code="not_trusted", hint="look")

    here = surroundings(tmp_path)
    here = type(here)(commands=here.commands, environ=here.environ, root_of=here.root_of, check=no)
    outcome = await done(tmp_path, "touch was-here", here=here)
    assert (outcome.error_class, outcome.message) == ("refused", "not allowed; nothing was run — look [not_trusted]")
    assert not (tmp_path / "project/was-here").exists()


async def test_the_same_attempt_asked_for_again_runs_once(tmp_path):
    outcomes = await asyncio.gather(*(done(tmp_path, "echo $$ >> ran; sleep 0.2") for _ in range(4)))
    assert {outcome.error_class for outcome in outcomes} == {None}
    await done(tmp_path, "echo $$ >> ran")
    assert len((tmp_path / "project/ran").read_text().split()) == 1
    await done(tmp_path, "echo $$ >> ran", call=a_call(attempt=2))
    await done(tmp_path, "echo $$ >> ran", call=a_call(opened_at_ms=6))
    assert len((tmp_path / "project/ran").read_text().split()) == 3


async def test_who_leaves_lets_it_run_and_who_comes_finds_it(tmp_path):
    command = "touch at; until test -e go; do sleep 0.01; done; echo end >> ran"
    first = asyncio.create_task(done(tmp_path, command))
    await until((tmp_path / "project/at").exists)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    second = asyncio.create_task(done(tmp_path, command))
    (tmp_path / "project/go").touch()
    assert (await second).error_class is None
    assert (tmp_path / "project/ran").read_text() == "end\n"


async def test_who_stops_it_waits_until_its_whole_group_is_gone(tmp_path):
    command = "sleep 60 & echo $! > child; echo $$ > at; wait"
    running = asyncio.create_task(done(tmp_path, command))
    await until(lambda: (tmp_path / "project/at").exists() and (tmp_path / "project/at").read_text())
    running.cancel(STOP)
    with pytest.raises(asyncio.CancelledError):
        await running
    for name in ("at", "child"):
        assert not is_alive(int((tmp_path / "project" / name).read_text()))


async def test_a_time_out_is_kept_by_the_supervisor_itself(tmp_path):
    outcome = await done(tmp_path, "echo begun; trap '' TERM; sleep 60", call=a_call(timeout_ms=200), here=surroundings(tmp_path))
    assert outcome.error_class == "timeout"
    assert (outcome.value["stdout"], outcome.value["exit_code"]) == ("begun\n", 137)
    assert outcome.message.endswith("its time being up: begun")


async def test_a_grandchild_that_keeps_the_output_open_is_not_waited_for(tmp_path):
    async with asyncio.timeout(4):
        outcome = await done(tmp_path, "sleep 5 & echo $! > child; echo done")
    assert (outcome.error_class, outcome.value["stdout"]) == (None, "done\n")
    child = int((tmp_path / "project/child").read_text())
    assert is_alive(child)
    os.kill(child, signal.SIGKILL)


async def test_when_the_supervisor_is_killed_nobody_knows(tmp_path):
    running = asyncio.create_task(done(tmp_path, "echo $PPID > at; until test -e go; do sleep 0.01; done"))
    await until(lambda: (tmp_path / "project/at").exists() and (tmp_path / "project/at").read_text())
    os.kill(int((tmp_path / "project/at").read_text()), signal.SIGKILL)
    outcome = await running
    (tmp_path / "project/go").touch()
    assert outcome.lost
    assert (await done(tmp_path, "echo again > at")).lost


async def test_a_command_for_which_nobody_waits_is_stopped_and_cleared_away(tmp_path):
    here = surroundings(tmp_path)
    running = asyncio.create_task(done(tmp_path, "echo $$ > at; sleep 60", here=here))
    await until(lambda: (tmp_path / "project/at").exists() and (tmp_path / "project/at").read_text())
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    asked: list[Asked] = []

    async def wanted(each: Asked) -> bool:
        asked.append(each)
        return len(asked) == 1

    other = Commands(tmp_path / "store", output_bytes_max=1_000, redact=str)
    process = int((tmp_path / "project/at").read_text())
    await other.sweep(wanted)
    assert is_alive(process)
    await other.sweep(wanted)
    await until(lambda: not is_alive(process))
    assert asked[0] == Asked.by(a_call())
    async with asyncio.timeout(5):
        while list((tmp_path / "store/commands").iterdir()):
            await other.sweep(wanted)


async def test_what_was_kept_goes_when_the_answer_is_stored(tmp_path):
    here, call = surroundings(tmp_path), a_call()
    await done(tmp_path, "true", here=here, call=call)
    assert list((tmp_path / "store/commands").iterdir())
    here.commands.settled(call)
    assert not list((tmp_path / "store/commands").iterdir())


async def test_a_secret_that_the_cut_divides_is_taken_out_too(tmp_path):
    taken: list[str] = []

    def redact(text: str) -> str:
        taken.append(text)
        return text.replace("x", "")

    outcome = await done(tmp_path, "seq 1 5000", here=surroundings(tmp_path, output_bytes_max=100, redact=redact))
    assert len(taken) == 1
    assert "…\n[" in taken[0]
    assert "]\n…" in outcome.value["stdout"]


def is_alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
