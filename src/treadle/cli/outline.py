"""The steps of a run as `show` prints them: what is open as the view has it, what is over as the course tells it.

What happened inside of a block stands below it. A long block is folded to what did not go plainly, with a count of the rest.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from rich.text import Text

from treadle.cli import live, screen, shape
from treadle.core.definition import Definition
from treadle.engine.course import Course, Visit, owner_of
from treadle.engine.timeline import Moment
from treadle.view import RunView, StepView

FOLDED_ABOVE: Final = 8
_OPEN: Final = frozenset({"running", "waiting", "handling"})


def course_of(moments: Sequence[Moment]) -> Course:
    """Give the course of a run."""
    course = Course()
    for moment in moments:
        course.add(moment)
    return course


def outlined(view: RunView, definition: Definition, course: Course, now_ms: int, *, full: bool) -> Iterator[Text]:
    """Give the steps of a run, a line each, with marks; `full` folds nothing."""
    lines = _Lines(view, definition, course, now_ms, full=full)
    shown = {step.path for step in view.steps}
    yield from lines.of_steps(view.steps, 1)
    # What is over has left the state; the file's own `finally` is then known by its course alone.
    yield from lines.of_visits([visit for visit in course.below("") if visit.path not in shown and "/" in visit.path], 1)


class _Lines:
    def __init__(self, view: RunView, definition: Definition, course: Course, now_ms: int, *, full: bool) -> None:
        self._definition, self._course, self._now_ms, self._full = definition, course, now_ms, full
        self._actions = {action.id: action for action in view.actions}
        self._waits = {wait.path: wait for wait in view.waits}
        self._below: dict[str, list[Visit]] = {}
        self._last: dict[str, Visit] = {}
        for visit in course.visits.values():
            self._below.setdefault(owner_of(visit.path), []).append(visit)
            self._last[_unvisited(visit.path)] = visit

    def of_steps(self, steps: Sequence[StepView], depth: int) -> Iterator[Text]:
        for step in steps:
            visit = self._last.get(_unvisited(step.path)) if step.status != "pending" else None
            line = Text("  " * depth)
            line.append_text(screen.mark(_word(visit) if visit is not None and step.status not in {*_OPEN, "skipped"} else step.status))
            line.append(f" {live.own_name(visit.path if visit is not None else step.path)}")
            line.append(f"  {shape.type_word(step.type)}" if step.type != "Round" else "", style="bright_black")
            line.append(live.counted(step))
            line.append(f"  {step.why}" if step.why else "", style="bright_black")
            self._now(line, step)
            if step.status in _OPEN:
                yield line
                yield from self.of_steps(step.children, depth + 1)
                continue
            if visit is not None:
                _how(line, visit)
            yield line
            yield from self.of_visits(self._below.get(visit.path, []) if visit is not None else [], depth + 1)

    def of_visits(self, visits: Sequence[Visit], depth: int) -> Iterator[Text]:
        """Give what is over, and what is below it."""
        every = list(self._with_below(visits, depth))
        kept = every if self._full or len(every) <= FOLDED_ABOVE else [row for row in every if not _is_plain(row[1])][:FOLDED_ABOVE]
        for deep, visit in kept:
            line = Text("  " * deep)
            line.append_text(screen.mark(_word(visit)))
            line.append(f" {_name(visit.path)}")
            line.append(f"  {shape.type_at(self._definition, visit.path)}", style="bright_black")
            _how(line, visit)
            yield line
        if len(kept) < len(every):
            yield Text(
                f"{'  ' * depth}· {len(every) - len(kept)} {'more ' if kept else ''}steps below (--full shows them)", style="bright_black"
            )

    def _with_below(self, visits: Sequence[Visit], depth: int) -> Iterator[tuple[int, Visit]]:
        for visit in visits:
            yield depth, visit
            yield from self._with_below(self._below.get(visit.path, []), depth + 1)

    def _now(self, line: Text, step: StepView) -> None:
        action, wait = live.open_at(step.path, self._actions), self._waits.get(step.path)
        if action is not None:
            line.append(f"  {live.doing(action)}", style=screen.STYLES["waiting"] if action.waits_for != "server" else "default")
            line.append(f"  {screen.duration(self._now_ms - action.opened_at_ms)}", style="bright_black")
        elif wait is not None:
            line.append(f"  {live.awaited(wait, self._now_ms)}", style=screen.STYLES["waiting"] if wait.signal is not None else "default")


def _how(line: Text, visit: Visit) -> None:
    """Say how a visit went, where that is not plain, and how long it took."""
    said = visit.said + (["left before it was done"] if visit.status == "cancelled" else [])
    line.append(f"  {', '.join(screen.clean(each, lines=False) for each in said)}" if said else "")
    took_ms = (visit.ended_at_ms or visit.opened_at_ms) - visit.opened_at_ms
    line.append(f"  {screen.duration(took_ms)}" if took_ms else "", style="bright_black")


def _unvisited(path: str) -> str:
    """Give the path without the number of the visit."""
    above, own = path.rpartition("/")[::2]
    return f"{above}/{own.partition('~')[0]}"


def _word(visit: Visit) -> str:
    return "handling" if visit.tolerated or (visit.items_failed and visit.status == "completed") else visit.status


def _is_plain(visit: Visit) -> bool:
    return visit.status in {"completed", "skipped"} and not visit.items_failed


def _name(path: str) -> str:
    """Give a step's id with the list it stands in: the case, the branch, the number of the round."""
    above, _, own = path.rpartition("/")
    last = above.rpartition("/")[2]
    cut = last.rfind("[") if last.endswith("]") else last.rfind(".") + 1
    return f"{last[cut:]}/{own}"
