"""A definition: a workflow loaded, checked and frozen; immutable data, named by its digest (rulings 17, 4).

Everything an expression may stand in is an `Expr`, a constant included. `Index` answers in one look-up what `advance` asks all the
time: which steps a list holds, and whose records some expression reads. It is derived, never stored.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from treadle.core import limits
from treadle.core.errors import RETRY_DEFAULT, RequestError
from treadle.core.expr import Expr
from treadle.core.ids import join
from treadle.core.values import Json

LANGUAGE: Final = 1
Effect = Literal["none", "read", "write", "send", "pay", "destroy"]
EFFECTS: Final[tuple[Effect, ...]] = ("none", "read", "write", "send", "pay", "destroy")
Performer = Literal["server", "agent", "headless", "human"]
PromptFormat = Literal["text", "info", "confirm", "choice", "form"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """Ask whoever drives the run. `fields` is a JSON Schema's `properties` of a form."""

    message: Expr
    format: PromptFormat = "text"
    options: Expr | None = None
    multiple: bool = False
    fields: dict[str, Json] | None = None
    default: Expr | None = None
    pattern: str | None = None
    min_length: int | None = None
    max_length: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Approve:
    """Ask a person to decide about exactly what is shown (ruling 26)."""

    show: Expr
    users: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    assurance: Literal["local"] = "local"
    on_reject: Literal["fail", "continue", "do"] = "fail"
    reject_steps: tuple["Step", ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegate:
    """Have an agent do it. `output` is a JSON Schema of the answer; `repair` counts refused answers that may be mended."""

    instructions: Expr
    agent: str | None = None
    output: Json = None
    repair: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class McpCall:
    """Call a tool, named `server.tool`, of a configured MCP server."""

    tool: str
    parameters: Expr


@dataclass(frozen=True, slots=True, kw_only=True)
class SetState:
    """Write fields, in order, all or none; `let` names values that are not stored."""

    updates: tuple[tuple[str, Expr], ...]
    let: tuple[tuple[str, Expr], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Choose one of two lists."""

    test: Expr
    then: tuple["Step", ...] = ()
    otherwise: tuple["Step", ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreach:
    """Do a task (own state) or a list of steps (the parent's state) per item. `inputs` of None maps the item to the one required input."""

    items: Expr
    task: str | None = None
    do: tuple["Step", ...] = ()
    inputs: tuple[tuple[str, Expr], ...] | None = None
    item_name: str | None = None
    agent: str | None = None
    max_parallel: int = 10
    sequential: bool = False
    on_item_error: Literal["fail", "collect"] = "fail"
    output: Expr | None = None
    items_max: int = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Return:
    """End the task or run that holds it, with a value."""

    value: Expr


Spec = Prompt | Approve | Delegate | McpCall | SetState | Condition | Foreach | Return


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Try again after failures of the classes in `on`; `attempts` is the total, the wait is drawn from 0 to the doubled backoff."""

    attempts: int
    backoff_ms: int = 1_000
    max_backoff_ms: int = 60_000
    on: tuple[str, ...] = RETRY_DEFAULT


@dataclass(frozen=True, slots=True, kw_only=True)
class OnError:
    """What a failure that is not retried does to the run (language.md §2)."""

    policy: Literal["fail", "continue", "fallback", "do"] = "fail"
    fallback: Expr | None = None
    steps: tuple["Step", ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One node of a workflow: what every step may say, and `spec`, which says what it is."""

    id: str
    spec: Spec
    description: str = ""
    when: Expr | None = None
    needs_state: tuple[str, ...] | None = None
    output_to: str | None = None
    timeout_ms: int | None = None
    within_ms: int | None = None
    retry: Retry | None = None
    on_error: OnError = OnError()
    effect: Effect = "none"
    repeatable: bool = False
    performer: Performer = "server"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A list of steps with its own inputs and state. `inputs` maps a name to a JSON Schema plus `required` and `default`."""

    steps: tuple[Step, ...]
    inputs: dict[str, dict[str, Json]] = field(default_factory=dict[str, dict[str, Json]])
    initial_state: tuple[tuple[str, Expr], ...] = ()
    state_schema: dict[str, Json] | None = None
    output: Expr | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A frozen workflow with the closure of its tasks. `functions` pins name to version; `semantics` is in `semantics.py`.

    `secrets` are the names of those that some step is given, sorted.
    """

    name: str
    main: Task
    language: int
    semantics: int
    version: str = "0.0.0"
    description: str = ""
    tasks: dict[str, Task] = field(default_factory=dict[str, Task])
    functions: dict[str, str] = field(default_factory=dict[str, str])
    secrets: tuple[str, ...] = ()
    index: "Index" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Derive the index once."""
        object.__setattr__(self, "index", Index.of(self))


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
        return index


def child_lists(step: Step) -> Iterator[tuple[str, tuple[Step, ...]]]:
    """Give each list of steps that a step holds, with the suffix that names it; a foreach's task is not among them."""
    match step.spec:
        case Condition(then=then, otherwise=otherwise):
            yield ".then", then
            yield ".else", otherwise
        case Foreach(task=None, do=do):
            yield "[]", do
        case Approve(on_reject="do", reject_steps=steps):
            yield ".on_reject", steps
        case _:
            pass
    if step.on_error.policy == "do":
        yield ".on_error", step.on_error.steps


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


def expressions(step: Step) -> Iterator[Expr]:
    """Give every expression that a step itself holds, in reading order; those of its lists are theirs."""
    yield from (e for e in (step.when,) if e is not None)
    match step.spec:
        case Prompt(message=message, options=options, default=default):
            yield from (e for e in (message, options, default) if e is not None)
        case Approve(show=expr) | Delegate(instructions=expr) | McpCall(parameters=expr):
            yield expr
        case Condition(test=expr) | Return(value=expr):
            yield expr
        case SetState(updates=updates, let=let):
            yield from (expr for _, expr in (*let, *updates))
        case Foreach(items=items, inputs=inputs, output=output):
            yield items
            yield from (expr for _, expr in inputs or ())
            yield from (e for e in (output,) if e is not None)
    yield from (e for e in (step.on_error.fallback,) if e is not None)


def walk(steps: tuple[Step, ...]) -> Iterator[Step]:
    """Give every step of a list and of the lists below it, in reading order; tasks are not entered."""
    for step in steps:
        yield step
        for _, children in child_lists(step):
            yield from walk(children)


def _read_ids(definition: Definition) -> Iterator[str]:
    for task in (definition.main, *definition.tasks.values()):
        sources = [expr for _, expr in task.initial_state] + ([task.output] if task.output else [])
        for step in walk(task.steps):
            sources += expressions(step)
        for expr in sources:
            for read in expr.reads:
                if read.startswith("steps"):
                    yield read.split(".")[1].replace("-", "_") if "." in read else "*"
