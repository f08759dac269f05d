"""The memory storage: the contract of `storage.py` without a file, for tests and for runs that need not outlive their process."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace

from treadle.core.codec import dumps, read_union
from treadle.core.definition import Definition
from treadle.core.errors import RequestError
from treadle.core.events import EVENT_TYPES, Event
from treadle.core.state import ActionState, RunState
from treadle.core.values import Value, decode
from treadle.engine.storage import (
    Batch,
    Committed,
    Record,
    Repeated,
    Served,
    StoredReply,
    Unneeded,
    due_ms_of,
    holder_of,
    kept_replies,
    lease_end_ms,
)  # fmt: skip
from treadle.engine.transact import Transition
from treadle.ports import Lease, Request, RunQuery, RunRow, StoredEvent
from treadle.view import status_word


class MemoryStorage:
    """Runs in dictionaries. Events are kept as bytes, so that what could not be stored elsewhere cannot be stored here."""

    def __init__(self) -> None:
        """Begin empty."""
        self._records: dict[str, Record] = {}
        self._definitions: dict[str, Definition] = {}
        self._rows: dict[str, RunRow] = {}
        self._log: list[tuple[str, int, bytes]] = []
        self._requests: dict[str, tuple[str, StoredReply]] = {}
        self._evidence: list[tuple[str, str, bytes]] = []
        self._leases: dict[str, dict[str, Lease]] = {}
        self._blobs: dict[str, bytes] = {}
        self._serving: dict[str, None] = {}
        self._stored = asyncio.Event()

    async def read(self, run_id: str, known: Record | None = None) -> Record | None:  # noqa: ARG002 (the newest is at hand)
        """Read a run."""
        return self._records.get(run_id)

    async def commit(self, batch: Batch) -> Committed | Unneeded | Repeated:
        """Write a batch."""
        for request in batch.requests:
            if request is not None and (before := await self.repeated(request)) is not None:
                return before
        current = self._records.get(batch.run_id)
        if batch.start is not None and current is not None:
            raise RequestError(f"there is a run {batch.run_id!r} already", code="run_exists")
        transition = batch.transition
        if current is not None and batch.before is not None and current.fence != batch.before.fence:
            if batch.redo is None:
                raise RequestError("the run has moved on", code="stale")
            transition = batch.redo(current)
            if not transition.events:
                return Unneeded(record=current, transition=transition)
        record = self._write(batch, transition, current)
        return Committed(record=record, transition=transition)

    def _write(self, batch: Batch, transition: Transition, current: Record | None) -> Record:
        self._blobs |= {blob.digest: blob.body for blob in transition.blobs}
        source = current or batch.start
        if source is None:
            raise RequestError(f"there is no run {batch.run_id!r}", code="unknown_run")
        definition, digest = batch.definition_of(source)
        self._definitions[digest] = definition
        record = Record(
            run_id=batch.run_id, definition=definition, digest=digest, state=transition.state, meta=source.meta,
            fence=transition.state.revision,
        )  # fmt: skip
        first = transition.state.revision - len(transition.events) + 1
        self._log += [(batch.run_id, first + n, dumps(event)) for n, event in enumerate(transition.events)]
        self._records[batch.run_id] = record
        self._list(batch, record)
        self._hold(batch, current.state if current is not None else None, record.state)
        for request, reply in kept_replies(batch, transition):
            self._requests[request.key] = (request.digest, reply)
        self._stored.set()
        self._stored = asyncio.Event()
        return record

    def _list(self, batch: Batch, record: Record) -> None:
        state, before = record.state, self._rows.get(batch.run_id)
        word = status_word(state)
        row = before or RunRow(
            id=batch.run_id, meta=record.meta, definition=record.digest, semantics=state.semantics, status=word,
            revision=state.revision, created_ms=batch.at_ms, updated_ms=batch.at_ms,
        )  # fmt: skip
        self._rows[batch.run_id] = replace(
            row, definition=record.digest, status=word, revision=state.revision, updated_ms=batch.at_ms, next_due_ms=due_ms_of(state)
        )  # fmt: skip

    def _hold(self, batch: Batch, before: RunState | None, after: RunState) -> None:
        leases = self._leases.setdefault(batch.run_id, {})
        known = before.actions if before is not None else {}
        for action_id in [a for a in leases if a not in after.actions]:
            del leases[action_id]
        self._serving.pop(batch.run_id, None)
        if any(action.performer == "server" for action in after.actions.values()):
            self._serving[batch.run_id] = None
        for action in after.actions.values():
            old = known.get(action.id)
            if old is not None and _held(old) == _held(action):
                continue
            holder = holder_of(batch, action)
            leases.pop(action.id, None)
            if holder is not None:
                until_ms = lease_end_ms(batch, action)
                leases[action.id] = Lease(action=action.id, attempt=action.attempt, holder=holder, until_ms=until_ms)

    async def repeated(self, request: Request) -> Repeated | None:
        """Look a request up."""
        found = self._requests.get(request.key)
        return Repeated(reply=found[1], same_body=found[0] == request.digest) if found is not None else None

    async def evidence(self, record: Record, request: Request, event: Event) -> None:
        """Keep what a conflicting request said."""
        self._evidence.append((record.run_id, request.key, dumps(event)))

    async def take(self, run_id: str, lease: Lease, now_ms: int) -> bool:
        """Hold an action's row."""
        record = self._records.get(run_id)
        action = record.state.actions.get(lease.action) if record is not None else None
        if action is None or action.attempt != lease.attempt:
            return False
        held = self._leases[run_id].get(lease.action)
        is_free = action.status == "open" and (held is None or held.until_ms <= now_ms)
        if not is_free and (held is None or held.holder != lease.holder):
            return False
        self._leases[run_id][lease.action] = lease
        return True

    def leases(self, run_id: str, action: str | None = None) -> tuple[Lease, ...]:
        """Give the leases on a run's open actions, or on one of them."""
        found = self._leases.get(run_id, {})
        return tuple(found.values()) if action is None else tuple(found[a] for a in (action,) if a in found)

    def served(self) -> tuple[Served, ...]:
        """Give the actions that servers perform."""
        found: list[Served] = []
        for run_id in self._serving:
            record, leases = self._records[run_id], self._leases[run_id]
            for action in record.state.actions.values() if record.state.parked is None else ():
                if action.performer == "server" and action.status in {"open", "claimed"}:
                    lease = leases.get(action.id)
                    found.append(
                        Served(
                            run_id=run_id, action=action.id, attempt=action.attempt, status=action.status,
                            holder=lease.holder if lease is not None else None, until_ms=lease.until_ms if lease is not None else 0,
                        )
                    )  # fmt: skip
        return tuple(found)

    def due(self, now_ms: int) -> tuple[str, ...]:
        """Give the runs in which a timer is due."""
        return tuple(r.id for r in self._rows.values() if r.next_due_ms is not None and r.next_due_ms <= now_ms)

    def next_due_ms(self) -> int | None:
        """Give the next instant at which some run has a timer due."""
        return min((r.next_due_ms for r in self._rows.values() if r.next_due_ms is not None), default=None)

    def definition(self, digest: str) -> Definition:
        """Read a definition."""
        if digest not in self._definitions:
            raise RequestError(f"the definition {digest} is missing", code="definition_missing")
        return self._definitions[digest]

    def blob(self, digest: str) -> Value:
        """Read a value that was set aside."""
        if digest not in self._blobs:
            raise RequestError(f"the value {digest} is not there", code="blob_missing")
        return decode(self._blobs[digest].decode())

    async def runs(self, query: RunQuery) -> list[RunRow]:
        """List runs, newest first."""
        rows = [row for row in reversed(self._rows.values()) if _fits(row, query)]
        ids = [row.id for row in rows]
        start = ids.index(query.before) + 1 if query.before in ids else 0
        return rows[start : start + query.limit]

    async def events(self, run_id: str, after_rev: int) -> list[StoredEvent]:
        """Read a run's history."""
        return [
            StoredEvent(seq=seq, run_id=run, rev=rev, event=read_union(EVENT_TYPES, _data(body)))
            for seq, (run, rev, body) in enumerate(self._log, 1)
            if run == run_id and rev > after_rev
        ]

    async def changes(self, after_seq: int | None, *, urgent: bool = True) -> AsyncIterator[tuple[int, str]]:  # noqa: ARG002 (nobody else stores here)
        """Follow what is stored."""
        seq = len(self._log) if after_seq is None else after_seq
        while True:
            stored = self._stored
            while seq < len(self._log):
                seq += 1
                yield seq, self._log[seq - 1][0]
            await stored.wait()

    async def close(self) -> None:
        """Nothing to let go."""


def _held(action: ActionState) -> tuple[object, ...]:
    return action.attempt, action.holder, action.status


def _fits(row: RunRow, query: RunQuery) -> bool:
    meta = row.meta
    text = f"{row.id} {meta.workflow} {meta.title} {meta.branch} {meta.directory}".lower()
    known = re.findall(r"[^\W_]+", text)
    return (
        (not query.statuses or row.status in query.statuses)
        and (not query.open_only or row.status in {"running", "waiting", "parked", "cancelling"})
        and (not query.directory or row.meta.directory == query.directory)
        and (not query.branch or row.meta.branch == query.branch)
        and (not query.forked_from or row.meta.forked_from == query.forked_from)
        and all(any(word.startswith(wanted) for word in known) for wanted in re.findall(r"[^\W_]+", query.words.lower()))
    )


def _data(body: bytes) -> dict[str, object]:
    data = decode(body.decode())
    return dict(data) if isinstance(data, dict) else {}
