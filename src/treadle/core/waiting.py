"""Waiting: for a time, an instant, or a signal; and what happens when a time has come (language.md §2).

Signals are kept per run, first in first out. One signal ends one wait: the mailbox is looked at when the wait opens, later a signal goes to the
wait that opened first. One that does not fit what a wait asks for is refused where its sender can hear it, and passed over in the mailbox.

What is due fires before an event is absorbed, in the order of (due, path) (ruling 2). A run that is set aside lets nothing fire.
"""

from datetime import UTC, datetime

from treadle.core import limits
from treadle.core.answers import end_stopping, reject
from treadle.core.attempts import fail_attempt, offer_again
from treadle.core.budget import exceed
from treadle.core.closing import begin_closing, cut_off
from treadle.core.commands import StopAction
from treadle.core.definition import Wait
from treadle.core.draft import NODE_TIMERS, Draft
from treadle.core.endings import skip_finally
from treadle.core.errors import StepFailedError, failure_at
from treadle.core.events import SignalSent
from treadle.core.gates import REQUIRES
from treadle.core.index import FINALLY, budget_at
from treadle.core.records import replace
from treadle.core.render import Renderer, instant
from treadle.core.schema_expected import faults_of
from treadle.core.state import ActionState, Outcome, Signal, StepNode, Waiting
from treadle.core.steps import fail_step, finish_step
from treadle.core.values import Json, Value


def wait(draft: Draft, node: StepNode, spec: Wait, render: Renderer) -> None:
    """Begin to wait; what is there already is not waited for."""
    if spec.signal is not None:
        _wait_for_signal(draft, node, spec)
        return
    since_ms = node.wait.since_ms if node.wait is not None else draft.now_ms  # before now, if its text was changed while it waited
    until_ms = since_ms + (spec.duration_ms or 0) if spec.until is None else _instant_ms(node, render.value(spec.until, "until"))
    if until_ms <= draft.now_ms:
        finish_step(draft, node, {"waited_ms": draft.now_ms - since_ms})
        return
    draft.put(replace(node, phase="wait", results=(), wait=Waiting(since_ms=since_ms, until_ms=until_ms)))
    draft.arm("wait", node.path, until_ms)
    draft.note("waiting", node.path, until_ms=until_ms)


def _wait_for_signal(draft: Draft, node: StepNode, spec: Wait) -> None:
    for index, signal in enumerate(draft.mailbox):
        if signal.name == spec.signal and not _faults(draft, spec, signal.payload):
            del draft.mailbox[index]
            draft.note("signal_taken", node.path, signal=signal.name, by=signal.by)
            finish_step(draft, node, signal.payload)
            return
    draft.put(replace(node, phase="wait", results=(), wait=Waiting(since_ms=draft.now_ms, signal=spec.signal)))
    draft.note("waiting", node.path, signal=spec.signal)


def _instant_ms(node: StepNode, value: Value) -> int:
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise StepFailedError(failure_at(node.path, "expression", f"`until` of step `{node.path}` is no instant with a zone: {value!r}"))
    return int((at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)


def receive(draft: Draft, event: SignalSent) -> None:
    """Give a signal to the wait that opened first, or keep it."""
    waits = [
        (node, spec) for node in draft.nodes.values()
        if isinstance(node, StepNode) and node.phase == "wait" and node.wait is not None and node.wait.signal == event.name
        and isinstance(spec := draft.step(node).spec, Wait) and draft.closing_above(node) is None
    ]  # fmt: skip
    faults: tuple[str, ...] = ()
    for node, spec in waits:
        faults = _faults(draft, spec, event.payload)
        if not faults:
            draft.note("signal_taken", node.path, signal=event.name, by=event.by.name)
            finish_step(draft, node, draft.keep(event.payload))
            return
    if faults:
        draft.refuse("invalid_signal", f"the signal `{event.name}` does not fit: {faults[0]}", hint="send it again", faults=list(faults))
    elif len(draft.mailbox) >= limits.MAILBOX_MAX:
        draft.refuse("mailbox_full", f"{limits.MAILBOX_MAX} signals wait to be read", hint="look at what the run waits for")
    else:
        draft.mailbox.append(Signal(name=event.name, payload=draft.keep(event.payload), by=event.by.name, at_ms=draft.now_ms))
        draft.note("signal_kept", "", signal=event.name, by=event.by.name)
        draft.changed = True


def _faults(draft: Draft, spec: Wait, payload: Value) -> tuple[str, ...]:
    return faults_of(spec.payload, draft.whole(payload), "the payload") if isinstance(spec.payload, dict) else ()


# Timers


def fire_due(draft: Draft) -> None:
    """Fire every timer that is due by the draft's clock."""
    while draft.parked is None:
        due = [(at_ms, *reversed(name.split(":", 1))) for name, at_ms in draft.timers.items() if at_ms <= draft.now_ms]
        if not due:
            return
        due_ms, path, kind = min(due)
        draft.disarm(path, kind)
        draft.note("timer_fired", path, timer=kind, due_ms=due_ms)
        (_fire_node if kind in NODE_TIMERS else _fire)(draft, kind, path)


def _fire_node(draft: Draft, kind: str, path: str) -> None:
    node = draft.nodes[path]
    if kind == "wall":
        budget = budget_at(draft.definition, draft.spent[path].at)
        exceed(draft, path, budget, f"{budget.wall_ms} ms")
    elif kind == "shield":
        draft.note("finally_cut", path)
        if path == FINALLY:
            skip_finally(draft, failure_at(path, "timeout", "the workflow's `finally` took longer than 5 minutes and was stopped"))
        else:
            begin_closing(draft, node, node.closing or Outcome(how="cancel"), shielded=False)
    elif node.closing is not None or not isinstance(node, StepNode):
        return  # it ends as its closing says: its budget may have run out a moment before
    elif kind == "within":
        _within(draft, node)
    elif node.wait is not None:
        finish_step(draft, node, {"waited_ms": draft.now_ms - node.wait.since_ms})
    else:
        _reject_late(draft, draft.actions[path + REQUIRES], f"nobody decided `{path}{REQUIRES}` in time")


def _fire(draft: Draft, kind: str, path: str) -> None:
    action = draft.actions[path]
    if kind == "backoff":
        offer_again(draft, action, redo=False)
    elif kind == "grace":
        end_stopping(draft, action)
    else:
        draft.commands.append(StopAction(action=path, attempt=action.attempt))
        message = f"attempt {action.attempt} of `{path}` took longer than {draft.step_at(action.at).timeout_ms} ms"
        fail_attempt(draft, action, failure_at(path, "timeout", message))


def _within(draft: Draft, node: StepNode) -> None:
    action, message = draft.actions.get(node.path), f"step `{node.path}` was not done within {draft.step(node).within_ms} ms"
    failure = failure_at(node.path, "timeout", message)
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
