"""`Play`: a run carried by hand, one event at a time, with everything checked that must hold after any event.

Time moves only when a test says so. Functions are called and blobs supplied as a shell does, in the same call; their events are in the log.
"""

import json
from collections.abc import Sequence
from dataclasses import replace

from treadle.core import codec
from treadle.core.advance import advance
from treadle.core.commands import CloseRun, Decision, Evaluate, KeepResult, NeedBlobs, Perform
from treadle.core.definition import Definition
from treadle.core.errors import Failure, Refusal
from treadle.core.events import (
    EVENT_TYPES,
    ActionAnswered,
    ActionClaimed,
    ApprovalDecided,
    Caller,
    CancelRequested,
    Claim,
    Continued,
    Evaluated,
    Event,
    OutcomeResolved,
    PerformerLost,
    RunForked,
    RunMigrated,
    RunParked,
    RunResumed,
    RunStarted,
    SignalSent,
    UndoRequested,
    Usage,
    Woken,
)
from treadle.core.state import ActionState, RunState
from treadle.core.values import Value, decode, untagged
from treadle.engine.migrating import plan_migration
from treadle.invariants import check_invariants
from treadle.replay import fold, resume
from treadle.view import RunView, view

ME = Caller(kind="agent", name="me")
OTHER = Caller(kind="agent", name="other")
SERVER = Caller(kind="server", name="worker")
ANNA = Caller(kind="human", name="anna", assurance="local")
T0 = 1_800_000_000_000


def double(value):
    return value * 2


def broken(*_):
    raise ValueError("it broke")


def make_items(count, prefix="item"):
    return [f"{prefix} {index}" for index in range(count)]


FUNCTIONS = {"double": double, "broken": broken, "make_items": make_items}
CACHE: dict[str, Value] = {}
FILES: dict[str, str] = {}
# What the shell gives a step that caches or proves: here by hand.
OWN = {
    "treadle.cache_get": lambda key, _ttl_ms, _commit: {"value": CACHE[key]} if key in CACHE else None,
    "treadle.files_digest": lambda paths: {path: FILES.get(path) for path in paths},
}


