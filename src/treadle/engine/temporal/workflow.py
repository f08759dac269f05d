"""The shell of a run on Temporal: one generic workflow that drains an inbox, one event at a time, through the core (rulings 1, 40-42).

Theory of operation
-------------------
Everything that happens to the run is a letter in the inbox: a request comes by update, the outcome of an activity or a timer is put there by
the coroutine that waited for it. The loop takes one letter, stamps it with the workflow's time and the lapsed leases, puts it through the core,
and carries the commands out; only then does it take the next. What one letter causes is durable when the workflow task that handled it is:
Temporal starts activities and answers updates after that, so a claim is durable before its action begins, as the core asks.

There is no second log. Temporal's history replays the letters in their order, and so rebuilds state, events, leases and replies, which live in
memory alone. That only works because the core is pure: nothing here may read a clock, draw a number or depend on the order of a set.

A request that would change nothing (asking again, answering too late) is refused by the update's validator: it leaves no trace in the history.

What is ugly: the state of the whole run is computed again from its first letter whenever it is not in a worker's cache; and what a run holds
must fit one execution (2,000 updates, 51,200 history events), because there is no continue-as-new yet. What does not fit parks the run.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from treadle.core.commands import Command, Evaluate, NeedBlobs, Perform, StopAction
from treadle.core.errors import Failure, Refusal, TreadleError
from treadle.core.events import (
    ActionAnswered,
    ActionClaimed,
    ApprovalDecided,
    Caller,
    Claim,
    Continued,
    Event,
    PerformerLost,
    RunParked,
    Woken,
)  # fmt: skip
from treadle.core.ids import idempotency_key
from treadle.core.state import ActionState, RunState
from treadle.core.values import Value
from treadle.engine.storage import keeps_reply
from treadle.engine.temporal.activities import ALIVE_WITHIN_MS, BREATHE, CALL, PERFORM
from treadle.engine.temporal.convert import (
    Begin,
    FunctionCall,
    Letter,
    Look,
    Opening,
    Order,
    Shown,
    Told,
    duration,
)  # fmt: skip
from treadle.engine.transact import Called, Transition, transition
from treadle.ports import Answer, Lease, Request, StoredEvent

WORKFLOW: Final = "treadle-run"
UNCHANGED: Final = "treadle-unchanged"
"""The type of the error by which a validator refuses a letter; its detail is what the caller is `Told`."""

SHOWN: Final = "treadle-shown"
"""The type of the error by which `peek` answers; its detail is what is `Shown`."""

SERVER: Final = Caller(kind="server", name="temporal")
TREADLE: Final = Caller(kind="server", name="treadle")
ONCE: Final = RetryPolicy(maximum_attempts=1)
SHORT_MS: Final = 1_000
"""A local activity keeps the workflow task open: the update that led to it is answered only behind it. So only what is this short may be one."""

UPDATES_MAX: Final = 1_900
"""Temporal takes 2,000 updates of one execution; what is left must do for taking the run up and cancelling it."""

HISTORY_EVENTS_MAX: Final = 40_000
HISTORY_BYTES_MAX: Final = 40 << 20
YEAR_MS: Final = 366 * 86_400_000


class NotYetError(Exception):
    """The run asks for what this engine cannot do yet."""


@dataclass(slots=True)
class _Item:
    """A letter in the inbox, whether somebody waits for the answer outside, and what became of it."""

    letter: Letter
    is_asked: bool = False
    told: Told | None = None


@workflow.defn(name=WORKFLOW)
class RunShell:
    """A run. `begin` is its whole input; its result is the word that it ended with."""

    @workflow.init
    def __init__(self, begin: Begin) -> None:
        """Put the first letter into the inbox: updates may come before the loop has begun."""
        self._begin, self._definition = begin, begin.definition
        self._state: RunState | None = None
        self._events: list[StoredEvent] = []
        self._replies: dict[str, tuple[str, Told]] = {}
        self._leases: dict[str, Lease] = {}
        self._works: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._first = _Item(Letter(event=begin.event, request=begin.request), is_asked=True)
        self._inbox: deque[_Item] = deque([self._first])
        self._is_busy = False
        self._updates = 0
        self._timer: asyncio.Task[None] | None = None
        self._armed_ms: int | None = None

    @workflow.run
    async def run(self, begin: Begin) -> str:  # noqa: ARG002 (`workflow.init` has taken it)
        """Drain the inbox until the run has ended and nobody waits for an answer."""
        while True:
            await workflow.wait_condition(lambda: bool(self._inbox) or self._is_over())
            if not self._inbox:
                return self._state.status if self._state is not None else "refused"
            self._is_busy = True
            item = self._inbox.popleft()
            item.told = await self._told(item)
            self._is_busy = False

    # What comes in

    @workflow.update
    async def opened(self) -> Told:
        """Wait until the first letter is absorbed."""
        await workflow.wait_condition(lambda: self._first.told is not None)
        return self._first.told or Told()

    @workflow.update
    async def put(self, letter: Letter) -> Told:
        """Put a letter into the inbox and wait for what becomes of it."""
        self._updates += 1
        return await self._fed(letter, is_asked=True)

    @put.validator
    def check(self, letter: Letter) -> None:
        """Refuse what changes nothing before it enters the history; with letters waiting, nobody can tell yet."""
        if self._is_busy or self._inbox or self._state is None:
            return
        told = self._known(letter.request)
        if told is None:
            try:
                asking = transition(self._definition, self._state, self._stamped(letter.event))
                next(asking)
            except StopIteration as done:
                found: Transition = done.value
                told = self._as_told(found) if not found.events else None
            except TreadleError:  # the loop meets it again, and parks the run
                return
        if told is not None:
            raise ApplicationError("it changes nothing", told, type=UNCHANGED, non_retryable=True)

    @workflow.update
    async def renew(self, lease: Lease) -> bool:
        """Lengthen a lease. Not an event of the run, but five of Temporal's history: here is no other place to write to."""
        held = self._leases.get(lease.action)
        if held is None or (held.attempt, held.holder) != (lease.attempt, lease.holder):
            return False
        self._updates += 1
        self._leases[lease.action] = replace(held, until_ms=lease.until_ms)
        return True

    # What can be seen

    @workflow.query
    def shown(self, look: Look) -> Shown:
        """Show a run that has ended. Of an open one only `peek` may be asked: see there."""
        events = tuple(self._events[look.after_rev :]) if look.after_rev is not None else ()
        opening = Opening(definition=self._definition, meta=self._begin.meta) if look.opening else None
        return Shown(state=self._state, leases=tuple(self._leases.values()), opening=opening, events=events)

    @workflow.query
    def reply(self, request: Request) -> Told:
        """Give an ended run's stored reply to a request; an empty one if there is none."""
        return self._known(request) or Told()

    @workflow.update
    async def peek(self, look: Look) -> Shown:
        """Show a run that is open: an update that is always refused, with what was asked for.

        A query would be the obvious way. But a worker that is asked by query for a run that it does not hold applies what has happened since
        the last workflow task, and keeps that state; a request that comes next is then recorded in another order than a replay gives.
        """
        return self.shown(look)

    @peek.validator
    def show(self, look: Look) -> None:
        """Answer by refusing: a refused update leaves no trace in the history."""
        raise ApplicationError("shown", self.shown(look), type=SHOWN, non_retryable=True)

    # One letter

    async def _fed(self, letter: Letter, *, is_asked: bool = False) -> Told:
        item = _Item(letter, is_asked)
        self._inbox.append(item)
        await workflow.wait_condition(lambda: item.told is not None)
        return item.told or Told()

    async def _told(self, item: _Item) -> Told:
        letter = item.letter
        known = self._known(letter.request)
        if known is not None:
            return known
        try:
            found = await self._absorbed(self._stamped(letter.event))
        except NotYetError as error:
            return await self._refused(f"not_yet: {error}", "not_yet", park=not item.is_asked)
        except TreadleError as error:  # what does not fit, and what is a bug, parks the run (design §2)
            return await self._refused(f"{error.code}: {error}", error.code, park=True)
        told = self._as_told(found)
        if letter.request is not None and found.events and keeps_reply(found):
            self._replies[letter.request.key] = (letter.request.digest, told)
        while found.more:
            await self._breathe()
            found = await self._absorbed(Continued(at_ms=_now_ms()))
        await self._keep_within_limits()
        return told

    async def _breathe(self) -> None:
        """End the activation between two commits: Temporal gives up on one that computes for 2 s. A timer would take a whole second."""
        await workflow.execute_local_activity(BREATHE, start_to_close_timeout=duration(SHORT_MS), retry_policy=RetryPolicy())

    async def _refused(self, why: str, code: str, *, park: bool) -> Told:
        """Leave the run where it was. What nobody outside can be told of, or can mend by asking otherwise, sets it aside."""
        if park and self._state is not None and not self._state.ended:
            await self._absorbed(RunParked(at_ms=self._state.now_ms, by=TREADLE, reason=why))
        return Told(refusal=Refusal(code=code, message=why, hint="run it on the embedded engine"))

    async def _keep_within_limits(self) -> None:
        """Set the run aside before Temporal ends it for the length of its history."""
        state, info = self._state, workflow.info()
        is_long = (
            self._updates > UPDATES_MAX
            or info.get_current_history_length() > HISTORY_EVENTS_MAX
            or info.get_current_history_size() > HISTORY_BYTES_MAX
        )
        if is_long and state is not None and state.status == "running" and state.parked is None:
            why = "not_yet: this run is near Temporal's limits for one execution, and continuing as new is not built"
            await self._absorbed(RunParked(at_ms=state.now_ms, by=TREADLE, reason=why))

    async def _absorbed(self, event: Event) -> Transition:
        """Put an event through the core; the run has moved when this returns."""
        found = await self._transition(event)
        if found.blobs:
            size = max(len(blob.body) for blob in found.blobs)
            raise NotYetError(f"a value of {size} bytes is set aside, and the Temporal engine has no place for values")
        if not found.events:
            return found
        self._state = found.state
        first = len(self._events) + 1
        self._events += [
            StoredEvent(seq=rev, rev=rev, run_id=found.state.run_id, event=each) for rev, each in enumerate(found.events, first)
        ]
        self._lease(found.state, event.at_ms)
        self._carry_out(found.state, found.commands)
        self._arm(found.state)
        return found

    async def _transition(self, event: Event) -> Transition:
        asking = transition(self._definition, self._state, event)
        given: Called | Mapping[str, Value] = None
        while True:
            try:
                wanted = asking.send(given)
            except StopIteration as done:
                return done.value
            if isinstance(wanted, NeedBlobs):
                raise NotYetError("a value that was set aside is needed, and the Temporal engine has no place for values")
            given = await self._called(wanted)

    async def _called(self, command: Evaluate) -> Called:
        """Call a function by a local activity: its result is in the history, and is never computed again (ruling 4)."""
        asked = FunctionCall(
            node=command.node, function=command.function, version=command.version, args=command.args, kwargs=command.kwargs
        )  # fmt: skip
        answer = await workflow.execute_local_activity(
            CALL, asked, result_type=Answer, schedule_to_close_timeout=duration(YEAR_MS), retry_policy=ONCE,
            activity_id=f"{command.node}:{command.ordinal}",
        )  # fmt: skip
        return answer.failure if answer.failure is not None else answer.value

    def _stamped(self, event: Event) -> Event:
        """Give an event this shell's time, and its claim the leases that have lapsed by it."""
        now_ms = _now_ms()
        lapsed = tuple(lease.action for lease in self._leases.values() if lease.until_ms <= now_ms)
        match event:
            case ActionClaimed(claim=claim):
                return replace(event, at_ms=now_ms, claim=replace(claim, lapsed=lapsed))
            case ActionAnswered(then=Claim() as then) | ApprovalDecided(then=Claim() as then):
                return replace(event, at_ms=now_ms, then=replace(then, lapsed=lapsed))
            case _:
                return replace(event, at_ms=now_ms)

    def _known(self, request: Request | None) -> Told | None:
        """Give the reply to a request that was made before, or say that it had another body (ruling 21)."""
        found = self._replies.get(request.key) if request is not None else None
        if found is None or request is None:
            return None
        digest, told = found
        if digest != request.digest:
            message = "this request was answered before, with another body; the first one stands"
            return Told(refusal=Refusal(code="conflict", message=message, hint="look at the run; another way is another run"))
        return replace(told, claimed=told.claimed if self._is_open(told.claimed) else None, duplicate=True)

    def _is_open(self, action: str | None) -> bool:
        return self._state is not None and action in self._state.actions

    def _as_told(self, found: Transition) -> Told:
        lease = self._leases.get(found.claimed) if found.claimed is not None else None
        return Told(refusal=found.refusal, claimed=found.claimed, lease_until_ms=lease.until_ms if lease is not None else None)

    def _is_over(self) -> bool:
        """Tell whether the workflow may end: the run has (or never began), and every caller has been answered."""
        ended = self._state.ended if self._state is not None else self._first.told is not None
        return ended and workflow.all_handlers_finished()

    # What follows

    def _lease(self, state: RunState, at_ms: int) -> None:
        for action_id in [each for each in self._leases if each not in state.actions]:
            del self._leases[action_id]
        for action in state.actions.values():
            held = self._leases.get(action.id)
            if action.holder is None or action.status != "claimed":
                self._leases.pop(action.id, None)
            elif held is None or (held.attempt, held.holder) != (action.attempt, action.holder):
                until_ms = at_ms + self._begin.lease_ms
                self._leases[action.id] = Lease(action=action.id, attempt=action.attempt, holder=action.holder, until_ms=until_ms)

    def _carry_out(self, state: RunState, commands: tuple[Command, ...]) -> None:
        for command in commands:
            if isinstance(command, Perform):
                key = (command.action, command.attempt)
                self._works[key] = asyncio.create_task(self._perform(command))
            elif isinstance(command, StopAction):
                self._stop((command.action, command.attempt))
        for key in list(self._works):
            action = state.actions.get(key[0])
            if action is None or action.attempt != key[1]:
                self._stop(key)

    def _stop(self, key: tuple[str, int]) -> None:
        work = self._works.pop(key, None)
        if work is not None:
            work.cancel()

    async def _perform(self, command: Perform) -> None:
        """Have an action done, claimed first where its effect asks for it, and tell the core."""
        action = self._state.actions.get(command.action) if self._state is not None else None
        if action is None:
            return
        if command.claim:
            claim = Claim(channel="", holder=SERVER.name, by=SERVER, action=action.id)
            told = await self._fed(Letter(event=ActionClaimed(at_ms=0, claim=claim)))
            if told.claimed != action.id or self._state is None:
                return
            action = self._state.actions[action.id]
        answer = await self._done(action)
        event: Event = PerformerLost(at_ms=0, action=action.id, attempt=action.attempt)
        if not answer.lost:
            event = ActionAnswered(
                at_ms=0, action=action.id, attempt=action.attempt, holder=SERVER.name, by=SERVER, value=answer.value, failure=answer.failure,
                usage=answer.usage, degraded=answer.degraded,
            )  # fmt: skip
        await self._fed(Letter(event=event))

    async def _done(self, action: ActionState) -> Answer:
        """Hand an action to an activity. Temporal's timeouts only notice a dead worker: the core's are the run's own (ruling 2)."""
        timeout_ms = self._definition.index.steps[action.at].timeout_ms
        order = Order(
            run_id=self._begin.event.run_id, action=action, timeout_ms=timeout_ms, key=idempotency_key(self._begin.event.run_id, action.id),
            definition=self._definition, directory=self._begin.meta.directory,
        )  # fmt: skip
        activity_id = f"{action.id}#{action.attempt}"
        try:
            if action.effect in {"none", "read"} and timeout_ms is not None and timeout_ms <= SHORT_MS:
                return await workflow.execute_local_activity(
                    PERFORM, order, result_type=Answer, activity_id=activity_id, schedule_to_close_timeout=duration(2 * SHORT_MS),
                    retry_policy=ONCE,
                )  # fmt: skip
            return await workflow.execute_activity(
                PERFORM, order, result_type=Answer, activity_id=activity_id, start_to_close_timeout=duration(YEAR_MS),
                heartbeat_timeout=duration(ALIVE_WITHIN_MS), retry_policy=ONCE,
                cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            )  # fmt: skip
        except (ActivityError, asyncio.CancelledError) as error:
            if is_cancelled_exception(error):
                return Answer(failure=Failure(error_class="failed", message=f"`{action.id}` was stopped", step=action.id))
            return Answer(lost=True)

    def _arm(self, state: RunState) -> None:
        """Keep one timer, for what is due next; one that stands is not set anew, for each costs two events of the history."""
        due_ms = state.next_due_ms
        if due_ms == self._armed_ms:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._armed_ms = due_ms
        self._timer = asyncio.create_task(self._wake_at(due_ms)) if due_ms is not None else None

    async def _wake_at(self, due_ms: int) -> None:
        await workflow.sleep(duration(max(0, due_ms - _now_ms())))
        self._armed_ms = self._timer = None
        self._inbox.append(_Item(Letter(event=Woken(at_ms=0))))


def _now_ms() -> int:
    return workflow.time_ns() // 1_000_000
