"""Opening: what each type of step does when it is reached, and how a run, or a round of a foreach, gets its first state.

A step's fields are rendered once (ruling 6). Until the results of registered functions are there it stays `opening` and is visited again.
"""

from dataclasses import replace

from treadle.core import limits, settle
from treadle.core.aside import RULES, in_pieces, size_of
from treadle.core.bind import bind_inputs, single_required
from treadle.core.commands import Perform
from treadle.core.definition import Approve, Condition, Delegate, Foreach, McpCall, Prompt, Return, SetState, Step, Task
from treadle.core.draft import Draft
from treadle.core.errors import Failure, InvariantViolationError
from treadle.core.expr import NeedBlobs as NeedBlobsError
from treadle.core.ids import ACTION_ID_CHARACTERS_MAX, branch_token
from treadle.core.render import NeedCallError, Renderer, RenderFailedError
from treadle.core.state import ActionState, Fan, Frame, ListNode, StepNode
from treadle.core.values import CHUNK_ITEMS, BlobRef, Chunks, Value, canonical, digest


def visit(draft: Draft, node: StepNode | ListNode) -> None:
    """Do what a step, or a scope that has not begun, can do now."""
    try:
        if isinstance(node, ListNode):
            _open_scope(draft, node)
        elif node.phase == "opening":
            _open(draft, node)
        elif node.phase == "fallback":
            _fall_back(draft, node)
        elif node.fan is not None:
            _go_on_with_rounds(draft, node, node.fan)
    except NeedCallError as need:
        draft.commands.append(need.command)
    except RenderFailedError as error:
        settle.fail_node(draft, node, error.failure)


def _failed(node: StepNode | ListNode, message: str, error_class: str = "expression") -> RenderFailedError:
    return RenderFailedError(Failure(error_class=error_class, message=message, step=node.path))


def _open(draft: Draft, node: StepNode) -> None:
    step = draft.step(node)
    if len(node.path) > ACTION_ID_CHARACTERS_MAX:
        message = f"the path of step `{step.id}` is longer than {ACTION_ID_CHARACTERS_MAX} characters"
        raise _failed(node, message, "failed")
    render = Renderer(draft, node)
    if step.when is not None and not render.truth(step.when, "when"):
        settle.finish_step(draft, node, skipped=True)
        return
    match step.spec:
        case Prompt() as spec:
            _open_action(draft, node, step, "prompt", _prompt_params(node, spec, render))
        case Approve() as spec:
            _open_action(draft, node, step, "approve", _approve_params(spec, render))
        case Delegate() as spec:
            params: dict[str, Value] = {"instructions": render.value(spec.instructions, "instructions")}
            extra: dict[str, Value] = {"agent": spec.agent, "output": spec.output}
            _open_action(draft, node, step, "delegate", params | {k: v for k, v in extra.items() if v is not None})
        case McpCall() as spec:
            parameters = render.value(spec.parameters, "parameters")
            _open_action(draft, node, step, "mcp_call", {"tool": spec.tool, "parameters": parameters})
        case SetState() as spec:
            _set_state(draft, node, spec, render)
        case Condition() as spec:
            _condition(draft, node, spec, render)
        case Foreach() as spec:
            _foreach(draft, node, spec, render)
        case Return() as spec:
            settle.return_from(draft, node, render.value(spec.value, "value"))


def _fall_back(draft: Draft, node: StepNode) -> None:
    fallback = draft.step(node).on_error.fallback
    render = Renderer(draft, node)
    render.names["error"] = node.failure.shown() if node.failure is not None else None
    settle.finish_step(draft, node, render.value(fallback, "fallback") if fallback is not None else None)


# Steps that are actions


def _prompt_params(node: StepNode, spec: Prompt, render: Renderer) -> dict[str, Value]:
    params: dict[str, Value] = {"message": render.value(spec.message, "message"), "format": spec.format}
    if spec.options is not None:
        options = render.value(spec.options, "options")
        if not isinstance(options, list) or size_of(options) > limits.BLOB_BYTES_MIN:
            limit = limits.BLOB_BYTES_MIN
            raise _failed(node, f"`options` of step `{node.path}` is not a list of at most {limit} bytes")
        params["options"] = options
    if spec.default is not None:
        params["default"] = render.value(spec.default, "default")
    rules: dict[str, Value] = {
        "pattern": spec.pattern, "min_length": spec.min_length, "max_length": spec.max_length, "fields": spec.fields,
        "multiple": spec.multiple or None,
    }  # fmt: skip
    return params | {name: rule for name, rule in rules.items() if rule is not None}


