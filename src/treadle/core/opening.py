"""Opening: what each type of step does when it is reached. One function per type; the table at the end is the closed list of types.

A step's fields are rendered once (ruling 6). Until the results of registered functions are there it stays `opening` and is visited again.
"""

from collections.abc import Callable
from dataclasses import replace

from treadle.core import limits
from treadle.core.bind import bind_inputs, single_required
from treadle.core.commands import Perform
from treadle.core.definition import (
    EFFECTS, Approve, Condition, Delegate, Foreach, McpCall, Prompt, Return, SetState, Step, Task,
)  # fmt: skip
from treadle.core.draft import Draft
from treadle.core.errors import Failure, InvariantViolationError
from treadle.core.expr import NeedBlobs as NeedBlobsError
from treadle.core.ids import ACTION_ID_CHARACTERS_MAX, branch_token
from treadle.core.render import NeedCallError, RenderFailedError, Renderer
from treadle.core.settle import fail_node, finish_step, open_list, return_from, write_fields
from treadle.core.state import ActionState, Fan, Frame, ListNode, StepNode
from treadle.core.values import Chunks, Value, BlobRef, canonical, digest, encode


def visit_step(draft: Draft, node: StepNode | ListNode) -> None:
    """Do what a step, or a round that has not begun, can do now."""
    try:
        if isinstance(node, ListNode):
            _open_round(draft, node)
        elif node.phase == "opening":
            _open(draft, node)
        elif node.phase == "fallback":
            _fall_back(draft, node)
        elif node.fan is not None:
            _go_on_with_rounds(draft, node)
    except NeedCallError as need:
        draft.command(need.command)
    except RenderFailedError as error:
        fail_node(draft, node, error.failure)


def _open(draft: Draft, node: StepNode) -> None:
    step = draft.step(node)
    if len(node.path) > ACTION_ID_CHARACTERS_MAX:
        message = f"the path of step `{step.id}` is longer than {ACTION_ID_CHARACTERS_MAX} characters"
        raise RenderFailedError(Failure(error_class="failed", message=message, step=node.path[:100]))
    render = Renderer(draft, node)
    if step.when is not None and not render.truth(step.when, "when"):
        finish_step(draft, node, skipped=True)
        return
    OPENERS[type(step.spec)](draft, node, step, render)


def _fall_back(draft: Draft, node: StepNode) -> None:
    step = draft.step(node)
    render = Renderer(draft, node)
    if node.failure is not None:
        render.names["error"] = node.failure.shown()
    value = render.value(step.on_error.fallback, "fallback") if step.on_error.fallback is not None else None
    finish_step(draft, replace(node, fan=None), value)


# Steps that are actions


def _prompt(draft: Draft, node: StepNode, step: Step, render: Renderer) -> None:
    spec = step.spec
    assert isinstance(spec, Prompt)  # noqa: S101 - the table below chose by this type
    params: dict[str, Value] = {"message": render.value(spec.message, "message"), "format": spec.format}
    if spec.options is not None:
        params["options"] = render.value(spec.options, "options")
    if spec.default is not None:
        params["default"] = render.value(spec.default, "default")
    rules = {"pattern": spec.pattern, "min_length": spec.min_length, "max_length": spec.max_length, "fields": spec.fields}
    params |= {name: rule for name, rule in rules.items() if rule is not None}
    if spec.multiple:
        params["multiple"] = True
    _open_action(draft, node, step, "prompt", params)


def _approve(draft: Draft, node: StepNode, step: Step, render: Renderer) -> None:
    spec = step.spec
    assert isinstance(spec, Approve)  # noqa: S101
    shown = render.value(spec.show, "show")
    params: dict[str, Value] = {"show": shown, "assurance": spec.assurance}
    if spec.users:
        params["users"] = list(spec.users)
    if spec.never:
        params["never"] = list(spec.never)
    _open_action(draft, node, step, "approve", params, shown_digest=digest(canonical(shown)))


def _delegate(draft: Draft, node: StepNode, step: Step, render: Renderer) -> None:
    spec = step.spec
    assert isinstance(spec, Delegate)  # noqa: S101
    params: dict[str, Value] = {"instructions": render.value(spec.instructions, "instructions")}
    if spec.agent is not None:
        params["agent"] = spec.agent
    if spec.output is not None:
        params["output"] = spec.output
    _open_action(draft, node, step, "delegate", params)


def _mcp_call(draft: Draft, node: StepNode, step: Step, render: Renderer) -> None:
    spec = step.spec
    assert isinstance(spec, McpCall)  # noqa: S101
    parameters = render.value(spec.parameters, "parameters")
    _open_action(draft, node, step, "mcp_call", {"tool": spec.tool, "parameters": parameters})


