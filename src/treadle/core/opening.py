"""Opening: what each type of step does when it is reached, and how a run, or a round of a foreach, gets its first state.

A step's fields are rendered once (ruling 6). Until the results of registered functions are there it stays `opening` and is visited again. A step
that is performed by somebody becomes an action, perhaps after a look into the cache and the approval that it requires.
"""

from collections.abc import Callable
from typing import Final

from treadle.core import blocks, endings, limits
from treadle.core import definition as d
from treadle.core.aside import RULES, size_of
from treadle.core.attempts import offer
from treadle.core.budget import own
from treadle.core.definition import Step, Task
from treadle.core.draft import Draft
from treadle.core.errors import StepFailedError, failure_at
from treadle.core.expr import Expr
from treadle.core.gates import forget_decision, open_gate, unmet
from treadle.core.ids import ACTION_ID_CHARACTERS_MAX, child_run_id
from treadle.core.records import replace
from treadle.core.render import Renderer
from treadle.core.schema_bind import bind_inputs, single_required
from treadle.core.state import ActionState, Frame, ListNode, StepNode
from treadle.core.steps import fail_step, finish_step, schema_problem, write_fields
from treadle.core.values import Json, Value, canonical, digest
from treadle.core.verify import prove, to_prove
from treadle.core.waiting import wait
from treadle.core.worktrees import ask, directory

CACHE_GET: Final = "treadle.cache_get"
FILES_DIGEST: Final = "treadle.files_digest"
OWN_VERSION: Final = "1"


def visit_step(draft: Draft, node: StepNode) -> None:
    """Do what a step can do now. Raises what rendering raises."""
    spec = draft.step(node).spec
    if node.phase == "opening":
        _open(draft, node)
    elif node.phase == "fallback":
        _fall_back(draft, node)
    elif node.phase == "gate":
        _pass_gate(draft, node)
    elif action := to_prove(draft, node):
        prove(draft, node, action)
    elif node.phase == "block" and isinstance(spec, d.Foreach) and node.fan is not None:
        blocks.go_on_with_rounds(draft, node, spec, node.fan)
    elif node.phase == "block" and isinstance(spec, d.While | d.Repeat):
        blocks.go_on_with_loop(draft, node, spec)


def _open(draft: Draft, node: StepNode) -> None:
    step = draft.step(node)
    if len(node.path) > ACTION_ID_CHARACTERS_MAX:
        message = f"the path of step `{step.id}` is longer than {ACTION_ID_CHARACTERS_MAX} characters"
        raise StepFailedError(failure_at(node.path, "failed", message))
    render = Renderer(draft, node)
    if isinstance(step.spec, d.Approve):
        forget_decision(draft, node, step.id)
    if node.tree is not None or _may_begin(draft, node, step, render):
        OPENERS.get(type(step.spec), _open_action)(draft, node, step.spec, render)


def _may_begin(draft: Draft, node: StepNode, step: Step, render: Renderer) -> bool:
    """Tell whether a step goes on to its fields: not when it is skipped, nor before it has the worktree that it wants as a whole."""
    if step.when is not None and not render.truth(step.when, "when"):
        finish_step(draft, node, skipped=True)
        return False
    own(draft, node.path, node.at, step.budget)
    if not step.isolation or isinstance(step.spec, d.Foreach | d.Parallel):
        return True
    ask(draft, draft.put(replace(node, phase="worktree", results=())), node.at)
    return False


def _fall_back(draft: Draft, node: StepNode) -> None:
    fallback = draft.step(node).on_error.fallback
    render = Renderer(draft, node)
    render.names["error"] = node.failure.shown() if node.failure is not None else None
    finish_step(draft, node, render.value(fallback, "fallback") if fallback is not None else None)


# Steps that are actions


def _ask_for_approval(draft: Draft, node: StepNode, spec: d.Approve, render: Renderer) -> None:
    show = render.value(spec.show, "show")
    draft.put(replace(node, phase="action", results=()))
    open_gate(draft, node, node.path, show, spec.by, spec.assurance)


