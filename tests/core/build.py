"""A builder of definitions, without YAML: one function per step type, texts with `{{ }}` as an author writes them.

    workflow(
        prompt("ask", "What now?", output_to="answer"),
        condition("if-long", "{{ state.answer | length > 3 }}", then=[ret("r", "{{ state.answer }}")]),
        initial_state={"answer": None},
    )

Registered functions that expressions may call are `double`, `broken` and `make_items` (tests/core/play.py says what they do).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache

from treadle.authoring.expressions import compile_data, compile_text
from treadle.core.definition import (
    LANGUAGE,
    Approve,
    Break,
    Budget,
    By,
    Cache,
    Check,
    Condition,
    Continue,
    Definition,
    Delegate,
    Fail,
    FileCheck,
    Foreach,
    Function,
    Goto,
    Http,
    McpCall,
    Merge,
    OnError,
    Parallel,
    Prompt,
    Repeat,
    Requires,
    Retry,
    Return,
    Run,
    SetState,
    Shell,
    Step,
    Switch,
    Task,
    Wait,
    While,
)
from treadle.core.expr import Expr
from treadle.core.semantics import SEMANTICS
from treadle.core.values import Json

FUNCTIONS = dict.fromkeys(("double", "broken", "make_items"), ("1", True))


@cache
def _compiled(text: str) -> Expr:
    return compile_text(text, functions=FUNCTIONS)


def x(value: object) -> Expr:
    """An expression: text is compiled as an author's text, data with templates in it too, everything else is a constant."""
    if isinstance(value, Expr):
        return value
    return _compiled(value) if isinstance(value, str) else _compiled_data(json.dumps(value))


@cache
def _compiled_data(text: str) -> Expr:
    return compile_data(json.loads(text), functions=FUNCTIONS)


def _named(values: Mapping[str, object]) -> tuple[tuple[str, Expr], ...]:
    return tuple((name, x(value)) for name, value in values.items())


def step(step_id: str, spec, *, when=None, on_error=None, retry=None, fallback=..., **fields) -> Step:
    """A step; `on_error` is "continue" or a list of steps, `fallback` a value, `retry` a Retry or a number of attempts.

    `final`, `undo` and `read_back` are lists of steps, `budget` a dict, `verify` a list of dicts, `requires` ids of gates or a By.
    """
    for name, field in (("final", "final_steps"), ("undo", "undo"), ("read_back", "read_back")):
        if name in fields:
            fields[field] = tuple(fields.pop(name))
    if "budget" in fields:
        fields["budget"] = Budget(**fields["budget"])
    if "key" in fields:
        fields["key"] = x(fields["key"])
    if "verify" in fields:
        fields["verify"] = tuple(_check(each) for each in fields["verify"])
    if isinstance(requires := fields.get("requires"), By):
        fields["requires"] = Requires(by=requires)
    elif isinstance(requires, str | list):
        fields["requires"] = Requires(gates=tuple([requires] if isinstance(requires, str) else requires))
    if fields.get("cache") is True:
        fields["cache"] = Cache()
    if fallback is not ...:
        fields["on_error"] = OnError(policy="fallback", fallback=x(fallback))
    elif isinstance(on_error, str):
        fields["on_error"] = OnError(policy=on_error)
    elif on_error is not None:
        fields["on_error"] = OnError(policy="do", steps=tuple(on_error))
    if isinstance(retry, int):
        retry = Retry(attempts=retry, backoff_ms=1_000, on=("transient", "timeout", "bad_output", "failed", "performer_lost"))
    return Step(id=step_id, spec=spec, when=x(when) if when is not None else None, retry=retry, **fields)


def _check(given: dict) -> Check:
    files = tuple(FileCheck(**{**each, "path": x(each["path"])}) for each in given.get("files", ()))
    return Check(
        files=files,
        schema=given.get("schema"),
        shell=x(given["shell"]) if "shell" in given else None,
        expression=x(given["expression"]) if "expression" in given else None,
        message=x(given["message"]) if "message" in given else None,
    )


def prompt(step_id: str, message: object = "Well?", *, options=None, default=None, **fields) -> Step:
    own = {name: fields.pop(name) for name in ("format", "multiple", "fields", "pattern", "min_length", "max_length") if name in fields}
    options, default = (x(value) if value is not None else None for value in (options, default))
    return step(step_id, Prompt(message=x(message), options=options, default=default, **own), **{"performer": "human", **fields})


def approve(
    step_id: str, show: object = "This?", *, on_reject: object = "fail", users=(), never=(), assurance="local", by=None, **fields
) -> Step:
    steps = tuple(on_reject) if not isinstance(on_reject, str) else ()
    policy = on_reject if isinstance(on_reject, str) else "do"
    by = by or By(users=tuple(users), never=tuple(never))
    spec = Approve(show=x(show), by=by, on_reject=policy, reject_steps=steps, assurance=assurance)
    return step(step_id, spec, **{"performer": "human", **fields})


def delegate(step_id: str, instructions: object = "Do it.", *, output: Json = None, agent=None, **fields) -> Step:
    spec = Delegate(instructions=x(instructions), agent=agent, output=output)
    return step(step_id, spec, **{"performer": "agent", "effect": "write", "repeatable": True, **fields})


def call(step_id: str, tool: str = "srv.tool", parameters: object = None, **fields) -> Step:
    """A call of a tool by the server, of effect `write` unless said otherwise."""
    return step(
        step_id,
        McpCall(tool=tool, parameters=x({} if parameters is None else parameters)),
        **{"effect": "write", **fields},
    )


