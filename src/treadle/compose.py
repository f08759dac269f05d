"""Composition: the one place that picks an engine and wires the ports (design §2).

`locate` reads what is in force where the user stands; `open_project` gives the service over the project's own file, and what surrounds it. Opening
is cheap: the MCP SDK and the YAML reader are imported when they are first needed.

With `serve` the process performs server steps and keeps time while it is open (ruling 59). It then carries a mark of presence, and takes over what
dead processes left: their leases are ended in their name, and the engine finds them lapsed. Nothing of the project executes before it is
trusted: the pool asks before each start of a server, the registry before each execution of a file (ruling 58).
"""

import asyncio
import contextlib
import functools
import logging
import os
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from treadle import functions, log, presence, trust
from treadle.actions.child_run import ChildRuns
from treadle.actions.commands import Asked, Commands
from treadle.actions.held import PathRefusedError
from treadle.actions.http import Web
from treadle.actions.kept import KeptResults
from treadle.actions.kinds import Lasting, performers
from treadle.actions.own_functions import OwnFunctions
from treadle.actions.runner import Runner
from treadle.actions.shell import Surroundings
from treadle.actions.worktrees import Worktrees
from treadle.clock import SystemClock
from treadle.config import project as projects
from treadle.config import secrets as secret_sources
from treadle.config import settings as configuration
from treadle.config.gates import gates_of
from treadle.config.people import why_impossible
from treadle.config.project import Project
from treadle.config.secrets import Secrets
from treadle.config.servers import Catalog
from treadle.config.settings import Settings
from treadle.core.codec import digest_of
from treadle.core.definition import Definition, McpCall
from treadle.core.errors import RequestError
from treadle.core.index import walk
from treadle.core.values import Json, Value
from treadle.engine.embedded.place import FILE
from treadle.engine.embedded.storage import EmbeddedStorage
from treadle.engine.local import LocalEngine
from treadle.engine.memory import MemoryStorage
from treadle.engine.service import Service
from treadle.engine.storage import Storage
from treadle.net.client import Client
from treadle.ports import ActionCall, RunQuery

if TYPE_CHECKING:
    from treadle.authoring.find import Child, Finder, Listed, Loaded
    from treadle.authoring.freeze import Part
    from treadle.mcpio.client.outcome import ToolOutcome
    from treadle.mcpio.client.pool import ServerPool

LOOK_FOR_DEAD_S: Final = 2.0
TAKE_OVER_WITHIN_S: Final = 1.0
_PAGE: Final = 200


def locate(directory: Path, environ: Mapping[str, str], flags: Mapping[str, object] | None = None) -> Settings:
    """Find the project of a directory and read its settings. Raises ConfigError that lists every fault."""
    found = projects.find(directory, user_home=Path.home())
    return configuration.load(found, environ=environ, flags=flags)


