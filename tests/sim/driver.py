"""`Sim`: one run under attack, then under good conditions until it ends.

It owns time, order, and every fault: crashes at each border of two workers, requests made twice, late, by others or with nonsense, leases that
run out, clocks set back, people who park, cancel and decide at the wrong moment. All chance comes from one source, so a seed is a run, and
Hypothesis can shrink it.
"""

import hashlib
from dataclasses import dataclass, field, replace

from tests.sim.definitions import ROLES, SIGNALS, Drawn, draw
from tests.sim.forks import fork_of
from tests.sim.oracles import Violation, Watch, body_of, withers
from tests.sim.store import LEASE_MS, ConflictError, Reply, Store
from tests.sim.worker import CrashError, Worker, carry
from treadle.core import codec, limits
from treadle.core.commands import Decision
from treadle.core.definition import Definition
from treadle.core.errors import Failure, TreadleError
from treadle.core.events import (
    ActionAnswered,
    ActionClaimed,
    ApprovalDecided,
    Caller,
    CancelRequested,
    Claim,
    Event,
    OutcomeResolved,
    RunMigrated,
    RunParked,
    RunResumed,
    RunStarted,
    SignalSent,
    UndoRequested,
    Usage,
)
from treadle.core.state import ActionState, RunState, StepNode
from treadle.view import view

# In some runs the limits are so small that transitions yield and values are set aside all the time.
SMALL = {
    "SETTLE_MOVES_MAX": (2, 5, 20),
    "BLOB_BYTES_MIN": (40, 200, 2_000),
    "OPEN_ITEMS_MAX": (1, 3),
    "STATE_BYTES_MAX": (6_000, 1 << 20),
}
DEEDS_MAX = 4_000  # the largest definitions that are drawn need about 1,500
FOLDING = 1 / 3  # share of the runs
FORKING = 0.15
IN_VAIN = 0.1
T0 = 1_800_000_000_000
ANNA = Caller(kind="human", name="anna", assurance="local", roles=ROLES)
PEOPLE = (ANNA, *(Caller(kind="human", name=name, assurance="local", roles=ROLES) for name in ("carl", "dora", "emil", "fred", "gina")))
BERT = Caller(kind="human", name="bert", assurance="relayed")


@dataclass(frozen=True)
class Faults:
    """How often what goes wrong, in the part of the run that is under attack."""

    crash: float
    wrong: float
    silent: float
    failing: float
    steps: int


NONE = Faults(crash=0.0, wrong=0.0, silent=0.0, failing=0.0, steps=0)


def any_faults(rng) -> Faults:
    """Draw a mixture: runs in which everything goes wrong a little find less than runs in which something goes wrong often."""
    return Faults(
        crash=rng.choice((0.0, 0.02, 0.1)), wrong=rng.choice((0.05, 0.2, 0.4)), silent=rng.choice((0.0, 0.1, 0.7)),
        failing=rng.choice((0.02, 0.1, 0.3, 0.8)), steps=rng.choice((20, 60, 120)),
    )  # fmt: skip


@dataclass
class Agent:
    """A client that performs actions: it asks, works, answers, and sometimes does none of that as it should."""

    by: Caller
    channel: str = ""
    holding: tuple[str, int] | None = None
    unanswered: Event | None = None
    answered: list[tuple[Event, Reply]] = field(default_factory=list)
    did: set[tuple[str, int]] = field(default_factory=set)


