"""Closing: how everything open below a node is brought to an end, from the inside out (rulings 13, 27).

`begin_closing` stops the actions below a node, newest first, and drops what needs no end of its own. What stays is the way down to every step
that has a `finally` still to run, or is running one: a `finally` is shielded, its steps go on as if nothing were closing above them, for at
most `FINALLY_MS`. When nothing is open below the node any more, it ends in the way its `closing` says (endings.py).
"""

from treadle.core import limits
from treadle.core.commands import StopAction
from treadle.core.definition import EFFECTS, Definition, Run
from treadle.core.draft import NODE_TIMERS, Draft
from treadle.core.ids import is_under
from treadle.core.records import replace
from treadle.core.state import ActionState, Node, Outcome, StepNode


def begin_closing(draft: Draft, node: Node, outcome: Outcome, *, shielded: bool = True) -> None:
    """Stop all that is open below a node; the node ends when the last has answered or its grace has run out.

    A node that is closing already keeps its first outcome, unless the run is cancelled. Without `shielded` no `finally` runs.
    """
    shields = _running_finally(draft, node) if shielded else []
    for action in reversed(list(draft.actions_under(node.path))):
        if action.status != "stopping" and not any(is_under(action.id, f"{path}.finally") for path in shields):
            stop_action(draft, action)
    keep = _kept(draft, node, shields) if shielded else frozenset[str]()
    draft.drop_below(node.path, keep=keep)
    for path in keep:
        if not any(is_under(path, f"{shield}.finally") for shield in shields):
            draft.disarm(path, *NODE_TIMERS)
    if node.closing is None or outcome.how == "cancel":
        draft.put(replace(node, closing=outcome))
    draft.look_at(node.path)


def stop_action(draft: Draft, action: ActionState) -> None:
    """End an action that is not wanted any more; whoever may be at work has a grace to answer in."""
    draft.drop_action(action.id)
    policy = close_policy(draft.definition, action)
    if policy == "abandon" or not may_be_underway(action):
        draft.note("action_dropped", action.id, was=action.status)
        return
    draft.put_action(replace(action, status="stopping"))
    draft.note("action_stopping", action.id)
    if policy != "wait":
        draft.arm("grace", action.id, draft.now_ms + limits.CANCEL_GRACE_MS)
        draft.commands.append(StopAction(action=action.id, attempt=action.attempt))


def cut_off(draft: Draft, path: str) -> None:
    """End every action at or below a path at once; whoever may be at work is told, and not waited for."""
    for action in list(draft.actions_under(path)):
        if may_be_underway(action):
            draft.commands.append(StopAction(action=action.id, attempt=action.attempt))
        draft.drop_action(action.id)


def close_policy(definition: Definition, action: ActionState) -> str:
    """Tell what becomes of an action when what it stands in closes; other than `cancel` for child runs alone."""
    spec = definition.index.steps[action.at].spec
    return spec.close_policy if isinstance(spec, Run) and action.kind == "run" else "cancel"


def may_be_underway(action: ActionState) -> bool:
    """Tell whether a performer may be at work: it holds a claim, or needs none."""
    asked_for = action.performer == "server" and not needs_claim(action) and (action.counted or not counts(action))
    return action.status == "claimed" or (action.status == "open" and asked_for)


def counts(action: ActionState) -> bool:
    """Tell whether an attempt is a call of a budget (language.md §9)."""
    return action.kind in {"delegate", "mcp_call", "http"} or (action.kind == "function" and action.effect != "none")


def needs_claim(action: ActionState) -> bool:
    """Tell whether an action must be claimed durably before it is begun (ruling 19)."""
    return EFFECTS.index(action.effect) >= EFFECTS.index("write")


def closing_goes_on(draft: Draft) -> None:
    """Look again at what is closing, after something below it has ended."""
    for path in draft.closings:
        draft.look_at(path)


def owes_finally(draft: Draft, node: Node) -> bool:
    """Tell whether a step has begun and its `finally` has not."""
    if not isinstance(node, StepNode) or node.phase == "finally":
        return False
    # What is rendered again was handed out before.
    return (node.again is not None or node.phase not in {"opening", "worktree"}) and bool(draft.step(node).final_steps)


def below(draft: Draft, node: Node) -> list[Node]:
    """Give the nodes strictly below a node, in the order in which they were opened."""
    return [other for path, other in draft.nodes.items() if path != node.path and is_under(path, node.path)]


def _running_finally(draft: Draft, node: Node) -> list[str]:
    return [other.path for other in below(draft, node) if isinstance(other, StepNode) and other.phase == "finally"]


def _kept(draft: Draft, node: Node, shields: list[str]) -> frozenset[str]:
    keep: set[str] = set()
    for other in below(draft, node):
        if other.path in shields or owes_finally(draft, other):
            above: Node | None = other
            while above is not None and above.path != node.path:
                keep |= {above.path, above.frame}
                above = draft.parent_of(above)
    for shield in shields:
        keep |= {path for path in (*draft.nodes, *draft.frames) if is_under(path, f"{shield}.finally")}
    return frozenset(keep)
