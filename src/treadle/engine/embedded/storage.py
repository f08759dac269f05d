"""The embedded storage: what a local engine asks for, in rows of the store (rulings 34-37).

A transition becomes one `Write`: its events, the run's hot row behind the fence, and the difference between the open actions before and after.
A snapshot is written when the events since the last one have outgrown it, so that a step costs the same however long the run is. Reading a run
is a snapshot and the folding of what came after; nothing else is replayed.
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Generator
from dataclasses import asdict
from pathlib import Path
from typing import Final

import orjson

from treadle.core import codec
from treadle.core.definition import Definition
from treadle.core.errors import InvariantViolationError, Refusal, RequestError
from treadle.core.events import EVENT_TYPES, Event
from treadle.core.records import replace
from treadle.core.semantics import SUPPORTED
from treadle.core.state import ActionState, RunState
from treadle.core.values import Value, decode
from treadle.engine.embedded.errors import StoreError
from treadle.engine.embedded.reader import Reader, RunFilter
from treadle.engine.embedded.records import (
    ActionChange,
    ActionFields,
    ActionRow,
    BlobRow,
    DefinitionRow,
    EventRow,
    Head,
    NewRun,
    Refused,
    Renewal,
    RequestRow,
    RunFields,
    Stale,
    Write,
)  # fmt: skip
from treadle.engine.embedded.records import Committed as Stored
from treadle.engine.embedded.records import Renewed as StoredRenewal
from treadle.engine.embedded.records import Repeated as StoredRequest
from treadle.engine.embedded.records import RunRow as StoredRun
from treadle.engine.embedded.store import Store, open_store
from treadle.engine.storage import (
    Batch,
    Committed,
    Record,
    Repeated,
    Served,
    Start,
    StoredReply,
    Unneeded,
    due_ms_of,
    holder_of,
    kept_replies,
    lease_end_ms,
    refused_requests,
)  # fmt: skip
from treadle.engine.transact import Transition, begins_with, replay
from treadle.ports import Lease, Request, RunMeta, RunQuery, RunRow, StoredEvent
from treadle.view import status_word

SNAPSHOT_BYTES_MIN: Final = 16 << 10
SNAPSHOT_GROWTH: Final = 4
SERVED_MAX: Final = 10_000
_JSON: Final = orjson.OPT_PASSTHROUGH_DATACLASS


class EmbeddedStorage:
    """A store as `engine.storage.Storage`. For the coroutines of one event loop."""

    def __init__(self, store: Store) -> None:
        """Stand over an open store, which `close` closes."""
        self.store = store
        self._definitions: dict[str, Definition] = {}
        self._thread = threading.get_ident()
        self._redo_reader: Reader | None = None
        self._closed = False

    @classmethod
    def open(cls, path: Path, *, accept_loss: bool = False) -> "EmbeddedStorage":
        """Open a project's file, making it where it is not there. Raises RequestError with the store's own code."""
        with as_request_errors():
            return cls(open_store(path, accept_loss=accept_loss))

    async def read(self, run_id: str, known: Record | None = None) -> Record | None:
        """Read a run: snapshot and the events after it, or only the events after an older record."""
        with as_request_errors():
            newer = self._newer(known) if known is not None else None
            return newer if newer is not None else self._load(run_id)

    def _newer(self, known: Record) -> Record | None:
        fence = known.fence
        with self.store.reader.view():
            row = self.store.reader.run(known.run_id)
            if row is None or not isinstance(fence, Head) or row.definition != known.digest:
                return None
            if row.head == fence:
                return known
            events = self.store.reader.events(known.run_id, after_rev=fence.revision)
        state = replay(known.definition, known.state, map(_event_of, events), self.blob, self.definition)
        return _record(row, known.definition, state)

    def _load(self, run_id: str) -> Record | None:
        loaded = self.store.reader.load(run_id)
        if loaded is None:
            return None
        state = codec.loads(RunState, loaded.snapshot[1]) if loaded.snapshot is not None else None
        if state is None or loaded.tail:
            tail = [_event_of(row) for row in loaded.tail]
            first = self.definition(begins_with(tail, loaded.row.definition))
            state = replay(first, state, tail, self.blob, self.definition)
        return _record(loaded.row, self.definition(loaded.row.definition), state)

    async def commit(self, batch: Batch) -> Committed | Unneeded | Repeated:
        """Write a batch."""
        for request in refused_requests(batch):  # the others are found by the rows that are written for them
            if (answered := await self.repeated(request)) is not None:
                return answered
        redone: list[tuple[Record, Transition]] = []

        def redo(stale: Stale) -> Write | Refused:
            before = self._moved_on(batch, stale)
            transition = batch.redo(before) if batch.redo is not None else batch.transition
            redone.append((before, transition))
            if batch.redo is None or not transition.events:
                return Refused(reason="unneeded")
            self._keep_blobs(transition)
            return self._write(batch, before, transition)

        with as_request_errors():
            if batch.transition.blobs:
                await asyncio.to_thread(self._keep_blobs, batch.transition)
            write = self._write(batch, batch.before, batch.transition)
            # `redo` is for a fence that was missed; a run that begins has none.
            outcome = await self.store.commit(write if batch.before is None else replace(write, redo=redo))
        before, transition = redone[-1] if redone else (batch.before, batch.transition)
        match outcome:
            case Stored(head=head):
                record = _after(batch, before, transition, head)
                # Whoever starts a run has read the file anew; all runs of it share one.
                known = self._definitions.setdefault(record.digest, record.definition)
                if known is not record.definition:
                    record = replace(record, definition=known)
                return Committed(record=record, transition=transition)
            case StoredRequest(request=row):
                same = any(row.key == request.key and row.digest == request.digest for request in batch.requests if request is not None)
                return Repeated(reply=_read_reply(row), same_body=same)
            case Refused() if before is not None:
                return Unneeded(record=before, transition=transition)
            case _ if batch.start is not None:
                raise _run_exists(batch.run_id)
            case _:
                raise InvariantViolationError(f"the store answered a write to {batch.run_id!r} with {outcome}")

    async def repeated(self, request: Request) -> Repeated | None:
        """Look a request up."""
        with as_request_errors():
            row = self.store.reader.request(request.key)
        return Repeated(reply=_read_reply(row), same_body=row.digest == request.digest) if row is not None else None

    async def evidence(self, record: Record, request: Request, event: Event) -> None:
        """Keep what a conflicting request said, under a key of its own; kept once."""
        key = f"{request.key}!{request.digest[-16:]}"
        row = RequestRow(key=key, digest=request.digest, reply=codec.dumps(event), created_ms=event.at_ms, run=record.run_id)

        def redo(stale: Stale) -> Write:
            return Write(run=record.run_id, expected=stale.row.head, requests=(row,))

        with as_request_errors():
            if isinstance(record.fence, Head) and self.store.reader.request(key) is None:
                await self.store.commit(Write(run=record.run_id, expected=record.fence, requests=(row,), redo=redo))

    async def take(self, run_id: str, lease: Lease, now_ms: int) -> bool:
        """Hold an action's row."""
        unit = Renewal(
            run=run_id, action=lease.action, attempt=lease.attempt, holder=lease.holder, lease_until_ms=lease.until_ms,
            now_ms=now_ms,
        )  # fmt: skip
        with as_request_errors():
            outcome = await self.store.commit(unit)
        return isinstance(outcome, StoredRenewal) and outcome.held

    def leases(self, run_id: str, action: str | None = None) -> tuple[Lease, ...]:
        """Give the leases on a run's open actions, or on one of them."""
        with as_request_errors():
            reader = self._reader_here()
            rows = reader.actions(run_id) if action is None else filter(None, [reader.action(run_id, action)])
        return tuple(
            Lease(action=row.id, attempt=row.attempt, holder=row.holder, until_ms=row.lease_until_ms)
            for row in rows
            if row.holder is not None and row.lease_until_ms is not None
        )

    def served(self) -> tuple[Served, ...]:
        """Give the actions that servers perform."""
        with as_request_errors():
            found = self.store.reader.served(limit=SERVED_MAX)
            rows = [each for each in found if each.action.status in {"open", "claimed"}]
            held_back = {run for run in {each.run for each in rows} if self._is_parked(run)}
        return tuple(
            Served(
                run_id=each.run, action=row.id, attempt=row.attempt, status=row.status, holder=row.holder,
                until_ms=row.lease_until_ms or 0,
            )
            for each in rows
            if each.run not in held_back and (row := each.action)
        )  # fmt: skip

    def _is_parked(self, run_id: str) -> bool:
        row = self.store.reader.run(run_id)
        return row is None or row.status == "parked"

    def due(self, now_ms: int) -> tuple[str, ...]:
        """Give the runs in which a timer is due."""
        with as_request_errors():
            return tuple(run for run, _ in self.store.reader.due_runs(now_ms))

    def next_due_ms(self) -> int | None:
        """Give the next instant at which some run has a timer due."""
        with as_request_errors():
            return self.store.reader.next_due_ms()

    def blob(self, digest: str) -> Value:
        """Read a value that was set aside."""
        with as_request_errors():
            return decode(self.store.blobs.get(digest.removeprefix("sha256:")).decode())

    async def runs(self, query: RunQuery) -> list[RunRow]:
        """List runs, newest first."""
        with as_request_errors():
            before = self.store.reader.run(query.before) if query.before is not None else None
            wanted = RunFilter(
                words=query.words, statuses=query.statuses, open_only=query.open_only, directory=query.directory,
                branch=query.branch, forked_from=query.forked_from, before=before.number if before is not None else None,
            )  # fmt: skip
            return [_row(row) for row in self.store.reader.runs(wanted, limit=query.limit)]

    async def events(self, run_id: str, after_rev: int) -> list[StoredEvent]:
        """Read a run's history."""
        with as_request_errors():
            rows = self.store.reader.events(run_id, after_rev=after_rev)
        return [StoredEvent(seq=row.seq, run_id=row.run, rev=row.rev, event=_event_of(row)) for row in rows]

    async def changes(self, after_seq: int | None, *, urgent: bool = True) -> AsyncIterator[tuple[int, str]]:
        """Follow what is stored, by any process."""
        with as_request_errors():
            seq = self.store.reader.last_seq() if after_seq is None else after_seq
        while True:
            with as_request_errors():
                changes = await self.store.feed.wait(seq, urgent=urgent)
            newest = {change.run: change.seq for change in changes}
            for change in changes:
                seq = change.seq
                if newest[change.run] == seq:
                    yield seq, change.run

    async def close(self) -> None:
        """Commit what is queued and close the file. Safe to call again."""
        if self._closed:
            return
        self._closed = True
        with as_request_errors():
            await self.store.close()
        if self._redo_reader is not None:
            self._redo_reader.close()

    def _reader_here(self) -> Reader:
        """Give a reader for this thread: a redo may run on the writer's, and a reader belongs to one (reader.py)."""
        if threading.get_ident() == self._thread:
            return self.store.reader
        if self._redo_reader is None:
            self._redo_reader = self.store.new_reader()
        return self._redo_reader

    # Writing

    def _keep_blobs(self, transition: Transition) -> None:
        for blob in transition.blobs:
            self.store.blobs.put(blob.body)

    def _write(self, batch: Batch, before: Record | None, transition: Transition) -> Write:
        state = transition.state
        bodies = tuple(orjson.dumps(event, default=codec.plain, option=_JSON) for event in transition.events)
        head = before.fence if before is not None and isinstance(before.fence, Head) else None
        opened, changed, closed = _action_rows(batch, before.state if before is not None else None, state)
        definitions: tuple[DefinitionRow, ...] = ()
        if batch.start is not None:
            definitions = (DefinitionRow(digest=batch.start.digest, body=codec.dumps(batch.start.definition)),)
        fields = _fields(before, state, batch.at_ms) if before is not None else None
        if batch.into is not None and fields is not None and before is not None:
            fields["definition"] = batch.definition_of(before)[1]
            definitions = (DefinitionRow(digest=fields["definition"], body=codec.dumps(batch.into)),)
        return Write(
            run=batch.run_id,
            events=bodies,
            start=_new_run(batch.start, state, batch.at_ms) if batch.start is not None else None,
            expected=head,
            fields=fields,
            opened=opened,
            changed=changed,
            closed=closed,
            snapshot=_snapshot(head, bodies, state),
            requests=tuple(_request_row(batch, request, reply) for request, reply in kept_replies(batch, transition)),
            definitions=definitions,
            blobs=tuple(
                BlobRow(digest=blob.digest.removeprefix("sha256:"), size_bytes=len(blob.body), created_ms=batch.at_ms)
                for blob in transition.blobs
            ),
        )

    def _moved_on(self, batch: Batch, stale: Stale) -> Record:
        """Give the run as it is now: what this process knew, and the events of whoever was first."""
        before = batch.before
        if before is None:
            raise _run_exists(batch.run_id)
        state = replay(before.definition, before.state, map(_event_of, stale.events), self.blob, self.definition)
        return _record(stale.row, self.definition(stale.row.definition), state)

    def definition(self, digest: str) -> Definition:
        """Read a definition. Raises RequestError `definition_missing`, `other_semantics`."""
        known = self._definitions.get(digest)
        if known is not None:
            return known
        body = self._reader_here().definition(digest)
        if body is None:
            raise RequestError(f"the definition {digest} is missing", code="definition_missing", hint="run `treadle doctor`")
        definition = codec.loads(Definition, body)
        if definition.semantics not in SUPPORTED:
            raise RequestError(
                f"the run was started by a Treadle with semantics {definition.semantics}; this one has {sorted(SUPPORTED)}",
                code="other_semantics", hint="use the Treadle that started it, or a newer one",
            )  # fmt: skip
        self._definitions[digest] = definition
        return definition


