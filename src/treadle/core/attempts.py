"""Attempts: how an action is offered, dispatched, failed and offered again (rulings 2, 19; language.md §2 on retry)."""

from treadle.core.budget import reserve
from treadle.core.closing import counts, cut_off, needs_claim
from treadle.core.commands import Perform
from treadle.core.draft import Draft
from treadle.core.errors import Failure
from treadle.core.expr import draw_bits
from treadle.core.gates import step_path
from treadle.core.records import replace
from treadle.core.state import ActionState, StepNode
from treadle.core.steps import fail_step, lose_worktree
from treadle.core.worktrees import KINDS


def offer(draft: Draft, action: ActionState) -> None:
    """Hand an attempt out, within the budgets above it; a server-performed one is asked for.

    What may run again without harm needs no claim of its own (ruling 19). In a run that is set aside the attempt waits.
    """
    if draft.parked is not None:
        return
    if not action.counted and (counts(action) or _is_child(action)):
        calls = reserve(draft, action.id, None if counts(action) else _child_bound(draft, action))
        if calls is None:
            return
        action = replace(action, counted=True, reserved=calls if _is_child(action) else 0)
        draft.put_action(action)
    if action.performer != "server":
        return
    claim = needs_claim(action)
    if not claim:
        start_attempt_clock(draft, action)
    draft.commands.append(Perform(action=action.id, attempt=action.attempt, claim=claim))


def _is_child(action: ActionState) -> bool:
    return action.kind == "run" and action.params.get("detach") is not True


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
    if action.stale:
        render_again(draft, draft.step_node(action.id), replace(action, redo=redo or action.redo, counted=action.counted and redo))
        return
    again = replace(
        action, status="open", attempt=action.attempt + 1, holder=None, claimed_at_ms=None, redo=redo or action.redo, answer=None,
        counted=action.counted and redo,
    )  # fmt: skip
    draft.disarm("timeout", action.id)
    draft.put_action(again)
    draft.note("action_offered", action.id, attempt=again.attempt, redo=again.redo)
    offer(draft, again)


def render_again(draft: Draft, node: StepNode, action: ActionState | None) -> None:
    """Have a step rendered and handed out once more, after a migration: what it was before counts no longer, and the next attempt follows on it."""
    cut_off(draft, node.path)
    draft.disarm("wait", node.path)
    if action is not None:
        kept = {name: value for name, value in action.params.items() if name == "files_before"}
        action = replace(action, params=kept, redo=action.redo or action.status == "claimed") if action.kind != "approve" else None
    draft.put(replace(node, phase="opening", results=(), params=None, again=action))
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
    told = {"error_class": failure.error_class, "message": failure.message}
    draft.note("attempt_failed", action.id, attempt=action.attempt, **told)
    if retry is None or failure.error_class not in retry.on or action.failures + 1 >= retry.attempts:
        draft.drop_action(action.id)
        fail_step(draft, draft.step_node(action.id), failure)
        return
    draft.drop_timers(action.id)
    draft.drop_action(f"{action.id}.verify")
    ceiling_ms = min(retry.max_backoff_ms, retry.backoff_ms << min(action.failures, 40))
    wait_ms = failure.retry_after_ms + draw_bits(draft.base.seed, action.id, "backoff", action.failures) % (ceiling_ms + 1)
    again = replace(action, status="backoff", failures=action.failures + 1, lapses=0, holder=None, answer=None, counted=False)
    draft.put_action(replace(again, problem=replace(failure, result=draft.keep(failure.result))))
    draft.arm("backoff", action.id, draft.now_ms + wait_ms)
    draft.note("retry_planned", action.id, attempt=action.attempt + 1, wait_ms=wait_ms)
