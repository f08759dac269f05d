"""Timers: what is due fires before an event is absorbed, in the order of (due, path) (ruling 2). A run that is set aside lets nothing fire."""

from treadle.core.answers import end_stopping, fail_attempt, offer_again, reject
from treadle.core.commands import StopAction
from treadle.core.draft import Draft
from treadle.core.errors import Failure
from treadle.core.render import instant
from treadle.core.settle import begin_closing, fail_step
from treadle.core.state import Closing, StepNode
from treadle.core.values import Json


def fire_due(draft: Draft) -> None:
    """Fire every timer that is due by the draft's clock."""
    while draft.parked is None:
        due = min(((at, name) for name, at in draft.timers.items() if at <= draft.now_ms), default=None)
        if due is None:
            return
        kind, path = due[1].split(":", 1)
        draft.disarm(kind, path)
        draft.note("timer_fired", path, timer=kind, due_ms=due[0])
        _FIRE[kind](draft, path)


def _timeout(draft: Draft, path: str) -> None:
    action = draft.actions.get(path)
    if action is None:
        return
    limit_ms = draft.index.steps[action.at].timeout_ms
    draft.command(StopAction(action=path, attempt=action.attempt))
    message = f"attempt {action.attempt} of `{path}` took longer than {limit_ms} ms"
    fail_attempt(draft, action, Failure(error_class="timeout", message=message, step=path))


def _within(draft: Draft, path: str) -> None:
    node = draft.nodes.get(path)
    if not isinstance(node, StepNode):
        return
    action = draft.actions.get(path)
    message = f"step `{path}` was not done within {draft.step(node).within_ms} ms"
    if action is not None and action.kind == "approve":
        result: dict[str, Json] = {
            "approved": False, "by": None, "at": instant(draft.now_ms), "note": message, "digest": action.digest, "assurance": "none",
        }  # fmt: skip
        reject(draft, action, result, message)
        return
    failure = Failure(error_class="timeout", message=message, step=path)
    if node.phase == "block":
        begin_closing(draft, node, Closing(how="fail", failure=failure))
        return
    if action is not None and action.status in {"claimed", "open"}:
        draft.command(StopAction(action=path, attempt=action.attempt))
    fail_step(draft, node, failure)


def _backoff(draft: Draft, path: str) -> None:
    action = draft.actions.get(path)
    if action is not None:
        offer_again(draft, action, redo=False)


def _grace(draft: Draft, path: str) -> None:
    action = draft.actions.get(path)
    if action is not None:
        end_stopping(draft, action)


_FIRE = {"timeout": _timeout, "within": _within, "backoff": _backoff, "grace": _grace}
