"""Settling: from what just happened to the next point where the run waits, in deterministic moves.

The agenda holds paths of nodes to look at. A visit does what can be done now: open the next step of a list, open rounds of a foreach, end
a node that was closing. Visits put further nodes on the agenda, first come first served, until it is empty; after `SETTLE_MOVES_MAX` moves
the rest stays in the state and the shell comes back with `Continued` (ruling 3). A run that is set aside does not move.

Endings run upwards: a step ends (`finish_step`, `fail_step`), its list goes on or ends, the list's owner ends. A node with `closing` set
waits until no action below it is open; then it ends in the way it says.
"""

from collections.abc import Callable
from dataclasses import replace

from treadle.core import limits
from treadle.core.commands import CloseRun, StopAction
from treadle.core.definition import EFFECTS, Foreach, OnError, Task
from treadle.core.draft import Draft
from treadle.core.errors import Failure, InvariantViolationError
from treadle.core.ids import join
from treadle.core.render import NeedCallError, Renderer, RenderFailedError
from treadle.core.schema import check
from treadle.core.state import ActionState, Closing, Fan, Frame, ListNode, RunStatus, StepNode
from treadle.core.values import CHUNK_ITEMS, BlobRef, Chunks, Value

Visit = Callable[[Draft, StepNode | ListNode], None]


def settle(draft: Draft, visit: Visit) -> None:
    """Work the agenda off, within the limits of a commit and of a run. `visit` opens steps and scopes, and goes on with rounds."""
    while draft.agenda and draft.moves_left and draft.parked is None:
        node = draft.nodes.get(draft.agenda.popleft())
        draft.changed = True
        if node is None:
            continue
        draft.moves += 1
        draft.moves_left -= 1
        if draft.moves > limits.RUN_MOVES_MAX:
            draft.look_at(node.path)
            draft.park(f"the run made {limits.RUN_MOVES_MAX} moves; a loop may have no end", "treadle")
        elif node.closing is not None:
            _close(draft, node)
        elif isinstance(node, ListNode) and node.phase != "opening":
            _go_on_with_list(draft, node)
        else:
            visit(draft, node)


def _go_on_with_list(draft: Draft, node: ListNode) -> None:
    steps = draft.index.lists[node.at]
    if node.cursor >= len(steps):
        _end_list(draft, node)
        return
    step = steps[node.cursor]
    path = join(node.path, step.id)
    if path in draft.nodes:
        return
    draft.put(StepNode(path=path, at=join(node.at, step.id), list_path=node.path, frame=node.frame))
    if step.within_ms is not None:
        draft.arm("within", path, draft.now_ms + step.within_ms)
    draft.note("step_opened", path)
    draft.look_at(path)


def open_list(draft: Draft, owner: StepNode, suffix: str, frame: str) -> None:
    """Begin one of the lists that a step holds."""
    path = owner.path + suffix
    draft.put(ListNode(path=path, at=owner.at + suffix, owner=owner.path, frame=frame))
    draft.look_at(path)


# Steps


def finish_step(draft: Draft, node: StepNode, result: Value = None, *, skipped: bool = False) -> None:
    """End a step that is done or skipped: write its output, remember it where it is read, go on behind it."""
    step = draft.step(node)
    kept = draft.keep(result)
    if not skipped and step.output_to is not None:
        problem = write_fields(draft, node, {step.output_to: kept})
        if problem is not None:
            fail_step(draft, node, problem)
            return
    status = "skipped" if skipped else "completed"
    _remember(draft, node, status, kept, None)
    draft.note("step_" + status, node.path)
    _go_on(draft, node)


def fail_step(draft: Draft, node: StepNode, failure: Failure) -> None:
    """End a step that failed, as its `on_error` says; nothing below it is open any more."""
    step = draft.step(node)
    draft.drop_action(node.path)
    draft.disarm("within", node.path)
    # A failure of the handler, or of the fallback's own expression, is not handled a second time.
    policy = OnError() if node.phase in {"handler", "fallback"} else step.on_error
    failure = replace(failure, result=draft.keep(failure.result))
    draft.note("step_failed", node.path, error_class=failure.error_class, message=failure.message, policy=policy.policy)
    if policy.policy == "fallback":
        draft.degraded = True
        draft.put(replace(node, phase="fallback", failure=failure, results=(), fan=None))
        draft.look_at(node.path)
        return
    write_result(draft, node, failure)
    if policy.policy == "do":
        open_handler(draft, node, ".on_error", failure)
        return
    _remember(draft, node, "failed", failure.result, failure)
    if policy.policy == "continue":
        draft.degraded = True
        _go_on(draft, node)
    else:
        draft.drop(node.path)
        _fail_list(draft, draft.list_node(node.list_path), failure)


