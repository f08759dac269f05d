"""The runs that a process keeps in memory, by what they weigh (ruling 37).

Keeping a run saves reading it again, and nothing else: the storage has all of it. Runs in which somebody holds an action are asked for again soon;
those that wait for somebody to come, and those that have ended, may not be asked for in days, and there may be ten thousand of them. So each kind
has a limit of its own, and whoever was not asked for the longest goes first. What a run weighs is reckoned from its size in the storage.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from treadle.engine.storage import Record
from treadle.ports import MakeEvent, Reply, Request

HELD_BYTES_MAX: Final = 64 << 20
RESTING_BYTES_MAX: Final = 6 << 20
RUN_BYTES: Final = 4_000
"""What the smallest run takes beside its values, measured."""
PER_STORED_BYTE: Final = 2
"""How much larger values are as objects than as they are stored; long texts are not."""


@dataclass(slots=True, eq=False)
class Sent:
    """An event that waits for its run."""

    make: MakeEvent
    request: Request | None
    reply: "asyncio.Future[Reply]"


@dataclass(slots=True, eq=False)
class Live:
    """A run that this process has in hand. `sending` works `sent` off; `weight_bytes` is what it was reckoned at when it was last asked for."""

    record: Record
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    sent: list[Sent] = field(default_factory=list[Sent])
    sending: "asyncio.Task[None] | None" = None
    weight_bytes: int = 0

    @property
    def in_use(self) -> bool:
        """Tell whether a request is being carried out, or waits."""
        return self.lock.locked() or bool(self.sent) or self.sending is not None

    @property
    def held(self) -> bool:
        """Tell whether somebody holds an action of it."""
        state = self.record.state
        return not state.ended and any(action.holder is not None for action in state.actions.values())


class Lives:
    """The runs that are kept."""

    def __init__(self, held_bytes_max: int = HELD_BYTES_MAX, resting_bytes_max: int = RESTING_BYTES_MAX) -> None:
        """Keep nothing yet."""
        self._held, self._resting = _Shelf(held_bytes_max), _Shelf(resting_bytes_max)

    def __len__(self) -> int:
        """Count them."""
        return len(self._held.lives) + len(self._resting.lives)

    def get(self, run_id: str) -> Live | None:
        """Give a run that is kept, as one that was just asked for, and reckon anew what it weighs."""
        live = self._held.take(run_id) or self._resting.take(run_id)
        return self._put(run_id, live) if live is not None else None

    def add(self, run_id: str, record: Record) -> Live:
        """Keep a run; one that is kept already stays what it is."""
        return self.get(run_id) or self._put(run_id, Live(record=record))

    def _put(self, run_id: str, live: Live) -> Live:
        live.weight_bytes = RUN_BYTES + PER_STORED_BYTE * live.record.stored_bytes
        (self._held if live.held else self._resting).put(run_id, live)
        return live


class _Shelf:
    """Runs of one kind, in the order in which they were asked for."""

    def __init__(self, bytes_max: int) -> None:
        self.lives: OrderedDict[str, Live] = OrderedDict()
        self._bytes, self._bytes_max = 0, bytes_max

    def take(self, run_id: str) -> Live | None:
        live = self.lives.pop(run_id, None)
        if live is not None:
            self._bytes -= live.weight_bytes
        return live

    def put(self, run_id: str, live: Live) -> None:
        self.lives[run_id] = live
        self._bytes += live.weight_bytes
        # One look at each: what is in use stays, however heavy.
        for _ in range(len(self.lives)):
            if self._bytes <= self._bytes_max:
                return
            oldest, kept = next(iter(self.lives.items()))
            if kept is live or kept.in_use:
                self.lives.move_to_end(oldest)
            else:
                self.take(oldest)
