"""The Temporal engine, seen from a client: `ports.Engine` over one workflow per run.

A request becomes an event here, goes to the run's workflow as an update, and is answered when Temporal has made it durable; the state for the
reply is then asked for by itself. What the reply of an update holds stays in Temporal's history for good, so it is kept small.

`MakeEvent` asks for the state that its event will meet. Nobody outside the workflow knows that state: it is called with the newest one that
this client has seen, and the workflow puts its own time and its own lapsed leases into the event. A run that has ended has no workflow that
could answer; the pure core answers here, from its last state.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final, NoReturn, TypeVar, cast

from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)  # fmt: skip
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from treadle.core.advance import advance
from treadle.core.codec import dumps, from_data
from treadle.core.commands import Decision
from treadle.core.definition import Definition, Merge
from treadle.core.errors import Refusal, RequestError
from treadle.core.events import Event, RunForked, RunStarted, Woken
from treadle.core.limits import LEASE_MS
from treadle.core.state import RunState
from treadle.core.values import Value, digest
from treadle.engine.temporal.activities import Activities
from treadle.engine.temporal.convert import CONVERTER, PAYLOAD_BYTES_MAX, Begin, Letter, Look, Shown, Told
from treadle.engine.temporal.workflow import SHOWN, UNCHANGED, RunShell
from treadle.engine.transact import Transition, transition
from treadle.ports import (
    ActionRunner,
    Clock,
    Functions,
    Lease,
    MakeEvent,
    MakeMigration,
    Reply,
    Request,
    RunMeta,
    RunQuery,
    RunRow,
    Snapshot,
    StoredEvent,
)  # fmt: skip

T = TypeVar("T")
ANSWER_WITHIN: Final = timedelta(seconds=20)
DEAD_AFTER: Final = timedelta(seconds=2)
"""A worker that does not take up the runs that it has in its cache for so long is passed over."""

SEEN_RUNS_MAX: Final = 1_000
Handle = WorkflowHandle[RunShell, str]


class TemporalEngine:
    """An engine over a Temporal namespace; implements `ports.Engine` as far as it is built, and refuses the rest as `not_yet`."""

    def __init__(
        self, client: Client, *, task_queue: str, functions: Functions, clock: Clock, runner: ActionRunner | None = None,
        lease_ms: int = LEASE_MS,
    ) -> None:  # fmt: skip
        """`client` was made by `connect`. Without a `runner` it serves nothing, and some other worker of the task queue must."""
        self._client, self._task_queue, self._clock, self._lease_ms = client, task_queue, clock, lease_ms
        self._functions, self._runner = functions, runner
        self._seen: OrderedDict[str, Snapshot] = OrderedDict()

    async def start(
        self, definition: Definition, event: Event, meta: RunMeta, request: Request | None = None, *, shared: Sequence[Event] = ()
    ) -> Reply:
        """Create a run; see `ports.Engine.start`. Under a request's key the run's id is derived from it: that is how it is found again."""
        if shared or isinstance(event, RunForked):
            raise _not_yet("a run cannot be forked")
        if not isinstance(event, RunStarted):
            raise RequestError("a run begins with RunStarted")
        if definition.children:
            raise _not_yet("a workflow that runs another one cannot be started")
        if any(step.isolation or isinstance(step.spec, Merge) for step in definition.index.steps.values()):
            raise _not_yet("a workflow that works in git worktrees cannot be started")
        first = advance(definition, None, event)
        if isinstance(first, Decision) and first.refusal is not None and not first.changed:
            return Reply(run_id=event.run_id, state=first.state, definition=definition, refusal=first.refusal)
        run_id = event.run_id if request is None else "run_" + digest(request.key.encode())[-24:]
        begin = Begin(
            definition=definition, event=replace(event, run_id=run_id), meta=meta, lease_ms=self._lease_ms, request=request
        )  # fmt: skip
        _refuse_large("the workflow with its inputs", dumps(begin))
        operation: WithStartWorkflowOperation[RunShell, str] = WithStartWorkflowOperation(
            RunShell.run, begin, id=_workflow_id(run_id), task_queue=self._task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.FAIL, id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
        )  # fmt: skip
        try:
            # The overloads of the SDK leave one parameter untyped, here and below; what they give is typed.
            told = await self._client.execute_update_with_start_workflow(  # pyright: ignore[reportUnknownMemberType]
                RunShell.opened, start_workflow_operation=operation, rpc_timeout=ANSWER_WITHIN
            )
        except (RPCError, WorkflowUpdateRPCTimeoutOrCancelledError) as error:
            _raise_unavailable(run_id, error)
        except WorkflowAlreadyStartedError as error:
            if request is None:
                raise RequestError(f"there is a run {run_id!r} already", code="run_exists") from error
            return await self.send(run_id, lambda at_ms, _state, _lapsed: Woken(at_ms=at_ms), request)
        return await self._reply(run_id, told)

    async def send(self, run_id: str, make: MakeEvent, request: Request | None = None) -> Reply:
        """Put one event through the core; see `ports.Engine.send`."""
        seen = self._seen.get(run_id) or await self.snapshot(run_id)
        letter = Letter(event=make(self._clock.now_ms(), seen.state, lambda: ()), request=request)
        _refuse_large("the answer", dumps(letter))
        try:
            told = await self._handle(run_id).execute_update(  # pyright: ignore[reportUnknownMemberType]
                RunShell.put, letter, rpc_timeout=ANSWER_WITHIN
            )
        except WorkflowUpdateFailedError as error:
            told = _detail(error, UNCHANGED, Told)
        except (RPCError, WorkflowUpdateRPCTimeoutOrCancelledError) as error:
            if not _is_gone(error):
                _raise_unavailable(run_id, error)
            return await self._told_of_the_end(await self.snapshot(run_id), letter)
        return await self._reply(run_id, told)

    async def renew(self, run_id: str, lease: Lease) -> bool:
        """Lengthen a lease; see `ports.Engine.renew`. Costs five events of Temporal's history."""
        if run_id not in self._seen:
            await self.snapshot(run_id)
        try:
            return await self._handle(run_id).execute_update(  # pyright: ignore[reportUnknownMemberType]
                RunShell.renew, lease, rpc_timeout=ANSWER_WITHIN
            )
        except (RPCError, WorkflowUpdateRPCTimeoutOrCancelledError) as error:
            if not _is_gone(error):
                _raise_unavailable(run_id, error)
            return False

    async def snapshot(self, run_id: str) -> Snapshot:
        """Read a run; see `ports.Engine.snapshot`."""
        known = self._seen.get(run_id)
        shown = await self._shown(run_id, Look(opening=known is None))
        if shown.state is None:
            raise _unknown_run(run_id)
        if shown.opening is not None:
            known = Snapshot(definition=shown.opening.definition, state=shown.state, meta=shown.opening.meta)
        if known is None:
            raise RequestError(f"run {run_id} was shown without its definition", code="bug")
        seen = self._seen[run_id] = replace(known, state=shown.state, leases=shown.leases)
        self._seen.move_to_end(run_id)
        if len(self._seen) > SEEN_RUNS_MAX:
            self._seen.popitem(last=False)
        return seen

    async def migrate(self, run_id: str, definition: Definition, make: MakeMigration) -> Reply:  # noqa: ARG002 (refused whatever is asked)
        """Refused: the workflow of a run has its definition for life."""
        raise _not_yet(f"{run_id} cannot be moved to another definition")

    async def definition(self, digest: str) -> Definition:
        """Refused: definitions are not kept apart from their runs."""
        raise _not_yet(f"the definition {digest} cannot be read by itself")

    async def runs(self, query: RunQuery) -> list[RunRow]:  # noqa: ARG002 (refused whatever is asked)
        """Refused: listing needs search attributes."""
        raise _not_yet("runs cannot be listed")

    async def events(self, run_id: str, after_rev: int = 0) -> list[StoredEvent]:
        """Read a run's history; see `ports.Engine.events`. `seq` orders the events of one run alone."""
        return list((await self._shown(run_id, Look(after_rev=after_rev))).events)

    async def blob(self, digest: str) -> Value:
        """Refused: nothing is set aside here."""
        raise _not_yet(f"the value {digest} cannot be set aside or read")

    def changes(self, after_seq: int | None = None, *, urgent: bool = True) -> AsyncIterator[tuple[int, str]]:  # noqa: ARG002 (refused)
        """Refused: there is no order over all runs of a namespace."""
        raise _not_yet("changes cannot be followed")

    async def serve(self) -> None:
        """Work for the task queue until cancelled."""
        if self._runner is None:
            raise RequestError("this engine was given nothing to perform with", code="no_runner")
        activities = Activities(self._runner, self._functions)
        # Treadle's modules are passed through: the core is pure by an import contract, and need not be loaded anew for each run.
        sandbox = SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules("treadle"))
        worker = Worker(
            self._client, task_queue=self._task_queue, workflows=[RunShell], activities=activities.all(),
            workflow_runner=sandbox,  sticky_queue_schedule_to_start_timeout=DEAD_AFTER,
        )  # fmt: skip
        await worker.run()

    async def close(self) -> None:
        """Nothing to let go: the client has no close."""

    # Asking

    def _handle(self, run_id: str) -> Handle:
        return self._client.get_workflow_handle_for(RunShell.run, _workflow_id(run_id))

    async def _shown(self, run_id: str, look: Look) -> Shown:
        """Ask an open run by an update that is refused, an ended one by query: `RunShell.peek` says why."""
        try:
            await self._handle(run_id).execute_update(  # pyright: ignore[reportUnknownMemberType]
                RunShell.peek, look, rpc_timeout=ANSWER_WITHIN
            )
        except WorkflowUpdateFailedError as error:
            return _detail(error, SHOWN, Shown)
        except (RPCError, WorkflowUpdateRPCTimeoutOrCancelledError) as error:
            if not _is_gone(error):
                _raise_unavailable(run_id, error)
        return await self._query(run_id, self._handle(run_id).query(RunShell.shown, look, rpc_timeout=ANSWER_WITHIN))

    async def _query(self, run_id: str, query: Awaitable[T]) -> T:
        try:
            return await query
        except WorkflowQueryFailedError as error:
            raise RequestError(f"run {run_id} cannot be read: {error}", code="bug", hint="see the worker's log") from error
        except RPCError as error:
            if _is_gone(error):
                raise _unknown_run(run_id) from error
            _raise_unavailable(run_id, error)

    async def _reply(self, run_id: str, told: Told) -> Reply:
        if told.refusal is not None and told.refusal.code == "not_yet":
            raise RequestError(told.refusal.message, code="not_yet", hint=told.refusal.hint)
        seen = await self.snapshot(run_id)
        return _reply(run_id, seen, told)

    async def _told_of_the_end(self, seen: Snapshot, letter: Letter) -> Reply:
        """Answer for a run that has ended: the reply that was stored for the request, else what the core says."""
        run_id = seen.state.run_id
        if letter.request is not None:
            told = await self._query(run_id, self._handle(run_id).query(RunShell.reply, letter.request, rpc_timeout=ANSWER_WITHIN))
            if told != Told():
                return _reply(run_id, seen, told)
        return _reply(run_id, seen, Told(refusal=_refused_by_the_end(seen.definition, seen.state, letter.event)))


