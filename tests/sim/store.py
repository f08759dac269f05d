"""The model of a storage: events behind a fence, replies to requests, leases; whole commits or none. In memory, and obviously right."""

from dataclasses import dataclass, field

from treadle.core.errors import Refusal
from treadle.core.events import Event
from treadle.core.state import RunState
from treadle.core.values import Value

LEASE_MS = 30_000


class StaleError(Exception):
    """The fence was missed: somebody else committed first."""


class ConflictError(Exception):
    """A request was made again with another body."""


@dataclass(frozen=True)
class Reply:
    """What a caller gets."""

    refusal: Refusal | None
    claimed: str | None
    duplicate: bool = False


@dataclass(frozen=True)
class Lease:
    """Who holds an attempt until when."""

    attempt: int
    holder: str
    until_ms: int


@dataclass
class Store:
    """One run. `log` is what is durable; `state` is what the last committer computed."""

    log: list[Event] = field(default_factory=list)
    state: RunState | None = None
    requests: dict[str, tuple[object, Reply]] = field(default_factory=dict)
    leases: dict[str, Lease] = field(default_factory=dict)
    blobs: dict[str, Value] = field(default_factory=dict)
    kept: dict[str, Value] = field(default_factory=dict)
    seed: str = ""

    @property
    def revision(self) -> int:
        return len(self.log)

    def repeated(self, key: str, body: object) -> Reply | None:
        """Give the reply that a request got before. Raises ConflictError if its body was another."""
        known = self.requests.get(key)
        if known is None:
            return None
        if known[0] != body:
            raise ConflictError(key)
        return Reply(known[1].refusal, known[1].claimed, duplicate=True)

    def commit(
        self, expected: int, events: list[Event], state: RunState, blobs: dict[str, Value], request: tuple[str, object] | None,
        reply: Reply, now_ms: int,
    ) -> None:  # fmt: skip
        """Append events. Raises StaleError if the run has moved."""
        if not self.fits(expected):
            raise StaleError
        self.blobs |= blobs
        self.log += events
        self.state = state
        if request is not None:
            self.requests[request[0]] = (request[1], reply)
        self._hold(now_ms)

    def fits(self, expected: int) -> bool:
        """The fence."""
        return expected == len(self.log)

    def _hold(self, now_ms: int) -> None:
        """Who claimed an attempt in this commit holds it; what is no longer held is forgotten."""
        actions = self.state.actions
        for name in [name for name in self.leases if name not in actions]:
            del self.leases[name]
        for name, action in actions.items():
            held = self.leases.get(name)
            if action.holder is None:
                self.leases.pop(name, None)
            elif held is None or (held.attempt, held.holder) != (action.attempt, action.holder):
                self.leases[name] = Lease(action.attempt, action.holder, now_ms + LEASE_MS)

    def lapsed(self, now_ms: int) -> tuple[str, ...]:
        """Ids of actions whose lease has run out."""
        return tuple(name for name, lease in self.leases.items() if lease.until_ms <= now_ms)

    def holds(self, action: str, attempt: int, holder: str, now_ms: int) -> bool:
        """Whether a lease is still good."""
        lease = self.leases.get(action)
        return lease is not None and (lease.attempt, lease.holder) == (attempt, holder) and now_ms < lease.until_ms

    def renew(self, action: str, holder: str, now_ms: int) -> None:
        """A heartbeat."""
        lease = self.leases.get(action)
        if lease is not None and lease.holder == holder:
            self.leases[action] = Lease(lease.attempt, holder, now_ms + LEASE_MS)
