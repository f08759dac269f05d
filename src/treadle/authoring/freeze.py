"""A checked tree to a Definition: immutable, with the closure of its tasks, named by a digest (ruling 17).

Only what the core carries out can be frozen; `find` calls this when a tree has no errors and uses nothing that is still to be built.
Comments, positions and the form of the file leave no trace: the same meaning gives the same digest.
"""

from collections.abc import Mapping as Map
from dataclasses import dataclass
from typing import Protocol, cast

from treadle.authoring.freeze_steps import StepFreezer, budget
from treadle.authoring.tree import FileTree, StepTree, TaskTree
from treadle.core import limits as caps
from treadle.core.codec import digest_of
from treadle.core.definition import LANGUAGE, Definition, Limits, Task
from treadle.core.expr import MOVES_DEFAULT, Expr
from treadle.core.semantics import SEMANTICS
from treadle.core.values import Json

__all__ = ["Part", "TaskKeys", "digest_of", "freeze", "functions_of"]


class TaskKeys(Protocol):
    """Says under which key of the definition a task's name is found."""

    def __call__(self, step: StepTree) -> str:
        """Give the key of the task that a foreach names."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A task of the closure: its key in the definition, where it was read, and how its own names resolve."""

    key: str
    task: TaskTree
    file: FileTree
    key_of: TaskKeys


def freeze(
    main: Part, tasks: list[Part], tool_effects: Map[str, str] | None = None, children: Map[str, Definition] | None = None
) -> Definition:
    """Build the definition. `tool_effects` says what tools do as the configuration confirms it (ruling 20), by `server.tool`.

    `children` are the workflows that its `run` steps start, by key.
    """
    effects = tool_effects or {}
    frozen = {part.key: _task(part, effects) for part in tasks}
    main_task = _task(main, effects)
    fields = main.file.fields if main.task is main.file.main else main.task.fields
    functions = functions_of([main, *tasks])
    return Definition(
        name=main.file.name if main.task is main.file.main else f"{main.file.name}/{main.task.name}",
        version=cast(str, fields.get("version", "0.0.0")),
        description=cast(str, fields.get("description", "")),
        main=main_task,
        language=LANGUAGE,
        semantics=SEMANTICS,
        tasks=frozen,
        functions=dict(sorted(functions.items())),
        children=dict(children or {}),
        final_steps=StepFreezer(main.key_of, effects, main.file.visible).steps(main.task.finally_steps),
        undo_on=tuple(cast(list[str], fields.get("undo_on", ["failed", "cancelled"]))),
        limits=_limits(cast(dict[str, int], fields.get("limits", {}))),
        secrets=secrets_of([main, *tasks]),
    )


def functions_of(parts: list[Part]) -> dict[str, str]:
    """Give name and version of every registered function that is called."""
    found: dict[str, str] = {}
    for part in parts:
        for use in (*part.task.uses, *(use for step in _all_steps(part.task) for use in step.uses)):
            for call in use.expr.calls:
                found[call.function] = call.version
        for step in _all_steps(part.task):
            name = step.fields.get("function") if step.type == "function" else None
            if isinstance(name, str) and name in part.file.visible:
                found[name] = part.file.visible[name].version
    return found


def _limits(given: dict[str, int]) -> Limits:
    return Limits(
        depth_max=given.get("max_depth", caps.CHILD_DEPTH_MAX), open_items_max=given.get("max_open_items", caps.OPEN_ITEMS_MAX),
        moves_max=given.get("max_moves", caps.RUN_MOVES_MAX), expression_moves_max=given.get("expression_moves", MOVES_DEFAULT),
    )  # fmt: skip


def secrets_of(parts: list[Part]) -> tuple[str, ...]:
    """Give the names of the secrets that steps are given, sorted."""
    reads = (read for part in parts for step in _all_steps(part.task) for use in step.uses for read in use.expr.reads)
    return tuple(sorted({read.removeprefix("secrets.") for read in reads if read.startswith("secrets.")}))


def _all_steps(task: TaskTree) -> list[StepTree]:
    found: list[StepTree] = []
    pending = list(reversed([*task.steps, *task.finally_steps]))
    while pending:
        step = pending.pop()
        found.append(step)
        pending += [below for steps in step.lists.values() for below in steps]
    return found


def _task(part: Part, effects: Map[str, str]) -> Task:
    fields = part.task.fields
    limits = cast(dict[str, int], part.file.fields.get("limits", {}))
    freezer = StepFreezer(part.key_of, effects, part.file.visible, limits.get("max_items", 10_000))
    return Task(
        budget=budget(fields.get("budget")),
        steps=freezer.steps(part.task.steps),
        inputs=cast(dict[str, dict[str, Json]], fields.get("inputs", {})),
        initial_state=tuple(part.task.exprs("initial_state")),
        state_schema=cast("dict[str, Json] | None", fields.get("state_schema")),
        output=cast("Expr | None", fields.get("output")),
    )
