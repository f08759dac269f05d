"""Performing: how a process that serves carries commands out, keeps time, and takes over what a dead one left (rulings 19, 59).

An action of effect `write` and above is claimed durably before it begins; what is `none` or `read` is begun at once, its row being held from the
commit that opened it. While it is performed the row's lease is renewed. What a process holds when it dies lapses with its lease: another one
begins again what may be begun again, and tells the core of the rest (`PerformerLost`).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Protocol

from treadle.core.advance import resume
from treadle.core.commands import Command, Perform, StopAction
from treadle.core.errors import Failure, RequestError
from treadle.core.events import ActionAnswered, ActionClaimed, Caller, Claim, Event, PerformerLost, Woken
from treadle.core.ids import idempotency_key
from treadle.core.state import ActionState, RunState
from treadle.engine.storage import Record, Storage
from treadle.engine.transact import fill
from treadle.ports import ActionCall, ActionRunner, Answer, Clock, Lapsed, Lease, MakeEvent, Reply, Snapshot

LOOK_AGAIN_MS = 5_000
FINISH_GRACE_S = 5.0

Key = tuple[str, str, int]


class Host(Protocol):
    """What performing needs of the engine it belongs to."""

    storage: Storage
    clock: Clock
    holder: str
    lease_ms: int

    async def send(self, run_id: str, make: MakeEvent) -> Reply:
        """Put one event through the core."""
        ...

    async def renew(self, run_id: str, lease: Lease) -> bool:
        """Lengthen a lease."""
        ...

    async def snapshot(self, run_id: str) -> Snapshot:
        """Read a run."""
        ...

    def changes(self) -> AsyncIterator[tuple[int, str]]:
        """Follow what is stored."""
        ...


class Performing:
    """The performing half of a local engine."""

    def __init__(self, engine: Host, runner: ActionRunner) -> None:
        """Nothing is performed before `serve`."""
        self._engine, self._runner = engine, runner
        self._by = Caller(kind="server", name=engine.holder)
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._writing: set[Key] = set()
        self._asked_to_stop: set[Key] = set()
        self._wake = asyncio.Event()
        self.serving = False

    async def serve(self) -> None:
        """Perform until cancelled; then finish what has an effect, and leave the rest to others."""
        self.serving = True
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keep_time())
                group.create_task(self._follow())
        finally:
            self.serving = False
            await self.close()

    async def close(self) -> None:
        """Let actions with effects finish for a moment, then stop everything."""
        self.serving = False
        writing = [task for key, task in self._tasks.items() if key in self._writing]
        if writing:
            await asyncio.wait(writing, timeout=FINISH_GRACE_S)
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def carry_out(self, record: Record, commands: tuple[Command, ...]) -> None:
        """Begin what a commit of this process asked for."""
        if not self.serving:
            return
        for command in commands:
            if isinstance(command, Perform):
                self._begin((record.run_id, command.action, command.attempt), claim=command.claim)
            elif isinstance(command, StopAction):
                self._stop((record.run_id, command.action, command.attempt))
        self._wake.set()

    # One action

    def _begin(self, key: Key, *, claim: bool) -> None:
        if key in self._tasks:
            return
        task = asyncio.create_task(self._perform(key, claim=claim), name="/".join(map(str, key)))
        self._tasks[key] = task
        task.add_done_callback(lambda _: self._tasks.pop(key, None))

    def _stop(self, key: Key) -> None:
        task = self._tasks.get(key)
        if task is not None:
            self._asked_to_stop.add(key)
            task.cancel()

    async def _perform(self, key: Key, *, claim: bool) -> None:
        run_id, action_id, attempt = key
        if claim and not await self._claim(key):
            return
        snapshot = await self._engine.snapshot(run_id)
        action = snapshot.state.actions.get(action_id)
        if action is None or action.attempt != attempt:
            return
        if claim:
            self._writing.add(key)
        renewing = asyncio.create_task(self._renew(key))
        try:
            answer = await self._runner.perform(
                self._call(run_id, action, snapshot.definition.index.steps[action.at].timeout_ms)
            )
        except asyncio.CancelledError:
            # A process that closes says nothing: its lease lapses, and another one goes on.
            if key in self._asked_to_stop:
                with contextlib.suppress(RequestError):
                    await asyncio.shield(self._answer(key, _stopped(action_id)))
            raise
        finally:
            self._writing.discard(key)
            self._asked_to_stop.discard(key)
            renewing.cancel()
        await self._answer(key, answer)

    def _call(self, run_id: str, action: ActionState, timeout_ms: int | None) -> ActionCall:
        params = {name: fill(value, self._engine.storage.blob) for name, value in action.params.items()}
        key = idempotency_key(run_id, action.id)
        return ActionCall(run_id=run_id, action=action, params=params, key=key, timeout_ms=timeout_ms)

    async def _claim(self, key: Key) -> bool:
        run_id, action_id, _ = key
        claim = Claim(channel="", holder=self._engine.holder, by=self._by, action=action_id)

        def make(at_ms: int, _state: RunState, _lapsed: Lapsed) -> Event:
            return ActionClaimed(at_ms=at_ms, claim=claim)

        reply = await self._engine.send(run_id, make)
        return reply.claimed == action_id and reply.refusal is None

    async def _answer(self, key: Key, answer: Answer) -> None:
        run_id, action_id, attempt = key

        def make(at_ms: int, _state: RunState, _lapsed: Lapsed) -> Event:
            if answer.lost:
                return PerformerLost(at_ms=at_ms, action=action_id, attempt=attempt)
            return ActionAnswered(
                at_ms=at_ms, action=action_id, attempt=attempt, holder=self._engine.holder, by=self._by, value=answer.value,
                failure=answer.failure,
            )  # fmt: skip

        await self._engine.send(run_id, make)

    async def _renew(self, key: Key) -> None:
        run_id, action_id, attempt = key
        while True:
            await asyncio.sleep(self._engine.lease_ms / 3000)
            until = self._engine.clock.now_ms() + self._engine.lease_ms
            lease = Lease(action=action_id, attempt=attempt, holder=self._engine.holder, until_ms=until)
            if not await self._engine.renew(run_id, lease):
                self._stop(key)
                return

    # Time, and what others left

    async def _keep_time(self) -> None:
        while True:
            self._wake.clear()
            now_ms = self._engine.clock.now_ms()
            for run_id in self._engine.storage.due(now_ms):
                await self._engine.send(run_id, lambda at_ms, _state, _lapsed: Woken(at_ms=at_ms))
            await self._take_over(now_ms)
            due_ms = self._engine.storage.next_due_ms()
            look_ms = now_ms + LOOK_AGAIN_MS
            await self._engine.clock.wait(min(due_ms, look_ms) if due_ms is not None else look_ms, self._wake)

    async def _follow(self) -> None:
        async for _seq, run_id in self._engine.changes():
            await self._stop_what_ended(run_id)
            self._wake.set()

    async def _take_over(self, now_ms: int) -> None:
        for served in self._engine.storage.served(now_ms):
            key = (served.run_id, served.action, served.attempt)
            if key in self._tasks:
                continue
            if served.status == "claimed":
                await self._lost(key)
                continue
            until = now_ms + self._engine.lease_ms
            lease = Lease(action=served.action, attempt=served.attempt, holder=self._engine.holder, until_ms=until)
            if not await self._engine.storage.take(served.run_id, lease, now_ms):
                continue
            snapshot = await self._engine.snapshot(served.run_id)
            for command in resume(snapshot.definition, snapshot.state):
                if isinstance(command, Perform) and (command.action, command.attempt) == key[1:]:
                    self._begin(key, claim=command.claim)

    async def _lost(self, key: Key) -> None:
        run_id, action_id, attempt = key

        def make(at_ms: int, _state: RunState, _lapsed: Lapsed) -> Event:
            return PerformerLost(at_ms=at_ms, action=action_id, attempt=attempt)

        await self._engine.send(run_id, make)

    async def _stop_what_ended(self, run_id: str) -> None:
        mine = [key for key in self._tasks if key[0] == run_id]
        if not mine:
            return
        state = (await self._engine.snapshot(run_id)).state
        for key in mine:
            action = state.actions.get(key[1])
            if action is None or action.attempt != key[2] or action.status == "stopping":
                self._stop(key)


def _stopped(action_id: str) -> Answer:
    return Answer(failure=Failure(error_class="failed", message=f"`{action_id}` was stopped", step=action_id))
