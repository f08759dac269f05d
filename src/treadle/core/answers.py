"""Answers: what happens to an action when a performer, a person or time speaks about it. Retry, repair and approval rules live here.

A refused answer changes nothing, except that a delegate's refused output uses up a repair (ruling 25): the refusal then carries the attempt
that the next answer must name. A failure is first offered to `retry`; what retry does not take goes to `on_error` (settle.py).
"""

from treadle.core import limits
from treadle.core.attempts import end_doubt, fail_attempt, offer_again
from treadle.core.budget import charge
from treadle.core.closing import closing_goes_on, needs_claim
from treadle.core.definition import Approve
from treadle.core.draft import NODE_TIMERS, Draft
from treadle.core.errors import CLASSES, Failure, failure_at
from treadle.core.events import ActionAnswered, ApprovalDecided, OutcomeResolved, PerformerLost
from treadle.core.gates import REQUIRES, remember_decision, result_of, step_path, why_not
from treadle.core.records import replace
from treadle.core.schema_expected import expected_answer, faults_of
from treadle.core.state import ActionState, Approval, StepNode
from treadle.core.steps import depart, fail_step, finish_step, lose_worktree, open_handler, write_result
from treadle.core.values import Json, Value
from treadle.core.verify import await_proof, complete, looked, refuse_output
from treadle.core.worktrees import KINDS


def answer(draft: Draft, action: ActionState, event: ActionAnswered) -> None:
    """Take an answer to an open attempt: done, to be proven, failed, or refused."""
    if not _fits_attempt(draft, action, event):
        return
    charge(draft, action.id, event.usage, action.reserved)
    if action.status == "unknown":
        end_doubt(draft, action)
    if action.kind == "verify":
        looked(draft, action, event.value, event.failure)
    elif action.kind in KINDS:
        _take_worktree(draft, action, event.value, event.failure)
    elif event.failure is not None:
        known = event.failure.error_class if event.failure.error_class in CLASSES or action.kind == "run" else "failed"
        message = event.failure.message[: limits.MESSAGE_CHARACTERS_MAX]  # the whole of it is in the log
        fail_attempt(draft, action, replace(event.failure, step=action.id, error_class=known, message=message))
    elif not (faults := _faults(draft, action, event.value)):
        draft.degraded = draft.degraded or event.degraded
        _take(draft, action, event.value)
    elif action.kind == "delegate":
        refuse_output(draft, action, faults)
    else:
        _refuse_value(draft, action, faults)


def _take_worktree(draft: Draft, action: ActionState, value: Value, failure: Failure | None) -> None:
    """Go on where a worktree was waited for, or where the changes in it had to be kept."""
    node, kept = draft.nodes[step_path(action.id)], action.kind == "worktree_commit"
    draft.drop_action(action.id)
    if failure is not None:
        lose_worktree(draft, node, failure, kept=kept)
        return
    tree = {**(node.tree or {}), **value} if isinstance(value, dict) else node.tree
    draft.note("worktree_kept" if kept else "worktree_opened", node.path, worktree=draft.keep(tree))
    if isinstance(node, StepNode) and node.end is not None:
        depart(draft, replace(node, tree=tree), node.end)
        return
    begins = "opening" if isinstance(node, StepNode) or node.at in draft.index.scopes else "running"
    draft.put(replace(node, phase="worktree" if kept else begins, tree=tree))
    draft.look_at(node.path)


def _take(draft: Draft, action: ActionState, value: Value) -> None:
    taken = _taken(draft, action, value)
    if draft.step_at(action.at).verify:
        await_proof(draft, action, taken)
    else:
        complete(draft, action, taken)


def answer_stopping(draft: Draft, action: ActionState, event: ActionAnswered) -> None:
    """Record an answer that came within the grace of a cancellation; the step is over all the same (ruling 27)."""
    if not _fits_attempt(draft, action, event):
        return
    charge(draft, action.id, event.usage, action.reserved)
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


def decide(draft: Draft, action: ActionState, event: ApprovalDecided) -> None:
    """Take a person's decision about exactly what was shown; a gate that asks for several waits for the rest (ruling 26)."""
    refused = why_not(draft, action, event)
    if refused is not None:
        hint = f"a person looks at it again with `treadle approve {draft.base.run_id}`"
        draft.refuse(refused[0], refused[1], hint=hint, digest=action.digest)
        return
    result, count = result_of(draft, action, event), action.params.get("count")
    draft.note("gate_decided", action.id, **result)
    if event.approved and isinstance(count, int) and len(action.votes) + 1 < count:
        draft.put_action(replace(action, votes=(*action.votes, event.by.name)))
        return
    _settle_gate(draft, action, result, f"`{action.id}` was rejected by {event.by.name}")


