"""Timers: what is due fires before an event is absorbed, in the order of (due, path) (ruling 2). A run that is set aside lets nothing fire."""

from treadle.core.answers import end_stopping, fail_attempt, offer_again, reject
from treadle.core.commands import StopAction
from treadle.core.draft import Draft
from treadle.core.errors import Failure
from treadle.core.render import instant
from treadle.core.settle import begin_closing, fail_step, may_be_underway
from treadle.core.state import Closing, StepNode
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
        if kind == "within":
            _within(draft, draft.step_node(path))
        else:
            _fire(draft, kind, path)


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
        result: dict[str, Json] = {
            "approved": False, "by": None, "at": instant(draft.now_ms), "note": message, "digest": action.digest, "assurance": "none",
        }  # fmt: skip
        reject(draft, action, result, message)
    elif node.phase == "block":
        begin_closing(draft, node, Closing(how="fail", failure=failure))
    else:
        if action is not None and may_be_underway(action):
            draft.commands.append(StopAction(action=action.id, attempt=action.attempt))
        fail_step(draft, node, failure)
