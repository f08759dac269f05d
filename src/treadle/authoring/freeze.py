"""A checked tree to a Definition: immutable, with the closure of its tasks, named by a digest (ruling 17).

Only what the core carries out can be frozen; `find` calls this when a tree has no errors and uses nothing that is still to be built.
Comments, positions and the form of the file leave no trace: the same meaning gives the same digest.
"""

from collections.abc import Callable
from collections.abc import Mapping as Map
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

from treadle.authoring.check import effect_of, inferred_reads, is_repeatable
from treadle.authoring.tree import FileTree, StepTree, TaskTree
from treadle.core.codec import digest_of
from treadle.core.definition import (
    LANGUAGE,
    Approve,
    Condition,
    Definition,
    Delegate,
    Effect,
    Foreach,
    McpCall,
    OnError,
    Performer,
    Prompt,
    Retry,
    Return,
    SetState,
    Spec,
    Step,
    Task,
)  # fmt: skip
from treadle.core.errors import RETRY_DEFAULT
from treadle.core.expr import Expr, const
from treadle.core.semantics import SEMANTICS
from treadle.core.values import Json

__all__ = ["Part", "TaskKeys", "digest_of", "freeze", "functions_of"]
_PERFORMERS: Final[dict[str, Performer]] = {"prompt": "human", "approve": "human", "delegate": "agent"}


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


def freeze(main: Part, tasks: list[Part], tool_effects: Map[str, str] | None = None) -> Definition:
    """Build the definition. `tool_effects` says what tools do as the configuration confirms it (ruling 20), by `server.tool`."""
    effects = tool_effects or {}
    frozen = {part.key: _task(part, effects) for part in tasks}
    main_task = _task(main, effects)
    fields = main.file.fields
    return Definition(
        name=main.file.name,
        version=cast(str, fields.get("version", "0.0.0")),
        description=cast(str, fields.get("description", "")),
        main=main_task,
        language=LANGUAGE,
        semantics=SEMANTICS,
        tasks=frozen,
        functions=dict(sorted(functions_of([main, *tasks]).items())),
        secrets=secrets_of([main, *tasks]),
    )


def functions_of(parts: list[Part]) -> dict[str, str]:
    """Give name and version of every registered function that is called."""
    found: dict[str, str] = {}
    for part in parts:
        for use in (*part.task.uses, *(use for step in _all_steps(part.task) for use in step.uses)):
            for call in use.expr.calls:
                found[call.function] = call.version
    return found


def secrets_of(parts: list[Part]) -> tuple[str, ...]:
    """Give the names of the secrets that steps are given, sorted."""
    reads = (read for part in parts for step in _all_steps(part.task) for use in step.uses for read in use.expr.reads)
    return tuple(sorted({read.removeprefix("secrets.") for read in reads if read.startswith("secrets.")}))


def _all_steps(task: TaskTree) -> list[StepTree]:
    found: list[StepTree] = []
    pending = list(reversed(task.steps))
    while pending:
        step = pending.pop()
        found.append(step)
        pending += [below for steps in step.lists.values() for below in steps]
    return found


def _task(part: Part, effects: Map[str, str]) -> Task:
    fields = part.task.fields
    freezer = _Freezer(part.key_of, effects)
    return Task(
        steps=freezer.steps(part.task.steps),
        inputs=cast(dict[str, dict[str, Json]], fields.get("inputs", {})),
        initial_state=tuple(part.task.exprs("initial_state")),
        state_schema=cast("dict[str, Json] | None", fields.get("state_schema")),
        output=cast("Expr | None", fields.get("output")),
    )


