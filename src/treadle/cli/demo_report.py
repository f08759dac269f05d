"""What the demo proves, and how: the callers' own records against the history, the history against the memory server's file (ruling 56).

Nothing here is taken from what a process said about itself. A reply counts as acknowledged if its caller wrote it down after it arrived.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
from rich.text import Text

from treadle.cli import screen, shape
from treadle.cli.show import receipt_table
from treadle.compose import OpenProject
from treadle.core.events import ActionAnswered, ApprovalDecided, OutcomeResolved, RunStarted
from treadle.core.values import canonical, digest
from treadle.engine.receipts import Receipt, receipts
from treadle.engine.timeline import Moment, Timeline
from treadle.servers.memory_store import MemoryStore

_CHANGING: Final = frozenset({"write", "send", "pay", "destroy"})
_INDEX: Final = re.compile(r"\[(\d+)\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One call that changes the world: how often it was begun, and how often it was answered, in the history."""

    action: str
    key: str
    begun: int
    answered: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The outcome. `missing` are acknowledged replies that the history does not hold; `memory` is what the memory server's file holds."""

    run_id: str
    status: str
    killed_pid: int
    revision_at_kill: int
    acknowledged: tuple[int, int]
    missing: tuple[str, ...]
    kept: tuple[str, ...]
    again: tuple[Receipt, ...]
    effects: tuple[Effect, ...]
    memory: tuple[int, int]
    receipts: tuple[Receipt, ...]

    @property
    def ok(self) -> bool:
        """Tell whether the run completed and every comparison holds."""
        return (
            self.status == "completed" and not self.missing and self.acknowledged[0] > 0 and not self.twice and self.memory == self.expected
        )

    @property
    def twice(self) -> list[str]:
        """Name the calls that changed the world more than once, or were begun more than once."""
        return [effect.action for effect in self.effects if effect.begun != 1 or effect.answered != 1]

    @property
    def expected(self) -> tuple[int, int]:
        """Give how many research entries and plans the memory must hold, by the history."""
        adds = sum(effect.action.endswith("/save-research") for effect in self.effects)
        return adds, len(self.effects) - adds

    def to_json(self) -> dict[str, Any]:
        """Give the shape that `treadle demo --json` prints."""
        return {
            "ok": self.ok, "run": self.run_id, "status": self.status, "killed": {"pid": self.killed_pid, "revision": self.revision_at_kill},
            "acknowledged": {"before": self.acknowledged[0], "after": self.acknowledged[1], "missing": list(self.missing)},
            "kept": list(self.kept),
            "again": [{"action": r.action, "effect": r.effect, "attempts": r.attempts} for r in self.again],
            "effects": [{"action": e.action, "key": e.key, "begun": e.begun, "answered": e.answered} for e in self.effects],
            "memory": {
                "research": self.memory[0], "plans": self.memory[1], "expected_research": self.expected[0], "expected_plans": self.expected[1],
            },
            "receipts": [shape.receipt_json(receipt) for receipt in self.receipts],
        }  # fmt: skip

    def show(self, seconds: float) -> None:
        """Print it for a person."""
        screen.say()
        screen.heading(Text("4. what was kept, and what ran again", style="bold cyan"))
        before, after = self.acknowledged
        _line(not self.missing and before > 0, f"{before} replies had been acknowledged before the kill, {after} after it; all of them stand in the file"
              if not self.missing else f"missing in the file: {', '.join(self.missing)}")  # fmt: skip
        _line(True, f"kept, and not done again: {_listed(self.kept)}")
        if self.again:
            which = _listed([f"{r.action} ({_again(r)})" for r in self.again])
            _line(True, f"handed out again, because who had it died with the process: {which}")
        else:
            _line(True, "handed out again: nothing")
        _line(not self.twice, f"{len(self.effects)} calls that change something: each begun once and answered once, by its key"
              if not self.twice else f"done or begun more than once: {', '.join(self.twice)}")  # fmt: skip
        (research, plans), (want_research, want_plans) = self.memory, self.expected
        _line(
            self.memory == self.expected,
            f"the memory server's own file holds {research} findings and {plans} plan (by the history: {want_research} and {want_plans})",
        )
        screen.say()
        screen.heading(Text("5. receipt: who did what, and what is only claimed", style="bold cyan"))
        screen.say(receipt_table(self.receipts))
        screen.say()
        screen.say(
            "`claimed`: an agent (here: you, or the script) says so, and nothing checked it. `done`: Treadle made the call and recorded the reply.",
            style="bright_black",
        )
        word = "completed" if self.ok else "failed"
        verdict = f"the run is {self.status}; " + ("nothing was lost, nothing was done twice" if self.ok else "the proof does not hold")
        screen.say(Text.assemble(screen.mark(word), " ", (verdict, screen.STYLES[word]), f"  ({seconds:.1f} s)"))


