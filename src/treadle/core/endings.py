"""Endings: what follows when a list is over, and how a run ends.

A list is over when its last step is, or when it was closing and nothing is open below it any more. What that means is its owner's affair: the run
itself, a block (blocks.py), or one of the lists that every step may have: `on_error`, `on_reject`, `finally`, `read_back`, `undo`.

A run ends in this order: its body, the file's `finally`, the `undo` of completed steps (newest first) where the end is one that asks
for it, and `CloseRun`.
"""

from treadle.core import limits
from treadle.core.attempts import read_back_ended
from treadle.core.blocks import branch_ended, end_foreach, end_loop, item_ended, joined, loop_around, round_ended
from treadle.core.closing import begin_closing, below, cut_off, owes_finally
from treadle.core.commands import CloseRun
from treadle.core.definition import Break, Continue, Foreach, Goto, Parallel, Repeat, Return, While
from treadle.core.draft import NODE_TIMERS, Draft
from treadle.core.errors import Failure, failure_at
from treadle.core.events import UndoRequested
from treadle.core.expr import Expr
from treadle.core.index import FINALLY
from treadle.core.records import names_of, replace
from treadle.core.render import Renderer
from treadle.core.state import Ending, Frame, ListNode, Outcome, StepEnd, StepNode, UndoEntry
from treadle.core.steps import begin_finally, fail_step, finish_finally, finish_handled, finish_step
from treadle.core.values import Value
from treadle.core.worktrees import ask, has_uncommitted

_OWN_LISTS = (".on_error", ".on_reject", ".finally", ".read_back")


# A node that is closing


def close(draft: Draft, node: ListNode | StepNode) -> None:
    """End a closing node once nothing is open below it; before that, run what `finally` is owed below it, from the inside out."""
    steps = [other for other in below(draft, node) if isinstance(other, StepNode)]
    if any(draft.actions_under(node.path)) or any(other.phase == "finally" for other in steps):
        return
    if owing := [other for other in reversed(steps) if owes_finally(draft, other)]:
        innermost = max(owing, key=lambda other: other.path.count("/"))
        if f"shield:{node.path}" not in draft.timers:
            draft.arm("shield", node.path, draft.now_ms + limits.FINALLY_MS)
        begin_finally(draft, innermost, StepEnd(status="cancelled"))
        return
    draft.disarm(node.path, "shield")
    outcome = node.closing or Outcome(how="done")
    if above := draft.closing_above(node):
        _make_way(draft, node)
        draft.look_at(above.path)
    elif isinstance(node, ListNode):
        list_ended(draft, node, outcome)
    else:
        _end_closed_step(draft, replace(node, closing=None), outcome)


def _make_way(draft: Draft, node: ListNode | StepNode) -> None:
    """Leave a node whose surroundings are closing too; a `finally` it owes is run by what closes above."""
    draft.drop_below(node.path)
    if isinstance(node, StepNode) and owes_finally(draft, node):
        draft.put(replace(node, closing=None))
    else:
        draft.drop(node.path)


def _end_closed_step(draft: Draft, node: StepNode, outcome: Outcome) -> None:
    draft.drop_below(node.path)
    draft.put(node)
    spec = draft.step(node).spec
    if outcome.failure is not None:
        fail_step(draft, node, outcome.failure)
    elif outcome.how == "goto" and node.phase == "handler":
        finish_handled(draft, node, outcome.target)
    elif outcome.how == "goto":
        finish_step(draft, node, target=outcome.target)
    elif isinstance(spec, Foreach) and node.fan is not None:
        end_foreach(draft, node, spec, node.fan)
    elif isinstance(spec, While | Repeat):
        end_loop(draft, node)
    else:
        finish_step(draft, node, joined(spec, node.join) if isinstance(spec, Parallel) and node.join is not None else None)


# A list that is over


def list_done(draft: Draft, node: ListNode) -> None:
    """End a list whose steps are all done; the run's, a task's and a round's give a value, which may call functions."""
    value: Value = None
    if output := _output_of(draft, node):
        node = draft.put(replace(node, phase="output"))
        value = Renderer(draft, node).value(output, "output")
    list_ended(draft, node, Outcome(how="done", value=value))


