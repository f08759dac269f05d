"""Answers: what happens to an action when a performer, a person or time speaks about it. Retry, repair and approval rules live here.

A refused answer changes nothing, except that a delegate's refused output uses up a repair (ruling 25): the refusal then carries the attempt
that the next answer must name. A failure is first offered to `retry`; what retry does not take goes to `on_error` (settle.py).
"""

from dataclasses import replace

from treadle.core import limits
from treadle.core.definition import Approve, Delegate
from treadle.core.draft import Draft
from treadle.core.errors import CLASSES, Failure
from treadle.core.events import ActionAnswered, ApprovalDecided, OutcomeResolved, PerformerLost
from treadle.core.expected import expected_answer
from treadle.core.expr import draw_bits
from treadle.core.opening import dispatch
from treadle.core.render import instant
from treadle.core.schema import check
from treadle.core.settle import closing_goes_on, fail_step, finish_step, needs_claim, open_handler, write_result
from treadle.core.state import ActionState
from treadle.core.values import Json, Value

_ASSURANCE = ("none", "relayed", "local", "proven")


def answer(draft: Draft, action: ActionState, event: ActionAnswered) -> None:
    """Take an answer to an open attempt: done, failed, or refused."""
    if not _fits_attempt(draft, action, event):
        return
    if event.failure is not None:
        known = event.failure.error_class if event.failure.error_class in CLASSES else "failed"
        message = event.failure.message[: limits.MESSAGE_CHARACTERS_MAX]  # the whole of it is in the log
        fail_attempt(draft, action, replace(event.failure, step=action.id, error_class=known, message=message))
        return
    faults = _faults(draft, action, event.value)
    if not faults:
        _complete(draft, action, _taken(draft, action, event.value))
    elif action.kind == "delegate":
        _refuse_output(draft, action, faults)
    else:
        _refuse_value(draft, action, faults)


def answer_late(draft: Draft, action: ActionState, event: ActionAnswered) -> None:
    """Refuse an answer to an attempt that is being retried."""
    message = f"attempt {event.attempt} of `{action.id}` has ended; the next one has not begun"
    draft.refuse("late", message, hint="ask for the next step", attempt=action.attempt)


def answer_stopping(draft: Draft, action: ActionState, event: ActionAnswered) -> None:
    """Record an answer that came within the grace of a cancellation; the step is over all the same (ruling 27)."""
    if not _fits_attempt(draft, action, event):
        return
    draft.note("answer_after_stop", action.id, done=event.failure is None, value=draft.keep(event.value))
    message = f"`{action.id}` had been stopped: your answer is recorded and was not used"
    draft.refuse("stopped", message, hint="ask for the next step, or look at the run")
    end_stopping(draft, action)


def lose_stopping(draft: Draft, action: ActionState, event: PerformerLost) -> None:
    """End an action whose performer went away while it was being stopped."""
    if event.attempt == action.attempt:
        end_stopping(draft, action)
    else:
        draft.note("ignored", action.id, event="PerformerLost")


def end_stopping(draft: Draft, action: ActionState) -> None:
    """End an action that was asked to stop."""
    draft.drop_action(action.id)
    draft.note("action_stopped", action.id)
    closing_goes_on(draft)


def fail_attempt(draft: Draft, action: ActionState, failure: Failure) -> None:
    """End an attempt that failed: another follows after a wait, or the step has failed."""
    retry = draft.step_at(action.at).retry
    told = {"error_class": failure.error_class, "message": failure.message}
    draft.note("attempt_failed", action.id, attempt=action.attempt, **told)
    if retry is None or failure.error_class not in retry.on or action.failures + 1 >= retry.attempts:
        draft.drop_action(action.id)
        fail_step(draft, draft.step_node(action.id), failure)
        return
    draft.drop_timers(action.id)
    ceiling_ms = min(retry.max_backoff_ms, retry.backoff_ms << min(action.failures, 40))
    wait_ms = draw_bits(draft.base.seed, action.id, "backoff", action.failures) % (ceiling_ms + 1)
    again = replace(action, status="backoff", failures=action.failures + 1, lapses=0, holder=None)
    draft.put_action(replace(again, problem=replace(failure, result=draft.keep(failure.result))))
    draft.arm("backoff", action.id, draft.now_ms + wait_ms)
    draft.note("retry_planned", action.id, attempt=action.attempt + 1, wait_ms=wait_ms)


