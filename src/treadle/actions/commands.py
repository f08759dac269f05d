"""Commands of the system, each under a supervisor of its own, found again by whoever comes later (ruling 59).

A command has a folder below `.treadle/commands`, named by run, action, attempt and number. Asking for it again, from this process or the next
one, never begins it twice: it is begun, or watched, or its record is read. The folder goes when the answer that came of it is stored
(`settled`); what was left behind by a crash between the two, and what still runs for an action that is gone, is cleared away by `sweep`.
"""

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from treadle.actions import supervisor
from treadle.core.state import ActionState
from treadle.ports import STOP, ActionCall

if sys.platform != "win32":
    import fcntl  # only there on POSIX, as are named pipes

FOLDER: Final = "commands"
GRACE_MS: Final = 5_000
_LOOK_FIRST_S: Final = 0.01
_LOOK_LAST_S: Final = 0.2
_ASKED: Final = "asked.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Whose command it is; `number` tells the commands of one attempt apart."""

    run_id: str
    action: str
    attempt: int
    opened_at_ms: int
    number: int = 0

    @staticmethod
    def by(call: ActionCall, number: int = 0) -> "Asked":
        """Name a command of an action."""
        action = call.action
        return Asked(run_id=call.run_id, action=action.id, attempt=action.attempt, opened_at_ms=action.opened_at_ms, number=number)

    @property
    def name(self) -> str:
        """Give the name of its folder."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to run."""

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    timeout_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What became of a command. `how` is `exited`, `timed_out`, `stopped`, or `not_started` with an `error`."""

    how: str
    error: str = ""
    exit_code: int | None = None
    signal: int | None = None
    duration_ms: int = 0
    stdout: str = ""
    stderr: str = ""
    truncated: bool = False


class SupervisorFailedError(Exception):
    """The supervisor could not be started; nothing was run."""


class Commands:
    """The commands of one project; implements `ports.Outliving`."""

    def __init__(self, store_dir: Path, *, output_bytes_max: int, redact: Callable[[str], str], grace_ms: int = GRACE_MS) -> None:
        """Keep folders below `store_dir`. `redact` takes secrets out of a text that was cut."""
        self._folder, self._output_bytes_max, self._redact, self._grace_ms = store_dir / FOLDER, output_bytes_max, redact, grace_ms

    async def run(self, asked: Asked, order: Order) -> Ended | None:
        """Have it run once, and wait for its end; None if nobody knows what became of it.

        Cancelled with `STOP` it stops the command and waits until it is gone; cancelled otherwise it leaves it running. Raises
        SupervisorFailedError, OSError.
        """
        folder = self._folder / asked.name
        beginning = asyncio.create_task(asyncio.to_thread(self._begin, folder, asked, order))
        try:
            await asyncio.shield(beginning)
            return await self._watch(folder)
        except asyncio.CancelledError as error:
            if error.args == (STOP,):
                await beginning
                await asyncio.to_thread(_stop, folder)
                await self._watch(folder)
            raise

    def outlives(self, action: ActionState) -> bool:
        """Tell whether an action runs commands, which go on without this process."""
        return action.kind in {"shell", "verify"} and action.performer == "server"

    def stop(self, run_id: str, action: str, attempt: int) -> None:
        """Ask the commands of an attempt to stop; safe to repeat."""
        for folder, asked in self._all():
            if (asked.run_id, asked.action, asked.attempt) == (run_id, action, attempt):
                _stop(folder)

    def settled(self, call: ActionCall) -> None:
        """Clear away what was kept of an attempt, after its answer was stored."""
        checks = call.params.get("checks")
        for number in range(1 + len(checks) if isinstance(checks, list) else 1):
            shutil.rmtree(self._folder / Asked.by(call, number).name, ignore_errors=True)

    async def sweep(self, is_wanted: Callable[[Asked], Awaitable[bool]]) -> None:
        """Stop the commands whose attempt has ended without them, and clear away what is left of them."""
        for folder, asked in self._all():
            if await is_wanted(asked):
                continue
            if await asyncio.to_thread(_is_alive, folder):
                await asyncio.to_thread(_stop, folder)
            else:
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    def _all(self) -> list[tuple[Path, Asked]]:
        found: list[tuple[Path, Asked]] = []
        for folder in sorted(self._folder.iterdir()) if self._folder.is_dir() else ():
            # One that is being made or cleared away in this moment has no record.
            with contextlib.suppress(OSError, ValueError, TypeError):
                found.append((folder, Asked(**json.loads((folder / _ASKED).read_bytes()))))
        return found

    def _begin(self, folder: Path, asked: Asked, order: Order) -> None:
        """Start a supervisor, unless the command has one or had one."""
        if sys.platform == "win32":
            raise SupervisorFailedError("commands are not run on Windows")
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        if (folder / "begun").exists():
            return
        with contextlib.suppress(FileExistsError):
            os.mkfifo(folder / "control", 0o600)
        (folder / _ASKED).write_text(json.dumps(asdict(asked)), encoding="utf-8")
        spec: dict[str, Any] = {
            "argv": list(order.argv), "cwd": str(order.cwd), "env": dict(order.env), "timeout_ms": order.timeout_ms, "grace_ms": self._grace_ms,
            "output_bytes_max": self._output_bytes_max,
        }  # fmt: skip
        with (folder / "errors").open("wb") as errors:
            # Not shown anywhere, and for its own errors only: the command's output goes through pipes.
            started = subprocess.Popen(
                [sys.executable, "-I", "-S", supervisor.__file__, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                stderr=errors, start_new_session=True, cwd="/",
            )  # fmt: skip
            started.communicate(json.dumps(spec).encode())
        if started.returncode not in {0, supervisor.LOCKED}:
            told = (folder / "errors").read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise SupervisorFailedError(told[-1] if told else f"it ended with {started.returncode}")

    async def _watch(self, folder: Path) -> Ended | None:
        wait_s = _LOOK_FIRST_S
        while True:
            ended = await asyncio.to_thread(self._look, folder)
            if ended is not False:
                return ended
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 1.5, _LOOK_LAST_S)

    def _look(self, folder: Path) -> Ended | Literal[False] | None:
        """Give the record, None if there will be none, False while it runs."""
        alive = _is_alive(folder)
        try:
            record = json.loads((folder / "ended").read_bytes())
        except FileNotFoundError:
            return False if alive else None
        if record["how"] == "not_started":
            return Ended(how="not_started", error=record["error"])
        streams = {name: self._text(record[name]) for name in ("stdout", "stderr")}
        return Ended(
            how=record["how"], exit_code=record["exit_code"], signal=record["signal"], duration_ms=record["duration_ms"],
            stdout=streams["stdout"], stderr=streams["stderr"],
            truncated=any(record[name]["left_out_bytes"] for name in streams),
        )  # fmt: skip

    def _text(self, stream: dict[str, Any]) -> str:
        head, tail = base64.b64decode(stream["head"]), base64.b64decode(stream["tail"])
        if not stream["left_out_bytes"]:
            return (head + tail).decode("utf-8", "replace")
        # A secret may have been cut in two here: only with the sign of the cut between them are its pieces known as such.
        cut = f"…\n[{stream['left_out_bytes']} bytes left out]\n…"
        return self._redact(head.decode("utf-8", "replace") + cut + tail.decode("utf-8", "replace"))


def _is_alive(folder: Path) -> bool:
    """Tell whether a supervisor holds the lock of a folder."""
    try:
        lock = os.open(folder / "lock", os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _stop(folder: Path) -> None:
    """Ask the supervisor to stop its command; one that is gone has nothing to stop."""
    with contextlib.suppress(OSError):
        control = os.open(folder / "control", os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.write(control, b"stop\n")
        finally:
            os.close(control)
