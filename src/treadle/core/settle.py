"""Settling: from what just happened to the next point where the run waits, in deterministic moves.

The agenda holds paths of nodes to look at. A visit does what can be done now: open the next step of a list, open rounds of a foreach, end
a node that was closing. Visits put further nodes on the agenda, first come first served, until it is empty; after `SETTLE_MOVES_MAX` moves
the rest stays in the state and the shell comes back with `Continued` (ruling 3).

Endings run upwards: a step ends (`finish_step`, `fail_step`), its list goes on or ends, the list's owner ends. A node with `closing` set
waits until no action below it is open; then it ends in the way it says.
"""

from collections.abc import Callable
from dataclasses import replace

from treadle.core import limits
from treadle.core.commands import CloseRun, StopAction
from treadle.core.definition import Foreach, OnError, Step
from treadle.core.draft import Draft
from treadle.core.errors import Failure, InvariantViolationError
from treadle.core.ids import join
from treadle.core.render import NeedCallError, RenderFailedError, Renderer
from treadle.core.schema import check
from treadle.core.state import Closing, Frame, ListNode, RunStatus, StepNode
from treadle.core.values import Value

Visit = Callable[[Draft, StepNode | ListNode], None]


def settle(draft: Draft, visit_step: Visit) -> None:
    """Work the agenda off, within the limits of a commit and of a run."""
    moves = 0
    while draft.agenda and moves < limits.SETTLE_MOVES_MAX:
        path = draft.agenda.popleft()
        draft.changed = True
        node = draft.nodes.get(path)
        if node is None:
            continue
        moves += 1
        if node.closing is not None:
            _close(draft, node)
        elif isinstance(node, ListNode):
            visit_list(draft, node, visit_step)
        else:
            visit_step(draft, node)
    draft.moves += moves
    if draft.moves > limits.RUN_MOVES_MAX and draft.parked is None and draft.agenda:
        draft.park(f"the run made more than {limits.RUN_MOVES_MAX} moves; a loop may have no end", "treadle")


def visit_list(draft: Draft, node: ListNode, visit_step: Visit) -> None:
    """Open the list's next step, or give its output and end it."""
    if node.phase == "opening":
        visit_step(draft, node)
        return
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
    errors = tuple(node.fan.errors) if node.fan is not None else ()
    if not skipped and step.output_to is not None:
        problem = write_fields(draft, node, {step.output_to: kept})
        if problem is not None:
            fail_step(draft, node, problem)
            return
    status = "skipped" if skipped else "completed"
    _remember(draft, node, status, kept, None, errors)
    draft.note("step_" + status, node.path)
    _go_on(draft, node)


def fail_step(draft: Draft, node: StepNode, failure: Failure) -> None:
    """End a step that failed, as its `on_error` says; nothing below it is open any more."""
    step = draft.step(node)
    draft.drop_action(node.path)
    draft.disarm("within", node.path)
    handled = node.phase in {"handler", "fallback"}
    policy = OnError() if handled else step.on_error
    draft.note("step_failed", node.path, error_class=failure.error_class, message=failure.message, policy=policy.policy)
    match policy.policy:
        case "fail":
            _remember(draft, node, "failed", failure.result, failure)
            _write_failed_output(draft, node, step, failure)
            draft.drop(node.path)
            _fail_list(draft, draft.list_node(node.list_path), failure)
        case "continue":
            draft.degraded = True
            _write_failed_output(draft, node, step, failure)
            _remember(draft, node, "failed", failure.result, failure)
            _go_on(draft, node)
        case "fallback":
            draft.degraded = True
            draft.put(replace(node, phase="fallback", failure=failure, results=(), fan=None))
            draft.look_at(node.path)
        case "do":
            _write_failed_output(draft, node, step, failure)
            draft.put(replace(node, phase="handler", failure=failure, results=(), fan=None))
            open_handler(draft, node, ".on_error", failure)


def open_handler(draft: Draft, node: StepNode, suffix: str, failure: Failure) -> None:
    """Begin the list that handles a failure; `error` and the step's own record are readable in it."""
    path = node.path + suffix
    outer = draft.frames[node.frame]
    draft.put_frame(Frame(path=path, outer=node.frame, error=failure, channel=outer.channel, steps=_record(node, failure)))
    open_list(draft, draft.step_node(node.path), suffix, path)


def finish_handled(draft: Draft, node: StepNode) -> None:
    """End a step whose handler is done: the run goes on behind it."""
    failure = node.failure
    _remember(draft, node, "failed", failure.result if failure else None, failure)
    draft.note("step_handled", node.path)
    _go_on(draft, node)


