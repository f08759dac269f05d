"""What a local engine asks of a storage: records of runs behind a fence, rows of open actions, requests, blobs, a feed of changes.

Two storages stand behind it: `memory.py` and `embedded/storage.py`. A storage decides nothing; a commit is whole or not at all. What both must
do alike (who holds a row, when a run is due, which replies are kept) stands at the end.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from treadle.core.closing import needs_claim
from treadle.core.codec import digest_of
from treadle.core.definition import Definition
from treadle.core.errors import Refusal
from treadle.core.events import Event
from treadle.core.state import ActionState, RunState
from treadle.core.values import Value
from treadle.engine.transact import Transition
from treadle.ports import Lease, Request, RunMeta, RunQuery, RunRow, StoredEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A run as a storage gives it. `fence` is the storage's own; a commit on another fence does not take place."""

    run_id: str
    definition: Definition
    digest: str
    state: RunState
    meta: RunMeta
    fence: object
    stored_bytes: int = 0
    """What the state, and the events since it was stored whole, take there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReply:
    """The part of a reply that is kept for a repeated request."""

    run_id: str
    refusal: Refusal | None = None
    claimed: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A run to be created."""

    run_id: str
    definition: Definition
    digest: str
    meta: RunMeta


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One transition to be committed. Who claimed an action holds it until `lease_until_ms`, a server until `served_until_ms`.

    `requests` are those that it answers, one for each of its parts if it has any. `holder` takes what the transition opened for a server and needs
    no claim. `into` is the definition that the run has from here on, where that is another one. `redo` computes the transition again from a newer
    record when the fence was missed; it is pure, and may run on another thread.
    """

    run_id: str
    before: Record | None
    start: Start | None
    transition: Transition
    at_ms: int
    lease_until_ms: int
    served_until_ms: int
    holder: str | None = None
    requests: tuple[Request | None, ...] = ()
    redo: Callable[[Record], Transition] | None = None
    into: Definition | None = None

    def definition_of(self, source: "Record | Start") -> tuple[Definition, str]:
        """Give the run's definition after the commit, with its digest."""
        return (source.definition, source.digest) if self.into is None else (self.into, digest_of(self.into))


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """The batch is durable; `transition` is the one that was committed, perhaps a redone one."""

    record: Record
    transition: Transition


@dataclass(frozen=True, slots=True, kw_only=True)
class Unneeded:
    """Done again from the newer record, the transition changes nothing; nothing was written."""

    record: Record
    transition: Transition


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated:
    """The request, or one of them, was answered before. `same_body` false is a conflict."""

    reply: StoredReply
    same_body: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """An action that servers perform, and who does so until when; nobody, if `holder` is None."""

    run_id: str
    action: str
    attempt: int
    status: str
    holder: str | None
    until_ms: int


class Storage(Protocol):
    """Where a local engine keeps its runs."""

    async def read(self, run_id: str, known: Record | None = None) -> Record | None:
        """Read a run with its newest state, None if there is none; only what is newer than `known` is read."""
        ...

    async def commit(self, batch: Batch) -> Committed | Unneeded | Repeated:
        """Write a batch; returns after it is durable. Raises RequestError `storage_unavailable`, `restart_this_session`."""
        ...

    async def repeated(self, request: Request) -> Repeated | None:
        """Look a request up."""
        ...

    async def evidence(self, record: Record, request: Request, event: Event) -> None:
        """Keep what a conflicting request said (ruling 21)."""
        ...

    async def take(self, run_id: str, lease: Lease, now_ms: int) -> bool:
        """Hold an action's row: one held so already, or an open one that nobody holds now. A row update, never an event."""
        ...

    def leases(self, run_id: str, action: str | None = None) -> tuple[Lease, ...]:
        """Give the leases on a run's open actions, or on one of them. Also asked by `redo`, wherever that runs."""
        ...

    def served(self) -> tuple[Served, ...]:
        """Give the actions that servers perform, in runs that are not set aside; the oldest first, and not more than can be begun."""
        ...

    def due(self, now_ms: int) -> tuple[str, ...]:
        """Give the runs in which a timer is due."""
        ...

    def next_due_ms(self) -> int | None:
        """Give the next instant at which some run has a timer due."""
        ...

    def definition(self, digest: str) -> Definition:
        """Read a definition that some run has or had. Raises RequestError `definition_missing`."""
        ...

    def blob(self, digest: str) -> Value:
        """Read a value that was set aside, whole and checked. Raises RequestError `blob_missing`, `blob_corrupt`."""
        ...

    async def runs(self, query: RunQuery) -> list[RunRow]:
        """List runs, newest first."""
        ...

    async def events(self, run_id: str, after_rev: int) -> list[StoredEvent]:
        """Read a run's history."""
        ...

    def changes(self, after_seq: int | None, *, urgent: bool = True) -> AsyncIterator[tuple[int, str]]:
        """Follow what is stored, by any process; what others store may be noticed later without `urgent`.

        Of what a run stored at once perhaps only the last is told.
        """
        ...

    async def close(self) -> None:
        """Finish what is in hand and let the file go."""
        ...


def due_ms_of(state: RunState) -> int | None:
    """Give the instant at which a run wants to be fed: its next timer, or at once if a transition left something to do (ruling 3)."""
    return state.now_ms if state.agenda and state.parked is None else state.next_due_ms


def holder_of(batch: Batch, action: ActionState) -> str | None:
    """Give who holds an action's row from this commit on: who claimed it, or the server that begins at once what needs no claim."""
    at_once = action.performer == "server" and action.status == "open" and not needs_claim(action)
    return action.holder or (batch.holder if at_once else None)


def lease_end_ms(batch: Batch, action: ActionState) -> int:
    """Give the end of a lease that begins with this commit."""
    return batch.served_until_ms if action.performer == "server" else batch.lease_until_ms


def keeps_reply(transition: Transition) -> bool:
    """Tell whether the reply is kept for a repeated request: what was refused without effect may be asked again."""
    return transition.refusal is None or transition.refusal.code in {"bad_output", "stopped"}


def refused_requests(batch: Batch) -> Iterator[Request]:
    """Give the requests whose reply is not kept though something is written (a timer came first): one answered before is still repeated."""
    for request, part in zip(batch.requests, batch.transition.parts or (batch.transition,), strict=False):
        if request is not None and part.events and not keeps_reply(part):
            yield request


def kept_replies(batch: Batch, transition: Transition) -> Iterator[tuple[Request, StoredReply]]:
    """Give the replies that are kept, for each request that had an effect."""
    for request, part in zip(batch.requests, transition.parts or (transition,), strict=False):
        if request is not None and (part.events or not transition.parts) and keeps_reply(part):
            yield request, StoredReply(run_id=batch.run_id, refusal=part.refusal, claimed=part.claimed)
