"""The state of a run: frozen, JSON-encodable, holding only what is open.

Everything alive has a path. `nodes` are lists and steps in progress, `frames` what expressions see there, `actions` what was handed out
and not yet closed, `timers` when what is due. A thing that ended leaves these maps: cost follows what is open, not what has passed.
Values inside are shared and never changed in place.
"""

from dataclasses import dataclass, field
from typing import Final, Literal

from treadle.core.definition import Effect, Performer
from treadle.core.errors import Failure
from treadle.core.values import BlobRef, Value

RunStatus = Literal["running", "cancelling", "completed", "completed_degraded", "goal_not_met", "failed", "cancelled"]
ENDED: Final = frozenset({"completed", "completed_degraded", "goal_not_met", "failed", "cancelled"})
ActionStatus = Literal["open", "claimed", "backoff", "stopping", "unknown"]
ACTION_STATES: Final = ("absent", "open", "claimed", "backoff", "stopping", "unknown")


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """A node that ends as soon as nothing is open below it, and how it then ends."""

    how: Literal["return", "fail", "cancel"]
    value: Value = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListNode:
    """A list of steps in progress. `results` are of registered functions called while it opens or gives its output."""

    path: str
    at: str
    owner: str | None
    frame: str
    cursor: int = 0
    phase: Literal["opening", "running", "output"] = "running"
    results: tuple[Value, ...] = ()
    closing: Closing | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepNode:
    """A step in progress: `opening` while its fields are evaluated, then an action, a block of lists, or the handler of its failure."""

    path: str
    at: str
    list_path: str
    frame: str
    phase: Literal["opening", "action", "block", "handler", "fallback"] = "opening"
    results: tuple[Value, ...] = ()
    failure: Failure | None = None
    closing: Closing | None = None
    fan: "Fan | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fan:
    """The rounds of a foreach. `parts` are results in pieces of fixed size, null where nothing is yet; a full piece may be set aside.

    `errors` are the records of failed items since the last full piece of them, `error_parts` the pieces.
    """

    items: Value
    count: int
    next_index: int = 0
    open_count: int = 0
    parts: tuple[tuple[Value, ...] | BlobRef, ...] = ()
    errors: tuple[Value, ...] = ()
    error_parts: tuple[BlobRef, ...] = ()


Node = ListNode | StepNode


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What expressions see in a list: a scope (`state` is not None: the run, or one item's task) or a round inside one."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionState:
    """One durable intent that was handed out. `params` is the one rendering of the step (ruling 6); `failures` counts what retry counts."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """Why a run was set aside, and by whom."""

    reason: str
    by: str
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """One run. `timers` maps `kind:path` to a due instant; `agenda` is what a transition left to do when it yielded (ruling 3).

    `size_bytes` is never less than the encoded size; it is measured only when it passes the limit (room.py).
    """

    run_id: str
    seed: str
    semantics: int
    started_at_ms: int
    started_by: str
    now_ms: int
    revision: int = 0
    status: RunStatus = "running"
    parked: Parked | None = None
    degraded: bool = False
    env: dict[str, str] = field(default_factory=dict[str, str])
    moves: int = 0
    size_bytes: int = 0
    nodes: dict[str, Node] = field(default_factory=dict[str, Node])
    frames: dict[str, Frame] = field(default_factory=dict[str, Frame])
    actions: dict[str, ActionState] = field(default_factory=dict[str, ActionState])
    timers: dict[str, int] = field(default_factory=dict[str, int])
    agenda: tuple[str, ...] = ()
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