@dataclass(slots=True, kw_only=True)
class OpenProject:
    """A project that is open in this process. `holder` names the process; performers in it are `holder/NAME`."""

    settings: Settings
    storage: Storage
    engine: LocalEngine
    service: Service
    registry: functions.Registry
    trust: trust.TrustStore
    pool: "LazyPool"
    secrets: Secrets
    clock: SystemClock
    holder: str
    serves: bool
    commands: Commands
    children: ChildRuns
    trees: Worktrees
    # What `env()` may read, as it is here.
    variables: Mapping[str, str]
    _servers: Catalog | None = field(default=None)

    @property
    def live_dir(self) -> Path:
        """Give the folder where processes leave their mark."""
        return self.settings.project.store_dir / presence.FOLDER

    @property
    def servers(self) -> Catalog:
        """Give the configured MCP servers, as they were when first asked for."""
        if self._servers is None:
            self._servers = self.settings.servers()
        return self._servers

    def load(self, name_or_path: str | Path) -> "Loaded":
        """Load a workflow by name or path; executes nothing. Raises RequestError `unknown_workflow`, `ambiguous_name`."""
        return load_workflow(self.settings, name_or_path, self.servers)

    def workflows(self) -> "list[Listed]":
        """List the workflows that can be named here, broken ones too; executes nothing."""
        return list_workflows(self.settings)

    def held_up(self) -> str:
        """Say why writes wait at this moment; empty if they do not."""
        return self.storage.store.writer.held_up() if isinstance(self.storage, EmbeddedStorage) else ""

    def check_ready(self, definition: Definition) -> None:
        """Raise RequestError if a run would meet a server that is not configured, code that is not trusted, or a secret without a value.

        Told before anything is started: in the middle of a run it would cost what was done until then.
        """
        may_start = trust.gate(self.trust, self.settings.project)
        for each in _with_children(definition):
            for server in _servers_called(each):
                may_start(self.servers.get(server))
            self._check_functions(each)
            check_commands(self.settings, self.trust, each)
            self.secrets.check(each.secrets)

    def check_gates(self, definition: Definition, starter: str, given: Mapping[str, Value]) -> None:
        """Raise RequestError `impossible_gate` if nobody could pass a gate of a run that this person starts with these inputs (ruling 26)."""
        for step, by in gates_of(definition, given):
            why = why_impossible(by, self.settings.people, starter)
            if why:
                raise RequestError(
                    f"nobody could pass what `{step.id}` asks: {why}; nothing was started", code="impossible_gate",
                    hint="somebody else may start it, or `by` may name more people; `treadle people list` shows who there is",
                )  # fmt: skip

    def performers(self) -> list[presence.Present]:
        """List the living processes that perform server steps of this project."""
        return [each for each in presence.living(self.live_dir) if each.serves]

    def shown_status(self, run_id: str, status: str) -> str:
        """Give the status to show for a run (ruling 46).

        `running` is believed while somebody is at work. With a holder that died, or a server step and no process, the run is `stalled`; where
        all that was held has been let go, it is `waiting`.
        """
        if status not in {"running", "cancelling"}:
            return status
        present = presence.living(self.live_dir)
        names, now_ms = {each.holder for each in present}, self.clock.now_ms()
        leases = [lease for lease in self.storage.leases(run_id) if lease.until_ms > now_ms]
        processes = [presence.process_of(lease.holder) for lease in leases]
        # A holder that cannot be judged is believed for as long as its lease runs.
        if any(process is None or process in names for process in processes):
            return status
        served = any(each.run_id == run_id for each in self.storage.served())
        if served and any(each.serves for each in present):
            return status
        return "stalled" if leases or served or status == "cancelling" else "waiting"

    async def let_go(self, process: str) -> int:
        """End every lease of a process and of the performers in it; gives how many there were."""
        ended = 0
        before: str | None = None
        while rows := await self.storage.runs(RunQuery(open_only=True, limit=_PAGE, before=before)):
            for row in rows:
                for lease in self.storage.leases(row.id):
                    if presence.process_of(lease.holder) == process:
                        now_ms = self.clock.now_ms()
                        ended += await self.storage.take(row.id, replace(lease, until_ms=now_ms), now_ms)
            before = rows[-1].id
        return ended

    async def unmerged(self, run_id: str) -> list[dict[str, Json]]:
        """Give what a run has changed in worktrees and not merged; git is not asked for a workflow without worktrees."""
        snapshot = await self.engine.snapshot(run_id)
        if not any(step.isolation for step in snapshot.definition.index.steps.values()):
            return []
        return await asyncio.to_thread(self.trees.unmerged, [Path(snapshot.meta.directory), self.settings.project.root], run_id)

    async def is_over(self, run_id: str) -> bool:
        """Tell whether a run has ended, or is not there any more."""
        try:
            return (await self.engine.current(run_id)).state.ended
        except RequestError as error:
            return error.code == "unknown_run"

    async def clear_worktrees(self) -> None:
        """Take away the worktrees of runs that are over; what was changed in them is kept under refs."""
        for trouble in await self.trees.sweep(self.settings.project.root, self.is_over):
            logging.getLogger("treadle.worktrees").warning("worktrees were not taken away", extra={"reason": trouble})

    def _check_functions(self, definition: Definition) -> None:
        project = self.settings.project
        offered = {(info.name, info.version): info for info in functions.catalog(project).functions}
        for name, version in definition.functions.items():
            info = offered.get((name, version))
            if info is None or info.origin != "project":
                continue
            digest = trust.function_digest(info.place, info.path.read_bytes())
            if not self.trust.allows_digest(project, "functions", info.place, digest):
                raise RequestError(
                    f"the workflow calls `{name}`, whose file {info.place} is not trusted, or has changed since; nothing was started",
                    code="not_trusted", hint="look at it and allow it with `treadle trust`",
                )  # fmt: skip


