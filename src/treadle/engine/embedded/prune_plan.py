"""Which runs may go, and what that would free: asked before anything is taken away.

A run that is not over never goes. A run goes together with the runs that its steps started, or not at all: its account names them, and an open
parent may ask a child for its end once more. A run whose history a fork shares stays for as long as the fork does, because the fork's account
names it. The run with the newest event stays (`pruning.py`).
"""

import contextlib
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import apsw
import orjson

from treadle.core.ids import is_child_run
from treadle.engine.embedded.connection import connect
from treadle.engine.embedded.errors import unavailable
from treadle.engine.embedded.queries import query
from treadle.engine.embedded.sql import Db

Reason = Literal["family", "fork", "newest"]
MOVED_WORD: Final = b'"RunMigrated"'
"""Stands in every event that names a definition which its run has no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked for; what is left out does not restrict. `keep` newest runs stay, and no more go than bring the store below `keep_bytes`."""

    ended_before_ms: int | None = None
    statuses: tuple[str, ...] = ()
    keep: int = 0
    keep_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Goer:
    """A run that would go. `bytes` are its rows', values that it shares with runs that stay not counted."""

    run: str
    workflow: str
    status: str
    revision: int
    closed_ms: int
    bytes: int
    blobs: int
    blob_bytes: int


@dataclass(slots=True, kw_only=True)
class Plan:
    """What would go, the run that ended first foremost, what stays though it was asked for and why, and how large the store is now."""

    goers: list[Goer] = field(default_factory=list[Goer])
    kept: list[tuple[str, Reason]] = field(default_factory=list[tuple[str, Reason]])
    store_bytes: int = 0

    @property
    def freed_bytes(self) -> int:
        """Say about how much smaller the store would be."""
        return sum(each.bytes + each.blob_bytes for each in self.goers)


@dataclass(frozen=True, slots=True)
class _Row:
    number: int
    run: str
    workflow: str
    status: str
    revision: int
    closed_ms: int | None
    origin: str


def plan(path: Path, wanted: Wanted) -> Plan:
    """Find what would go; reads the rows of all runs, and the events of those that are asked for. Raises StorageUnavailableError."""
    with _at_once(path) as db:
        return _Planning(db).plan(wanted)


def store_bytes(path: Path) -> int:
    """Say how large a store is, with its values. Raises StorageUnavailableError."""
    with _at_once(path) as db:
        return _store_bytes(db)


@contextlib.contextmanager
def _at_once(path: Path) -> Generator[Db]:
    """Read one moment of a store."""
    try:
        db = connect(path, "read")
        try:
            db.execute("BEGIN")
            yield db
        finally:
            db.close()
    except apsw.Error as error:
        raise unavailable(error) from error


