"""Playing a run by a script, on the memory engine and a clock of its own: no file, no process, no tool, no waiting.

Theory of operation
-------------------
The engine, its storage, the core and registered functions are real; only who answers and what time it is come from the script. Everything that
is open is begun at once, each action by a performer of its own, in the order in which they were opened. An answer without `after` comes at
once. When all that is open is in somebody's hands, time jumps to the next thing that is due: an answer, or a timer of the run (a retry's wait,
a `within`, a `timeout`). So nothing depends on how fast the machine is, and a case that takes three days takes milliseconds.

The engine's own performing loop (`engine/performing.py`) is left out: it would call tools, and it rests between its rounds. What it sends
to the core for a tool call (claim, answer, loss) is sent here, from the script.
"""

import hashlib
import heapq
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

from treadle.clock import FakeClock
from treadle.core.aside import fill, named
from treadle.core.closing import needs_claim
from treadle.core.commands import Note
from treadle.core.definition import Definition
from treadle.core.errors import Refusal, RequestError
from treadle.core.events import (
    ActionAnswered,
    ActionClaimed,
    ApprovalDecided,
    Caller,
    CancelRequested,
    Claim,
    Event,
    OutcomeResolved,
    PerformerLost,
    RunStarted,
    SignalSent,
    Woken,
)  # fmt: skip
from treadle.core.ids import idempotency_key
from treadle.core.opening import CACHE_GET, FILES_DIGEST
from treadle.core.state import RunState
from treadle.core.values import RESERVED, Json, Value, ValueProblem, normalise
from treadle.core.worktrees import KINDS as WORKTREES
from treadle.engine.local import LocalEngine
from treadle.engine.memory import MemoryStorage
from treadle.ports import ActionCall, Functions, Reply, RunMeta
from treadle.testing.script import Entry, Place, Script, Signal, failure_of, matches, mends
from treadle.view import ActionView, RunView, action_view, view

RUN_ID: Final = "run_test"
SEED: Final = "0" * 32
# Nobody in a test falls silent without saying so.
LEASE_MS: Final = 1 << 50
EVENTS_MAX: Final = 100_000
_HELD: Final = ("open", "claimed", "unknown")


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One thing that a transition derived, and when."""

    at_ms: int
    note: Note


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """An action as it was handed to its performer, each attempt of it: what it was shown, whole."""

    id: str
    kind: str
    performer: str
    attempt: int
    at_ms: int
    params: Mapping[str, Value]

    def fits(self, pattern: str) -> bool:
        """Tell whether a pattern or kind means it."""
        return matches(pattern, self.id, self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why a run could not be played to its end: an action without an answer, or an answer that was refused."""

    code: str
    message: str
    action: ActionView | None = None
    place: Place | None = None


@dataclass(slots=True, kw_only=True)
class Played:
    """What became of a run. `refused` says why it was not started; `unsent` are signals whose time came after the end."""

    definition: Definition
    started_ms: int
    run: RunView | None = None
    result: Value = None
    state: Mapping[str, Value] = field(default_factory=dict[str, Value])
    refused: Refusal | None = None
    trouble: Trouble | None = None
    moments: list[Moment] = field(default_factory=list[Moment])
    handed: list[Handed] = field(default_factory=list[Handed])
    said: dict[tuple[str, int], str] = field(default_factory=dict[tuple[str, int], str])
    given: dict[tuple[str, int], tuple[Entry, Json]] = field(default_factory=dict[tuple[str, int], tuple[Entry, Json]])
    unsent: list[Signal] = field(default_factory=list[Signal])

    def order(self) -> list[Handed]:
        """Give each action once, in the order in which they were begun."""
        first: dict[str, Handed] = {}
        for each in self.handed:
            first.setdefault(each.id, each)
        return list(first.values())


@dataclass(order=True, slots=True)
class _Due:
    """What the script has decided for later: an answer, a signal, or (neither is there) another look at the script."""

    at_ms: int
    number: int
    action: str = field(compare=False)
    attempt: int = field(compare=False)
    entry: Entry | None = field(compare=False)
    given: Json = field(compare=False)
    signal: Signal | None = field(compare=False, default=None)


Otherwise = Callable[[ActionCall], Awaitable[Entry | None]]
"""Gives an entry for an action that the script has none for, as a dry run does by calling what only reads."""


