"""The service: what can be asked of runs, the same for CLI, MCP and web, on every engine.

It turns requests into events, and states into offers. It decides nothing: whether a claim, an answer or a decision holds is said by the core.
Asking never advances a run; the one thing that asking may do is claim (ruling 45).
"""

import asyncio
import contextlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from treadle.core.advance import advance
from treadle.core.aside import fill, named
from treadle.core.codec import dumps
from treadle.core.commands import NeedBlobs
from treadle.core.definition import Definition
from treadle.core.errors import Failure, Refusal, RequestError
from treadle.core.events import (
    ActionAnswered,
    ActionClaimed,
    ApprovalDecided,
    Caller,
    CancelRequested,
    Claim,
    Event,
    OutcomeResolved,
    RunForked,
    RunParked,
    RunResumed,
    RunStarted,
    SignalSent,
    UndoRequested,
)  # fmt: skip
from treadle.core.gates import step_path
from treadle.core.ids import branch_token
from treadle.core.records import replace
from treadle.core.state import RunState
from treadle.core.values import Json, Value, ValueProblem, digest, normalise
from treadle.engine.forking import Forking, Point
from treadle.engine.migrating import Plan, check_plan, plan_migration, refused
from treadle.ports import Clock, Engine, Lapsed, Lease, MakeEvent, Reply, Request, RunMeta, RunQuery, RunRow
from treadle.view import ActionView, BranchView, RunView, title_of, view

