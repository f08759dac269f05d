"""The shapes of the core's tests, played on an engine: one thing at a time, so that nothing of the order of events is left to chance.

In every state the first open thing, by its name, is settled: answered, failed, decided, signalled, or given the time that it waits for. What fails is
drawn from the names, and so is the same on every engine. What the server performs waits at a gate until its turn has come.
"""

import asyncio
import hashlib

from tests.core.play import FUNCTIONS
from tests.core.shapes import PEOPLE, SHAPES
from treadle.core.definition import Definition
from treadle.core.state import ENDED
from treadle.core.values import Value
from treadle.ports import ActionCall, Answer
from treadle.testing.differential import Script
from treadle.testing.world import AGENT, World, failure
from treadle.view import ActionView, RunView

HASTY = frozenset({
    "a retry within a time", "a branch within a time", "a gate that runs out", "a wait for time", "a budget of time",
})  # fmt: skip
"""Shapes whose times are so short that on a real clock chance decides; `trouble` of the scripts keeps times instead."""

TURNS_MAX = 60


class Walk:
    """One run, driven to its end."""

    def __init__(self, world: World, salt: str):
        self.world, self.salt = world, salt
        self.turns: dict[tuple[str, int], asyncio.Event] = {}
        world.actions.on("*", self._perform)

    async def _perform(self, call: ActionCall) -> Answer:
        action = call.action
        # Begun, and held until its turn: what is stopped now is stopped in the hands of its performer.
        await self.turns.setdefault((action.id, action.attempt), asyncio.Event()).wait()
        if self._fails(action.id, action.attempt):
            return Answer(failure=failure("failed"))
        return Answer(value=_answer(call))

    def _fails(self, action: str, attempt: int) -> bool:
        return hashlib.sha256(f"{self.salt}|{action}|{attempt}".encode()).digest()[0] % 4 == 0

    async def to_its_end(self, run_id: str) -> None:
        for _ in range(TURNS_MAX):
            run = await self.world.until(run_id, _is_settled)
            if run.status in ENDED:
                return
            await self._turn(run)
        raise AssertionError(f"no end after {TURNS_MAX} turns: {run}")

    async def _turn(self, run: RunView) -> None:
        service, run_id = self.world.service, run.run_id
        if run.parked is not None:
            await service.resume(run_id, PEOPLE[0])
            return
        for action in run.actions:
            if action.performer == "server" and action.status in {"open", "claimed"}:
                await self.world.actions.called(action.id, action.attempt)
        open_now = [action for action in run.actions if action.status not in {"backoff", "verifying", "stopping"}]
        if open_now:
            await self._settle(run, min(open_now, key=lambda action: action.id))
            return
        waits = [wait.signal for wait in run.waits if wait.signal is not None]
        if waits:
            await service.signal(run_id, waits[0], PEOPLE[0], "news")
            return
        assert run.next_due_ms is not None, run
        await self.world.elapse(max(0, run.next_due_ms - run.now_ms) + 50)
        await self.world.until(run_id, lambda now: now.revision > run.revision)

    async def _settle(self, run: RunView, action: ActionView) -> None:
        service, run_id = self.world.service, run.run_id
        if action.status == "unknown":
            await service.resolve(run_id, action.id, action.attempt, PEOPLE[0], "done", value="done")
        elif action.kind == "approve":
            by = next(p for p in PEOPLE if p.name not in action.votes and not ("never" in action.params and p.name == run.started_by))
            await service.decide(run_id, action.id, action.digest or "", by, approved=not self._fails(action.id, len(action.votes)))
        elif action.performer == "server":
            self.turns.setdefault((action.id, action.attempt), asyncio.Event()).set()
            await self.world.until(run_id, lambda now: now.revision > run.revision)
        else:
            token = action.channel
            offer = await service.next_step(run_id, AGENT, action=action.id, token=token)
            assert offer.refusal is None, (action, offer.refusal)
            result = {"failure": failure("failed")} if self._fails(action.id, action.attempt) else {"value": "done"}
            await service.submit(run_id, action.id, action.attempt, AGENT, token=token, then_next=False, **result)


def _is_settled(run: RunView) -> bool:
    """A write is claimed by the server by itself; nothing else moves until it is somebody's turn."""
    return not any(
        a.performer == "server" and (a.status == "stopping" or (a.status == "open" and a.effect not in {"none", "read"}))
        for a in run.actions
    )


def _answer(call: ActionCall) -> Value:
    match call.action.kind:
        case "verify":
            return [{"check": 1, "ok": True, "message": "it holds"}]
        case "worktree":
            return {"path": f"/w/{call.action.id}", "base": "b"}
        case "worktree_commit":
            return {"commit": "c"}
        case _:
            return "done"


def _script(name: str, definition: Definition, salt: str) -> Script:
    async def play(world: World, seed: str) -> str:
        walk = Walk(world, salt)
        run_id = (await world.begin(definition, seed=seed)).run.run_id
        await walk.to_its_end(run_id)
        return run_id

    return Script(name=f"{name} {salt}", play=play, functions=FUNCTIONS)


def shape_scripts(salt: str) -> list[Script]:
    """A script per shape. What a `run` step is answered stands in the script too: child runs have cases of their own."""
    return [_script(name, definition, salt) for name, definition in SHAPES.items()]
