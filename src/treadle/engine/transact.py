"""One transaction's worth of a run: an event, and what the core asks for before it can be stored.

The core cannot call a function or read a blob. It says so, and is given the answer within the same transaction (rulings 4, 11).
`transition` is a generator that asks; a shell answers in its own way: `transact` at once, Temporal's by activities. Pure but for the answers,
so that it may be done again from a newer state when a race for the fence was lost.
"""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

import orjson

from treadle.core.advance import advance
from treadle.core.aside import fill
from treadle.core.codec import plain
from treadle.core.commands import Blob, Command, Decision, Evaluate, NeedBlobs, Note
from treadle.core.definition import Definition
from treadle.core.errors import Failure, HistoryMismatchError, InvariantViolationError, Refusal
from treadle.core.events import (
    ActionAnswered,
    ActionClaimed,
    ApprovalDecided,
    Evaluated,
    Event,
    OutcomeResolved,
    RunForked,
    RunMigrated,
    SignalSent,
)
from treadle.core.limits import BLOB_BYTES_MIN
from treadle.core.records import replace
from treadle.core.state import RunState
from treadle.core.values import BlobRef, Value, decode, spill
from treadle.invariants import check_invariants
from treadle.ports import FunctionFailedError, Functions

T = TypeVar("T")
ReadBlob = Callable[[str], Value]
Definitions = Callable[[str], Definition]
"""Gives a definition by its digest."""
Called = Value | Failure
"""What a registered function gave: its value, or why it gave none."""

Wanted = Evaluate | NeedBlobs
"""What a transaction waits for: a function's result (arguments whole), or values that were set aside."""

Given = Called | Mapping[str, Value]
ROUNDS_MAX = 10_000
CHARACTER_BYTES_MAX = 6  # of `\u0000`; a character takes four at most, where it is not escaped


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """What is to be committed at once. `more` asks for `Continued` after the commit; no events means that nothing changed.

    `parts` are the transitions that one of several events is made of, in order; only the last may want `more`.
    """

    state: RunState
    events: tuple[Event, ...]
    commands: tuple[Command, ...]
    notes: tuple[Note, ...]
    blobs: tuple[Blob, ...]
    refusal: Refusal | None
    claimed: str | None
    more: bool
    parts: tuple["Transition", ...] = ()


def joined(parts: Sequence[Transition]) -> Transition:
    """Make one transition of several that follow one another."""
    return replace(
        parts[-1], events=_concat(part.events for part in parts), commands=_concat(part.commands for part in parts),
        notes=_concat(part.notes for part in parts), blobs=_concat(part.blobs for part in parts), parts=tuple(parts),
    )  # fmt: skip


def _concat(rows: Iterable[tuple[T, ...]]) -> tuple[T, ...]:
    return tuple(chain.from_iterable(rows))


def transact(definition: Definition, state: RunState | None, event: Event, functions: Functions, read_blob: ReadBlob) -> Transition:
    """Carry a run over one event and over what it needs meanwhile, answering from `functions` and `read_blob`."""
    asking = transition(definition, state, event)
    given: Given = None
    while True:
        try:
            wanted = asking.send(given)
        except StopIteration as done:
            return done.value
        given = _looked_up(wanted, read_blob) if isinstance(wanted, NeedBlobs) else call(wanted, functions)


def _looked_up(need: NeedBlobs, read_blob: ReadBlob) -> Mapping[str, Value]:
    return {digest: read_blob(digest) for digest in need.digests}


def call(command: Evaluate, functions: Functions) -> Called:
    """Call a registered function; that it raised, or is not there, is a failure of the step."""
    try:
        return functions.call(command.function, command.version, command.args, command.kwargs)
    except FunctionFailedError as error:
        return Failure(error_class="function", message=f"`{command.function}`: {error}", step=command.node)


def transition(definition: Definition, state: RunState | None, event: Event) -> Generator[Wanted, Given, Transition]:
    """Carry a run over one event; yields what is missing, and is sent it."""
    return (yield from _Transaction(definition, state).run(event))


def replay(
    definition: Definition, state: RunState | None, events: Iterable[Event], read_blob: ReadBlob, definitions: Definitions | None = None
) -> RunState:  # fmt: skip
    """Fold stored events into a state (design §2: a snapshot is a cache). Raises HistoryMismatchError.

    `definition` is of the first event; `definitions` gives those that the run was moved to on the way.
    """
    for event in events:
        if (moved := migration_in(event)) is not None:
            if definitions is None:
                raise HistoryMismatchError(f"the history goes on with the definition {moved.to}, which is not at hand")
            definition = definitions(moved.to)
        blobs: dict[str, Value] = {}
        while isinstance(decision := advance(definition, state, event, blobs), NeedBlobs):
            blobs |= {digest: read_blob(digest) for digest in _unknown(decision, blobs)}
        state = decision.state
    if state is None:
        raise HistoryMismatchError("the history is empty")
    return state


def begins_with(events: Iterable[Event], now: str) -> str:
    """Give the digest of the definition that a part of a history begins with: `now`, if the run was not moved in it."""
    return next((moved.was for event in events if (moved := migration_in(event)) is not None), now)


def migration_in(event: Event) -> RunMigrated | None:
    """Give the migration that an event is, or that a fork begins with."""
    while isinstance(event, RunForked):
        event = event.event
    return event if isinstance(event, RunMigrated) else None


