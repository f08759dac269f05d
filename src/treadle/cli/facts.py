"""Facts: what happened in a run, a line each, for `run` and `logs`. Made of the core's notes; nothing here is guessed."""

from collections.abc import Iterator
from dataclasses import dataclass

from treadle import presence
from treadle.cli import screen
from treadle.core.commands import Note
from treadle.core.events import Caller
from treadle.core.values import Value
from treadle.engine.timeline import Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One line. `word` gives mark and colour; a `minor` one is shown by `logs --all` only."""

    at_ms: int
    word: str
    path: str
    text: str
    minor: bool = False


class Teller:
    """Turns the moments of one run into facts; remembers when what was handed out, to say how long it took."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._opened: dict[str, tuple[str, int]] = {}
        self._began_ms: dict[str, int] = {}
        self._attempts: dict[str, int] = {}

    def tell(self, moment: Moment) -> Iterator[Fact]:
        """Give the facts of one moment."""
        for note in moment.notes:
            word, text, minor = self._say(note, moment)
            if text:
                yield Fact(at_ms=moment.at_ms, word=word, path=note.path, text=screen.clean(text, lines=False), minor=minor)

    def _say(self, note: Note, moment: Moment) -> tuple[str, str, bool]:
        data = note.data
        if note.kind in _RUN_NOTES:
            return self._of_run(note, moment)
        match note.kind:
            case "action_opened":
                kind = str(data["action_kind"])
                self._opened[note.path] = (kind, moment.at_ms)
                self._began_ms[note.path] = moment.at_ms
                return (
                    "waiting" if kind != "mcp_call" else "note",
                    _HANDED_OUT.get(kind, "handed out"),
                    kind == "mcp_call",
                )
            case "action_claimed":
                self._began_ms[note.path] = moment.at_ms
                self._attempts[note.path] = _number(data["attempt"])
                again = f", attempt {data['attempt']}" if data["attempt"] != 1 else ""
                small = self._opened.get(note.path, ("", 0))[0] != "delegate" and not again
                return "running", f"taken by {holder_name(data['holder'])}{again}", small
            case "action_completed" if self._opened.get(note.path, ("", 0))[0] == "approve":
                return "note", "", True  # the decision was told
            case "action_completed":
                return "completed", self._completed(note.path, moment), False
            case "step_completed" if note.path in self._opened:
                return "note", "", True
            case _:
                return _WORDED[note.kind](data) if note.kind in _WORDED else ("note", note.kind.replace("_", " "), True)

    def _completed(self, path: str, moment: Moment) -> str:
        kind, _ = self._opened.get(path, ("", 0))
        took = screen.duration(moment.at_ms - self._began_ms.get(path, moment.at_ms))
        attempts = self._attempts.get(path, 1)
        tried = f", attempt {attempts}" if attempts > 1 else ""
        return f"{_DONE.get(kind, 'done')} by {caller_name(moment.by)} ({took}{tried})"

    @staticmethod
    def _of_run(note: Note, moment: Moment) -> tuple[str, str, bool]:
        data, who = note.data, caller_name(moment.by)
        match note.kind:
            case "run_started":
                return "running", f"{data['workflow']} started by {who}", False
            case "run_ended":
                return str(data["status"]), f"the run ended: {str(data['status']).replace('_', ' ')}", False
            case "run_parked":
                return "parked", f"set aside by {data['by']}: {data['reason']}", False
            case "run_resumed":
                return "running", f"taken up again by {who}", False
            case _:
                reason = f": {data['reason']}" if data.get("reason") else ""
                return "cancelling", f"{who} asked to end the run{reason}", False


