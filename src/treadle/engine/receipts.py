"""Receipts: what a run can prove, summed up from its timeline (ruling 25).

An action is `claimed` when its performer says that it is done and nothing looked; `proven` when Treadle's own checks held, and then the recorded
facts stand with it; `done` when Treadle did it itself. What a person said stands with that person's name, the digest of what was shown, and the
level of assurance (ruling 26). Nothing here is stored: it follows from the events.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

from treadle.core.commands import Note
from treadle.core.events import ActionAnswered, ApprovalDecided, RunForked, RunStarted
from treadle.core.gates import REQUIRES
from treadle.core.ids import idempotency_key, is_under
from treadle.core.values import Value
from treadle.core.worktrees import KINDS as WORKTREES
from treadle.engine.timeline import Moment

Standing = Literal["done", "claimed", "proven", "answered", "approved", "rejected", "resolved", "failed", "stopped", "open", "unknown"]
_OPEN = ("open", "unknown")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What one person said at a gate, about what has this digest."""

    by: str
    approved: bool
    digest: str
    assurance: str
    at_ms: int
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What one action can prove. `by` is who ended it, `key` the name that the outside world knows it by, `begun` how often it was begun.

    `facts` are what Treadle found when it checked the answer that stands, `refused` how many answers did not hold. `run` is the run that did it:
    for what a fork shares with its origin, that one.
    """

    action: str
    kind: str
    effect: str
    key: str
    run: str
    standing: Standing = "open"
    by: str = ""
    by_kind: str = ""
    attempts: int = 1
    begun: int = 0
    redone: bool = False
    opened_at_ms: int = 0
    ended_at_ms: int | None = None
    note: str = ""
    facts: Value = None
    refused: int = 0
    decisions: tuple[Decision, ...] = ()


@dataclass(slots=True, kw_only=True)
class Account:
    """What a run can prove beside its actions: what was not done, what came from outside, what was taken back."""

    receipts: list[Receipt] = field(default_factory=list[Receipt])
    skipped: list[str] = field(default_factory=list[str])
    reused: list[str] = field(default_factory=list[str])
    signals: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    undone: list[tuple[str, bool]] = field(default_factory=list[tuple[str, bool]])


def receipts(run_id: str, moments: Iterable[Moment]) -> list[Receipt]:
    """Sum up the actions of a run, in the order in which they were handed out."""
    return account_of(run_id, moments).receipts


def account_of(run_id: str, moments: Iterable[Moment]) -> Account:
    """Sum up a run. `signals` are (name, who sent it, the step that took it)."""
    found: dict[str, Receipt] = {}
    account = Account()
    doer = run_id
    for moment in moments:
        doer = moment.event.run_id if isinstance(moment.event, RunStarted | RunForked) else doer
        for note in moment.notes:
            _note_beside(account, note)
            if note.kind == "action_opened" and note.data["action_kind"] in WORKTREES:
                continue  # what was changed there is told as merged, or as not merged
            if note.kind == "action_opened":
                kind, effect = str(note.data["action_kind"]), str(note.data["effect"])
                key = idempotency_key(doer, note.path)
                opened = Receipt(action=note.path, kind=kind, effect=effect, key=key, run=doer, opened_at_ms=moment.at_ms)
                found[note.path] = _following(opened, found.get(note.path))
            elif note.kind == "run_forked":
                # What was open there is its origin's affair.
                found = {path: receipt for path, receipt in found.items() if receipt.standing not in _OPEN}
            elif note.kind in {"step_failed", "run_ended", "timer_fired"}:
                _end_open(found, moment, note)
            elif note.path in found:
                found[note.path] = _noted(found[note.path], moment, note)
    account.receipts = list(found.values())
    return account


def _following(opened: Receipt, before: Receipt | None) -> Receipt:
    """Let an action that was let go, because its text was changed, go on under its name."""
    if before is None or before.standing not in _OPEN or before.run != opened.run:
        return opened
    return replace(
        opened, begun=before.begun, redone=before.redone, refused=before.refused, decisions=before.decisions, opened_at_ms=before.opened_at_ms
    )  # fmt: skip


def _note_beside(account: Account, note: Note) -> None:
    match note.kind:
        case "step_skipped":
            account.skipped.append(note.path)
        case "cache_hit":
            account.reused.append(note.path)
        case "signal_taken":
            account.signals.append((str(note.data["signal"]), str(note.data["by"]), note.path))
        case "undone" | "undo_failed":
            account.undone.append((note.path, note.kind == "undone"))
        case _:
            pass


def _end_open(found: dict[str, Receipt], moment: Moment, note: Note) -> None:
    """End what nobody will answer any more: its step failed, the run is over, or nobody decided a gate in time."""
    for path, receipt in found.items():
        if receipt.standing not in _OPEN:
            continue
        own = path.removesuffix(REQUIRES) == note.path
        if note.kind == "timer_fired":
            if own and receipt.kind == "approve" and note.data["timer"] in {"within", "wait"}:
                found[path] = _ended(receipt, moment, "rejected", "nobody decided in time")
        elif note.kind == "run_ended":
            found[path] = _ended(receipt, moment, "stopped", "")
        elif is_under(path, note.path):
            found[path] = _ended(receipt, moment, "failed" if own else "stopped", str(note.data["error_class"]))


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
            return replace(receipt, attempts=attempts, redone=redone, standing="open", facts=None)
        case "lease_lapsed":
            return replace(receipt, redone=True)
        case "outcome_unknown":
            return replace(receipt, standing="unknown")
        case "verifying" if moment.by is not None:
            return replace(receipt, by=moment.by.name, by_kind=moment.by.kind)
        case "verified" | "verify_failed":
            return replace(receipt, facts=note.data["found"])
        case "output_refused":
            number = note.data["attempt"]
            attempts = number + 1 if isinstance(number, int) else receipt.attempts
            return replace(receipt, refused=receipt.refused + 1, attempts=max(receipt.attempts, attempts), facts=None)
        case "attempt_failed":
            return _ended(receipt, moment, "failed", str(note.data["error_class"]))
        case "gate_decided":
            return _decided(receipt, moment)
        case "outcome_resolved":
            return _ended(receipt, moment, "resolved", f"{note.data['outcome']} {note.data['note']}".strip())
        case "action_completed" if receipt.standing != "resolved":
            return _completed(receipt, moment)
        case "action_stopped" | "action_dropped":
            return _ended(receipt, moment, "stopped", "")
        case _:
            return receipt


def _decided(receipt: Receipt, moment: Moment) -> Receipt:
    """Take a decision down; an approval ends the gate only with the last of those that it asks for."""
    event = moment.event
    if not isinstance(event, ApprovalDecided):
        return receipt
    decision = Decision(
        by=event.by.name, approved=event.approved, digest=event.digest, assurance=event.by.assurance, at_ms=moment.at_ms, note=event.note
    )  # fmt: skip
    receipt = replace(receipt, decisions=(*receipt.decisions, decision))
    return receipt if event.approved else _ended(receipt, moment, "rejected", event.note)


def _completed(receipt: Receipt, moment: Moment) -> Receipt:
    if receipt.kind == "approve":
        return _ended(receipt, moment, "approved", receipt.decisions[-1].note if receipt.decisions else "")
    said = {"delegate": "claimed", "prompt": "answered"}.get(receipt.kind, "done")
    proven: Standing = "proven" if receipt.facts is not None else said  # type: ignore[assignment] - words of Standing
    ended = _ended(receipt, moment, proven, "")
    looked = isinstance(moment.event, ActionAnswered) and moment.event.action != receipt.action
    # Whoever looked whether it holds did not do it.
    return replace(ended, by=receipt.by, by_kind=receipt.by_kind) if looked else ended


def _ended(receipt: Receipt, moment: Moment, standing: Standing, note: str) -> Receipt:
    by = moment.by
    return replace(
        receipt, standing=standing, by=by.name if by is not None else "", by_kind=by.kind if by is not None else "",
        ended_at_ms=moment.at_ms, note=note,
    )  # fmt: skip