def _approve_params(spec: Approve, render: Renderer) -> dict[str, Value]:
    params: dict[str, Value] = {"show": render.value(spec.show, "show"), "assurance": spec.assurance}
    people: dict[str, Value] = {"users": list(spec.users), "never": list(spec.never)}
    return params | {name: users for name, users in people.items() if users}


def _open_action(draft: Draft, node: StepNode, step: Step, kind: str, params: dict[str, Value]) -> None:
    """Hand out an action; questions to people go to the run's main channel, all else to its branch (ruling 22)."""
    action = ActionState(
        id=node.path, at=node.at, kind=kind, performer=step.performer, effect=step.effect, repeatable=step.repeatable,
        channel="" if kind in {"prompt", "approve"} else draft.frames[node.frame].channel,
        params={name: draft.keep(value) if name not in RULES else value for name, value in params.items()},
        opened_at_ms=draft.now_ms, digest=digest(canonical(draft.whole(params["show"]))) if kind == "approve" else None,
    )  # fmt: skip
    draft.put(replace(node, phase="action", results=()))
    draft.put_action(action)
    draft.note("action_opened", action.id, action_kind=kind, performer=action.performer, effect=action.effect)
    dispatch(draft, action)


def dispatch(draft: Draft, action: ActionState) -> None:
    """Ask for a server-performed action; what may run again without harm needs no claim of its own (ruling 19)."""
    if action.performer != "server" or draft.parked is not None:
        return
    claim = settle.needs_claim(action)
    if not claim:
        start_attempt_clock(draft, action)
    draft.commands.append(Perform(action=action.id, attempt=action.attempt, claim=claim))


def start_attempt_clock(draft: Draft, action: ActionState) -> None:
    """Bound the attempt that begins now (ruling 2)."""
    timeout_ms = draft.step_at(action.at).timeout_ms
    if timeout_ms is not None:
        draft.arm("timeout", action.id, draft.now_ms + timeout_ms)


# Steps that are done at once, and blocks


def _set_state(draft: Draft, node: StepNode, spec: SetState, render: Renderer) -> None:
    for name, expr in spec.let:
        render.names[name] = render.value(expr, f"let.{name}")
    written: dict[str, Value] = {}
    before = draft.scope_of(node.frame).state or {}
    for name, expr in spec.updates:
        written[name] = render.value(expr, f"updates.{name}")
        render.names["state"] = {**before, **written}
    problem = settle.write_fields(draft, node, written)
    if problem is not None:
        raise RenderFailedError(problem)
    draft.note("state_written", node.path, fields=list(written))
    settle.finish_step(draft, node)


def _condition(draft: Draft, node: StepNode, spec: Condition, render: Renderer) -> None:
    truth = render.truth(spec.test, "if")
    draft.note("branch_chosen", node.path, branch="then" if truth else "else")
    if not (spec.then if truth else spec.otherwise):
        settle.finish_step(draft, node)
        return
    node = replace(node, phase="block", results=())
    draft.put(node)
    settle.open_list(draft, node, ".then" if truth else ".else", node.frame)


def _foreach(draft: Draft, node: StepNode, spec: Foreach, render: Renderer) -> None:
    items = render.value(spec.items, "items")
    if isinstance(items, BlobRef) and items.kind == "list":
        items = draft.read_blob(items.digest)
    if not isinstance(items, list | Chunks):
        raise _failed(node, f"`items` of step `{node.path}` is not a list")
    count = items.length if isinstance(items, Chunks) else len(items)
    if count > spec.items_max:
        raise _failed(node, f"`items` of step `{node.path}` has {count} items; the limit is {spec.items_max}", "failed")
    empty = tuple((None,) * min(CHUNK_ITEMS, count - first) for first in range(0, count, CHUNK_ITEMS))
    if isinstance(items, list):
        pieces = [tuple(items[first : first + CHUNK_ITEMS]) for first in range(0, count, CHUNK_ITEMS)]
        items = in_pieces(pieces, count, draft.set_value_aside)
        draft.size_bytes += size_of(items)
    fan = Fan(items=items, count=count, parts=empty)
    node = replace(node, phase="block", results=(), fan=fan)
    draft.put(node)
    draft.note("items_found", node.path, count=count)
    draft.look_at(node.path)


# Rounds of a foreach