class LazyPool:
    """The pool of MCP servers, made at the first call: the SDK takes half a second to import."""

    def __init__(self, settings: Settings, store: trust.TrustStore, environ: Mapping[str, str], secrets: Secrets) -> None:
        """Start nothing."""
        self._settings, self._store, self._environ, self._secrets = settings, store, environ, secrets
        self._pool: ServerPool | None = None
        self._making = asyncio.Lock()

    async def call(
        self, server: str, tool: str, arguments: Mapping[str, Json], *, timeout_ms: int | None = None,
        idempotency_key: str | None = None, pinned: str | None = None,
    ) -> "ToolOutcome":  # fmt: skip
        """Call a tool once; see `ServerPool.call`."""
        pool = await self.pool()
        return await pool.call(server, tool, arguments, timeout_ms=timeout_ms, idempotency_key=idempotency_key, pinned=pinned)

    async def pool(self) -> "ServerPool":
        """Give the pool itself."""
        async with self._making:
            if self._pool is None:
                self._pool = await asyncio.to_thread(self._make)
            return self._pool

    async def close(self) -> None:
        """End the servers that were started."""
        if self._pool is not None:
            await self._pool.close()

    def _make(self) -> "ServerPool":
        # The MCP SDK: only processes that call a tool pay for it.
        from treadle.mcpio.client.pool import PoolSettings, ServerPool

        has = self._settings
        settings = PoolSettings(
            root=has.project.root, environ=self._environ, log_dir=has.project.store_dir / "logs",
            timeout_ms=has.mcp_timeout_ms, start_timeout_ms=has.mcp_start_timeout_ms, idle_stop_ms=has.mcp_idle_stop_ms,
            line_bytes_max=has.mcp_line_bytes_max, output_bytes_max=has.mcp_output_bytes_max,
        )  # fmt: skip
        self._secrets.expect_in_logs()
        return ServerPool(has.servers(), settings, allow=trust.gate(self._store, has.project), redactor=self._secrets.redactor)


@contextlib.asynccontextmanager
async def open_project(
    settings: Settings, *, serve: bool, environ: Mapping[str, str] | None = None, what: str = "run", create: bool = True,
    accept_loss: bool = False,
) -> AsyncIterator[OpenProject]:  # fmt: skip
    """Open a project. Raises RequestError with the store's own code.

    `what` names the kind of process; `environ` is what servers may take variables from. Without `create` a project that has no file yet is
    shown as one without runs, and nothing is made.
    """
    opened = _wire(settings, serve=serve, environ=environ or {}, what=what, create=create, accept_loss=accept_loss)
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(log.scrubbed(opened.secrets.redactor.text))
        stack.push_async_callback(opened.engine.close)
        stack.push_async_callback(opened.pool.close)
        stack.push_async_callback(opened.children.close)
        if not serve:
            yield opened
            return
        stack.enter_context(presence.Presence(opened.live_dir, opened.holder, what=what, serves=serve))
        # While somebody locks the file it goes on beside, and what can be read is answered meanwhile.
        taking_over = asyncio.create_task(_take_over_if_possible(opened))
        stack.callback(taking_over.cancel)
        await asyncio.wait({taking_over}, timeout=TAKE_OVER_WITHIN_S)
        if taking_over.done():
            taking_over.result()
        await opened.commands.sweep(functools.partial(_is_wanted, opened))
        await opened.children.sweep()
        try:
            async with _beside(opened):
                yield opened
        finally:
            await opened.clear_worktrees()
            # Before the mark goes: without it nobody would look for what was held.
            await opened.let_go(opened.holder)