def write_fields(draft: Draft, node: StepNode, updates: dict[str, Value]) -> Failure | None:
    """Write fields of the scope a step runs in, all or none; a fault against the state's schema is a failure of the step."""
    scope = draft.scope_of(node.frame)
    schemas = draft.task_of(scope).state_schema or {}
    for name, value in updates.items():
        schema = schemas.get(name)
        faults = check(schema, value) if isinstance(schema, dict) else ()
        if faults:
            message = f"step `{node.path}` may not write `{name}`: {faults[0].message}"
            return Failure(error_class="bad_output", message=message, step=node.path)
    draft.write_state(scope, updates)
    return None


def return_from(draft: Draft, node: StepNode, value: Value) -> None:
    """End the task or run that holds a step; what is open in it is cancelled first."""
    scope = draft.scope_of(node.frame)
    holder = draft.list_node(scope.path)
    draft.note("step_completed", node.path)
    begin_closing(draft, holder, Closing(how="return", value=draft.keep(value)))


def begin_closing(draft: Draft, node: ListNode | StepNode, closing: Closing) -> None:
    """Stop all that is open below a node, newest first; the node ends when the last has answered or its grace has run out."""
    for action in reversed(list(draft.actions_under(node.path))):
        running = action.status == "claimed" or (action.status == "open" and action.performer == "server")
        draft.drop_action(action.id)
        if running:
            draft.put_action(replace(action, status="stopping"))
            draft.arm("grace", action.id, draft.now_ms + limits.CANCEL_GRACE_MS)
            draft.command(StopAction(action=action.id, attempt=action.attempt))
        elif action.status == "stopping":
            draft.put_action(action)
            draft.arm("grace", action.id, draft.base.timers.get(f"grace:{action.id}", draft.now_ms))
        draft.note("action_stopping" if running else "action_dropped", action.id)
    draft.drop_below(node.path)
    draft.put(replace(node, closing=closing))
    draft.look_at(node.path)


def closing_goes_on(draft: Draft) -> None:
    """Look again at what is closing, after an action has ended."""
    for path in [p for p, node in draft.nodes.items() if node.closing is not None]:
        draft.look_at(path)


def _close(draft: Draft, node: ListNode | StepNode) -> None:
    closing = node.closing
    if closing is None or any(True for _ in draft.actions_under(node.path)):
        return
    draft.drop_below(node.path)
    if isinstance(node, StepNode):
        if closing.failure is None:
            raise InvariantViolationError(f"the step {node.path!r} closes without a failure")
        open_again = replace(node, closing=None, phase="block" if node.phase == "opening" else node.phase)
        draft.put(open_again)
        fail_step(draft, open_again, closing.failure)
    elif node.owner is None:
        _end_run_closing(draft, closing)
    else:
        _end_round(draft, node, closing.value, closing.failure)


def _go_on(draft: Draft, node: StepNode) -> None:
    draft.drop_below(node.path)
    draft.drop(node.path)
    parent = draft.list_node(node.list_path)
    draft.put(replace(parent, cursor=parent.cursor + 1))
    draft.look_at(parent.path)


def _write_failed_output(draft: Draft, node: StepNode, step: Step, failure: Failure) -> None:
    if step.output_to is not None and failure.has_result and failure.step == node.path:
        write_fields(draft, node, {step.output_to: failure.result})


def _record(node: StepNode, failure: Failure) -> dict[str, Value]:
    name = node.path.rsplit("/", 1)[-1]
    record: Value = {"status": "failed", "result": None, "error": failure.shown(), "errors": [], "visits": 1}  # type: ignore[assignment]
    return {name: record, name.replace("-", "_"): record}


def _remember(
    draft: Draft, node: StepNode, status: str, result: Value, failure: Failure | None,
    errors: tuple[tuple[int, Failure], ...] = (),
) -> None:  # fmt: skip
    """Keep what expressions read (ruling 10) and what a list shows besides plain success."""
    step_id = draft.step(node).id
    alias = step_id.replace("-", "_")
    frame = draft.frames[node.frame]
    if status != "completed":
        frame = replace(frame, marks={**frame.marks, step_id: status})
        draft.put_frame(frame)
    if alias not in draft.index.read_ids and "*" not in draft.index.read_ids:
        return
    record: dict[str, Value] = {
        "status": status,
        "result": result,
        "error": failure.shown() if failure is not None else None,
        "errors": [{**e.shown(), "index": index} for index, e in errors],
        "visits": 1,
    }  # type: ignore[dict-item]
    draft.put_frame(replace(frame, steps={**frame.steps, step_id: record, alias: record}))


# Lists


