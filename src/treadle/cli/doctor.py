"""`treadle doctor`: checks that really do what they claim: the file is read, locks are taken, a commit is made, servers are started and asked.

A server that is not trusted is not started, and that is said. Nothing is repaired, but `--accept-loss` lets a file that lacks acknowledged
commits be used again, and `--clear-worktrees` takes away what crashed runs left.
"""

import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import click
from rich.text import Text

from treadle import machine, presence
from treadle.cli import screen
from treadle.cli.frame import Frame, command
from treadle.compose import OpenProject, list_workflows, secrets_used
from treadle.config.servers import ServerSpec
from treadle.config.settings import Settings
from treadle.core.errors import TreadleError
from treadle.engine.embedded import checks
from treadle.engine.embedded.place import FILE
from treadle.engine.embedded.storage import EmbeddedStorage, as_request_errors
from treadle.ports import Lease, RunQuery

State = Literal["ok", "warning", "failed", "skipped"]
DISK_LOW_BYTES = 512 << 20
DISK_OUT_BYTES = 64 << 20
SLOW_SYNC_MS = 50
PAGE: Final = 200
# Others may have read it already.
_SECRET_AT_RISK: Final = frozenset({"secret_file_open", "secret_in_repository"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found; `code` is stable where something is wrong."""

    check: str
    state: State
    message: str
    hint: str = ""
    code: str = ""


@command(
    examples="treadle doctor\ntreadle doctor --deep\ntreadle doctor --json",
    keys="ok, findings [{check, state (ok, warning, failed, skipped), code, message, hint}]",
)
@click.option("--deep", is_flag=True, help="Read every value that was set aside, and check its digest.")
@click.option("--accept-loss", is_flag=True, help="Go on with a file that lacks acknowledged commits (history_truncated).")
@click.option("--clear-worktrees", is_flag=True, help="Take away git worktrees of runs that are over; what was changed there is kept.")
async def doctor(frame: Frame, *, deep: bool, accept_loss: bool, clear_worktrees: bool) -> int:
    """Check this project for real: versions, file, locks, a write, histories, values, servers, clock, disk, trust, workflows, secrets."""
    findings: list[Finding] = []
    async for finding in _examine(frame, deep=deep, accept_loss=accept_loss, clear_worktrees=clear_worktrees):
        findings.append(finding)
        if not frame.json:
            _print(finding)
    failed = any(finding.state == "failed" for finding in findings)
    if frame.json:
        frame.print_json({
            "ok": not failed,
            "findings": [
                {"check": f.check, "state": f.state, "code": f.code or None, "message": f.message, "hint": f.hint or None} for f in findings
            ],
        })  # fmt: skip
        return int(failed)
    wrong = sum(finding.state in {"failed", "warning"} for finding in findings)
    screen.say()
    screen.say("All is well." if not wrong else f"{wrong} finding{'s' * (wrong != 1)}; what to do stands below each.")
    return int(failed)


async def _examine(frame: Frame, *, deep: bool, accept_loss: bool, clear_worktrees: bool) -> AsyncIterator[Finding]:
    settings = frame.settings
    path = settings.project.store_dir / FILE
    yield Finding(check="python", state="ok", message=f"Python {sys.version.split()[0]}")
    for finding in (*_configuration(settings), *_disk(settings)):
        yield finding
    access = list(checks.check_access(path))
    for finding in _of_store("access", access, "this user may read and write the store"):
        yield finding
    if not access and not path.exists():
        yield Finding(check="file", state="skipped", message=f"there is no {path.name} yet; the first run makes it")
    elif not any(found.code == "unreadable" for found in access):
        async for finding in _file(path, accept_loss=accept_loss):
            yield finding
    try:
        async with frame.open(what="doctor") as opened:
            async for finding in _opened(opened, deep=deep):
                yield finding
            async for finding in _worktrees(opened, clear=clear_worktrees):
                yield finding
    except TreadleError as error:
        yield Finding(check="open", state="failed", code=error.code, message=error.message, hint=error.hint)
    except Exception as error:  # the border of a check: what the machine refuses is a finding, all else a bug
        if (told := machine.as_request_error(error)) is None:
            raise
        yield Finding(check="open", state="failed", code=told.code, message=told.message, hint=told.hint)


async def _opened(opened: OpenProject, *, deep: bool) -> AsyncIterator[Finding]:
    if isinstance(opened.storage, EmbeddedStorage):
        async for finding in _store(opened, opened.storage, deep=deep):
            yield finding
    for finding in (*_processes(opened), *_workflows(opened.settings), *_secrets(opened)):
        yield finding
    async for finding in _servers(opened):
        yield finding


def _configuration(settings: Settings) -> Iterator[Finding]:
    project = settings.project
    where = f"{project.root}" + (f" (by {project.marker})" if project.marker else " (nothing marks it: no treadle.toml, .treadle or .git)")
    yield Finding(check="project", state="ok", message=where)
    for name, value, origin in settings.shown():
        if origin.kind != "default":
            yield Finding(check="settings", state="ok", message=f"{name} = {value} ({origin})")
    for warning in settings.warnings:
        yield Finding(
            check="settings",
            state="warning",
            code="unknown_variable",
            message=warning,
            hint="unset it, or correct its name",
        )


def _disk(settings: Settings) -> Iterator[Finding]:
    place = settings.project.store_dir
    folder = place if place.exists() else settings.project.home
    free = shutil.disk_usage(folder).free
    state: State = "failed" if free < DISK_OUT_BYTES else "warning" if free < DISK_LOW_BYTES else "ok"
    code = "" if state == "ok" else "disk_low"
    yield Finding(check="disk", state=state, code=code, message=f"{free >> 20:,} MiB free", hint="make room" if code else "")
    if not os.access(folder, os.W_OK):  # told by `access`
        return
    began = time.monotonic()
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-") as file:
        file.write(b"\0" * 4096)
        file.flush()
        os.fsync(file.fileno())
    took_ms = (time.monotonic() - began) * 1000
    slow = took_ms > SLOW_SYNC_MS
    yield Finding(
        check="sync", state="warning" if slow else "ok", code="slow_disk" if slow else "",
        message=f"4 KiB written and forced to disk in {took_ms:.1f} ms",
        hint="each step waits for this once; a local solid-state disk takes 1 to 5 ms" if slow else "",
    )  # fmt: skip


async def _file(path: Path, *, accept_loss: bool) -> AsyncIterator[Finding]:
    """Look at the file from outside; `accept_loss` opens it once to move its high-water mark."""
    if accept_loss:
        await EmbeddedStorage.open(path, accept_loss=True).close()
        yield Finding(
            check="file",
            state="warning",
            code="loss_accepted",
            message="the file is used as it is; what it lacks is gone",
        )
    for name, findings in (
        ("place", checks.check_place(path)),
        ("lock", checks.check_lock(path)),
        ("file", checks.check_file(path)),
    ):
        well = {"place": "local, private, a good SQLite", "lock": "free", "file": "sound"}[name]
        for finding in _of_store(name, list(dict.fromkeys(findings)), well):
            yield finding


async def _store(opened: OpenProject, storage: EmbeddedStorage, *, deep: bool) -> AsyncIterator[Finding]:
    began = time.monotonic()
    # A renewal of what is not there goes the whole way (lock, transaction, commit) and changes nothing.
    now_ms = opened.clock.now_ms()
    await storage.take("run_doctor", Lease(action="none", attempt=1, holder="doctor", until_ms=now_ms), now_ms)
    yield Finding(
        check="commit",
        state="ok",
        message=f"lock taken and an empty transaction committed in {(time.monotonic() - began) * 1000:.1f} ms",
    )
    with as_request_errors():
        reader = storage.store.new_reader()
    try:
        chains = await asyncio.to_thread(lambda: list(checks.check_chains(reader)))
    finally:
        reader.close()
    counts = storage.store.reader.counts()
    total = ", ".join(f"{number} {word}" for word, number in counts.items()) or "no runs"
    for finding in _of_store("history", chains, f"every chain holds ({total})"):
        yield finding
    async for finding in _unreadable(opened):
        yield finding
    blobs = list(checks.check_blobs(storage.store.reader, storage.store.blobs, deep=deep))
    for finding in _of_store("values", blobs, "all that was set aside is there" + (" and whole" if deep else "")):
        yield finding
    for finding in _of_store("clock", list(checks.check_clock(storage.store.reader, now_ms)), time.strftime("%Y-%m-%d %H:%M:%S %Z")):
        yield finding


async def _unreadable(opened: OpenProject) -> AsyncIterator[Finding]:
    """Read every unfinished run, definition and state, as going on with it would."""
    before: str | None = None
    count = failed = 0
    while rows := await opened.engine.runs(RunQuery(open_only=True, limit=PAGE, before=before)):
        for row in rows:
            count += 1
            try:
                await opened.service.look(row.id)
            except TreadleError as error:
                failed += 1
                message = f"{row.id} ({row.meta.workflow}) cannot be read: {error.message}"
                yield Finding(check="runs", state="failed", code=error.code, message=message, hint=error.hint)
        before = rows[-1].id
    if not failed:
        yield Finding(check="runs", state="ok", message=f"every unfinished one can be read ({count})")


def _of_store(name: str, found: Sequence[checks.Finding], well: str) -> Iterator[Finding]:
    for each in found:
        state: State = "warning" if each.code in {"locked", "open_to_others", "clock_back"} else "failed"
        yield Finding(check=name, state=state, code=each.code, message=each.message, hint=each.hint)
    if not found:
        yield Finding(check=name, state="ok", message=well)


def _processes(opened: OpenProject) -> Iterator[Finding]:
    present = [each for each in presence.living(opened.live_dir) if each.holder != opened.holder]
    for each in present:
        does = "performs server steps and keeps time" if each.serves else "is there"
        since = screen.ago(each.since_ms, opened.clock.now_ms())
        yield Finding(check="processes", state="ok", message=f"treadle {each.what} (pid {each.pid}) {does}, since {since}")
    if not any(each.serves for each in present):
        yield Finding(
            check="processes",
            state="ok",
            message="no process is at work; timers and server steps wait for the next one (mcp, run, resume)",
        )


def _workflows(settings: Settings) -> Iterator[Finding]:
    rows = list_workflows(settings)
    for row in rows:
        if row.status == "broken":
            hint = f"treadle validate {row.shown}"
            yield Finding(
                check="workflows",
                state="warning",
                code="invalid_definition",
                message=f"{row.shown} is broken: {row.problem}",
                hint=hint,
            )
    ready = sum(row.status == "ready" for row in rows)
    yield Finding(check="workflows", state="ok", message=f"{ready} of {len(rows)} can be run")


async def _worktrees(opened: OpenProject, *, clear: bool) -> AsyncIterator[Finding]:
    """Find git worktrees that nobody works in any more; whatever performs steps takes them away, and a crash leaves them."""
    over = [run_id for run_id in opened.trees.runs() if await opened.is_over(run_id)]
    troubles = await opened.trees.sweep(opened.settings.project.root, opened.is_over) if clear and over else []
    for trouble in troubles:
        yield Finding(
            check="worktrees", state="failed", code="worktree_left", message=trouble, hint="mend what git says, then clear them again"
        )
    if over and not clear:
        message = f"worktrees of {len(over)} run{'s' * (len(over) != 1)} that are over: {', '.join(over[:5])}"
        hint = "`treadle doctor --clear-worktrees` takes them away, and keeps what was changed there under refs/treadle/"
        yield Finding(check="worktrees", state="warning", code="worktree_left", message=message, hint=hint)
    elif not troubles:
        in_use = len(opened.trees.runs())
        yield Finding(check="worktrees", state="ok", message=f"none is left over ({in_use} run{'s' * (in_use != 1)} at work in theirs)")


def _secrets(opened: OpenProject) -> Iterator[Finding]:
    """Read every secret that is set or used, as a step would; nothing of a value is told."""
    used, there = secrets_used(opened.settings), 0
    for name in sorted({*opened.secrets.names(), *used}):
        try:
            opened.secrets.get(name)
            there += 1
        except TreadleError as error:
            state: State = "failed" if error.code in _SECRET_AT_RISK else "warning"
            users = f" (used by {', '.join(used[name])})" if name in used else ""
            yield Finding(check="secrets", state=state, code=error.code, message=f"{name}: {error.message}{users}", hint=error.hint)
    if there or not used:
        yield Finding(check="secrets", state="ok", message=f"{there} can be read" if there else "none is set, and no workflow uses one")


async def _servers(opened: OpenProject) -> AsyncIterator[Finding]:
    catalog = opened.servers
    for problem in catalog.problems:
        yield Finding(check="servers", state="failed", code=problem.code, message=str(problem), hint="correct it")
    for name in sorted(catalog.specs):
        yield await _server(opened, catalog.specs[name])
    if not catalog.specs:
        yield Finding(check="servers", state="skipped", message="none is configured", hint="`treadle init` adds memory and web")


async def _server(opened: OpenProject, spec: ServerSpec) -> Finding:
    check = f"server {spec.name}"
    if spec.is_treadle_itself:
        there = shutil.which(spec.command) is not None
        return Finding(
            check=check, state="ok" if there else "warning", code="" if there else "not_on_path",
            message="Treadle itself, for agents" + ("" if there else f"; but `{spec.command}` is not on PATH, so they cannot start it"),
            hint="" if there else "install Treadle, or write the whole path of the command",
        )  # fmt: skip
    began = time.monotonic()
    try:
        pool = await opened.pool.pool()
        tools = await pool.tools(spec.name)
    except TreadleError as error:
        skipped = error.code in {"not_trusted", "server_disabled", "not_yet"}
        return Finding(
            check=check,
            state="skipped" if skipped else "failed",
            code=error.code,
            message=error.message,
            hint=error.hint,
        )
    names = ", ".join(tool.name for tool in tools)
    state = next((each for each in pool.states() if each.name == spec.name), None)
    protocol = f", protocol {state.protocol_version}" if state is not None and state.protocol_version else ""
    message = f"started and asked in {screen.duration((time.monotonic() - began) * 1000)}{protocol}; tools: {names or 'none'}"
    return Finding(check=check, state="ok", message=message)


def _print(finding: Finding) -> None:
    word = {"ok": "completed", "warning": "handling", "failed": "failed", "skipped": "skipped"}[finding.state]
    code = f" [{finding.code}]" if finding.code else ""
    screen.say(Text.assemble(screen.mark(word), " ", (finding.check, "bold"), f"  {screen.clean(finding.message)}{code}"))
    if finding.hint:
        screen.say(f"    {screen.clean(finding.hint)}", style=screen.STYLES[word])