class _Planning:
    """The runs of one store and what ties them."""

    def __init__(self, db: Db) -> None:
        self._db = db
        self._rows = {row[1]: _Row(*row) for row in db.execute(query("ended_runs"))}
        parents = {run: parent for run in self._rows if is_child_run(run) and (parent := self._parent(run)) in self._rows}
        self._family: dict[str, list[str]] = {}
        for run in self._rows:
            self._family.setdefault(_root(run, parents), []).append(run)
        self._root_of = {run: root for root, runs in self._family.items() for run in runs}
        self._forks: dict[str, list[str]] = {}
        for row in self._rows.values():
            if row.origin:
                self._forks.setdefault(row.origin, []).append(row.run)

    def plan(self, wanted: Wanted) -> Plan:
        found = Plan(store_bytes=_store_bytes(self._db))
        asked = self._asked(wanted)
        newest = self._db.execute(query("newest_run")).fetchall()
        tied = self._tied(asked, {run for (run,) in newest})
        going = [run for run in asked if run not in tied]
        found.goers = list(self._goers(going))
        if wanted.keep_bytes is not None:
            found.goers = self._first(found.goers, found.store_bytes - wanted.keep_bytes)
        found.kept = sorted((run, reason) for run, reason in tied.items() if run in set(asked))
        return found

    def _asked(self, wanted: Wanted) -> list[str]:
        """Give the ended runs that are asked for, the one that ended first foremost, families together."""
        asked: list[_Row] = []
        for row in self._rows.values():
            old = row.closed_ms is not None and (wanted.ended_before_ms is None or row.closed_ms < wanted.ended_before_ms)
            if old and (not wanted.statuses or row.status in wanted.statuses):
                asked.append(row)
        if wanted.keep:
            own = [row.run for row in asked if self._root_of[row.run] == row.run]
            newest = set(own[-wanted.keep :])
            asked = [row for row in asked if self._root_of[row.run] not in newest]
        last: dict[str, tuple[int, int]] = {}
        for row in asked:
            last[self._root_of[row.run]] = (row.closed_ms or 0, row.number)
        return [row.run for row in sorted(asked, key=lambda row: (last[self._root_of[row.run]], row.number))]

    def _tied(self, asked: Iterable[str], newest: set[str]) -> dict[str, Reason]:
        """Give those that must stay for the sake of others."""
        going, tied = set(asked), dict[str, Reason]()
        while True:
            stay: dict[str, Reason] = {}
            for run in going:
                if run in newest:
                    stay[run] = "newest"
                elif any(each not in going for each in self._family[self._root_of[run]]):
                    stay[run] = "family"
                elif any(each not in going for each in self._forks.get(run, ())):
                    stay[run] = "fork"
            if not stay:
                return tied
            tied |= stay
            going -= stay.keys()

    def _goers(self, runs: Iterable[str]) -> Iterator[Goer]:
        """Measure runs. A value counts for the last of those that use it, if all of those go."""
        used: dict[str, int] = {}
        for run in runs:
            row = self._rows[run]
            blobs, blob_bytes = 0, 0
            for digest, size_bytes, users in self._db.execute(query("run_blobs"), (run,)):
                used[digest] = used.get(digest, 0) + 1
                if used[digest] == users:
                    blobs, blob_bytes = blobs + 1, blob_bytes + size_bytes
            yield Goer(
                run=run, workflow=row.workflow, status=row.status, revision=row.revision, closed_ms=row.closed_ms or 0,
                bytes=self._bytes(run), blobs=blobs, blob_bytes=blob_bytes,
            )  # fmt: skip

    def _first(self, goers: list[Goer], wanted_bytes: int) -> list[Goer]:
        """Give so many of the first that they free what is wanted, or all; who may not go without one that comes later is left out."""
        freed_bytes = 0
        for count, goer in enumerate(goers):
            if freed_bytes >= wanted_bytes:
                part = [each.run for each in goers[:count]]
                tied = self._tied(part, set())
                found = list(self._goers(run for run in part if run not in tied)) if tied else goers[:count]
                if sum(each.bytes + each.blob_bytes for each in found) >= wanted_bytes:
                    return found
            freed_bytes += goer.bytes + goer.blob_bytes
        return goers

    def _bytes(self, run: str) -> int:
        return int(self._db.execute(query("run_bytes"), (run,)).fetchall()[0][0])

    def _store_bytes(self) -> int:
        pages, free, size = (
            int(self._db.execute(f"PRAGMA {name}").fetchall()[0][0]) for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * size + int(self._db.execute(query("blob_bytes")).fetchall()[0][0])

    def _parent(self, run: str) -> str:
        """Give the run whose step started this one; empty where its history does not say."""
        rows = self._db.execute(query("first_event"), (run,)).fetchall()
        try:
            named = orjson.loads(rows[0][0]).get("parent")
        except (IndexError, orjson.JSONDecodeError, AttributeError):  # damaged, which is doctor's affair; it is then nobody's child
            return ""
        return str(named or "").partition("/")[0]


def _store_bytes(db: Db) -> int:
    pages, free, size = (int(db.execute(f"PRAGMA {name}").fetchall()[0][0]) for name in ("page_count", "freelist_count", "page_size"))
    return (pages - free) * size + int(db.execute(query("blob_bytes")).fetchall()[0][0])


def _root(run: str, parents: dict[str, str]) -> str:
    seen = {run}
    while (above := parents.get(run)) is not None and above not in seen:
        run = above
        seen.add(run)
    return run