def _end_list(draft: Draft, node: ListNode) -> None:
    if node.owner is None:
        _end_with_output(draft, node)
        return
    owner = draft.step_node(node.owner)
    spec = draft.step(owner).spec
    if isinstance(spec, Foreach) and owner.phase == "block":
        _end_with_output(draft, node)
        return
    draft.drop(node.path)
    draft.drop_frame(node.path)
    if owner.phase == "handler":
        finish_handled(draft, owner)
    else:
        finish_step(draft, owner)


def _end_with_output(draft: Draft, node: ListNode) -> None:
    """End the list of a run or a round with its declared output, which may call functions."""
    scope = draft.index.scopes.get(node.at)
    output = scope.output if scope is not None else None
    if output is None and node.owner is not None and scope is None:
        spec = draft.step(draft.step_node(node.owner)).spec
        output = spec.output if isinstance(spec, Foreach) else None
    node = replace(node, phase="output")
    draft.put(node)
    value: Value = None
    try:
        if output is not None:
            value = Renderer(draft, node).value(output, "output")
    except NeedCallError as need:
        draft.command(need.command)
        return
    except RenderFailedError as error:
        _fail_list(draft, node, error.failure)
        return
    if node.owner is None:
        end_run(draft, "completed", draft.keep(value), None)
    else:
        _end_round(draft, node, value, None)


def _fail_list(draft: Draft, node: ListNode, failure: Failure) -> None:
    if node.owner is None:
        end_run(draft, "failed", None, failure)
        return
    owner = draft.step_node(node.owner)
    if isinstance(draft.step(owner).spec, Foreach) and owner.phase == "block":
        _end_round(draft, node, None, failure)
        return
    draft.drop_below(node.path)
    draft.drop(node.path)
    draft.drop_frame(node.path)
    fail_step(draft, owner, failure)


def fail_node(draft: Draft, node: ListNode | StepNode, failure: Failure) -> None:
    """End whatever a failed rendering belonged to."""
    if isinstance(node, StepNode):
        fail_step(draft, node, failure)
    else:
        _fail_list(draft, node, failure)


# Rounds


def _end_round(draft: Draft, node: ListNode, value: Value, failure: Failure | None) -> None:
    owner = draft.step_node(node.owner or "")
    fan = owner.fan
    if fan is None:
        raise InvariantViolationError(f"the foreach {owner.path!r} has no rounds")
    index = draft.frames[node.path].index or 0
    draft.drop_below(node.path)
    draft.drop(node.path)
    draft.drop_frame(node.path)
    draft.note("item_failed" if failure else "item_completed", node.path)
    spec = draft.step(owner).spec
    collect = isinstance(spec, Foreach) and spec.on_item_error == "collect"
    errors = (*fan.errors, (index, failure)) if failure is not None else fan.errors
    fan = replace(fan, open_count=fan.open_count - 1, errors=errors, parts=_with_part(fan.parts, index, draft.keep(value)))
    owner = replace(owner, fan=fan)
    draft.put(owner)
    if failure is not None and not collect:
        message = f"item {index} of `{owner.path}` failed: {failure.message}"
        inner = replace(failure, message=message, result=None, has_result=False)
        begin_closing(draft, owner, Closing(how="fail", failure=inner))
    else:
        draft.look_at(owner.path)


def _with_part(parts: tuple[tuple[Value, ...], ...], index: int, value: Value) -> tuple[tuple[Value, ...], ...]:
    if value is None:
        return parts
    chunk, place = divmod(index, limits.CHUNK_ITEMS)
    part = parts[chunk]
    return (*parts[:chunk], (*part[:place], value, *part[place + 1 :]), *parts[chunk + 1 :])


# The run


def _end_run_closing(draft: Draft, closing: Closing) -> None:
    if closing.how == "return":
        end_run(draft, "completed", closing.value, None, draft.list_node("").cursor + 1)
    elif closing.how == "cancel":
        end_run(draft, "cancelled", None, None)
    else:
        end_run(draft, "failed", None, closing.failure)


def end_run(draft: Draft, status: RunStatus, result: Value, failure: Failure | None, reached: int | None = None) -> None:
    """Seal the run: `CloseRun` is its last command. `reached` is how many steps of the file's list lie behind it."""
    root_list = draft.nodes.get("")
    draft.reached = reached if reached is not None else root_list.cursor if isinstance(root_list, ListNode) else 0
    if status == "completed" and draft.degraded:
        status = "completed_degraded"
    draft.nodes.clear()
    draft.actions.clear()
    draft.timers.clear()
    draft.agenda.clear()
    root = draft.frames.get("")
    draft.frames = {"": root} if root is not None else {}
    draft.status, draft.result, draft.failure = status, result, failure
    draft.parked = None
    draft.changed = True
    draft.note("run_ended", "", status=status)
    draft.command(CloseRun(status=status))