def _reply(run_id: str, seen: Snapshot, told: Told) -> Reply:
    return Reply(
        run_id=run_id, state=seen.state, definition=seen.definition, refusal=told.refusal, claimed=told.claimed,
        lease_until_ms=told.lease_until_ms, duplicate=told.duplicate,
    )  # fmt: skip


def _refused_by_the_end(definition: Definition, state: RunState, event: Event) -> Refusal | None:
    """Say what the core says to an event that comes after the end; what it would take up again has no workflow that could go on."""
    try:
        next(transition(definition, state, event))
    except StopIteration as done:
        found = cast(Transition, done.value)
        if not found.events:
            return found.refusal
    raise _not_yet("what an ended run did cannot be taken back, for its workflow is over,")


def _workflow_id(run_id: str) -> str:
    return f"treadle/{run_id}"


def _refuse_large(what: str, body: bytes) -> None:
    if len(body) > PAYLOAD_BYTES_MAX:
        raise _not_yet(f"{what} takes {len(body)} bytes; more than {PAYLOAD_BYTES_MAX} cannot be sent")


def _is_gone(error: Exception) -> bool:
    """Tell whether an update met no workflow: there is none, or it has ended."""
    return isinstance(error, RPCError) and error.status is RPCStatusCode.NOT_FOUND


