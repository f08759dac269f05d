"""The writer: every change of the store by this process goes through here (rulings 34 and 35).

Three ways to a commit, all under the turnstile:

1. Nothing is queued and the lock is free at once: committed where it was asked for, on the event loop. Waiting for a
   thread would cost more than the commit.
2. More than one coroutine asks within one turn of the loop: they are queued, and the next turn commits them as a group,
   still on the loop if the lock is free. Their statements need the interpreter's lock either way, and a thread would
   have to win it back after every statement (measured: 100 writes took 0.8 ms alone, 790 ms beside a busy loop).
3. The lock is not free: a thread waits for it, takes everything queued by then, and commits it as a group. The loop
   never waits for the lock.

Way 1 gives up the turn once afterwards, so a coroutine that commits in a loop neither starves the others nor keeps them
from being grouped. In a group each unit has its savepoint: its failure fails it alone. If BEGIN or COMMIT fails, nothing
is stored and every waiter gets `storage_unavailable`. A reply leaves only after COMMIT has returned.

Who is cancelled while waiting may find the write made or not made: only a reply says which.
"""

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import apsw

from treadle.engine.embedded import faults
from treadle.engine.embedded.apply import apply
from treadle.engine.embedded.connection import LOG_LIMIT_BYTES, WriteSession
from treadle.engine.embedded.errors import (
    UNIT_FAULTS,
    RestartThisSessionError,
    StorageUnavailableError,
    WriteRejectedError,
    closed,
    unavailable,
)
from treadle.engine.embedded.records import Committed, Outcome, Renewed, Unit, Write
from treadle.engine.embedded.turnstile import Turnstile, holders

CHECKPOINT_BYTES: Final = 4 << 20
CHECKPOINT_ANYWAY_BYTES: Final = 16 << 20  # the longer it is put off, the longer everybody stands still
GROUP_MAX: Final = 256  # units that one turn of the loop commits; about 5 ms
BUSY_RETRY_S: Final = 0.005  # against programs that lock the file without our turnstile
WAIT_LIMIT_MS: Final = 45_000  # clients of MCP give up after 60 s; a definite answer comes before that
HELD_UP_S: Final = 1.0

Result = Outcome | Exception


@dataclass(slots=True)
class _Waiting:
    """A unit in the queue, since when, and who waits for its outcome."""

    unit: Unit
    future: "asyncio.Future[Outcome]"
    since_s: float