def _open_action(draft: Draft, node: StepNode, spec: d.Spec, render: Renderer) -> None:
    """Render the fields and hand the action out; a result that is kept, or an approval that it requires, comes first."""
    step, params = draft.step(node), _params(draft, node, spec, render)
    if step.key is not None:
        params["key"] = render.value(step.key, "idempotency_key")
    paths: list[Value] = [render.value(file.path, "verify") for each in step.verify for file in each.files if file.changed]
    if paths:
        where = directory(draft, node)
        params["files_before"] = render.call(FILES_DIGEST, OWN_VERSION, (paths, where) if where else (paths,))
    if step.cache is not None:
        same = {name: value for name, value in params.items() if name not in {"run_id", "depth"}}  # a child's name is no part of its work
        key = digest(canonical(draft.whole({"kind": _ACTIONS[type(spec)][0], "params": same})))
        found = render.call(CACHE_GET, OWN_VERSION, (key, step.cache.ttl_ms, step.cache.commit))
        if isinstance(found, dict) and "value" in found:
            draft.note("cache_hit", node.path, key=key)
            finish_step(draft, node, found["value"])
            return
        params["cache_key"] = key
    if not unmet(draft, node, step, params, render):
        _hand_out(draft, node, step, params)


def _pass_gate(draft: Draft, node: StepNode) -> None:
    """Go on after the approval that a step waited for; the next one that it requires may be open still."""
    step, params = draft.step(node), node.params or {}
    if f"{node.path}.requires" in draft.actions:
        return
    if step.requires is None or not step.requires.gates or not unmet(draft, node, step, params, Renderer(draft, node)):
        _hand_out(draft, replace(node, params=None), step, params)


def _hand_out(draft: Draft, node: StepNode, step: Step, params: dict[str, Value]) -> None:
    kind, key = _ACTIONS[type(step.spec)][0], params.get("key")
    action = ActionState(
        id=node.path, at=node.at, kind=kind, performer=step.performer, effect=step.effect, repeatable=step.repeatable,
        channel="" if kind == "prompt" else draft.frames[node.frame].channel, opened_at_ms=draft.now_ms,
        params={name: draft.keep(value) if name not in RULES else value for name, value in params.items() if name != "key"},
        key=str(draft.whole(key)) if key is not None else None, working_dir=directory(draft, node),
    )  # fmt: skip
    if node.again is not None:
        action = _following(action, node.again)
    draft.put(replace(node, phase="action", results=(), again=None))
    draft.put_action(action)
    draft.note("action_opened", action.id, action_kind=kind, performer=action.performer, effect=action.effect)
    if node.again is not None:
        draft.note("action_offered", action.id, attempt=action.attempt, redo=action.redo)
    offer(draft, action)


def _following(action: ActionState, before: ActionState) -> ActionState:
    """Give a rendering the place of the one before it: its attempt comes next, and what has changed is counted from where that began."""
    old, new = before.params.get("files_before"), action.params.get("files_before")
    same = old is not None and _patterns(old) == _patterns(new)
    return replace(
        action, attempt=before.attempt + 1, failures=before.failures, lapses=before.lapses, redo=before.redo, counted=before.counted,
        reserved=before.reserved,
        opened_at_ms=before.opened_at_ms, params={**action.params, "files_before": old} if same else action.params,
    )  # fmt: skip


def _patterns(found: Value) -> list[str]:
    files = found.get("files") if isinstance(found, dict) else None
    return list(files) if isinstance(files, dict) else []


def _params(draft: Draft, node: StepNode, spec: d.Spec, render: Renderer) -> dict[str, Value]:
    if isinstance(spec, d.Run):
        inputs: Value = {name: render.value(expr, f"inputs.{name}") for name, expr in spec.inputs}
        run_id = child_run_id(draft.base.run_id, node.path)
        return {"workflow": spec.workflow, "run_id": run_id, "inputs": inputs, "detach": spec.detach, "depth": draft.base.depth + 1}
    if isinstance(spec, d.Merge):
        seen = render.names["steps"]
        record = seen.get(spec.source.replace("-", "_")) if isinstance(seen, dict) else None
        if not isinstance(record, dict):
            raise StepFailedError(failure_at(node.path, "failed", f"`from` of step `{node.path}`: `{spec.source}` has not been done here"))
        return {"from": spec.source, "strategy": spec.strategy, "worktrees": record.get("worktree")}
    params: dict[str, Value] = {}
    for name in _ACTIONS[type(spec)][1]:
        value: Expr | Json | tuple[int, ...] = getattr(spec, name)
        if isinstance(value, Expr):
            params[name] = render.value(value, name)
        elif value is not None and value is not False:
            params[name] = list(value) if isinstance(value, tuple) else value
        if name == "options" and name in params and (not isinstance(params[name], list) or size_of(params[name]) > limits.BLOB_BYTES_MIN):
            message = f"`options` of step `{node.path}` is not a list of at most {limits.BLOB_BYTES_MIN} bytes"
            raise StepFailedError(failure_at(node.path, "expression", message))
    return params