def _snapshot(head: Head | None, bodies: tuple[bytes, ...], state: RunState) -> bytes | None:
    tail = sum(map(len, bodies)) + (head.tail_bytes if head is not None else 0)
    if tail <= max(SNAPSHOT_BYTES_MIN, SNAPSHOT_GROWTH * (head.snap_bytes if head is not None else 0)):
        return None
    return orjson.dumps(state, default=codec.plain, option=_JSON)


def _fields(before: Record | None, state: RunState, at_ms: int) -> RunFields:
    """Name only the columns that change: each may move an index."""
    fields: RunFields = {"now_ms": state.now_ms, "updated_ms": at_ms}
    word = status_word(state)
    if before is None or word != status_word(before.state):
        fields["status"] = word
    due_ms = due_ms_of(state)
    if before is None or due_ms != due_ms_of(before.state):
        fields["next_due_ms"] = due_ms
    if state.ended:
        fields["closed_ms"] = at_ms
    return fields


def _new_run(start: Start, state: RunState, at_ms: int) -> NewRun:
    meta = start.meta
    return NewRun(
        name=meta.workflow, definition=start.digest, semantics=state.semantics, status=status_word(state), now_ms=state.now_ms,
        created_ms=at_ms, next_due_ms=due_ms_of(state), closed_ms=at_ms if state.ended else None, title=meta.title,
        started_by=meta.started_by, directory=meta.directory, branch=meta.branch, forked_from=meta.forked_from,
    )  # fmt: skip


