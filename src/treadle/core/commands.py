"""What a transition gives back: commands (intents, imperative), notes (what it derived) and the caller's reply, in a `Decision`.

Commands go to the world only after the transition is durable. `CloseRun` is the last command of a run, and there is one.
"""

from dataclasses import field

from treadle.core.errors import Refusal
from treadle.core.records import Record
from treadle.core.state import RunState
from treadle.core.values import Value


class Perform(Record):
    """Do a server-performed action. `claim` says that it must be claimed durably before it is begun (ruling 19)."""

    action: str
    attempt: int
    claim: bool


class StopAction(Record):
    """Ask the holder of an action to stop; it may answer until the grace ends (ruling 27)."""

    action: str
    attempt: int


class Evaluate(Record):
    """Call a registered function and feed `Evaluated` within the same commit (ruling 4)."""

    node: str
    ordinal: int
    function: str
    version: str
    args: tuple[Value, ...]
    kwargs: dict[str, Value]


class CloseRun(Record):
    """The run has ended; seal it."""

    status: str


class KeepResult(Record):
    """Keep a result for the same work later (`cache`); losing it costs only the work."""

    key: str
    value: Value


Command = Perform | StopAction | Evaluate | KeepResult | CloseRun


class Note(Record):
    """One thing that a transition derived, for timeline, log and metrics; recomputed by folding, never read back by the core."""

    kind: str
    path: str
    data: dict[str, Value] = field(default_factory=dict[str, Value])


class Blob(Record):
    """A value set aside because of its size; it must be on disk before the commit that names it (ruling 11)."""

    digest: str
    body: bytes


class Decision(Record):
    """The whole answer of `advance`.

    `changed` false means that there is nothing to store. `refusal` goes to the caller, also when something was stored. `absorbed` tells whether
    the event itself did something, and not only the time that had passed: only then is the reply kept for a repeated request.
    `claimed` is the action that the caller now holds. `more` asks the shell to commit and feed `Continued`.
    """

    state: RunState
    changed: bool
    absorbed: bool = False
    commands: tuple[Command, ...] = ()
    notes: tuple[Note, ...] = ()
    blobs: tuple[Blob, ...] = ()
    refusal: Refusal | None = None
    claimed: str | None = None
    more: bool = False


class NeedBlobs(Record):
    """Nothing happened: supply these values and call again (ruling 11)."""

    digests: tuple[str, ...]
