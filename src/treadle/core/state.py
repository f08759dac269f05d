"""The state of a run: frozen, JSON-encodable, holding only what is open.

Everything alive has a path. `nodes` are lists and steps in progress, `frames` what expressions see there, `actions` what was handed out
and not yet closed, `timers` when what is due. A thing that ended leaves these maps: cost follows what is open, not what has passed.
Values inside are shared and never changed in place.
"""

from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Final, Literal

from treadle.core.definition import Effect, Performer
from treadle.core.errors import Failure
from treadle.core.events import Usage
from treadle.core.records import Record
from treadle.core.values import BlobRef, Value

RunStatus = Literal["running", "cancelling", "undoing", "completed", "completed_degraded", "goal_not_met", "failed", "cancelled"]
ENDED: Final = frozenset({"completed", "completed_degraded", "goal_not_met", "failed", "cancelled"})
ActionStatus = Literal["open", "claimed", "verifying", "backoff", "stopping", "unknown"]
ACTION_STATES: Final = ("absent", "open", "claimed", "verifying", "backoff", "stopping", "unknown")
UndoStatus = Literal["", "done", "incomplete", "kept"]


class Outcome(Record):
    """How a list or block ends: `next` ends a round alone, `done` a block before its lists have, `lost` a branch that another one beat.

    `goto` leaves a block for the step named in `target`.
    """

    how: Literal["done", "fail", "cancel", "return", "next", "lost", "goto"]
    value: Value = None
    failure: Failure | None = None
    target: str | None = None


class StepEnd(Record):
    """What became of a step, kept while its `finally` runs. `goes_on` tells whether the list goes on: behind it, or at `target`."""

    status: Literal["completed", "skipped", "failed", "cancelled"]
    result: Value = None
    failure: Failure | None = None
    goes_on: bool = True
    target: str | None = None


class ListNode(Record):
    """A list of steps in progress. `results` are of registered functions called while it opens or gives its output.

    `closing` says how it ends as soon as nothing is open below it. `visits` counts the openings of steps that a goto came by, `taken` how often
    each goto into this list was taken. `last` is the result of the step that ended last, where the owner wants it; `tree` its own worktree,
    `end` how it ends once its work is kept.
    """

    path: str
    at: str
    owner: str | None
    frame: str
    cursor: int = 0
    phase: Literal["worktree", "opening", "running", "output"] = "running"
    results: tuple[Value, ...] = ()
    closing: Outcome | None = None
    tree: dict[str, Value] | None = None
    end: Outcome | None = None
    visits: dict[str, int] = field(default_factory=dict[str, int])
    taken: dict[str, int] = field(default_factory=dict[str, int])
    last: Value = None


StepPhase = Literal["opening", "worktree", "gate", "action", "block", "wait", "handler", "fallback", "read_back", "finally"]


class StepNode(Record):
    """A step in progress: `opening` while its fields are evaluated, then what its type is, then perhaps a handler and its `finally`.

    `params` is the rendering of an action that waits for its gate, `again` the one that the next follows on; `tree` a worktree of its own;
    `fan`, `loop` and `join` are of blocks, `wait` of a step that waits.
    """

    path: str
    at: str
    list_path: str
    frame: str
    phase: StepPhase = "opening"
    results: tuple[Value, ...] = ()
    failure: Failure | None = None
    closing: Outcome | None = None
    tree: dict[str, Value] | None = None
    params: dict[str, Value] | None = None
    again: "ActionState | None" = None
    fan: "Fan | None" = None
    loop: "Loop | None" = None
    join: "Join | None" = None
    wait: "Waiting | None" = None
    end: StepEnd | None = None


class Loop(Record):
    """The rounds of a `while` or `repeat`: how many have begun."""

    rounds: int = 0


class Join(Record):
    """The branches of a `parallel`: results of those that succeeded, in that order, and the failures of the others."""

    results: dict[str, Value] = field(default_factory=dict[str, Value])
    failures: dict[str, Failure] = field(default_factory=dict[str, Failure])
    trees: dict[str, Value] = field(default_factory=dict[str, Value])


class Waiting(Record):
    """What a `wait` waits for, since when."""

    since_ms: int
    until_ms: int | None = None
    signal: str | None = None


class Signal(Record):
    """A message to the run that no `wait` has taken yet."""

    name: str
    payload: Value
    by: str
    at_ms: int


class Approval(Record):
    """A gate's decision, for steps that require it: about what, by whom."""

    digest: str
    approved: bool
    by: tuple[str, ...]


class Spent(Record):
    """What an owner of a budget has used. `more` counts how often it was granted once more, `asked` that a person is asked to,
    `over` that the owner was stopped: what its `finally` does is counted and not refused. `usd` is exact. `calls_max` is what the run
    above allows; 0 is no bound."""

    at: str
    calls: int = 0
    tokens: int = 0
    usd: str = "0"
    more: int = 0
    asked: bool = False
    over: bool = False
    calls_max: int = 0


class UndoEntry(Record):
    """A completed visit that can be taken back: what its steps saw. `state` is of a task whose own is gone."""

    at: str
    steps: dict[str, Value]
    item: Value = None
    index: int | None = None
    count: int = 0
    item_name: str | None = None
    inputs: dict[str, Value] | None = None
    state: dict[str, Value] | None = None