def _output_of(draft: Draft, node: ListNode) -> Expr | None:
    if (scope := draft.index.scopes.get(node.at)) is not None:
        return scope.output
    spec = draft.step(draft.step_node(node.owner)).spec if node.owner is not None and node.at.endswith("[]") else None
    return spec.output if isinstance(spec, Foreach) else None


def list_ended(draft: Draft, node: ListNode, outcome: Outcome) -> None:
    """Do what the owner of a list makes of its end, once the work in a worktree of the list is kept."""
    if has_uncommitted(node) and outcome.how in {"done", "next", "return"}:
        draft.put(replace(node, phase="worktree", closing=None, end=outcome))
        ask(draft, node, draft.step_node(node.owner or "").at)
    elif node.owner is None:
        _run_list_ended(draft, node, outcome)
    else:
        _tell_owner(draft, draft.step_node(node.owner), node, outcome)


def _tell_owner(draft: Draft, owner: StepNode, node: ListNode, outcome: Outcome) -> None:
    suffix = node.path[len(owner.path) :]
    spec = draft.step(owner).spec if suffix not in _OWN_LISTS else None
    if isinstance(spec, Foreach):
        item_ended(draft, owner, spec, node, outcome)
        return
    if isinstance(spec, While | Repeat):
        round_ended(draft, owner, spec, node, outcome)
        return
    draft.drop_list(node)
    if suffix == ".finally":
        finish_finally(draft, owner, outcome.failure)
    elif suffix == ".read_back":
        read_back_ended(draft, owner, node, outcome)
    elif isinstance(spec, Parallel):
        branch_ended(draft, owner, spec, node, outcome)
    elif outcome.failure is not None:
        fail_step(draft, owner, outcome.failure)
    elif spec is None:
        finish_handled(draft, owner)
    else:
        finish_step(draft, owner)


# Leaving lists from inside


def leave_loop(draft: Draft, node: StepNode, spec: Break | Continue, _render: Renderer) -> None:
    """End the innermost loop, or its round alone."""
    for_good = isinstance(spec, Break)
    around, owner = loop_around(draft, node)
    finish_step(draft, node)
    begin_closing(draft, draft.nodes[owner.path if for_good else around.path], Outcome(how="done" if for_good else "next"))


def return_from(draft: Draft, node: StepNode, spec: Return, render: Renderer) -> None:
    """End the task or run that holds a step; what is open in it is cancelled first."""
    kept = draft.keep(render.value(spec.value, "value"))
    holder = draft.list_node(draft.scope_of(node.frame).path)
    if holder.path == "":
        draft.reached = holder.cursor + 1
    finish_step(draft, node)
    begin_closing(draft, draft.nodes[holder.path], Outcome(how="return", value=kept))


def go_to(draft: Draft, node: StepNode, spec: Goto, _render: Renderer) -> None:
    """Go on at another step of this list or an enclosing one; what lies in between is ended first."""
    around, inside, target = draft.list_node(node.list_path), node, spec.target
    while target not in {step.id for step in draft.index.lists[around.at]}:
        inside = draft.step_node(around.owner or "")
        around = draft.list_node(inside.list_path)
    taken = around.taken.get(node.at, 0) + 1
    if taken > spec.max_visits:
        fail_step(draft, node, failure_at(node.path, "max_visits", f"`{node.path}` was taken {spec.max_visits} times already"))
        return
    draft.put(replace(around, taken={**around.taken, node.at: taken}))
    draft.note("goto_taken", node.path, target=target, times=taken)
    if inside is node:
        finish_step(draft, node, target=target)
    else:
        finish_step(draft, node)
        begin_closing(draft, draft.step_node(inside.path), Outcome(how="goto", target=target))


# The run


def _run_list_ended(draft: Draft, node: ListNode, outcome: Outcome) -> None:
    failure, path = outcome.failure, node.path.removesuffix(".undo")
    if path == "":
        _body_ended(draft, node, outcome)
        return
    draft.drop_list(node)
    if path == FINALLY:
        if failure is not None:
            draft.note("finally_failed", "", error_class=failure.error_class, message=failure.message)
        _finally_ended(draft, failure)
        return
    draft.undo.pop(path, None)
    draft.undo_status = "incomplete" if failure is not None else draft.undo_status
    draft.note("undo_failed" if failure else "undone", path)
    _undo_next(draft)


