"""What happened in a run that was played, a line each, for who reads why a case failed."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from treadle.core.values import Value
from treadle.testing.differences import shown
from treadle.testing.player import Moment, Played

LINES_MAX: Final = 12
VALUE_CHARACTERS_MAX: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing that happened. `word` is the status that it stands for."""

    at_ms: int
    word: str
    path: str
    text: str


def story(played: Played) -> list[Line]:
    """Tell a run from its beginning; times count from its start."""
    kinds = {each.id: each.kind for each in played.handed}
    return [line for moment in played.moments for line in _lines(played, moment, kinds)]


def _lines(played: Played, moment: Moment, kinds: dict[str, str]) -> Iterator[Line]:
    note, data = moment.note, moment.note.data
    at_ms = moment.at_ms - played.started_ms
    path = note.path
    match note.kind:
        case "action_completed" if kinds.get(path) != "approve":
            tool = next((str(h.params["tool"]) for h in reversed(played.handed) if h.id == path and "tool" in h.params), "")
            yield Line(at_ms=at_ms, word="completed", path=path, text=f"{kinds.get(path, '')} {tool}".strip() + " was answered")
        case "gate_decided":
            said = "approved" if data["approved"] else "rejected"
            yield Line(
                at_ms=at_ms,
                word="completed" if data["approved"] else "failed",
                path=path,
                text=f"{said} by {data['by']}{_after(data['note'])}",
            )
        case "attempt_failed":
            yield Line(
                at_ms=at_ms, word="handling", path=path, text=f"attempt {data['attempt']} failed: {data['error_class']}: {data['message']}"
            )
        case "output_refused":
            faults = data["faults"]
            first = faults[0] if isinstance(faults, list) and faults else "it does not fit"
            yield Line(at_ms=at_ms, word="handling", path=path, text=f"the answer was refused: {first}")
        case "outcome_unknown":
            yield Line(at_ms=at_ms, word="unknown", path=path, text="was lost: nobody knows whether it was done")
        case "outcome_resolved":
            yield Line(at_ms=at_ms, word="completed", path=path, text=f"{data['by']} said: {str(data['outcome']).replace('_', ' ')}")
        case "timer_fired" if data["timer"] != "backoff":
            yield Line(at_ms=at_ms, word="note", path=path, text=f"time is up ({data['timer']})")
        case "step_failed":
            on = "" if data["policy"] == "fail" else f", and the run went on ({data['policy']})"
            yield Line(at_ms=at_ms, word="failed", path=path, text=f"failed: {data['error_class']}: {data['message']}{on}")
        case "step_skipped":
            yield Line(at_ms=at_ms, word="skipped", path=path, text="skipped")
        case "waiting" if "signal" in data:
            yield Line(at_ms=at_ms, word="waiting", path=path, text=f"waits for the signal `{data['signal']}`")
        case "signal_taken":
            yield Line(at_ms=at_ms, word="completed", path=path, text=f"took the signal `{data['signal']}`")
        case "signal_kept":
            yield Line(at_ms=at_ms, word="note", path="", text=f"the signal `{data['signal']}` came, and no step waited for it yet")
        case "goto_taken":
            yield Line(at_ms=at_ms, word="note", path=path, text=f"went on at `{data['target']}`")
        case "budget_spent":
            yield Line(at_ms=at_ms, word="handling", path=path, text=f"the budget was spent: {data['what']}")
        case "verified" | "verify_failed":
            proven = note.kind == "verified"
            yield Line(
                at_ms=at_ms, word="completed" if proven else "handling", path=path, text="was proven" if proven else "could not be proven"
            )
        case "undone" | "undo_failed":
            undone = note.kind == "undone"
            yield Line(
                at_ms=at_ms,
                word="completed" if undone else "failed",
                path=path,
                text="was taken back" if undone else "could not be taken back",
            )
        case "branch_chosen":
            yield Line(at_ms=at_ms, word="note", path=path, text=f"chose `{data['branch']}`")
        case "items_found":
            yield Line(at_ms=at_ms, word="note", path=path, text=f"{data['count']} item{'s' * (data['count'] != 1)}")
        case "run_parked":
            yield Line(at_ms=at_ms, word="parked", path="", text=f"the run was parked: {data['reason']}")
        case "cancel_requested":
            yield Line(at_ms=at_ms, word="cancelled", path="", text=f"{data['by']} asked to end the run{_after(data['reason'])}")
        case "run_ended":
            yield Line(at_ms=at_ms, word=str(data["status"]), path="", text=f"the run ended: {str(data['status']).replace('_', ' ')}")
        case _:
            pass


def _after(note: Value) -> str:
    return f": {shown(note, VALUE_CHARACTERS_MAX)}" if note else ""