def _settle_gate(draft: Draft, action: ActionState, result: dict[str, Json], message: str) -> None:
    node, by = draft.step_node(step_path(action.id)), result["by"]
    gate = action.params.get("gate", draft.step(node).id)
    names = tuple(map(str, by)) if isinstance(by, list) else (by,) if isinstance(by, str) else ()
    approval = Approval(digest=str(action.digest), approved=result["approved"] is True, by=names)
    remember_decision(draft, node, str(gate), approval)
    if not approval.approved:
        reject(draft, action, result, message)
        return
    draft.drop_action(action.id)
    draft.note("action_completed", action.id, attempt=action.attempt)
    if action.id.endswith(REQUIRES):
        draft.disarm(node.path, "wait")
        draft.look_at(node.path)
    else:
        finish_step(draft, node, result)


def reject(draft: Draft, action: ActionState, result: dict[str, Json], message: str) -> None:
    """End a gate that was rejected or ran out of time: it fails unless `on_reject` says otherwise."""
    node = draft.step_node(step_path(action.id))
    spec = draft.step(node).spec
    failure = Failure(error_class="rejected", message=message, step=node.path, result=result, has_result=True)
    on_reject = spec.on_reject if isinstance(spec, Approve) else "fail"
    draft.drop_action(action.id)
    draft.disarm(node.path, *NODE_TIMERS)
    if on_reject == "continue":
        finish_step(draft, node, result)
    elif on_reject == "do":
        write_result(draft, node, failure)
        open_handler(draft, node, ".on_reject", failure)
    else:
        fail_step(draft, node, failure if isinstance(spec, Approve) else replace(failure, result=None, has_result=False))


def resolve(draft: Draft, action: ActionState, event: OutcomeResolved) -> None:
    """Take a person's word on an action whose outcome nobody knew (ruling 19)."""
    if event.by.kind != "human":
        draft.refuse("needs_person", f"only a person can say what became of `{action.id}`", hint="run `treadle answer`")
    elif event.attempt != action.attempt:
        draft.refuse("late", f"`{action.id}` is at attempt {action.attempt}", hint="look at it again", attempt=action.attempt)
    elif draft.step_node(action.id).phase == "read_back":
        draft.refuse("reading_back", f"what became of `{action.id}` is being read back", hint="look at it again when that has ended")
    elif event.outcome == "done" and (faults := _faults(draft, action, event.value)):
        _refuse_value(draft, action, faults)
    else:
        draft.note("outcome_resolved", action.id, outcome=event.outcome, by=event.by.name, note=event.note)
        _settle_doubt(draft, action, event)


def _settle_doubt(draft: Draft, action: ActionState, event: OutcomeResolved) -> None:
    if event.outcome == "done":
        _take(draft, action, event.value)
    elif event.outcome == "not_done":
        offer_again(draft, action, redo=False)
    else:
        message = f"the outcome of `{action.id}` is unknown" + (f": {event.note}" if event.note else "")
        draft.drop_action(action.id)
        fail_step(draft, draft.step_node(action.id), failure_at(action.id, "outcome_unknown", message))


def _taken(draft: Draft, action: ActionState, value: Value) -> Value:
    """Give the value of an answer: null for a prompt that only tells something, a form with its defaults."""
    fields = action.params.get("fields")
    if action.params.get("format") == "form" and isinstance(fields, dict) and isinstance(given := draft.whole(value), dict):
        defaults = {name: rule["default"] for name, rule in fields.items() if isinstance(rule, dict) and "default" in rule}
        return {name: given.get(name, defaults.get(name)) for name in fields if name in given or name in defaults}
    return None if action.params.get("format") == "info" else value


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
        draft.refuse("unknown_attempt", f"`{action.id}` has no attempt {event.attempt}", hint=hint, attempt=action.attempt)
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
    return faults_of(schema, draft.whole(value)) if schema else ()


def _refuse_value(draft: Draft, action: ActionState, faults: tuple[str, ...]) -> None:
    draft.refuse(
        "invalid_answer", f"the answer to `{action.id}` does not fit: {faults[0]}",
        hint="answer again with a value that fits `expected`", faults=list(faults),
        expected=expected_answer(action.kind, action.params), attempt=action.attempt,
    )  # fmt: skip
