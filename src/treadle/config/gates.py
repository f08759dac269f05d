"""Which gates a run could come to: all of its definition, but those in branches that its inputs rule out.

Inputs never change while a run lives. So a `when` or an `if` that reads nothing else is decided before the run begins, and what stands behind it
is then no gate of this run: a workflow may have one that needs people whom not every project has (ruling 26). Any other condition is taken
to be able to go either way.
"""

from collections.abc import Iterator, Mapping

from treadle.core.definition import Approve, By, Condition, Definition, Step
from treadle.core.expr import Env, Expr, ExprError, evaluate
from treadle.core.index import child_lists
from treadle.core.schema_bind import bind_inputs
from treadle.core.values import Value

Inputs = Mapping[str, Value]


def gates_of(definition: Definition, given: Inputs | None) -> Iterator[tuple[Step, By]]:
    """Give every gate of a definition, of its tasks and of the workflows that it runs. Without `given` no branch is ruled out."""
    bound: Inputs | None = None
    if given is not None:
        bound, _ = bind_inputs(definition.main, given, lambda value: value)
    for steps in (definition.main.steps, definition.final_steps):
        yield from _gates(steps, bound)
    for task in definition.tasks.values():
        yield from _gates(task.steps, None)
    for child in definition.children.values():
        yield from gates_of(child, None)


def _gates(steps: tuple[Step, ...], inputs: Inputs | None) -> Iterator[tuple[Step, By]]:
    for step in steps:
        if step.when is not None and _decided(step.when, inputs) is False:
            continue
        if isinstance(step.spec, Approve):
            yield step, step.spec.by
        if step.requires is not None and step.requires.by is not None:
            yield step, step.requires.by
        chosen = _decided(step.spec.test, inputs) if isinstance(step.spec, Condition) else None
        for suffix, below in child_lists(step):
            if chosen is None or suffix != (".else" if chosen else ".then"):
                yield from _gates(below, inputs)


def _decided(test: Expr, inputs: Inputs | None) -> bool | None:
    """Give what a condition comes to in this run; None where more than inputs decides."""
    if inputs is None or test.calls or not all(read == "inputs" or read.startswith(("inputs.", "inputs[")) for read in test.reads):
        return None
    try:
        return bool(evaluate(test, Env(names={"inputs": dict(inputs)})))
    except ExprError:
        return None
