"""Forking: what a fork of a run from a step would share, and what it would do again (ruling 31).

The run's events are folded once more. The point of a step is the event that first opened it: what stands before it is shared, and that event itself is
absorbed anew by the fork, up to the step. Nothing is changed by looking; `Service.fork` makes the run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from treadle.core.definition import EFFECTS, Definition
from treadle.core.errors import RequestError
from treadle.core.events import Event, RunStarted
from treadle.core.ids import address_of
from treadle.core.index import FINALLY
from treadle.core.nearest import nearest
from treadle.core.values import Json
from treadle.engine.receipts import Receipt, receipts
from treadle.engine.timeline import Moment, Timeline
from treadle.engine.transact import begins_with, migration_in
from treadle.ports import Engine, RunMeta

_SHOWN_MAX = 12
_NO_PLACE = {
    ".undo": "it takes back what the run did; a fork takes back only what it does itself",
    ".read_back": "it finds out what became of an attempt of this run",
    FINALLY: "the run was ending there",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A visit of a step, and the revision whose event opened it."""

    path: str
    type: str
    rev: int
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """Something that the run did, or may have done, after the point: the fork will do it again where it comes by. `undo` tells whether it can be
    taken back by its own steps."""

    receipt: Receipt
    undo: bool

    @property
    def unknown(self) -> bool:
        """Tell whether nobody knows if it was done."""
        return self.receipt.standing == "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Forking:
    """A run, looked at in order to fork it. `first` is the definition that it began with, `moved` those it was moved to, by revision."""

    run_id: str
    definition: Definition
    meta: RunMeta
    events: tuple[Event, ...]
    moments: tuple[Moment, ...]
    points: Mapping[str, Point]
    first: Definition
    moved: Mapping[int, Definition]

    def definition_at(self, point: Point) -> Definition:
        """Give the definition that the run had at a point; a fork begins with that."""
        return next((self.moved[rev] for rev in sorted(self.moved, reverse=True) if rev <= point.rev), self.first)

    @property
    def inputs(self) -> dict[str, Json]:
        """Give the inputs that the first of the runs was started with."""
        first = self.moments[0].event
        return first.inputs if isinstance(first, RunStarted) else {}

    def point(self, named: str) -> Point:
        """Find a visit by its path, or by the id of a step: then its last visit. Raises RequestError `no_such_step`, `ambiguous_step`, `no_fork_point`."""
        self._refuse_place(named)
        if named in self.points:
            return self.points[named]
        found = [point for path, point in self.points.items() if _id_of(path) == named]
        if len({_place(point.path) for point in found}) > 1:
            paths = ", ".join(point.path for point in found[:_SHOWN_MAX])
            raise RequestError(f"`{named}` could be: {paths}", code="ambiguous_step", hint="name one of them by its whole path")
        if found:
            return found[-1]
        raise self._unknown(named)

    def _refuse_place(self, named: str) -> None:
        for part, why in _NO_PLACE.items():
            if f"{part}/" in named and (part != FINALLY or named.startswith(f"{part}/")):
                raise RequestError(f"a fork cannot begin at `{named}`: {why}", code="no_fork_point", hint="fork from the step before it")

    def _unknown(self, named: str) -> RequestError:
        ids = {_id_of(path) for path in self.points}
        steps = self.definition.index.steps
        is_step = any(at == address_of(named) or _id_of(at) == named for at in steps)
        meant = nearest(named, dict.fromkeys([*self.points, *ids]))
        listed = ", ".join(list(self.points)[:_SHOWN_MAX]) + (" …" if len(self.points) > _SHOWN_MAX else "")
        hint = f"did you mean `{meant}`?" if meant is not None and not is_step else f"it can be forked from: {listed or 'nothing yet'}"
        said = f"{self.run_id} has not reached `{named}`" if is_step else f"there is no step `{named}` in {self.run_id}"
        return RequestError(said, code="no_such_step", hint=hint)

    def shared(self, point: Point) -> tuple[Event, ...]:
        """Give the history before a point."""
        return self.events[: point.rev - 1]

    def event(self, point: Point) -> Event:
        """Give the event that opened it."""
        return self.events[point.rev - 1]

    def again(self, point: Point) -> tuple[Again, ...]:
        """Give the effects of `write` and above that were begun and are not shared, in the order in which they were handed out.

        What the event at the point ends is shared too; what it opens cannot have ended with it.
        """
        until = (moment for moment in self.moments if moment.rev <= point.rev)
        before = {each.action for each in receipts(self.run_id, until) if each.standing not in {"open", "unknown"}}
        found = receipts(self.run_id, self.moments)
        return tuple(self._again(each) for each in found if each.action not in before and each.begun and _has_effect(each))

    def _again(self, receipt: Receipt) -> Again:
        step = self.definition.index.steps.get(address_of(receipt.action))
        return Again(receipt=receipt, undo=bool(step is not None and step.undo))


async def look(engine: Engine, run_id: str) -> Forking:
    """Look at a run. Raises RequestError `unknown_run`."""
    snapshot, timeline = await engine.snapshot(run_id), Timeline(engine, run_id)
    moments = tuple(await timeline.more())
    events = tuple(stored.event for stored in await engine.events(run_id))[: timeline.rev]
    digest = begins_with(events, "")
    first = await engine.definition(digest) if digest else snapshot.definition
    moved = {rev: await engine.definition(each.to) for rev, event in enumerate(events, 1) if (each := migration_in(event)) is not None}
    points = _points(first, moved, moments)
    return Forking(
        run_id=run_id, definition=snapshot.definition, meta=snapshot.meta, events=events, moments=moments, points=points, first=first, moved=moved
    )  # fmt: skip


def _points(definition: Definition, moved: Mapping[int, Definition], moments: Sequence[Moment]) -> dict[str, Point]:
    found: dict[str, Point] = {}
    for moment in moments:
        definition = moved.get(moment.rev, definition)
        for note in moment.notes:
            if note.kind == "step_opened" and note.path not in found and not _tidies_up(note.path):
                step = definition.index.steps[address_of(note.path)]
                found[note.path] = Point(path=note.path, type=type(step.spec).__name__, rev=moment.rev, at_ms=moment.at_ms)
    return found


def _tidies_up(path: str) -> bool:
    return path.startswith(f"{FINALLY}/") or ".undo/" in path or ".read_back/" in path


def _has_effect(receipt: Receipt) -> bool:
    return EFFECTS.index(receipt.effect) >= EFFECTS.index("write")


def _id_of(path: str) -> str:
    return path.rpartition("/")[2].partition("~")[0]


def _place(path: str) -> str:
    return path.rpartition("~")[0] if "~" in path.rpartition("/")[2] else path