class Ending(Record):
    """How the run ends when its `finally` and `undo` have run. `asked` says that a cancel was asked for while `undo` ran."""

    status: RunStatus
    value: Value = None
    failure: Failure | None = None
    phase: Literal["finally", "undo"] = "finally"
    asked: bool = False


class Fan(Record):
    """The rounds of a foreach. `parts` are results in pieces of fixed size, null where nothing is yet; a full piece may be set aside.

    `errors` are the records of failed items since the last full piece of them, `error_parts` the pieces. `trees` are the worktrees of items.
    """

    items: Value
    count: int
    next_index: int = 0
    open_count: int = 0
    parts: tuple[tuple[Value, ...] | BlobRef, ...] = ()
    trees: tuple[tuple[Value, ...] | BlobRef, ...] = ()
    errors: tuple[Value, ...] = ()
    error_parts: tuple[BlobRef, ...] = ()


Node = ListNode | StepNode


class Frame(Record):
    """What expressions see in a list: a scope (`state` is not None: the run, or one item's task) or a round inside one.

    `approvals` are those of the gates decided there, by id. `count` is -1 in the rounds of a `while` or `repeat`, which have no item.
    """

    path: str
    outer: str | None
    state: dict[str, Value] | None = None
    inputs: dict[str, Value] | None = None
    steps: dict[str, Value] = field(default_factory=dict[str, Value])
    marks: dict[str, str] = field(default_factory=dict[str, str])
    item: Value = None
    index: int | None = None
    count: int = 0
    item_name: str | None = None
    error: Failure | None = None
    channel: str = ""
    approvals: dict[str, Approval] = field(default_factory=dict[str, "Approval"])


def frames_from(frames: Mapping[str, Frame], frame: Frame) -> Iterator[Frame]:
    """Give a frame and those around it, out to its scope."""
    while frame.state is None and frame.outer is not None:
        yield frame
        frame = frames[frame.outer]
    yield frame


class ActionState(Record):
    """One durable intent that was handed out. `params` is the one rendering of the step (ruling 6); `failures` counts what retry counts.

    `key` is the author's idempotency key, `votes` who has approved so far, `answer` what is being verified;
    `counted` says that the attempt is in the budgets above it, `reserved` with how many calls of a child run, `stale` that the next one is
    rendered anew; `working_dir` is the worktree in which it is done, empty for the checkout.
    """

    id: str
    at: str
    kind: str
    performer: Performer
    channel: str
    effect: Effect
    repeatable: bool
    params: dict[str, Value]
    opened_at_ms: int
    status: ActionStatus = "open"
    attempt: int = 1
    holder: str | None = None
    claimed_at_ms: int | None = None
    failures: int = 0
    lapses: int = 0
    repairs: int = 0
    redo: bool = False
    digest: str | None = None
    problem: Failure | None = None
    key: str | None = None
    votes: tuple[str, ...] = ()
    answer: Value = None
    counted: bool = False
    working_dir: str = ""
    reserved: int = 0
    stale: bool = False


class Parked(Record):
    """Why a run was set aside, and by whom."""

    reason: str
    by: str
    at_ms: int


class RunState(Record):
    """One run. `timers` maps `kind:path` to a due instant; `agenda` is what a transition left to do when it yielded (ruling 3).

    `closings` are the nodes that are closing; `spent` is by the path of its owner, `undo` by the path of the step, in
    the order in which they completed. `used` is what the whole run has used, budget or not: a parent counts it as its own.
    `forked_from` names the run and step that a fork comes from (`RUN/STEP`).

    `size_bytes` is never less than the encoded size; it is measured only when it passes the limit (room.py).
    """

    run_id: str
    seed: str
    semantics: int
    started_at_ms: int
    started_by: str
    now_ms: int
    parent: str | None = None
    depth: int = 0
    forked_from: str | None = None
    revision: int = 0
    status: RunStatus = "running"
    parked: Parked | None = None
    degraded: bool = False
    goal_missed: bool = False
    env: dict[str, str] = field(default_factory=dict[str, str])
    moves: int = 0
    size_bytes: int = 0
    nodes: dict[str, Node] = field(default_factory=dict[str, Node])
    frames: dict[str, Frame] = field(default_factory=dict[str, Frame])
    actions: dict[str, ActionState] = field(default_factory=dict[str, ActionState])
    timers: dict[str, int] = field(default_factory=dict[str, int])
    agenda: tuple[str, ...] = ()
    closings: tuple[str, ...] = ()
    mailbox: tuple[Signal, ...] = ()
    spent: dict[str, Spent] = field(default_factory=dict[str, Spent])
    used: Usage = field(default_factory=Usage)
    undo: dict[str, UndoEntry] = field(default_factory=dict[str, UndoEntry])
    undo_status: UndoStatus = ""
    ending: Ending | None = None
    reached: int = 0
    result: Value = None
    failure: Failure | None = None

    @property
    def ended(self) -> bool:
        """Tell whether the run is over."""
        return self.status in ENDED

    @property
    def next_due_ms(self) -> int | None:
        """Give the instant at which the shell must feed `Woken`; None when nothing is due, or the run is set aside or over."""
        return min(self.timers.values(), default=None) if self.parked is None else None