def _body_ended(draft: Draft, root: ListNode, outcome: Outcome) -> None:
    draft.reached = max(draft.reached, root.cursor)
    failure, status = outcome.failure, "cancelled" if outcome.how == "cancel" else "completed"
    if failure is not None:
        status = "goal_not_met" if failure.goal_not_met else "failed"
    draft.ending = Ending(status=status, value=draft.keep(outcome.value), failure=failure)
    draft.drop_below("")
    draft.disarm("", *NODE_TIMERS)
    draft.put(replace(root, closing=None))
    if not draft.definition.final_steps:
        _finally_ended(draft, None)
        return
    draft.note("finally_begun", "", after=status)
    draft.put_frame(Frame(path=FINALLY, outer="", error=failure))
    draft.put(ListNode(path=FINALLY, at=FINALLY, owner=None, frame=FINALLY))
    draft.arm("shield", FINALLY, draft.now_ms + limits.FINALLY_MS)
    draft.look_at(FINALLY)


def _finally_ended(draft: Draft, problem: Failure | None) -> None:
    ending = draft.ending or Ending(status="failed")
    if problem is not None and ending.status == "completed":
        ending = Ending(status="failed", failure=problem)
    draft.ending = replace(ending, phase="undo")
    if ending.status == "completed":
        draft.undo = {}
    if not draft.undo:
        end_run(draft)
    elif ending.status in draft.definition.undo_on:
        _undo_next(draft)
    else:
        draft.undo_status = "kept"
        end_run(draft)


def _undo_next(draft: Draft) -> None:
    """Take the newest completed visit back, with item, inputs and results as they were (language.md §2)."""
    if not draft.undo:
        draft.undo_status = draft.undo_status or "done"
        end_run(draft)
        return
    draft.status = "undoing"
    path, entry = next(reversed(draft.undo.items()))
    at = f"{path}.undo"
    seen = {name: getattr(entry, name) for name in names_of(UndoEntry) if name != "at"}
    draft.put_frame(Frame(path=at, outer="", **seen))
    draft.put(ListNode(path=at, at=f"{entry.at}.undo", owner=None, frame=at))
    draft.note("undo_begun", path)
    draft.look_at(at)


def undo_on_request(draft: Draft, event: UndoRequested) -> None:
    """Take back what an ended run kept for that."""
    if draft.undo_status != "kept" or not draft.undo:
        draft.refuse("nothing_to_undo", f"the run is {draft.status}, and kept nothing to undo", hint="look at the run")
        return
    draft.note("undo_requested", "", by=event.by.name)
    draft.ending = Ending(status=draft.status, value=draft.result, failure=draft.failure, phase="undo")
    draft.undo_status = ""
    draft.put(ListNode(path="", at="", owner=None, frame="", cursor=draft.reached))
    _undo_next(draft)


def skip_finally(draft: Draft, problem: Failure | None = None) -> None:
    """Give the end of a run no more time: a second cancel skips `finally`, a second one in the undo the rest of that."""
    cut_off(draft, "")
    if draft.ending is not None and draft.ending.phase == "undo":
        draft.undo_status = "incomplete"
        end_run(draft)
        return
    root = draft.list_node("")
    _leave_nothing(draft)
    draft.put(replace(root, closing=None))
    if draft.ending is None:
        draft.ending, draft.reached = Ending(status="cancelled"), root.cursor
    _finally_ended(draft, problem)


def _leave_nothing(draft: Draft) -> None:
    draft.nodes, draft.actions, draft.timers, draft.closings = {}, {}, {}, []
    draft.frames = {"": draft.frames[""]}
    draft.spent = {path: spent for path, spent in draft.spent.items() if path == ""}
    draft.agenda.clear()


def end_run(draft: Draft) -> None:
    """Seal the run: `CloseRun` is its last command."""
    ending = draft.ending or Ending(status="failed")
    status = ending.status
    if status == "completed":
        status = "goal_not_met" if draft.goal_missed else "completed_degraded" if draft.degraded else "completed"
    elif draft.undo_status == "incomplete" and status == "cancelled":
        status = "failed"
    _leave_nothing(draft)
    draft.status, draft.result, draft.failure = status, ending.value, ending.failure
    draft.ending = draft.parked = None
    draft.changed = True
    draft.note("run_ended", "", status=status, undo=draft.undo_status or None, unread_signals=[s.name for s in draft.mailbox])
    draft.commands.append(CloseRun(status=status))
