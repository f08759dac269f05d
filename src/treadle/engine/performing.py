"""Performing: how a process that serves carries commands out, keeps time, and takes over what a dead one left (rulings 19, 59).

An action of effect `write` and above is claimed durably before it begins; what is `none` or `read` is begun at once, its row being held from the
commit that opened it. While it is performed the row's lease is renewed. What a process holds when it dies lapses with its lease: another one
begins again what may be begun again, and tells the core of the rest (`PerformerLost`). What goes on outside of its process (`Outliving`) is not
lost: another process watches it, and answers in the name of the one that claimed it.

What this process commits it dispatches itself. Everything else (timers, what others opened or left, what a cancelled request of its own left
undispatched) is found by a round over the storage's rows; a round follows each change, but not more often than every `ROUND_REST_S`.
A run that makes trouble is left alone for a while; it never stops the rounds.
"""

import asyncio
import contextlib
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final, Protocol

from treadle.core.aside import fill
from treadle.core.closing import needs_claim
from treadle.core.commands import Command, Perform, StopAction
from treadle.core.definition import EFFECTS
from treadle.core.errors import Failure, RequestError, TreadleError
from treadle.core.events import ActionAnswered, ActionClaimed, Caller, Claim, Continued, Event, PerformerLost, Woken
from treadle.core.ids import idempotency_key
from treadle.core.state import ActionState, RunState
from treadle.engine.storage import Record, Served, Storage
from treadle.ports import STOP, ActionCall, ActionRunner, Answer, Clock, Lapsed, Lease, MakeEvent, Outliving, Reply

LOOK_AGAIN_MS: Final = 5_000
TROUBLE_REST_MS: Final = 5_000
ROUND_REST_S: Final = 0.01
ANSWER_AGAIN_S: Final = 0.5
FOLLOW_AGAIN_S: Final = 1.0
FINISH_GRACE_S: Final = 5.0

Key = tuple[str, str, int]
"""Run, action, attempt."""


class Host(Protocol):
    """What performing needs of the engine it belongs to."""

    storage: Storage
    clock: Clock
    holder: str
    served_lease_ms: int

    async def send(self, run_id: str, make: MakeEvent) -> Reply:
        """Put one event through the core."""
        ...

    async def settled(self, run_id: str) -> Record:
        """Read a run with its newest state, once nothing of it is under way in this process."""
        ...


@dataclass(slots=True)
class _Work:
    """An attempt in hand. `doing` is the runner's part of it; only that is stopped, so that what was done is also answered.

    `holder` is in whose name it is performed: of what a dead process began and what goes on, that process.
    """

    task: "asyncio.Task[None]"
    holder: str
    claimed: bool = False
    outlives: bool = False
    stopped: bool = False
    doing: "asyncio.Task[Answer] | None" = None