def _action_rows(
    batch: Batch, before: RunState | None, after: RunState
) -> tuple[tuple[ActionRow, ...], tuple[ActionChange, ...], tuple[str, ...]]:
    known = before.actions if before is not None else {}
    opened: list[ActionRow] = []
    changed: list[ActionChange] = []
    for action in after.actions.values():
        old = known.get(action.id)
        if old is action:
            continue
        if old is None:
            opened.append(_action_row(batch, action, after))
        else:
            fields = _action_fields(batch, old, action, after)
            if fields:
                changed.append(ActionChange(id=action.id, fields=fields))
    closed = tuple(action_id for action_id in known if action_id not in after.actions)
    return tuple(opened), tuple(changed), closed


def _action_row(batch: Batch, action: ActionState, state: RunState) -> ActionRow:
    holder = holder_of(batch, action)
    return ActionRow(
        id=action.id, status=action.status, kind=action.kind, performer=action.performer, opened_ms=action.opened_at_ms,
        channel=action.channel, attempt=action.attempt, holder=holder,
        lease_until_ms=lease_end_ms(batch, action) if holder is not None else None, due_ms=_due_ms(state, action.id),
    )  # fmt: skip


def _action_fields(batch: Batch, old: ActionState, action: ActionState, state: RunState) -> ActionFields:
    fields: ActionFields = {"due_ms": _due_ms(state, action.id)}
    if action.status != old.status:
        fields["status"] = action.status
    if action.attempt != old.attempt:
        fields["attempt"] = action.attempt
    if action.performer != old.performer:
        fields["performer"] = action.performer
    if (action.holder, action.attempt, action.status) != (old.holder, old.attempt, old.status):
        holder = holder_of(batch, action)
        fields["holder"] = holder
        fields["lease_until_ms"] = lease_end_ms(batch, action) if holder is not None else None
    return fields


