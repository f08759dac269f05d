"""Gates: what a person is shown, who may decide, and what a decision is good for (ruling 26).

A gate is an action of kind `approve`: an `approve` step, or, named `STEP.requires`, the approval that a step needs before it is dispatched. Its
digest is of the whole of what is shown; a decision names that digest. A step may require gates by id instead: what they show is computed again
then, and where it is not what was approved, it is shown again.
"""

from treadle.core.definition import Approve, Assurance, By, Requires, Step
from treadle.core.draft import Draft
from treadle.core.errors import StepFailedError, failure_at
from treadle.core.events import ApprovalDecided
from treadle.core.index import walk
from treadle.core.records import replace
from treadle.core.render import Renderer, instant, visible_names
from treadle.core.state import ActionState, Approval, Frame, StepNode, frames_from
from treadle.core.values import Json, Value, canonical, digest
from treadle.core.worktrees import COMMIT, WORKTREE

REQUIRES = ".requires"
_ASSURANCE = ("none", "relayed", "local", "proven")


def step_path(action_id: str) -> str:
    """Give the path of the step, item or branch that an action belongs to."""
    return action_id.removesuffix(REQUIRES).removesuffix(".verify").removesuffix(COMMIT).removesuffix(WORKTREE)


def open_gate(draft: Draft, node: StepNode, action_id: str, show: Value, by: By, assurance: Assurance, gate: str = "") -> None:
    """Ask for a decision about exactly what is shown; questions to people go to the run's main channel (ruling 22)."""
    decided = [approval.by for other in by.distinct_from if (approval := approval_of(draft, node, other))]
    rules: dict[str, Value] = {
        "users": list(by.users), "roles": list(by.roles), "never": list(by.never), "barred": [name for names in decided for name in names],
        "count": by.count if by.count > 1 else None, "gate": gate,
    }  # fmt: skip
    params: dict[str, Value] = {"show": draft.keep(show), "assurance": assurance, **{name: rule for name, rule in rules.items() if rule}}
    action = ActionState(
        id=action_id, at=node.at, kind="approve", performer="human", channel="", effect="none", repeatable=False, params=params,
        opened_at_ms=draft.now_ms, digest=digest(canonical(draft.whole(show))),
    )  # fmt: skip
    draft.put_action(action)
    draft.note("action_opened", action_id, action_kind="approve", performer="human", effect="none")


# Gates that a step requires


def unmet(draft: Draft, node: StepNode, step: Step, params: dict[str, Value], render: Renderer) -> bool:
    """Open what a step requires and has not got; the step then waits with its rendered parameters. Raises what rendering raises.

    A required gate that was rejected or skipped fails the step.
    """
    requires = step.requires
    if requires is None:
        return False
    if requires.by is not None:
        _ask(draft, node, requires, {"step": node.path, **params}, requires.by, params)
        return True
    for gate_id in requires.gates:
        approval = approval_of(draft, node, gate_id)
        if approval is None or not approval.approved:
            said = "was rejected" if approval is not None else "was not decided"
            raise StepFailedError(failure_at(node.path, "rejected", f"`{node.path}` requires `{gate_id}`, which {said}"))
        gate = _gate_step(draft, gate_id)
        if gate is None or not isinstance(gate.spec, Approve):
            continue
        seen = Renderer(draft, node)
        seen.ordinal, seen.names = render.ordinal, visible_names(draft, _frame_of(draft, node, gate_id) or draft.frames[node.frame])
        show = seen.value(gate.spec.show, f"show of {gate_id}")
        render.ordinal = seen.ordinal
        if digest(canonical(draft.whole(show))) != approval.digest:
            draft.note("gate_reopened", node.path, gate=gate_id)
            _ask(draft, node, replace(requires, assurance=gate.spec.assurance), show, gate.spec.by, params, gate=gate_id)
            return True
    return False