def _open_action(
    draft: Draft, node: StepNode, step: Step, kind: str, params: dict[str, Value], shown_digest: str | None = None
) -> None:
    """Hand out an action; questions to people go to the run's main channel, all else to its branch (ruling 22)."""
    frame = draft.frames[node.frame]
    action = ActionState(
        id=node.path, at=node.at, kind=kind, performer=step.performer, effect=step.effect, repeatable=step.repeatable,
        channel="" if kind in {"prompt", "approve"} else frame.channel,
        params={name: draft.keep(value) for name, value in params.items()}, opened_at_ms=draft.now_ms, digest=shown_digest,
    )  # fmt: skip
    draft.put(replace(node, phase="action", results=()))
    draft.put_action(action)
    draft.note("action_opened", action.id, action_kind=kind, performer=action.performer, effect=action.effect)
    dispatch(draft, action)


def dispatch(draft: Draft, action: ActionState) -> None:
    """Ask for a server-performed action; what may run again without harm needs no claim of its own (ruling 19)."""
    if action.performer != "server" or draft.parked is not None:
        return
    claim = EFFECTS.index(action.effect) >= EFFECTS.index("write")
    if not claim:
        start_attempt_clock(draft, action)
    draft.command(Perform(action=action.id, attempt=action.attempt, claim=claim))


def start_attempt_clock(draft: Draft, action: ActionState) -> None:
    """Bound the attempt that begins now (ruling 2)."""
    timeout_ms = draft.index.steps[action.at].timeout_ms
    if timeout_ms is not None:
        draft.arm("timeout", action.id, draft.now_ms + timeout_ms)


# Steps that are done at once, and blocks


def _set_state(draft: Draft, node: StepNode, step: Step, render: Renderer) -> None:
    spec = step.spec
    assert isinstance(spec, SetState)  # noqa: S101
    for name, expr in spec.let:
        render.names[name] = render.value(expr, f"let.{name}")
    state = render.names["state"]
    written: dict[str, Value] = {}
    for name, expr in spec.updates:
        written[name] = render.value(expr, f"updates.{name}")
        state = {**state, name: written[name]} if isinstance(state, dict) else state
        render.names["state"] = state
    problem = write_fields(draft, node, written)
    if problem is not None:
        raise RenderFailedError(problem)
    draft.note("state_written", node.path, fields=list(written))
    finish_step(draft, node)


def _condition(draft: Draft, node: StepNode, step: Step, render: Renderer) -> None:
    spec = step.spec
    assert isinstance(spec, Condition)  # noqa: S101
    truth = render.truth(spec.test, "if")
    draft.note("branch_chosen", node.path, branch="then" if truth else "else")
    if not (spec.then if truth else spec.otherwise):
        finish_step(draft, node)
        return
    node = replace(node, phase="block", results=())
    draft.put(node)
    open_list(draft, node, ".then" if truth else ".else", node.frame)


def _return(draft: Draft, node: StepNode, step: Step, render: Renderer) -> None:
    spec = step.spec
    assert isinstance(spec, Return)  # noqa: S101
    return_from(draft, node, render.value(spec.value, "value"))


def _foreach(draft: Draft, node: StepNode, step: Step, render: Renderer) -> None:
    spec = step.spec
    assert isinstance(spec, Foreach)  # noqa: S101
    items = render.value(spec.items, "items")
    count = _count(items, node, spec)
    parts = tuple((None,) * min(limits.CHUNK_ITEMS, count - n) for n in range(0, count, limits.CHUNK_ITEMS))
    fan = Fan(items=_kept_items(draft, items), count=count, parts=parts)
    node = replace(node, phase="block", results=(), fan=fan)
    draft.put(node)
    draft.note("items_found", node.path, count=count)
    draft.look_at(node.path)


def _count(items: Value, node: StepNode, spec: Foreach) -> int:
    if not isinstance(items, (list, Chunks)):
        message = f"`items` of step `{node.path}` is not a list"
        raise RenderFailedError(Failure(error_class="expression", message=message, step=node.path))
    count = items.length if isinstance(items, Chunks) else len(items)
    if count > spec.items_max:
        message = f"`items` of step `{node.path}` has {count} items; the limit is {spec.items_max}"
        raise RenderFailedError(Failure(error_class="failed", message=message, step=node.path))
    return count


def _kept_items(draft: Draft, items: Value) -> Value:
    if isinstance(items, list):
        return in_chunks(draft, [tuple(items[n : n + limits.CHUNK_ITEMS]) for n in range(0, len(items), limits.CHUNK_ITEMS)])
    return items


