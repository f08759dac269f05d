"""The course of a run: how each visit of a step went, told from the notes of its timeline.

The view shows what is open; what has ended leaves the state, and only the history still knows which case was chosen, how many rounds a loop made,
which branch won, how often something was tried. Nothing here is stored. A `Course` is fed moment by moment, so that whoever follows a run
can tell a step's course the instant it ends.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from treadle.core.commands import Note
from treadle.core.gates import REQUIRES
from treadle.core.ids import is_under
from treadle.core.values import Value
from treadle.engine.timeline import Moment

Word = Literal["running", "completed", "skipped", "failed", "cancelled"]
MOST_NAMED: Final = 4


@dataclass(slots=True, kw_only=True)
class Visit:
    """One visit of a step. `cancelled` is what was left before it was done; `tolerated` tells that the run went on after its failure."""

    path: str
    opened_at_ms: int
    status: Word = "running"
    ended_at_ms: int | None = None
    attempts: int = 0
    refused: int = 0
    rounds: int = 0
    items: int | None = None
    items_failed: int = 0
    chosen: str = ""
    branches: dict[str, bool | None] = field(default_factory=dict[str, bool | None])
    tolerated: bool = False
    claimed: bool = False
    failure: str = ""
    more: list[str] = field(default_factory=list[str])

    @property
    def said(self) -> list[str]:
        """Say in few words each what is not plain from its status."""
        said = [self.failure] if self.failure else []
        said += [f"chose `{self.chosen}`"] if self.chosen else []
        said += [_counted(self.rounds, "round")] if self.rounds else []
        if self.items is not None:
            said += [_counted(self.items, "item") + (f", {self.items_failed} failed" if self.items_failed else "")]
        said += [_counted(self.attempts, "attempt")] if self.attempts > 1 else []
        said += [f"{_counted(self.refused, 'answer')} refused"] if self.refused else []
        said += [f"won by {_named(won)}"] if (won := self._winners()) else []
        said += ["only claimed"] if self.claimed and self.status == "completed" else []
        return said + self.more

    def _winners(self) -> list[str]:
        """Name the branches that were enough; none where every branch was waited for."""
        left = self.status == "completed" and None in self.branches.values()
        return [name for name, ended in self.branches.items() if ended] if left else []


class Course:
    """What is known of every visit, in the order in which they began."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.visits: dict[str, Visit] = {}
        self._open: dict[str, Visit] = {}

    def add(self, moment: Moment) -> None:
        """Take in what followed from one event."""
        for note in moment.notes:
            self._take(note, moment.at_ms)

    def below(self, path: str) -> Iterator[Visit]:
        """Give the visits that stand directly below a step, or below the run (`""`)."""
        return (visit for visit in self.visits.values() if owner_of(visit.path) == path)

    def _take(self, note: Note, at_ms: int) -> None:
        path = note.path
        if note.kind in {"step_opened", "step_begun_anew"}:
            self.visits[path] = self._open[path] = Visit(path=path, opened_at_ms=at_ms)
            self._branch(path, ended=None)
        elif note.kind in _ENDS:
            self._end(note, at_ms)
        elif note.kind == "run_ended":
            self._leave("", at_ms)
        elif note.kind in {"action_stopped", "action_dropped"}:
            visit = self._open.get(path.removesuffix(REQUIRES))
            if visit is not None:
                visit.status, visit.ended_at_ms = "cancelled", at_ms
        elif note.kind in {"branch_completed", "branch_failed"}:
            self._branch(path + "/", ended=note.kind == "branch_completed")
        elif note.kind in {"item_failed", "round_opened"}:
            visit = self.visits.get(path.rpartition("[")[0])
            if visit is not None and note.kind == "item_failed":
                visit.items_failed += 1
            elif visit is not None:
                visit.rounds += 1
        elif (visit := self.visits.get(path.removesuffix(REQUIRES))) is not None:
            if note.kind == "action_offered":
                visit.status, visit.ended_at_ms = "running", None
                _attempt(visit, note.data)
            elif (tell := _TELLS.get(note.kind)) is not None:
                tell(visit, note.data)

    def _end(self, note: Note, at_ms: int) -> None:
        visit = self.visits.get(note.path)
        if visit is None:
            return
        visit.status, visit.ended_at_ms = _ENDS[note.kind], at_ms
        if note.kind == "step_failed":
            visit.tolerated = note.data["policy"] != "fail"
            visit.failure = f"{note.data['error_class']}{_POLICIES.get(str(note.data['policy']), '')}"
        self._leave(note.path, at_ms)

    def _leave(self, path: str, at_ms: int) -> None:
        """End what is open below something that is over."""
        for name in [name for name in self._open if is_under(name, path)]:
            visit = self._open.pop(name)
            if visit.status == "running":
                visit.status, visit.ended_at_ms = "cancelled", at_ms

    def _branch(self, path: str, *, ended: bool | None) -> None:
        """Remember that a branch of a step was begun, or how it ended; what has one list alone has no branches."""
        above, suffix = path.rpartition("/")[0].rpartition(".")[::2]
        owner = self.visits.get(above)
        if owner is not None and not owner.chosen and suffix not in _OWN_LISTS and (ended is not None or suffix not in owner.branches):
            owner.branches[suffix] = ended