class _Freezer:
    def __init__(self, key_of: TaskKeys, effects: Map[str, str]) -> None:
        self.key_of = key_of
        self.effects = effects

    def steps(self, steps: list[StepTree]) -> tuple[Step, ...]:
        return tuple(self.step(step) for step in steps)

    def step(self, step: StepTree) -> Step:
        fields: dict[str, Any] = step.fields
        build = _SPECS[step.type]
        needs = fields.get("needs_state")
        return Step(
            id=step.id,
            spec=build(self, step, fields),
            description=fields.get("description", ""),
            when=fields.get("when"),
            needs_state=tuple(needs) if needs is not None else inferred_reads(step),
            output_to=fields.get("output_to"),
            timeout_ms=fields.get("timeout"),
            within_ms=fields.get("within"),
            retry=_retry(fields.get("retry")),
            on_error=self._on_error(step),
            effect=cast(Effect, effect_of(step, self.effects)),
            repeatable=is_repeatable(step, self.effects),
            performer=fields.get("performer", _PERFORMERS.get(step.type, "server")),
        )

    def _on_error(self, step: StepTree) -> OnError:
        written = step.fields.get("on_error")
        if written == "continue":
            return OnError(policy="continue")
        if isinstance(written, dict):
            if "do" in written:
                return OnError(policy="do", steps=self.steps(step.lists.get("on_error", [])))
            return OnError(policy="fallback", fallback=written["fallback"])
        return OnError()


def _retry(written: dict[str, Any] | None) -> Retry | None:
    if written is None:
        return None
    found = Retry(attempts=written["attempts"], on=tuple(written.get("on", RETRY_DEFAULT)))
    backoff_ms = written.get("backoff", found.backoff_ms)
    return Retry(
        attempts=found.attempts, on=found.on, backoff_ms=backoff_ms,
        max_backoff_ms=max(backoff_ms, written.get("max_backoff", max(found.max_backoff_ms, backoff_ms))),
    )  # fmt: skip


def _prompt(_: _Freezer, _step: StepTree, fields: dict[str, Any]) -> Spec:
    names = ("format", "options", "multiple", "fields", "default", "pattern", "min_length", "max_length")
    return Prompt(message=fields["message"], **{name: fields[name] for name in names if name in fields})


def _approve(freezer: _Freezer, step: StepTree, fields: dict[str, Any]) -> Spec:
    by = fields.get("by", {})
    written = fields.get("on_reject", "fail")
    return Approve(
        show=fields["show"],
        users=tuple(by.get("user", ())),
        never=tuple(by.get("never", ())),
        on_reject="do" if isinstance(written, dict) else written,
        reject_steps=freezer.steps(step.lists.get("on_reject", [])),
    )


def _delegate(_: _Freezer, _step: StepTree, fields: dict[str, Any]) -> Spec:
    return Delegate(
        instructions=fields["instructions"],
        agent=fields.get("agent"),
        output=fields.get("output"),
        repair=fields.get("repair", 2),
    )


def _mcp_call(_: _Freezer, _step: StepTree, fields: dict[str, Any]) -> Spec:
    return McpCall(tool=fields["tool"], parameters=fields.get("parameters", const({})))


def _set_state(_: _Freezer, _step: StepTree, fields: dict[str, Any]) -> Spec:
    return SetState(updates=tuple(fields["updates"]), let=tuple(fields.get("let", ())))


def _condition(freezer: _Freezer, step: StepTree, fields: dict[str, Any]) -> Spec:
    return Condition(
        test=fields["if"],
        then=freezer.steps(step.lists.get("then", [])),
        otherwise=freezer.steps(step.lists.get("else", [])),
    )


def _foreach(freezer: _Freezer, step: StepTree, fields: dict[str, Any]) -> Spec:
    names = ("agent", "max_parallel", "sequential", "on_item_error", "output")
    return Foreach(
        items=fields["items"],
        task=freezer.key_of(step) if "task" in fields else None,
        do=freezer.steps(step.lists.get("do", [])),
        inputs=tuple(fields["inputs"]) if "inputs" in fields else None,
        item_name=fields.get("as"),
        **{name: fields[name] for name in names if name in fields},
    )


def _return(_: _Freezer, _step: StepTree, fields: dict[str, Any]) -> Spec:
    return Return(value=fields["value"])


_SPECS: Final[dict[str, Callable[[_Freezer, StepTree, dict[str, Any]], Spec]]] = {
    "prompt": _prompt, "approve": _approve, "delegate": _delegate, "mcp_call": _mcp_call, "set_state": _set_state,
    "condition": _condition, "foreach": _foreach, "return": _return,
}  # fmt: skip