class Writer:
    """Commits units for the coroutines of one event loop."""

    def __init__(
        self,
        session: WriteSession,
        turnstile: Turnstile,
        store: str,
        on_commit: Callable[[], None],
        *,
        has_blob: Callable[[str], bool] = lambda _: True,
        wait_limit_ms: int = WAIT_LIMIT_MS,
    ) -> None:
        """`on_commit` is called after every commit that stored something, on the thread that made it.

        `has_blob` tells whether a value's file is there.
        """
        self._session = session
        self._turnstile = turnstile
        self._store = store
        self._on_commit = on_commit
        self._has_blob = has_blob
        self._wait_limit_s = wait_limit_ms / 1000
        self._queue: deque[_Waiting] = deque()
        self._state = threading.Condition()  # guards _thread_works, _closed, _checkpoint_wanted; the queue is atomic
        self._thread: threading.Thread | None = None
        self._thread_works = False
        self._turn_taken = False
        self._drain_planned = False
        self._checkpoint_wanted = False
        self._checkpointed_at_bytes = 0
        self._closed = False
        self._expiry: asyncio.TimerHandle | None = None
        self._stuck_since_s: float | None = None

    def held_up(self) -> str:
        """Say why writes wait at this moment, where they have for a second or more; empty if they do not."""
        since_s = self._stuck_since_s
        if since_s is None or (waited_s := time.monotonic() - since_s) < HELD_UP_S:
            return ""
        return (
            f"Writes have waited for {waited_s:.0f} s: the store is locked by process {self._holders()}. They go on by themselves when it lets go; "
            f"after {self._wait_limit_s:.0f} s each is refused with `storage_busy`."
        )

    async def commit(self, unit: Unit) -> Outcome:
        """Make a unit durable and give its outcome.

        Raises StorageUnavailableError (nothing was stored), RestartThisSessionError, WriteRejectedError, or what the
        unit's `redo` raised.
        """
        if self._closed:
            raise closed()
        if not (self._queue or self._turn_taken or self._thread_works) and self._turnstile.try_enter():
            results = self._commit_inside((unit,), patient=False)
            if results is not None:
                self._turn_taken = True
                try:
                    await asyncio.sleep(0)
                finally:
                    self._turn_taken = False
                return _unwrap(results[0])
        return await self._queued(unit)

    async def close(self) -> None:
        """Commit what is queued, then stop; the file stays open for whoever opened it.

        Raises StorageUnavailableError if the lock is not to be had; then nothing may be closed under the waiting thread.
        """
        self._closed = True
        if self._queue or self._thread is not None:
            thread = self._wake_thread()
            await asyncio.to_thread(thread.join, self._wait_limit_s)
            if thread.is_alive():
                raise self._locked()
        if self._turnstile.try_enter():
            try:
                self._checkpoint(truncate=True)
            finally:
                self._turnstile.leave()

    # -- on the loop ---------------------------------------------------------------------------------------------------

    async def _queued(self, unit: Unit) -> Outcome:
        loop = asyncio.get_running_loop()
        waiting = _Waiting(unit, loop.create_future(), time.monotonic())
        self._queue.append(waiting)
        if not self._drain_planned:
            self._drain_planned = True
            loop.call_soon(self._drain, loop)
        return await waiting.future

    def _drain(self, loop: asyncio.AbstractEventLoop) -> None:
        """Commit one group on the loop, or leave the queue to the thread if that would have to wait."""
        self._drain_planned = False
        if self._thread_works or not self._queue:
            return
        if self._turnstile.try_enter():
            group = self._take(GROUP_MAX)
            results = self._commit_inside([each.unit for each in group], patient=False)
            if results is not None:
                _deliver(group, results)
                if self._queue:
                    self._drain_planned = True
                    loop.call_soon(self._drain, loop)
                return
            self._queue.extendleft(reversed(group))
        self._wake_thread()
        if self._expiry is None:
            self._expiry = loop.call_later(self._wait_limit_s, self._expire, loop)

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give up on what has waited too long for the lock: a definite answer, nothing of it is stored."""
        self._expiry = None
        now_s = time.monotonic()
        while self._queue and now_s - self._queue[0].since_s >= self._wait_limit_s:
            late = self._queue.popleft()
            if not late.future.done():
                late.future.set_exception(self._locked())
        if self._queue:
            self._expiry = loop.call_later(self._wait_limit_s - (now_s - self._queue[0].since_s), self._expire, loop)

    def _locked(self) -> StorageUnavailableError:
        return StorageUnavailableError(
            f"The store was locked by another process (pid {self._holders()}) for {self._wait_limit_s:.0f} s. Nothing was stored.",
            hint="See what that process does (`treadle doctor` names it), stop it if it hangs, and try again.",
            reason="busy",
        )

    def _holders(self) -> str:
        return ", ".join(map(str, holders(self._turnstile.store_path))) or "unknown"

    # -- on the thread -------------------------------------------------------------------------------------------------

    def _wake_thread(self) -> threading.Thread:
        with self._state:
            self._thread_works = True
            if self._thread is None:
                # A daemon: waiting for a lock that never comes must not keep the process from ending.
                self._thread = threading.Thread(target=self._work, name="treadle-writer", daemon=True)
                self._thread.start()
            self._state.notify_all()
            return self._thread

    def _work(self) -> None:
        while True:
            with self._state:
                while not (self._queue or self._checkpoint_wanted or self._closed):
                    self._thread_works = False
                    self._state.wait()
                if self._closed and not self._queue:
                    self._thread_works = False
                    return
            if self._checkpoint_wanted:
                self._checkpoint_if_idle()
            if self._queue:
                self._commit_patiently()

    def _commit_patiently(self) -> None:
        self._stuck_since_s = time.monotonic()
        self._turnstile.enter()
        group = self._take(len(self._queue))
        results = self._commit_inside([each.unit for each in group], patient=True)
        self._stuck_since_s = None
        for loop in {each.future.get_loop() for each in group}:
            mine = [(each, result) for each, result in zip(group, results or (), strict=True) if each.future.get_loop() is loop]
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_deliver, [each for each, _ in mine], [result for _, result in mine])

    def _checkpoint_if_idle(self) -> None:
        """Checkpoint while nobody waits; a log that has grown long does not ask."""
        self._checkpoint_wanted = False
        log_bytes = self._session.log_bytes
        forced = log_bytes - self._checkpointed_at_bytes > CHECKPOINT_ANYWAY_BYTES or log_bytes > LOG_LIMIT_BYTES
        if forced:
            self._turnstile.enter()
        elif self._queue or not self._turnstile.try_enter():
            return
        try:
            if forced or not (self._queue or self._turnstile.others_wait()):
                self._checkpoint(truncate=log_bytes > LOG_LIMIT_BYTES)
        finally:
            self._turnstile.leave()

    # -- inside the turnstile ------------------------------------------------------------------------------------------

    def _take(self, most: int) -> list[_Waiting]:
        group: list[_Waiting] = []
        while self._queue and len(group) < most:
            try:
                waiting = self._queue.popleft()
            except IndexError:  # the other thread has just given up on the last one
                break
            if not waiting.future.done():
                group.append(waiting)
        return group

    def _commit_inside(self, units: Sequence[Unit], *, patient: bool) -> list[Result] | None:
        """Commit a group and leave the turnstile; None if that would have to wait for a lock and may not (`patient`)."""
        try:
            faults.point("commit.locked")
            results = self._transaction(units, patient=patient)
            seq = _last_seq(results or ())
            if seq:
                self._mark(seq)
        finally:
            self._turnstile.leave()
        faults.point("commit.released")
        if seq is not None:
            self._on_commit()
            self._plan_checkpoint()
        return results

    def _transaction(self, units: Sequence[Unit], *, patient: bool) -> list[Result] | None:
        session = self._session
        try:
            if not self._begun(patient=patient):
                return None
            faults.point("commit.begun")
            results = [self._alone(units[0])] if len(units) == 1 else [self._among_others(unit) for unit in units]
            if _last_seq(results) is not None:
                faults.point("commit.before")
                session.commit()
                faults.point("commit.after")
            else:
                session.roll_back()
        except RestartThisSessionError as error:
            session.roll_back()
            return [RestartThisSessionError(error.message, hint=error.hint) for _ in units]
        except apsw.Error as error:
            session.roll_back()
            return [unavailable(error) for _ in units]
        return results

    def _begun(self, *, patient: bool) -> bool:
        """Begin; somebody may hold SQLite's lock without our turnstile, and only a thread may wait for that."""
        give_up_s = time.monotonic() + self._wait_limit_s
        while True:
            try:
                self._session.begin()
            except apsw.BusyError:
                if not patient:
                    return False
                if time.monotonic() > give_up_s:
                    raise
                time.sleep(BUSY_RETRY_S)
            else:
                return True

    def _alone(self, unit: Unit) -> Result:
        # A process that slept for hours after it put them may find them collected; nobody collects while we hold the turnstile.
        if isinstance(unit, Write) and not all(self._has_blob(blob.digest) for blob in unit.blobs):
            return StorageUnavailableError(
                "A value that this write names was collected before it was stored. Nothing was stored.", hint="Try again.", reason="other"
            )
        try:
            outcome = apply(self._session.db, unit)
        except UNIT_FAULTS as error:
            return _rejected(error)
        except apsw.Error:
            raise
        except Exception as error:  # noqa: BLE001 (`redo` is the caller's: what it raises is that unit's outcome alone)
            return error
        faults.point("commit.unit")
        return outcome

    def _among_others(self, unit: Unit) -> Result:
        db = self._session.db
        db.execute("SAVEPOINT unit")
        result = self._alone(unit)
        if not _is_stored(result):
            db.execute("ROLLBACK TO unit")
        db.execute("RELEASE unit")
        return result

    def _mark(self, seq: int) -> None:
        with contextlib.suppress(OSError):  # the commit stands; a mark that lags is only less able to find a loss
            self._turnstile.write_mark(self._store, seq)
        faults.point("commit.marked")

    def _plan_checkpoint(self) -> None:
        log_bytes = self._session.log_bytes
        if log_bytes < self._checkpointed_at_bytes:  # the log began anew
            self._checkpointed_at_bytes = 0
        if log_bytes - self._checkpointed_at_bytes > CHECKPOINT_BYTES and not self._checkpoint_wanted:
            self._checkpoint_wanted = True
            self._wake_thread()

    def _checkpoint(self, *, truncate: bool) -> None:
        faults.point("checkpoint.before")
        self._checkpointed_at_bytes = self._session.log_bytes
        with contextlib.suppress(
            apsw.Error
        ):  # a reader is in the way, or the disk is full: the log keeps all of it, the next one will do it
            self._session.checkpoint(truncate=truncate)
        faults.point("checkpoint.after")


def _is_stored(result: Result) -> bool:
    return isinstance(result, Committed) or (isinstance(result, Renewed) and result.held)


def _last_seq(results: Sequence[Result]) -> int | None:
    """Give the highest `seq` among them, 0 if only rows without events were stored, None if nothing was."""
    last: int | None = None
    for result in results:
        if isinstance(result, Committed):
            last = result.seq or last or 0
        elif _is_stored(result):
            last = last or 0
    return last


def _unwrap(result: Result) -> Outcome:
    if isinstance(result, Exception):
        raise result
    return result


def _deliver(group: Sequence[_Waiting], results: Sequence[Result]) -> None:
    for waiting, result in zip(group, results, strict=True):
        if waiting.future.done():  # its caller was cancelled meanwhile
            continue
        if isinstance(result, Exception):
            waiting.future.set_exception(result)
        else:
            waiting.future.set_result(result)


def _rejected(error: apsw.Error) -> WriteRejectedError:
    rejected = WriteRejectedError(
        f"A write was rejected by the tables: {error}. Nothing of it was stored.",
        hint="This is a bug of Treadle: report it.",
    )
    rejected.__cause__ = error
    return rejected
