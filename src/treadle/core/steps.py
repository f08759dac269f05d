"""Steps: how one begins a list, how one ends, and what it leaves behind.

A step ends in four layers, from the inside out: what it did (`finish_step`, `fail_step`), its `on_error`, its `finally`, and last `depart`, which
remembers what expressions read, keeps what `undo` needs and lets the list go on or fail. A list that fails closes (closing.py), and
what its owner makes of that is said in endings.py.
"""

from typing import Literal, cast

from treadle.core import limits
from treadle.core.aside import errors_of, in_pieces
from treadle.core.closing import begin_closing
from treadle.core.definition import OnError, Parallel, Task
from treadle.core.draft import NODE_TIMERS, Draft
from treadle.core.errors import Failure, failure_at
from treadle.core.records import replace
from treadle.core.render import visible_names
from treadle.core.schema import check
from treadle.core.state import Frame, ListNode, Node, Outcome, StepEnd, StepNode, UndoEntry, frames_from
from treadle.core.values import Value
from treadle.core.worktrees import ask, has_uncommitted


def open_list(
    draft: Draft, owner: StepNode, suffix: str, frame: str, *, phase: Literal["opening", "running"] = "running", isolated: bool = False
) -> None:
    """Begin one of the lists that a step holds; an isolated one waits for its worktree first."""
    path = owner.path + suffix
    at = owner.at + ("[]" if suffix.startswith("[") else suffix)
    node = ListNode(path=path, at=at, owner=owner.path, frame=frame, phase="worktree" if isolated else phase)
    draft.put(node)
    if isolated:
        ask(draft, node, owner.at)
    else:
        draft.look_at(path)


def finish_step(draft: Draft, node: StepNode, result: Value = None, *, skipped: bool = False, target: str | None = None) -> None:
    """End a step that is done or skipped: write its output, then what comes after it, or the step `target`."""
    step = draft.step(node)
    kept = draft.keep(result)
    if not skipped and step.output_to is not None:
        problem = write_fields(draft, node, {step.output_to: kept})
        if problem is not None:
            fail_step(draft, node, problem)
            return
    draft.note("step_skipped" if skipped else "step_completed", node.path)
    _conclude(draft, node, StepEnd(status="skipped" if skipped else "completed", result=kept, target=target))


def fail_step(draft: Draft, node: StepNode, failure: Failure) -> None:
    """End a step that failed, as its `on_error` says; nothing below it is open any more."""
    step = draft.step(node)
    draft.drop_action(node.path)
    draft.disarm(node.path, *NODE_TIMERS)
    # A failure of the handler, or of the fallback's own expression, is not handled a second time.
    policy = OnError() if node.phase in {"handler", "fallback"} else step.on_error
    failure = replace(failure, result=draft.keep(failure.result))
    draft.note("step_failed", node.path, error_class=failure.error_class, message=failure.message, policy=policy.policy)
    if policy.policy == "fallback":
        draft.degraded = True
        draft.put(replace(node, phase="fallback", failure=failure, results=(), fan=None, join=None, loop=None))
        draft.look_at(node.path)
        return
    write_result(draft, node, failure)
    if policy.policy == "do":
        open_handler(draft, node, ".on_error", failure)
        return
    goes_on = policy.policy == "continue"
    draft.degraded = draft.degraded or goes_on
    _conclude(draft, node, StepEnd(status="failed", result=failure.result, failure=failure, goes_on=goes_on))


def finish_handled(draft: Draft, node: StepNode, target: str | None = None) -> None:
    """End a step whose failure was handled; its list goes on behind it, or at `target`."""
    draft.note("step_handled", node.path)
    result = node.failure.result if node.failure else None
    _conclude(draft, node, StepEnd(status="failed", result=result, failure=node.failure, target=target))


def write_result(draft: Draft, node: StepNode, failure: Failure) -> None:
    """Write the output of a step whose own failure carries a result; one that does not fit the schema is not written."""
    output_to = draft.step(node).output_to
    if output_to is not None and failure.has_result and failure.step == node.path:
        write_fields(draft, node, {output_to: failure.result})


def open_handler(draft: Draft, node: StepNode, suffix: str, failure: Failure) -> None:
    """Begin the list that handles a failure; `error` and the step's own record are readable in it."""
    draft.put(replace(node, phase="handler", failure=failure, results=(), fan=None, join=None, loop=None))
    open_with_error(draft, node, suffix, failure)


