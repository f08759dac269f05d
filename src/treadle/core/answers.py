"""Answers: what happens to an action when a performer, a person or time speaks about it. Retry, repair and approval rules live here.

A refused answer changes nothing, except that a delegate's refused output uses up a repair (ruling 25): the refusal then carries the attempt
that the next answer must name. A failure is first offered to `retry`; what retry does not take goes to `on_error` (settle.py).
"""

from dataclasses import replace

from treadle.core.definition import Approve, Delegate
from treadle.core.draft import Draft
from treadle.core.errors import CLASSES, Failure, Refusal
from treadle.core.events import ActionAnswered, ApprovalDecided, OutcomeResolved
from treadle.core.expected import expected_answer
from treadle.core.expr import NeedBlobs as NeedBlobsError
from treadle.core.expr import drawing
from treadle.core.opening import dispatch
from treadle.core.render import instant
from treadle.core.schema import check
from treadle.core.settle import closing_goes_on, fail_step, finish_step, open_handler
from treadle.core.state import ActionState
from treadle.core.values import BlobRef, Json, Value

_ASSURANCE = ("none", "relayed", "local", "proven")


def answer(draft: Draft, action: ActionState, event: ActionAnswered) -> None:
    """Take an answer to an open attempt: done, failed, or refused."""
    if not _fits_attempt(draft, action, event):
        return
    if event.failure is not None:
        failure = event.failure
        known = failure.error_class in CLASSES
        fail_attempt(draft, action, replace(failure, step=action.id, error_class=failure.error_class if known else "failed"))
        return
    faults = _faults(draft, action, event.value)
    if not faults:
        _complete(draft, action, None if action.params.get("format") == "info" else event.value)
    elif action.kind == "delegate":
        _refuse_output(draft, action, faults)
    else:
        schema = expected_answer(action.kind, action.params)
        draft.refuse(
            "invalid_answer", f"the answer to `{action.id}` does not fit: {faults[0]}",
            hint="answer again with a value that fits `expected`", faults=list(faults), expected=schema, attempt=action.attempt,
        )  # fmt: skip


def answer_late(draft: Draft, action: ActionState, event: ActionAnswered) -> None:
    """Refuse an answer to an attempt that is being retried."""
    draft.refuse(
        "late", f"attempt {event.attempt} of `{action.id}` has ended; the next one has not begun",
        hint="ask for the next step", attempt=action.attempt,
    )  # fmt: skip


def answer_stopping(draft: Draft, action: ActionState, event: ActionAnswered) -> None:
    """Record an answer that came within the grace of a cancellation; the step is over all the same (ruling 27)."""
    draft.note("answer_after_stop", action.id, done=event.failure is None, value=draft.keep(event.value))
    end_stopping(draft, action)


def end_stopping(draft: Draft, action: ActionState, _event: object = None) -> None:
    """End an action that was asked to stop."""
    draft.drop_action(action.id)
    draft.note("action_stopped", action.id)
    closing_goes_on(draft)


def fail_attempt(draft: Draft, action: ActionState, failure: Failure) -> None:
    """End an attempt that failed: another follows after a wait, or the step has failed."""
    retry = draft.index.steps[action.at].retry
    draft.note("attempt_failed", action.id, attempt=action.attempt, error_class=failure.error_class, message=failure.message)
    if retry is None or failure.error_class not in retry.on or action.failures + 1 >= retry.attempts:
        draft.drop_action(action.id)
        fail_step(draft, draft.step_node(action.id), failure)
        return
    ceiling = min(retry.max_backoff_ms, retry.backoff_ms << min(action.failures, 40))
    wait_ms = drawing(draft.base.seed, action.id, "backoff")(action.failures) % (ceiling + 1)
    draft.drop_action(action.id)
    draft.put_action(replace(action, status="backoff", failures=action.failures + 1, holder=None, problem=failure))
    draft.arm("backoff", action.id, draft.now_ms + wait_ms)
    draft.note("retry_planned", action.id, attempt=action.attempt + 1, wait_ms=wait_ms)


def offer_again(draft: Draft, action: ActionState, *, redo: bool) -> None:
    """Offer the next attempt of an action."""
    again = replace(
        action, status="open", attempt=action.attempt + 1, holder=None, claimed_at_ms=None, redo=redo or action.redo,
        problem=None if not redo else action.problem,
    )  # fmt: skip
    draft.disarm("timeout", action.id)
    draft.put_action(again)
    draft.note("action_offered", action.id, attempt=again.attempt, redo=again.redo)
    dispatch(draft, again)


def decide(draft: Draft, action: ActionState, event: ApprovalDecided) -> None:
    """Take a person's decision about exactly what was shown (ruling 26)."""
    refusal = _refused_decision(draft, action, event)
    if refusal is not None:
        draft.refusal = refusal
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
    spec = draft.index.steps[action.at].spec
    node = draft.step_node(action.id)
    failure = Failure(error_class="rejected", message=message, step=action.id, result=result, has_result=True)
    draft.drop_action(action.id)
    draft.disarm("within", action.id)
    if isinstance(spec, Approve) and spec.on_reject == "continue":
        finish_step(draft, node, result)
    elif isinstance(spec, Approve) and spec.on_reject == "do":
        node = replace(node, phase="handler", failure=failure)
        draft.put(node)
        open_handler(draft, node, ".on_reject", failure)
    else:
        fail_step(draft, node, failure)