def type_word(name: str) -> str:
    """Give the language's word for a type of step."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def owner_of(path: str) -> str:
    """Give the step that a step stands below: a block, or what it is `undo`, `finally` or `on_error` of; empty for the run."""
    above = path.rpartition("/")[0]
    return above[: above.rfind("[")] if above.endswith("]") else above.rpartition(".")[0] if "." in above.rpartition("/")[2] else ""


def _attempt(visit: Visit, data: Mapping[str, Value]) -> None:
    number = data["attempt"]
    visit.attempts = max(visit.attempts, number if isinstance(number, int) else 0)


def _refused(visit: Visit, _: Mapping[str, Value]) -> None:
    visit.refused += 1


def _items(visit: Visit, data: Mapping[str, Value]) -> None:
    count = data["count"]
    visit.items = count if isinstance(count, int) else None


def _handed_out(visit: Visit, data: Mapping[str, Value]) -> None:
    visit.claimed = data["action_kind"] == "delegate"


def _proven(visit: Visit, _: Mapping[str, Value]) -> None:
    visit.claimed = False
    visit.more.append("proven")


def _chosen(visit: Visit, data: Mapping[str, Value]) -> None:
    visit.chosen = str(data["branch"])


def _says(text: Callable[[Mapping[str, Value]], str]) -> Callable[[Visit, Mapping[str, Value]], None]:
    def tell(visit: Visit, data: Mapping[str, Value]) -> None:
        said = text(data)
        visit.more += [said] if said not in visit.more else []

    return tell


_ENDS: Final[dict[str, Word]] = {"step_completed": "completed", "step_skipped": "skipped", "step_failed": "failed"}
_POLICIES: Final = {
    "continue": ", and the run went on",
    "fallback": ", and its fallback was taken",
    "do": ", and `on_error` was carried out",
}
_OWN_LISTS: Final = frozenset({"on_error", "on_reject", "finally", "undo", "read_back", "verify"})
_OUTCOMES: Final = {"done": "it was done", "not_done": "it was not done", "failed": "it failed"}
_TELLS: Final[dict[str, Callable[[Visit, Mapping[str, Value]], None]]] = {
    "branch_chosen": _chosen,
    "items_found": _items,
    "action_claimed": _attempt,
    "attempt_failed": _attempt,
    "output_refused": _refused,
    "cache_hit": _says(lambda _: "from the cache"),
    "goto_taken": _says(lambda d: f"went on at `{d['target']}`"),
    "limit_reached": _says(lambda _: "stopped at its limit"),
    "signal_taken": _says(lambda d: f"took `{d['signal']}` from {d['by']}"),
    "action_opened": _handed_out,
    "verified": _proven,
    "gate_decided": _says(lambda d: f"{'approved' if d['approved'] else 'rejected'} by {_people(d['by'])}"),
    "gate_reopened": _says(lambda _: "asked again: what it shows had changed"),
    "outcome_resolved": _says(lambda d: f"{d['by']} said: {_OUTCOMES.get(str(d['outcome']), d['outcome'])}"),
    "budget_spent": _says(lambda _: "budget spent"),
    "finally_failed": _says(lambda _: "its `finally` failed"),
    "undone": _says(lambda _: "taken back"),
    "undo_failed": _says(lambda _: "could not be taken back"),
}  # fmt: skip


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _named(names: list[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:MOST_NAMED])
    return shown + (f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else "")


def _people(by: Value) -> str:
    return ", ".join(map(str, by)) if isinstance(by, list) else str(by)
