"""Answering calls: one method per tool, from checked arguments to a reply. Requests go to the service, which decides nothing either.

Asking never advances a run; the most that asking does is claim (ruling 45). An agent's word is taken as the agent's word: it can answer what was
handed to it, say that it cannot, set a run aside or end it, and it can neither decide a gate nor speak for another branch.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from treadle.core.definition import Definition, Delegate, McpCall, Prompt, Step
from treadle.core.errors import Failure, RequestError
from treadle.core.ids import address_of
from treadle.core.render import instant
from treadle.core.values import Json
from treadle.engine.service import Offer, Service, title_of
from treadle.mcpio.server import arguments as given
from treadle.mcpio.server import described, runs
from treadle.mcpio.server.offers import Channel, told
from treadle.mcpio.server.replies import Reply, error, refused
from treadle.mcpio.server.tools import Call
from treadle.ports import RunMeta, RunQuery
from treadle.view import RunWord

if TYPE_CHECKING:
    from treadle.authoring.find import Listed, Loaded

PROGRESS_EVERY_S: Final = 5.0
WORKFLOWS_SHOWN_MAX: Final = 50
_OPEN: Final[tuple[RunWord, ...]] = ("running", "waiting", "parked", "cancelling", "undoing")


class Workflows(Protocol):
    """Where workflows come from; `compose.OpenProject` is one."""

    def workflows(self) -> "list[Listed]":
        """List them, broken ones too."""
        ...

    def load(self, name_or_path: str | Path) -> "Loaded":
        """Load one. Raises RequestError `unknown_workflow`, `ambiguous_name`."""
        ...

    def check_ready(self, definition: Definition) -> None:
        """Raise RequestError `not_trusted`, or for a server that is not configured."""
        ...

    def held_up(self) -> str:
        """Say why writes wait at this moment; empty if they do not."""
        ...

    @property
    def variables(self) -> Mapping[str, str]:
        """Give what `env()` may read."""
        ...

    def check_gates(self, definition: Definition, starter: str, given: Mapping[str, Json]) -> None:
        """Raise RequestError `impossible_gate` if nobody could pass a gate of a run that this caller starts with these inputs."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """Where the server runs: what a run is listed by, and found by when its id is lost."""

    directory: str = ""
    branch: Callable[[], str] = str


class Calls:
    """The answers of one project's server."""

    def __init__(self, service: Service, workflows: Workflows, here: Here) -> None:
        """Answer from a service and the workflows of its project."""
        self.service, self.workflows, self.here = service, workflows, here

    # Workflows

    async def list_workflows(self, args: given.ListWorkflows, _call: Call) -> Reply:
        """Answer `list_workflows`."""
        words = args.find.lower().split()

        def read() -> list[tuple["Listed", Definition | None]]:
            fitting = [row for row in self.workflows.workflows() if all(w in f"{row.name} {row.description}".lower() for w in words)]
            left_out.append(max(0, len(fitting) - WORKFLOWS_SHOWN_MAX))
            return [(row, self._definition(row)) for row in fitting[:WORKFLOWS_SHOWN_MAX]]

        left_out: list[int] = []
        rows = await asyncio.to_thread(read)
        return described.list_reply(rows, left_out[0])

    def _definition(self, row: "Listed") -> Definition | None:
        return self.workflows.load(row.path).definition if row.status == "ready" and not row.hidden_by else None

    async def describe_workflow(self, args: given.DescribeWorkflow, _call: Call) -> Reply:
        """Answer `describe_workflow`."""
        return described.describe_reply(await asyncio.to_thread(self._load, args.workflow))

    async def start_workflow(self, args: given.StartWorkflow, call: Call) -> Reply:
        """Answer `start_workflow`: a run is created only if it can be carried out as far as can be known before."""
        inputs = given.as_data(args.inputs)
        if inputs is None:
            inputs = {}
        if not isinstance(inputs, dict):
            return error(
                "bad_arguments",
                "start_workflow: inputs: must be an object, by name",
                "nothing was started; call it again",
            )
        if given.size_of(inputs) > given.INPUTS_BYTES_MAX:
            return _too_large("inputs", given.INPUTS_BYTES_MAX)
        definition = await asyncio.to_thread(self._startable, args.workflow)
        caller = call.holder.caller()
        # The session starts the run, not the person behind it: `never: [starter]` bars nobody who can decide.
        self.workflows.check_gates(definition, caller.name, inputs)
        meta = RunMeta(
            workflow=definition.name, title=title_of(inputs), directory=self.here.directory, branch=self.here.branch(),
            started_by=caller.name,
        )  # fmt: skip
        key = f"{call.holder.session}:{args.key}" if args.key is not None else call.key
        offer = await self.service.start(definition, inputs, caller, meta, key=key, env=self.workflows.variables)
        if offer.refusal is not None:
            hint = (
                f'nothing was started; describe_workflow(workflow="{args.workflow}") shows the inputs'
                if offer.refusal.code != "conflict"
                else ""
            )
            return refused(offer.refusal, hint)
        first = offer
        if offer.kind != "ended":
            offer = await self._next(Channel(run_id=offer.run.run_id), call, wait_seconds=args.wait_seconds)
        reply = await told(self.service, offer, Channel(run_id=first.run.run_id))
        said = "This start was asked for before; it is the same run." if first.duplicate else f"Started {definition.name}."
        data = {
            **reply.data,
            "workflow": definition.name,
            **({"duplicate": True} if first.duplicate else {"started": True}),
        }
        return Reply(text=f"{said}\n{reply.text}", data=data, is_error=reply.is_error)

    def _load(self, name: str) -> "Loaded":
        """Load what the project, the user or the library offers; an agent's word opens no other file."""
        if name.startswith("/") or ".." in name.split("/"):
            raise RequestError(f"{name!r} lies outside of the project", code="unknown_workflow")
        return self.workflows.load(name)

    def _startable(self, name: str) -> Definition:
        definition = self._load(name).require()
        self.workflows.check_ready(definition)
        return definition

    # Steps

    async def get_next_step(self, args: given.GetNextStep, call: Call) -> Reply:
        """Answer `get_next_step`."""
        channel = Channel(run_id=args.run_id, written=args.branch)
        offer = await self._next(channel, call, wait_seconds=args.wait_seconds, take_over=args.take_over)
        return await told(self.service, offer, channel)

    async def submit_result(self, args: given.SubmitResult, call: Call) -> Reply:
        """Answer `submit_result`."""
        channel = Channel(run_id=args.run_id, written=args.branch)
        value, failure = None, None
        has_result = "result" in args.model_fields_set
        if args.outcome == "cannot":
            if (has_result and args.result is not None) or not args.reason:
                return error(
                    "bad_arguments",
                    "submit_result: with outcome=cannot there is a reason and no result",
                    "call it again",
                )
            failure = Failure(error_class=args.error_class, message=args.reason, step=args.action)
        elif not has_result:
            return error(
                "bad_arguments",
                "submit_result: result: is missing",
                "give it as the step's `expected` says; null where nothing is asked for",
            )
        else:
            value = await self._read(args)
            if given.size_of(value) > given.RESULT_BYTES_MAX:
                return _too_large("result", given.RESULT_BYTES_MAX)
        by = call.holder.caller(args.branch)
        offer = await self.service.submit(args.run_id, args.action, args.attempt, by, value=value, failure=failure, token=channel.token)
        if args.wait_seconds and offer.kind == "waiting" and offer.refusal is None:
            later = await self._next(channel, call, wait_seconds=args.wait_seconds)
            offer = replace(later, answered=offer.answered, duplicate=offer.duplicate)
        return await told(self.service, offer, channel, args.action)

    async def _read(self, args: given.SubmitResult) -> Any:
        """Read a text that stands for data. What is read depends on definition and text alone, so that a repeated answer is the same answer."""
        if not isinstance(args.result, str):
            return args.result
        snapshot = await self.service.engine.snapshot(args.run_id)
        step = snapshot.definition.index.steps.get(address_of(args.action))
        wants = _wants(step) if step is not None else "text"
        read = given.as_data(args.result, wants_text=wants == "text")
        return read if wants == "data" or isinstance(read, dict | list) else args.result

    async def _next(self, channel: Channel, call: Call, *, wait_seconds: int = 0, take_over: bool = False) -> Offer:
        by = call.holder.caller(channel.written)
        async with _alive(call, wait_seconds):
            return await self.service.next_step(channel.run_id, by, token=channel.token, take_over=take_over, wait_ms=wait_seconds * 1000)

    async def heartbeat(self, args: given.Heartbeat, call: Call) -> Reply:
        """Answer `heartbeat`."""
        channel = Channel(run_id=args.run_id, written=args.branch)
        until_ms = await self.service.heartbeat(args.run_id, args.action, args.attempt, call.holder.name(args.branch))
        if until_ms is None:
            said = f"`{args.action}` is not held by you as attempt {args.attempt}"
            return error("not_held", said, f"stop working on it; {channel.call('get_next_step')}")
        seconds = (until_ms - self.service.clock.now_ms()) // 1000
        data = {
            "kind": "held",
            "run_id": args.run_id,
            "action": args.action,
            "lease_seconds": seconds,
            "lease_until": instant(until_ms),
        }
        text = f"`{args.action}` of run {args.run_id} is yours for {seconds} s more, until {data['lease_until']}."
        return Reply(text=text, data=data)

    # Runs

    async def get_run(self, args: given.GetRun, _call: Call) -> Reply:
        """Answer `get_run`; without an id, for the run that is most likely meant."""
        run_id, others = args.run_id, list[str]()
        if run_id is None:
            query, rows = await self._found(args.find)
            if not rows:
                return error("unknown_run", "there is no such run here", "list_runs(all=true) shows the runs there are")
            if args.find and len(rows) > 1:
                return runs.runs_reply(rows[: query.limit], more=len(rows) > query.limit, found_for=args.find)
            run_id, others = rows[0].id, [row.id for row in rows[1:]]
        snapshot = await self.service.engine.snapshot(run_id)
        return self._with_hold_up(runs.run_reply(snapshot, full=args.full, others=others))

    def _with_hold_up(self, reply: Reply) -> Reply:
        """Say beside what was read why nothing can be written now."""
        why = self.workflows.held_up()
        return replace(reply, text=f"{reply.text}\n{why}", data={**reply.data, "writes_wait": why}) if why else reply

    async def _found(self, words: str) -> tuple[RunQuery, list[Any]]:
        """Look for a run from what is nearest to what is farthest."""
        here, branch = self.here.directory, self.here.branch()
        if words:
            queries = [RunQuery(words=words, open_only=True, limit=6), RunQuery(words=words, limit=6)]
        else:
            queries = [
                RunQuery(directory=here, branch=branch, open_only=True, limit=6),
                RunQuery(directory=here, open_only=True, limit=6),
                RunQuery(open_only=True, limit=6),
                RunQuery(limit=1),
            ]
        for query in queries:
            rows = await self.service.runs(query)
            if rows:
                return query, rows
        return queries[-1], []

    async def list_runs(self, args: given.ListRuns, _call: Call) -> Reply:
        """Answer `list_runs`."""
        query = RunQuery(
            words=args.find, statuses=(args.status,) if args.status is not None else (), before=args.before,
            open_only=not args.all and args.status is None, limit=args.limit + 1,
        )  # fmt: skip
        rows = await self.service.runs(query)
        return self._with_hold_up(runs.runs_reply(rows[: args.limit], more=len(rows) > args.limit))

    async def cancel_run(self, args: given.CancelRun, call: Call) -> Reply:
        """Answer `cancel_run`."""
        return await self._moved(await self.service.cancel(args.run_id, call.holder.caller(), args.reason), args.run_id)

    async def park_run(self, args: given.ParkRun, call: Call) -> Reply:
        """Answer `park_run`."""
        return await self._moved(await self.service.park(args.run_id, call.holder.caller(), args.reason), args.run_id)

    async def resume_run(self, args: given.ResumeRun, call: Call) -> Reply:
        """Answer `resume_run`."""
        return await self._moved(await self.service.resume(args.run_id, call.holder.caller()), args.run_id)

    async def _moved(self, offer: Offer, run_id: str) -> Reply:
        if offer.refusal is not None:
            return refused(offer.refusal)
        snapshot = await self.service.engine.snapshot(run_id)
        return runs.run_reply(snapshot)


@contextlib.asynccontextmanager
async def _alive(call: Call, wait_seconds: int) -> AsyncIterator[None]:
    """Tell a client that waits that its call is alive; at once, and then every few seconds."""
    if not wait_seconds:
        yield
        return

    async def pulse() -> None:
        done = 0.0
        while True:
            await call.progress(done, "waiting for something to do")
            await asyncio.sleep(PROGRESS_EVERY_S)
            done += PROGRESS_EVERY_S

    task = asyncio.create_task(pulse())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _wants(step: Step) -> str:
    """Say how an answer that came as text is meant: as `text`, as `data`, or as data only if it is an object or list (`either`)."""
    match step.spec:
        case Prompt(format="confirm" | "form") | Prompt(format="choice", multiple=True):
            return "data"
        case Delegate(output=dict(output)):
            kinds = output.get("type")
            named = kinds if isinstance(kinds, list) else [kinds]
            return "text" if "string" in named else "either" if kinds is None else "data"
        case McpCall():
            return "either"
        case _:
            return "text"


def _too_large(name: str, limit: int) -> Reply:
    said = f"`{name}` is larger than {limit >> 20} MiB"
    return error("too_large", said, "put it into a file and give the path and a summary instead")
