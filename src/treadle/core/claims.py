"""Claims: who holds an action, and what becomes of it when the holder falls silent (rulings 19, 21).

A lease is the shell's row; a claim comes with the ids whose lease had run out. An attempt's number is the fence: only a claim by somebody else,
after a lapse or by `take_over`, raises it. Three lapses of one action are enough.
"""

from dataclasses import replace

from treadle.core import limits
from treadle.core.answers import fail_attempt, offer_again
from treadle.core.definition import EFFECTS
from treadle.core.draft import Draft
from treadle.core.errors import Failure
from treadle.core.events import ActionClaimed, Claim, PerformerLost
from treadle.core.opening import start_attempt_clock
from treadle.core.state import ActionState


def claim_next(draft: Draft, claim: Claim) -> None:
    """Claim a named action or the next one of a channel; the same holder asking again gets what it holds and writes nothing."""
    if draft.parked is not None:
        draft.refuse("run_parked", f"the run is set aside: {draft.parked.reason}", hint=f"`treadle resume {draft.base.run_id}`")
        return
    if claim.action is not None:
        action = draft.actions.get(claim.action)
        if action is None:
            draft.refuse("not_open", f"`{claim.action}` is not open", hint="ask for the next step")
        elif action.channel != claim.channel and claim.by.kind == "agent":
            draft.refuse("foreign", f"`{claim.action}` belongs to another branch", hint="ask for the next step of your own")
        else:
            claim_action(draft, action, ActionClaimed(at_ms=draft.now_ms, claim=claim))
        return
    mine = [a for a in draft.actions.values() if a.channel == claim.channel and a.performer != "server" and a.kind != "approve"]
    held = next((a for a in mine if a.status == "claimed" and a.holder == claim.holder), None)
    free = next((a for a in mine if a.status == "open" or (a.status == "claimed" and _may_take(a, claim))), None)
    chosen = held or free
    if chosen is not None:
        claim_action(draft, chosen, ActionClaimed(at_ms=draft.now_ms, claim=claim))


def claim_action(draft: Draft, action: ActionState, event: ActionClaimed) -> None:
    """Grant a claim on an open or claimed action, or refuse it."""
    claim = event.claim
    if action.kind == "approve":
        draft.refuse(
            "waiting_on_person", f"`{action.id}` waits for a person's decision",
            hint=f"a person runs `treadle approve {draft.base.run_id}`",
        )  # fmt: skip
    elif (action.performer == "server") != (claim.by.kind == "server"):
        draft.refuse("foreign", f"`{action.id}` is performed by: {action.performer}", hint="ask for the next step")
    elif action.status == "open":
        _grant(draft, action, claim)
    elif action.holder == claim.holder:
        draft.claimed = action.id
    elif _may_take(action, claim):
        _take(draft, action, claim)
    else:
        draft.refuse(
            "held", f"`{action.id}` is held by another performer", hint="wait for its lease to lapse, or say `take_over`",
            attempt=action.attempt,
        )  # fmt: skip


def refuse_claim(draft: Draft, action: ActionState, event: ActionClaimed) -> None:
    """Refuse a claim on an action that nobody can hold now."""
    why = {
        "backoff": "waits for its next attempt", "stopping": "was asked to stop",
        "unknown": "has an unknown outcome, which a person decides",
    }  # fmt: skip
    draft.refuse(
        "not_claimable", f"`{event.claim.action or action.id}` {why.get(action.status, 'is not open')}", hint="ask again later"
    )


def lose_performer(draft: Draft, action: ActionState, event: PerformerLost) -> None:
    """Take an attempt from a performer that is gone: again, or unknown, or enough (ruling 19)."""
    if event.attempt != action.attempt:
        draft.note("ignored", action.id, event="PerformerLost")
        return
    lost = _lapsed(draft, action)
    if lost is not None:
        _again_or_unknown(draft, lost)


def _grant(draft: Draft, action: ActionState, claim: Claim) -> None:
    draft.put_action(replace(action, status="claimed", holder=claim.holder, claimed_at_ms=draft.now_ms))
    draft.note("action_claimed", action.id, attempt=action.attempt, holder=claim.holder)
    start_attempt_clock(draft, action)
    draft.claimed = action.id


def _may_take(action: ActionState, claim: Claim) -> bool:
    return action.id in claim.lapsed or (claim.take_over and claim.by.kind != "server")


def _take(draft: Draft, action: ActionState, claim: Claim) -> None:
    lost = _lapsed(draft, action) if action.id in claim.lapsed else action
    if lost is None:
        return
    if not _harmless(lost):
        _again_or_unknown(draft, lost)
        draft.refuse(
            "outcome_unknown", f"nobody knows whether `{action.id}` was done", hint="a person decides with `treadle answer`"
        )
        return
    _grant(draft, replace(lost, attempt=lost.attempt + 1, redo=True), claim)


def _lapsed(draft: Draft, action: ActionState) -> ActionState | None:
    """Count a lapse; None when it was the last one that is borne."""
    lapses = action.lapses + 1
    draft.note("lease_lapsed", action.id, attempt=action.attempt, holder=action.holder, lapses=lapses)
    if lapses < limits.LAPSES_MAX:
        return replace(action, lapses=lapses)
    message = f"`{action.id}` was lost by its performer {lapses} times"
    fail_attempt(draft, replace(action, lapses=lapses), Failure(error_class="performer_lost", message=message, step=action.id))
    return None


def _again_or_unknown(draft: Draft, action: ActionState) -> None:
    if _harmless(action):
        offer_again(draft, action, redo=True)
        return
    draft.disarm("timeout", action.id)
    draft.put_action(replace(action, status="unknown"))
    draft.note("outcome_unknown", action.id, attempt=action.attempt)


def _harmless(action: ActionState) -> bool:
    """Tell whether doing it again at worst wastes work (ruling 20)."""
    return action.repeatable or EFFECTS.index(action.effect) < EFFECTS.index("write")