def load_workflow(settings: Settings, name_or_path: str | Path, servers: Catalog | None = None) -> "Loaded":
    """Load a workflow without opening the project's store; see `OpenProject.load`."""
    return load_workflows(settings, [name_or_path], servers)[0]


def load_workflows(settings: Settings, wanted: Iterable[str | Path | bytes], servers: Catalog | None = None) -> "list[Loaded]":
    """Load several workflows, each file of the project read once; bytes are a file's content that came from standard input."""
    finder = workflow_finder(settings, servers)
    return [finder.load_bytes(each, "<stdin>") if isinstance(each, bytes) else finder.load_named(each) for each in wanted]


def workflow_finder(settings: Settings, servers: Catalog | None = None) -> "Finder":
    """Give what finds, reads and checks the workflows of a project."""
    # The YAML reader and Jinja's parser: a run that goes on needs neither.
    from treadle.authoring import find

    effects = {
        f"{spec.name}.{tool}": str(effect)
        for spec in (servers or settings.servers()).specs.values()
        for tool, effect in spec.effects.items()
    }
    return find.Finder(settings.project, _paths(settings), Path.home(), effects, settings.people)


def list_workflows(settings: Settings) -> "list[Listed]":
    """List the workflows that can be named here; see `OpenProject.workflows`."""
    # As above.
    from treadle.authoring import find

    return find.list_workflows(settings.project, paths=_paths(settings), user_home=Path.home(), people=settings.people)


def trust_items(settings: Settings, servers: Catalog, wanted: Iterable[Path | str] = ()) -> list[trust.TrustItem]:
    """List what this project could execute: functions, servers, and the commands of its workflows, and of those that are `wanted` by name or path.

    Raises RequestError for a file that cannot be shown, and for what names no workflow.
    """
    # As above.
    from treadle.authoring.commands_shown import commands_of

    own = [row.path for row in list_workflows(settings) if row.origin == "project" and row.status == "ready"]
    found = trust.collect(settings.project, servers)
    named = list(wanted)
    for number, loaded in enumerate(load_workflows(settings, [*own, *named], servers)):
        definition = loaded.require() if number >= len(own) else loaded.definition
        if definition is not None and trust.has_commands(definition):
            found.append(trust.commands_item(definition, commands_of(loaded.parts)))
        for child, parts in _own_children(definition, loaded.children) if definition is not None else ():
            if trust.has_commands(child):
                found.append(trust.commands_item(child, commands_of(parts)))
    return list({item.key: item for item in found}.values())


def _own_children(definition: Definition, children: "Mapping[str, Child]") -> "Iterator[tuple[Definition, tuple[Part, ...]]]":
    """Give the entries of `tasks:` that a workflow starts as runs; other files that it starts are workflows of their own."""
    for key, child in children.items():
        frozen = definition.children[key]
        if child.parts[0].task is not child.parts[0].file.main:
            yield frozen, child.parts
        yield from _own_children(frozen, child.children)


def check_commands(settings: Settings, store: trust.TrustStore, definition: Definition) -> None:
    """Raise RequestError `not_trusted` if a workflow runs commands that nobody allowed (ruling 58); the user's own are.

    The library's are not: they are the project's own (its tests, its build), and an agent may start a workflow with commands as inputs.
    """
    if not trust.has_commands(definition):
        return
    digest = digest_of(definition)
    if store.allows_digest(settings.project, "commands", definition.name, digest) or _is_users_own(settings, definition.name, digest):
        return
    raise RequestError(
        f"the workflow {definition.name!r} runs commands, which are not trusted, or have changed since; none of them was run",
        code="not_trusted",
        hint=f"look at them and allow them with `treadle trust {definition.name.partition('/')[0]}`, or `treadle trust FILE` for a file of another place",
    )  # fmt: skip


