"""Opening: what each type of step does when it is reached, and how a run, or a round of a foreach, gets its first state.

A step's fields are rendered once (ruling 6). Until the results of registered functions are there it stays `opening` and is visited again. A step
that is performed by somebody becomes an action, perhaps after a look into the cache and the approval that it requires.
"""

from typing import Final

from treadle.core import blocks, endings, limits, rounds
from treadle.core import definition as d
from treadle.core.aside import RULES, size_of
from treadle.core.attempts import offer
from treadle.core.bind import bind_inputs, single_required
from treadle.core.budget import own
from treadle.core.definition import Step, Task
from treadle.core.draft import Draft
from treadle.core.errors import Failure
from treadle.core.expr import Expr
from treadle.core.gates import forget_decision, open_gate, unmet
from treadle.core.ids import ACTION_ID_CHARACTERS_MAX, child_run_id
from treadle.core.records import replace
from treadle.core.render import Renderer, RenderFailedError
from treadle.core.signals import wait
from treadle.core.state import ActionState, Frame, ListNode, StepNode
from treadle.core.steps import fail_step, finish_step, schema_problem, write_fields
from treadle.core.values import Json, Value, canonical, digest
from treadle.core.verify import prove
from treadle.core.worktrees import ask_for_worktree, directory

CACHE_GET: Final = "treadle.cache_get"
FILES_DIGEST: Final = "treadle.files_digest"
OWN_VERSION: Final = "1"


def visit_step(draft: Draft, node: StepNode) -> None:
    """Do what a step can do now. Raises what rendering raises, and GateMissingError."""
    spec = draft.step(node).spec
    if node.phase == "opening":
        _open(draft, node)
    elif node.phase == "fallback":
        _fall_back(draft, node)
    elif node.phase == "gate":
        _pass_gate(draft, node)
    elif node.phase == "action":
        action = draft.actions.get(node.path)
        if action is not None and action.status == "verifying" and f"{node.path}.verify" not in draft.actions:
            prove(draft, node, action)
    elif node.phase == "block" and isinstance(spec, d.Foreach) and node.fan is not None:
        rounds.go_on_with_rounds(draft, node, spec, node.fan)
    elif node.phase == "block" and isinstance(spec, d.While | d.Repeat):
        blocks.go_on_with_loop(draft, node, spec)


def _failed(node: StepNode | ListNode, message: str, error_class: str = "expression") -> RenderFailedError:
    return RenderFailedError(Failure(error_class=error_class, message=message, step=node.path))


def _open(draft: Draft, node: StepNode) -> None:
    step = draft.step(node)
    if len(node.path) > ACTION_ID_CHARACTERS_MAX:
        message = f"the path of step `{step.id}` is longer than {ACTION_ID_CHARACTERS_MAX} characters"
        raise _failed(node, message, "failed")
    render = Renderer(draft, node)
    if isinstance(step.spec, d.Approve):
        forget_decision(draft, node, step.id)
    if node.tree is None and not _may_begin(draft, node, step, render):
        return
    if not _open_block(draft, node, step, render) and not _open_jump(draft, node, step, render):
        _open_action(draft, node, step, render)


def _may_begin(draft: Draft, node: StepNode, step: Step, render: Renderer) -> bool:
    """Tell whether a step goes on to its fields: not when it is skipped, nor before it has the worktree that it wants as a whole."""
    if step.when is not None and not render.truth(step.when, "when"):
        finish_step(draft, node, skipped=True)
        return False
    own(draft, node.path, node.at, step.budget)
    if not step.isolation or isinstance(step.spec, d.Foreach | d.Parallel):
        return True
    draft.put(replace(node, phase="worktree", results=()))
    ask_for_worktree(draft, node, node.at)
    return False


def _open_block(draft: Draft, node: StepNode, step: Step, render: Renderer) -> bool:
    match step.spec:
        case d.Condition() as spec:
            blocks.condition(draft, node, spec, render)
        case d.Switch() as spec:
            blocks.switch(draft, node, spec, render)
        case d.Foreach() as spec:
            rounds.foreach(draft, node, spec, render)
        case d.Parallel() as spec:
            blocks.parallel(draft, node, spec)
        case d.While() | d.Repeat():
            blocks.loop(draft, node)
        case _:
            return False
    return True


