"""A definition: a workflow loaded, checked and frozen; immutable data, named by its digest (rulings 17, 4).

Everything an expression may stand in is an `Expr`, a constant included. What `advance` looks up all the time is derived in `index`.
"""

from dataclasses import field
from typing import TYPE_CHECKING, Final, Literal

from treadle.core import limits
from treadle.core.errors import RETRY_DEFAULT
from treadle.core.expr import MOVES_DEFAULT, Expr
from treadle.core.records import Record
from treadle.core.values import Json

if TYPE_CHECKING:
    from treadle.core.index import Index

LANGUAGE: Final = 1
Effect = Literal["none", "read", "write", "send", "pay", "destroy"]
EFFECTS: Final[tuple[Effect, ...]] = ("none", "read", "write", "send", "pay", "destroy")
Performer = Literal["server", "agent", "headless", "human"]
PromptFormat = Literal["text", "info", "confirm", "choice", "form"]
Assurance = Literal["relayed", "local", "proven"]
ClosePolicy = Literal["cancel", "wait", "abandon"]


class Prompt(Record):
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


class By(Record):
    """Who may decide (ruling 26): any of `users` and `roles`, without either any person; `count` of them, each once.

    `never` holds names and `starter`; `distinct_from` ids of gates whose deciders may not decide this one.
    """

    users: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    distinct_from: tuple[str, ...] = ()
    count: int = 1


class Approve(Record):
    """Ask a person to decide about exactly what is shown (ruling 26)."""

    show: Expr
    by: By = By()
    assurance: Assurance = "local"
    on_reject: Literal["fail", "continue", "do"] = "fail"
    reject_steps: tuple["Step", ...] = ()


class Delegate(Record):
    """Have an agent do it. `output` is a JSON Schema of the answer."""

    instructions: Expr
    agent: str | None = None
    output: Json = None


class McpCall(Record):
    """Call a tool, named `server.tool`, of a configured MCP server."""

    tool: str
    parameters: Expr


class Http(Record):
    """Send a request; `ok_status` of () means 200 to 299."""

    url: Expr
    method: str = "GET"
    headers: Expr | None = None
    query: Expr | None = None
    json: Expr | None = None
    body: Expr | None = None
    ok_status: tuple[int, ...] = ()


class Shell(Record):
    """Run a command: a list without a shell, a text in one."""

    command: Expr
    env: Expr | None = None
    working_dir: Expr | None = None
    ok_exit: tuple[int, ...] = (0,)
    parse: Literal["text", "json", "lines"] = "text"


class Function(Record):
    """Call a registered function as a step of its own."""

    function: str
    version: str
    parameters: Expr


class Run(Record):
    """Start a run of another workflow, named by its key among the definition's children."""

    workflow: str
    inputs: tuple[tuple[str, Expr], ...] = ()
    close_policy: ClosePolicy = "cancel"
    detach: bool = False


class Merge(Record):
    """Merge what was changed in the worktrees of a step, in their order. `strategy` says what becomes of lines that both changed."""

    source: str
    strategy: Literal["merge", "ours", "theirs", "union"] = "merge"


class SetState(Record):
    """Write fields, in order, all or none; `let` names values that are not stored."""

    updates: tuple[tuple[str, Expr], ...]
    let: tuple[tuple[str, Expr], ...] = ()


class Condition(Record):
    """Choose one of two lists."""

    test: Expr
    then: tuple["Step", ...] = ()
    otherwise: tuple["Step", ...] = ()


class Foreach(Record):
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
    min_success: int = 0
    min_success_percent: int = 0
    output: Expr | None = None
    items_max: int = 10_000


class Switch(Record):
    """Choose the list whose name is the value as text."""

    value: Expr
    cases: dict[str, tuple["Step", ...]]
    default: tuple["Step", ...] = ()


class Parallel(Record):
    """Do several lists at once; it is done when `need` of them have succeeded. 0 means all."""

    branches: dict[str, tuple["Step", ...]]
    need: int = 0


class While(Record):
    """Repeat while a condition holds, asked before each round."""

    condition: Expr
    do: tuple["Step", ...]
    max_iterations: int
    on_limit: Literal["fail", "continue"] = "fail"


class Repeat(Record):
    """Repeat until a condition holds, asked after each round, which it can see."""

    until: Expr
    do: tuple["Step", ...]
    max_iterations: int
    on_limit: Literal["fail", "continue"] = "fail"


class Break(Record):
    """Leave the innermost loop."""


class Continue(Record):
    """Go on with the next round of the innermost loop."""


