"""A worker: a process with a share in a run. It computes from what it knows, commits behind the fence, and carries commands out.

All it holds in memory is lost when it crashes. The borders at which it may crash are named, and the simulation decides.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from tests.core.play import FUNCTIONS
from tests.sim.oracles import Watch
from tests.sim.store import Reply, StaleError, Store
from treadle.core.advance import advance
from treadle.core.commands import Command, Decision, Evaluate, KeepResult, NeedBlobs, Perform, StopAction
from treadle.core.definition import Definition
from treadle.core.errors import Failure
from treadle.core.events import (
    ActionAnswered,
    ActionClaimed,
    ApprovalDecided,
    Caller,
    Claim,
    Continued,
    Evaluated,
    Event,
    PerformerLost,
    RunMigrated,
    Usage,
    Woken,
)
from treadle.core.state import ActionState, RunState
from treadle.core.values import Value, decode
from treadle.replay import resume

Make = Callable[[int, RunState | None, tuple[str, ...]], Event]
Request = tuple[str, object]
TRIES_MAX = 20


class CrashError(Exception):
    """The worker is gone, and with it all that it held in memory."""


@dataclass(slots=True)
class Work:
    """A server-performed action in hand."""

    action: str
    attempt: int
    claim: bool
    stage: str = "new"
    calls: int = 0


@dataclass(slots=True)
class Batch:
    """What one event came to, before it is durable."""

    state: RunState | None
    steps: list[tuple[RunState | None, Event, Decision]]
    commands: list[Command]
    blobs: dict[str, Value]
    reply: Reply
    more: bool


class Worker:
    """One process. `border` is called at every point where it may crash; `clock` gives its own idea of the time."""

    def __init__(
        self, name: str, definition: Definition, store: Store, watch: Watch, *, border: Callable[[str], None], clock: Callable[[], int],
        outcome: Callable[[str], str], proof: Callable[[str], Value], child: Callable[[ActionState], int],
        folds: bool = True,
    ) -> None:  # fmt: skip
        """Without `folds` it takes over what another one has computed, as from a snapshot, where it would fold the log."""
        self.folds = folds
        self.name, self.definition, self.store, self.watch = name, definition, store, watch
        self.first, self.later = definition, dict[str, Definition]()
        self.border, self.clock, self.outcome, self.proof, self.child = border, clock, outcome, proof, child
        self.by = Caller(kind="server", name=name)
        self.state: RunState | None = None
        self.revision = 0
        self.work: list[Work] = []
        self.more = False

    # One event

    def send(self, make: Make, request: Request | None = None) -> Reply:
        """Put an event through the core and commit it. Raises CrashError, ConflictError."""
        store = self.store
        for _ in range(TRIES_MAX):
            if request is not None and (before := store.repeated(*request)) is not None:
                return before
            now_ms = self.clock()
            batch = self._compute(make(now_ms, self.state, store.lapsed(now_ms)))
            if not batch.steps:
                if self.revision == store.revision:
                    return batch.reply
                self.catch_up()
                continue
            self.border("before the commit")
            try:
                events = [event for _, event, _ in batch.steps]
                kept = request if batch.steps[0][2].absorbed else None  # a reply to what only time did is not kept
                store.commit(self.revision, events, batch.state, batch.blobs, kept, batch.reply, now_ms)
            except StaleError:
                self.catch_up()
                continue
            self.state, self.revision = batch.state, self.revision + len(events)
            self._moved(events)
            for before, event, decision in batch.steps:
                self.watch.transition(before, event, decision)
            self.more = batch.more
            self.border("after the commit")
            self.carry_out(batch.commands)
            self.border("before the reply")
            return batch.reply
        return self.watch.broken("liveness", f"{TRIES_MAX} tries to commit one event have failed")

    def _compute(self, event: Event) -> Batch:
        state, blobs, definition = self.state, {}, self.definition
        steps, commands, pending = [], [], [event]
        refusal = claimed = None
        then = event.then if isinstance(event, ActionAnswered | ApprovalDecided) else None
        more = False
        while pending:
            at = pending.pop(0)
            definition = self.later[at.to] if isinstance(at, RunMigrated) else definition
            decision = carry(definition, state, at, self.store.blobs, blobs)
            if decision.changed:
                steps.append((state, at, decision))
            state, more = decision.state, decision.more
            refusal, claimed = refusal or decision.refusal, decision.claimed or claimed
            for command in decision.commands:
                if isinstance(command, Evaluate):
                    pending.append(self._evaluated(command, at.at_ms))
                else:
                    commands.append(command)
            if not pending and then and not claimed and not refusal and len(steps) > 1 and not state.ended:
                pending.append(ActionClaimed(at_ms=at.at_ms, claim=then))
                then = None
        return Batch(state, steps, commands, blobs, Reply(refusal, claimed), more)

    def catch_up(self) -> None:
        """Fold what others have committed since."""
        if not self.folds:
            self._moved(self.store.log[self.revision :])
            self.state, self.revision = self.store.state, self.store.revision
            return
        for event in self.store.log[self.revision :]:
            self._moved([event])
            self.state = carry(self.definition, self.state, event, self.store.blobs, {}).state
        self.revision = self.store.revision

    def _moved(self, events: list[Event]) -> None:
        """Have the definition that the run has after these events."""
        for event in events:
            self.definition = self.later[event.to] if isinstance(event, RunMigrated) else self.definition

    # Life

    def crash(self) -> None:
        """Forget everything."""
        self.state, self.revision, self.work, self.more, self.definition = None, 0, [], False, self.first

    def start_again(self, *, snapshot: bool) -> None:
        """Come back: from a snapshot, or by folding the log."""
        self.crash()
        if snapshot:
            self._moved(self.store.log)
            self.state, self.revision = self.store.state, self.store.revision
        self.catch_up()

    # Performing

    def carry_out(self, commands: list[Command]) -> None:
        for command in commands:
            if isinstance(command, Perform):
                if not any((w.action, w.attempt) == (command.action, command.attempt) for w in self.work):
                    self.work.append(Work(command.action, command.attempt, command.claim))
            elif isinstance(command, KeepResult):
                self.store.kept[command.key] = command.value
            elif isinstance(command, StopAction):
                # What has had its effect goes on to tell so; the rest is dropped.
                self.work = [w for w in self.work if w.action != command.action or w.stage == "done"]

    def look_around(self) -> bool:
        """Take up what nobody works on: commands that a dead process had, and performers whose lease ran out."""
        if self.revision != self.store.revision:
            self.catch_up()
        found = False
        for name in self.store.lapsed(self.clock()):
            action = self.state.actions.get(name) if self.state else None
            if action is not None and action.performer == "server" and action.status == "claimed" and self.state.parked is None:
                attempt = action.attempt
                self.send(lambda at, _s, _l, name=name, attempt=attempt: PerformerLost(at_ms=at, action=name, attempt=attempt))
                found = True
        if self.state is not None:
            before = len(self.work)
            self.carry_out([c for c in resume(self.definition, self.state) if isinstance(c, Perform)])
            found = found or len(self.work) > before
        return found

    def perform(self, work: Work) -> None:
        """Do the next thing for an action in hand: claim it, have its effect, tell the run."""
        if work.stage == "new":
            if work.claim and not self._claim(work):
                self._forget(work)
                return
            work.stage = "ready"
        elif work.stage == "ready":
            if work.claim and not self.store.holds(work.action, work.attempt, self.name, self.clock()):
                self._forget(work)  # its lease has run out: somebody else may have it by now
                return
            self.watch.effect(work.action, work.attempt, self.name)
            action = self.state.actions.get(work.action) if self.state else None
            if action is not None and action.kind == "run":
                work.calls = self.watch.accounts.child_called(action, self.child(action))
            work.stage = "done"
            self.border("between effect and answer")
        else:
            self._forget(work)
            outcome = self.outcome(work.action)
            failure = None if outcome == "ok" else Failure(error_class=outcome, message=f"it is {outcome}", step=work.action)
            value = self._found(work.action) if failure is None else None
            if outcome == "lost":
                self.send(lambda at, _s, _l: PerformerLost(at_ms=at, action=work.action, attempt=work.attempt))
                return
            self.send(
                lambda at, _s, _l: ActionAnswered(
                    at_ms=at,
                    action=work.action,
                    attempt=work.attempt,
                    holder=self.name,
                    by=self.by,
                    value=value,
                    failure=failure,
                    usage=Usage(tokens=7, usd="0.1", calls=work.calls),
                )
            )

    def _found(self, action: str) -> Value:
        """What an action gives: a proof its findings, a `read_back` the truth about the world."""
        if action.endswith(".verify"):
            return self.proof(action)
        if action.endswith(".worktree"):
            return {"path": f"/w/{action}", "base": "b", "ref": f"refs/{action}"}
        if action.endswith(".worktree.commit"):
            return {"commit": "c", "files": ["f"]}
        owner, _, rest = action.rpartition(".read_back/")
        if owner and "/" not in rest:
            return {"found": owner} if self.watch.effects[owner] else None
        return {"of": action}

    def _evaluated(self, command: Evaluate, at_ms: int) -> Evaluated:
        answer = Evaluated(at_ms=at_ms, node=command.node, ordinal=command.ordinal)
        if command.function == "treadle.cache_get":
            key = command.args[0]
            return replace(answer, value={"value": self.store.kept[key]} if key in self.store.kept else None)
        if command.function == "treadle.files_digest":
            return replace(answer, value=dict.fromkeys(command.args[0], "before"))
        try:
            return replace(answer, value=FUNCTIONS[command.function](*command.args, **command.kwargs))
        except ValueError as error:
            return replace(answer, failure=Failure(error_class="function", message=str(error), step=command.node))

    def _forget(self, work: Work) -> None:
        if work in self.work:
            self.work.remove(work)

    def _claim(self, work: Work) -> bool:
        claim = Claim(channel="", holder=self.name, by=self.by, action=work.action)
        reply = self.send(lambda at, _s, _l: ActionClaimed(at_ms=at, claim=claim))
        action = self.state.actions.get(work.action) if self.state else None
        return reply.refusal is None and reply.claimed == work.action and action is not None and action.attempt == work.attempt

    def wake(self) -> None:
        self.send(lambda at, _s, _l: Woken(at_ms=at))

    def go_on(self) -> None:
        self.more = False
        self.send(lambda at, _s, _l: Continued(at_ms=at))


def carry(definition: Definition, state: RunState | None, event: Event, blobs: dict[str, Value], fresh: dict[str, Value]) -> Decision:
    """`advance`, with the values that it asks for; those set aside just now are in `fresh`, where new ones are put too."""
    values: dict[str, Value] = {}
    decision = advance(definition, state, event, values)
    while isinstance(decision, NeedBlobs):
        values |= {name: fresh[name] if name in fresh else blobs[name] for name in decision.digests}
        decision = advance(definition, state, event, values)
    for blob in decision.blobs:
        fresh[blob.digest] = decode(blob.body.decode())
    return decision