async def play(
    definition: Definition, script: Script, inputs: Mapping[str, Json], *, functions: Functions, user: str = "tester", clock_ms: int,
    otherwise: Otherwise | None = None, signals: Sequence[Signal] = (), storage: MemoryStorage | None = None,
) -> Played:  # fmt: skip
    """Start a run and carry it on by a script until it has ended or nothing moves it any more. `script` counts what was used.

    `storage` is for who wants to read the history, of the run `RUN_ID`, afterwards.
    """
    player = _Player(definition, script, functions, user, clock_ms, otherwise, storage)
    try:
        await player.start(inputs)
        player.expect(signals)
        await player.carry_on()
        return player.told()
    finally:
        await player.engine.close()


class _Stuck(Exception):  # noqa: N818 - control flow within this module
    """The run cannot be played on; the trouble is recorded."""


class _WithoutWorld:
    """Registered functions, and for what the core itself asks of the world: no file is there yet, and no result is kept."""

    def __init__(self, registered: Functions) -> None:
        self._registered = registered

    def call(self, name: str, version: str, args: Sequence[Value], kwargs: dict[str, Value]) -> Value:
        if name == CACHE_GET:
            return None
        if name == FILES_DIGEST:
            return {"root": "", "files": {}}
        return self._registered.call(name, version, args, kwargs)