class Performing:
    """The performing half of a local engine."""

    def __init__(self, engine: Host, runner: ActionRunner, outliving: Outliving | None = None) -> None:
        """Nothing is performed before `serve`."""
        self._engine, self._runner, self._outliving = engine, runner, outliving
        self._by = Caller(kind="server", name=engine.holder)
        self._works: dict[Key, _Work] = {}
        self._trouble_until_ms: dict[str, int] = {}
        self._wake = asyncio.Event()
        self.serving = False

    async def serve(self) -> None:
        """Perform until cancelled; then finish what has an effect, and leave the rest to others."""
        self.serving = True
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._make_rounds())
                group.create_task(self._follow())
                group.create_task(self._keep_leases())
        finally:
            await self.close()

    async def close(self) -> None:
        """Let actions with effects finish for a moment, then stop everything."""
        self.serving = False
        claimed = [work.task for work in self._works.values() if work.claimed and not work.outlives]
        if claimed:
            await asyncio.wait(claimed, timeout=FINISH_GRACE_S)
        left = [work.task for work in self._works.values()]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def carry_out(self, record: Record, commands: tuple[Command, ...]) -> None:
        """Begin what a commit of this process asked for."""
        if not self.serving:
            return
        for command in commands:
            if isinstance(command, Perform):
                self._begin((record.run_id, command.action, command.attempt), record, claim=command.claim)
            elif isinstance(command, StopAction):
                self._stop((record.run_id, command.action, command.attempt))
        self._wake.set()

    # One attempt

    def _begin(self, key: Key, record: Record, *, claim: bool, heir_of: str | None = None) -> None:
        """Perform an attempt that is open in `record`; with `heir_of` one that another process claimed, which goes on without it."""
        if key in self._works:
            return
        task = asyncio.create_task(self._perform(key, record, claim=claim), name="/".join(map(str, key)))
        self._works[key] = _Work(task, heir_of or self._engine.holder, claimed=heir_of is not None)
        task.add_done_callback(lambda _: self._works.pop(key, None))

    def _stop(self, key: Key) -> None:
        work = self._works.get(key)
        # Asked twice, it would not wait any more until what it stops is gone.
        if work is not None and not work.stopped:
            work.stopped = True
            if work.doing is not None:
                work.doing.cancel(STOP)

    async def _perform(self, key: Key, record: Record, *, claim: bool) -> None:
        _, action_id, attempt = key
        work = self._works[key]
        # What cannot be stored now is found again by a later round.
        with contextlib.suppress(TreadleError):
            state: RunState | None = record.state
            if claim:
                state = await self._claim(key)
            elif not (work.claimed or await self._hold(key)):
                return
            work.claimed = work.claimed or claim
            action = state.actions.get(action_id) if state is not None and state.parked is None else None
            if action is None or action.attempt != attempt:
                return
            call = self._call(record, action)
            work.outlives = self._outliving is not None and self._outliving.outlives(action)
            answer = await self._done(work, call)
            await self._answer(key, answer, work.holder)
            if self._outliving is not None and work.outlives:
                self._outliving.settled(call)

    async def _done(self, work: _Work, call: ActionCall) -> Answer:
        """Have it done; a process that closes says nothing, so that its lease lapses and another one goes on."""
        if work.stopped:
            return _stopped(call.action)
        work.doing = asyncio.create_task(_guarded(self._runner, call))
        try:
            return await work.doing
        except asyncio.CancelledError:
            if not work.stopped:
                raise
            return _stopped(call.action)

    def _call(self, record: Record, action: ActionState) -> ActionCall:
        params = {name: fill(value, self._engine.storage.blob) for name, value in action.params.items()}
        return ActionCall(
            run_id=record.run_id, action=action, params=params, key=action.key or idempotency_key(record.run_id, action.id),
            timeout_ms=record.definition.index.steps[action.at].timeout_ms, definition=record.definition, directory=record.meta.directory,
        )  # fmt: skip

    async def _claim(self, key: Key) -> RunState | None:
        """Claim an attempt durably; gives the state in which it is claimed."""
        run_id, action_id, attempt = key
        claim = Claim(channel="", holder=self._engine.holder, by=self._by, action=action_id)

        def make(at_ms: int, _state: RunState, _lapsed: Lapsed) -> Event:
            return ActionClaimed(at_ms=at_ms, claim=claim)

        reply = await self._engine.send(run_id, make)
        action = reply.state.actions.get(action_id)
        return reply.state if reply.claimed == action_id and action is not None and action.attempt == attempt else None

    async def _hold(self, key: Key) -> bool:
        """Hold the row of an action that needs no claim; mostly the commit that opened it has done so."""
        run_id, action_id, attempt = key
        now_ms = self._engine.clock.now_ms()
        for lease in self._engine.storage.leases(run_id, action_id):
            if (lease.attempt, lease.holder) == (attempt, self._engine.holder):
                return lease.until_ms > now_ms or await self._take(key, now_ms, self._engine.holder)
        return await self._take(key, now_ms, self._engine.holder)

    async def _take(self, key: Key, now_ms: int, holder: str) -> bool:
        until_ms = now_ms + self._engine.served_lease_ms
        lease = Lease(action=key[1], attempt=key[2], holder=holder, until_ms=until_ms)
        return await self._engine.storage.take(key[0], lease, now_ms)

    async def _answer(self, key: Key, answer: Answer, holder: str) -> None:
        """Tell the core; what was done in the world is told again until it is stored or this process closes."""
        run_id, action_id, attempt = key

        def make(at_ms: int, _state: RunState, _lapsed: Lapsed) -> Event:
            if answer.lost:
                return PerformerLost(at_ms=at_ms, action=action_id, attempt=attempt)
            return ActionAnswered(
                at_ms=at_ms, action=action_id, attempt=attempt, holder=holder, by=self._by, value=answer.value,
                failure=answer.failure, usage=answer.usage, degraded=answer.degraded,
            )  # fmt: skip

        while True:
            try:
                await self._engine.send(run_id, make)
            except RequestError as error:
                if not error.code.startswith("storage_") or not self.serving:
                    raise
                await asyncio.sleep(ANSWER_AGAIN_S)
            else:
                return

    async def _keep_leases(self) -> None:
        """Keep the leases on all that is in hand, all at once, so that they share a commit."""
        while True:
            await asyncio.sleep(self._engine.served_lease_ms / 3000)
            now_ms = self._engine.clock.now_ms()
            await asyncio.gather(*(self._keep_lease(key, now_ms, work) for key, work in self._works.items() if work.doing))

    async def _keep_lease(self, key: Key, now_ms: int, work: _Work) -> None:
        """Who has lost a lease stops: somebody else may have begun."""
        with contextlib.suppress(RequestError):
            if await self._take(key, now_ms, work.holder):
                return
            if work.outlives:
                work.task.cancel()  # whoever has the lease watches it too
            else:
                self._stop(key)

    # Rounds: time, and what others left

    async def _make_rounds(self) -> None:
        while True:
            self._wake.clear()
            now_ms = self._engine.clock.now_ms()
            next_ms = now_ms + LOOK_AGAIN_MS
            with contextlib.suppress(RequestError):
                await self._feed_due(now_ms)
                next_ms = min(next_ms, await self._look_at_served(now_ms), self._next_due_ms(now_ms))
            await asyncio.sleep(ROUND_REST_S)
            await self._engine.clock.wait(next_ms, self._wake)

    async def _feed_due(self, now_ms: int) -> None:
        def make(at_ms: int, state: RunState, _lapsed: Lapsed) -> Event:
            return Continued(at_ms=at_ms) if state.agenda else Woken(at_ms=at_ms)

        for run_id in self._engine.storage.due(now_ms):
            if self._trouble_until_ms.get(run_id, 0) <= now_ms:
                await self._without_trouble(run_id, self._engine.send(run_id, make))

    def _next_due_ms(self, now_ms: int) -> int:
        due_ms = self._engine.storage.next_due_ms()
        # What is still due has made trouble: it was fed a moment ago.
        return now_ms + LOOK_AGAIN_MS if due_ms is None or due_ms <= now_ms else due_ms

    async def _look_at_served(self, now_ms: int) -> int:
        """Begin what nobody holds, give up what its holder lost; tells when the next lease of another process runs out."""
        next_ms = now_ms + LOOK_AGAIN_MS
        for served in self._engine.storage.served():
            key = (served.run_id, served.action, served.attempt)
            if key in self._works or self._trouble_until_ms.get(served.run_id, 0) > now_ms:
                continue
            if served.holder not in {None, self._engine.holder} and served.until_ms > now_ms:
                next_ms = min(next_ms, served.until_ms)
            else:
                await self._without_trouble(served.run_id, self._take_up(key, served))
        return next_ms

    async def _take_up(self, key: Key, served: Served) -> None:
        record = await self._engine.settled(served.run_id)
        action = record.state.actions.get(served.action)
        if action is None or action.attempt != served.attempt or key in self._works:
            return
        if action.status == "open":
            self._begin(key, record, claim=needs_claim(action))
        elif action.status == "claimed" and self._outliving is not None and self._outliving.outlives(action):
            self._begin(key, record, claim=False, heir_of=action.holder)
        elif action.status == "claimed":
            await self._engine.send(served.run_id, self._lost(served))

    def _lost(self, served: Served) -> MakeEvent:
        """Say that an attempt was lost, unless its holder has come back or another has taken it meanwhile."""

        def make(at_ms: int, state: RunState, lapsed: Lapsed) -> Event:
            action = state.actions.get(served.action)
            is_same = action is not None and (action.attempt, action.holder) == (served.attempt, served.holder)
            # Held in this process's name without being in its hands is as lost as held by a dead one.
            if is_same and (served.holder == self._engine.holder or served.action in lapsed()):
                return PerformerLost(at_ms=at_ms, action=served.action, attempt=served.attempt)
            return Woken(at_ms=at_ms)

        return make

    async def _follow(self) -> None:
        """Notice what other processes store, and stop what has ended there."""
        while True:
            with contextlib.suppress(RequestError):
                async for _seq, run_id in self._engine.storage.changes(None, urgent=False):
                    await self._without_trouble(run_id, self._stop_what_ended(run_id))
                    self._wake.set()
            await asyncio.sleep(FOLLOW_AGAIN_S)

    async def _stop_what_ended(self, run_id: str) -> None:
        mine = [key for key in self._works if key[0] == run_id]
        if not mine:
            return
        state = (await self._engine.settled(run_id)).state
        for key in mine:
            action = state.actions.get(key[1])
            if action is None or action.attempt != key[2] or action.status == "stopping":
                self._stop(key)

    async def _without_trouble(self, run_id: str, work: Awaitable[object]) -> None:
        """One run's trouble is its own: it is left alone for a while."""
        try:
            await work
        except TreadleError:
            self._trouble_until_ms[run_id] = self._engine.clock.now_ms() + TROUBLE_REST_MS
        else:
            self._trouble_until_ms.pop(run_id, None)


async def _guarded(runner: ActionRunner, call: ActionCall) -> Answer:
    try:
        return await runner.perform(call)
    except Exception as error:  # noqa: BLE001 - the border of actions: a runner that breaks its promise never stops the engine
        if EFFECTS.index(call.action.effect) >= EFFECTS.index("write"):
            return Answer(lost=True)
        message = f"performing `{call.action.id}` broke: {type(error).__name__}: {error}"
        return Answer(failure=Failure(error_class="bug", message=message, step=call.action.id))


def _stopped(action: ActionState) -> Answer:
    return Answer(failure=Failure(error_class="failed", message=f"`{action.id}` was stopped", step=action.id))