def _open_jump(draft: Draft, node: StepNode, step: Step, render: Renderer) -> bool:
    match step.spec:
        case d.SetState() as spec:
            _set_state(draft, node, spec, render)
        case d.Wait() as spec:
            wait(draft, node, spec, render)
        case d.Return() as spec:
            endings.return_from(draft, node, render.value(spec.value, "value"))
        case d.Fail() as spec:
            fail_step(draft, node, _failure_of(draft, node, spec, render))
        case d.Break():
            endings.leave_loop(draft, node, for_good=True)
        case d.Continue():
            endings.leave_loop(draft, node, for_good=False)
        case d.Goto() as spec:
            endings.go_to(draft, node, spec.target, spec.max_visits)
        case _:
            return False
    return True


def _failure_of(draft: Draft, node: StepNode, spec: d.Fail, render: Renderer) -> Failure:
    message = str(draft.whole(render.value(spec.message, "message")))[: limits.MESSAGE_CHARACTERS_MAX]
    return Failure(error_class=spec.error_class, message=message, step=node.path, goal_not_met=spec.status == "goal_not_met")


def _fall_back(draft: Draft, node: StepNode) -> None:
    fallback = draft.step(node).on_error.fallback
    render = Renderer(draft, node)
    render.names["error"] = node.failure.shown() if node.failure is not None else None
    finish_step(draft, node, render.value(fallback, "fallback") if fallback is not None else None)


# Steps that are actions


def _open_action(draft: Draft, node: StepNode, step: Step, render: Renderer) -> None:
    """Render the fields and hand the action out; a gate of its own, or a result that is kept, comes first."""
    if isinstance(step.spec, d.Approve):
        show = render.value(step.spec.show, "show")
        draft.put(replace(node, phase="action", results=()))
        open_gate(draft, node, node.path, show, step.spec.by, step.spec.assurance)
        return
    kind, params = _params(draft, node, step, render)
    if step.key is not None:
        params["key"] = render.value(step.key, "idempotency_key")
    if any(file.changed for each in step.verify for file in each.files):
        paths: list[Value] = [render.value(file.path, "verify") for each in step.verify for file in each.files if file.changed]
        where = directory(draft, node)
        params["files_before"] = render.call(FILES_DIGEST, OWN_VERSION, (paths, where) if where else (paths,))
    if step.cache is not None:
        same = {name: value for name, value in params.items() if name not in {"run_id", "depth"}}  # a child's name is no part of its work
        key = digest(canonical(draft.whole({"kind": kind, "params": same})))
        found = render.call(CACHE_GET, OWN_VERSION, (key, step.cache.ttl_ms, step.cache.commit))
        if isinstance(found, dict) and "value" in found:
            draft.note("cache_hit", node.path, key=key)
            finish_step(draft, node, found["value"])
            return
        params["cache_key"] = key
    if not unmet(draft, node, step, params, render):
        _hand_out(draft, node, step, kind, params)


def _pass_gate(draft: Draft, node: StepNode) -> None:
    """Go on after the approval that a step waited for; the next one that it requires may be open still."""
    step, params = draft.step(node), node.params or {}
    if f"{node.path}.requires" in draft.actions:
        return
    if step.requires is not None and step.requires.gates and unmet(draft, node, step, params, Renderer(draft, node)):
        return
    _hand_out(draft, replace(node, params=None), step, _KINDS[type(step.spec)], params)


