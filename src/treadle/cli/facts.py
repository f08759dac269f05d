"""Facts: what happened in a run, a line each, for `run` and `logs`. Made of the core's notes; nothing here is guessed."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from treadle import presence
from treadle.cli import screen
from treadle.core.commands import Note
from treadle.core.events import Caller
from treadle.core.values import Value
from treadle.core.worktrees import KINDS as WORKTREES
from treadle.engine.course import Course
from treadle.engine.timeline import Moment

Said = tuple[str, str, bool]
"""A word for mark and colour, the text, and whether it is minor."""


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
        self._proven: set[str] = set()
        self._told: set[str] = set()
        self._served: set[str] = set()
        self._course = Course()

    def tell(self, moment: Moment) -> Iterator[Fact]:
        """Give the facts of one moment."""
        self._course.add(moment)
        for note in moment.notes:
            word, text, minor = self._say(note, moment)
            if text:
                yield Fact(at_ms=moment.at_ms, word=word, path=note.path, text=screen.clean(text, lines=False), minor=minor)

    def _say(self, note: Note, moment: Moment) -> Said:
        data = note.data
        if note.kind in _RUN_NOTES:
            return self._of_run(note, moment)
        match note.kind:
            case "action_opened":
                kind = str(data["action_kind"])
                if kind in WORKTREES:
                    return "note", "", True  # what came of it is told
                self._opened[note.path] = (kind, moment.at_ms)
                self._began_ms[note.path] = moment.at_ms
                served = data["performer"] == "server"
                self._served |= {note.path} if served else set()
                return "note" if served else "waiting", "begun" if served else _HANDED_OUT.get(kind, "waits for an agent"), served
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
            case "step_completed" if note.path in self._opened or note.path in self._told:
                return "note", "", True
            case "step_completed":
                visit = self._course.visits.get(note.path)
                said = visit.said if visit is not None else []
                return "handling" if visit is not None and visit.items_failed else "completed", ", ".join(["done", *said]), False
            case "action_offered" if note.path in self._served:
                self._began_ms[note.path], self._attempts[note.path] = moment.at_ms, _number(data["attempt"])
                return "running", f"begins again, attempt {data['attempt']}", False
            case "verified":
                self._proven.add(note.path)
                return _WORDED[note.kind](data)
            case "cache_hit" | "signal_taken" | "goto_taken":
                self._told.add(note.path)
                return _WORDED[note.kind](data)
            case _:
                return _WORDED[note.kind](data) if note.kind in _WORDED else ("note", note.kind.replace("_", " "), True)

    def _completed(self, path: str, moment: Moment) -> str:
        kind, _ = self._opened.get(path, ("", 0))
        took = screen.duration(moment.at_ms - self._began_ms.get(path, moment.at_ms))
        attempts = self._attempts.get(path, 1)
        tried = f", attempt {attempts}" if attempts > 1 else ""
        if path in self._proven:
            return f"done and proven ({took}{tried})"
        return f"{_DONE.get(kind, 'done')} by {caller_name(moment.by)} ({took}{tried})"

    @staticmethod
    def _of_run(note: Note, moment: Moment) -> Said:
        data, who = note.data, caller_name(moment.by)
        match note.kind:
            case "run_started":
                return "running", f"{data['workflow']} started by {who}", False
            case "run_forked":
                put = f", with {_listed(data['set'])} set" if data["set"] else ""
                return (
                    "note",
                    f"forked from {data['origin']} at `{data['at']}` by {who}{put}; above is what they share, below what it does itself",
                    False,
                )
            case "run_ended":
                return str(data["status"]), f"the run ended: {str(data['status']).replace('_', ' ')}" + _at_end(data), False
            case "run_parked":
                return "parked", f"set aside by {data['by']}: {data['reason']}", False
            case "run_resumed":
                return "running", f"taken up again by {who}", False
            case "run_migrated":
                return "running", f"moved by {who} to the definition {str(data['to'])[:19]}, from {str(data['was'])[:19]}", False
            case _:
                reason = f": {data['reason']}" if data.get("reason") else ""
                return "cancelling", f"{who} asked to end the run{reason}", False


_RUN_NOTES = frozenset(
    {"run_started", "run_forked", "run_ended", "run_parked", "run_resumed", "run_migrated", "cancel_requested", "cancel_hastened"}
)
_OWN_WORDS = frozenset({"action_opened", "action_claimed", "action_completed", "step_completed"})
_HANDED_OUT = {
    "prompt": "asks a person",
    "approve": "asks a person to decide",
    "delegate": "waits for an agent",
}
_DONE = {"prompt": "answered", "approve": "decided", "delegate": "claimed done"}
_TIMERS = {
    "within": "its time is up", "wait": "its time has come", "timeout": "the attempt takes too long", "backoff": "it is tried again",
    "grace": "it had its time to stop", "wall": "the time of its budget is up", "shield": "its `finally` had its time",
}  # fmt: skip
_AFTER = {"completed": "well", "failed": "in failure", "cancelled": "by a cancel", "skipped": "skipped", "goal_not_met": "without its goal"}
_OUTCOMES = {"done": "it was done", "not_done": "it was not done", "failed": "it failed"}
_WORDED: Final[dict[str, Callable[[Mapping[str, Value]], Said]]] = {
    # Steps
    "step_opened": lambda _: ("note", "begins", True),
    "step_begun_anew": lambda _: ("note", "begins anew: it was open when the fork was made", False),
    "step_skipped": lambda _: ("skipped", "skipped: its `when` did not hold", False),
    "step_failed": lambda d: ("failed", f"failed: {d['error_class']}: {d['message']}" + _policy(d["policy"]), False),
    "step_handled": lambda _: ("handling", "its failure was handled", False),
    "state_written": lambda d: ("note", f"wrote {_listed(d['fields'])}", True),
    "cache_hit": lambda _: ("completed", "the result of the same work was there already; nothing was done", False),
    "goto_taken": lambda d: ("note", f"goes on at `{d['target']}`" + _nth(d["times"]), False),
    "worktree_opened": lambda d: ("note", "has a git worktree of its own" + _noted(d["worktree"]), not _noted(d["worktree"])),
    "worktree_kept": lambda d: ("note", _kept(d["worktree"]), "nothing" in _kept(d["worktree"])),
    # Blocks
    "branch_chosen": lambda d: ("note", f"chose `{d['branch']}`", True),
    "branch_completed": lambda _: ("completed", "branch done", False),
    "branch_failed": lambda _: ("failed", "branch failed", False),
    "items_found": lambda d: ("running", _counted(d["count"], "item"), False),
    "item_opened": lambda _: ("note", "item begins", True),
    "item_completed": lambda _: ("completed", "item done", False),
    "item_failed": lambda _: ("failed", "item failed", False),
    "round_opened": lambda _: ("running", "another round begins", True),
    "limit_reached": lambda d: ("goal_not_met", f"stopped after {d['rounds']} rounds: the goal is not met", False),
    # Waiting
    "waiting": lambda d: ("waiting" if "signal" in d else "note", _waits(d), False),
    "signal_taken": lambda d: ("completed", f"took the signal `{d['signal']}` from {holder_name(d['by'])}", False),
    "signal_kept": lambda d: ("note", f"signal `{d['signal']}` from {holder_name(d['by'])}; no step waits for it yet, it is kept", False),
    "timer_fired": lambda d: ("note", _TIMERS.get(str(d["timer"]), f"time is up ({d['timer']})"), d["timer"] in {"backoff", "wait"}),
    # Attempts
    "attempt_failed": lambda d: ("handling", f"attempt {d['attempt']} failed: {d['error_class']}: {d['message']}", False),
    "retry_planned": lambda d: ("note", f"attempt {d['attempt']} in {screen.duration(_number(d['wait_ms']))}", False),
    "action_offered": lambda d: ("waiting", f"handed out again, attempt {d['attempt']}", False),
    "lease_lapsed": lambda d: ("handling", f"{holder_name(d['holder'])} fell silent in attempt {d['attempt']}", False),
    "outcome_unknown": lambda d: ("unknown", f"attempt {d['attempt']} was lost: nobody knows whether it was done", False),
    "outcome_resolved": lambda d: ("completed", f"{_by(d['by'])} said: {_OUTCOMES.get(str(d['outcome']), d['outcome'])}" + _after(d["note"]), False),
    "read_back_begun": lambda _: ("handling", "looks whether it was done", False),
    "read_back_failed": lambda d: ("unknown", f"could not find out: {d['message']}; a person decides", False),
    # Proof and gates
    "output_refused": lambda d: ("handling", f"the answer of attempt {d['attempt']} was refused: {_first(d['faults'])}", False),
    "verifying": lambda d: ("running", f"claimed done; Treadle looks: {_counted(d['checks'], 'check')}", False),
    "verified": lambda d: ("completed", f"proven: {_found(d['found'], ok=True)}", False),
    "verify_failed": lambda d: ("handling", f"not proven: {_found(d['found'], ok=False)}", False),
    "gate_decided": lambda d: (
        "completed" if d["approved"] else "failed",
        f"{'approved' if d['approved'] else 'rejected'} by {_listed(d['by'])}" + _after(d["note"]) + f", of {str(d['digest'])[:19]}", False),
    "gate_reopened": lambda d: ("waiting", f"what `{d['gate']}` shows is not what was approved; it is asked again", False),
    # Budgets
    "budget_spent": lambda d: ("handling", f"the budget is spent ({d['what']}): {_EXCEEDED.get(str(d['on_exceed']), d['on_exceed'])}", False),
    "budget_granted": lambda d: ("note", f"as much again was granted, {_counted(d['times'], 'time')} by now", False),
    # Ends
    "action_stopping": lambda _: ("note", "asked to stop", False),
    "action_stopped": lambda _: ("cancelled", "stopped", False),
    "action_dropped": lambda _: ("cancelled", "withdrawn", False),
    "answer_after_stop": lambda _: ("note", "an answer came after it was asked to stop; it is kept and was not used", False),
    "finally_begun": lambda d: ("handling", f"`finally` begins; it ended {_AFTER.get(str(d['after']), d['after'])}", False),
    "finally_failed": lambda d: ("failed", f"`finally` failed: {d['error_class']}: {d['message']}", False),
    "finally_cut": lambda _: ("handling", "`finally` was stopped: it took longer than 5 minutes", False),
    "undo_requested": lambda d: ("undoing", f"{holder_name(d['by'])} asked to take back what was done", False),
    "undo_begun": lambda _: ("undoing", "is taken back", False),
    "undone": lambda _: ("completed", "was taken back", False),
    "undo_failed": lambda _: ("failed", "could not be taken back", False),
    "ignored": lambda d: ("note", f"{d['event']} changed nothing", True),
}  # fmt: skip


def _noted(tree: Value) -> str:
    notes = tree.get("notes") if isinstance(tree, Mapping) else None
    return "; " + "; ".join(map(str, notes)) if isinstance(notes, list) and notes else ""


def _kept(tree: Value) -> str:
    if not isinstance(tree, Mapping) or not tree.get("commit"):
        return "changed nothing in its worktree"
    return f"changed {_counted(tree['file_count'], 'file')} in its worktree, kept as {str(tree['commit'])[:12]}"


_EXCEEDED = {"stop": "its owner is stopped", "degrade": "its owner ends with what it has", "ask": "a person is asked"}
KINDS: Final = _RUN_NOTES | _OWN_WORDS | frozenset(_WORDED)
"""The kinds of notes that there are words for."""


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


def _at_end(data: Mapping[str, Value]) -> str:
    said = {
        "done": "; what it did was taken back",
        "incomplete": "; not all could be taken back",
        "kept": "; `treadle undo` can take it back",
    }
    unread = data.get("unread_signals")
    signals = f"; signals that nobody read: {_listed(unread)}" if unread else ""
    return said.get(str(data.get("undo")), "") + signals


def _waits(data: Mapping[str, Value]) -> str:
    if "signal" in data:
        return f"waits for the signal `{data['signal']}`"
    return f"waits until {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(_number(data['until_ms']) / 1000))}"


def _found(rows: Value, *, ok: bool) -> str:
    """Say what was found, or what of it is missing."""
    listed = rows if isinstance(rows, list) else []
    said = [
        str(row.get("message") or f"check {row.get('check')}") for row in listed if isinstance(row, dict) and (row.get("ok") is True) == ok
    ]
    return (
        "; ".join(said[:3]) + (f" and {len(said) - 3} more" if len(said) > 3 else "") or "every check holds"
        if ok or said
        else "it could not be checked"
    )


def _listed(value: Value) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _counted(value: Value, what: str) -> str:
    return f"{value} {what}{'s' * (value != 1)}"


def _nth(times: Value) -> str:
    return f", for the {times}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(_number(times), 'th') } time" if times != 1 else ""


def _by(name: Value) -> str:
    return "`read_back`" if name == "read_back" else holder_name(name)


def _number(value: Value) -> int:
    return value if isinstance(value, int) else 0


def _first(faults: Value) -> str:
    return str(faults[0]) if isinstance(faults, list) and faults else "it does not fit"


def _after(note: Value) -> str:
    return f": {note}" if note else ""


def _policy(policy: Value) -> str:
    return "" if policy == "fail" else f" (the run goes on: {policy})"
