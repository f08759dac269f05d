"""`treadle mcp`: one client over stdin and stdout, for as long as it keeps them open.

The list of tools is answered at once: the project, with all that it stands on, is opened beside. The process also serves (timers, steps that Treadle
performs) while it is open (ruling 59). Only protocol leaves on stdout: while it serves, the SDK points descriptor 1 at stderr, and Python's own
stdout goes there too. It ends when the client closes stdin, or on SIGTERM and SIGINT, after letting go of what it held.

A session leaves a mark of presence: if this process is killed, others see that at once and may take what the session held, while the same session,
coming back, still holds it as long as nobody did.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from treadle import machine
from treadle.config.servers import STARTED_BY
from treadle.core.errors import RequestError, TreadleError
from treadle.mcpio.server.build import build
from treadle.mcpio.server.holder import session_of

if TYPE_CHECKING:
    from treadle.mcpio.server.calls import Calls

CLOSE_GRACE_S: Final = 10.0
# How Claude Code tells its servers which project they were started for; `TREADLE_PROJECT` and `--project` are read before this.
_CLIENTS_PROJECT: Final = "CLAUDE_PROJECT_DIR"
_log = logging.getLogger(__name__)


def run_stdio(environ: Mapping[str, str], directory: Path | None = None, flags: Mapping[str, object] | None = None) -> int:
    """Serve until the client leaves; gives the exit code. Without a `directory`, it is the one that the client told of, or the current one."""
    if environ.get(STARTED_BY):
        sys.stderr.write("treadle mcp: Treadle itself started this process, which would be a circle; remove the entry from its servers\n")
        return 2
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    session = session_of(environ)
    where = directory or Path(environ.get(_CLIENTS_PROJECT) or Path.cwd())
    return asyncio.run(_serve(lambda: _project(where, environ, flags, session), session))


class Opening:
    """A project that is being opened, is open, or could not be; calls wait for the first and are told of the last."""

    def __init__(self, opened: "Callable[[], AbstractAsyncContextManager[Calls]]") -> None:
        """Open nothing yet; made within the loop that will open it."""
        self._opened = opened
        self._answering: asyncio.Future[Calls] = asyncio.get_running_loop().create_future()
        self._closing = asyncio.Event()

    async def answers(self) -> "Calls":
        """Give whoever answers. Raises what opening raised."""
        return await asyncio.shield(self._answering)

    async def hold(self) -> None:
        """Open, keep open until `close`, and close. Raises what ended it when it was open."""
        try:
            async with self._opened() as calls:
                self._answering.set_result(calls)
                await self._closing.wait()
        except Exception as problem:  # the border of the process: a project that cannot be opened is told to every caller
            if self._answering.done():
                raise
            problem = machine.as_request_error(problem) or problem
            known = isinstance(problem, TreadleError)
            _log.error("the project cannot be opened: %s", problem, exc_info=None if known else problem)
            self._answering.set_exception(
                problem if known else RequestError(f"the project cannot be opened: {problem}", code="not_open_here")
            )
            await self._closing.wait()

    def close(self) -> None:
        """Ask `hold` to end."""
        self._closing.set()


async def _serve(opened: "Callable[[], AbstractAsyncContextManager[Calls]]", session: str) -> int:
    opening, stop = Opening(opened), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = build(opening.answers, session, lifespan=_own_stdout)
    holding, serving = asyncio.create_task(opening.hold()), asyncio.create_task(server.run_stdio_async())
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({holding, serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
    opening.close()
    await asyncio.wait({holding}, timeout=CLOSE_GRACE_S)
    code = 0
    for task, said in (
        (holding, "the project can no longer be served"),
        (serving, "the client can no longer be reached"),
    ):
        if task.done() and (problem := task.exception()) is not None:
            _log.error("%s: %s", said, problem, exc_info=problem)
            code = 1
    if not serving.done():
        # The SDK reads stdin in a thread that nothing can interrupt; what matters has been closed.
        sys.stderr.flush()
        os._exit(code)
    return code


@contextlib.asynccontextmanager
async def _own_stdout(_server: Any) -> AsyncIterator[None]:
    with contextlib.redirect_stdout(sys.stderr):
        yield


@contextlib.asynccontextmanager
async def _project(directory: Path, environ: Mapping[str, str], flags: Mapping[str, object] | None, session: str) -> "AsyncIterator[Calls]":
    calls, compose, presence = await asyncio.to_thread(_imported)
    settings = compose.locate(directory, environ, flags)
    root = settings.project.root
    async with compose.open_project(settings, serve=True, environ=environ, what="mcp") as opened:
        # Of a process of the same session that was killed while it made its mark.
        (opened.live_dir / f".{session}").unlink(missing_ok=True)
        with presence.Presence(opened.live_dir, session, what="agent", serves=False):
            yield calls.Calls(opened.service, opened, calls.Here(directory=str(root), branch=lambda: compose.branch_of(root)))
            await opened.let_go(session)


def _imported() -> Any:
    # Core, engine and store: the list of tools does not wait for them.
    from treadle import compose, presence
    from treadle.mcpio.server import calls  # as above

    return calls, compose, presence