def _ask(draft: Draft, node: StepNode, requires: Requires, show: Value, by: By, params: dict[str, Value], *, gate: str = "") -> None:
    kept = {name: draft.keep(value) for name, value in params.items()}
    draft.put(replace(node, phase="gate", results=(), params=kept, wait=None))
    open_gate(draft, node, node.path + REQUIRES, show, by, requires.assurance, gate)
    if requires.within_ms is not None:
        draft.arm("wait", node.path, draft.now_ms + requires.within_ms)


def _gate_step(draft: Draft, gate_id: str) -> Step | None:
    tasks = (draft.definition.main, *draft.definition.tasks.values())
    return next((step for task in tasks for step in walk(task.steps) if step.id == gate_id), None)


def approval_of(draft: Draft, node: StepNode, gate_id: str) -> Approval | None:
    """Give the newest decision of a gate that a step can see."""
    frame = _frame_of(draft, node, gate_id)
    return frame.approvals[gate_id] if frame is not None else None


def _frame_of(draft: Draft, node: StepNode, gate_id: str) -> Frame | None:
    return next((frame for frame in frames_from(draft.frames, draft.frames[node.frame]) if gate_id in frame.approvals), None)


def remember_decision(draft: Draft, node: StepNode, gate_id: str, approval: Approval) -> None:
    """Keep a decision where the steps that may require it can see it."""
    frame = _frame_of(draft, node, gate_id) or draft.frames[node.frame]
    draft.put_frame(replace(frame, approvals={**frame.approvals, gate_id: approval}))


def forget_decision(draft: Draft, node: StepNode, gate_id: str) -> None:
    """Let an earlier visit of a gate count no more: it is decided anew, or skipped."""
    if frame := _frame_of(draft, node, gate_id):
        draft.put_frame(replace(frame, approvals={name: given for name, given in frame.approvals.items() if name != gate_id}))


# Deciding


def why_not(draft: Draft, action: ActionState, event: ApprovalDecided) -> tuple[str, str] | None:
    """Say with code and message why a decision is not taken, if it is not."""
    name, needed = event.by.name, str(action.params.get("assurance"))
    users, roles, never, barred = (_listed(action, rule) for rule in ("users", "roles", "never", "barred"))
    if action.kind != "approve":
        return "not_a_gate", f"`{action.id}` is no approval; answer it instead"
    if event.by.kind != "human":
        return "agents_never_approve", f"`{action.id}` is decided by a person, never by an agent"
    if _ASSURANCE.index(event.by.assurance) < _ASSURANCE.index(needed):
        return "assurance_too_low", f"`{action.id}` needs a decision of level `{needed}`"
    if event.digest != action.digest:
        return "digest_mismatch", f"what was shown for `{action.id}` is not what stands there now"
    if (users or roles) and name not in users and not any(role in roles for role in event.by.roles):
        who = ", ".join([*users, *(f"whoever is {role}" for role in roles)])
        return "not_an_approver", f"{name} may not decide `{action.id}`; {who} may"
    if name in never or ("starter" in never and name == draft.base.started_by):
        return "not_an_approver", f"{name} may never decide `{action.id}`: duties are separated here"
    if name in barred:
        return "not_an_approver", f"{name} has decided a gate that `{action.id}` must be distinct from"
    if name in action.votes and event.approved:
        return "decided_already", f"{name} has approved `{action.id}` already; another person is needed"
    return None


def _listed(action: ActionState, rule: str) -> list[str]:
    names = action.params.get(rule)
    return list(map(str, names)) if isinstance(names, list) else []


def result_of(draft: Draft, action: ActionState, event: ApprovalDecided) -> dict[str, Json]:
    """Give the value of a decided gate (language.md §2)."""
    by: Json = [*action.votes, event.by.name] if action.params.get("count") is not None else event.by.name
    return {
        "approved": event.approved, "by": by, "at": instant(draft.now_ms), "note": event.note, "digest": event.digest,
        "assurance": event.by.assurance,
    }  # fmt: skip
