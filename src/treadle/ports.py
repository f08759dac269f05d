"""The seams between the service and what surrounds it: engines below, action runners and registered functions beside.

Ports are internal; only action kinds and functions are extension points. Everything that crosses one is data of the core.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from treadle.core.commands import Note
from treadle.core.definition import Definition
from treadle.core.errors import Failure, Refusal
from treadle.core.events import Event, Usage
from treadle.core.state import ActionState, RunState
from treadle.core.values import Json, Value

Lapsed = Callable[[], tuple[str, ...]]
"""Gives the ids of the run's actions whose lease has run out; asked only where a claim is made."""

MakeEvent = Callable[[int, RunState, Lapsed], Event]
"""Builds an event from (at_ms, the state it will meet, the lapsed leases). Pure: it is called again after a lost race."""


MakeMigration = Callable[[int, Definition, RunState], Event]
"""Builds `RunMigrated` from (at_ms, the definition that the run has, the state it will meet); called again after a lost race. It may raise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The part of an action that is not history: who holds it until when. Renewed in place (ruling 1)."""

    action: str
    attempt: int
    holder: str
    until_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMeta:
    """What a run is listed and found by; written once, at the start. `directory` and `branch` say where it was started.

    `forked_from` is the run whose history a fork shares at its beginning.
    """

    workflow: str
    title: str = ""
    directory: str = ""
    branch: str = ""
    started_by: str = ""
    forked_from: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """A run in a list. `status` is the core's view of it, as of `updated_ms`."""

    id: str
    meta: RunMeta
    definition: str
    semantics: int
    status: str
    revision: int
    created_ms: int
    updated_ms: int
    next_due_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunQuery:
    """Which runs to list. `words` are looked for in id, workflow, title, branch and directory; `before` is the id that a page ended with."""

    words: str = ""
    statuses: tuple[str, ...] = ()
    open_only: bool = False
    directory: str = ""
    branch: str = ""
    forked_from: str = ""
    limit: int = 50
    before: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A run as the engine has it now: for views. Nothing is changed by asking."""

    definition: Definition
    state: RunState
    meta: RunMeta
    leases: tuple[Lease, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What became of an event, after it was durable. `duplicate` means that the same request was answered before, by this reply."""

    run_id: str
    state: RunState
    definition: Definition
    refusal: Refusal | None = None
    claimed: str | None = None
    lease_until_ms: int | None = None
    notes: tuple[Note, ...] = ()
    duplicate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The identity of a caller's request: `key` names it, `digest` is of its body (ruling 21)."""

    key: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """One event of a run's history. `seq` orders all events of an engine, `rev` those of the run, from 1."""

    seq: int
    run_id: str
    rev: int
    event: Event


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionCall:
    """A server-performed action on its way to the world: holes filled, ready to be sent.

    `definition` is the run's, and `directory` where it was started; who performs commands needs to know both.
    """

    run_id: str
    action: ActionState
    params: dict[str, Value]
    key: str
    timeout_ms: int | None = None
    definition: Definition | None = None
    directory: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the world said to an action: `failure` of None means done. `lost` says that nobody knows what became of it.

    `usage` and `degraded` are of a child run.
    """

    value: Value = None
    failure: Failure | None = None
    lost: bool = False
    usage: Usage | None = None
    degraded: bool = False


STOP: Final = "stop"
"""The message of the cancellation that asks a performer to stop."""


class Clock(Protocol):
    """Time, as every engine reads it."""

    def now_ms(self) -> int:
        """Give UTC epoch milliseconds."""
        ...

    async def wait(self, until_ms: int | None, wake: asyncio.Event) -> None:
        """Return at an instant, or as soon as `wake` is set, whichever is first; None waits for `wake` alone."""
        ...


class ActionRunner(Protocol):
    """Performs server-performed actions; one for all kinds."""

    async def perform(self, call: ActionCall) -> Answer:
        """Do it once. Never raises for what the world did.

        Cancelled with the message `STOP`, the performer stops it. Cancelled otherwise, this process goes away: what can go on without it
        is left alone.
        """
        ...


class Outliving(Protocol):
    """Actions that are carried on outside of the process that began them: performing one again finds it, running or done."""

    def outlives(self, action: ActionState) -> bool:
        """Tell whether an action is one of them."""
        ...

    def stop(self, run_id: str, action: str, attempt: int) -> None:
        """Ask an attempt to stop, whoever began it; safe to repeat, also where there is none."""
        ...

    def settled(self, call: ActionCall) -> None:
        """Forget an attempt whose answer is stored."""
        ...


class Functions(Protocol):
    """The registered functions of a project (design §3)."""

    def call(self, name: str, version: str, args: Sequence[Value], kwargs: dict[str, Value]) -> Value:
        """Call it. Raises FunctionFailedError with a message for the author when it raises or is not there in that version."""
        ...


KeepValue = Callable[[str, Json], None]
"""Keeps a result under a key, for `cache`; it never raises, because losing one costs only the work."""


class Engine(Protocol):
    """Stores events, delivers commands, feeds results back; knows nothing of step types (design §2)."""

    async def start(
        self, definition: Definition, event: Event, meta: RunMeta, request: Request | None = None, *, shared: Sequence[Event] = ()
    ) -> Reply:
        """Create a run; the reply leaves after it is durable. The same request again gives the first reply; another body is a conflict.

        `shared` is the history that stands before a `RunForked`; all of it becomes durable at once.
        """
        ...

    async def send(self, run_id: str, make: MakeEvent, request: Request | None = None) -> Reply:
        """Put one event through `advance` and store it. Raises RequestError `unknown_run`, `request_conflict`, `storage_unavailable`."""
        ...

    async def migrate(self, run_id: str, definition: Definition, make: MakeMigration) -> Reply:
        """Move a run to another definition, whole or not at all. Raises what `send` and `make` raise, and RequestError `not_yet`."""
        ...

    async def definition(self, digest: str) -> Definition:
        """Read a definition that some run has or had. Raises RequestError `definition_missing`."""
        ...

    async def renew(self, run_id: str, lease: Lease) -> bool:
        """Lengthen a lease in place; False if the action is no longer held so."""
        ...

    async def snapshot(self, run_id: str) -> Snapshot:
        """Read a run. Raises RequestError `unknown_run`."""
        ...

    async def runs(self, query: RunQuery) -> list[RunRow]:
        """List runs, newest first."""
        ...

    async def events(self, run_id: str, after_rev: int = 0) -> list[StoredEvent]:
        """Read a run's history."""
        ...

    async def blob(self, digest: str) -> Value:
        """Read a value that was set aside."""
        ...

    def changes(self, after_seq: int | None = None, *, urgent: bool = True) -> AsyncIterator[tuple[int, str]]:
        """Follow (seq, run id) of all that is stored from now or from `after_seq` on, by any process; without `urgent` a moment later."""
        ...

    async def serve(self) -> None:
        """Keep time and perform server-performed actions until cancelled (ruling 59)."""
        ...

    async def close(self) -> None:
        """Stop performing, finish what is in hand, release the file."""
        ...


class FunctionFailedError(Exception):
    """A registered function raised, or is not there; the message is for the author."""
