"""The two sides of a play: the memory storage and the file, each under two engines that may die at any moment.

A crash throws away all that the engines of the file hold in memory, in the middle of whatever they do; the file is then opened again. It is
raised at the fault points of the product (`faults.py`), in this process, so that a play is quick and a seed repeats it.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from tests.sim.oracles import Violation
from treadle.core.codec import dumps
from treadle.engine.embedded import faults
from treadle.engine.embedded.connection import connect
from treadle.engine.embedded.reader import Reader
from treadle.engine.embedded.storage import EmbeddedStorage
from treadle.engine.embedded.turnstile import Turnstile
from treadle.engine.local import LocalEngine
from treadle.engine.memory import MemoryStorage
from treadle.engine.transact import replay
from treadle.ports import Answer
from treadle.testing.world import ScriptedFunctions

LEASE_MS, SERVED_LEASE_MS = 300_000, 15_000
SPINS_MAX = 3_000
PATIENCE_S = 3.0


class CrashError(BaseException):
    """The processes on the file are gone. Not an Exception: nothing in the product may catch it."""


class Trap:
    """Stands in the place of the armed fault point: raises at the nth passing, and at every point from then on."""

    def __init__(self, name="", nth=0):
        self.name, self.left, self.sprung = name, nth, False

    def passes(self, name):
        if name == self.name and not self.sprung:
            self.left -= 1
            self.sprung = self.left == 0
        if self.sprung:
            raise CrashError(name)


@dataclass
class Row:
    """Who holds an action, as it is stored."""

    status: str
    attempt: int
    holder: str | None
    until_ms: int


class Hands:
    """The outside world for one engine. What it was told to do is done at once, or after it the process hangs; sometimes it hangs before."""

    def __init__(self, side, holder):
        self.side, self.holder, self.hanging = side, holder, set()

    async def perform(self, call):
        self.side.begun(self.holder, call)
        how = self.side.rng.choice(("well", "well", "well", "hangs", "hangs before")) if not self.side.calm else "well"
        if how != "hangs before":
            self.side.effects[call.run_id, call.action.id] += 1
        if how != "well":
            self.hanging.add((call.run_id, call.action.id, call.action.attempt))
            await asyncio.Event().wait()
        return Answer(value=call.action.id)


class Side:
    """Two engines over one storage; `path` of None keeps it in memory."""

    def __init__(self, path, clock, rng):
        self.path, self.clock, self.rng = path, clock, rng
        self.calm, self.number, self.trap = False, 0, None
        self.memory = MemoryStorage()
        self.effects, self.promised = Counter(), {}
        self.engines, self.hands = [None, None], [None, None]
        self.open(0)
        self.open(1)
        self.apart = Reader(connect(path, "read")) if path else None

    # Processes

    def open(self, which):
        self.number += 1
        hands = Hands(self, f"p{self.number}")
        storage = EmbeddedStorage.open(self.path) if self.path else self.memory
        engine = LocalEngine(
            storage, functions=ScriptedFunctions({}), clock=self.clock, holder=hands.holder, runner=hands, lease_ms=LEASE_MS,
            served_lease_ms=SERVED_LEASE_MS,
        )  # fmt: skip
        engine._performing.serving = self.calm or self.rng.random() < 0.7
        self.engines[which], self.hands[which] = engine, hands

    async def kill(self, which):
        """Throw an engine away as it stands; what it had not committed is gone."""
        engine, self.engines[which] = self.engines[which], None
        if engine is None:
            return
        tasks = [work.task for work in engine._performing._works.values()]
        lives = [live for shelf in (engine._lives._held, engine._lives._resting) for live in shelf.lives.values()]
        tasks += [live.sending for live in lives if live.sending is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self.path:
            _let_go(engine.storage)

    async def begin_again(self):
        """All processes were killed; others come in their place."""
        for which in (0, 1):
            await self.kill(which)
        self.disarm()
        for which in (0, 1):
            self.open(which)

    async def close(self):
        self.disarm()
        for which in (0, 1):
            await self.kill(which)
        if self.apart:
            self.apart.close()

    def arm(self, point, nth):
        self.trap = faults._trap = Trap(point, nth)

    def disarm(self):
        self.trap = faults._trap = None

    @property
    def crashed(self):
        return self.trap is not None and self.trap.sprung

    async def all(self, calls: Sequence[Awaitable], *, locked=False) -> list:
        """Carry calls out at the same time, perhaps while another process holds the lock; each gives what it was told, None if it was killed before."""
        lock = Turnstile(self.path) if locked and self.path else None
        if lock:
            lock.enter()
        tasks = [asyncio.ensure_future(call) for call in calls]
        for _ in range(5 if lock else 0):
            await asyncio.sleep(0)
        if lock:
            lock.leave()
            lock.close()
        give_up_s = time.monotonic() + PATIENCE_S
        while not (self.crashed or all(task.done() for task in tasks)):
            await asyncio.wait(tasks, timeout=0.002)
            if time.monotonic() > give_up_s:
                raise Violation("liveness", f"{sum(not task.done() for task in tasks)} of {len(tasks)} are told nothing")
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        return [
            None if task.cancelled() or isinstance(task.exception(), CrashError) else task.exception() or task.result() for task in tasks
        ]

    async def settled(self) -> bool:
        """Wait until nothing moves any more but what hangs; False if all was killed meanwhile."""
        for spin in range(SPINS_MAX):
            if self.crashed:
                return False
            busy = [
                key
                for engine, hands in zip(self.engines, self.hands, strict=True)
                for key in engine._performing._works
                if key not in hands.hanging
            ]
            if not busy:
                return True
            await asyncio.sleep(0 if spin < 200 else 0.001)
        raise Violation("liveness", f"performing {busy} does not come to an end")

    # What is stored

    def row(self, run_id, action_id) -> Row | None:
        """Read an action's row apart from any engine."""
        if self.apart:
            row = self.apart.action(run_id, action_id)
            return Row(row.status, row.attempt, row.holder, row.lease_until_ms or 0) if row else None
        action = self.memory._records[run_id].state.actions.get(action_id)
        lease = next(iter(self.memory.leases(run_id, action_id)), None)
        return Row(action.status, action.attempt, lease and lease.holder, lease.until_ms if lease else 0) if action else None

    def begun(self, holder, call):
        """Judge that an attempt is begun: by its holder alone, and claimed durably if it has an effect, which comes once."""
        where, now_ms = (call.run_id, call.action.id), self.clock.now_ms()
        row = self.row(*where)
        if row is None or (row.attempt, row.holder) != (call.action.attempt, holder) or row.until_ms <= now_ms:
            self.found = Violation("held", f"{holder} performs {where}, which is {row}")
        elif call.action.effect == "write" and row.status != "claimed":
            self.found = Violation("held", f"{holder} performs {where} without a claim: {row}")
        elif call.action.effect == "write" and self.effects[where]:
            self.found = Violation("effects", f"{where} is done again")
        other, until_ms = self.promised.get(where, (holder, 0))
        if other != holder and until_ms > now_ms:
            self.found = Violation("held", f"{holder} performs {where}, which {other} holds for {until_ms - now_ms} ms more")
        self.promised[where] = (holder, now_ms + SERVED_LEASE_MS)

    found: Violation | None = None

    async def check_fold(self, run_id):
        """Compare what two engines know, what is read anew, and what the events fold to; gives the state and the events as bytes."""
        records = [await engine.current(run_id) for engine in self.engines]
        storage = self.engines[0].storage
        fresh = storage._load(run_id) if self.path else records[0]
        stored = await storage.events(run_id, 0)
        if [each.rev for each in stored] != list(range(1, fresh.state.revision + 1)):
            raise Violation("events", f"{run_id} has the events {[each.rev for each in stored]} at revision {fresh.state.revision}")
        folded = replay(fresh.definition, None, [each.event for each in stored], storage.blob, storage.definition)
        states = [dumps(state) for state in (records[0].state, records[1].state, fresh.state, folded)]
        if len(set(states)) > 1:
            raise Violation(
                "fold", f"{run_id} is not what its events say (engines, fresh, folded: {[hash(state) % 1000 for state in states]})"
            )
        return states[0], [dumps(each.event) for each in stored]


def _let_go(storage):
    store = storage.store
    store.feed.close()
    writer = store.writer
    if writer._thread is not None:
        with writer._state:
            writer._closed = True
            writer._queue.clear()
            writer._state.notify_all()
        writer._thread.join(5)
    writer._session.roll_back()
    for closing in (store.reader, storage._redo_reader, store._db, store._turnstile):
        if closing is not None:
            with suppress(OSError):
                closing.close()