def _is_users_own(settings: Settings, name: str, digest: str) -> bool:
    """Tell whether a workflow is one of the user's home, or what such a one starts, as it stands there."""
    names = {name, name.rpartition("/")[0]}
    rows = [row for row in list_workflows(settings) if row.name in names and row.origin == "user" and row.status == "ready"]
    found = [loaded.definition for row in rows if (loaded := load_workflow(settings, row.path)).definition is not None]
    return any(digest_of(each) == digest for definition in found if definition is not None for each in _with_children(definition))


def web_of(settings: Settings) -> Web:
    """Give the guarded client of the project's steps; connects to nothing."""
    return Web(client=Client(settings.http_allow), timeout_ms=settings.http_timeout_ms, bytes_max=settings.http_output_bytes_max)


def secrets_of(settings: Settings, environ: Mapping[str, str]) -> Secrets:
    """Give the project's secrets without opening its store; reads none of them."""
    return Secrets(settings.project, settings.secrets, secret_sources.user_store(settings.project), environ)


def secrets_used(settings: Settings) -> dict[str, list[str]]:
    """Give the names of the secrets that workflows use, each with the workflows that do; executes nothing."""
    found: dict[str, list[str]] = {}
    for row in list_workflows(settings):
        # As above.
        from treadle.authoring.reads import secrets_read

        for name in secrets_read(load_workflow(settings, row.path).tree):
            found.setdefault(name, []).append(row.name)
    return found


def branch_of(root: Path) -> str:
    """Give the git branch that a directory is on; empty outside of git or on no branch. Git is not started for this."""
    for top in (root, *root.parents):
        marker = top / ".git"
        if not marker.exists():
            continue
        try:
            named = marker.read_text(encoding="utf-8").removeprefix("gitdir:").strip() if marker.is_file() else ".git"
            head = (top / named / "HEAD").read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):  # not a repository after all
            return ""
        return head.removeprefix("ref: refs/heads/") if head.startswith("ref: refs/heads/") else ""
    return ""


def _wire(settings: Settings, *, serve: bool, environ: Mapping[str, str], what: str, create: bool, accept_loss: bool) -> OpenProject:
    project, clock, holder = settings.project, SystemClock(), presence.new_holder(what)
    store = trust.user_store()
    registry = functions.Registry(functions.catalog(project), project, store)
    secrets = secrets_of(settings, environ)
    pool = LazyPool(settings, store, environ, secrets)
    path = project.store_dir / FILE
    storage: Storage = EmbeddedStorage.open(path, accept_loss=accept_loss) if create or _is_there(path) else MemoryStorage()
    kept = KeptResults(project.store_dir, project.root, clock.now_ms)
    commands = Commands(project.store_dir, output_bytes_max=settings.shell_output_bytes_max, redact=secrets.redactor.text)
    here = Surroundings(
        commands=commands, environ=environ, root_of=lambda call: _root_of(project, call),
        check=lambda call: _check_call(settings, store, call),
    )  # fmt: skip
    children = ChildRuns()
    trees = Worktrees(store_dir=project.store_dir, environ=os.environ, root_of=here.root_of)
    kinds = performers(pool=pool, functions=registry, web=web_of(settings), commands=here, children=children, trees=trees) if serve else {}
    runner = Runner(kinds, secrets) if serve else None
    engine = LocalEngine(
        storage, functions=OwnFunctions(registry, kept, project.root), clock=clock, holder=holder, runner=runner,
        outliving=Lasting(commands, children), keep=kept.keep,
    )  # fmt: skip
    service = Service(engine, clock)
    children.attach(service)
    return OpenProject(
        settings=settings, storage=storage, engine=engine, service=service, registry=registry, trust=store,
        pool=pool, secrets=secrets, clock=clock, holder=holder, serves=serve, commands=commands, children=children, trees=trees,
        variables={name: environ[name] for name in settings.expressions_env if name in environ},
    )  # fmt: skip


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:  # somewhere below what this user may not read: whoever opens it says so
        return True