def open_with_error(draft: Draft, node: StepNode, suffix: str, failure: Failure | None) -> None:
    """Begin a list in which a failure, if there is one, can be read."""
    path = node.path + suffix
    name = draft.step(node).id.replace("-", "_")
    steps: dict[str, Value] = {name: _record(draft, node, "failed", failure.result, failure)} if failure is not None else {}
    channel = draft.frames[node.frame].channel
    draft.put_frame(Frame(path=path, outer=node.frame, error=failure, channel=channel, steps=steps))
    open_list(draft, node, suffix, path)


def write_fields(draft: Draft, node: StepNode, updates: dict[str, Value]) -> Failure | None:
    """Write fields of the scope a step runs in, all or none; a fault against the state's schema is a failure of the step."""
    scope = draft.scope_of(node.frame)
    problem = schema_problem(draft, draft.task_of(scope), updates, node.path)
    if problem is None:
        draft.write_state(scope, updates)
    return problem


def schema_problem(draft: Draft, task: Task, updates: dict[str, Value], path: str) -> Failure | None:
    """Check fields of the state against its schema."""
    for name, value in updates.items():
        schema = (task.state_schema or {}).get(name)
        faults = check(schema, draft.whole(value)) if isinstance(schema, dict) else ()
        if faults:
            return failure_at(path, "bad_output", f"`{name}` does not fit the state's schema: {faults[0].message}")
    return None


# After on_error: finally, then away


def _conclude(draft: Draft, node: StepNode, end: StepEnd) -> None:
    """Run the step's `finally`, if it has one that has not run, and then depart."""
    if node.phase == "finally" or end.status == "skipped" or not draft.step(node).final_steps:
        depart(draft, node, end)
    else:
        begin_finally(draft, node, end)


def begin_finally(draft: Draft, node: StepNode, end: StepEnd) -> None:
    """Begin the steps that run whatever happened; `error` is readable in them where the step failed."""
    draft.disarm(node.path, *NODE_TIMERS)
    draft.drop_below(node.path)
    draft.put(replace(node, phase="finally", closing=None, end=end, params=None))
    if end.status == "completed":  # it counts as done, and is to be taken back after what its `finally` does
        remember(draft, node, end)
        _keep_for_undo(draft, node, end)
    draft.note("finally_begun", node.path, after=end.status)
    open_with_error(draft, node, ".finally", end.failure)


def finish_finally(draft: Draft, node: StepNode, problem: Failure | None) -> None:
    """Go on after a `finally`. Its own failure is the step's, unless that had failed before."""
    end = node.end or StepEnd(status="completed")
    draft.drop_below(node.path)
    if problem is not None:
        draft.note("finally_failed", node.path, error_class=problem.error_class, message=problem.message)
        if end.status in {"completed", "skipped"} or end.goes_on:
            end = StepEnd(status="failed", failure=problem, goes_on=False)
            draft.undo.pop(node.path, None)
    above = draft.closing_above(node)
    if above is None:
        depart(draft, node, end)
    else:
        draft.drop(node.path)
        draft.look_at(above.path)


def depart(draft: Draft, node: StepNode, end: StepEnd) -> None:
    """Take a step away: remember it where it is read, keep what its undo needs, and let its list go on or fail.

    One that completed in a worktree of its own waits until what was changed there is kept.
    """
    remember(draft, node, end)
    if node.path not in draft.undo and node.phase != "finally":  # that was kept, or belongs to the run that this one was forked from
        _keep_for_undo(draft, node, end)
    draft.drop_below(node.path)
    if end.status == "completed" and has_uncommitted(node):
        draft.disarm(node.path, *NODE_TIMERS)
        draft.put(replace(node, phase="worktree", end=end))
        ask(draft, node, node.at)
        return
    draft.drop(node.path)
    parent = draft.list_node(node.list_path)
    if not end.goes_on and end.failure is not None:
        begin_closing(draft, parent, Outcome(how="fail", failure=end.failure))
        return
    parent = replace(parent, cursor=parent.cursor + 1, last=end.result if _wants_last(draft, parent) else None)
    draft.put(parent if end.target is None else _jumped(draft, parent, end.target))
    draft.look_at(parent.path)


