"""A world for one test: an engine with its service, a scripted outside, a clock, and the histories to be checked at the end.

What is around the engine is scripted at its ports (`ActionRunner`, `Functions`); the engine, its storage and its time are real. A `Harness`
says how one kind of engine is opened, and opened again after it was closed; the same stored runs must then be there.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Final, Protocol

from treadle.actions.child_run import ChildRuns, outlives
from treadle.actions.runner import answer_of
from treadle.core.codec import dumps
from treadle.core.definition import Definition
from treadle.core.errors import Failure, RequestError
from treadle.core.events import ActionAnswered, Caller, Event, RunStarted
from treadle.core.state import ENDED, ActionState
from treadle.core.values import Json, Value
from treadle.engine.service import Offer, Service
from treadle.engine.transact import Definitions, migration_in, replay
from treadle.ports import ActionCall, Answer, Clock, Engine, FunctionFailedError, RunMeta, StoredEvent
from treadle.view import ActionView, RunView, view

AGENT: Final = Caller(kind="agent", name="agent-1")
OTHER: Final = Caller(kind="agent", name="agent-2")
THIRD: Final = Caller(kind="agent", name="agent-3")
PERSON: Final = Caller(kind="human", name="ann", assurance="local")
PATIENCE_S: Final = 10.0

Behaviour = Callable[[ActionCall], Awaitable[Answer]]
Scripted = Answer | Failure | Behaviour | Value
LOST: Final = Answer(lost=True)


class ScriptedActions:
    """The outside world by script: what each server-performed action meets, in order of its attempts. Keeps what it was asked.

    A child run without a script is carried on for real.
    """

    def __init__(self) -> None:
        """Know nothing: any other action without a script is answered by null."""
        self.calls: list[ActionCall] = []
        self.children = ChildRuns()
        self._scripts: list[tuple[str, list[Scripted]]] = []
        self._called = asyncio.Condition()

    def on(self, pattern: str, *answers: Scripted) -> None:
        """Answer actions whose id fits a pattern, one answer per call; the last one stays."""
        self._scripts.append((pattern, list(answers)))

    async def perform(self, call: ActionCall) -> Answer:
        """Do what the script says."""
        async with self._called:
            self.calls.append(call)
            self._called.notify_all()
        found = self._next(call.action.id)
        if found is None and call.action.kind == "run":
            return answer_of(call, await self.children.perform(call, {}))
        if callable(found):
            return await found(call)
        if isinstance(found, Answer):
            return found
        return Answer(failure=found) if isinstance(found, Failure) else Answer(value=found)

    def outlives(self, action: ActionState) -> bool:
        """Tell whether an action goes on without the process that performs it."""
        return outlives(action)

    def stop(self, run_id: str, action: str, attempt: int) -> None:
        """Ask an attempt to stop."""
        self.children.stop(run_id, action, attempt)

    def settled(self, call: ActionCall) -> None:
        """Nothing is kept of an attempt."""

    def _next(self, action_id: str) -> Scripted:
        for pattern, answers in self._scripts:
            if fnmatchcase(action_id, pattern):
                return answers.pop(0) if len(answers) > 1 else answers[0]
        return None

    def of(self, action_id: str) -> list[ActionCall]:
        """Give the calls of one action."""
        return [call for call in self.calls if call.action.id == action_id]

    async def called(self, action_id: str, times: int = 1) -> ActionCall:
        """Wait until an action was begun so many times; gives the last call."""
        async with asyncio.timeout(PATIENCE_S), self._called:
            await self._called.wait_for(lambda: len(self.of(action_id)) >= times)
        return self.of(action_id)[-1]


class ScriptedFunctions:
    """Registered functions by table; counts their calls."""

    def __init__(self, table: Mapping[str, Callable[..., Value]]) -> None:
        """Offer functions, each in version 1."""
        self.table, self.calls = dict(table), list[str]()

    def call(self, name: str, version: str, args: Sequence[Value], kwargs: dict[str, Value]) -> Value:
        """Call one; see `ports.Functions`."""
        if name not in self.table or version != "1":
            raise FunctionFailedError(f"there is no function `{name}` in version {version}")
        self.calls.append(name)
        try:
            return self.table[name](*args, **kwargs)
        except ValueError as error:
            raise FunctionFailedError(str(error)) from error


class Harness(Protocol):
    """One kind of engine under test. `lacks` names what it refuses as `not_yet`, by the words that cases use in `needs`."""

    lacks: frozenset[str]
    lease_ms: int

    @property
    def clock(self) -> Clock:
        """The clock that engine and service read."""
        ...

    async def open(self, actions: ScriptedActions, functions: ScriptedFunctions) -> Engine:
        """Open an engine, or open it again on what the one before it has stored."""
        ...

    async def elapse(self, by_ms: int) -> None:
        """Let time pass."""
        ...


class World:
    """What a case works with. Requests go through `service`; time passes by `elapse`; nothing else moves."""

    def __init__(self, harness: Harness, engine: Engine, actions: ScriptedActions, functions: ScriptedFunctions) -> None:
        """Made by `opened`."""
        self.harness, self.engine, self.actions, self.functions = harness, engine, actions, functions
        self.service = Service(engine, harness.clock, lease_ms=harness.lease_ms)
        actions.children.attach(self.service)
        self.started: list[str] = []
        self._serving: asyncio.Task[None] | None = None

    async def begin(
        self, definition: Definition, inputs: Mapping[str, Json] | None = None, *, by: Caller = AGENT, key: str | None = None,
        meta: RunMeta | None = None, seed: str | None = None,
    ) -> Offer:  # fmt: skip
        """Start a run; with a `seed` under a name of its own, so that it can be compared with others."""
        meta = meta or RunMeta(workflow=definition.name)
        if seed is None:
            offer = await self.service.start(definition, dict(inputs or {}), by, meta, key=key)
        else:
            run_id = f"run_{seed}{len(self.started)}"
            event = RunStarted(at_ms=self.harness.clock.now_ms(), run_id=run_id, seed=seed, inputs=dict(inputs or {}), by=by)
            reply = await self.engine.start(definition, event, meta)
            offer = Offer(kind="waiting", run=view(definition, reply.state), refusal=reply.refusal)
        if offer.refusal is None and offer.run.run_id not in self.started:
            self.started.append(offer.run.run_id)
        return offer

    async def claim(self, run_id: str, by: Caller = AGENT, **more: object) -> ActionView:
        """Ask for the next step, which must be there."""
        offer = await self.service.next_step(run_id, by, **more)  # type: ignore[arg-type] - the keywords of next_step
        assert offer.action is not None, f"nothing to do: {offer.kind}, {offer.refusal}"
        return offer.action

    async def answer(self, run_id: str, value: object = None, *, by: Caller = AGENT, **more: object) -> Offer:
        """Claim the next step and answer it."""
        action = await self.claim(run_id, by, **more)
        return await self.service.submit(run_id, action.id, action.attempt, by, value=value, **more)  # type: ignore[arg-type]

    async def elapse(self, by_ms: int) -> None:
        """Let time pass."""
        await self.harness.elapse(by_ms)

    async def until(self, run_id: str, test: Callable[[RunView], bool]) -> RunView:
        """Wait until a run looks so."""
        shown = await self.service.look(run_id)
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not test(shown):
                    _check_is_built(shown)
                    await self._moved(run_id, shown.revision)
                    shown = await self.service.look(run_id)
        except TimeoutError:
            opened = ", ".join(f"{action.id} {action.status}" for action in shown.actions[:10])
            raise AssertionError(
                f"waited {PATIENCE_S:.0f} s in vain: {run_id} is {shown.status} at revision {shown.revision}; open: {opened or 'nothing'}"
            ) from None
        return shown

    async def ended(self, run_id: str) -> RunView:
        """Wait for the end of a run."""
        return await self.until(run_id, lambda run: run.status in ENDED)

    async def action(self, run_id: str, action_id: str, status: str) -> ActionView:
        """Wait until an action has a status."""
        run = await self.until(run_id, lambda run: any(a.id == action_id and a.status == status for a in run.actions))
        return next(a for a in run.actions if a.id == action_id)

    async def there(self, run_id: str) -> RunView:
        """Wait until a run has been started, and show it."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    return await self.service.look(run_id)
                except RequestError as error:
                    if error.code != "unknown_run":
                        raise
                await asyncio.sleep(0.005)

    async def history(self, run_id: str) -> list[Event]:
        """Read a run's events."""
        return [stored.event for stored in await self.engine.events(run_id)]

    async def answers_to(self, run_id: str, action_id: str) -> list[ActionAnswered]:
        """Read the answers that a run's history holds to one action."""
        return [e for e in await self.history(run_id) if isinstance(e, ActionAnswered) and e.action == action_id]

    async def restart(self) -> None:
        """Close the engine and open it again."""
        await self.close()
        self.engine = await self.harness.open(self.actions, self.functions)
        self.service = Service(self.engine, self.harness.clock, lease_ms=self.harness.lease_ms)
        self.actions.children.attach(self.service)
        self.serve()

    def serve(self) -> None:
        """Begin to keep time and to perform."""
        self._serving = asyncio.create_task(self.engine.serve())

    async def halt(self) -> None:
        """Stop serving; requests are still answered."""
        if self._serving is not None:
            self._serving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._serving

    async def close(self) -> None:
        """Stop serving and close the engine."""
        await self.halt()
        await self.engine.close()

    async def check_histories(self) -> None:
        """Fold the history of every run that was started, and compare it with its state (design §2)."""
        for run_id in self.started:
            snapshot = await self.engine.snapshot(run_id)
            stored = await self.engine.events(run_id)
            check_numbers(stored)
            history = [each.event for each in stored]
            moves = [moved for event in history if (moved := migration_in(event)) is not None]
            later = {moved.to: await self.engine.definition(moved.to) for moved in moves}
            first = await self.engine.definition(moves[0].was) if moves else snapshot.definition
            blobs = await self._blobs(first, history, later.__getitem__)
            folded = replay(first, None, history, blobs.__getitem__, later.__getitem__)
            assert dumps(folded) == dumps(snapshot.state), f"{run_id}: the folded history is not the state"

    async def _blobs(self, definition: Definition, history: list[Event], later: Definitions) -> dict[str, Value]:
        """Fetch what a fold asks for: the engine is asked asynchronously, the fold is not."""
        blobs: dict[str, Value] = {}
        while True:
            missing: list[str] = []

            def give(digest: str, missing: list[str] = missing) -> Value:
                if digest not in blobs:
                    missing.append(digest)
                    raise KeyError(digest)
                return blobs[digest]

            with contextlib.suppress(KeyError):
                replay(definition, None, history, give, later)
            if not missing:
                return blobs
            for digest in missing:
                blobs[digest] = await self.engine.blob(digest)

    async def _moved(self, run_id: str, revision: int) -> None:
        if "changes" in self.harness.lacks:
            await asyncio.sleep(0.02)
        else:
            await self.service.changed(run_id, revision, 1_000)