def _check_call(settings: Settings, store: trust.TrustStore, call: ActionCall) -> None:
    if call.definition is None:
        raise RequestError("who asks for this command does not say of which workflow it is", code="not_trusted", hint="report it")
    check_commands(settings, store, call.definition)


def _root_of(project: Project, call: ActionCall) -> Path:
    """Give where a run's commands run: in its worktree, else in the checkout in which it was started. Raises PathRefusedError when that is gone."""
    if call.action.working_dir:
        if not Path(call.action.working_dir).is_dir():
            raise PathRefusedError(f"the worktree {call.action.working_dir} is not there any more")
        return Path(call.action.working_dir)
    directory = call.directory
    if not directory or Path(directory) == project.root:
        return project.root
    found = projects.find(Path(directory), user_home=Path.home())
    if not Path(directory).is_dir() or found.home != project.home:
        raise PathRefusedError(f"{directory}, where the run was started, is no working tree of this project any more")
    return found.root


@contextlib.asynccontextmanager
async def _beside(opened: OpenProject) -> AsyncIterator[None]:
    """Serve while the block runs; a failure of serving ends the block with that failure, because nothing would go on."""
    block = asyncio.current_task()
    tasks = [asyncio.create_task(opened.engine.serve()), asyncio.create_task(_watch(opened))]

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None and block is not None:
            block.cancel()

    for task in tasks:
        task.add_done_callback(ended)
    try:
        yield
    except asyncio.CancelledError:
        for task in tasks:
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                raise _first(error) from None
        raise
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _is_wanted(opened: OpenProject, asked: Asked) -> bool:
    """Tell whether anybody still waits for a command."""
    try:
        state = (await opened.engine.current(asked.run_id)).state
    except RequestError as error:
        return error.code != "unknown_run"
    action = state.actions.get(asked.action)
    return (
        action is not None and (action.attempt, action.opened_at_ms) == (asked.attempt, asked.opened_at_ms) and action.status != "stopping"
    )  # fmt: skip


async def _watch(opened: OpenProject) -> None:
    while True:
        await asyncio.sleep(LOOK_FOR_DEAD_S)
        await _take_over_if_possible(opened)
        await opened.clear_worktrees()


async def _take_over_if_possible(opened: OpenProject) -> None:
    """Take over, or leave it to the next look: with a full disk or a locked file, what can be read is still answered."""
    try:
        await _take_over(opened)
    except RequestError as error:
        if not error.code.startswith("storage_"):
            raise
        logging.getLogger("treadle.presence").warning("what dead processes held cannot be let go now", extra={"reason": error.message})


async def _take_over(opened: OpenProject) -> None:
    """End the leases of processes that died; their marks go when that was done."""
    with presence.dead(opened.live_dir) as processes:
        for process in processes:
            await opened.let_go(process)
        if processes:
            await opened.children.sweep()


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _paths(settings: Settings) -> list[Path]:
    return [settings.path(text) for text in settings.workflows_paths]


def _with_children(definition: Definition) -> Iterator[Definition]:
    yield definition
    for child in definition.children.values():
        yield from _with_children(child)


def _servers_called(definition: Definition) -> list[str]:
    tasks = (definition.main, *definition.tasks.values())
    steps = (step for task in tasks for step in walk(task.steps))
    names = (step.spec.tool.partition(".")[0] for step in steps if isinstance(step.spec, McpCall) and step.performer == "server")
    return list(dict.fromkeys(names))