def put(step_id: str, updates: Mapping[str, object] | None = None, *, let: Mapping[str, object] | None = None, **fields) -> Step:
    return step(step_id, SetState(updates=_named(updates or {}), let=_named(let or {})), **fields)


def condition(step_id: str, test: object, then: Sequence[Step] = (), otherwise: Sequence[Step] = (), **fields) -> Step:
    return step(step_id, Condition(test=x(test), then=tuple(then), otherwise=tuple(otherwise)), **fields)


def foreach(step_id: str, items: object, *, task: str | None = None, do: Sequence[Step] = (), inputs=None, output=..., **fields) -> Step:
    own = {
        name: fields.pop(name)
        for name in ("item_name", "agent", "max_parallel", "sequential", "on_item_error", "items_max", "min_success", "min_success_percent")
        if name in fields
    }
    spec = Foreach(
        items=x(items),
        task=task,
        do=tuple(do),
        inputs=_named(inputs) if inputs is not None else None,
        output=x(output) if output is not ... else None,
        **own,
    )
    return step(step_id, spec, **fields)


def switch(step_id: str, value: object, cases: Mapping[str, Sequence[Step]], default: Sequence[Step] = (), **fields) -> Step:
    spec = Switch(value=x(value), cases={name: tuple(steps) for name, steps in cases.items()}, default=tuple(default))
    return step(step_id, spec, **fields)


def parallel(step_id: str, branches: Mapping[str, Sequence[Step]], need: int = 0, **fields) -> Step:
    return step(step_id, Parallel(branches={name: tuple(steps) for name, steps in branches.items()}, need=need), **fields)


def while_(step_id: str, test: object, do: Sequence[Step], most: int = 5, on_limit="fail", **fields) -> Step:
    return step(step_id, While(condition=x(test), do=tuple(do), max_iterations=most, on_limit=on_limit), **fields)


def repeat(step_id: str, until: object, do: Sequence[Step], most: int = 5, on_limit="fail", **fields) -> Step:
    return step(step_id, Repeat(until=x(until), do=tuple(do), max_iterations=most, on_limit=on_limit), **fields)


def break_(step_id: str = "b", **fields) -> Step:
    return step(step_id, Break(), **fields)


def continue_(step_id: str = "c", **fields) -> Step:
    return step(step_id, Continue(), **fields)


def goto(step_id: str, target: str, most: int = 2, **fields) -> Step:
    return step(step_id, Goto(target=target, max_visits=most), **fields)


def wait(step_id: str, *, ms: int | None = None, until=None, signal=None, payload: Json = None, **fields) -> Step:
    spec = Wait(duration_ms=ms, until=x(until) if until is not None else None, signal=signal, payload=payload)
    return step(step_id, spec, **fields)


def fail(step_id: str, message: object = "so it is", error_class: str = "failed", status="failed", **fields) -> Step:
    return step(step_id, Fail(message=x(message), error_class=error_class, status=status), **fields)


def http(step_id: str, url: object = "http://host/", **fields) -> Step:
    return step(step_id, Http(url=x(url)), **{"effect": "read", **fields})


def merge(step_id: str, source: str, strategy="merge", **fields) -> Step:
    return step(step_id, Merge(source=source, strategy=strategy), **{"effect": "write", "repeatable": True, **fields})


def shell(step_id: str, command: object = "true", **fields) -> Step:
    return step(step_id, Shell(command=x(command)), **{"effect": "write", **fields})


def function(step_id: str, name: str, parameters: object = None, **fields) -> Step:
    return step(step_id, Function(function=name, version="1", parameters=x(parameters or {})), **fields)


def run(step_id: str, child: str, inputs: Mapping[str, object] | None = None, *, close_policy="cancel", detach=False, **fields) -> Step:
    spec = Run(workflow=child, inputs=_named(inputs or {}), close_policy=close_policy, detach=detach)
    return step(step_id, spec, **{"effect": "write", "repeatable": True, **fields})


def ret(step_id: str, value: object = None, **fields) -> Step:
    return step(step_id, Return(value=x(value)), **fields)


def task(*steps: Step, inputs=None, initial_state=None, output=..., state_schema=None, budget=None) -> Task:
    """A list of steps with its own state; `inputs` maps names to JSON Schemas with `required` and `default`."""
    return Task(
        steps=steps,
        inputs=dict(inputs or {}),
        initial_state=_named(initial_state or {}),
        state_schema=state_schema,
        budget=Budget(**budget) if budget is not None else None,
        output=x(output) if output is not ... else None,
    )


def workflow(
    *steps: Step, name: str = "test", tasks: Mapping[str, Task] | None = None, final: Sequence[Step] = (), undo_on=("failed", "cancelled"),
    children: Mapping[str, Definition] | None = None, **scope,
) -> Definition:  # fmt: skip
    """A definition with these steps; `scope` takes what `task` takes."""
    return Definition(
        final_steps=tuple(final),
        undo_on=tuple(undo_on),
        children=dict(children or {}),
        name=name,
        main=task(*steps, **scope),
        language=LANGUAGE,
        semantics=SEMANTICS,
        tasks=dict(tasks or {}),
        functions={name: version for name, (version, _) in FUNCTIONS.items()},
    )


def without(definition: Definition, **fields) -> Definition:
    """The same definition with other fields."""
    return replace(definition, **fields)
