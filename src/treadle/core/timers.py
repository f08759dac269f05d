"""Timers: what is due fires before an event is absorbed, in the order of (due, path) (ruling 2). A run that is set aside lets nothing fire."""

from treadle.core.answers import end_stopping, reject
from treadle.core.attempts import fail_attempt, offer_again
from treadle.core.budget import exceed
from treadle.core.closing import begin_closing, cut_off
from treadle.core.commands import StopAction
from treadle.core.draft import NODE_TIMERS, Draft
from treadle.core.endings import skip_finally
from treadle.core.errors import Failure
from treadle.core.gates import REQUIRES
from treadle.core.index import FINALLY, budget_at
from treadle.core.render import instant
from treadle.core.state import ActionState, Outcome, StepNode
from treadle.core.steps import fail_step, finish_step
from treadle.core.values import Json


def fire_due(draft: Draft) -> None:
    """Fire every timer that is due by the draft's clock."""
    while draft.parked is None:
        due = [(at_ms, *reversed(name.split(":", 1))) for name, at_ms in draft.timers.items() if at_ms <= draft.now_ms]
        if not due:
            return
        due_ms, path, kind = min(due)
        draft.disarm(kind, path)
        draft.note("timer_fired", path, timer=kind, due_ms=due_ms)
        if kind in NODE_TIMERS:
            _fire_node(draft, kind, path)
        else:
            _fire(draft, kind, path)


def _fire_node(draft: Draft, kind: str, path: str) -> None:
    node = draft.nodes[path]
    if kind == "wall":
        budget = budget_at(draft.definition, draft.spent[path].at)
        exceed(draft, path, budget, f"{budget.wall_ms} ms")
    elif kind == "shield":
        draft.note("finally_cut", path)
        if path == FINALLY:
            message = "the workflow's `finally` took longer than 5 minutes and was stopped"
            skip_finally(draft, Failure(error_class="timeout", message=message, step=FINALLY))
        else:
            begin_closing(draft, node, node.closing or Outcome(how="cancel"), shielded=False)
    elif kind == "within" and isinstance(node, StepNode):
        _within(draft, node)
    elif isinstance(node, StepNode) and node.wait is not None:
        finish_step(draft, node, {"waited_ms": draft.now_ms - node.wait.since_ms})
    elif isinstance(node, StepNode):
        _reject_late(draft, draft.actions[path + REQUIRES], f"nobody decided `{path}{REQUIRES}` in time")


def _fire(draft: Draft, kind: str, path: str) -> None:
    action = draft.actions[path]
    if kind == "backoff":
        offer_again(draft, action, redo=False)
    elif kind == "grace":
        end_stopping(draft, action)
    else:
        draft.commands.append(StopAction(action=path, attempt=action.attempt))
        limit_ms = draft.step_at(action.at).timeout_ms
        message = f"attempt {action.attempt} of `{path}` took longer than {limit_ms} ms"
        fail_attempt(draft, action, Failure(error_class="timeout", message=message, step=path))


def _within(draft: Draft, node: StepNode) -> None:
    action = draft.actions.get(node.path)
    message = f"step `{node.path}` was not done within {draft.step(node).within_ms} ms"
    failure = Failure(error_class="timeout", message=message, step=node.path)
    if node.closing is not None:
        return
    if action is not None and action.kind == "approve":
        _reject_late(draft, action, message)
    elif node.phase in {"block", "handler", "read_back"}:
        begin_closing(draft, node, Outcome(how="fail", failure=failure))
    else:
        cut_off(draft, node.path)
        fail_step(draft, node, failure)


def _reject_late(draft: Draft, action: ActionState, message: str) -> None:
    result: dict[str, Json] = {
        "approved": False, "by": None, "at": instant(draft.now_ms), "note": message, "digest": action.digest, "assurance": "none",
    }  # fmt: skip
    reject(draft, action, result, message)
