"""Attempts: how an action is offered, claimed, lost, failed, doubted and offered again (rulings 2, 19, 21; language.md §2, §9).

A lease is the shell's row; a claim comes with the ids whose lease had run out. An attempt's number is the fence: only a claim by somebody else,
after a lapse or by `take_over`, raises it. Three lapses of one action are enough. Where nobody knows whether an attempt was done, steps of
`read_back` find out, else a person says it.
"""

from treadle.core import limits
from treadle.core.budget import reserve
from treadle.core.closing import counts, cut_off, needs_claim
from treadle.core.commands import Perform
from treadle.core.draft import ATTEMPT_TIMERS, Draft
from treadle.core.errors import Failure, failure_at
from treadle.core.events import ActionClaimed, Claim, PerformerLost
from treadle.core.expr import draw_bits
from treadle.core.gates import step_path
from treadle.core.records import replace
from treadle.core.state import ActionState, ListNode, Outcome, StepNode
from treadle.core.steps import fail_step, finish_step, lose_worktree, open_list
from treadle.core.worktrees import KINDS


def offer(draft: Draft, action: ActionState) -> None:
    """Hand an attempt out, within the budgets above it; a server-performed one is asked for.

    What may run again without harm needs no claim of its own (ruling 19). In a run that is set aside the attempt waits.
    """
    if draft.parked is not None:
        return
    is_child = action.kind == "run" and action.params.get("detach") is not True
    if not action.counted and (counts(action) or is_child):
        calls = reserve(draft, action.id, _child_bound(draft, action) if is_child else None)
        if calls is None:
            return
        action = replace(action, counted=True, reserved=calls if is_child else 0)
        draft.put_action(action)
    if action.performer == "server":
        claim = needs_claim(action)
        if not claim:
            start_attempt_clock(draft, action)
        draft.commands.append(Perform(action=action.id, attempt=action.attempt, claim=claim))


def _child_bound(draft: Draft, action: ActionState) -> int:
    child = draft.definition.children.get(str(action.params["workflow"]))
    return child.main.budget.calls if child is not None and child.main.budget is not None else 0


def start_attempt_clock(draft: Draft, action: ActionState) -> None:
    """Bound the attempt that begins now (ruling 2)."""
    timeout_ms = draft.step_at(action.at).timeout_ms
    if timeout_ms is not None and action.kind not in {"verify", *KINDS}:
        draft.arm("timeout", action.id, draft.now_ms + timeout_ms)


def offer_again(draft: Draft, action: ActionState, *, redo: bool) -> None:
    """Offer the next attempt of an action."""
    action = replace(action, redo=redo or action.redo, counted=action.counted and redo)
    if action.stale:
        render_again(draft, draft.step_node(action.id), action)
        return
    again = replace(action, status="open", attempt=action.attempt + 1, holder=None, claimed_at_ms=None, answer=None)
    draft.disarm(action.id, "timeout")
    draft.put_action(again)
    draft.note("action_offered", action.id, attempt=again.attempt, redo=again.redo)
    offer(draft, again)


def render_again(draft: Draft, node: StepNode, action: ActionState | None) -> None:
    """Have a step rendered and handed out once more, after a migration: what it was before counts no longer, and the next attempt follows on it."""
    cut_off(draft, node.path)
    draft.disarm(node.path, "wait")
    if action is not None:
        kept = {name: value for name, value in action.params.items() if name == "files_before"}
        action = replace(action, params=kept, redo=action.redo or action.status == "claimed") if action.kind != "approve" else None
    draft.put(replace(node, phase="opening", results=(), params=None, again=action or node.again))
    draft.look_at(node.path)


def fail_attempt(draft: Draft, action: ActionState, failure: Failure) -> None:
    """End an attempt that failed: another follows after a wait, or the step has failed."""
    if action.kind in KINDS:
        draft.drop_action(action.id)
        lose_worktree(draft, draft.nodes[step_path(action.id)], failure, kept=action.kind == "worktree_commit")
        return
    if action.kind == "verify":  # who looks was lost too often, so that nothing is proven
        draft.drop_action(action.id)
        action = draft.actions[step_path(action.id)]
    retry = draft.step_at(action.at).retry
    draft.note("attempt_failed", action.id, attempt=action.attempt, error_class=failure.error_class, message=failure.message)
    if retry is None or failure.error_class not in retry.on or action.failures + 1 >= retry.attempts:
        draft.drop_action(action.id)
        fail_step(draft, draft.step_node(action.id), failure)
        return
    draft.disarm(action.id, *ATTEMPT_TIMERS)
    draft.drop_action(f"{action.id}.verify")
    ceiling_ms = min(retry.max_backoff_ms, retry.backoff_ms << min(action.failures, 40))
    wait_ms = failure.retry_after_ms + draw_bits(draft.base.seed, action.id, "backoff", action.failures) % (ceiling_ms + 1)
    again = replace(action, status="backoff", failures=action.failures + 1, lapses=0, holder=None, answer=None, counted=False)
    draft.put_action(replace(again, problem=replace(failure, result=draft.keep(failure.result))))
    draft.arm("backoff", action.id, draft.now_ms + wait_ms)
    draft.note("retry_planned", action.id, attempt=action.attempt + 1, wait_ms=wait_ms)


# Claims: who holds an action, and what becomes of it when the holder falls silent


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
    elif may_take(action, claim):
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


def may_take(action: ActionState, claim: Claim) -> bool:
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
    fail_attempt(draft, lapsed, failure_at(action.id, "performer_lost", f"`{action.id}` was lost by its performer {lapsed.lapses} times"))
    return None


def harmless(action: ActionState) -> bool:
    """Tell whether doing it again at worst wastes work (ruling 20)."""
    return action.repeatable or action.key is not None or not needs_claim(action)


# Doubt


def doubt(draft: Draft, action: ActionState) -> None:
    """Take note that nobody knows what became of an attempt: its `read_back` finds out, else a person says it."""
    draft.disarm(action.id, "timeout")
    draft.put_action(replace(action, status="unknown"))
    draft.note("outcome_unknown", action.id, attempt=action.attempt)
    node = draft.step_node(action.id)
    if draft.step(node).read_back:
        node = draft.put(replace(node, phase="read_back"))
        draft.note("read_back_begun", action.id)
        open_list(draft, node, ".read_back", node.frame)


def end_doubt(draft: Draft, action: ActionState) -> None:
    """Stop finding out: somebody has said what became of the attempt."""
    node = draft.step_node(action.id)
    if node.phase == "read_back":
        cut_off(draft, f"{node.path}.read_back")
        draft.drop_below(node.path)
        draft.put(replace(node, phase="action", closing=None))


def read_back_ended(draft: Draft, owner: StepNode, node: ListNode, outcome: Outcome) -> None:
    """Go on with what was found: null means that it was not done, anything else is the step's result."""
    action = draft.actions[owner.path]
    owner = draft.put(replace(owner, phase="action"))
    if outcome.failure is not None:
        draft.note("read_back_failed", owner.path, message=outcome.failure.message)
        return
    draft.note("outcome_resolved", owner.path, outcome="not_done" if node.last is None else "done", by="read_back", note="")
    if node.last is None:
        offer_again(draft, action, redo=False)
    else:
        draft.drop_action(action.id)
        draft.note("action_completed", action.id, attempt=action.attempt)
        finish_step(draft, owner, node.last)