class _Player:
    def __init__(
        self, definition: Definition, script: Script, functions: Functions, user: str, clock_ms: int, otherwise: Otherwise | None,
        storage: MemoryStorage | None = None,
    ) -> None:  # fmt: skip
        self.definition, self.script, self.user, self.otherwise = definition, script, user, otherwise
        self.clock = FakeClock(clock_ms)
        self.storage = storage or MemoryStorage()
        self.engine = LocalEngine(self.storage, functions=_WithoutWorld(functions), clock=self.clock, holder="test", lease_ms=LEASE_MS)
        self.played = Played(definition=definition, started_ms=clock_ms)
        self.state: RunState | None = None
        self.due: list[_Due] = []
        # What is in hand, by attempt; one whose outcome became unknown is asked about anew.
        self.hands: set[tuple[str, int, bool]] = set()
        self.shown: set[tuple[str, int]] = set()
        self.count = 0

    async def start(self, inputs: Mapping[str, Json]) -> None:
        try:
            given = cast("dict[str, Json]", normalise(dict(inputs)))
        except ValueProblem as problem:
            self.played.refused = Refusal(code=problem.code, message=problem.message)
            return
        event = RunStarted(at_ms=self.clock.now_ms(), run_id=RUN_ID, seed=SEED, inputs=given, by=self._person(self.user))
        reply = await self.engine.start(self.definition, event, RunMeta(workflow=self.definition.name))
        self.played.refused = reply.refusal
        if reply.refusal is None:
            self._note(reply)

    def expect(self, signals: Sequence[Signal]) -> None:
        """Have signals come, each so long after the start."""
        for signal in signals:
            self.count += 1
            heapq.heappush(self.due, _Due(self.clock.now_ms() + signal.after_ms, self.count, "", 0, None, None, signal))

    async def carry_on(self) -> None:
        try:
            while (state := self.state) is not None and not state.ended and state.parked is None:
                action = self._free(state)
                if action is not None:
                    await self._begin(action)
                elif not await self._pass_time(state):
                    return
        except _Stuck:
            return

    def told(self) -> Played:
        """Give what became of the run, whole."""
        self.played.unsent = [due.signal for due in sorted(self.due) if due.signal is not None]
        if self.state is not None:
            run = self.played.run = view(self.definition, self.state)
            self.played.result = fill(run.result, self.storage.blob)
            self.played.state = cast("dict[str, Value]", fill(dict(run.state), self.storage.blob))
        return self.played

    # One action

    def _free(self, state: RunState) -> ActionView | None:
        for action in state.actions.values():
            if action.status in _HELD and (action.id, action.attempt, action.status == "unknown") not in self.hands:
                shown = action_view(self.definition, state, action)
                # While an outcome is read back, nobody is asked about it.
                if action.status != "unknown" or shown.waits_for == "outcome":
                    return shown
        return None

    async def _begin(self, action: ActionView) -> None:
        self.hands.add((action.id, action.attempt, action.status == "unknown"))
        if action.status != "unknown" and action.kind not in WORKTREES and (action.id, action.attempt) not in self.shown:
            self.shown.add((action.id, action.attempt))
            params = cast("dict[str, Value]", _shown(named(fill(dict(action.params), self.storage.blob))))
            self.played.handed.append(
                Handed(
                    id=action.id,
                    kind=action.kind,
                    performer=action.performer,
                    attempt=action.attempt,
                    at_ms=self.clock.now_ms(),
                    params=params,
                )
            )
        await self._look(action)

    async def _look(self, action: ActionView) -> None:
        """Ask the script about an action, and do what it says."""
        entry = self.script.find(action)
        if action.kind in WORKTREES and (entry is None or entry.match not in {action.id, action.kind}):
            entry = _worktree(action)
        entry = entry or await self._other(action)
        if entry is None:
            raise self._stuck("no_answer", f"`{action.id}` ({_about(action)}) has no answer", action)
        given = entry.answer()
        if entry.verb == "advance":
            self._later(action, None, None, cast(int, given))
        else:
            if entry.verb != "cancel":
                await self._claim(action)
            if entry.verb != "hold":
                # Also what comes at once comes in its turn: what is due at this instant was asked for earlier.
                self._later(action, entry, given, entry.after_ms)

    async def _other(self, action: ActionView) -> Entry | None:
        if self.otherwise is None or action.status == "unknown":
            return None
        state = cast(RunState, self.state).actions[action.id]
        params = {name: fill(value, self.storage.blob) for name, value in state.params.items()}
        timeout_ms = self.definition.index.steps[state.at].timeout_ms
        key = idempotency_key(RUN_ID, action.id)
        return await self.otherwise(ActionCall(run_id=RUN_ID, action=state, params=params, key=key, timeout_ms=timeout_ms))

    async def _claim(self, action: ActionView) -> None:
        if action.kind == "approve" or action.status != "open":
            return
        by = self._performer(action)
        if action.performer == "server" and not needs_claim(cast(RunState, self.state).actions[action.id]):
            return
        claim = Claim(channel=action.channel, holder=by.name, by=by, action=action.id)
        await self._send(ActionClaimed(at_ms=self.clock.now_ms(), claim=claim))

    def _later(self, action: ActionView, entry: Entry | None, given: Json, in_ms: int) -> None:
        self.count += 1
        due = _Due(self.clock.now_ms() + in_ms, self.count, action.id, action.attempt, entry, given)
        heapq.heappush(self.due, due)

    async def _pass_time(self, state: RunState) -> bool:
        """Go on to what is due next; timers fire before an answer of the same instant. False if nothing ever is."""
        timer_ms = state.next_due_ms
        due = self.due[0] if self.due else None
        if due is None or (timer_ms is not None and timer_ms <= due.at_ms):
            if timer_ms is None:
                return False
            self._move_to(timer_ms)
            await self._send(Woken(at_ms=self.clock.now_ms()))
            return True
        heapq.heappop(self.due)
        self._move_to(due.at_ms)
        if due.signal is not None:
            await self._signal(due.signal)
            return True
        action = state.actions.get(due.action)
        if action is None or action.attempt != due.attempt:
            return True  # it was stopped meanwhile
        shown = action_view(self.definition, state, action)
        if due.entry is None:
            if action.status in _HELD:
                await self._look(shown)
        else:
            await self._answer(shown, due.entry, due.given)
        return True

    async def _signal(self, signal: Signal) -> None:
        by = self._person(self.user)
        reply = await self._send(SignalSent(at_ms=self.clock.now_ms(), name=signal.name, by=by, payload=cast(Value, signal.payload)))
        if reply.refusal is not None:
            raise self._stuck("signal_refused", f"the signal `{signal.name}` was refused: {reply.refusal.message}", place=signal.place)

    def _move_to(self, at_ms: int) -> None:
        self.clock.advance(max(0, at_ms - self.clock.now_ms()))

    async def _answer(self, action: ActionView, entry: Entry, given: Json) -> None:
        self.played.said[action.id, action.attempt] = entry.verb
        self.played.given[action.id, action.attempt] = (entry, given)
        reply = await self._send(self._event(action, entry, given))
        if reply.refusal is None or reply.refusal.code == "stopped":
            return
        self.hands.discard((action.id, action.attempt, action.status == "unknown"))
        # What a check finds is what the script says; that the answer it looked at is refused by it is no fault of the script.
        if action.kind != "verify" and not mends(entry, self.script.find(action), reply.refusal.code):
            raise self._stuck("answer_refused", f"the answer to `{action.id}` was refused: {reply.refusal.message}", action, entry.place)

    def _event(self, action: ActionView, entry: Entry, given: Json) -> Event:
        at_ms, person = self.clock.now_ms(), self._person(entry.by or self.user)
        match entry.verb:
            case "approve" | "reject":
                return ApprovalDecided(
                    at_ms=at_ms, action=action.id, digest=action.digest or "", approved=entry.verb == "approve", by=person, note=entry.note
                )
            case "outcome":
                word = cast("str", given)
                return OutcomeResolved(
                    at_ms=at_ms, action=action.id, attempt=action.attempt, outcome=word, by=person, value=entry.value,  # type: ignore[arg-type] - one of the three words
                )  # fmt: skip
            case "cancel":
                return CancelRequested(at_ms=at_ms, by=person, reason=str(given))
            case "lost":
                return PerformerLost(at_ms=at_ms, action=action.id, attempt=action.attempt)
            case _:
                by = person if entry.by else self._performer(action)
                failure = failure_of(entry.verb, given, action.id)
                return ActionAnswered(
                    at_ms=at_ms, action=action.id, attempt=action.attempt, holder=self._performer(action).name, by=by,
                    value=None if failure is not None else given, failure=failure, channel=action.channel if by.kind == "agent" else None,
                )  # fmt: skip

    # Sending

    async def _send(self, event: Event) -> Reply:
        if self.count > EVENTS_MAX:
            raise self._stuck("too_long", f"the run did not end within {EVENTS_MAX:,} events; a loop may have no end")
        self.count += 1
        try:
            reply = await self.engine.send(RUN_ID, lambda _at_ms, _state, _lapsed: event)
        except RequestError as error:
            raise self._stuck(error.code, error.message) from error
        self._note(reply)
        return reply

    def _note(self, reply: Reply) -> None:
        self.state = reply.state
        self.played.moments += [Moment(at_ms=self.clock.now_ms(), note=note) for note in reply.notes]

    def _stuck(self, code: str, message: str, action: ActionView | None = None, place: Place | None = None) -> _Stuck:
        self.played.trouble = Trouble(code=code, message=message, action=action, place=place)
        return _Stuck()

    def _person(self, name: str) -> Caller:
        return Caller(kind="human", name=name, assurance="local")

    def _performer(self, action: ActionView) -> Caller:
        if action.performer == "server":
            return Caller(kind="server", name="test")
        if action.performer == "human":
            return self._person(self.user)
        kind = "headless" if action.performer == "headless" else "agent"
        return Caller(kind=kind, name=f"test/{action.channel}" if action.channel else "test/main")


def _worktree(action: ActionView) -> Entry:
    """Make a worktree up, and what was changed in it: nobody works with files here."""
    scope = str(action.params["scope"])
    given: dict[str, Json] = {"commit": hashlib.sha256(scope.encode()).hexdigest()[:40], "files": [], "file_count": 0}
    if action.kind == "worktree":
        given = {"path": f"/worktrees/{scope}", "base": "0" * 40, "ref": f"refs/treadle/{RUN_ID}/{scope}"}
    return Entry(match=action.id, verb="answer", given=given, place=Place(file="", line=0))


def _shown(value: Value) -> Value:
    """Give a value in which secrets stand as `***NAME***`, whole or within text."""
    if isinstance(value, list):
        return [_shown(item) for item in value]
    if isinstance(value, dict):
        name = value.get(f"{RESERVED}secret") if len(value) == 1 else None
        return f"***{name}***" if name is not None else {key: _shown(item) for key, item in value.items()}
    return value


def _about(action: ActionView) -> str:
    tool = action.params.get("tool")
    state = ", whose outcome is unknown" if action.status == "unknown" else ""
    return f"{action.kind}{f' {tool}' if isinstance(tool, str) else ''}{state}"