def write_result(draft: Draft, node: StepNode, failure: Failure) -> None:
    """Write the output of a step whose own failure carries a result; one that does not fit the schema is not written."""
    output_to = draft.step(node).output_to
    if output_to is not None and failure.has_result and failure.step == node.path:
        write_fields(draft, node, {output_to: failure.result})


def open_handler(draft: Draft, node: StepNode, suffix: str, failure: Failure) -> None:
    """Begin the list that handles a failure; `error` and the step's own record are readable in it."""
    path = node.path + suffix
    draft.put(replace(node, phase="handler", failure=failure, results=(), fan=None))
    record = {draft.step(node).id.replace("-", "_"): _record("failed", failure.result, failure, [])}
    channel = draft.frames[node.frame].channel
    draft.put_frame(Frame(path=path, outer=node.frame, error=failure, channel=channel, steps=record))
    open_list(draft, node, suffix, path)


def _finish_handled(draft: Draft, node: StepNode) -> None:
    failure = node.failure
    _remember(draft, node, "failed", failure.result if failure else None, failure)
    draft.note("step_handled", node.path)
    _go_on(draft, node)


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
            message = f"`{name}` does not fit the state's schema: {faults[0].message}"
            return Failure(error_class="bad_output", message=message, step=path)
    return None


def _go_on(draft: Draft, node: StepNode) -> None:
    draft.drop_below(node.path)
    draft.drop(node.path)
    parent = draft.list_node(node.list_path)
    draft.put(replace(parent, cursor=parent.cursor + 1))
    draft.look_at(parent.path)


def _record(status: str, result: Value, failure: Failure | None, errors: Value) -> Value:
    error = failure.shown() if failure is not None else None
    return {"status": status, "result": result, "error": error, "errors": errors, "visits": 1}


def _remember(draft: Draft, node: StepNode, status: str, result: Value, failure: Failure | None) -> None:
    """Keep what expressions read (ruling 10) and what a list shows besides plain success."""
    step_id = draft.step(node).id
    name = step_id.replace("-", "_")
    frame = draft.frames[node.frame]
    if status != "completed":
        frame = replace(frame, marks={**frame.marks, step_id: status})
    if name in draft.index.read_ids or "*" in draft.index.read_ids:
        record = _record(status, result, failure, _errors(node.fan) if node.fan is not None else [])
        frame = replace(frame, steps={**frame.steps, name: draft.keep(record)})
    if frame is not draft.frames[node.frame]:
        draft.put_frame(frame)


# Closing


def return_from(draft: Draft, node: StepNode, value: Value) -> None:
    """End the task or run that holds a step; what is open in it is cancelled first."""
    holder = draft.list_node(draft.scope_of(node.frame).path)
    draft.note("step_completed", node.path)
    begin_closing(draft, holder, Closing(how="return", value=draft.keep(value)))


def begin_closing(draft: Draft, node: ListNode | StepNode, closing: Closing) -> None:
    """Stop all that is open below a node, newest first; the node ends when the last has answered or its grace has run out."""
    for action in reversed([a for a in draft.actions_under(node.path) if a.status != "stopping"]):
        draft.drop_action(action.id)
        if may_be_underway(action):
            draft.put_action(replace(action, status="stopping"))
            draft.arm("grace", action.id, draft.now_ms + limits.CANCEL_GRACE_MS)
            draft.commands.append(StopAction(action=action.id, attempt=action.attempt))
            draft.note("action_stopping", action.id)
        else:
            draft.note("action_dropped", action.id, was=action.status)
    draft.drop_below(node.path)
    draft.put(replace(node, closing=closing))
    draft.look_at(node.path)


def may_be_underway(action: ActionState) -> bool:
    """Tell whether a performer may be at work: it holds a claim, or needs none."""
    begun = action.status == "open" and action.performer == "server" and not needs_claim(action)
    return begun or action.status == "claimed"


def needs_claim(action: ActionState) -> bool:
    """Tell whether an action must be claimed durably before it is begun (ruling 19)."""
    return EFFECTS.index(action.effect) >= EFFECTS.index("write")


def closing_goes_on(draft: Draft) -> None:
    """Look again at what is closing, after an action has ended."""
    for path in [p for p, node in draft.nodes.items() if node.closing is not None]:
        draft.look_at(path)


def _close(draft: Draft, node: ListNode | StepNode) -> None:
    closing = node.closing
    if closing is None or next(draft.actions_under(node.path), None) is not None:
        return
    if isinstance(node, StepNode):
        if closing.failure is None:
            raise InvariantViolationError(f"the step {node.path!r} closes without a failure")
        node = replace(node, closing=None)
        draft.put(node)
        fail_step(draft, node, closing.failure)
    elif node.owner is not None:
        _end_round(draft, node, closing.value, None)
    elif closing.how == "return":
        end_run(draft, "completed", closing.value, reached=node.cursor + 1)
    else:
        end_run(draft, "cancelled" if closing.how == "cancel" else "failed", failure=closing.failure)


# Lists and rounds


