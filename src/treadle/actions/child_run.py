"""The action `run`: another workflow, carried on as a run of its own, whose end is this action's answer.

Theory of operation: the child's id follows from the parent's and from the step's path, so that starting it again finds it: a process that dies
between start and answer leaves nothing behind that a second one would double. The child is performed by whoever serves the project, like every
run; this performer only waits for its end. It lives as long as the step wants it (`ports.Outliving`): another process that takes the action
over goes on waiting in the same attempt. An attempt that follows a failure is a run of its own.

Asked to stop, it does what `close_policy` says: `cancel` asks the child to end and waits for that, `wait` waits for as long as the parent does,
`abandon` lets it live. `sweep` does for a process that died while it was asked what it could not do any more.
"""

import asyncio
import contextlib
import secrets
from typing import Final, Protocol, cast

from treadle.actions.outcome import CallOutcome
from treadle.actions.secrets import names_in
from treadle.core.definition import Run
from treadle.core.errors import RequestError
from treadle.core.events import Caller, CancelRequested, Event, RunStarted, Woken
from treadle.core.ids import address_of, child_of_attempt, child_run_id, is_child_run
from treadle.core.limits import CANCEL_GRACE_MS, CHILD_DEPTH_MAX
from treadle.core.state import ActionState, RunState
from treadle.core.values import Json, Value
from treadle.ports import STOP, ActionCall, Clock, Engine, Lapsed, RunMeta, RunQuery, Snapshot
from treadle.view import title_of

LOOK_AGAIN_MS: Final = 60_000
TRY_AGAIN_S: Final = 1.0
CLOSE_S: Final = 5.0
BY: Final = Caller(kind="server", name="treadle")
_PAGE: Final = 200


class Runs(Protocol):
    """What can be asked of runs: `treadle.engine.service.Service`."""

    engine: Engine
    clock: Clock

    async def changed(self, run_id: str, revision: int, timeout_ms: int, *, urgent: bool = True) -> None:
        """Return when a run has moved past a revision, or after a time."""
        ...

    async def filled(self, value: Value) -> Value:
        """Give a value whole."""
        ...


class ChildRuns:
    """Performs `run` steps; `attach` it to the service before anything is performed."""

    def __init__(self) -> None:
        """Know no service yet: that stands over the engine that performs this."""
        self._runs: Runs | None = None
        self._stopping: set[asyncio.Task[None]] = set()

    def attach(self, runs: Runs) -> None:
        """Say by whom children are started and asked."""
        self._runs = runs

    async def perform(self, call: ActionCall, _params: dict[str, Json]) -> CallOutcome:
        """Start the child once, wait for its end, and give what it gave."""
        if self._runs is None:
            return _failed("this process cannot start runs")
        return await _Child(self._runs, call).perform()

    def stop(self, run_id: str, action: str, attempt: int) -> None:
        """Ask the child of an attempt to end, also where nobody watches it; safe to repeat."""
        if self._runs is not None:
            task = asyncio.create_task(_stop(self._runs.engine, run_id, action, attempt))
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)

    async def close(self) -> None:
        """Finish asking children to end; before the engine closes."""
        if self._stopping:
            await asyncio.wait(self._stopping, timeout=CLOSE_S)

    async def sweep(self) -> None:
        """Ask every child to end whose parent has gone on without it and does not let it live."""
        if self._runs is None:
            return
        before: str | None = None
        while rows := await self._runs.engine.runs(RunQuery(open_only=True, limit=_PAGE, before=before)):
            for row in rows:
                # One run's trouble is its own.
                with contextlib.suppress(RequestError):
                    if is_child_run(row.id) and await _is_orphan(self._runs.engine, row.id):
                        await _cancel(self._runs.engine, row.id, "its parent has gone on without it")
            before = rows[-1].id


def outlives(action: ActionState) -> bool:
    """Tell whether an action is a child run, which goes on whoever waits for it."""
    return action.kind == "run" and action.performer == "server"


