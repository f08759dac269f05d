"""The rows of the store, and what a caller may ask to be written.

A `Write` is everything one transition of one run does to the tables: it takes place whole or not at all. `expected` is
the fence: the run as its writer last saw it. Bodies are opaque bytes; nothing here knows what they mean.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypedDict


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where a run's history ends. Kept by the store; a caller only hands it back as the fence of its next write."""

    revision: int
    link: bytes
    snap_rev: int = 0
    snap_bytes: int = 0
    tail_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """A run at its start. `words` is text it can be found by beside name, title, branch and directory.

    `forked_from` is the run whose history it shares, and with it the values that were set aside there.
    """

    name: str
    definition: str
    semantics: int
    status: str
    now_ms: int
    created_ms: int
    next_due_ms: int | None = None
    closed_ms: int | None = None
    title: str = ""
    words: str = ""
    started_by: str = ""
    directory: str = ""
    branch: str = ""
    forked_from: str = ""


class RunFields(TypedDict, total=False):
    """Columns of a run that a write may change; only those that do change should be named (each may move an index)."""

    semantics: int
    definition: str
    status: str
    now_ms: int
    updated_ms: int
    next_due_ms: int | None
    closed_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """A run as stored. `number` counts runs in order of their start, and is the place in a paged list."""

    number: int
    id: str
    name: str
    definition: str
    semantics: int
    status: str
    head: Head
    now_ms: int
    created_ms: int
    updated_ms: int
    next_due_ms: int | None
    closed_ms: int | None
    title: str
    words: str
    started_by: str
    directory: str
    branch: str
    forked_from: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionRow:
    """An open action. A row is there exactly as long as the action is open: its history is in the events."""

    id: str
    status: str
    kind: str
    performer: str
    opened_ms: int
    channel: str = ""
    attempt: int = 0
    holder: str | None = None
    lease_until_ms: int | None = None
    due_ms: int | None = None
    params: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAction:
    """An open action together with the run that it belongs to."""

    run: str
    action: ActionRow


class ActionFields(TypedDict, total=False):
    """Columns of an open action that a write may change."""

    status: str
    performer: str
    channel: str
    attempt: int
    holder: str | None
    lease_until_ms: int | None
    due_ms: int | None
    params: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionChange:
    """Columns of one open action to set; that it is not there is an error of the caller."""

    id: str
    fields: ActionFields


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """One event of a run: `rev` counts within the run from 1, `seq` over all runs in the order of their commits."""

    seq: int
    run: str
    rev: int
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRow:
    """The stored answer to a caller's request: `key` names the request, `digest` is of its body."""

    key: str
    digest: str
    reply: bytes
    created_ms: int
    run: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobRow:
    """A value beside the database that the write's run refers to from now on. The file is there already."""

    digest: str
    size_bytes: int
    created_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DefinitionRow:
    """A frozen definition; the same digest twice is one row."""

    digest: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """What one transition does to one run: fence (or `start`), events in order, and the rows that follow from them.

    Exactly one of `start` and `expected` is given. `opened` are new open actions, `changed` alters open ones, `closed`
    names those that end. `redo` is called inside the lock when the fence misses, perhaps on another thread: it must be
    pure and quick, and gives a write that is built on the newer run, or a refusal.
    """

    run: str
    events: tuple[bytes, ...] = ()
    start: NewRun | None = None
    expected: Head | None = None
    fields: RunFields | None = None
    opened: tuple[ActionRow, ...] = ()
    changed: tuple[ActionChange, ...] = ()
    closed: tuple[str, ...] = ()
    snapshot: bytes | None = None
    requests: tuple[RequestRow, ...] = ()
    definitions: tuple[DefinitionRow, ...] = ()
    blobs: tuple[BlobRow, ...] = ()
    redo: "Callable[[Stale], Write | Refused] | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """A lease to be lengthened, or begun, in place: a row update, not an event (ruling 1).

    Who holds the attempt keeps it for longer. A row of status `open` that nobody holds, or whose lease has ended by
    `now_ms`, is taken; so two processes do not begin the same work. A claimed one changes hands by an event alone.
    """

    run: str
    action: str
    attempt: int
    holder: str
    lease_until_ms: int
    now_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """The write is durable. `head` is the fence of the run's next write; `seq` that of its last event, 0 if it had none."""

    head: Head
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stale:
    """The fence missed: the run as it is now, and the events since the fence. Nothing was written."""

    row: RunRow
    events: tuple[EventRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """`redo` found that the write no longer makes sense; `reason` is its own word for why. Nothing was written."""

    reason: object


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated:
    """A request with this key was answered before, by this row. Nothing was written."""

    request: RequestRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewed:
    """What became of a renewal: `held` is False if that holder no longer holds that attempt. Nothing was written then."""

    held: bool


Unit = Write | Renewal
Outcome = Committed | Stale | Refused | Repeated | Renewed