def _end_list(draft: Draft, node: ListNode) -> None:
    if node.owner is None or _is_round(draft, node):
        _end_with_output(draft, node)
        return
    owner = draft.step_node(node.owner)
    if owner.phase == "handler":
        _finish_handled(draft, owner)
    else:
        finish_step(draft, owner)


def _is_round(draft: Draft, node: ListNode) -> bool:
    return node.path == node.frame and draft.frames[node.frame].index is not None


def _end_with_output(draft: Draft, node: ListNode) -> None:
    """End the list of a run or a round with its declared output, which may call functions."""
    scope = draft.index.scopes.get(node.at)
    output = scope.output if scope is not None else None
    if output is None and node.owner is not None:
        spec = draft.step(draft.step_node(node.owner)).spec
        output = spec.output if isinstance(spec, Foreach) else None
    node = replace(node, phase="output")
    draft.put(node)
    try:
        value = Renderer(draft, node).value(output, "output") if output is not None else None
    except NeedCallError as need:
        draft.commands.append(need.command)
    except RenderFailedError as error:
        _fail_list(draft, node, error.failure)
    else:
        if node.owner is None:
            end_run(draft, "completed", draft.keep(value))
        else:
            _end_round(draft, node, value, None)


def _fail_list(draft: Draft, node: ListNode, failure: Failure) -> None:
    if node.owner is None:
        begin_closing(draft, node, Closing(how="fail", failure=failure))
    elif _is_round(draft, node):
        _end_round(draft, node, None, failure)
    else:
        owner = draft.step_node(node.owner)
        draft.drop_below(owner.path)
        fail_step(draft, owner, failure)


def fail_node(draft: Draft, node: ListNode | StepNode, failure: Failure) -> None:
    """End whatever a failed rendering belonged to."""
    if isinstance(node, StepNode):
        fail_step(draft, node, failure)
    else:
        _fail_list(draft, node, failure)


def _end_round(draft: Draft, node: ListNode, value: Value, failure: Failure | None) -> None:
    owner = draft.step_node(node.owner or "")
    fan, spec, index = owner.fan, draft.step(owner).spec, draft.frames[node.path].index
    if fan is None or index is None or not isinstance(spec, Foreach):
        raise InvariantViolationError(f"the round {node.path!r} belongs to no foreach")
    draft.drop_below(node.path)
    draft.drop(node.path)
    del draft.frames[node.path]
    draft.note("item_failed" if failure else "item_completed", node.path)
    fan = replace(fan, open_count=fan.open_count - 1, parts=_with_part(fan.parts, index, draft.keep(value)))
    if failure is not None and spec.on_item_error == "collect":
        fan = _with_error(draft, fan, {**failure.shown(), "index": index})
    owner = replace(owner, fan=fan)
    draft.put(owner)
    if failure is None or spec.on_item_error == "collect":
        draft.look_at(owner.path)
        return
    message = f"item {index} of `{owner.path}` failed: {failure.message}"
    inner = replace(failure, message=message, result=None, has_result=False)
    begin_closing(draft, owner, Closing(how="fail", failure=inner))


Parts = tuple[tuple[Value, ...] | BlobRef, ...]


def _with_part(parts: Parts, index: int, value: Value) -> Parts:
    number, place = divmod(index, CHUNK_ITEMS)
    part = parts[number]
    if value is None or isinstance(part, BlobRef):
        return parts
    return (*parts[:number], (*part[:place], value, *part[place + 1 :]), *parts[number + 1 :])


def _with_error(draft: Draft, fan: Fan, error: Value) -> Fan:
    errors = (*fan.errors, draft.keep(error))
    if len(errors) < CHUNK_ITEMS:
        return replace(fan, errors=errors)
    return replace(fan, errors=(), error_parts=(*fan.error_parts, draft.set_value_aside(list(errors))))


def _errors(fan: Fan) -> Value:
    if not fan.error_parts:
        return list(fan.errors)
    parts = (*fan.error_parts, fan.errors) if fan.errors else fan.error_parts
    return Chunks(parts=parts, length=len(fan.error_parts) * CHUNK_ITEMS + len(fan.errors))


# The run


def end_run(draft: Draft, status: RunStatus, result: Value = None, *, failure: Failure | None = None, reached: int | None = None) -> None:
    """Seal the run: `CloseRun` is its last command. `reached` is how many steps of the file's list lie behind it."""
    draft.reached = draft.list_node("").cursor if reached is None else reached
    if status == "completed" and draft.degraded:
        status = "completed_degraded"
    draft.nodes, draft.actions, draft.timers = {}, {}, {}
    draft.frames = {"": draft.frames[""]}
    draft.agenda.clear()
    draft.status, draft.result, draft.failure, draft.parked, draft.changed = status, result, failure, None, True
    draft.note("run_ended", "", status=status)
    draft.commands.append(CloseRun(status=status))