def offer_again(draft: Draft, action: ActionState, *, redo: bool) -> None:
    """Offer the next attempt of an action."""
    again = replace(
        action, status="open", attempt=action.attempt + 1, holder=None, claimed_at_ms=None, redo=redo or action.redo
    )  # fmt: skip
    draft.disarm("timeout", action.id)
    draft.put_action(again)
    draft.note("action_offered", action.id, attempt=again.attempt, redo=again.redo)
    dispatch(draft, again)


def decide(draft: Draft, action: ActionState, event: ApprovalDecided) -> None:
    """Take a person's decision about exactly what was shown (ruling 26)."""
    refused = _why_not(draft, action, event)
    if refused is not None:
        hint = f"a person looks at it again with `treadle approve {draft.base.run_id}`"
        draft.refuse(refused[0], refused[1], hint=hint, digest=action.digest)
        return
    result: dict[str, Json] = {
        "approved": event.approved, "by": event.by.name, "at": instant(draft.now_ms), "note": event.note,
        "digest": event.digest, "assurance": event.by.assurance,
    }  # fmt: skip
    draft.note("gate_decided", action.id, **result)
    if event.approved:
        _complete(draft, action, result)
    else:
        reject(draft, action, result, f"`{action.id}` was rejected by {event.by.name}")


def reject(draft: Draft, action: ActionState, result: dict[str, Json], message: str) -> None:
    """End a gate that was rejected or ran out of time: it fails unless `on_reject` says otherwise."""
    spec, node = draft.step_at(action.at).spec, draft.step_node(action.id)
    failure = Failure(error_class="rejected", message=message, step=action.id, result=result, has_result=True)
    on_reject = spec.on_reject if isinstance(spec, Approve) else "fail"
    draft.drop_action(action.id)
    draft.disarm("within", action.id)
    if on_reject == "continue":
        finish_step(draft, node, result)
    elif on_reject == "do":
        write_result(draft, node, failure)
        open_handler(draft, node, ".on_reject", failure)
    else:
        fail_step(draft, node, failure)


def resolve(draft: Draft, action: ActionState, event: OutcomeResolved) -> None:
    """Take a person's word on an action whose outcome nobody knew (ruling 19)."""
    if event.by.kind != "human":
        draft.refuse("needs_person", f"only a person can say what became of `{action.id}`", hint="run `treadle answer`")
        return
    if event.attempt != action.attempt:
        message = f"`{action.id}` is at attempt {action.attempt}"
        draft.refuse("late", message, hint="look at it again", attempt=action.attempt)
        return
    faults = _faults(draft, action, event.value) if event.outcome == "done" else ()
    if faults:
        _refuse_value(draft, action, faults)
        return
    draft.note("outcome_resolved", action.id, outcome=event.outcome, by=event.by.name, note=event.note)
    if event.outcome == "done":
        _complete(draft, action, event.value)
    elif event.outcome == "not_done":
        offer_again(draft, action, redo=False)
    else:
        message = f"the outcome of `{action.id}` is unknown" + (f": {event.note}" if event.note else "")
        draft.drop_action(action.id)
        failure = Failure(error_class="outcome_unknown", message=message, step=action.id)
        fail_step(draft, draft.step_node(action.id), failure)


def _taken(draft: Draft, action: ActionState, value: Value) -> Value:
    """Give the value of an answer: null for a prompt that only tells something, a form with its defaults."""
    fields = action.params.get("fields")
    if action.params.get("format") == "form" and isinstance(fields, dict) and isinstance(given := draft.whole(value), dict):
        defaults = {name: rule["default"] for name, rule in fields.items() if isinstance(rule, dict) and "default" in rule}
        return {name: given.get(name, defaults.get(name)) for name in fields if name in given or name in defaults}
    return None if action.params.get("format") == "info" else value


def _complete(draft: Draft, action: ActionState, value: Value) -> None:
    draft.drop_action(action.id)
    draft.note("action_completed", action.id, attempt=action.attempt)
    finish_step(draft, draft.step_node(action.id), value)