class _Child:
    """One attempt of a `run` step."""

    def __init__(self, runs: Runs, call: ActionCall) -> None:
        self._runs, self._engine, self._call = runs, runs.engine, call
        self._name, self._detach = str(call.params["workflow"]), call.params.get("detach") is True
        self.run_id = child_of_attempt(str(call.params["run_id"]), call.action.attempt)
        self._begun = asyncio.Event()

    async def perform(self) -> CallOutcome:
        """Carry the work on while it is asked to stop; cancelled otherwise, leave the child to who comes after."""
        work = asyncio.create_task(self._carried_on())
        stopping: asyncio.Task[None] | None = None
        try:
            while True:
                try:
                    await asyncio.wait({work})
                    return work.result()
                except asyncio.CancelledError as error:
                    if error.args != (STOP,) or work.cancelled():
                        raise
                    if stopping is None or stopping.done():
                        stopping = asyncio.create_task(self._stop(work))
        finally:
            work.cancel()
            if stopping is not None:
                stopping.cancel()

    async def _carried_on(self) -> CallOutcome:
        parent = await self._engine.snapshot(self._call.run_id)
        refused = await self._started(parent)
        self._begun.set()
        if refused is not None:
            return refused
        if self._detach:
            return CallOutcome(value={"run_id": self.run_id})
        return await self._outcome(await self._ended())

    async def _started(self, parent: Snapshot) -> CallOutcome | None:
        """Start the child unless it is there; an outcome where it may not be started."""
        if await self._is_there():
            return None
        inputs = self._call.params.get("inputs")
        if any(names_in(inputs)):
            return _failed(f"a secret may not be given to `{self._name}`; nothing was started", "secret_not_allowed")
        limit = await self._depth_max(parent)
        if parent.state.depth >= limit:
            return _failed(f"child runs are nested deeper than {limit}; `{self._name}` was not started", "too_deep")
        definition, given = parent.definition.children[self._name], cast(dict[str, Json], inputs or {})
        meta = RunMeta(
            workflow=definition.name, title=title_of(given) or parent.meta.title,
            directory=self._call.action.working_dir or parent.meta.directory,
            branch=parent.meta.branch, started_by=parent.meta.started_by,
        )  # fmt: skip
        event = RunStarted(
            at_ms=self._runs.clock.now_ms(), run_id=self.run_id, seed=secrets.token_hex(16), inputs=given,
            by=Caller(kind="server", name=parent.state.started_by), env=parent.state.env, depth=parent.state.depth + 1,
            parent=f"{self._call.run_id}/{self._call.action.id}", calls_max=self._call.action.reserved,
        )  # fmt: skip
        try:
            reply = await self._engine.start(definition, event, meta)
        except RequestError as error:
            if error.code != "run_exists":
                raise
            return None
        if reply.refusal is None:
            return None
        return _failed(f"`{self._name}` was not started: {reply.refusal.message}", reply.refusal.code)

    async def _is_there(self) -> bool:
        """Find the child; after a loss (`redo`) also that of an attempt before, if it is open still."""
        first, attempt = str(self._call.params["run_id"]), self._call.action.attempt
        for number in range(attempt, 0, -1):
            run_id = child_of_attempt(first, number)
            try:
                state = (await self._engine.snapshot(run_id)).state
            except RequestError as error:
                if error.code != "unknown_run":
                    raise
                continue
            if number == attempt or (self._call.action.redo and not state.ended):
                self.run_id = run_id
                return True
        return False

    async def _depth_max(self, parent: Snapshot) -> int:
        """Give how deep runs may be nested here: every run above may bound what is below it."""
        limit, above = CHILD_DEPTH_MAX, parent
        while True:
            limit = min(limit, above.state.depth + above.definition.limits.depth_max)
            if above.state.parent is None:
                return limit
            try:
                above = await self._engine.snapshot(above.state.parent.partition("/")[0])
            except RequestError:  # a detached child may live longer than what started it is kept
                return limit

    async def _ended(self) -> RunState:
        while True:
            try:
                state = (await self._engine.snapshot(self.run_id)).state
                if state.ended:
                    return state
                await self._runs.changed(self.run_id, state.revision, LOOK_AGAIN_MS, urgent=False)
            except RequestError as error:
                if not error.code.startswith("storage_"):
                    raise
                await asyncio.sleep(TRY_AGAIN_S)

    async def _outcome(self, state: RunState) -> CallOutcome:
        used = state.used
        if state.status in {"completed", "completed_degraded"}:
            value = cast(Json, await self._runs.filled(state.result))
            return CallOutcome(value=value, usage=used, degraded=state.status == "completed_degraded")
        said = state.status.replace("_", " ")
        failure = state.failure
        message = f"child {self.run_id} {said}: {failure.message}" if failure is not None else f"child {self.run_id}: {said}"
        error_class = failure.error_class if failure is not None and state.status != "cancelled" else "failed"
        return CallOutcome(has_value=False, error_class=error_class, message=message, usage=used)

    async def _stop(self, work: "asyncio.Task[CallOutcome]") -> None:
        """Do what the step's `close_policy` says now that nobody wants its answer, or somebody waits for the child's end alone."""
        await self._begun.wait()
        snapshot = await self._engine.snapshot(self._call.run_id)
        action = snapshot.state.actions.get(self._call.action.id)
        is_awaited = action is not None and action.attempt == self._call.action.attempt and action.status == "stopping"
        policy = _policy(snapshot, self._call.action.id)
        if self._detach or policy == "abandon":
            work.cancel()
        elif policy == "cancel" or not is_awaited:
            with contextlib.suppress(RequestError):
                await _cancel(self._engine, self.run_id, f"the step `{self._call.action.id}` of {self._call.run_id} was stopped")
            await asyncio.sleep(CANCEL_GRACE_MS / 1000)
            work.cancel()


def _policy(parent: Snapshot, action_id: str) -> str:
    step = parent.definition.index.steps[address_of(action_id)]
    return "abandon" if not isinstance(step.spec, Run) or step.spec.detach else step.spec.close_policy


async def _is_orphan(engine: Engine, run_id: str) -> bool:
    state = (await engine.snapshot(run_id)).state
    parent_id, _, action_id = (state.parent or "").partition("/")
    if not action_id or state.status == "cancelling":
        return False
    parent = await engine.snapshot(parent_id)
    return action_id not in parent.state.actions and _policy(parent, action_id) != "abandon"


async def _stop(engine: Engine, run_id: str, action_id: str, attempt: int) -> None:
    # What cannot be told now is found by a sweep.
    with contextlib.suppress(RequestError):
        parent = await engine.snapshot(run_id)
        step = parent.definition.index.steps.get(address_of(action_id))
        if step is not None and isinstance(step.spec, Run) and _policy(parent, action_id) != "abandon":
            child_id = child_of_attempt(child_run_id(run_id, action_id), attempt)
            await _cancel(engine, child_id, f"the step `{action_id}` of {run_id} was stopped")


async def _cancel(engine: Engine, run_id: str, reason: str) -> None:
    """Ask a child to end, once: asked again, it would end at once and leave undone what it does at its end."""

    def make(at_ms: int, state: RunState, _lapsed: Lapsed) -> Event:
        return CancelRequested(at_ms=at_ms, by=BY, reason=reason) if state.status == "running" else Woken(at_ms=at_ms)

    await engine.send(run_id, make)


def _failed(message: str, code: str = "") -> CallOutcome:
    return CallOutcome(has_value=False, error_class="failed", code=code, message=message + (f" [{code}]" if code else ""))
