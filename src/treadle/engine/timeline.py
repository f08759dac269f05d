"""The timeline of a run: its events put through the core again, each with the notes that it gave.

Notes are not stored (house style §4.4): they follow from the events, so this is the whole truth about what happened, in the words of the core.
Reading a timeline changes nothing. `receipts.py` sums it up: who did each action, in how many attempts, and what of it is only claimed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
    RunForked,
    RunMigrated,
    RunParked,
    RunResumed,
    RunStarted,
    SignalSent,
    UndoRequested,
)  # fmt: skip
from treadle.core.state import RunState, Spent
from treadle.core.values import Value
from treadle.engine.transact import begins_with, migration_in
from treadle.ports import Engine, StoredEvent
from treadle.view import BudgetView, budgets_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One event of a run and what followed from it. A fork is two of them: the event that it absorbed anew, and the fork itself."""

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
        # A run that has ended keeps its own budget alone; what its steps had used is known on the way.
        self._spent: dict[str, Spent] = {}

    @property
    def budgets(self) -> tuple[BudgetView, ...]:
        """Give what every owner of a budget has used, those that are over too."""
        spent = replace(self.state, spent=self._spent) if self.state is not None else None
        return tuple(budgets_of(self._definition, spent)) if self._definition is not None and spent is not None else ()

    async def more(self) -> list[Moment]:
        """Read what was stored since the last call. Raises RequestError `unknown_run`."""
        now = (await self._engine.snapshot(self.run_id)).definition if self._definition is None else self._definition
        rows = await self._engine.events(self.run_id, self.rev)
        if self._definition is None:
            digest = begins_with((row.event for row in rows), "")
            self._definition = await self._engine.definition(digest) if digest else now
        return [moment for row in rows for moment in await self._moments(row)]

    async def _moments(self, row: StoredEvent) -> list[Moment]:
        if (moved := migration_in(row.event)) is not None:
            self._definition = await self._engine.definition(moved.to)
        if (definition := self._definition) is None:
            raise RequestError(f"the definition of {self.run_id} is not at hand", code="definition_missing")
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
        self._spent |= decision.state.spent
        parts = zip(_absorbed(row.event), _until_forks(decision.notes), strict=True)
        return [Moment(seq=row.seq, rev=row.rev, at_ms=event.at_ms, event=event, notes=notes) for event, notes in parts]


def _absorbed(event: Event) -> list[Event]:
    """Give what was absorbed with an event, in this order: for a fork, first what it holds."""
    return [*_absorbed(event.event), event] if isinstance(event, RunForked) else [event]


def _until_forks(notes: Sequence[Note]) -> list[tuple[Note, ...]]:
    parts: list[tuple[Note, ...]] = [()]
    for note in notes:
        parts = [*parts, (note,)] if note.kind == "run_forked" else [*parts[:-1], (*parts[-1], note)]
    return parts


def caller_of(event: Event) -> Caller | None:
    """Give who caused an event."""
    match event:
        case RunStarted(by=by) | RunForked(by=by) | ActionAnswered(by=by) | ApprovalDecided(by=by) | OutcomeResolved(by=by):
            return by
        case CancelRequested(by=by) | RunParked(by=by) | RunResumed(by=by) | RunMigrated(by=by) | SignalSent(by=by) | UndoRequested(by=by):
            return by
        case ActionClaimed(claim=Claim(by=by)):
            return by
        case _:
            return None