def _jumped(draft: Draft, parent: ListNode, target: str) -> ListNode:
    """Set a list back, or forward, to a step; whatever is passed again is another visit."""
    ids = [step.id for step in draft.index.lists[parent.at]]
    here, there = parent.cursor - 1, ids.index(target)
    visits = dict(parent.visits)
    for index in range(there, here + 1):
        visits.setdefault(ids[index], 1)
    over = [step_id for step_id in ids[here + 1 : there] if not visits.setdefault(step_id, 0)]
    visits.setdefault(ids[here], 1)
    if over:
        frame = draft.frames[parent.frame]
        draft.put_frame(replace(frame, marks={**frame.marks, **dict.fromkeys(over, "jumped")}))
    return replace(parent, cursor=there, visits=visits)


def _wants_last(draft: Draft, parent: ListNode) -> bool:
    owner = draft.nodes.get(parent.owner or "")
    return isinstance(owner, StepNode) and (owner.phase == "read_back" or (owner.phase == "block" and owner.join is not None))


def _keep_for_undo(draft: Draft, node: StepNode, end: StepEnd) -> None:
    """Keep what the steps of an undo will see: item, inputs and results as they are now (language.md §2)."""
    if end.status != "completed" or not draft.step(node).undo or draft.status == "undoing":
        return
    frame, scope = draft.frames[node.frame], draft.scope_of(node.frame)
    names, own = visible_names(draft, frame), scope.path != ""
    around = next((f for f in frames_from(draft.frames, frame) if f.index is not None), Frame(path="", outer=None))
    draft.undo[node.path] = UndoEntry(
        at=node.at, steps=dict(cast("dict[str, Value]", names["steps"])), item=names.get("item"), index=around.index, count=around.count,
        item_name=around.item_name, inputs=scope.inputs if own else None, state=scope.state if own else None,
    )  # fmt: skip
    draft.size_bytes += 2 * limits.ENTRY_BYTES


# What is remembered


def _record(draft: Draft, node: StepNode, status: str, result: Value, failure: Failure | None) -> Value:
    errors = errors_of(node.fan) if node.fan is not None else _failures(draft, node)
    error = failure.shown() if failure is not None else None
    record: dict[str, Value] = {"status": status, "result": result, "error": error, "errors": errors, "visits": visits_of(node)}
    return {**record, "worktree": _trees(draft, node)} if draft.step(node).isolation else record


def visits_of(node: Node) -> int:
    """Give which visit of its step a node is, from 1."""
    _, _, visit = node.path.rpartition("~")
    return int(visit) if visit.isdigit() and node.path != node.at else 1


def remember(draft: Draft, node: StepNode, end: StepEnd) -> None:
    """Keep what expressions read (ruling 10) and what a list shows besides plain success."""
    step_id = draft.step(node).id
    name = step_id.replace("-", "_")
    frame = draft.frames[node.frame]
    if end.status != "completed":
        draft.put_frame(frame := replace(frame, marks={**frame.marks, step_id: end.status}))
    elif step_id in frame.marks:
        draft.put_frame(frame := replace(frame, marks={k: v for k, v in frame.marks.items() if k != step_id}))
    if name in draft.index.read_ids or "*" in draft.index.read_ids:
        record = _record(draft, node, end.status, end.result, end.failure)
        draft.put_frame(replace(frame, steps={**frame.steps, name: draft.keep(record)}))


def _trees(draft: Draft, node: StepNode) -> Value:
    """Give the worktree of a step, of each of its items, or of each of its branches."""
    if node.fan is not None:
        return in_pieces(node.fan.trees, node.fan.count, draft.set_value_aside)
    return node.join.trees if node.join is not None else node.tree


def _failures(draft: Draft, node: StepNode) -> Value:
    spec, join = draft.step(node).spec, node.join
    if join is None or not isinstance(spec, Parallel):
        return []
    names = list(spec.branches)
    return [{**failure.shown(), "index": names.index(name), "branch": name} for name, failure in join.failures.items()]


def lose_worktree(draft: Draft, node: Node, failure: Failure, *, kept: bool) -> None:
    """End what could not get its worktree; with `kept` it was done, and what was changed could not be kept."""
    failure = replace(failure, step=node.path)
    if kept and isinstance(node, StepNode):
        depart(draft, node, StepEnd(status="failed", failure=failure, goes_on=False))
    else:
        fail_node(draft, node, failure)


def fail_node(draft: Draft, node: Node, failure: Failure) -> None:
    """End whatever a failed rendering belonged to."""
    if isinstance(node, StepNode):
        fail_step(draft, node, failure)
    else:
        begin_closing(draft, node, Outcome(how="fail", failure=failure))
