"""Reading back: steps that find out whether an attempt whose answer was lost was done (ruling 19; language.md §9)."""

from treadle.core.attempts import offer_again
from treadle.core.closing import cut_off
from treadle.core.draft import Draft
from treadle.core.records import replace
from treadle.core.state import ActionState, ListNode, Outcome, StepNode
from treadle.core.steps import finish_step, open_list


def doubt(draft: Draft, action: ActionState) -> None:
    """Take note that nobody knows what became of an attempt: its `read_back` finds out, else a person says it."""
    draft.disarm("timeout", action.id)
    draft.put_action(replace(action, status="unknown"))
    draft.note("outcome_unknown", action.id, attempt=action.attempt)
    node = draft.step_node(action.id)
    if draft.step(node).read_back:
        node = draft.put(replace(node, phase="read_back"))
        draft.note("read_back_begun", action.id)
        open_list(draft, node, ".read_back", node.frame)


def end_doubt(draft: Draft, action: ActionState) -> None:
    """Stop finding out: somebody has said what became of the attempt."""
    node = draft.step_node(action.id)
    if node.phase != "read_back":
        return
    cut_off(draft, f"{node.path}.read_back")
    draft.drop_below(node.path)
    draft.put(replace(node, phase="action", closing=None))


def read_back_ended(draft: Draft, owner: StepNode, node: ListNode, outcome: Outcome) -> None:
    """Go on with what was found: null means that it was not done, anything else is the step's result."""
    action = draft.actions[owner.path]
    owner = draft.put(replace(owner, phase="action"))
    if outcome.failure is not None:
        draft.note("read_back_failed", owner.path, message=outcome.failure.message)
    elif node.last is None:
        draft.note("outcome_resolved", owner.path, outcome="not_done", by="read_back", note="")
        offer_again(draft, action, redo=False)
    else:
        draft.note("outcome_resolved", owner.path, outcome="done", by="read_back", note="")
        draft.drop_action(action.id)
        draft.note("action_completed", action.id, attempt=action.attempt)
        finish_step(draft, owner, node.last)
