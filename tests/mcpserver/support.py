"""An MCP server over a project in a temporary directory: workflows from real files, the local engine, a scripted outside."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mcp_types
from mcp import Client
from mcp.server.mcpserver import MCPServer

from treadle.actions.child_run import ChildRuns
from treadle.actions.runner import answer_of
from treadle.authoring import find
from treadle.clock import FakeClock
from treadle.config.project import Project
from treadle.core.definition import Definition
from treadle.core.errors import RequestError
from treadle.core.events import Caller
from treadle.core.values import Value
from treadle.engine.local import LocalEngine
from treadle.engine.memory import MemoryStorage
from treadle.engine.service import Service
from treadle.engine.storage import Storage
from treadle.mcpio.server import build_server
from treadle.mcpio.server.calls import Here
from treadle.ports import ActionCall, Answer, FunctionFailedError

LOST = Answer(lost=True)
MODES = ("legacy", "2026-07-28")


@dataclass
class Outside:
    """What server steps meet: an answer by tool; one without an answer waits until it is given one."""

    answers: dict[str, Any] = field(default_factory=dict)
    calls: list[ActionCall] = field(default_factory=list)
    held: dict[str, asyncio.Event] = field(default_factory=dict)
    children: ChildRuns = field(default_factory=ChildRuns)

    async def perform(self, call: ActionCall) -> Answer:
        """Answer by the name of the tool; child runs are carried on for real."""
        self.calls.append(call)
        if call.action.kind == "run":
            return answer_of(call, await self.children.perform(call, {}))
        tool = str(call.params["tool"])
        if tool in self.held:
            await self.held[tool].wait()
        answer = self.answers.get(tool)
        return answer if isinstance(answer, Answer) else Answer(value=answer)


class Files:
    """The workflows of a directory, as a project gives them."""

    def __init__(self, root: Path, untrusted: Sequence[str] = ()) -> None:
        self.project, self.untrusted = Project(root=root, home=root), untrusted
        self.impossible: set[str] = set()
        self.starters: list[str] = []

    def workflows(self) -> list[find.Listed]:
        return find.list_workflows(self.project)

    def load(self, name_or_path: str | Path) -> find.Loaded:
        return find.load(self.project, name_or_path)

    def check_ready(self, definition: Definition) -> None:
        if definition.name in self.untrusted:
            raise RequestError("functions/x.py is not trusted", code="not_trusted", hint="look at it with `treadle trust`")

    def held_up(self) -> str:
        return ""

    @property
    def variables(self) -> dict[str, str]:
        """Nothing of the environment may be read."""
        return {}

    def check_gates(self, definition: Definition, starter: str, _given: object) -> None:
        self.starters.append(starter)
        if definition.name in self.impossible:
            raise RequestError("nobody could pass `gate`", code="impossible_gate", hint="`treadle people list` shows who there is")


class LibraryFunctions:
    """The functions of the library, called for real."""

    def call(self, name: str, version: str, args: Sequence[Value], kwargs: dict[str, Value]) -> Value:
        from treadle.library import functions  # imported late: most tests call none

        target = getattr(functions, name, None)
        if target is None:
            raise FunctionFailedError(f"there is no {name}")
        return target(*args, **kwargs)


@dataclass
class Shop:
    """One server, and what stands behind it."""

    root: Path
    clock: FakeClock
    engine: LocalEngine
    service: Service
    outside: Outside
    workflows: Files
    branch: str = "main"

    def server(self, session: str = "treadle-agent-one") -> MCPServer[Any]:
        """A server process of a session."""
        here = Here(directory=str(self.root), branch=lambda: self.branch)
        return build_server(self.service, self.workflows, here, session=session)

    @contextlib.asynccontextmanager
    async def agent(
        self, name: str = "test-client", *, session: str = "treadle-agent-one", mode: str = "2026-07-28"
    ) -> AsyncIterator["Agent"]:
        """A client of that server."""
        info = mcp_types.Implementation(name=name, version="1")
        async with Client(self.server(session), mode=mode, client_info=info) as client:
            yield Agent(client)

    async def decide(self, run_id: str, *, approved: bool = True) -> None:
        """Decide the open gate of a run, as a person in a terminal does."""
        run = await self.service.look(run_id)
        (gate,) = [action for action in run.actions if action.kind == "approve"]
        offer = await self.service.decide(run_id, gate.id, gate.digest or "", PERSON, approved=approved)
        assert offer.refusal is None, offer.refusal

    def write(self, name: str, text: str) -> None:
        """Put a workflow into the project."""
        folder = self.root / "workflows"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")


@contextlib.asynccontextmanager
async def shop(root: Path, answers: Mapping[str, Any] | None = None, storage: Storage | None = None) -> AsyncIterator[Shop]:
    """Open a project that serves; without a storage its runs are in memory."""
    clock, outside = FakeClock(), Outside(answers=dict(answers or {}))
    engine = LocalEngine(storage or MemoryStorage(), functions=LibraryFunctions(), clock=clock, holder="treadle-mcp-test", runner=outside)
    service = Service(engine, clock)
    outside.children.attach(service)
    serving = asyncio.create_task(engine.serve())
    try:
        yield Shop(
            root=root,
            clock=clock,
            engine=engine,
            service=service,
            outside=outside,
            workflows=Files(root),
        )
    finally:
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving
        await engine.close()


@dataclass
class Told:
    """A reply as a client has it."""

    text: str
    data: dict[str, Any]
    is_error: bool

    def __getitem__(self, name: str) -> Any:
        return self.data[name]


class Agent:
    """A client that calls tools and reads replies; checks of each that text and data say the same."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.seen: list[tuple[str, Told]] = []

    async def __call__(self, tool: str, *, meta: dict[str, Any] | None = None, **arguments: Any) -> Told:
        """Call a tool."""
        result = await self.client.call_tool(tool, arguments, meta=meta)
        (block,) = result.content
        told = Told(text=block.text, data=result.structured_content, is_error=bool(result.is_error))
        assert told.is_error == (told["kind"] == "error")
        for fact in facts(told.data):
            assert fact in told.text, f"{tool}: the text lacks {fact!r}:\n{told.text}"
        self.seen.append((tool, told))
        return told

    async def do(self, call: str, **changed: Any) -> Told:
        """Make a call as a reply wrote it, word for word but for what it leaves open."""
        name, arguments = written(call, **changed)
        return await self(name, **arguments)


def facts(data: Mapping[str, Any]) -> list[str]:
    """Give what a text must hold too: ids, codes and the call to make next."""
    named = ("run_id", "action", "code", "message", "next", "instructions", "status", "workflow", "why")
    return [str(data[name]) for name in named if isinstance(data.get(name), str)]


def written(call: str, **changed: Any) -> tuple[str, dict[str, Any]]:
    """Read a call out of a sentence: `… submit_result(run_id="…", attempt=1, result=<text>)`."""
    start = min(i for name in TOOLS if (i := call.find(f"{name}(")) >= 0)
    name, _, rest = call[start:].partition("(")
    inner = rest[: rest.rindex(")")] if ", result=<" in rest else rest[: rest.index(")")]
    arguments: dict[str, Any] = {}
    while inner:
        key, _, inner = inner.partition("=")
        if inner.startswith("<"):
            inner = ""
            continue
        value, end = json.JSONDecoder().raw_decode(inner)
        arguments[key.strip()] = value
        inner = inner[end:].lstrip(", ")
    return name, arguments | changed


PERSON = Caller(kind="human", name="ann", assurance="local")
TOOLS = ("get_next_step", "submit_result", "start_workflow", "resume_run", "get_run", "list_runs", "describe_workflow")