def _due_ms(state: RunState, action_id: str) -> int | None:
    dues = [state.timers.get(f"{kind}:{action_id}") for kind in ("timeout", "within", "backoff", "grace")]
    return min((due for due in dues if due is not None), default=None)


def _request_row(batch: Batch, request: Request, reply: StoredReply) -> RequestRow:
    body = codec.dumps({"refusal": asdict(reply.refusal) if reply.refusal else None, "claimed": reply.claimed})
    return RequestRow(key=request.key, digest=request.digest, reply=body, created_ms=batch.at_ms)


def _read_reply(row: RequestRow) -> StoredReply:
    data = orjson.loads(row.reply)
    refusal = Refusal(**data["refusal"]) if data.get("refusal") else None
    return StoredReply(run_id=row.run, refusal=refusal, claimed=data.get("claimed"))


# Reading


def _event_of(row: EventRow) -> Event:
    data = decode(row.body.decode())
    return codec.read_union(EVENT_TYPES, data if isinstance(data, dict) else {})


def _meta(row: StoredRun) -> RunMeta:
    return RunMeta(
        workflow=row.name, title=row.title, directory=row.directory, branch=row.branch, started_by=row.started_by, forked_from=row.forked_from
    )  # fmt: skip


def _record(row: StoredRun, definition: Definition, state: RunState) -> Record:
    return Record(
        run_id=row.id, definition=definition, digest=row.definition, state=state, meta=_meta(row), fence=row.head,
        stored_bytes=row.head.snap_bytes + row.head.tail_bytes,
    )  # fmt: skip


def _after(batch: Batch, before: Record | None, transition: Transition, head: Head) -> Record:
    source = before or batch.start
    if source is None:
        raise RequestError(f"there is no run {batch.run_id!r}", code="unknown_run")
    definition, digest = batch.definition_of(source)
    return Record(
        run_id=batch.run_id, definition=definition, digest=digest, state=transition.state, meta=source.meta,
        fence=head, stored_bytes=head.snap_bytes + head.tail_bytes,
    )  # fmt: skip


def _row(row: StoredRun) -> RunRow:
    return RunRow(
        id=row.id, meta=_meta(row), definition=row.definition, semantics=row.semantics, status=row.status,
        revision=row.head.revision, created_ms=row.created_ms, updated_ms=row.updated_ms, next_due_ms=row.next_due_ms,
    )  # fmt: skip


def _run_exists(run_id: str) -> RequestError:
    return RequestError(f"there is a run {run_id!r} already", code="run_exists", hint="start under another id")


@contextlib.contextmanager
def as_request_errors() -> Generator[None]:
    """Let the store's errors leave in the family that callers know, with the same code and hint."""
    try:
        yield
    except StoreError as error:
        raise RequestError(error.message, code=error.code, hint=error.hint) from error