def _fits_attempt(draft: Draft, action: ActionState, event: ActionAnswered) -> bool:
    """Tell whether the answer is of the attempt that is open, by who holds it; else refuse it with its own code (ruling 21)."""
    hint = "ask for the next step; your answer was not used"
    if action.kind == "approve":
        gate_hint = f"a person runs `treadle approve {draft.base.run_id}`"
        draft.refuse("needs_decision", f"`{action.id}` waits for a person's decision, not an answer", hint=gate_hint)
    elif event.channel not in {None, action.channel} and event.by.kind == "agent":
        draft.refuse("foreign", f"`{action.id}` belongs to another branch", hint=hint)
    elif event.attempt < action.attempt:
        message = f"attempt {event.attempt} of `{action.id}` has ended; attempt {action.attempt} is open"
        draft.refuse("late", message, hint=hint, attempt=action.attempt)
    elif event.attempt > action.attempt:
        message = f"`{action.id}` has no attempt {event.attempt}"
        draft.refuse("unknown_attempt", message, hint=hint, attempt=action.attempt)
    elif (action.performer == "server") != (event.by.kind == "server"):
        draft.refuse("foreign", f"`{action.id}` is performed by: {action.performer}", hint=hint)
    elif action.holder not in {None, event.holder} and not (action.kind == "prompt" and event.by.kind == "human"):
        message = f"`{action.id}` is held by another performer"
        draft.refuse("foreign", message, hint=hint + "; `take_over` fences the other off", attempt=action.attempt)
    elif action.holder is None and action.performer == "server" and needs_claim(action):
        draft.refuse("not_claimed", f"`{action.id}` is claimed before it is done", hint=hint, attempt=action.attempt)
    return draft.refusal is None


def _faults(draft: Draft, action: ActionState, value: Value) -> tuple[str, ...]:
    schema = expected_answer(action.kind, action.params)
    faults = check(schema, draft.whole(value)) if schema else ()
    return tuple(f"{fault.path or 'the answer'}: {fault.message}" for fault in faults)


def _refuse_value(draft: Draft, action: ActionState, faults: tuple[str, ...]) -> None:
    draft.refuse(
        "invalid_answer", f"the answer to `{action.id}` does not fit: {faults[0]}",
        hint="answer again with a value that fits `expected`", faults=list(faults),
        expected=expected_answer(action.kind, action.params), attempt=action.attempt,
    )  # fmt: skip


def _refuse_output(draft: Draft, action: ActionState, faults: tuple[str, ...]) -> None:
    spec = draft.step_at(action.at).spec
    left = (spec.repair if isinstance(spec, Delegate) else 0) - action.repairs
    problem = Failure(error_class="bad_output", message="; ".join(faults[:5]), step=action.id)
    if left <= 0:
        fail_attempt(draft, action, problem)
        return
    again = replace(action, attempt=action.attempt + 1, repairs=action.repairs + 1, problem=problem)
    draft.put_action(again)
    draft.note("output_refused", action.id, attempt=action.attempt, faults=list(faults))
    draft.refuse(
        "bad_output", f"the answer to `{action.id}` does not fit: {faults[0]}",
        hint=f"mend it and submit it as attempt {again.attempt}; {left - 1} more may be refused", faults=list(faults),
        expected=expected_answer(action.kind, action.params), attempt=again.attempt,
    )  # fmt: skip


def _why_not(draft: Draft, action: ActionState, event: ApprovalDecided) -> tuple[str, str] | None:
    """Say with code and message why a decision is not taken, if it is not."""
    users, never, needed = (action.params.get(name) for name in ("users", "never", "assurance"))
    name = event.by.name
    if action.kind != "approve":
        return "not_a_gate", f"`{action.id}` is no approval; answer it instead"
    if event.by.kind != "human":
        return "agents_never_approve", f"`{action.id}` is decided by a person, never by an agent"
    if _ASSURANCE.index(event.by.assurance) < _ASSURANCE.index(str(needed)):
        return "assurance_too_low", f"`{action.id}` needs a decision of level `{needed}`"
    if event.digest != action.digest:
        return "digest_mismatch", f"what was shown for `{action.id}` is not what stands there now"
    if isinstance(users, list) and name not in users:
        return "not_an_approver", f"{name} may not decide `{action.id}`; {', '.join(map(str, users))} may"
    if isinstance(never, list) and (name in never or ("starter" in never and name == draft.base.started_by)):
        return "not_an_approver", f"{name} may never decide `{action.id}`: duties are separated here"
    return None
