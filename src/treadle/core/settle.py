"""Settling: from what just happened to the next point where the run waits, in deterministic moves.

The agenda holds paths of nodes to look at. A visit does what can be done now: open the next step of a list, begin rounds of a loop, end
a node that was closing. Visits put further nodes on the agenda, first come first served, until it is empty; after `SETTLE_MOVES_MAX` moves
the rest stays in the state and the shell comes back with `Continued` (ruling 3). A run that is set aside does not move.

What stands under a closing node does not move either, unless a `finally` shields it.
"""

from treadle.core import limits
from treadle.core.draft import Draft
from treadle.core.endings import close, list_done, list_ended
from treadle.core.errors import StepFailedError
from treadle.core.ids import join
from treadle.core.opening import open_scope, visit_step
from treadle.core.records import replace
from treadle.core.render import NeedCallError
from treadle.core.state import ListNode, StepNode
from treadle.core.steps import fail_node
from treadle.core.worktrees import has_uncommitted


def settle(draft: Draft) -> None:
    """Work the agenda off, within the limits of a commit and of a run."""
    while draft.agenda and draft.moves_left and draft.parked is None:
        node = draft.nodes.get(draft.agenda.popleft())
        draft.changed = True
        if node is None or (draft.closings and node.closing is None and draft.closing_above(node) is not None):
            continue
        draft.moves += 1
        draft.moves_left -= 1
        if draft.moves > (moves_max := min(limits.RUN_MOVES_MAX, draft.definition.limits.moves_max)):
            draft.look_at(node.path)
            draft.park(f"the run made {moves_max} moves; a loop may have no end", "treadle")
            return
        try:
            _visit(draft, node)
        except NeedCallError as need:
            draft.commands.append(need.command)
        except StepFailedError as error:
            fail_node(draft, draft.nodes[node.path], error.failure)


def _visit(draft: Draft, node: StepNode | ListNode) -> None:
    if node.closing is not None:
        close(draft, node)
    elif isinstance(node, StepNode):
        visit_step(draft, node)
    elif node.phase == "opening":
        open_scope(draft, node)
    elif node.end is not None and not has_uncommitted(node):
        list_ended(draft, node, node.end)
    elif node.phase != "worktree" and (node.path or draft.ending is None):
        _go_on_with_list(draft, node)


def _go_on_with_list(draft: Draft, node: ListNode) -> None:
    steps = draft.index.lists[node.at]
    if node.cursor >= len(steps):
        list_done(draft, node)
        return
    step = steps[node.cursor]
    times = node.visits.get(step.id)
    path = visit_path(node, step.id, (times or 0) + 1)
    if path in draft.holds or (path if times is None else visit_path(node, step.id, times or 1)) in draft.nodes:
        return
    if times is not None:
        draft.put(replace(node, visits={**node.visits, step.id: times + 1}))
    begin_step(draft, StepNode(path=path, at=join(node.at, step.id), list_path=node.path, frame=node.frame))


def begin_step(draft: Draft, node: StepNode, *, again: bool = False) -> None:
    """Open a visit of a step."""
    draft.put(node)
    if (within_ms := draft.step(node).within_ms) is not None:
        draft.arm("within", node.path, draft.now_ms + within_ms)
    draft.note("step_begun_anew" if again else "step_opened", node.path)
    draft.look_at(node.path)


def next_visit(draft: Draft, node: ListNode) -> str | None:
    """Name the visit that a list opens next; None where none is left."""
    steps = draft.index.lists[node.at]
    step_id = steps[node.cursor].id if node.cursor < len(steps) else None
    return visit_path(node, step_id, node.visits.get(step_id, 0) + 1) if step_id is not None else None


def visit_path(node: ListNode, step_id: str, times: int) -> str:
    """Name a visit of a step; the second and later ones carry their number."""
    path = join(node.path, step_id)
    return path if times == 1 else f"{path}~{times}"