@contextlib.asynccontextmanager
async def opened(harness: Harness, functions: Mapping[str, Callable[..., Value]] | None = None) -> AsyncGenerator[World]:
    """Open a world that serves; at the end every history is folded and compared."""
    actions, table = ScriptedActions(), ScriptedFunctions(functions or {})
    world = World(harness, await harness.open(actions, table), actions, table)
    world.serve()
    try:
        yield world
        await world.check_histories()
    finally:
        await world.close()


def check_numbers(stored: list[StoredEvent]) -> None:
    """Check that events count from 1 without a gap, in order."""
    assert [each.rev for each in stored] == list(range(1, len(stored) + 1)), "the revisions have a gap"
    assert all(a.seq < b.seq for a, b in pairwise(stored)), "the sequence goes back"


def _check_is_built(run: RunView) -> None:
    """A run that nobody is there to be told of says what is not built by being set aside."""
    if run.parked is not None and run.parked.startswith("not_yet"):
        raise RequestError(run.parked, code="not_yet")


def failure(error_class: str, message: str = "scripted") -> Failure:
    """Make a failure as a performer reports it."""
    return Failure(error_class=error_class, message=message, step="")


def refused_with(offer: Offer, code: str) -> None:
    """Check the code of a refusal."""
    assert offer.refusal is not None, f"not refused: {offer.kind}"
    assert offer.refusal.code == code, offer.refusal


async def raises(code: str, request: Awaitable[object]) -> RequestError:
    """Check that a request is refused with a code."""
    try:
        await request
    except RequestError as error:
        if error.code == code:
            return error
        raise
    raise AssertionError(f"not refused as {code}")


__all__ = [
    "AGENT", "LOST", "OTHER", "PERSON", "THIRD", "Harness", "ScriptedActions", "ScriptedFunctions", "World",
    "failure", "opened", "raises", "refused_with",
]  # fmt: skip