def _detail(error: WorkflowUpdateFailedError, name: str, cls: type[T]) -> T:
    """Read what a validator refused with."""
    cause = error.cause
    if isinstance(cause, ApplicationError) and cause.type == name and cause.details:
        return from_data(cls, cause.details[0])
    raise RequestError(f"the run's workflow refused: {cause}", code="bug", hint="see the worker's log") from error


def _raise_unavailable(run_id: str, error: Exception) -> NoReturn:
    if isinstance(error.__cause__, asyncio.CancelledError):
        raise error.__cause__  # the SDK hides that it was we who did not want to wait any longer
    if isinstance(error, RPCError) and error.status is RPCStatusCode.FAILED_PRECONDITION:
        raise _not_yet(f"run {run_id} has had all the updates that one execution may have ({error}); it cannot go on") from error
    raise RequestError(
        f"run {run_id} was not answered for: {error}. Whether the request took place is not known.", code="storage_unavailable",
        hint="see that the server and a worker of the task queue run, then ask again: a repeated request is taken once",
    ) from error  # fmt: skip


def _unknown_run(run_id: str) -> RequestError:
    return RequestError(f"there is no run {run_id!r} here", code="unknown_run", hint="look into Temporal for the namespace's workflows")


def _not_yet(what: str) -> RequestError:
    return RequestError(f"not_yet: {what} on the Temporal engine", code="not_yet", hint="run it on the embedded engine")


async def connect(address: str, *, namespace: str = "default") -> Client:
    """Connect to a server, with the converter that the engine needs. Raises RequestError `storage_unavailable`."""
    try:
        return await Client.connect(address, namespace=namespace, data_converter=CONVERTER)
    except RuntimeError as error:
        raise RequestError(f"no Temporal server answers at {address}: {error}", code="storage_unavailable") from error