def _go_on_with_rounds(draft: Draft, node: StepNode, fan: Fan) -> None:
    spec = draft.step(node).spec
    if not isinstance(spec, Foreach):
        raise InvariantViolationError(f"{node.path!r} is no foreach")
    if fan.next_index == fan.count and fan.open_count == 0:
        draft.degraded = draft.degraded or bool(fan.errors or fan.error_parts)
        settle.finish_step(draft, node, in_pieces(fan.parts, fan.count, draft.set_value_aside))
        return
    width = 1 if spec.sequential else spec.max_parallel
    room = limits.OPEN_ITEMS_MAX - sum(1 for frame in draft.frames.values() if frame.index is not None)
    while fan.next_index < fan.count and fan.open_count < width and (room > 0 or fan.open_count == 0):
        _begin_round(draft, node, spec, fan)
        fan = replace(fan, next_index=fan.next_index + 1, open_count=fan.open_count + 1)
        room -= 1
    draft.put(replace(node, fan=fan))


def _begin_round(draft: Draft, node: StepNode, spec: Foreach, fan: Fan) -> None:
    index, path = fan.next_index, f"{node.path}[{fan.next_index}]"
    channel = branch_token(draft.base.seed, path) if spec.agent is not None else draft.frames[node.frame].channel
    draft.put_frame(
        Frame(
            path=path, outer=node.frame, item=draft.keep(_item(draft, fan.items, index)), index=index, count=fan.count,
            item_name=spec.item_name, channel=channel,
        )
    )  # fmt: skip
    phase = "opening" if spec.task is not None else "running"
    draft.put(ListNode(path=path, at=node.at + "[]", owner=node.path, frame=path, phase=phase))
    draft.note("item_opened", path)
    draft.look_at(path)


def _item(draft: Draft, items: Value, index: int) -> Value:
    """Give one item; of chunks only the piece that holds it is read."""
    if isinstance(items, BlobRef):
        items = draft.read_blob(items.digest)
    if isinstance(items, Chunks):
        number, index = divmod(index, CHUNK_ITEMS)
        part = items.parts[number]
        if isinstance(part, BlobRef) and part.digest not in draft.blobs:
            # Small pieces are asked for ahead: each question costs the transition from its beginning.
            ahead = [piece for piece in items.parts[number + 1 : number + limits.PIECES_AHEAD] if isinstance(piece, BlobRef)]
            small = [piece.digest for piece in ahead if piece.size_bytes <= limits.STATE_BYTES_MAX]
            raise NeedBlobsError(tuple(name for name in (part.digest, *small) if name not in draft.blobs))
        items = draft.blobs[part.digest] if isinstance(part, BlobRef) else list(part)
    if not isinstance(items, list):
        raise InvariantViolationError("the items of a foreach are no list any more")
    return items[index]


# Scopes: the run itself, and rounds that do a task


def _open_scope(draft: Draft, node: ListNode) -> None:
    """Give a scope its inputs and its own state, and seal a task's from its parent (ruling 13)."""
    task, frame = draft.index.scopes[node.at], draft.frames[node.path]
    render = Renderer(draft, node)
    bound = dict(frame.inputs or {})
    if node.owner is not None:
        spec = draft.step(draft.step_node(node.owner)).spec
        given = _inputs_of_round(spec, task, render, frame) if isinstance(spec, Foreach) else {}
        bound, faults = bind_inputs(task, given, draft.whole)
        if faults:
            raise _failed(node, faults[0].message, "failed")
    state: dict[str, Value] = {}
    render.names |= {"inputs": bound, "steps": {}, "state": state}
    for name, expr in task.initial_state:
        state = {**state, name: render.value(expr, f"initial_state.{name}")}
        render.names["state"] = state
    problem = settle.schema_problem(draft, task, state, node.path)
    if problem is not None:
        raise RenderFailedError(problem)
    inputs = {name: draft.keep(value) for name, value in bound.items()}
    scope = replace(frame, outer=None, state={}, inputs=inputs, item=None)
    draft.write_state(scope, state)
    draft.put(replace(node, phase="running", results=()))
    draft.look_at(node.path)


def _inputs_of_round(spec: Foreach, task: Task, render: Renderer, frame: Frame) -> dict[str, Value]:
    if spec.inputs is not None:
        return {name: render.value(expr, f"inputs.{name}") for name, expr in spec.inputs}
    name = single_required(task)
    return {name: frame.item} if name is not None else {}
