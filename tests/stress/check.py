"""The independent checker: what the clients wrote down, what the world wrote down, and what stands in the file, compared.

It shares no code with the engine. The file is read with the standard library's own SQLite; events are read as the JSON that they are.
"""

import json
import sqlite3
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ENDED = {"completed", "completed_degraded", "failed", "cancelled", "goal_not_met"}


@dataclass(slots=True)
class Found:
    """What was compared, and every disagreement in words."""

    runs: Counter[str] = field(default_factory=Counter[str])
    answers: int = 0
    effects: int = 0
    unknown: int = 0
    faults: list[str] = field(default_factory=list[str])


def check(store: Path, ledger: Path, clients: Path) -> Found:
    """Compare. `clients` has a line per reply that a client got, `ledger` one per effect that took place."""
    found = Found()
    db = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    statuses: dict[str, str] = dict(db.execute("SELECT id, status FROM run"))
    events: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for run, rev, body in db.execute("SELECT run, rev, body FROM event ORDER BY run, rev"):
        if rev != len(events[run]) + 1:
            found.faults.append(f"{run}: event {rev} follows event {len(events[run])}")
        events[run].append(json.loads(body))
    found.runs = Counter(statuses.values())
    replies = [json.loads(line) for line in clients.read_text(encoding="utf-8").splitlines()]
    _started(found, replies, events)
    _acknowledged(found, replies, events)
    _effects(found, ledger, events)
    for run, status in statuses.items():
        if status not in ENDED and not _waits_with_a_reason(events[run]):
            found.faults.append(f"{run} is {status}, and nobody is asked for anything")
    return found


def _started(found: Found, replies: list[dict[str, Any]], events: dict[str, list[dict[str, Any]]]) -> None:
    """A run that was confirmed is there, once for each key of a client."""
    keys = Counter(history[0]["inputs"]["key"] for history in events.values())
    found.faults += [f"{key} was started {count} times" for key, count in keys.items() if count > 1]
    for reply in replies:
        if reply["what"] == "started" and reply["run"] not in events:
            found.faults.append(f"{reply['run']} was confirmed and is not there")


def _acknowledged(found: Found, replies: list[dict[str, Any]], events: dict[str, list[dict[str, Any]]]) -> None:
    """An answer or decision that was acknowledged stands in the history, once, with what was said."""
    for reply in replies:
        if reply["what"] not in {"answered", "approved"}:
            continue
        found.answers += 1
        kind = {"answered": "ActionAnswered", "approved": "ApprovalDecided"}[reply["what"]]
        mine = [each for each in events.get(reply["run"], ()) if each["kind"] == kind and each["action"] == reply["action"]]
        if len(mine) != 1:
            found.faults.append(f"{reply['run']}: {reply['action']} was acknowledged and stands there {len(mine)} times")
        elif kind == "ActionAnswered" and mine[0].get("value") != reply["value"]:
            found.faults.append(f"{reply['run']}: {reply['action']} was answered {reply['value']!r} and says {mine[0].get('value')!r}")


def _effects(found: Found, ledger: Path, events: dict[str, list[dict[str, Any]]]) -> None:
    """What took place twice is shown as unknown; what is said to be done took place."""
    lines = Counter(ledger.read_text(encoding="utf-8").split())
    found.effects = sum(lines.values())
    for run, history in events.items():
        key = history[0]["inputs"]["key"]
        paid = [each for each in history if each["kind"] == "ActionAnswered" and each["action"] == "pay" and "failure" not in each]
        lost = [each for each in history if each["kind"] == "PerformerLost" and each["action"] == "pay"]
        found.unknown += bool(lost)
        if lines[key] > 1 + len(lost):
            found.faults.append(f"{run}: {key} was paid {lines[key]} times, and {len(lost)} attempts are shown as lost")
        if paid and not lines[key]:
            found.faults.append(f"{run}: {key} is said to be paid and was not")
        if lines[key] and not paid and not lost and history[-1]["kind"] != "ActionClaimed":
            found.faults.append(f"{run}: {key} was paid and the history does not say so")


def _waits_with_a_reason(history: list[dict[str, Any]]) -> bool:
    """An attempt was lost in the middle of an effect: a person is asked what became of it."""
    return any(each["kind"] == "PerformerLost" for each in history)
