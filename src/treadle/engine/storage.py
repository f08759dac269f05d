"""What a local engine asks of a storage: records of runs behind a fence, rows of open actions, requests, blobs, a feed of changes.

Two storages stand behind it: `memory.py` and `embedded/storage.py`. A storage decides nothing; a commit is whole or not at all.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol

from treadle.core.definition import Definition
from treadle.core.errors import Refusal
from treadle.core.events import Event
from treadle.core.state import RunState
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
    """One transition to be committed. `holder` takes what the transition opened for a server, until `lease_until_ms`.

    `redo` computes the transition again from a newer record when the fence was missed; it is pure, and may run on another thread.
    """

    run_id: str
    before: Record | None
    start: Start | None
    transition: Transition
    at_ms: int
    lease_until_ms: int
    holder: str | None = None
    request: Request | None = None
    redo: Callable[[Record], Transition] | None = None


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
    """The request was answered before. `same_body` false is a conflict."""

    reply: StoredReply
    same_body: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """An open action of a server that nobody holds, or whose holder's lease has run out."""

    run_id: str
    action: str
    attempt: int
    status: str
    holder: str | None


class Storage(Protocol):
    """Where a local engine keeps its runs."""

    async def read(self, run_id: str) -> Record | None:
        """Read a run with its newest state; None if there is none."""
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
        """Hold an action's row, if it is free, lapsed or already held so; a row update, never an event."""
        ...

    def leases(self, run_id: str) -> tuple[Lease, ...]:
        """Give the leases on a run's open actions."""
        ...

    def served(self, now_ms: int) -> tuple[Served, ...]:
        """Give the server's actions that wait for a process to perform them."""
        ...

    def due(self, now_ms: int) -> tuple[str, ...]:
        """Give the runs in which a timer is due."""
        ...

    def next_due_ms(self) -> int | None:
        """Give the next instant at which some run has a timer due."""
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

    def changes(self, after_seq: int | None) -> AsyncIterator[tuple[int, str]]:
        """Follow what is stored, by any process."""
        ...

    async def close(self) -> None:
        """Finish what is in hand and let the file go."""
        ...