OfferKind = Literal["action", "fan_out", "waiting", "ended", "branch_ended"]
# Between two of its steps a sub-agent asks at least so often; one that did not is taken to be gone.
ASKED_LATELY_MS = 60_000
NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a performer is told: an action it now holds, branches to hand to sub-agents, what is waited for, or the end.

    `refusal` says what was wrong with the request that this answers. `run` is the view without the outline of steps, for which there is `look`.
    `branches` are those that nobody works yet, `in_work` the others; both are there for the main channel alone. `answered` says what an answer
    made of its attempt, `taken_by` which step took a signal.
    """

    kind: OfferKind
    run: RunView
    action: ActionView | None = None
    lease_until_ms: int | None = None
    branches: tuple[BranchView, ...] = ()
    in_work: tuple[BranchView, ...] = ()
    refusal: Refusal | None = None
    duplicate: bool = False
    answered: Literal["completed", "failed"] | None = None
    taken_by: str | None = None
    channel: str = ""


class Service:
    """The requests. All are async; those that change a run return after the change is durable."""

    def __init__(self, engine: Engine, clock: Clock, *, lease_ms: int = 300_000) -> None:
        """Stand over an engine."""
        self.engine, self.clock, self.lease_ms = engine, clock, lease_ms
        # A hint for `fan_out`, never the truth: while a server has the ball, no lease says that a sub-agent works a branch.
        self._asked_ms: dict[str, int] = {}

    async def start(
        self, definition: Definition, inputs: Mapping[str, object], by: Caller, meta: RunMeta, *, key: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Offer:  # fmt: skip
        """Start a run. With a `key`, the same request again gives the same run; refused inputs start nothing.

        Raises RequestError for inputs that are no JSON data.
        """
        given = _json(dict(inputs))
        bound = given if isinstance(given, dict) else {}
        event = RunStarted(
            at_ms=self.clock.now_ms(),
            run_id=new_run_id(),
            seed=secrets.token_hex(16),
            inputs=bound,
            by=by,
            env=dict(env or {}),
        )
        request = None
        if key is not None:
            request = Request(key=f"start:{key}", digest=digest(dumps([definition.name, bound], canonical=True)))
        reply = await self.engine.start(definition, event, meta, request)
        return await self._offer(reply, "")

    async def fork(self, origin: Forking, point: Point, by: Caller, state: Mapping[str, object], *, key: str | None = None) -> Offer:
        """Make a run that shares the history of another one up to a step, with `state` written there. With a `key`, repeating it gives the same run.

        Refused, nothing is made. Raises RequestError for a state that is no JSON data.
        """
        given = _json(dict(state))
        put = given if isinstance(given, dict) else {}
        event = RunForked(
            at_ms=self.clock.now_ms(), run_id=new_run_id(), seed=secrets.token_hex(16), by=by, from_run=origin.run_id,
            from_rev=point.rev - 1, at=point.path, event=origin.event(point), set=put,
        )  # fmt: skip
        meta = replace(origin.meta, forked_from=origin.run_id, started_by=by.name)
        body = digest(dumps([origin.run_id, point.path, put], canonical=True))
        request = Request(key=f"fork:{key}", digest=body) if key is not None else None
        reply = await self.engine.start(origin.definition_at(point), event, meta, request, shared=origin.shared(point))
        return await self._offer(reply, "")

    async def next_step(
        self,
        run_id: str,
        by: Caller,
        *,
        token: str = "",
        action: str | None = None,
        take_over: bool = False,
        wait_ms: int = 0,
    ) -> Offer:
        """Claim the next action of a channel, or a named one; asked again by the same holder, the same. `by.name` is the holder.

        With `wait_ms` the reply waits that long for something to do; otherwise it comes at once.
        """
        # How long somebody waits is no instant of any run: a clock that is set back, or stands, must not lengthen it.
        elapsed_s = asyncio.get_running_loop().time
        deadline_s = elapsed_s() + wait_ms / 1000
        self._note_asked(token)
        while True:
            offer = await self._claim(run_id, by, token, action, take_over=take_over)
            left_ms = int((deadline_s - elapsed_s()) * 1000)
            if offer.kind != "waiting" or offer.refusal is not None or left_ms <= 0:
                return offer
            await self.changed(run_id, offer.run.revision, left_ms)

    async def submit(
        self, run_id: str, action: str, attempt: int, by: Caller, *, value: object = None, failure: Failure | None = None,
        token: str = "", then_next: bool = True,
    ) -> Offer:  # fmt: skip
        """Answer an attempt, and by default claim the next action in the same transition. Repeating it gives the first reply."""
        answer = _json(value)
        then = Claim(channel=token, holder=by.name, by=by) if then_next else None

        def make(at_ms: int, state: RunState, lapsed: Lapsed) -> Event:
            # Leases are rows: read only where somebody else holds something.
            others = then is not None and any(each.holder is not None and each.id != action for each in state.actions.values())
            wish = replace(then, lapsed=lapsed()) if then is not None and others else then
            return ActionAnswered(
                at_ms=at_ms,
                action=action,
                attempt=attempt,
                holder=by.name,
                by=by,
                value=answer,
                failure=failure,
                then=wish,
                channel=token if by.kind == "agent" else None,
            )

        body = digest(dumps([answer, failure], canonical=True))
        request = Request(key=f"{run_id}/{action}#{attempt}", digest=body)
        self._note_asked(token)
        reply = await self.engine.send(run_id, make, request)
        if reply.refusal is not None and reply.refusal.code == "conflict":
            hint = f"look at the run; `treadle fork {run_id} --from {step_path(action)}` goes another way from there"
            reply = replace(reply, refusal=replace(reply.refusal, hint=hint))
        closed = any(note.kind == "action_completed" and note.path == action for note in reply.notes)
        answered = None if reply.duplicate or reply.refusal is not None else "completed" if closed else "failed"
        offer = replace(await self._offer(reply, token), answered=answered)
        if not offer.duplicate or not then_next or offer.kind == "ended":
            return offer
        now = await self._claim(run_id, by, token, None, take_over=False)
        return replace(now, duplicate=True, refusal=offer.refusal)

    async def decide(self, run_id: str, action: str, shown_digest: str, by: Caller, *, approved: bool, note: str = "") -> Offer:
        """Decide a gate, for a person, about what has the digest `shown_digest`. Repeating it gives the first reply."""

        def make(at_ms: int, _state: RunState, _lapsed: Lapsed) -> Event:
            return ApprovalDecided(at_ms=at_ms, action=action, digest=shown_digest, approved=approved, by=by, note=note)

        body = digest(dumps([shown_digest, approved], canonical=True))
        # Where several must decide, each says so in a request of one's own.
        return await self._sent(run_id, make, "", Request(key=f"{run_id}/{action}#decision:{by.name}:{shown_digest}", digest=body))

    async def resolve(
        self, run_id: str, action: str, attempt: int, by: Caller, outcome: Literal["done", "not_done", "failed"], *,
        value: object = None, note: str = "",
    ) -> Offer:  # fmt: skip
        """Say, for a person, what became of an action whose outcome nobody knows."""
        answer = _json(value)

        def make(at_ms: int, _state: RunState, _lapsed: Lapsed) -> Event:
            return OutcomeResolved(at_ms=at_ms, action=action, attempt=attempt, outcome=outcome, by=by, value=answer, note=note)

        return await self._sent(run_id, make, "")

    async def signal(self, run_id: str, name: str, by: Caller, payload: object = None) -> Offer:
        """Send a run a message; it is kept until a `wait` takes it. Each call is a message of its own."""
        given = _json(payload)
        reply = await self.engine.send(run_id, lambda at, _s, _l: SignalSent(at_ms=at, name=name, by=by, payload=given))
        taken_by = next((note.path for note in reply.notes if note.kind == "signal_taken"), None)
        return replace(await self._offer(reply, ""), taken_by=taken_by)

    async def undo(self, run_id: str, by: Caller) -> Offer:
        """Take back what an ended run did and kept for that."""
        return await self._sent(run_id, lambda at, _s, _l: UndoRequested(at_ms=at, by=by), "")

    async def cancel(self, run_id: str, by: Caller, reason: str = "") -> Offer:
        """Ask a run to end; asked twice, it ends at once."""
        return await self._sent(run_id, lambda at, _s, _l: CancelRequested(at_ms=at, by=by, reason=reason), "")

    async def park(self, run_id: str, by: Caller, reason: str) -> Offer:
        """Set a run aside; nothing is completed by it."""
        return await self._sent(run_id, lambda at, _s, _l: RunParked(at_ms=at, by=by, reason=reason), "")

    async def resume(self, run_id: str, by: Caller) -> Offer:
        """Take a parked run up again."""
        return await self._sent(run_id, lambda at, _s, _l: RunResumed(at_ms=at, by=by), "")

    async def plan_migration(self, run_id: str, definition: Definition, by: Caller, renamed: Mapping[str, str] = NOTHING) -> Plan:
        """Tell what `migrate` would do now; writes nothing. Raises RequestError `unknown_run`, `other_semantics`."""
        seen = await self.engine.snapshot(run_id)
        return await self._planned(seen.definition, definition, seen.state, renamed, self.clock.now_ms(), by)

    async def migrate(
        self, run_id: str, definition: Definition, by: Caller, renamed: Mapping[str, str] = NOTHING, *, planned: Plan | None = None
    ) -> Offer:  # fmt: skip
        """Move a run to a changed definition; a run that was set aside stays so. With `planned` it is done only if it is what was shown.

        Raises RequestError `cannot_migrate`, `unchanged`, `plan_changed`, `other_semantics`, `not_yet`.
        """

        def make(at_ms: int, old: Definition, state: RunState) -> Event:
            plan = plan_migration(old, definition, state, renamed, at_ms=at_ms, by=by)
            check_plan(plan, planned)
            return plan.event

        _check_semantics(definition, (await self.engine.snapshot(run_id)).state)
        return await self._offer(await self.engine.migrate(run_id, definition, make), "")

    async def _planned(self, old: Definition, new: Definition, state: RunState, renamed: Mapping[str, str], at_ms: int, by: Caller) -> Plan:
        _check_semantics(new, state)
        plan = plan_migration(old, new, state, renamed, at_ms=at_ms, by=by)
        blobs: dict[str, Value] = {}
        while isinstance(decision := advance(new, state, plan.event, blobs), NeedBlobs):
            blobs |= {name: await self.engine.blob(name) for name in decision.digests}
        return plan if decision.refusal is None else refused(plan, decision.refusal)

    async def heartbeat(self, run_id: str, action: str, attempt: int, holder: str) -> int | None:
        """Lengthen a lease; gives the new end, or None if the action is no longer held so."""
        until_ms = self.clock.now_ms() + self.lease_ms
        held = await self.engine.renew(run_id, Lease(action=action, attempt=attempt, holder=holder, until_ms=until_ms))
        return until_ms if held else None

    async def look(self, run_id: str) -> RunView:
        """View a run; writes nothing."""
        snapshot = await self.engine.snapshot(run_id)
        return view(snapshot.definition, snapshot.state)

    async def is_branch(self, run_id: str, path: str, token: str) -> bool:
        """Tell whether a token is that of a branch of a run, open or ended."""
        snapshot = await self.engine.snapshot(run_id)
        return hmac.compare_digest(branch_token(snapshot.state.seed, path).encode(), token.encode())

    async def filled(self, value: Value) -> Value:
        """Give a value whole, with what was set aside, and of secrets the names."""
        blobs: dict[str, Value] = {}
        while True:
            missing: list[str] = []

            def read(digest: str, missing: list[str] = missing) -> Value:
                if digest not in blobs:
                    missing.append(digest)
                return blobs.get(digest)

            whole = fill(value, read)
            if not missing:
                return named(whole)
            for name in missing:
                blobs[name] = await self.engine.blob(name)

    async def runs(self, query: RunQuery) -> list[RunRow]:
        """List runs, newest first; writes nothing."""
        return await self.engine.runs(query)

    async def changed(self, run_id: str, revision: int, timeout_ms: int, *, urgent: bool = True) -> None:
        """Return when a run has moved past a revision, or after a time; without `urgent` perhaps a moment later."""

        async def follow() -> None:
            async for _seq, changed_id in self.engine.changes(urgent=urgent):
                if changed_id == run_id and (await self.look(run_id)).revision != revision:
                    return

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_ms / 1000):
                waiting = asyncio.create_task(follow())
                try:
                    # The follower begins at the newest change; what happened just before it began is seen here.
                    await asyncio.sleep(0)
                    if waiting.done() or (await self.look(run_id)).revision == revision:
                        await waiting  # done already: the engine refuses to be followed, and that must be heard
                finally:
                    waiting.cancel()

    async def _claim(self, run_id: str, by: Caller, token: str, action: str | None, *, take_over: bool) -> Offer:
        def make(at_ms: int, _state: RunState, lapsed: Lapsed) -> Event:
            claim = Claim(channel=token, holder=by.name, by=by, action=action, lapsed=lapsed(), take_over=take_over)
            return ActionClaimed(at_ms=at_ms, claim=claim)

        offer = await self._sent(run_id, make, token)
        ended = offer.refusal is not None and offer.refusal.code == "run_ended"
        return await self._renewed(replace(offer, refusal=None) if ended else offer, by)

    async def _renewed(self, offer: Offer, by: Caller) -> Offer:
        """Lengthen the lease of a holder that asks again late: a row, no event. Early on nothing at all is written."""
        held, until_ms = offer.action, offer.lease_until_ms
        if held is None or until_ms is None or until_ms - self.clock.now_ms() > self.lease_ms // 2:
            return offer
        renewed_ms = await self.heartbeat(offer.run.run_id, held.id, held.attempt, by.name)
        return replace(offer, lease_until_ms=renewed_ms) if renewed_ms is not None else offer

    async def _sent(self, run_id: str, make: MakeEvent, token: str, request: Request | None = None) -> Offer:
        return await self._offer(await self.engine.send(run_id, make, request), token)

    def _note_asked(self, token: str) -> None:
        now_ms = self.clock.now_ms()
        if token:
            self._asked_ms[token] = now_ms
        for gone in [t for t, at_ms in self._asked_ms.items() if at_ms < now_ms - ASKED_LATELY_MS]:
            del self._asked_ms[gone]

    async def _offer(self, reply: Reply, channel: str) -> Offer:
        shown = view(reply.definition, reply.state, outline=False)
        refusal = reply.refusal
        base = Offer(kind="waiting", run=shown, refusal=refusal, duplicate=reply.duplicate, channel=channel)
        if reply.state.ended:
            return replace(base, kind="ended", refusal=refusal)
        # What a first reply gave may be somebody else's by now.
        claimed = None if reply.duplicate else reply.claimed
        mine = next((a for a in shown.actions if a.id == claimed), None)
        if mine is not None:
            whole = await self.filled(mine.params)
            action = replace(mine, params=whole if isinstance(whole, dict) else mine.params)
            until = reply.lease_until_ms or self.clock.now_ms() + self.lease_ms
            return replace(base, kind="action", action=action, lease_until_ms=until)
        if channel:
            open_branch = any(b.token == channel for b in shown.branches)
            return base if open_branch else replace(base, kind="branch_ended")
        return await self._fan_out(base) if shown.branches else base

    async def _fan_out(self, base: Offer) -> Offer:
        """Part the open branches into those that somebody works and those that nobody does."""
        now_ms, run = self.clock.now_ms(), base.run
        busy = {token for token, at_ms in self._asked_ms.items() if at_ms >= now_ms - ASKED_LATELY_MS}
        claimed = {a.id: a.channel for a in run.actions if a.status == "claimed" and a.performer != "server" and a.channel}
        if claimed:
            leases = (await self.engine.snapshot(run.run_id)).leases
            busy |= {claimed[lease.action] for lease in leases if lease.action in claimed and lease.until_ms > now_ms}
        idle = tuple(b for b in run.branches if b.token not in busy)
        in_work = tuple(b for b in run.branches if b.token in busy)
        return replace(base, kind="fan_out" if idle else "waiting", branches=idle, in_work=in_work)


def _check_semantics(definition: Definition, state: RunState) -> None:
    if definition.semantics != state.semantics:
        raise RequestError(
            f"the run has semantics number {state.semantics}, the new definition {definition.semantics}; it keeps its definition",
            code="other_semantics", hint="use the Treadle that started it",
        )  # fmt: skip


def new_run_id() -> str:
    """Mint a run's id: random, short enough to type."""
    alphabet = "23456789abcdefghjkmnpqrstuvwxyz"
    return "run_" + "".join(secrets.choice(alphabet) for _ in range(12))


def _json(value: object) -> Json:
    try:
        checked = normalise(value)
    except ValueProblem as problem:
        raise RequestError(problem.message, code=problem.code, hint="send JSON data") from problem
    return checked  # type: ignore[return-value] - without `refs`, what comes out is plain JSON


__all__ = ["Offer", "Service", "new_run_id", "title_of"]