class _Transaction:
    """What has been gathered on the way through one transaction."""

    def __init__(self, definition: Definition, state: RunState | None) -> None:
        self.definition, self.state = definition, state
        self.stored: list[Event] = []
        self.commands: list[Command] = []
        self.notes: list[Note] = []
        self.blobs: dict[str, Blob] = {}
        self.known: dict[str, Value] = {}
        self.refusal: Refusal | None = None
        self.claimed: str | None = None
        self.more = False

    def run(self, event: Event) -> Generator[Wanted, Given, Transition]:
        pending: list[Event] = [self._with_large_value_aside(event)]
        while pending:
            if len(self.stored) > ROUNDS_MAX:
                raise InvariantViolationError("a transaction does not come to an end")
            at = pending.pop(0)
            decision = yield from self._decide(at)
            self._take(at, decision)
            for command in decision.commands:
                if isinstance(command, Evaluate):
                    pending.append((yield from self._evaluated(command, at.at_ms)))
                else:
                    self.commands.append(command)
        yield from self._claim_after_functions(event)
        if self.state is None:
            raise InvariantViolationError("a transaction without an event")
        return Transition(
            state=self.state, events=tuple(self.stored), commands=tuple(self.commands), notes=tuple(self.notes),
            blobs=tuple(self.blobs.values()), refusal=self.refusal, claimed=self.claimed, more=self.more,
        )  # fmt: skip

    def _take(self, event: Event, decision: Decision) -> None:
        self.state, self.more = decision.state, decision.more
        self.refusal, self.claimed = self.refusal or decision.refusal, decision.claimed or self.claimed
        self.notes += decision.notes
        self.blobs |= {blob.digest: blob for blob in decision.blobs}
        if decision.changed:
            check_invariants(decision.state)
            self.stored.append(event)

    def _claim_after_functions(self, event: Event) -> Generator[Wanted, Given, None]:
        """Grant the wish for a next action once functions have answered: what there is to claim was not open before."""
        then = event.then if isinstance(event, ActionAnswered | ApprovalDecided) else None
        waited = len(self.stored) > 1
        if then is None or not waited or self.claimed or self.refusal or self.state is None or self.state.ended:
            return
        decision = yield from self._decide(claimed := ActionClaimed(at_ms=event.at_ms, claim=then))
        if decision.claimed is not None:
            self._take(claimed, decision)

    def _decide(self, event: Event) -> Generator[Wanted, Given, Decision]:
        while isinstance(decision := advance(self.definition, self.state, event, self.known), NeedBlobs):
            yield from self._fetch(decision)
        return decision

    def _fetch(self, need: NeedBlobs) -> Generator[Wanted, Given, None]:
        """Look values up; one that was set aside in this very transaction is in no store yet."""
        missing: list[str] = []
        for digest in _unknown(need, self.known):
            if digest in self.blobs:
                self.known[digest] = decode(self.blobs[digest].body.decode())
            else:
                missing.append(digest)
        if missing:
            found = yield NeedBlobs(digests=tuple(missing))
            if not isinstance(found, Mapping):
                raise InvariantViolationError("a transaction that asked for values was given something else")
            self.known |= {digest: found[digest] for digest in missing}

    def _evaluated(self, command: Evaluate, at_ms: int) -> Generator[Wanted, Given, Event]:
        given = yield from self._called(command)
        answer = Evaluated(at_ms=at_ms, node=command.node, ordinal=command.ordinal)
        if isinstance(given, Failure):
            return replace(answer, failure=given)
        return self._with_large_value_aside(replace(answer, value=given))

    def _called(self, command: Evaluate) -> Generator[Wanted, Given, Given]:
        def whole(value: Value) -> Value:
            return fill(value, self._read)

        while True:
            try:
                args, kwargs = tuple(map(whole, command.args)), {k: whole(v) for k, v in command.kwargs.items()}
            except _MissingError as error:
                yield from self._fetch(NeedBlobs(digests=(error.digest,)))
                continue
            return (yield replace(command, args=args, kwargs=kwargs))

    def _read(self, digest: str) -> Value:
        if digest not in self.known:
            raise _MissingError(digest)
        return self.known[digest]

    def _with_large_value_aside(self, event: Event) -> Event:
        """Let the log hold a reference in place of a large value (ruling 10)."""
        if isinstance(event, SignalSent) and is_large(event.payload):
            return replace(event, payload=self._aside(event.payload))
        if not isinstance(event, ActionAnswered | Evaluated | OutcomeResolved) or not is_large(event.value):
            return event
        return replace(event, value=self._aside(event.value))

    def _aside(self, value: Value) -> BlobRef:
        reference, body = spill(value)
        self.blobs[reference.digest] = Blob(digest=reference.digest, body=body)
        return reference


class _MissingError(Exception):
    """A value that was set aside is needed and not at hand."""

    def __init__(self, digest: str) -> None:
        super().__init__(digest)
        self.digest = digest


def is_large(value: Value) -> bool:
    """Tell whether a value is set aside before it enters the log."""
    if value is None or isinstance(value, bool | int | float | BlobRef):
        return False
    if isinstance(value, str) and len(value) <= BLOB_BYTES_MIN // CHARACTER_BYTES_MAX:
        return False
    return len(orjson.dumps(value, default=plain, option=orjson.OPT_PASSTHROUGH_DATACLASS)) > BLOB_BYTES_MIN


def _unknown(need: NeedBlobs, known: Mapping[str, Value]) -> list[str]:
    missing = [digest for digest in need.digests if digest not in known]
    if not missing:
        raise InvariantViolationError(f"the core asks again for values it was given: {', '.join(need.digests)}")
    return missing