def in_chunks(draft: Draft, parts: "list[tuple[Value, ...]] | tuple[tuple[Value, ...], ...]") -> Value:
    """Give a list; a large one as chunks that are set aside, so that an index reads only what it needs (ruling 10)."""
    whole: list[Value] = [value for part in parts for value in part]
    if len(encode(whole)) <= limits.BLOB_BYTES_MIN:  # type: ignore[arg-type]
        return whole  # type: ignore[return-value]
    references = tuple(draft.set_value_aside(list(part)) for part in parts)  # type: ignore[arg-type]
    return Chunks(parts=references, length=len(whole))  # type: ignore[arg-type]


# Rounds of a foreach


def _go_on_with_rounds(draft: Draft, node: StepNode) -> None:
    fan, spec = node.fan, draft.step(node).spec
    if fan is None or not isinstance(spec, Foreach):
        raise InvariantViolationError(f"{node.path!r} is no foreach")
    if fan.next_index == fan.count and fan.open_count == 0:
        if fan.errors:
            draft.degraded = True
        finish_step(draft, node, in_chunks(draft, fan.parts))
        return
    width = 1 if spec.sequential else spec.max_parallel
    opened = sum(1 for frame in draft.frames.values() if frame.index is not None)
    while fan.next_index < fan.count and fan.open_count < width:
        if fan.open_count > 0 and opened >= limits.OPEN_ITEMS_MAX:
            break
        _begin_round(draft, node, spec, fan, fan.next_index)
        fan = replace(fan, next_index=fan.next_index + 1, open_count=fan.open_count + 1)
        opened += 1
    draft.put(replace(node, fan=fan))


def _begin_round(draft: Draft, node: StepNode, spec: Foreach, fan: Fan, index: int) -> None:
    path = f"{node.path}[{index}]"
    outer = draft.frames[node.frame]
    channel = branch_token(draft.base.seed, path) if spec.agent is not None else outer.channel
    draft.put_frame(
        Frame(
            path=path, outer=node.frame, item=_item(draft, fan.items, index), index=index, count=fan.count,
            item_name=spec.item_name, channel=channel,
        )
    )  # fmt: skip
    draft.put(
        ListNode(path=path, at=node.at + "[]", owner=node.path, frame=path, phase="opening" if spec.task else "running")
    )
    draft.note("item_opened", path)
    draft.look_at(path)


def _item(draft: Draft, items: Value, index: int) -> Value:
    """Give one item; of chunks only the piece that holds it is read."""
    if not isinstance(items, Chunks):
        return items[index] if isinstance(items, list) else None
    part = items.parts[index // limits.CHUNK_ITEMS]
    if isinstance(part, BlobRef):
        if part.digest not in draft.blobs:
            raise NeedBlobsError((part.digest,))
        piece = draft.blobs[part.digest]
        return piece[index % limits.CHUNK_ITEMS] if isinstance(piece, list) else None
    return part[index % limits.CHUNK_ITEMS]


def _open_round(draft: Draft, node: ListNode) -> None:
    """Give a task's round its inputs and its own state, and seal it from its parent (ruling 13)."""
    owner = draft.step_node(node.owner or "")
    spec, task, frame = draft.step(owner).spec, draft.index.scopes[node.at], draft.frames[node.path]
    if not isinstance(spec, Foreach):
        raise InvariantViolationError(f"{owner.path!r} is no foreach")
    render = Renderer(draft, node)
    given = _inputs_of_round(spec, task, render, frame)
    bound, faults = bind_inputs(task, given)
    if faults:
        raise RenderFailedError(Failure(error_class="failed", message=faults[0].message, step=node.path))
    render.names |= {"inputs": bound, "steps": {}}
    state = initial_state(task, render)
    scope = replace(frame, outer=None, state={}, inputs=bound, item=None)
    draft.put_frame(scope)
    draft.write_state(scope, state)
    draft.put(replace(node, phase="running", results=()))
    draft.look_at(node.path)


def _inputs_of_round(spec: Foreach, task: Task, render: Renderer, frame: Frame) -> dict[str, Value]:
    if spec.inputs is not None:
        return {name: render.value(expr, f"inputs.{name}") for name, expr in spec.inputs}
    name = single_required(task)
    return {name: frame.item} if name is not None else {}


def initial_state(task: Task, render: Renderer) -> dict[str, Value]:
    """Evaluate a task's first state, once, in order; later fields see earlier ones."""
    state: dict[str, Value] = {}
    for name, expr in task.initial_state:
        render.names["state"] = state
        state = {**state, name: render.value(expr, f"initial_state.{name}")}
    return state


Opener = Callable[[Draft, StepNode, Step, Renderer], None]
OPENERS: dict[type, Opener] = {
    Prompt: _prompt, Approve: _approve, Delegate: _delegate, McpCall: _mcp_call, SetState: _set_state,
    Condition: _condition, Foreach: _foreach, Return: _return,
}  # fmt: skip