class Goto(Record):
    """Go on at another step of this list or of an enclosing one; taken at most `max_visits` times while that list lives."""

    target: str
    max_visits: int


class Wait(Record):
    """Wait for a time, an instant, or a signal; exactly one of the three is there."""

    duration_ms: int | None = None
    until: Expr | None = None
    signal: str | None = None
    payload: Json = None


class Return(Record):
    """End the task or run that holds it, with a value."""

    value: Expr


class Fail(Record):
    """Fail, with a class of the author's choice."""

    message: Expr
    error_class: str = "failed"
    status: Literal["failed", "goal_not_met"] = "failed"


Spec = (
    Prompt | Approve | Delegate | McpCall | Http | Shell | Function | Run | Merge | SetState | Condition | Switch | Foreach | Parallel
    | While | Repeat | Break | Continue | Goto | Wait | Return | Fail
)  # fmt: skip


class Retry(Record):
    """Try again after failures of the classes in `on`; `attempts` is the total, the wait is drawn from 0 to the doubled backoff."""

    attempts: int
    backoff_ms: int = 1_000
    max_backoff_ms: int = 60_000
    on: tuple[str, ...] = RETRY_DEFAULT


class OnError(Record):
    """What a failure that is not retried does to the run (language.md §2)."""

    policy: Literal["fail", "continue", "fallback", "do"] = "fail"
    fallback: Expr | None = None
    steps: tuple["Step", ...] = ()


class Budget(Record):
    """What an owner may cost; 0 is no bound. `usd` is text, exact."""

    calls: int = 0
    tokens: int = 0
    usd: str = ""
    wall_ms: int = 0
    on_exceed: Literal["stop", "ask", "degrade"] = "stop"


class Cache(Record):
    """Use the result of the same work again: for `ttl_ms` (0: always), and with `commit` only at the same git commit."""

    ttl_ms: int = 0
    commit: bool = False


class FileCheck(Record):
    """Files that must be there; `changed`: since the step opened."""

    path: Expr
    changed: bool = False
    sha256: str = ""


class Check(Record):
    """One thing that Treadle itself makes sure of when an answer says that it is done; exactly one field is set (ruling 25).

    `message` may stand beside `expression`, and says what is wrong where that does not hold.
    """

    shell: Expr | None = None
    files: tuple[FileCheck, ...] = ()
    schema: Json = None
    expression: Expr | None = None
    message: Expr | None = None


class Requires(Record):
    """What must be approved before a step is dispatched: gates by id, or the call itself by whom `by` names (ruling 26)."""

    gates: tuple[str, ...] = ()
    by: By | None = None
    assurance: Assurance = "local"
    within_ms: int | None = None


class Step(Record):
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
    repair: int = 2
    key: Expr | None = None
    read_back: tuple["Step", ...] = ()
    requires: Requires | None = None
    verify: tuple[Check, ...] = ()
    cache: Cache | None = None
    budget: Budget | None = None
    isolation: bool = False
    final_steps: tuple["Step", ...] = ()
    undo: tuple["Step", ...] = ()


class Task(Record):
    """A list of steps with its own inputs and state. `inputs` maps a name to a JSON Schema plus `required` and `default`."""

    steps: tuple[Step, ...]
    budget: Budget | None = None
    inputs: dict[str, dict[str, Json]] = field(default_factory=dict[str, dict[str, Json]])
    initial_state: tuple[tuple[str, Expr], ...] = ()
    state_schema: dict[str, Json] | None = None
    output: Expr | None = None


class Limits(Record):
    """A workflow's own limits, below the engine's."""

    depth_max: int = limits.CHILD_DEPTH_MAX
    open_items_max: int = limits.OPEN_ITEMS_MAX
    moves_max: int = limits.RUN_MOVES_MAX
    expression_moves_max: int = MOVES_DEFAULT


class Definition(Record):
    """A frozen workflow with the closure of its tasks and child workflows, by key.

    `functions` pins name to version; `semantics` is in `semantics.py`; `undo_on` are the ends after which `undo` runs by itself.
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
    children: dict[str, "Definition"] = field(default_factory=dict[str, "Definition"])
    final_steps: tuple[Step, ...] = ()
    undo_on: tuple[str, ...] = ("failed", "cancelled")
    limits: Limits = Limits()
    secrets: tuple[str, ...] = ()
    index: "Index" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Derive the index once."""
        # The index is made of these records; it cannot be imported before they are there.
        from treadle.core.index import Index

        object.__setattr__(self, "index", Index.of(self))