def _hand_out(draft: Draft, node: StepNode, step: Step, kind: str, params: dict[str, Value]) -> None:
    key = params.get("key")
    action = ActionState(
        id=node.path, at=node.at, kind=kind, performer=step.performer, effect=step.effect, repeatable=step.repeatable,
        channel="" if kind == "prompt" else draft.frames[node.frame].channel, opened_at_ms=draft.now_ms,
        params={name: draft.keep(value) if name not in RULES else value for name, value in params.items() if name != "key"},
        key=str(draft.whole(key)) if key is not None else None, working_dir=directory(draft, node),
    )  # fmt: skip
    draft.put(replace(node, phase="action", results=()))
    draft.put_action(action)
    draft.note("action_opened", action.id, action_kind=kind, performer=action.performer, effect=action.effect)
    offer(draft, action)


def _params(draft: Draft, node: StepNode, step: Step, render: Renderer) -> tuple[str, dict[str, Value]]:
    spec = step.spec
    if isinstance(spec, d.Prompt):
        return "prompt", _prompt_params(node, spec, render)
    if isinstance(spec, d.Run):
        return "run", _run_params(draft, node, spec, render)
    if isinstance(spec, d.Merge):
        seen = render.names["steps"]
        record = seen.get(spec.source.replace("-", "_")) if isinstance(seen, dict) else None
        if not isinstance(record, dict):
            raise _failed(node, f"`from` of step `{node.path}`: `{spec.source}` has not been done here", "failed")
        return "merge", {"from": spec.source, "strategy": spec.strategy, "worktrees": record.get("worktree")}
    kind, fields = _KINDS[type(spec)], _FIELDS[type(spec)]
    params: dict[str, Value] = {}
    for name in fields:
        value: Expr | Json | tuple[int, ...] = getattr(spec, name)
        if isinstance(value, Expr):
            params[name] = render.value(value, name)
        elif value is not None:
            params[name] = list(value) if isinstance(value, tuple) else value
    return kind, params


_KINDS: Final[dict[type, str]] = {
    d.Prompt: "prompt", d.Delegate: "delegate", d.McpCall: "mcp_call", d.Http: "http", d.Shell: "shell", d.Function: "function", d.Run: "run",
    d.Merge: "merge",
}  # fmt: skip
_FIELDS: Final[dict[type, tuple[str, ...]]] = {
    d.Delegate: ("instructions", "agent", "output"),
    d.McpCall: ("tool", "parameters"),
    d.Http: ("method", "url", "headers", "query", "json", "body", "ok_status"),
    d.Shell: ("command", "env", "working_dir", "ok_exit", "parse"),
    d.Function: ("function", "version", "parameters"),
}


def _run_params(draft: Draft, node: StepNode, spec: d.Run, render: Renderer) -> dict[str, Value]:
    inputs: Value = {name: render.value(expr, f"inputs.{name}") for name, expr in spec.inputs}
    run_id = child_run_id(draft.base.run_id, node.path)
    return {"workflow": spec.workflow, "run_id": run_id, "inputs": inputs, "detach": spec.detach, "depth": draft.base.depth + 1}


def _prompt_params(node: StepNode, spec: d.Prompt, render: Renderer) -> dict[str, Value]:
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
        raise RenderFailedError(problem)
    draft.note("state_written", node.path, fields=list(written))
    finish_step(draft, node)


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
            raise _failed(node, faults[0].message, "failed")
    state: dict[str, Value] = {}
    render.names |= {"inputs": bound, "steps": {}, "state": state}
    for name, expr in task.initial_state:
        state = {**state, name: render.value(expr, f"initial_state.{name}")}
        render.names["state"] = state
    problem = schema_problem(draft, task, state, node.path)
    if problem is not None:
        raise RenderFailedError(problem)
    inputs = {name: draft.keep(value) for name, value in bound.items()}
    scope = replace(frame, outer=None, state={}, inputs=inputs, item=None)
    own(draft, node.path, node.at, task.budget)
    draft.write_state(scope, state)
    draft.put(replace(node, phase="running", results=()))
    draft.look_at(node.path)


def _inputs_of_round(spec: d.Foreach, task: Task, render: Renderer, frame: Frame) -> dict[str, Value]:
    if spec.inputs is not None:
        return {name: render.value(expr, f"inputs.{name}") for name, expr in spec.inputs}
    name = single_required(task)
    return {name: frame.item} if name is not None else {}
