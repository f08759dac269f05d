"""Claims: who holds an action, and what becomes of it when the holder falls silent (rulings 19, 21).

A lease is the shell's row; a claim comes with the ids whose lease had run out. An attempt's number is the fence: only a claim by somebody else,
after a lapse or by `take_over`, raises it. Three lapses of one action are enough.
"""

from treadle.core import limits
from treadle.core.attempts import fail_attempt, offer_again, start_attempt_clock
from treadle.core.closing import needs_claim
from treadle.core.draft import Draft
from treadle.core.errors import Failure
from treadle.core.events import ActionClaimed, Claim, PerformerLost
from treadle.core.readback import doubt
from treadle.core.records import replace
from treadle.core.settle import settle
from treadle.core.state import ActionState


def claim_next(draft: Draft, event: ActionClaimed) -> None:
    """Grant the next action of a channel, if there is one; the same holder asking again gets what it holds and writes nothing."""
    claim = event.claim
    here = [a for a in draft.actions.values() if a.channel == claim.channel]
    mine = [a for a in here if a.performer != "server" and a.kind != "approve"]
    held = [a for a in mine if a.status == "claimed" and a.holder == claim.holder]
    takeable = [a for a in mine if a.status == "claimed" and _may_take(a, claim)]
    for action in held[:1] or [*(a for a in mine if a.status == "open"), *takeable]:
        if draft.actions.get(action.id) is action:  # a lapse too many of one may have closed another
            claim_action(draft, action, event)
            settle(draft)
        if draft.claimed is not None:
            break
    draft.refusal = None  # that nothing is there for it is not the caller's fault


def claim_action(draft: Draft, action: ActionState, event: ActionClaimed) -> None:
    """Grant a claim on an open or claimed action, or refuse it."""
    claim = event.claim
    if action.kind == "approve":
        hint = f"a person runs `treadle approve {draft.base.run_id}`"
        draft.refuse("waiting_on_person", f"`{action.id}` waits for a person's decision", hint=hint)
    elif (action.performer == "server") != (claim.by.kind == "server"):
        draft.refuse("foreign", f"`{action.id}` is performed by: {action.performer}", hint="ask for the next step")
    elif claim.by.kind == "agent" and action.channel != claim.channel:
        draft.refuse("foreign", f"`{action.id}` belongs to another branch", hint="ask for the next step of your own")
    elif action.status == "open":
        _grant(draft, action, claim)
    elif action.holder == claim.holder:
        draft.claimed = action.id
    elif _may_take(action, claim):
        _take(draft, action, claim)
    else:
        hint = "wait for its lease to lapse, or say `take_over`"
        draft.refuse("held", f"`{action.id}` is held by another performer", hint=hint, attempt=action.attempt)


def lose_performer(draft: Draft, action: ActionState, event: PerformerLost) -> None:
    """Take an attempt from a performer that is gone: again, or unknown, or enough (ruling 19)."""
    unclaimed = action.status == "open" and (action.performer != "server" or needs_claim(action))
    if event.attempt != action.attempt or unclaimed:
        draft.note("ignored", action.id, event="PerformerLost")
    elif not harmless(action):
        doubt(draft, action)
    elif (lost := _lapsed(draft, action)) is not None:
        offer_again(draft, lost, redo=True)


def _grant(draft: Draft, action: ActionState, claim: Claim) -> None:
    draft.put_action(replace(action, status="claimed", holder=claim.holder, claimed_at_ms=draft.now_ms))
    draft.note("action_claimed", action.id, attempt=action.attempt, holder=claim.holder)
    start_attempt_clock(draft, action)
    draft.claimed = action.id


def _may_take(action: ActionState, claim: Claim) -> bool:
    return action.id in claim.lapsed or (claim.take_over and claim.by.kind != "server")


def _take(draft: Draft, action: ActionState, claim: Claim) -> None:
    if not harmless(action):
        doubt(draft, action)
        hint = f"a person decides with `treadle answer {draft.base.run_id}`"
        draft.refuse("outcome_unknown", f"nobody knows whether `{action.id}` was done", hint=hint)
        return
    lost = _lapsed(draft, action) if action.id in claim.lapsed else action
    if lost is None:
        draft.refuse("performer_lost", f"`{action.id}` was lost too often and has failed", hint="ask for the next step")
    else:
        _grant(draft, replace(lost, attempt=lost.attempt + 1, redo=True), claim)


def _lapsed(draft: Draft, action: ActionState) -> ActionState | None:
    """Count a lapse; None when it was the last one that is borne."""
    lapsed = replace(action, lapses=action.lapses + 1)
    draft.note("lease_lapsed", action.id, attempt=action.attempt, holder=action.holder, lapses=lapsed.lapses)
    if lapsed.lapses < limits.LAPSES_MAX:
        return lapsed
    message = f"`{action.id}` was lost by its performer {lapsed.lapses} times"
    fail_attempt(draft, lapsed, Failure(error_class="performer_lost", message=message, step=action.id))
    return None


def harmless(action: ActionState) -> bool:
    """Tell whether doing it again at worst wastes work (ruling 20)."""
    return action.repeatable or action.key is not None or not needs_claim(action)
