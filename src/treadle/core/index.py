"""The index of a definition: in one look-up what `advance` asks all the time. Derived from the definition, never stored."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, cast

from treadle.core import limits
from treadle.core.definition import Approve, Budget, Condition, Definition, Foreach, Merge, Parallel, Repeat, Step, Switch, Task, While
from treadle.core.errors import RequestError
from treadle.core.expr import Expr
from treadle.core.ids import join, suffix_of
from treadle.core.records import names_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """What is looked up on every transition: steps by list address, the step of an address, the task of a scope, ids that are read."""

    lists: dict[str, tuple[Step, ...]]
    steps: dict[str, Step]
    scopes: dict[str, Task]
    read_ids: frozenset[str]

    @staticmethod
    def of(definition: Definition) -> "Index":
        """Walk the definition once; a task stands once under each foreach that uses it."""
        index = Index(lists={}, steps={}, scopes={"": definition.main}, read_ids=frozenset(_read_ids(definition)))
        _index_list(definition, index, "", definition.main.steps)
        _index_list(definition, index, FINALLY, definition.final_steps)
        return index


FINALLY: Final = "finally"
"""The list that a file's own `finally` is."""


def child_lists(step: Step) -> Iterator[tuple[str, tuple[Step, ...]]]:
    """Give each list of steps that a step holds, with the suffix that names it; a foreach's task is not among them (language.md §9)."""
    match step.spec:
        case Condition(then=then, otherwise=otherwise):
            yield ".then", then
            yield ".else", otherwise
        case Switch(cases=cases, default=default):
            yield from (("." + suffix_of(name), steps) for name, steps in cases.items())
            yield ".default", default
        case Parallel(branches=branches):
            yield from (("." + suffix_of(name), steps) for name, steps in branches.items())
        case Foreach(task=None, do=do) | While(do=do) | Repeat(do=do):
            yield "[]", do
        case Approve(on_reject="do", reject_steps=steps):
            yield ".on_reject", steps
        case _:
            pass
    if step.on_error.policy == "do":
        yield ".on_error", step.on_error.steps
    yield from ((s, steps) for s, steps in ((".finally", step.final_steps), (".undo", step.undo), (".read_back", step.read_back)) if steps)


def _index_list(definition: Definition, index: Index, at: str, steps: tuple[Step, ...]) -> None:
    if len(index.steps) > limits.DEFINITION_STEPS_MAX or at.count("[]") > limits.TASK_DEPTH_MAX:
        message = f"`{definition.name}` unfolds to more than {limits.DEFINITION_STEPS_MAX} steps, or its tasks go round in a circle"
        raise RequestError(message, code="definition_too_large", hint="divide it, or break the circle of tasks")
    index.lists[at] = steps
    for step in steps:
        step_at = join(at, step.id)
        index.steps[step_at] = step
        for suffix, children in child_lists(step):
            _index_list(definition, index, step_at + suffix, children)
        if isinstance(step.spec, Foreach) and step.spec.task is not None:
            task = definition.tasks[step.spec.task]
            index.scopes[step_at + "[]"] = task
            _index_list(definition, index, step_at + "[]", task.steps)


def expressions(step: Step) -> list[Expr]:
    """Give every expression that a step itself holds; those of its lists are theirs."""
    found: list[Expr] = []
    for name in names_of(Step):
        _collect(getattr(step, name), found)
    return found


def _collect(record: object, found: list[Expr]) -> None:
    if isinstance(record, Expr):
        found.append(record)
    elif isinstance(record, tuple):
        for part in cast(tuple[object, ...], record):
            _collect(part, found)
    elif record and not isinstance(record, str | Step):  # most fields are not used by a step
        for name in names_of(type(record)):
            _collect(getattr(record, name), found)


def walk(steps: tuple[Step, ...]) -> Iterator[Step]:
    """Give every step of a list and of the lists below it, in reading order; tasks are not entered."""
    for step in steps:
        yield step
        for _, children in child_lists(step):
            yield from walk(children)


def _read_ids(definition: Definition) -> Iterator[str]:
    for task in (definition.main, *definition.tasks.values()):
        sources = [expr for _, expr in task.initial_state] + ([task.output] if task.output else [])
        steps = (*task.steps, *definition.final_steps) if task is definition.main else task.steps
        for step in walk(steps):
            sources += expressions(step)
            if isinstance(step.spec, Merge):
                yield step.spec.source.replace("-", "_")
        for expr in sources:
            for read in expr.reads:
                if read.startswith("steps"):
                    yield read.split(".")[1].replace("-", "_") if "." in read else "*"


def budget_at(definition: Definition, at: str) -> Budget:
    """Give the budget of the owner at an address: the run, a task's round, or a step."""
    task, step = definition.index.scopes.get(at), definition.index.steps.get(at)
    return (task.budget if task is not None else step.budget if step is not None else None) or Budget()
