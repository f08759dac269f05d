"""Definitions by hand, for tests of engines: no file, no parser, only what the core itself knows.

An author writes YAML; `treadle.authoring` makes the same data from it. Here a case says in a few words what it needs, and does not depend on
the language's front end.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, Final, cast

from treadle.core.definition import (
    LANGUAGE,
    Approve,
    Budget,
    Condition,
    Definition,
    Delegate,
    Foreach,
    Limits,
    McpCall,
    OnError,
    Prompt,
    Return,
    Run,
    SetState,
    Step,
    Task,
)  # fmt: skip
from treadle.core.expr import Call, Expr, Node, const
from treadle.core.limits import CHILD_DEPTH_MAX
from treadle.core.semantics import SEMANTICS
from treadle.core.values import Json

Source = Expr | Json
"""An expression, or plain data that stands for itself."""

ANY: Final[dict[str, Json]] = {}


def read(path: str) -> Expr:
    """Read a dotted path: `state.answer`, `item`, `steps.ask.result`."""
    root, *keys = path.split(".")
    name: Node = ("name", root)
    return Expr(("path", name, *keys) if keys else name)


def text(*parts: str | Expr) -> Expr:
    """Join texts and expressions; at most one of them may call functions."""
    calls = [part.calls for part in parts if isinstance(part, Expr) and part.calls]
    assert len(calls) <= 1, "calls are numbered within one expression"
    return Expr(("text", *(part if isinstance(part, str) else part.tree for part in parts)), calls[0] if calls else ())


def equal(left: Expr, right: Source) -> Expr:
    """Compare."""
    return Expr(("cmp", left.tree, "==", expr(right).tree))


def joined(**fields: Source) -> Expr:
    """Give an object of named expressions."""
    pairs = [node for name, source in fields.items() for node in (const(name).tree, expr(source).tree)]
    return Expr(("dict", *pairs))


def called(function: str, *args: Source, version: str = "1") -> Expr:
    """Call a registered function and give its result."""
    call = Call(function=function, version=version, args=tuple(expr(arg).tree for arg in args))
    return Expr(("call", 0), (call,))


def expr(source: Source) -> Expr:
    """Make an expression of what may be plain data."""
    return source if isinstance(source, Expr) else const(source)


def workflow(
    *steps: Step, name: str = "case", inputs: dict[str, dict[str, Json]] | None = None, state: dict[str, Source] | None = None,
    tasks: dict[str, Task] | None = None, output: Source = None, functions: Sequence[str] = (),
    children: dict[str, Definition] | None = None, depth_max: int = CHILD_DEPTH_MAX, budget: Budget | None = None,
) -> Definition:  # fmt: skip
    """Freeze a workflow; `functions` are called in version 1."""
    main = replace(task(*steps, inputs=inputs, state=state, output=output), budget=budget)
    return Definition(
        name=name, main=main, language=LANGUAGE, semantics=SEMANTICS, tasks=tasks or {}, functions=dict.fromkeys(functions, "1"),
        children=children or {}, limits=Limits(depth_max=depth_max),
    )  # fmt: skip


def task(
    *steps: Step, inputs: dict[str, dict[str, Json]] | None = None, state: dict[str, Source] | None = None, output: Source = None
) -> Task:  # fmt: skip
    """Give a list of steps with a state of its own."""
    first = tuple((field, expr(source)) for field, source in (state or {}).items())
    return Task(steps=steps, inputs=inputs or {}, initial_state=first, output=expr(output) if output is not None else None)


def prompt(step_id: str, message: Source = "?", *, options: Source = None, **more: Any) -> Step:
    """Ask a person or whoever speaks for one."""
    own, common = _split(more, Prompt)
    spec = Prompt(message=expr(message), options=expr(options) if options is not None else None, **own)
    return Step(id=step_id, spec=spec, performer=common.pop("performer", "human"), **common)


def approve(step_id: str, show: Source = "this", **more: Any) -> Step:
    """Ask a person to decide."""
    own, common = _split(more, Approve)
    return Step(id=step_id, spec=Approve(show=expr(show), **own), performer="human", **common)


def delegate(step_id: str, instructions: Source = "do it", *, effect: str = "write", repeatable: bool = True, **more: Any) -> Step:
    """Have an agent do it; as in the language, it may be done again unless said otherwise."""
    own, common = _split(more, Delegate)
    spec = Delegate(instructions=expr(instructions), **own)
    return Step(id=step_id, spec=spec, performer="agent", effect=cast(Any, effect), repeatable=repeatable, **common)


def tool(step_id: str, name: str = "world.do", parameters: Source = None, *, effect: str = "write", **more: Any) -> Step:
    """Have the server call a tool."""
    spec = McpCall(tool=name, parameters=expr(parameters if parameters is not None else {}))
    return Step(id=step_id, spec=spec, effect=cast(Any, effect), **more)


def run(step_id: str, child: str, inputs: Mapping[str, Source] | None = None, **more: Any) -> Step:
    """Run another workflow."""
    own, common = _split(more, Run)
    spec = Run(workflow=child, inputs=tuple((name, expr(source)) for name, source in (inputs or {}).items()), **own)
    return Step(id=step_id, spec=spec, effect="write", repeatable=True, **common)


def assign(step_id: str, **updates: Source) -> Step:
    """Write fields of the state."""
    return Step(id=step_id, spec=SetState(updates=tuple((name, expr(source)) for name, source in updates.items())))


def choose(step_id: str, test: Expr, then: Sequence[Step] = (), otherwise: Sequence[Step] = ()) -> Step:
    """Take one of two lists."""
    return Step(id=step_id, spec=Condition(test=test, then=tuple(then), otherwise=tuple(otherwise)))


def each(step_id: str, items: Source, *, do: Sequence[Step] = (), output: Source = None, **more: Any) -> Step:
    """Do a task, or a list of steps, per item."""
    own, common = _split(more, Foreach)
    spec = Foreach(items=expr(items), do=tuple(do), output=expr(output) if output is not None else None, **own)
    return Step(id=step_id, spec=spec, **common)


def finish(value: Source, step_id: str = "finish") -> Step:
    """Return a value."""
    return Step(id=step_id, spec=Return(value=expr(value)))


def handled(*steps: Step) -> OnError:
    """Handle a failure with steps."""
    return OnError(policy="do", steps=steps)


def fallback(value: Source) -> OnError:
    """Go on with a value in place of a failure."""
    return OnError(policy="fallback", fallback=expr(value))


GO_ON: Final = OnError(policy="continue")


def _split(given: dict[str, Any], spec: type) -> tuple[dict[str, Any], dict[str, Any]]:
    """Part what belongs to the type of step from what every step may say."""
    names = {field.name for field in fields(spec)}
    return {k: v for k, v in given.items() if k in names}, {k: v for k, v in given.items() if k not in names}
