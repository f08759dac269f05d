"""One transaction's worth of a run: an event, and what the core asks for before it can be stored.

The core cannot call a function or read a blob. It says so, and is given the answer within the same transaction (rulings 4, 11). Pure but for
the two callables it is given, so that it may be done again from a newer state when a race for the fence was lost.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from treadle.core.advance import advance, check_invariants
from treadle.core.commands import Blob, Command, Decision, Evaluate, NeedBlobs, Note
from treadle.core.definition import Definition
from treadle.core.errors import Failure, HistoryMismatchError, InvariantViolationError, Refusal
from treadle.core.events import ActionAnswered, ActionClaimed, ApprovalDecided, Evaluated, Event, OutcomeResolved
from treadle.core.limits import BLOB_BYTES_MIN
from treadle.core.state import RunState
from treadle.core.values import BlobRef, Chunks, Holed, Value, decode, encode, spill
from treadle.ports import FunctionFailedError, Functions

ReadBlob = Callable[[str], Value]
ROUNDS_MAX = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """What is to be committed at once. `more` asks for `Continued` after the commit; no events means that nothing changed."""

    state: RunState
    events: tuple[Event, ...]
    commands: tuple[Command, ...]
    notes: tuple[Note, ...]
    blobs: tuple[Blob, ...]
    refusal: Refusal | None
    claimed: str | None
    more: bool


def transact(
    definition: Definition, state: RunState | None, event: Event, functions: Functions, read_blob: ReadBlob
) -> Transition:
    """Carry a run over one event and over what it needs meanwhile."""
    blobs: dict[str, Blob] = {}
    pending: list[Event] = [_with_large_value_aside(event, blobs)]
    stored: list[Event] = []
    commands: list[Command] = []
    notes: list[Note] = []
    refusal: Refusal | None = None
    claimed: str | None = None
    more = False
    then = event.then if isinstance(event, ActionAnswered | ApprovalDecided) else None

    def read(digest: str) -> Value:
        """A value set aside earlier in this transaction is not on disk yet."""
        return decode(blobs[digest].body.decode()) if digest in blobs else read_blob(digest)

    while pending:
        if len(stored) > ROUNDS_MAX:
            raise InvariantViolationError("a transaction does not come to an end")
        at = pending.pop(0)
        decision = _decide(definition, state, at, read)
        state, more = decision.state, decision.more
        refusal, claimed = refusal or decision.refusal, decision.claimed or claimed
        notes += decision.notes
        blobs |= {blob.digest: blob for blob in decision.blobs}
        if decision.changed:
            check_invariants(state)
            stored.append(at)
        for command in decision.commands:
            if isinstance(command, Evaluate):
                answer = _evaluated(command, at.at_ms, functions, read)
                pending.append(_with_large_value_aside(answer, blobs))
            else:
                commands.append(command)
        if (
            not pending
            and then is not None
            and claimed is None
            and refusal is None
            and len(stored) > 1
            and not state.ended
        ):
            pending.append(ActionClaimed(at_ms=at.at_ms, claim=then))
            then = None
    if state is None:
        raise InvariantViolationError("a transaction without an event")
    return Transition(
        state=state, events=tuple(stored), commands=tuple(commands), notes=tuple(notes), blobs=tuple(blobs.values()),
        refusal=refusal, claimed=claimed, more=more,
    )  # fmt: skip


def replay(definition: Definition, state: RunState | None, events: Iterable[Event], read_blob: ReadBlob) -> RunState:
    """Fold stored events into a state (design §2: a snapshot is a cache). Raises HistoryMismatchError."""
    for event in events:
        state = _decide(definition, state, event, read_blob).state
    if state is None:
        raise HistoryMismatchError("the history is empty")
    return state


def _with_large_value_aside(event: Event, blobs: dict[str, Blob]) -> Event:
    """Let the log hold a reference in place of a large value (ruling 10)."""
    if not isinstance(event, ActionAnswered | Evaluated | OutcomeResolved) or isinstance(event.value, BlobRef):
        return event
    if event.value is None or len(encode(event.value)) <= BLOB_BYTES_MIN:
        return event
    reference, body = spill(event.value)
    blobs[reference.digest] = Blob(digest=reference.digest, body=body)
    return replace(event, value=reference)


def _decide(definition: Definition, state: RunState | None, event: Event, read_blob: ReadBlob) -> Decision:
    values: dict[str, Value] = {}
    while True:
        decision = advance(definition, state, event, values)
        if isinstance(decision, Decision):
            return decision
        values |= _read_all(decision, values, read_blob)


def _read_all(need: NeedBlobs, known: Mapping[str, Value], read_blob: ReadBlob) -> dict[str, Value]:
    missing = [digest for digest in need.digests if digest not in known]
    if not missing:
        raise InvariantViolationError(f"the core asks again for values it was given: {', '.join(need.digests)}")
    return {digest: read_blob(digest) for digest in missing}


def _evaluated(command: Evaluate, at_ms: int, functions: Functions, read_blob: ReadBlob) -> Evaluated:
    args = [fill(value, read_blob) for value in command.args]
    kwargs = {name: fill(value, read_blob) for name, value in command.kwargs.items()}
    try:
        value = functions.call(command.function, command.version, args, kwargs)
    except FunctionFailedError as error:
        failure = Failure(error_class="function", message=f"`{command.function}`: {error}", step=command.node)
        return Evaluated(at_ms=at_ms, node=command.node, ordinal=command.ordinal, failure=failure)
    return Evaluated(at_ms=at_ms, node=command.node, ordinal=command.ordinal, value=value)


def fill(value: Value, read_blob: ReadBlob) -> Value:
    """Give a value with everything in it that was set aside, for whoever needs the whole (dispatch, functions)."""
    if isinstance(value, BlobRef):
        return fill(read_blob(value.digest), read_blob)
    if isinstance(value, Chunks):
        return [item for part in value.parts for item in _part(part, read_blob)]
    if isinstance(value, Holed):
        return "".join(part if isinstance(part, str) else _text(fill(part, read_blob)) for part in value.parts)
    if isinstance(value, list):
        return [fill(item, read_blob) for item in value]
    if isinstance(value, dict):
        return {key: fill(item, read_blob) for key, item in value.items()}
    return value


def _part(part: Sequence[Value] | BlobRef, read_blob: ReadBlob) -> list[Value]:
    if not isinstance(part, BlobRef):
        return [fill(item, read_blob) for item in part]
    whole = fill(part, read_blob)
    return list(whole) if isinstance(whole, list) else []


def _text(value: Value) -> str:
    return value if isinstance(value, str) else encode(value)
