"""Events: facts that happened to a run, in the past tense; exactly the inputs of `advance` (ruling 1).

`at_ms` is UTC epoch milliseconds, read by the shell. An event carries what the shell knows and the core cannot: who did it, which leases
had lapsed, what a performer answered. Keys are only ever added; a stored kind is never renamed (house style §4.4).
"""

from dataclasses import field
from typing import Literal, get_args

from treadle.core.errors import Failure
from treadle.core.records import Record
from treadle.core.values import Json, Value


class Caller(Record):
    """Who did it. `name` is a person's name, or a performer's holder id; `assurance` is of ruling 26, `roles` as configured."""

    kind: Literal["agent", "human", "server", "headless"]
    name: str
    assurance: Literal["none", "relayed", "local", "proven"] = "none"
    roles: tuple[str, ...] = ()


class Claim(Record):
    """A wish to hold an action: a named one, or the next of a channel (`""` is the main one). `lapsed` are ids whose lease had run out."""

    channel: str
    holder: str
    by: Caller
    action: str | None = None
    lapsed: tuple[str, ...] = ()
    take_over: bool = False


class Usage(Record):
    """What a performer reports that an attempt cost; `calls` are those of a child run."""

    tokens: int = 0
    usd: str = "0"
    calls: int = 0


class Happened(Record):
    """What every event says: when."""

    at_ms: int


class Asked(Happened):
    """What somebody wanted of the whole run."""

    by: Caller


class OfAttempt(Happened):
    """What became of an attempt of an action."""

    action: str
    attempt: int


class RunStarted(Happened):
    """A run was asked for. `seed` is random text, the source of every random value and branch token; `env` is what `env()` may read.

    `parent` names the action that started a child run (`RUN/ACTION`), `depth` how many runs are above it, `calls_max` how many calls those
    allow; 0 is no bound.
    """

    run_id: str
    seed: str
    inputs: dict[str, Json]
    by: Caller
    env: dict[str, str] = field(default_factory=dict[str, str])
    depth: int = 0
    parent: str | None = None
    calls_max: int = 0


class RunForked(Happened):
    """A run was made of another one's history: of its events up to `from_rev`, and of `event`, which is absorbed without opening the step `at`.

    `set` is written to the state that the step sees. What stands before this event in the log belongs to `from_run` as well.
    """

    run_id: str
    seed: str
    by: Caller
    from_run: str
    from_rev: int
    at: str
    event: "Event"
    set: dict[str, Json] = field(default_factory=dict[str, Json])


class ActionClaimed(Happened):
    """A performer asked to hold an action."""

    claim: Claim


class ActionAnswered(OfAttempt):
    """A performer answered an attempt: `failure` of None means done, with `value`. `then` claims the next action in the same transition.

    `channel` is the one an agent speaks on; None where the shell vouches for the caller. `degraded` tells how a child run completed.
    """

    holder: str
    by: Caller
    value: Value = None
    failure: Failure | None = None
    then: Claim | None = None
    channel: str | None = None
    usage: Usage | None = None
    degraded: bool = False


class ApprovalDecided(Happened):
    """A person decided a gate; `digest` is of what that person was shown."""

    action: str
    digest: str
    approved: bool
    by: Caller
    note: str = ""
    then: Claim | None = None


class Evaluated(Happened):
    """A registered function returned or raised (ruling 4). `ordinal` counts the calls of one node, from 0."""

    node: str
    ordinal: int
    value: Value = None
    failure: Failure | None = None


class PerformerLost(OfAttempt):
    """The process that held a server-performed action is gone, or its lease ran out."""


class OutcomeResolved(OfAttempt):
    """A person said what became of an action whose outcome was unknown (ruling 19)."""

    outcome: Literal["done", "not_done", "failed"]
    by: Caller
    value: Value = None
    note: str = ""


class Woken(Happened):
    """Time passed."""


class Continued(Happened):
    """The transition before this one had more to do than one commit may hold (ruling 3)."""


class SignalSent(Happened):
    """Somebody sent the run a message; it is kept until a `wait` takes it."""

    name: str
    by: Caller
    payload: Value = None


class UndoRequested(Asked):
    """Somebody asked to take back what an ended run did and kept for that."""


class CancelRequested(Asked):
    """Somebody asked to end the run; a second request waits for nobody (ruling 27)."""

    reason: str = ""


class RunParked(Asked):
    """Somebody set the run aside; nothing is completed by it (ruling 24)."""

    reason: str
    details: dict[str, Json] = field(default_factory=dict[str, Json])


class RunResumed(Asked):
    """Somebody took a parked run up again."""


class RunMigrated(Asked):
    """Somebody moved the run from the definition of digest `was` to that of `to`. The rest is what the plan found (engine/migrating.py), by new names.

    `renamed` maps ids of steps, `cursors` is where open lists go on, `anew` are open actions to be handed out once more, `passed` steps that were
    added before an open one, `dues` new ends of `within` (None: it has none any more).
    """

    was: str
    to: str
    renamed: dict[str, str] = field(default_factory=dict[str, str])
    cursors: dict[str, int] = field(default_factory=dict[str, int])
    anew: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()
    dues: dict[str, int | None] = field(default_factory=dict[str, int | None])


Event = (
    RunStarted | RunForked | ActionClaimed | ActionAnswered | ApprovalDecided | Evaluated | PerformerLost | OutcomeResolved
    | Woken | Continued | SignalSent | UndoRequested | CancelRequested | RunParked | RunResumed | RunMigrated
)  # fmt: skip
EVENT_TYPES: tuple[type[Event], ...] = get_args(Event)