_RUN_NOTES = frozenset({"run_started", "run_ended", "run_parked", "run_resumed", "cancel_requested", "cancel_hastened"})
_HANDED_OUT = {
    "prompt": "asks a person",
    "approve": "asks a person to decide",
    "delegate": "waits for an agent",
    "mcp_call": "begun",
}
_DONE = {"prompt": "answered", "approve": "decided", "delegate": "claimed done", "mcp_call": "done"}
_WORDED = {
    "step_completed": lambda _: ("completed", "done", False),
    "step_skipped": lambda _: ("skipped", "skipped", False),
    "step_failed": lambda d: ("failed", f"failed: {d['error_class']}: {d['message']}" + _policy(d["policy"]), False),
    "step_handled": lambda _: ("handling", "its failure was handled", False),
    "items_found": lambda d: ("running", f"{d['count']} items", False),
    "item_completed": lambda _: ("completed", "item done", False),
    "item_failed": lambda _: ("failed", "item failed", False),
    "branch_chosen": lambda d: ("note", f"chose `{d['branch']}`", True),
    "attempt_failed": lambda d: ("handling", f"attempt {d['attempt']} failed: {d['error_class']}: {d['message']}", False),
    "retry_planned": lambda d: ("note", f"attempt {d['attempt']} in {screen.duration(_number(d['wait_ms']))}", False),
    "action_offered": lambda d: ("waiting", f"handed out again, attempt {d['attempt']}", False),
    "lease_lapsed": lambda d: ("handling", f"{holder_name(d['holder'])} fell silent in attempt {d['attempt']}", False),
    "outcome_unknown": lambda d: ("unknown", f"attempt {d['attempt']} was lost: nobody knows whether it was done; a person decides", False),
    "outcome_resolved": lambda d: ("completed", f"{d['by']} said: {str(d['outcome']).replace('_', ' ')}" + _after(d["note"]), False),
    "output_refused": lambda d: ("handling", f"the answer of attempt {d['attempt']} was refused: {_first(d['faults'])}", False),
    "gate_decided": lambda d: (
        "completed" if d["approved"] else "failed",
        f"{'approved' if d['approved'] else 'rejected'} by {d['by']}" + _after(d["note"]) + f", of {str(d['digest'])[:19]}", False),
    "timer_fired": lambda d: ("note", f"time is up ({d['timer']})", d["timer"] == "backoff"),
    "action_stopping": lambda _: ("note", "asked to stop", False),
    "action_stopped": lambda _: ("cancelled", "stopped", False),
    "action_dropped": lambda _: ("cancelled", "withdrawn", False),
    "answer_after_stop": lambda _: ("note", "an answer came after it was stopped; it is kept and was not used", False),
}  # fmt: skip


def caller_name(by: Caller | None) -> str:
    """Give who did it, as a person says it."""
    if by is None:
        return "time"
    return holder_name(by.name)


def holder_name(holder: Value) -> str:
    """Give a holder's name short: `Treadle` for its own processes, the performer's own name for one inside of one."""
    text = str(holder)
    process, _, performer = text.partition("/")
    if presence.process_of(text) is None:
        return screen.clean(text, lines=False)
    return screen.clean(performer, lines=False) if performer else f"Treadle ({process.removeprefix('treadle-')})"


def line(fact: Fact) -> screen.Text:
    """Give a fact as a line of text."""
    text = screen.Text(screen.clock(fact.at_ms) + " ", style="bright_black")
    text.append_text(screen.mark(fact.word))
    text.append(" ")
    if fact.path:
        text.append(fact.path, style="bold")
        text.append("  ")
    text.append(
        fact.text,
        style=screen.STYLES.get(fact.word, "default") if fact.word in {"failed", "unknown", "waiting"} else "default",
    )
    return text


def _number(value: Value) -> int:
    return value if isinstance(value, int) else 0


def _first(faults: Value) -> str:
    return str(faults[0]) if isinstance(faults, list) and faults else "it does not fit"


def _after(note: Value) -> str:
    return f": {note}" if note else ""


def _policy(policy: Value) -> str:
    return "" if policy == "fail" else f" (the run goes on: {policy})"
