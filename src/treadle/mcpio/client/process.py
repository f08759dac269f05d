"""A server's process: started in a session and group of its own, watched, and ended with everything it started.

Death is taken from the child itself, not from its pipes: a grandchild that inherited stdout would keep those open for ever. After the
exit, what is already in the pipe is still read for a moment, because a server may answer and leave. Ending follows the MCP lifecycle:
close stdin, wait, SIGTERM to the group, wait, SIGKILL to the group. Every wait is bounded.

On Windows there are no process groups of this kind: the child alone is killed (untested, ruling 60).
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from treadle.config.servers import Launch

DRAIN_S = 0.05
CLOSED_OUTPUT_S = 0.5
EXIT_GRACE_S = 2.0
TERM_GRACE_S = 2.0
HASTY_GRACE_S = 0.1
_STDIN, _STDOUT, _STDERR = 0, 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Ears:
    """Who is told what. `ended` is called once, with the reason, when nothing more will come."""

    stdout: Callable[[bytes], None]
    stderr: Callable[[bytes], None]
    ended: Callable[[str], None]


class ServerProcess(asyncio.SubprocessProtocol):
    """One child process. Start it with `start`; always `stop` it, also when it is dead: its group may not be."""

    def __init__(self, ears: Ears) -> None:
        """Remember whom to tell; nothing is started yet."""
        self._ears = ears
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.SubprocessTransport | None = None
        self._exited = asyncio.Event()
        self._told_end = False
        self._group_ended = False
        self._stdout_open = True
        self.writable = asyncio.Event()
        self.writable.set()

    @classmethod
    async def start(cls, launch: Launch, ears: Ears) -> "ServerProcess":
        """Start the program. Raises OSError or ValueError when it cannot be."""
        process = cls(ears)
        transport, _ = await process._loop.subprocess_exec(
            lambda: process,
            *launch.argv,
            env=dict(launch.env),
            cwd=launch.cwd,
            start_new_session=sys.platform != "win32",
        )
        process._transport = transport
        return process

    @property
    def pid(self) -> int:
        """Give the child's process id, which is its group's too."""
        return self._child.get_pid()

    @property
    def _child(self) -> asyncio.SubprocessTransport:
        if self._transport is None:
            raise RuntimeError("the process was not started")
        return self._transport

    def write(self, data: bytes) -> None:
        """Queue bytes for stdin; wait for `writable` before the next. Bytes to a dead process are dropped: its end is told anyway."""
        pipe = cast(asyncio.WriteTransport | None, self._child.get_pipe_transport(_STDIN))
        if pipe is not None and not pipe.is_closing():
            pipe.write(data)

    def listen(self, fd: int, *, on: bool) -> None:
        """Stop or go on reading stdout (1) or stderr (2), so that a flood waits in the server."""
        pipe = cast(asyncio.ReadTransport | None, self._child.get_pipe_transport(fd))
        if pipe is None or pipe.is_closing():
            return
        if on:
            pipe.resume_reading()
        else:
            pipe.pause_reading()

    async def stop(self, *, hasty: bool = False) -> None:
        """End the process and its group; returns when they are gone, at most some seconds later. `hasty` leaves it little time."""
        stdin = self._child.get_pipe_transport(_STDIN)
        if stdin is not None:
            stdin.close()
        if not await self._gone_within(HASTY_GRACE_S if hasty else EXIT_GRACE_S):
            self._signal_group(signal.SIGTERM)
            await self._gone_within(HASTY_GRACE_S if hasty else TERM_GRACE_S)
        self._end_group()
        await self._gone_within(TERM_GRACE_S)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            self._child.close()

    # ---- called by asyncio

    def pipe_data_received(self, fd: int, data: bytes | str) -> None:
        """Pass output on."""
        if self._told_end:
            return
        raw = data if isinstance(data, bytes) else data.encode()
        (self._ears.stdout if fd == _STDOUT else self._ears.stderr)(raw)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002 - its signature
        """Notice that a pipe was closed; a server without stdout can never answer again."""
        if fd == _STDIN:
            self.writable.set()
        if fd == _STDOUT:
            self._stdout_open = False
            # It usually dies in the same breath: then its exit is the better reason.
            delay = 0 if self._exited.is_set() else CLOSED_OUTPUT_S
            self._loop.call_later(delay, self._tell_end, "it closed its output")

    def process_exited(self) -> None:
        """Notice the exit, whoever still holds the pipes."""
        self._exited.set()
        self._loop.call_later(DRAIN_S if self._stdout_open else 0, self._tell_end, "")

    def pause_writing(self) -> None:
        """Hold further writes: the server does not read."""
        self.writable.clear()

    def resume_writing(self) -> None:
        """Let writes go on."""
        self.writable.set()

    # ----

    def _tell_end(self, reason: str) -> None:
        if self._told_end:
            return
        self._told_end = True
        self.writable.set()
        if self._exited.is_set():
            self._end_group()
        self._ears.ended(self._exit_text() or reason)

    def _exit_text(self) -> str:
        code = self._child.get_returncode()
        if code is None:
            return ""
        return f"it was ended by {signal.Signals(-code).name}" if code < 0 else f"it exited with code {code}"

    async def _gone_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._exited.wait(), seconds)
        return self._exited.is_set()

    def _end_group(self) -> None:
        """Kill what is left of the group, also when the child left by itself: what it started has no business without it.

        Once only, and soon after the exit: later the number could belong to somebody else.
        """
        if not self._group_ended:
            self._group_ended = True
            self._signal_group(signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)

    def _signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if sys.platform == "win32":
                self._child.send_signal(number)
            else:
                os.killpg(self.pid, number)