class Sim:
    """One run. `deep` turns on the oracles that cost much; `trace` collects what `digest` is made of.

    What others have committed is folded in every third run, and in deep ones; in the other runs a worker takes it over as from a snapshot.
    """

    def __init__(self, rng, faults: Faults | None = None, *, drawn: Drawn | None = None, deep: bool = False, trace: bool = False) -> None:
        self.rng, self.faults, self.deep = rng, faults or any_faults(rng), deep
        self.drawn = drawn or draw(rng)
        self.now_ms = T0
        self.later: dict[str, Definition] = {}  # those that the run may be moved to (moves.py)
        self.store = Store()
        self.watch = Watch(self.drawn, self.store)
        self.trace = hashlib.sha256()
        if trace:
            self.watch.transition = self._traced
        self.calm = False
        self.folds = rng.random() < FOLDING or deep
        self.workers = [self._worker("w1"), self._worker("w2")]
        self.agents = [Agent(Caller(kind="agent", name="a1")), Agent(Caller(kind="agent", name="a2"))]
        self.good = Agent(Caller(kind="agent", name="good"))
        kinds = (
            self._agent_acts, self._agent_acts, self._agent_acts, self._server_acts, self._server_acts, self._time_passes, self._person_acts, self._worker_wakes,
            self._lease_lapses, self._something_odd, self._signal_comes,
        )  # fmt: skip
        self.activities = [kind for kind in kinds for _ in range(rng.choice((0, 1, 1, 3)))]

    def _worker(self, name: str) -> Worker:
        return Worker(
            name,
            self.drawn.definition,
            self.store,
            self.watch,
            border=self._border,
            clock=self._clock,
            outcome=self._outcome,
            proof=self._proof,
            child=self._child,
            folds=self.folds,
        )

    # Chance and time

    def chance(self, probability: float) -> bool:
        return not self.calm and self.rng.random() > 1 - probability

    def _clock(self) -> int:
        return self.now_ms - (self.rng.choice((1, 5_000, 3_600_000)) if self.chance(self.faults.wrong / 3) else 0)

    def _border(self, name: str) -> None:
        if self.chance(self.faults.crash):
            raise CrashError(name)

    def _outcome(self, _action: str) -> str:
        if self.calm:
            return "ok"
        if not self.chance(self.faults.failing):
            return "ok"
        return self.rng.choice(("failed", "failed", "transient", "lost"))

    def _proof(self, _action: str) -> list:
        good = self.rng.random() > 0.2  # a check that fails is an answer like any other
        return [{"check": "make", "ok": True}, {"check": "out", "ok": good, "message": "it is not there"}]

    def _child(self, action: ActionState) -> int:
        """How many calls a child makes in all; it keeps to what it was given."""
        return self.rng.randrange(action.reserved + 1) if action.reserved else self.rng.randrange(3)

    # A run

    def run(self) -> "Sim":
        """Carry the run to its end. Raises Violation."""
        known = {name: getattr(limits, name) for name in SMALL}
        for name, values in SMALL.items() if self.rng.random() < 0.3 else ():
            setattr(limits, name, self.rng.choice(values))
        try:
            return self._run()
        finally:
            for name, value in known.items():
                setattr(limits, name, value)

    def _run(self) -> "Sim":
        try:
            self._start()
            self._to_the_end()
        except Violation:
            raise
        except TreadleError as error:
            raise Violation("invariants", f"{type(error).__name__}: {error}") from error
        except Exception as error:  # whatever it is, it is a finding
            raise Violation("exception", f"{type(error).__name__}: {error}") from error
        return self

    def _to_the_end(self) -> None:
        steps = 5 + self.rng.randrange(self.faults.steps) if self.faults.steps else 0
        for _ in range(steps if self.activities else 0):
            if self.state.ended:
                break
            self._guarded(self.rng.choice(self.activities))
        self.calm = True
        self._calm_down()
        if self.state.undo_status == "kept" and self.rng.random() < 0.7:
            self.watch.ended(self.state)
            self.workers[0].send(lambda at, _s, _l: UndoRequested(at_ms=at, by=ANNA))
            self._calm_down()
        self._finish()
        # Last of all, so that what came before is the same with and without it.
        if not self.later and self.rng.random() < FORKING and (fork := fork_of(self)) is not None:
            fork._to_the_end()

    @property
    def state(self) -> RunState:
        return self.store.state

    def _start(self) -> None:
        event = RunStarted(
            at_ms=self.now_ms,
            run_id="r",
            seed=f"seed{self.rng.randrange(1 << 16)}",
            inputs={"n": self.rng.randrange(6)},
            by=ANNA,
        )
        while self.store.state is None:  # until it was acknowledged, or is there
            self._guarded(lambda worker: self._must_start(worker.send(lambda _at, _s, _l: event)))
        for worker in self.workers:
            worker.catch_up()

    def _must_start(self, reply: Reply) -> None:
        if reply.refusal is not None:
            raise Violation("start", reply.refusal.message)

    def _guarded(self, activity) -> None:
        worker = self.rng.choice(self.workers) if not self.calm else self.workers[0]
        try:
            activity(worker)
        except CrashError:
            # What a client had asked for stays unanswered: it will ask again.
            worker.start_again(snapshot=self.rng.random() < 0.5)

    def _calm_down(self) -> None:
        """Everybody behaves. The run must end, or say what it waits for: here nobody is missing, so it must end."""
        self.workers[0].start_again(snapshot=False)
        if self.workers[0].state != self.state:
            raise Violation("fold", "the log does not fold to the state")
        for _ in range(DEEDS_MAX):
            if self.state.ended:
                return
            if not self._one_good_deed():
                due = [self.state.next_due_ms] if self.state.next_due_ms is not None else []
                ends = [lease.until_ms for lease in self.store.leases.values() if lease.until_ms > self.now_ms]
                if not due and not ends:
                    raise Violation("liveness", f"nothing moves the run: {self._waits()}")
                self.now_ms = max(self.now_ms, min(due + ends))
                self.workers[0].wake()
        raise Violation("liveness", f"the run does not end: {self._waits()}")

    def _waits(self) -> str:
        return str([(a.id, a.status) for a in self.state.actions.values()]) + str(list(self.state.nodes))

    def _one_good_deed(self) -> bool:
        worker, state = self.workers[0], self.state
        if state.parked is not None and "set aside" in state.parked.reason:
            worker.send(lambda at, _s, _l: CancelRequested(at_ms=at, by=ANNA))  # too large for the limits of this run
        elif state.parked is not None:
            worker.send(lambda at, _s, _l: RunResumed(at_ms=at, by=ANNA))
        elif state.agenda:
            worker.go_on()
        elif state.next_due_ms is not None and state.next_due_ms <= self.now_ms:
            worker.wake()
        elif worker.look_around() or worker.work:
            if worker.work:
                worker.perform(worker.work[0])
        elif any(self._settle(worker, action) for action in list(state.actions.values())):
            pass
        elif awaited := self._awaited():
            self._send_signal(worker, *awaited[0])
        else:
            return False
        return True

    def _awaited(self) -> list[tuple[str, object]]:
        """Signals that steps wait for, each with a payload that fits."""
        state = self.state
        shields = [path for path, node in state.nodes.items() if isinstance(node, StepNode) and node.phase == "finally"]
        waits = [node for node in state.nodes.values() if isinstance(node, StepNode) and node.phase == "wait" and node.wait.signal]
        waits = [node for node in waits if not withers(state, node.path, shields)]
        payloads = {"integer": 5, "string": "five"}
        found = []
        for node in waits:
            schema = self.drawn.definition.index.steps[node.at].spec.payload
            found.append((node.wait.signal, payloads[schema["type"]] if schema else None))
        return found

    def _signal_comes(self, worker: Worker) -> None:
        waits = any(isinstance(node, StepNode) and node.wait is not None and node.wait.signal for node in self.state.nodes.values())
        if waits or self.rng.random() < 0.1:
            self._send_signal(worker, self.rng.choice(SIGNALS), self.rng.choice((None, 1, "one")))

    def _send_signal(self, worker: Worker, name: str, payload: object) -> None:
        worker.send(lambda at, _s, _l: SignalSent(at_ms=at, name=name, payload=payload, by=ANNA))

    def _settle(self, worker: Worker, action: ActionState) -> bool:
        if action.kind == "approve":
            if not any(worker.send(self._decision(action, approved=True, by=person)).refusal is None for person in PEOPLE):
                raise Violation("liveness", f"nobody may decide {action.id}")
        elif action.status == "unknown":
            node = self.state.nodes.get(action.id)
            if not self.state.parked and isinstance(node, StepNode) and node.phase == "read_back":
                return False  # it is being found out
            worker.send(self._resolution(action))
        elif action.kind == "run" and action.status == "stopping" and f"grace:{action.id}" not in self.state.timers:
            by = Caller(kind="server", name=action.holder or "w1")  # the child has ended
            event = ActionAnswered(at_ms=0, action=action.id, attempt=action.attempt, holder=by.name, by=by, value={})
            worker.send(lambda at, _s, _l: replace(event, at_ms=at))
        elif action.performer != "server" and action.status in {"open", "claimed"}:
            agent = replace(self.good, channel=action.channel, holding=None, unanswered=None)
            lapsed = action.status == "claimed" and action.holder != "good" and action.id not in self.store.lapsed(self.now_ms)
            if lapsed:
                return False
            self._claim(worker, agent, action.id)
            if agent.holding is None:
                return self.store.state is not None and action is not self.store.state.actions.get(action.id)
            self._work_and_answer(worker, agent)
        else:
            return False
        return True

    def _finish(self) -> None:
        state = self.state
        self.watch.ended(state)
        if self.deep:
            self._check_deeply(state)

    def _traced(self, _before: RunState | None, event: Event, decision: Decision) -> None:
        self.trace.update(codec.dumps([event, decision.commands, decision.notes, decision.refusal, decision.state]))
        Watch.transition(self.watch, _before, event, decision)

    def _check_deeply(self, state: RunState) -> None:
        """Fold the log, twice over each event, and through the codec; look at every state on the way."""
        folded: RunState | None = None
        definition = codec.loads(Definition, codec.dumps(self.drawn.definition))
        if definition != self.drawn.definition:
            raise Violation("codec", "a definition does not come back from its bytes as it was")
        before = codec.dumps(folded)
        for event in self.store.log:
            definition = self.later[event.to] if isinstance(event, RunMigrated) else definition
            one, two = (carry(definition, folded, event, self.store.blobs, {}) for _ in range(2))
            body = codec.dumps(one.state)
            if body != codec.dumps(two.state) or one.commands != two.commands or one.notes != two.notes:
                raise Violation("twice", f"{type(event).__name__} gave two different answers")
            if codec.dumps(folded) != before:
                raise Violation("old state", f"{type(event).__name__} changed the state that it was given")
            if codec.dumps(codec.loads(RunState, body)) != body:
                raise Violation("codec", "a state does not come back from its bytes as it was")
            if not one.state.ended and len(body) > one.state.size_bytes:
                raise Violation("size", f"the state has {len(body)} bytes, the account says {one.state.size_bytes}")
            if view(definition, one.state) != view(definition, one.state) or codec.dumps(one.state) != body:
                raise Violation("view", "looking changed the run")
            folded, before = one.state, body
        if before != codec.dumps(state):
            raise Violation("fold", "the log does not fold to the state")

    # What may happen. Each activity does one thing with one worker.

    def _time_passes(self, _worker: Worker) -> None:
        self.now_ms += self.rng.choice((1, 200, 1_000, 5_000, LEASE_MS, 2 * LEASE_MS))

    def _lease_lapses(self, worker: Worker) -> None:
        """A holder has been silent for too long, and somebody else asks for what it holds."""
        held = [a for a in self.state.actions.values() if a.status == "claimed" and a.performer != "server"]
        if held:
            action = self.rng.choice(held)
            self.now_ms = max(self.now_ms, self.store.leases[action.id].until_ms)
            agent = next(agent for agent in self.agents if agent.by.name != action.holder)
            agent.channel = action.channel
            self._claim(worker, agent, self.rng.choice((action.id, None)))

    def _worker_wakes(self, worker: Worker) -> None:
        if worker.more:
            worker.go_on()
        elif self.chance(0.5):
            worker.look_around()
        else:
            worker.wake()

    def _server_acts(self, worker: Worker) -> None:
        if not worker.work:
            worker.look_around()
        for _ in range(1 + self.rng.randrange(4) if worker.work else 0):
            work = self.rng.choice(worker.work)
            if self.chance(0.8):
                self.store.renew(work.action, worker.name, self.now_ms)
            worker.perform(work)
            if not worker.work:
                return

    def _person_acts(self, worker: Worker) -> None:
        state = self.state
        if state.parked is not None:
            worker.send(lambda at, _s, _l: RunResumed(at_ms=at, by=ANNA))
            return
        asked = [a for a in state.actions.values() if a.kind in {"approve", "prompt"} or a.status == "unknown"]
        if not asked:
            return
        action = self.rng.choice(asked)
        if action.kind == "approve":
            worker.send(self._decision(action, approved=self.rng.random() < 0.7, by=self.rng.choice(PEOPLE)))
        elif action.status == "unknown":
            worker.send(self._resolution(action))
        else:
            self._answer(worker, Agent(ANNA), self._answer_to(action, ANNA))

    def _something_odd(self, worker: Worker) -> None:
        """What is rare: parking, cancelling (perhaps twice), decisions by the wrong party or about something else."""
        odd = self.rng.random()
        proving = next((a for a in self.state.actions.values() if a.status == "verifying"), None)
        if proving is not None:
            impatient = Agent(Caller(kind="agent", name=proving.holder or "a1"), proving.channel)
            self._send_answer(worker, impatient, proving.id, proving.attempt, value="once more")
            return
        gates = [a for a in self.state.actions.values() if a.kind == "approve"]
        if odd < 0.15:
            worker.send(lambda at, _s, _l: RunParked(at_ms=at, by=ANNA, reason="odd"))
        elif odd < 0.25:
            worker.send(lambda at, _s, _l: CancelRequested(at_ms=at, by=ANNA))
        elif gates and odd < 0.9:
            action = self.rng.choice(gates)
            wrong = self.rng.choice(
                (
                    {"by": self.agents[0].by}, {"by": BERT}, {"digest": "sha256:other"},
                    {"by": Caller(kind="agent", name="anna", assurance="local")},
                )
            )  # fmt: skip
            make = self._decision(action, approved=True)
            reply = worker.send(lambda at, s, lapsed: replace(make(at, s, lapsed), **wrong))
            if reply.refusal is None:
                raise Violation("gates", f"a decision with {wrong} was taken")

    def _decision(self, action: ActionState, *, approved: bool, by: Caller = ANNA):
        shown = action.digest or ""
        return lambda at, _s, _l: ApprovalDecided(at_ms=at, action=action.id, digest=shown, approved=approved, by=by)

    def _resolution(self, action: ActionState):
        """A person looks at the world, and says what is there."""
        outcome = "done" if self.watch.effects[action.id] else "not_done"
        if self.chance(0.2):
            outcome = "failed"
        value = _answer(action)
        return lambda at, _s, _l: OutcomeResolved(at_ms=at, action=action.id, attempt=action.attempt, outcome=outcome, by=ANNA, value=value)

    # Agents

    def _agent_acts(self, worker: Worker) -> None:
        agent = self.rng.choice(self.agents)
        if agent.unanswered is not None:
            self._answer(worker, agent, agent.unanswered)
        elif agent.answered and self.chance(self.faults.wrong):
            self._repeat(worker, agent)
        elif agent.holding is None:
            channels = ["", *dict.fromkeys(b.channel for b in self.state.frames.values() if b.channel)]
            agent.channel = self.rng.choice(channels)
            named = list(self.state.actions) if self.chance(self.faults.wrong) else []
            # Asking in vain changes nothing, and is tried now and then only.
            if named or self._has_work(agent.channel) or self.rng.random() < IN_VAIN:
                self._claim(worker, agent, self.rng.choice(named) if named else None)
        elif self.chance(self.faults.silent):
            agent.holding = None  # falls silent; its lease will run out
        elif self.chance(self.faults.wrong):
            self._misbehave(worker, agent)
        elif self.chance(self.faults.failing / 2):
            name, attempt = agent.holding
            failure = Failure(error_class=self.rng.choice(("failed", "failed", "denied", "gremlins")), message="no", step=name)
            self._send_answer(worker, agent, name, attempt, failure=failure)
        else:
            self._work_and_answer(worker, agent)

    def _has_work(self, channel: str) -> bool:
        state = self.state
        return state.parked is None and any(
            a.channel == channel and a.performer != "server" and a.kind != "approve" and a.status in {"open", "claimed"}
            for a in state.actions.values()
        )

    def _claim(self, worker: Worker, agent: Agent, action: str | None, *, take_over: bool = False) -> None:
        reply = worker.send(
            lambda at, _s, lapsed: ActionClaimed(
                at_ms=at,
                claim=Claim(
                    channel=agent.channel,
                    holder=agent.by.name,
                    by=agent.by,
                    action=action,
                    lapsed=lapsed,
                    take_over=take_over,
                ),
            )
        )
        self._got(agent, reply)

    def _got(self, agent: Agent, reply: Reply) -> None:
        agent.holding = None
        held = self.state.actions.get(reply.claimed or "")
        if held is not None and held.holder == agent.by.name:
            agent.holding = (held.id, held.attempt)

    def _misbehave(self, worker: Worker, agent: Agent) -> None:
        kind = self.rng.randrange(3)
        name, attempt = agent.holding
        if kind == 0:
            self._claim(worker, agent, None, take_over=True)
        elif kind == 1:
            others = [a.id for a in self.state.actions.values() if a.id != name]
            foreign = self.rng.choice(others) if others else "nowhere"
            self._send_answer(worker, agent, foreign, 1 + self.rng.randrange(3), value="foreign")
        else:
            self._send_answer(worker, agent, name, attempt, value={"nonsense": 1})

    def _work_and_answer(self, worker: Worker, agent: Agent) -> None:
        name, attempt = agent.holding
        action = self.state.actions.get(name)
        if action is None or action.attempt != attempt or action.kind not in {"delegate", "prompt", "mcp_call", "http", "shell"}:
            agent.holding = None
            return
        if not self.store.holds(name, attempt, agent.by.name, self.now_ms):
            agent.holding = None  # a careful agent does not work on what it may have lost
            return
        if (name, attempt - action.repairs) not in agent.did:  # a refused answer is mended, the work is not done again
            agent.did.add((name, attempt - action.repairs))
            self.watch.effect(name, attempt, agent.by.name)
        if self.chance(self.faults.silent / 2):
            agent.holding = None  # did it, and died before it could say so
            return
        self._answer(worker, agent, self._answer_to(action, agent.by, channel=agent.channel))

    def _answer_to(self, action: ActionState, by: Caller, channel: str | None = None) -> ActionAnswered:
        then = Claim(channel=channel or "", holder=by.name, by=by) if self.rng.random() < 0.5 else None
        return ActionAnswered(
            at_ms=0,
            action=action.id,
            attempt=action.attempt,
            holder=by.name,
            by=by,
            value=_answer(action),
            then=then,
            channel=channel,
            usage=Usage(tokens=11) if self.rng.random() < 0.5 else None,
        )

    def _send_answer(self, worker: Worker, agent: Agent, action: str, attempt: int, *, value=None, failure=None) -> None:
        event = ActionAnswered(
            at_ms=0,
            action=action,
            attempt=attempt,
            holder=agent.by.name,
            by=agent.by,
            value=value,
            failure=failure,
            channel=agent.channel,
        )
        self._answer(worker, agent, event)

    def _answer(self, worker: Worker, agent: Agent, event: ActionAnswered) -> None:
        """Submit; until a reply has come, the agent will submit the same again."""
        agent.unanswered = event
        key, body = f"{event.action}#{event.attempt}", (body_of(event), event.holder)
        try:
            reply = worker.send(
                lambda at, _s, lapsed: replace(event, at_ms=at, then=replace(event.then, lapsed=lapsed) if event.then else None),
                (key, body),
            )
        except ConflictError:
            agent.unanswered, agent.holding = None, None
            return
        agent.unanswered = None
        self.watch.acknowledge(event.action, event.attempt, body_of(event), reply)
        if key in self.store.requests and self.store.requests[key][0] == body:
            agent.answered.append((event, reply))
        self._got(agent, reply)

    def _repeat(self, worker: Worker, agent: Agent) -> None:
        """Make a request again that was answered long ago; or the same with another body."""
        event, first = self.rng.choice(agent.answered)
        key = f"{event.action}#{event.attempt}"
        if self.chance(0.3):
            other = replace(event, value="something else")
            try:
                reply = worker.send(lambda at, _s, _l: replace(other, at_ms=at), (key, (body_of(other), event.holder)))
            except ConflictError:
                return
            raise Violation("acknowledged", f"another body for {key} got {reply}")
        reply = worker.send(lambda at, _s, _l: replace(event, at_ms=at), (key, (body_of(event), event.holder)))
        self.watch.duplicate(first, reply)


def _answer(action: ActionState):
    """A value that fits what an action asks for."""
    if action.kind == "prompt":
        return {"confirm": {"confirmed": True}, "choice": "b", "text": "some text", "info": None}[action.params["format"]]
    return {"of": action.id, "ok": True}
