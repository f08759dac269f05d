"""Runs of `planning:interactive` that a script of answers cannot tell: a process that dies with work in hand, a save stopped under way.

After a crash another engine goes on over the same storage. The first is dropped without a word while somebody holds an action; the next waits
until the lease has run out, as `engine/performing.py` does, and says what was lost.
"""

from dataclasses import replace
from typing import Final

from treadle.clock import FakeClock
from treadle.core.definition import Definition
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
    RunParked,
    RunResumed,
    RunStarted,
)
from treadle.core.state import RunState
from treadle.core.values import Json, Value
from treadle.engine.local import LocalEngine
from treadle.engine.memory import MemoryStorage
from treadle.ports import Functions, Reply, RunMeta

RUN_ID: Final = "run_by_hand"
START_MS: Final = 1_767_225_600_000
LEASE_MS: Final = 60_000
ANNA: Final = Caller(kind="human", name="anna", assurance="local")


class _Hands:
    """Sends events in the name of whoever holds an action."""

    def __init__(self, engine: LocalEngine, clock: FakeClock, server: str) -> None:
        self.engine, self.clock = engine, clock
        self.server = Caller(kind="server", name=server)

    async def start(self, definition: Definition, inputs: dict[str, Json]) -> None:
        event = RunStarted(at_ms=self.clock.now_ms(), run_id=RUN_ID, seed="0" * 32, inputs=inputs, by=ANNA)
        await self.engine.start(definition, event, RunMeta(workflow=definition.name))

    async def claim(self, action: str, agent: str = "agent") -> None:
        state = await self.state()
        served = state.actions[action].performer == "server"
        by = self.server if served else Caller(kind="agent", name=agent)
        claim = Claim(channel="" if served else state.actions[action].channel, holder=by.name, by=by, action=action)
        reply = await self.send(ActionClaimed(at_ms=0, claim=claim))
        assert reply.claimed == action, reply.refusal

    async def answer(self, action: str, value: Value, *, expect: str | None = None) -> None:
        held = (await self.state()).actions[action]
        by = self.server if held.performer == "server" else Caller(kind="agent", name=held.holder or "agent")
        channel = held.channel if by.kind == "agent" else None
        await self.send(
            ActionAnswered(at_ms=0, action=action, attempt=held.attempt, holder=by.name, by=by, value=value, channel=channel), expect=expect
        )

    async def done(self, action: str, value: Value, agent: str = "agent") -> None:
        held = (await self.state()).actions[action]
        if held.performer != "server" or held.effect not in {"none", "read"}:
            await self.claim(action, agent)
        await self.answer(action, value)

    async def state(self) -> RunState:
        return (await self.engine.current(RUN_ID)).state

    async def send(self, event: Event, *, expect: str | None = None) -> Reply:
        self.clock.advance(1_000)

        def make(at_ms: int, _state: RunState, lapsed) -> Event:
            if isinstance(event, ActionClaimed):
                return replace(event, at_ms=at_ms, claim=replace(event.claim, lapsed=lapsed()))
            return replace(event, at_ms=at_ms)

        reply = await self.engine.send(RUN_ID, make)
        assert (reply.refusal and reply.refusal.code) == expect, reply.refusal
        return reply

    @classmethod
    def of(cls, storage: MemoryStorage, functions: Functions, clock: FakeClock, name: str) -> "_Hands":
        """Give the hands of a process that has just opened a storage."""
        engine = LocalEngine(storage, functions=functions, clock=clock, holder=name, lease_ms=LEASE_MS, served_lease_ms=LEASE_MS)
        return cls(engine, clock, name)


INPUTS: Final[dict[str, Json]] = {"task_description": "Move the shop to another town", "max_research_tasks": 1}
REQUIREMENTS: Final = "Objectives:\n- no day without the shop\n"
SOURCES: Final[Json] = {"sources": [{"url": "https://docs.example/move", "title": "Moving"}]}
READING: Final[Json] = {"findings": [{"statement": "Move at night", "sources": ["https://docs.example/move"]}], "confidence": "low"}
PLAN: Final = "# Plan\n\n## Overview\nMove at night.\n"
REVIEW: Final[Json] = {"feedback": [], "verdict": "accept"}


async def cancel_within_grace(definition: Definition, functions: Functions) -> MemoryStorage:
    """Cancel while the save is under way; it ends within its grace, and is in the log."""
    storage = MemoryStorage()
    hands = _Hands.of(storage, functions, FakeClock(START_MS), "only")
    await hands.start(definition, INPUTS | {"require_approval": False})
    await hands.done("gather-requirements", REQUIREMENTS)
    await hands.done("research-phase[0]/search-web", SOURCES)
    await hands.done("research-phase[0]/read-sources", READING)
    await hands.done("research-phase[0]/save-research", {"success": True})
    await hands.done("create-plan", PLAN)
    await hands.done("review-plan", REVIEW)
    await hands.claim("save-to-memory")
    await hands.send(CancelRequested(at_ms=0, by=ANNA, reason="not this year"))
    await hands.answer("save-to-memory", {"success": True}, expect="stopped")
    assert (await hands.state()).status == "cancelled"
    return storage


async def crash_and_resume(definition: Definition, functions: Functions) -> MemoryStorage:
    """Carry `planning:interactive` through two crashes; the storage holds its history."""
    storage, clock = MemoryStorage(), FakeClock(START_MS)

    first = _Hands.of(storage, functions, clock, "first")
    await first.start(definition, INPUTS)
    await first.done("gather-requirements", REQUIREMENTS)
    await first.done("research-phase[0]/search-web", SOURCES)
    await first.claim("research-phase[0]/read-sources", "sub-agent")
    clock.advance(LEASE_MS + 1)

    second = _Hands.of(storage, functions, clock, "second")
    await second.done("research-phase[0]/read-sources", READING, agent="another-sub-agent")
    await second.done("research-phase[0]/save-research", {"success": True})
    await second.done("create-plan", PLAN)
    await second.send(RunParked(at_ms=0, by=ANNA, reason="lunch"))
    await second.send(RunResumed(at_ms=0, by=ANNA))
    await second.done("review-plan", REVIEW)
    gate = (await second.state()).actions["approval-check.then/request-approval"]
    await second.send(ApprovalDecided(at_ms=0, action=gate.id, digest=gate.digest or "", approved=True, by=ANNA))
    await second.claim("save-to-memory")
    clock.advance(LEASE_MS + 1)

    third = _Hands.of(storage, functions, clock, "third")
    await third.send(PerformerLost(at_ms=0, action="save-to-memory", attempt=1))
    await third.send(OutcomeResolved(at_ms=0, action="save-to-memory", attempt=1, outcome="not_done", by=ANNA, note="it is not there"))
    await third.done("save-to-memory", {"success": True})
    assert (await third.state()).ended
    return storage
