"""Verifying: a run computed again from its events, and held against what is stored (design §2: a snapshot is a cache).

What is compared: that no event is missing, that the definition is the one whose digest the run names, that folding the events gives the stored
state byte for byte, and that the row by which the run is listed tells the same. The chain by hash is the store's own (`embedded/checks.py`). Reading
changes nothing.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from treadle.core.codec import digest_of, dumps
from treadle.core.errors import TreadleError
from treadle.core.state import RunState
from treadle.core.values import Json, Value
from treadle.engine.transact import begins_with, migration_in, replay
from treadle.ports import Engine, RunRow, Snapshot, StoredEvent
from treadle.view import status_word

PLACES_SHOWN_MAX: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that does not fit. `computed` is what the events say, `stored` what stands there; null for what is not a value."""

    what: str
    place: str
    message: str
    computed: Json = None
    stored: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What was found about a run; it holds where there is no difference."""

    run_id: str
    events: int
    differences: tuple[Difference, ...]


async def verify_run(engine: Engine, row: RunRow) -> Verified:
    """Compute a run again and compare. Raises RequestError `unknown_run`, and what the store says where it cannot be read."""
    snapshot, stored = await _still(engine, row.id)
    found = [*_numbers(stored), *_definition(snapshot, row)]
    folded: RunState | None = None
    if not found:
        try:
            folded = await _folded(engine, row.definition, stored)
        except TreadleError as error:
            found.append(Difference(what="events", place="", message=f"they cannot be computed again: {error.message}"))
    if folded is not None:
        found += _states(folded, snapshot.state)
        found += _row(folded, row)
    return Verified(run_id=row.id, events=len(stored), differences=tuple(found))


async def _still(engine: Engine, run_id: str) -> tuple[Snapshot, list[StoredEvent]]:
    """Give a state, and the events that led to it, although others may be carrying the run on."""
    snapshot = await engine.snapshot(run_id)
    return snapshot, [each for each in await engine.events(run_id) if each.rev <= snapshot.state.revision]


def _numbers(stored: list[StoredEvent]) -> Iterator[Difference]:
    for place, each in enumerate(stored, 1):
        if each.rev != place:
            yield Difference(what="events", place=str(place), message=f"event {place} is missing", computed=place, stored=each.rev)
            return
    if not stored:
        yield Difference(what="events", place="", message="there are none")


def _definition(snapshot: Snapshot, row: RunRow) -> Iterator[Difference]:
    digest = digest_of(snapshot.definition)
    if digest != row.definition:
        message = "the stored definition is not the one that the run names"
        yield Difference(what="definition", place="", message=message, computed=digest, stored=row.definition)


async def _folded(engine: Engine, now: str, stored: list[StoredEvent]) -> RunState:
    """Fold the events, each with the definition that the run had; what was set aside is fetched when it is asked for."""
    blobs: dict[str, Value] = {}
    history = [each.event for each in stored]
    digests = [begins_with(history, now), *(moved.to for event in history if (moved := migration_in(event)) is not None)]
    definitions = {name: await engine.definition(name) for name in digests}
    while True:
        missing: list[str] = []

        def give(digest: str, missing: list[str] = missing) -> Value:
            if digest not in blobs:
                missing.append(digest)
                raise KeyError(digest)
            return blobs[digest]

        try:
            return replay(definitions[digests[0]], None, history, give, definitions.__getitem__)
        except KeyError:
            if not missing:
                raise
        for digest in missing:
            blobs[digest] = await engine.blob(digest)


def _states(folded: RunState, state: RunState) -> Iterator[Difference]:
    computed, stored = dumps(folded), dumps(state)
    if computed == stored:
        return
    places = list(_unlike(json.loads(computed), json.loads(stored), ""))
    for place, ours, theirs in places[:PLACES_SHOWN_MAX]:
        # Who knows these can work a branch.
        hidden = place == "seed" or place.endswith(".channel")
        shown = (None, None) if hidden else (ours, theirs)
        yield Difference(what="state", place=place, message="the events give another value", computed=shown[0], stored=shown[1])
    if len(places) > PLACES_SHOWN_MAX:
        yield Difference(what="state", place="", message=f"{len(places) - PLACES_SHOWN_MAX} more places differ")
    if not places:
        yield Difference(what="state", place="", message="the same values stand in another order")


def _unlike(ours: Json, theirs: Json, place: str) -> Iterator[tuple[str, Json, Json]]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in dict.fromkeys([*ours, *theirs]):
            yield from _unlike(ours.get(key), theirs.get(key), f"{place}.{key}" if place else key)
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for index, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from _unlike(one, other, f"{place}[{index}]")
    elif ours != theirs or type(ours) is not type(theirs):
        yield place, ours, theirs


def _row(folded: RunState, row: RunRow) -> Iterator[Difference]:
    told: Mapping[str, tuple[Json, Json]] = {"status": (status_word(folded), row.status), "semantics": (folded.semantics, row.semantics)}
    # A row that was read before the run moved on is not wrong, only older.
    for place, (ours, theirs) in told.items() if row.revision == folded.revision else ():
        if ours != theirs:
            yield Difference(what="row", place=place, message="the list of runs tells another word", computed=ours, stored=theirs)
