"""Proof: what Treadle itself makes sure of before an answer counts as done (ruling 25).

The answer is kept and the action is `verifying`. A schema or an expression is checked in the same transition. Commands and files need the world:
an action of its own, `STEP.verify`, is performed, and what it found decides. An answer that does not hold is refused with what was missing: an
agent mends it, which uses up a repair; what Treadle itself performed has failed.
"""

from treadle.core.attempts import fail_attempt, offer
from treadle.core.commands import KeepResult
from treadle.core.definition import Check
from treadle.core.draft import ATTEMPT_TIMERS, Draft
from treadle.core.errors import Failure
from treadle.core.records import replace
from treadle.core.render import Renderer
from treadle.core.schema_expected import expected_answer, faults_of
from treadle.core.state import ActionState, StepNode
from treadle.core.steps import finish_step
from treadle.core.values import Value, as_text

VERIFY = ".verify"


def await_proof(draft: Draft, action: ActionState, value: Value) -> None:
    """Keep an answer until it is proven."""
    draft.disarm(action.id, *ATTEMPT_TIMERS)
    draft.put_action(replace(action, status="verifying", answer=draft.keep(value)))
    draft.look_at(action.id)


def to_prove(draft: Draft, node: StepNode) -> ActionState | None:
    """Give the action of a step whose answer is kept, and has not been looked at."""
    action = draft.actions.get(node.path) if node.phase == "action" else None
    waits = action is not None and action.status == "verifying" and node.path + VERIFY not in draft.actions
    return action if waits else None


def prove(draft: Draft, node: StepNode, action: ActionState) -> None:
    """Check the answer, or have the world looked at. Raises what rendering raises."""
    step, render = draft.step(node), Renderer(draft, node)
    render.names = {**render.names, "result": action.answer}
    faults, outside = list[str](), list[Value]()
    for number, each in enumerate(step.verify, 1):
        if isinstance(each.schema, dict):
            faults += faults_of(each.schema, draft.whole(action.answer))
        elif each.expression is not None:
            if not render.truth(each.expression, f"verify[{number}]"):
                said = render.value(each.message, f"verify[{number}].message") if each.message is not None else None
                faults.append(as_text(draft.whole(said)) if said else f"check {number}, an expression, does not hold")
        else:
            outside.append(_rendered(each, render, number))
    draft.put(replace(node, results=()))
    if faults:
        refuse_output(draft, action, tuple(faults))
    elif outside:
        _look(draft, action, outside)
    else:
        held: list[Value] = [
            {"check": n, "ok": True, "message": "the schema holds" if each.schema is not None else "the expression holds"}
            for n, each in enumerate(step.verify, 1)
        ]
        draft.note("verified", action.id, found=held)
        complete(draft, action, action.answer)


def _look(draft: Draft, action: ActionState, checks: list[Value]) -> None:
    node = draft.step_node(action.id)
    looking = ActionState(
        id=action.id + VERIFY, at=action.at, kind="verify", performer="server", channel="", effect="none", repeatable=True,
        params={"checks": draft.keep(checks), "before": action.params.get("files_before")}, opened_at_ms=draft.now_ms,
        attempt=1 if node.again is None else node.again.attempt + 1,
        working_dir=action.working_dir,
    )  # fmt: skip
    draft.put(replace(node, again=None))
    draft.put_action(looking)
    draft.note("verifying", action.id, checks=len(checks))
    offer(draft, looking)


def looked(draft: Draft, looking: ActionState, value: Value, failure: Failure | None) -> None:
    """Take what a look at the world found: a list of `{check, ok, message}`."""
    action, rows = draft.actions[looking.id.removesuffix(VERIFY)], draft.whole(value)
    draft.drop_action(looking.id)
    bad = [row for row in rows if isinstance(row, dict) and row.get("ok") is not True] if isinstance(rows, list) else []
    draft.note("verified" if not bad and failure is None else "verify_failed", action.id, found=draft.keep(value))
    if failure is not None:
        fail_attempt(draft, action, replace(failure, step=action.id))
    elif bad:
        refuse_output(draft, action, tuple(str(row.get("message")) for row in bad))
    else:
        complete(draft, action, action.answer)


def refuse_output(draft: Draft, action: ActionState, faults: tuple[str, ...]) -> None:
    """Refuse what an agent gave: it may mend it while repairs are left; else, and for what a server did, the attempt has failed."""
    left = draft.step_at(action.at).repair - action.repairs if action.performer != "server" else 0
    problem = Failure(error_class="bad_output", message="; ".join(faults[:5]), step=action.id)
    if left <= 0:
        fail_attempt(draft, action, problem)
        return
    action = replace(action, status="claimed" if action.holder is not None else "open", problem=problem, answer=None)
    again = replace(action, attempt=action.attempt + 1, repairs=action.repairs + 1, counted=False)
    draft.put_action(again)
    draft.note("output_refused", action.id, attempt=action.attempt, faults=list(faults))
    draft.refuse(
        "bad_output", f"the answer to `{action.id}` does not fit: {faults[0]}",
        hint=f"mend it and submit it as attempt {again.attempt}; {left - 1} more may be refused", faults=list(faults),
        expected=expected_answer(action.kind, action.params), attempt=again.attempt,
    )  # fmt: skip
    offer(draft, again)  # a repair is a call too


def complete(draft: Draft, action: ActionState, value: Value) -> None:
    """End an action that is done."""
    draft.drop_action(action.id)
    draft.note("action_completed", action.id, attempt=action.attempt)
    node, step = draft.step_node(action.id), draft.step_at(action.at)
    if step.cache is not None and isinstance(key := action.params.get("cache_key"), str):
        draft.commands.append(KeepResult(key=key, value=draft.keep(value)))
    finish_step(draft, node, value)


def _rendered(each: Check, render: Renderer, number: int) -> Value:
    if each.shell is not None:
        return {"shell": render.value(each.shell, f"verify[{number}].shell")}
    files: list[Value] = [
        {"path": render.value(file.path, f"verify[{number}].path"), "changed": file.changed, "sha256": file.sha256} for file in each.files
    ]
    return {"files": files}