# Steps that become actions: their kind, and the fields that are its parameters as they are, or rendered.
_ACTIONS: Final[dict[type, tuple[str, tuple[str, ...]]]] = {
    d.Prompt: ("prompt", ("message", "format", "options", "default", "pattern", "min_length", "max_length", "fields", "multiple")),
    d.Delegate: ("delegate", ("instructions", "agent", "output")),
    d.McpCall: ("mcp_call", ("tool", "parameters")),
    d.Http: ("http", ("method", "url", "headers", "query", "json", "body", "ok_status")),
    d.Shell: ("shell", ("command", "env", "working_dir", "ok_exit", "parse")),
    d.Function: ("function", ("function", "version", "parameters")),
    d.Run: ("run", ()),
    d.Merge: ("merge", ()),
}


# Steps that are done at once


def _set_state(draft: Draft, node: StepNode, spec: d.SetState, render: Renderer) -> None:
    for name, expr in spec.let:
        render.names[name] = render.value(expr, f"let.{name}")
    written: dict[str, Value] = {}
    before = draft.scope_of(node.frame).state or {}
    for name, expr in spec.updates:
        written[name] = render.value(expr, f"updates.{name}")
        render.names["state"] = {**before, **written}
    problem = write_fields(draft, node, written)
    if problem is not None:
        raise StepFailedError(problem)
    draft.note("state_written", node.path, fields=list(written))
    finish_step(draft, node)


def _fail(draft: Draft, node: StepNode, spec: d.Fail, render: Renderer) -> None:
    message = str(draft.whole(render.value(spec.message, "message")))[: limits.MESSAGE_CHARACTERS_MAX]
    fail_step(draft, node, replace(failure_at(node.path, spec.error_class, message), goal_not_met=spec.status == "goal_not_met"))


# What opens a step of each type; those of other types are actions.
OPENERS: Final[dict[type, Callable[..., None]]] = {
    d.Condition: blocks.condition, d.Switch: blocks.switch, d.Foreach: blocks.foreach, d.Parallel: blocks.parallel, d.While: blocks.loop,
    d.Repeat: blocks.loop, d.SetState: _set_state, d.Wait: wait, d.Return: endings.return_from, d.Fail: _fail, d.Goto: endings.go_to,
    d.Break: endings.leave_loop, d.Continue: endings.leave_loop, d.Approve: _ask_for_approval,
}  # fmt: skip


# Scopes: the run itself, and rounds that do a task


def open_scope(draft: Draft, node: ListNode) -> None:
    """Give a scope its inputs and its own state, and seal a task's from its parent (ruling 13)."""
    task, frame = draft.index.scopes[node.at], draft.frames[node.path]
    render = Renderer(draft, node)
    bound = dict(frame.inputs or {})
    if node.owner is not None:
        spec = draft.step(draft.step_node(node.owner)).spec
        given = _inputs_of_round(spec, task, render, frame) if isinstance(spec, d.Foreach) else {}
        bound, faults = bind_inputs(task, given, draft.whole)
        if faults:
            raise StepFailedError(failure_at(node.path, "failed", faults[0].message))
    state = first_state(render, task, bound, {})
    inputs = {name: draft.keep(value) for name, value in bound.items()}
    scope = replace(frame, outer=None, state={}, inputs=inputs, item=None)
    own(draft, node.path, node.at, task.budget)
    draft.write_state(scope, state)
    draft.put(replace(node, phase="running", results=()))
    draft.look_at(node.path)


def first_state(render: Renderer, task: Task, inputs: dict[str, Value], state: dict[str, Value]) -> dict[str, Value]:
    """Give a scope's state with the fields that it lacks. Raises what rendering raises."""
    render.names |= {"inputs": inputs, "steps": {}, "state": state}
    for name, expr in task.initial_state:
        state = state if name in state else {**state, name: render.value(expr, f"initial_state.{name}")}
        render.names["state"] = state
    problem = schema_problem(render.draft, task, state, render.node.path)
    if problem is not None:
        raise StepFailedError(problem)
    return state


def _inputs_of_round(spec: d.Foreach, task: Task, render: Renderer, frame: Frame) -> dict[str, Value]:
    if spec.inputs is not None:
        return {name: render.value(expr, f"inputs.{name}") for name, expr in spec.inputs}
    name = single_required(task)
    return {name: frame.item} if name is not None else {}