async def make(opened: OpenProject, run_id: str, killed_pid: int, revision_at_kill: int, records: Sequence[Path]) -> Report:
    """Compare everything with everything."""
    view = await opened.service.look(run_id)
    moments = await Timeline(opened.engine, run_id).more()
    proofs = receipts(run_id, moments)
    acks = [_read(path) for path in records]
    missing = [_named(ack) for rows in acks for ack in rows if not _stands(ack, moments)]
    ended_before = {r.action for r in receipts(run_id, [m for m in moments if m.rev <= revision_at_kill]) if r.ended_at_ms is not None}
    return Report(
        run_id=run_id, status=view.status, killed_pid=killed_pid, revision_at_kill=revision_at_kill,
        acknowledged=(len(acks[0]), len(acks[1])), missing=tuple(missing),
        kept=tuple(r.action for r in proofs if r.action in ended_before),
        again=tuple(r for r in proofs if r.attempts > 1 or r.redone), effects=tuple(_effects(proofs, moments)),
        memory=_memory(opened.settings.project.store_dir / "memory.db"), receipts=tuple(proofs),
    )  # fmt: skip


def _effects(proofs: Sequence[Receipt], moments: Sequence[Moment]) -> list[Effect]:
    answered: dict[str, int] = {}
    for moment in moments:
        if isinstance(moment.event, ActionAnswered) and moment.event.failure is None:
            answered[moment.event.action] = answered.get(moment.event.action, 0) + 1
    return [
        Effect(action=r.action, key=r.key, begun=r.begun, answered=answered.get(r.action, 0))
        for r in proofs
        if r.effect in _CHANGING and r.kind == "mcp_call"
    ]


def _read(path: Path) -> list[dict[str, Any]]:
    """Read a caller's record; a line without an end was being written when its process died, and counts for nothing."""
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [orjson.loads(line) for line in lines]


def _stands(ack: dict[str, Any], moments: Sequence[Moment]) -> bool:
    """Tell whether the history holds what a caller was told."""
    for moment in moments:
        match moment.event:
            case RunStarted():
                found = ack["ack"] == "start"
            case ActionAnswered(action=action, attempt=attempt, value=value):
                found = (action, attempt, digest(canonical(value))) == (ack["action"], ack["attempt"], ack["digest"])
            case ApprovalDecided(action=action, approved=approved):
                found = action == ack["action"] and ack["ack"] == ("approve" if approved else "reject")
            case OutcomeResolved(action=action, attempt=attempt):
                found = (action, attempt) == (ack["action"], ack["attempt"])
            case _:
                found = False
        if found:
            return True
    return False


def _named(ack: dict[str, Any]) -> str:
    return ack["action"] or ack["ack"]


def _memory(path: Path) -> tuple[int, int]:
    """Count what the memory server keeps: research entries, and plans."""
    if not path.exists():
        return 0, 0
    store = MemoryStore(path)
    try:
        _, research = store.entries("research", "", 1, 0)
        _, plans = store.entries(None, "plan_", 1, 0)
    finally:
        store.close()
    return research, plans


def _line(well: object, text: str) -> None:
    screen.say(Text.assemble(screen.mark("completed" if well else "failed"), " ", text))


def _listed(names: Sequence[str]) -> str:
    """List actions; those that differ by one index alone are named together."""
    groups: dict[str, list[str]] = {}
    for name in names:
        found = _INDEX.search(name)
        groups.setdefault(_INDEX.sub("[]", name, count=1), []).append(found[1] if found is not None else "")
    shown = [group.replace("[]", f"[{','.join(numbers)}]", 1) for group, numbers in groups.items()]
    return ", ".join(shown) or "nothing"


def _again(receipt: Receipt) -> str:
    """Say what was handed out again: work that may be redone, or a call with its effect."""
    return "a performer's work" if receipt.kind == "delegate" else f"effect {receipt.effect}"