class Play:
    """One run. `log` holds every event that changed something, `decision` the last decision, `notes` those of the last call."""

    def __init__(self, definition: Definition, *, started: bool = True, by: Caller = ANNA, env=None, **inputs) -> None:
        self.definition = self.first = definition
        self.later: dict[str, Definition] = {}
        self.state: RunState | None = None
        self.now_ms = T0
        self.log: list[Event] = []
        self.blobs: dict[str, Value] = {}
        self.supplied: dict[str, Value] = {}
        self.commands: list = []
        self.notes: list = []
        self.every_note: list = []
        self.every_command: list = []
        self.decision: Decision | None = None
        if started:
            self.start(by=by, env=env, **inputs)

    # Events

    def start(self, *, by: Caller = ANNA, env=None, **inputs) -> "Play":
        return self.feed(RunStarted(at_ms=self.now_ms, run_id="run_1", seed="seed", inputs=inputs, by=by, env=env or {}))

    def claim(self, action: str | None = None, *, by: Caller = ME, channel="", lapsed: Sequence[str] = (), take_over=False) -> "Play":
        wish = Claim(channel=channel, holder=by.name, by=by, action=action, lapsed=tuple(lapsed), take_over=take_over)
        return self.feed(ActionClaimed(at_ms=self.now_ms, claim=wish))

    def answer(
        self, action: str, value: Value = None, *, by: Caller | None = None, attempt: int | None = None, fails: str | None = None,
        result=..., then: bool = False, channel: str | None = None, usage: Usage | None = None, degraded: bool = False,
        retry_after_ms: int = 0,
    ) -> "Play":  # fmt: skip
        """Answer an open attempt, by default as its holder would."""
        open_action = self.state.actions.get(action)
        by = by or self._holder(open_action)
        attempt = attempt or (open_action.attempt if open_action else 1)
        failure = None
        if fails is not None:
            has = result is not ...
            failure = Failure(
                error_class=fails, message=f"it is {fails}", step=action, result=result if has else None, has_result=has,
                retry_after_ms=retry_after_ms,
            )  # fmt: skip
        claim = Claim(channel=channel or "", holder=by.name, by=by) if then else None
        return self.feed(
            ActionAnswered(
                at_ms=self.now_ms, action=action, attempt=attempt, holder=by.name, by=by, value=value, failure=failure,
                then=claim, channel=channel, usage=usage, degraded=degraded,
            )
        )  # fmt: skip

    def done(self, action: str, value: Value = None, **more) -> "Play":
        """Claim an action and answer it; the answer must be taken."""
        open_action = self.state.actions[action]
        by = more.pop("by", None) or self._holder(open_action)
        if open_action.status == "open" and (open_action.performer != "server" or open_action.effect not in {"none", "read"}):
            self.claim(action, by=by, channel=open_action.channel)
            assert self.refused is None, self.decision.refusal
        self.answer(action, value, by=by, **more)
        assert self.refused is None, self.decision.refusal
        return self

    def decide(self, action: str, approved: bool, *, by: Caller = ANNA, digest: str | None = None, note="") -> "Play":
        digest = digest or self.state.actions[action].digest or ""
        return self.feed(ApprovalDecided(at_ms=self.now_ms, action=action, digest=digest, approved=approved, by=by, note=note))

    def lost(self, action: str, attempt: int | None = None) -> "Play":
        attempt = attempt or self.state.actions[action].attempt
        return self.feed(PerformerLost(at_ms=self.now_ms, action=action, attempt=attempt))

    def resolve(self, action: str, outcome: str, value: Value = None, *, by: Caller = ANNA, attempt=None, note="") -> "Play":
        attempt = attempt or self.state.actions[action].attempt
        return self.feed(OutcomeResolved(at_ms=self.now_ms, action=action, attempt=attempt, outcome=outcome, by=by, value=value, note=note))

    def pass_ms(self, ms: int) -> "Play":
        """Let time pass, and wake the run whenever something is due, as a shell does."""
        end = self.now_ms + ms
        while (due := self.state.next_due_ms) is not None and due <= end:
            self.now_ms = max(self.now_ms, due)
            self.feed(Woken(at_ms=self.now_ms))
        self.now_ms = end
        return self

    def wake(self) -> "Play":
        return self.feed(Woken(at_ms=self.now_ms))

    def cancel(self, by: Caller = ANNA) -> "Play":
        return self.feed(CancelRequested(at_ms=self.now_ms, by=by))

    def park(self, by: Caller = ANNA, reason="lunch") -> "Play":
        return self.feed(RunParked(at_ms=self.now_ms, by=by, reason=reason))

    def unpark(self, by: Caller = ANNA) -> "Play":
        return self.feed(RunResumed(at_ms=self.now_ms, by=by))

    def signal(self, name: str, payload: Value = None, *, by: Caller = ANNA) -> "Play":
        return self.feed(SignalSent(at_ms=self.now_ms, name=name, payload=payload, by=by))

    def undo(self, by: Caller = ANNA) -> "Play":
        return self.feed(UndoRequested(at_ms=self.now_ms, by=by))

    def fork(self, at: str, *, by: Caller = ANNA, run_id="run_2", **state: Value) -> "Play":
        """A run of its own that shares the log up to the event that first opened `at`; it stands beside this one, at the same time."""
        fork = Play(self.definition, started=False)
        fork.now_ms, fork.blobs = self.now_ms, dict(self.blobs)
        for event in self.log:
            notes = fork.feed_again(event)
            if any(note.kind == "step_opened" and note.path == at for note in notes):
                break
        shared = fork.log[:-1]
        fork.state, fork.log = fold(self.definition, shared, self.blobs) if shared else None, shared
        fork.every_note, fork.every_command = [], []
        return fork.feed(
            RunForked(
                at_ms=self.now_ms, run_id=run_id, seed=f"seed of {run_id}", by=by, from_run=self.state.run_id, from_rev=len(shared),
                at=at, event=event, set=state,
            )
        )  # fmt: skip

    def feed_again(self, event: Event) -> list:
        """Absorb an event of a log: what it asked for stands in the log too."""
        self.notes = []
        self._advance(event)
        return self.notes

    def migrate(self, definition: Definition, *, by: Caller = ANNA, **renamed: str) -> "Play":
        """Move to another definition, by the plan that the shells make."""
        plan = plan_migration(self.definition, definition, self.state, renamed, at_ms=self.now_ms, by=by)
        self.feed_migration(definition, plan.event) if not plan.troubles else self._refuse(plan.troubles[0])
        return self

    def _refuse(self, why: str) -> None:
        self.decision = replace(self.decision, refusal=Refusal(code="cannot_migrate", message=why))

    def feed_migration(self, definition: Definition, event: RunMigrated) -> "Play":
        before, self.definition = self.definition, definition
        self.later[event.to] = definition
        self.feed(event)
        if self.refused is not None:
            self.definition = before
        return self

    def feed(self, event: Event) -> "Play":
        """Put one event through, and what it asks for: functions, blobs, `Continued`."""
        self.commands, self.notes, refusal, claimed = [], [], None, None
        pending = [event]
        while pending:
            event = pending.pop(0)
            decision = self._advance(event)
            refusal, claimed = refusal or decision.refusal, decision.claimed or claimed
            for command in decision.commands:
                if isinstance(command, Evaluate):
                    pending.append(self._evaluated(command))
                elif isinstance(command, KeepResult):
                    CACHE[command.key] = command.value
                else:
                    self.commands.append(command)
            if decision.more and not pending:
                pending.append(Continued(at_ms=self.now_ms))
        self.decision = replace(decision, refusal=refusal, claimed=claimed, notes=tuple(self.notes))
        self.every_note += self.notes
        self.every_command += self.commands
        return self

    def _advance(self, event: Event) -> Decision:
        before = codec.dumps(self.state)
        decision = advance(self.definition, self.state, event, self.supplied)
        while isinstance(decision, NeedBlobs):
            assert set(decision.digests) - set(self.supplied), "asked again for what was given"
            assert codec.dumps(self.state) == before
            self.supplied |= {name: self.blobs[name] for name in decision.digests}
            decision = advance(self.definition, self.state, event, self.supplied)
        assert codec.dumps(self.state) == before, "the old state was touched"
        if decision.changed:
            check_invariants(decision.state)
            self.log.append(event)
        else:
            assert not decision.commands
            assert not decision.blobs
            assert self.state is None or decision.state is self.state
        self.blobs |= {blob.digest: decode(blob.body.decode()) for blob in decision.blobs}
        self.notes += decision.notes
        if decision.changed or self.state is not None:
            self.state = decision.state
        return decision

    def _evaluated(self, command: Evaluate) -> Evaluated:
        where = {"at_ms": self.now_ms, "node": command.node, "ordinal": command.ordinal}
        try:
            value = (FUNCTIONS | OWN)[command.function](*command.args, **command.kwargs)
        except ValueError as error:
            failure = Failure(error_class="function", message=str(error), step=command.node)
            return Evaluated(**where, failure=failure)
        return Evaluated(**where, value=value)

    def holder(self, action: str) -> Caller:
        """Give who would perform an open action."""
        return self._holder(self.state.actions[action])

    def _holder(self, action: ActionState | None) -> Caller:
        if action is None:
            return ME
        if action.performer == "server":
            return SERVER
        return replace(ME, name=action.holder) if action.holder is not None else ME

    # What is to be seen

    @property
    def status(self) -> str:
        return self.state.status

    @property
    def open(self) -> list[str]:
        """Ids of the open actions, in the order of opening."""
        return list(self.state.actions)

    @property
    def refused(self) -> str | None:
        """The code of the last refusal."""
        return self.decision.refusal.code if self.decision.refusal is not None else None

    @property
    def claimed(self) -> str | None:
        return self.decision.claimed

    @property
    def fields(self) -> dict:
        """The state of the run."""
        return self.state.frames[""].state

    @property
    def result(self) -> Value:
        return self.state.result

    @property
    def view(self) -> RunView:
        return view(self.definition, self.state)

    @property
    def kinds(self) -> list[str]:
        """Kinds of the last notes."""
        return [note.kind for note in self.notes]

    def performs(self) -> list[str]:
        return [command.action for command in self.commands if isinstance(command, Perform)]

    def ended_properly(self) -> "Play":
        """The run is over: said once, last, with nothing left; and its log folds to the same state, after a trip through JSON too."""
        assert self.state.ended
        assert [command for command in self.every_command if isinstance(command, CloseRun)] == [CloseRun(status=self.status)]
        assert isinstance(self.every_command[-1], CloseRun)
        self.check_log()
        return self

    def check_log(self) -> None:
        body = codec.dumps(self.state)
        assert codec.dumps(fold(self.first, self.log, self.blobs, self.later)) == body
        assert codec.dumps(codec.loads(RunState, body)) == body
        definition = codec.loads(Definition, codec.dumps(self.first))
        assert definition == self.first
        events = [codec.read_union(EVENT_TYPES, json.loads(codec.dumps(e), object_hook=untagged)) for e in self.log]
        assert codec.dumps(fold(definition, events, self.blobs, self.later)) == body
        assert resume(self.definition, self.state) == resume(self.definition, self.state)
        assert codec.dumps(self.state) == body
        view(self.definition, self.state)
        assert codec.dumps(self.state) == body
