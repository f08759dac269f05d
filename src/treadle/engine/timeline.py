"""The timeline of a run: its events put through the core again, each with the notes that it gave.

Notes are not stored (house style §4.4): they follow from the events, so this is the whole truth about what happened, in the words of the core.
Reading a timeline changes nothing. `receipts` sums it up: who did each action, in how many attempts, and what is done or only claimed (ruling 25).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from treadle.core.advance import advance
from treadle.core.commands import Decision, Note
from treadle.core.definition import Definition
from treadle.core.errors import RequestError
from treadle.core.events import (
    ActionAnswered,
    ActionClaimed,
    ApprovalDecided,
    Caller,
    CancelRequested,
    Claim,
    Event,
    OutcomeResolved,
    RunParked,
    RunResumed,
    RunStarted,
)  # fmt: skip
from treadle.core.ids import idempotency_key
from treadle.core.state import RunState
from treadle.core.values import Value
from treadle.ports import Engine, StoredEvent

Standing = Literal["done", "claimed", "answered", "approved", "rejected", "resolved", "failed", "stopped", "open", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One event of a run and what followed from it. `status` is the state's own word afterwards."""

    seq: int
    rev: int
    at_ms: int
    event: Event
    notes: tuple[Note, ...]

    @property
    def by(self) -> Caller | None:
        """Give who caused it; None where time or the engine did."""
        return caller_of(self.event)


class Timeline:
    """Follows one run. `state` is what the events read so far fold to."""

    def __init__(self, engine: Engine, run_id: str) -> None:
        """Read nothing yet."""
        self._engine, self.run_id = engine, run_id
        self._definition: Definition | None = None
        self._blobs: dict[str, Value] = {}
        self.state: RunState | None = None
        self.rev = 0

    async def more(self) -> list[Moment]:
        """Read what was stored since the last call. Raises RequestError `unknown_run`."""
        if self._definition is None:
            self._definition = (await self._engine.snapshot(self.run_id)).definition
        return [await self._moment(self._definition, row) for row in await self._engine.events(self.run_id, self.rev)]

    async def _moment(self, definition: Definition, row: StoredEvent) -> Moment:
        while True:
            decision = advance(definition, self.state, row.event, self._blobs)
            if isinstance(decision, Decision):
                break
            missing = [name for name in decision.digests if name not in self._blobs]
            if not missing:
                raise RequestError(f"the history of {self.run_id} cannot be read again", code="history_mismatch")
            for name in missing:
                self._blobs[name] = await self._engine.blob(name)
        self._blobs.clear()
        self.state, self.rev = decision.state, row.rev
        return Moment(seq=row.seq, rev=row.rev, at_ms=row.event.at_ms, event=row.event, notes=decision.notes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What one action can prove. `by` is who ended it, `key` the name that the outside world knows it by, `begun` how often it was begun."""

    action: str
    kind: str
    effect: str
    key: str
    standing: Standing = "open"
    by: str = ""
    by_kind: str = ""
    attempts: int = 1
    begun: int = 0
    redone: bool = False
    opened_at_ms: int = 0
    ended_at_ms: int | None = None
    note: str = ""


def receipts(run_id: str, moments: Iterable[Moment]) -> list[Receipt]:
    """Sum up the actions of a run, in the order in which they were handed out."""
    found: dict[str, Receipt] = {}
    for moment in moments:
        for note in moment.notes:
            if note.kind == "action_opened":
                kind, effect = str(note.data["action_kind"]), str(note.data["effect"])
                key = idempotency_key(run_id, note.path)
                found[note.path] = Receipt(action=note.path, kind=kind, effect=effect, key=key, opened_at_ms=moment.at_ms)
            elif note.path in found:
                found[note.path] = _noted(found[note.path], moment, note)
    return list(found.values())


def _noted(receipt: Receipt, moment: Moment, note: Note) -> Receipt:
    match note.kind:
        case "action_claimed":
            number = note.data["attempt"]
            attempts = number if isinstance(number, int) else receipt.attempts
            return replace(receipt, attempts=max(receipt.attempts, attempts), begun=receipt.begun + 1)
        case "action_offered":
            number = note.data["attempt"]
            attempts = number if isinstance(number, int) else receipt.attempts
            redone = receipt.redone or note.data.get("redo") is True
            return replace(receipt, attempts=attempts, redone=redone, standing="open")
        case "lease_lapsed":
            return replace(receipt, redone=True)
        case "outcome_unknown":
            return replace(receipt, standing="unknown")
        case "attempt_failed":
            return _ended(receipt, moment, "failed", str(note.data["error_class"]))
        case "gate_decided":
            decided = "approved" if note.data["approved"] is True else "rejected"
            return _ended(receipt, moment, decided, str(note.data["note"]))
        case "outcome_resolved":
            return _ended(receipt, moment, "resolved", f"{note.data['outcome']} {note.data['note']}".strip())
        case "action_completed" if receipt.standing not in {"approved", "resolved"}:
            return _ended(receipt, moment, _standing(receipt.kind), "")
        case "action_stopped" | "action_dropped":
            return _ended(receipt, moment, "stopped", "")
        case _:
            return receipt


def _ended(receipt: Receipt, moment: Moment, standing: Standing, note: str) -> Receipt:
    by = moment.by
    return replace(
        receipt, standing=standing, by=by.name if by is not None else "", by_kind=by.kind if by is not None else "",
        ended_at_ms=moment.at_ms, note=note,
    )  # fmt: skip


def _standing(kind: str) -> Standing:
    """Nothing checked what an agent says it did: that is claimed. What Treadle called, or a person said, is what it is."""
    return {"delegate": "claimed", "prompt": "answered"}.get(kind, "done")  # type: ignore[return-value] - words of Standing


def caller_of(event: Event) -> Caller | None:
    """Give who caused an event."""
    match event:
        case RunStarted(by=by) | ActionAnswered(by=by) | ApprovalDecided(by=by) | OutcomeResolved(by=by):
            return by
        case CancelRequested(by=by) | RunParked(by=by) | RunResumed(by=by):
            return by
        case ActionClaimed(claim=Claim(by=by)):
            return by
        case _:
            return None
