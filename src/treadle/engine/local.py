"""The local engine: one process's share in the runs of a storage, which other processes may work on at the same time.

Theory of operation
-------------------
A request becomes an event; the event is put through the core outside any lock, on the newest state this process knows; the storage commits it
behind the fence of the run's revision. If another process was first, the storage does the transition again from the newer state, inside its
lock (ruling 34). A reply leaves after the commit. Within one process the requests of one run wait for one another, so that they do not race:
what gathers while a commit is under way is put through the core one after the other and committed together, as one transition of many parts.

Commands go out after the commit. A process that serves (`serve`) performs what it opened; what it did not open, or what a dead process left, it
finds by looking at the storage's rows: unheld or lapsed server actions, due timers. Nothing in memory is needed to go on after a crash, and a
caller that is cancelled between commit and dispatch leaves no more behind than a crash would.

A bug of the core, or a history that does not fit it, parks its run at the instant where the run stands, so that no timer fires on the way
(design §2); whoever asked gets the error.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import cast

from treadle.core.aside import fill
from treadle.core.codec import digest_of
from treadle.core.commands import Command, KeepResult, Note, StopAction
from treadle.core.definition import Definition
from treadle.core.errors import HistoryMismatchError, InvariantViolationError, Refusal, RequestError, TreadleError
from treadle.core.events import Caller, Continued, Event, RunForked, RunParked, RunStarted
from treadle.core.limits import LEASE_MS
from treadle.core.records import replace
from treadle.core.state import RunState
from treadle.core.values import Json, Value
from treadle.engine.cached import Live, Lives, Sent
from treadle.engine.performing import Performing
from treadle.engine.storage import Batch, Committed, Record, Repeated, Start, Storage, Unneeded
from treadle.engine.transact import Transition, begins_with, joined, migration_in, replay, transact
from treadle.ports import (
    ActionRunner,
    Clock,
    Functions,
    KeepValue,
    Lapsed,
    Lease,
    MakeEvent,
    MakeMigration,
    Outliving,
    Reply,
    Request,
    RunMeta,
    RunQuery,
    RunRow,
    Snapshot,
    StoredEvent,
)  # fmt: skip

TOGETHER_MAX = 64
"""Requests of one run that share a commit: the first of them waits for the computing of all."""

SERVED_LEASE_MS = 15_000
"""How long a process that serves may be silent about what it performs; it renews three times as often."""


class LocalEngine:
    """An engine over a storage; implements `ports.Engine`."""

    def __init__(
        self, storage: Storage, *, functions: Functions, clock: Clock, holder: str, runner: ActionRunner | None = None,
        lease_ms: int = LEASE_MS, served_lease_ms: int = SERVED_LEASE_MS, outliving: Outliving | None = None, keep: KeepValue | None = None,
    ) -> None:  # fmt: skip
        """`holder` names this process among all, those before it included; without a `runner` it performs nothing itself. `keep` keeps results."""
        self.storage, self.functions, self.clock, self.holder = storage, functions, clock, holder
        self.lease_ms, self.served_lease_ms = lease_ms, served_lease_ms
        self._lives = Lives()
        self._performing = Performing(self, runner, outliving) if runner is not None else None
        self._keep, self._outliving = keep, outliving

    async def start(
        self, definition: Definition, event: Event, meta: RunMeta, request: Request | None = None, *, shared: Sequence[Event] = ()
    ) -> Reply:
        """Create a run; see `ports.Engine.start`."""
        if not isinstance(event, RunStarted | RunForked):
            raise RequestError("a run begins with RunStarted")
        before = await self.storage.repeated(request) if request is not None else None
        if before is not None:
            return await self._repeated(before)
        before_it: RunState | None = None
        if shared:
            moved = migration_in(event)
            digest = begins_with(shared, moved.was if moved is not None else "")
            first = self.storage.definition(digest) if digest else definition
            before_it = replay(first, None, shared, self.storage.blob, self.storage.definition)
        transition = self._compute(definition, before_it, event)
        if not transition.events:
            return Reply(run_id=event.run_id, state=transition.state, definition=definition, refusal=transition.refusal)
        transition = replace(transition, events=(*shared, *transition.events))
        start = Start(run_id=event.run_id, definition=definition, digest=digest_of(definition), meta=meta)
        outcome = await self.storage.commit(self._batch(event.run_id, None, transition, event.at_ms, request, start=start))
        if isinstance(outcome, Repeated):
            return await self._repeated(outcome)
        # Others of this process may have met the run by now, through the feed.
        live = self._lives.add(event.run_id, outcome.record)
        async with live.lock:
            self._dispatch(live, outcome.transition.commands)
            return await self._finish(live, outcome.transition)

    async def send(self, run_id: str, make: MakeEvent, request: Request | None = None) -> Reply:
        """Put one event through the core; see `ports.Engine.send`."""
        live = await self._live(run_id)
        if not live.lock.locked() and not live.sent:
            async with live.lock:
                return await self._send(live, make, request)
        sent = Sent(make, request, asyncio.get_running_loop().create_future())
        live.sent.append(sent)
        if live.sending is None:
            live.sending = asyncio.create_task(self._work_off(live), name=f"{run_id}: requests")
        return await sent.reply

    async def migrate(self, run_id: str, definition: Definition, make: MakeMigration) -> Reply:
        """Move a run to another definition; see `ports.Engine.migrate`."""
        live = await self._live(run_id)
        async with live.lock:
            live.record = await self.current(run_id)

            def compute(record: Record) -> Transition:
                event = make(self.clock.now_ms(), record.definition, record.state)
                return self._compute(definition, record.state, event)

            transition = compute(live.record)
            if not transition.events:
                return self._reply(live.record, transition)
            batch = self._batch(run_id, live.record, transition, transition.events[0].at_ms, None, redo=compute, into=definition)
            outcome = await self.storage.commit(batch)
            if isinstance(outcome, Repeated):
                raise InvariantViolationError("a migration has no request of its own")
            live.record = outcome.record
            if isinstance(outcome, Committed):
                self._dispatch(live, outcome.transition.commands)
            return await self._finish(live, outcome.transition)

    async def definition(self, digest: str) -> Definition:
        """Read a definition; see `ports.Engine.definition`."""
        return self.storage.definition(digest)

    async def renew(self, run_id: str, lease: Lease) -> bool:
        """Lengthen a lease; see `ports.Engine.renew`."""
        action = (await self.current(run_id)).state.actions.get(lease.action)
        if action is None or action.attempt != lease.attempt or action.holder != lease.holder:
            return False
        return await self.storage.take(run_id, lease, self.clock.now_ms())

    async def snapshot(self, run_id: str) -> Snapshot:
        """Read a run; see `ports.Engine.snapshot`."""
        record = await self.current(run_id)
        leases = self.storage.leases(run_id)
        return Snapshot(definition=record.definition, state=record.state, meta=record.meta, leases=leases)

    async def runs(self, query: RunQuery) -> list[RunRow]:
        """List runs; see `ports.Engine.runs`."""
        return await self.storage.runs(query)

    async def events(self, run_id: str, after_rev: int = 0) -> list[StoredEvent]:
        """Read a history; see `ports.Engine.events`."""
        return await self.storage.events(run_id, after_rev)

    async def blob(self, digest: str) -> Value:
        """Read a value that was set aside."""
        return self.storage.blob(digest)

    def changes(self, after_seq: int | None = None, *, urgent: bool = True) -> AsyncIterator[tuple[int, str]]:
        """Follow what is stored, by any process."""
        return self.storage.changes(after_seq, urgent=urgent)

    async def serve(self) -> None:
        """Keep time and perform what servers perform, until cancelled."""
        if self._performing is None:
            raise RequestError("this engine was given nothing to perform with", code="no_runner")
        await self._performing.serve()

    async def close(self) -> None:
        """Stop performing, then let the storage go. Safe to call again."""
        if self._performing is not None:
            await self._performing.close()
        await self.storage.close()

    async def current(self, run_id: str) -> Record:
        """Read a run with its newest state, whoever wrote it. Raises RequestError `unknown_run`."""
        live = await self._live(run_id)
        record = await self.storage.read(run_id, live.record)
        if record is None:
            raise _unknown_run(run_id)
        if record.state.revision > live.record.state.revision:
            live.record = record
        return record

    async def settled(self, run_id: str) -> Record:
        """Read a run with its newest state, after what this process is storing of it: that is at hand then, and not read again."""
        live = await self._live(run_id)
        async with live.lock:
            return await self.current(run_id)

    # One event

    async def _work_off(self, live: Live) -> None:
        """Carry out what has gathered; a task of its own, so that none of the callers can cancel it for the others."""
        try:
            while live.sent:
                async with live.lock:
                    taken, live.sent = live.sent[:TOGETHER_MAX], live.sent[TOGETHER_MAX:]
                    group = [sent for sent in taken if not sent.reply.done()]
                    if len(group) < 2 or not await self._send_together(live, group):
                        for sent in group:
                            await self._send_for(live, sent)
        finally:
            live.sending = None

    async def _send_for(self, live: Live, sent: Sent) -> None:
        try:
            reply = await self._send(live, sent.make, sent.request)
        except Exception as error:  # noqa: BLE001 - it is the caller's, who waits for it
            _settle(sent, error)
        else:
            _settle(sent, reply)

    async def _send_together(self, live: Live, group: list[Sent]) -> bool:
        """Carry several out with one commit; False if that cannot be, and nothing happened."""
        at_ms = self.clock.now_ms()

        def compute(record: Record) -> Transition:
            return joined(self._computed(record, group, at_ms))

        try:
            transition = compute(live.record)
            if not transition.events:
                return False
            requests = tuple(sent.request for sent in group)
            outcome = await self.storage.commit(self._batch(live.record.run_id, live.record, transition, at_ms, *requests, redo=compute))
        except TreadleError:
            return False  # each on its own meets it again, and what is wrong with one is not the others'
        if not isinstance(outcome, Committed):
            return False
        before, live.record, parts = live.record, outcome.record, outcome.transition.parts
        for part in parts:
            self._dispatch(live, part.commands)
        for sent, part in zip(group, parts, strict=False):
            await self._reply_to(live, sent, part, before, at_ms)
        live.sent = [*group[len(parts) :], *live.sent]
        return True

    async def _reply_to(self, live: Live, sent: Sent, part: Transition, before: Record, at_ms: int) -> None:
        try:
            if not part.events:
                reply = await self._unchanged(live, part, sent.request, sent.make)
            elif part.more:
                reply = await self._finish(live, part)
            else:
                reply = self._reply(replace(live.record, state=part.state), part, before.state, at_ms)
        except Exception as error:  # noqa: BLE001 - it is the caller's, who waits for it
            _settle(sent, error)
        else:
            _settle(sent, reply)

    def _computed(self, record: Record, group: list[Sent], at_ms: int) -> list[Transition]:
        """Compute one after the other; what one of them breaks, or leaves for a commit after this one, the rest does not see."""
        parts: list[Transition] = []
        for sent in group:
            state = parts[-1].state if parts else record.state
            try:
                event = sent.make(at_ms, state, self._lapsed(record.run_id, at_ms, since=record.state, state=state))
                part = self._compute(record.definition, state, event)
            except TreadleError:
                if not parts:
                    raise
                break
            parts.append(part)
            if part.more:
                break
        return parts

    async def _send(self, live: Live, make: MakeEvent, request: Request | None) -> Reply:
        at_ms = self.clock.now_ms()

        def compute(record: Record) -> Transition:
            event = make(at_ms, record.state, self._lapsed(record.run_id, at_ms))
            return self._compute(record.definition, record.state, event)

        try:
            transition = compute(live.record)
            if not transition.events:
                # Nothing is refused, or called a duplicate, on the word of an old state.
                known, live.record = live.record, await self.current(live.record.run_id)
                transition = compute(live.record) if live.record is not known else transition
            if not transition.events:
                return await self._unchanged(live, transition, request, make)
            outcome = await self.storage.commit(self._batch(live.record.run_id, live.record, transition, at_ms, request, redo=compute))
        except (InvariantViolationError, HistoryMismatchError) as error:
            await self._park_broken(live, error)
            raise
        if isinstance(outcome, Repeated):
            return await self._repeated(outcome)
        known, live.record = live.record, outcome.record
        if isinstance(outcome, Unneeded):
            return await self._unchanged(live, outcome.transition, request, make)
        self._dispatch(live, outcome.transition.commands)
        if outcome.transition.more:
            return await self._finish(live, outcome.transition)
        return self._reply(live.record, outcome.transition, known.state, at_ms)

    async def _finish(self, live: Live, transition: Transition) -> Reply:
        """Let the run settle over as many commits as it needs, then reply."""
        notes: tuple[Note, ...] = transition.notes
        last = transition
        while last.more:
            at_ms = self.clock.now_ms()

            def compute(record: Record, at_ms: int = at_ms) -> Transition:
                return self._compute(record.definition, record.state, Continued(at_ms=at_ms))

            step = compute(live.record)
            if not step.events:
                break
            batch = self._batch(live.record.run_id, live.record, step, at_ms, redo=compute)
            outcome = await self.storage.commit(batch)
            if isinstance(outcome, Repeated):
                break
            live.record, last = outcome.record, outcome.transition
            if isinstance(outcome, Committed):
                self._dispatch(live, last.commands)
                notes += last.notes
        return self._reply(live.record, replace(transition, notes=notes))

    async def _unchanged(self, live: Live, transition: Transition, request: Request | None, make: MakeEvent) -> Reply:
        """Reply to an event that changed nothing: refused, a duplicate, or a claim of what is held already."""
        if transition.refusal is not None and request is not None:
            before = await self.storage.repeated(request)
            if before is not None and not before.same_body:
                now = self.clock.now_ms()
                await self.storage.evidence(live.record, request, make(now, live.record.state, lambda: ()))
            if before is not None:
                return await self._repeated(before)
        return self._reply(live.record, transition)

    async def _repeated(self, before: Repeated) -> Reply:
        record = await self.current(before.reply.run_id)
        first = before.reply
        if not before.same_body:
            refusal = Refusal(
                code="conflict", message="this request was answered before, with another body; the first one stands",
                hint=f"look at the run; `treadle fork {first.run_id} --from STEP` goes another way",
            )  # fmt: skip
            return Reply(run_id=first.run_id, state=record.state, definition=record.definition, refusal=refusal)
        # The step that the first reply handed out is handed out again as long as it is open.
        claimed = first.claimed if first.claimed in record.state.actions else None
        return Reply(
            run_id=first.run_id, state=record.state, definition=record.definition, refusal=first.refusal, claimed=claimed,
            lease_until_ms=self._lease_end_ms(first.run_id, claimed), duplicate=True,
        )  # fmt: skip

    def _compute(self, definition: Definition, state: RunState | None, event: Event) -> Transition:
        try:
            return transact(definition, state, event, self.functions, self.storage.blob)
        except TreadleError:
            raise
        except Exception as error:  # the border of the core: whatever else it raises is a bug of it, which parks its run
            message = f"{type(event).__name__} could not be absorbed: {type(error).__name__}: {error}"
            raise InvariantViolationError(message, hint="report it with the run's log (`treadle logs`)") from error

    async def _park_broken(self, live: Live, error: TreadleError) -> None:
        """Set a run aside that could not be carried on. If even that cannot be done, it stays as it is."""
        by = Caller(kind="server", name="treadle")

        def compute(record: Record) -> Transition:
            details = {"code": error.code, "message": error.message}
            at_ms = record.state.now_ms
            event = RunParked(at_ms=at_ms, by=by, reason=f"{error.code}: {error.message}", details=dict(details))
            return self._compute(record.definition, record.state, event)

        try:
            live.record = await self.current(live.record.run_id)
            transition = compute(live.record)
            if transition.events:
                batch = self._batch(live.record.run_id, live.record, transition, self.clock.now_ms(), redo=compute)
                outcome = await self.storage.commit(batch)
                if not isinstance(outcome, Repeated):
                    live.record = outcome.record
        except TreadleError as second:
            error.add_note(f"and the run could not be set aside: {second.message}")

    def _batch(
        self, run_id: str, before: Record | None, transition: Transition, at_ms: int, *requests: Request | None,
        start: Start | None = None, redo: Callable[[Record], Transition] | None = None, into: Definition | None = None,
    ) -> Batch:  # fmt: skip
        serving = self._performing is not None and self._performing.serving
        return Batch(
            run_id=run_id, before=before, start=start, transition=transition, at_ms=at_ms, lease_until_ms=at_ms + self.lease_ms,
            served_until_ms=at_ms + self.served_lease_ms, holder=self.holder if serving else None, requests=requests, redo=redo,
            into=into,
        )  # fmt: skip

    def _lapsed(self, run_id: str, at_ms: int, *, since: RunState | None = None, state: RunState | None = None) -> Lapsed:
        """Tell which leases have run out; not those of actions that have changed hands `since` a state, before the commit of `state`."""

        def lapsed() -> tuple[str, ...]:
            found = tuple(sorted(lease.action for lease in self.storage.leases(run_id) if lease.until_ms <= at_ms))
            if since is None or state is None:
                return found
            return tuple(action for action in found if state.actions.get(action) is since.actions.get(action))

        return lapsed

    def _lease_end_ms(self, run_id: str, action: str | None) -> int | None:
        if action is None:
            return None
        return next((lease.until_ms for lease in self.storage.leases(run_id, action)), None)

    def _reply(self, record: Record, transition: Transition, before: RunState | None = None, at_ms: int = 0) -> Reply:
        """Reply; what was claimed at `at_ms`, since the state `before`, is held from then on, and its row need not be read."""
        claimed = transition.claimed
        self._lives.get(record.run_id)  # somebody may hold it now, or nobody any more
        if claimed is not None and before is not None and before.actions.get(claimed) is not record.state.actions.get(claimed):
            until_ms = at_ms + self.lease_ms
        else:
            until_ms = self._lease_end_ms(record.run_id, claimed)
        return Reply(
            run_id=record.run_id, state=record.state, definition=record.definition, refusal=transition.refusal,
            claimed=claimed, lease_until_ms=until_ms, notes=transition.notes,
        )  # fmt: skip

    def _dispatch(self, live: Live, commands: tuple[Command, ...]) -> None:
        for command in commands:
            if isinstance(command, KeepResult) and self._keep is not None:
                self._keep(command.key, cast(Json, fill(command.value, self.storage.blob)))
            elif isinstance(command, StopAction) and self._outliving is not None:
                # Here, and not by who watches it: there may be nobody.
                self._outliving.stop(live.record.run_id, command.action, command.attempt)
        if self._performing is not None:
            self._performing.carry_out(live.record, commands)

    # What is in hand

    async def _live(self, run_id: str) -> Live:
        live = self._lives.get(run_id)
        if live is None:
            record = await self.storage.read(run_id)
            if record is None:
                raise _unknown_run(run_id)
            live = self._lives.add(run_id, record)
        return live


def _settle(sent: Sent, with_what: Reply | Exception) -> None:
    if sent.reply.done():  # its caller was cancelled meanwhile
        return
    if isinstance(with_what, Exception):
        sent.reply.set_exception(with_what)
    else:
        sent.reply.set_result(with_what)


def _unknown_run(run_id: str) -> RequestError:
    return RequestError(f"there is no run {run_id!r} here", code="unknown_run", hint="`treadle runs` lists them")