def resolve(draft: Draft, action: ActionState, event: OutcomeResolved) -> None:
    """Take a person's word on an action whose outcome nobody knew (ruling 19)."""
    if event.by.kind != "human":
        draft.refuse("needs_person", f"only a person can say what became of `{action.id}`", hint="run `treadle answer`")
        return
    if event.attempt != action.attempt:
        draft.refuse("late", f"`{action.id}` is at attempt {action.attempt}", hint="look at it again", attempt=action.attempt)
        return
    draft.note("outcome_resolved", action.id, outcome=event.outcome, by=event.by.name, note=event.note)
    if event.outcome == "done":
        _complete(draft, action, event.value)
    elif event.outcome == "not_done":
        offer_again(draft, action, redo=False)
    else:
        message = f"the outcome of `{action.id}` is unknown" + (f": {event.note}" if event.note else "")
        draft.drop_action(action.id)
        fail_step(draft, draft.step_node(action.id), Failure(error_class="outcome_unknown", message=message, step=action.id))


def _complete(draft: Draft, action: ActionState, value: Value) -> None:
    draft.drop_action(action.id)
    draft.note("action_completed", action.id, attempt=action.attempt)
    finish_step(draft, draft.step_node(action.id), value)


def _fits_attempt(draft: Draft, action: ActionState, event: ActionAnswered) -> bool:
    """Tell whether the answer is of the attempt that is open, by who holds it; else refuse it with its own code (ruling 21)."""
    if action.kind == "approve":
        draft.refuse(
            "needs_decision", f"`{action.id}` waits for a person's decision; an answer cannot give it",
            hint=f"a person runs `treadle approve {draft.base.run_id}`",
        )  # fmt: skip
    elif event.attempt < action.attempt:
        draft.refuse(
            "late", f"attempt {event.attempt} of `{action.id}` has ended; attempt {action.attempt} is open",
            hint="ask for the next step; your answer was not used", attempt=action.attempt,
        )  # fmt: skip
    elif event.attempt > action.attempt:
        draft.refuse("unknown_attempt", f"`{action.id}` has no attempt {event.attempt}", attempt=action.attempt)
    elif action.performer == "server" and event.by.kind != "server" and action.status != "unknown":
        draft.refuse("foreign", f"`{action.id}` is performed by Treadle itself", hint="ask for the next step")
    elif action.status == "claimed" and action.holder != event.holder and not _person_may(action, event):
        draft.refuse(
            "foreign", f"`{action.id}` is held by another performer",
            hint="ask for the next step; `take_over` fences the other off", attempt=action.attempt,
        )  # fmt: skip
    return draft.refusal is None


def _person_may(action: ActionState, event: ActionAnswered) -> bool:
    return action.kind == "prompt" and event.by.kind == "human"


def _faults(draft: Draft, action: ActionState, value: Value) -> tuple[str, ...]:
    schema = expected_answer(action.kind, action.params)
    if not schema:
        return ()
    if isinstance(value, BlobRef):
        if value.digest not in draft.blobs:
            raise NeedBlobsError((value.digest,))
        value = draft.blobs[value.digest]
    return tuple(f"{fault.path or 'the answer'}: {fault.message}" for fault in check(schema, value))


def _refuse_output(draft: Draft, action: ActionState, faults: tuple[str, ...]) -> None:
    spec = draft.index.steps[action.at].spec
    repair_max = spec.repair if isinstance(spec, Delegate) else 0
    problem = Failure(error_class="bad_output", message="; ".join(faults[:5]), step=action.id)
    if action.repairs >= repair_max:
        fail_attempt(draft, action, problem)
        return
    again = replace(action, attempt=action.attempt + 1, repairs=action.repairs + 1, problem=problem)
    draft.put_action(again)
    draft.note("output_refused", action.id, attempt=action.attempt, faults=list(faults))
    draft.refuse(
        "bad_output", f"the answer to `{action.id}` does not fit: {faults[0]}",
        hint=f"mend it and submit it as attempt {again.attempt}; {repair_max - again.repairs} more may be refused",
        faults=list(faults), expected=expected_answer(action.kind, action.params), attempt=again.attempt,
    )  # fmt: skip


def _refused_decision(draft: Draft, action: ActionState, event: ApprovalDecided) -> Refusal | None:
    params = action.params
    users, never = params.get("users"), params.get("never")
    code, message = "", ""
    if action.kind != "approve":
        code, message = "not_a_gate", f"`{action.id}` is no approval; answer it instead"
    elif event.by.kind != "human":
        code, message = "agents_never_approve", f"`{action.id}` is decided by a person, never by an agent"
    elif _ASSURANCE.index(event.by.assurance) < _ASSURANCE.index(str(params.get("assurance", "local"))):
        code, message = "assurance_too_low", f"`{action.id}` needs a decision of level `{params.get('assurance')}`"
    elif event.digest != action.digest:
        code, message = "digest_mismatch", f"what was shown for `{action.id}` is not what stands there now"
    elif isinstance(users, list) and event.by.name not in users:
        code, message = "not_an_approver", f"{event.by.name} may not decide `{action.id}`; {', '.join(map(str, users))} may"
    elif isinstance(never, list) and _is_never(draft, never, event.by.name):
        code, message = "not_an_approver", f"{event.by.name} may never decide `{action.id}`: duties are separated here"
    if not code:
        return None
    hint = f"a person looks at it again with `treadle approve {draft.base.run_id}`"
    return Refusal(code=code, message=message, hint=hint, details={"digest": action.digest})


def _is_never(draft: Draft, never: list[Json], name: str) -> bool:
    return name in never or ("starter" in never and name == draft.base.started_by)
