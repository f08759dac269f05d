"""Reading: rows of runs, events, open actions, requests and definitions, beside the writer.

A reader has a connection of its own and never takes the turnstile: the log gives it a consistent view while others
write. Each call reads one view; calls that belong together stand inside `view()`. All calls are synchronous and take
microseconds, except those that say otherwise. One reader belongs to one thread at a time.
"""

import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import apsw

from treadle.engine.embedded.errors import unavailable
from treadle.engine.embedded.queries import GONE, RUN_COLUMNS, query
from treadle.engine.embedded.records import ActionRow, BlobRow, EventRow, OpenAction, RequestRow, RunRow
from treadle.engine.embedded.rows import action_row, event_row, open_action, run_row
from treadle.engine.embedded.sql import Db

_WORD: Final = re.compile(r"\w+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One event that was stored, by any process."""

    seq: int
    run: str
    rev: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What is needed to have a run in memory: its row, its snapshot (rev and body) if any, the events after it, open actions."""

    row: RunRow
    snapshot: tuple[int, bytes] | None
    tail: tuple[EventRow, ...]
    actions: tuple[ActionRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Which runs to list; what is left out does not restrict. `words` are found whole or by their beginnings."""

    words: str = ""
    statuses: tuple[str, ...] = ()
    open_only: bool = False
    name: str = ""
    directory: str = ""
    branch: str = ""
    forked_from: str = ""
    before: int | None = None


class Reader:
    """Reads a store through one connection."""

    def __init__(self, db: Db) -> None:
        """Take over a connection made by `connect(path, "read")`."""
        self._db = db

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    @contextmanager
    def view(self) -> Generator[None]:
        """Let all reads inside see one moment of the store. Short: the log cannot be cut meanwhile."""
        self._rows("BEGIN")
        try:
            yield
        finally:
            self._rows("COMMIT")

    def run(self, run: str) -> RunRow | None:
        """Give a run's row."""
        rows = self._rows(query("run"), (run,))
        return run_row(rows[0]) if rows else None

    def load(self, run: str) -> Loaded | None:
        """Give all that makes a run's state, read in one view."""
        with self.view():
            row = self.run(run)
            if row is None:
                return None
            snapshot = self._rows(query("snapshot"), (run,))
            tail = self.events(run, after_rev=snapshot[0][0] if snapshot else 0)
            return Loaded(row=row, snapshot=snapshot[0] if snapshot else None, tail=tuple(tail), actions=tuple(self.actions(run)))

    def events(self, run: str, *, after_rev: int = 0, limit: int = -1) -> list[EventRow]:
        """Give a run's events in order; all of them if `limit` is negative."""
        return [event_row(row) for row in self._rows(query("events"), (run, after_rev, limit))]

    def links(self, run: str) -> Iterator[tuple[int, bytes, bytes]]:
        """Walk (rev, prev, body) of a run's events, for `chain.first_break`."""
        yield from self._db.execute(query("links"), (run,))

    def actions(self, run: str) -> list[ActionRow]:
        """Give a run's open actions in order of opening."""
        return [action_row(row) for row in self._rows(query("actions"), (run,))]

    def action(self, run: str, action: str) -> ActionRow | None:
        """Give one open action."""
        rows = self._rows(query("action"), (run, action))
        return action_row(rows[0]) if rows else None

    def leased(self, *, limit: int = 1000) -> list[OpenAction]:
        """List who holds what, the lease that ends first foremost."""
        return [open_action(row) for row in self._rows(query("leased"), (limit,))]

    def lapsed(self, now_ms: int, *, limit: int = 1000) -> list[OpenAction]:
        """List open actions whose lease has run out."""
        return [open_action(row) for row in self._rows(query("lapsed"), (now_ms, limit))]

    def served(self, *, limit: int = 1000) -> list[OpenAction]:
        """List open actions that the server performs, oldest first."""
        return [open_action(row) for row in self._rows(query("served"), (limit,))]

    def due_actions(self, now_ms: int, *, limit: int = 1000) -> list[OpenAction]:
        """List open actions that are due."""
        return [open_action(row) for row in self._rows(query("due_actions"), (now_ms, limit))]

    def due_runs(self, now_ms: int, *, limit: int = 1000) -> list[tuple[str, int]]:
        """List (run, due_ms) of runs whose next timer is due, in order."""
        return [(run, due_ms) for run, due_ms in self._rows(query("due_runs"), (now_ms, limit))]

    def next_due_ms(self) -> int | None:
        """Tell when the next timer of any run is due."""
        return self._rows(query("next_due"))[0][0]

    def next_lapse_ms(self) -> int | None:
        """Tell when the next lease of any action runs out."""
        return self._rows(query("next_lapse"))[0][0]

    def runs(self, wanted: RunFilter | None = None, *, limit: int = 50) -> list[RunRow]:
        """List runs, newest first; the next page is `before` the last one's `number`."""
        text, values = _listing(wanted or RunFilter())
        return [run_row(row) for row in self._rows(text, (*values, limit))]

    def run_ids(self, *, after: int = 0, limit: int = 1000) -> list[tuple[int, str]]:
        """List (number, id) of all runs in order of starting."""
        return [(number, run) for number, run in self._rows(query("run_ids"), (after, limit))]

    def counts(self) -> dict[str, int]:
        """Count runs by status. Reads every run's row: milliseconds per 10,000 runs."""
        return dict(self._rows(query("counts")))

    def request(self, key: str) -> RequestRow | None:
        """Give the stored answer to a request."""
        rows = self._rows(query("request"), (key,))
        if not rows:
            return None
        found, digest, reply, created_ms, run = rows[0]
        return RequestRow(key=found, digest=digest, reply=reply, created_ms=created_ms, run=run)

    def definition(self, digest: str) -> bytes | None:
        """Give a definition's body."""
        rows = self._rows(query("definition"), (digest,))
        return rows[0][0] if rows else None

    def changes(self, after_seq: int, *, limit: int = 1000) -> list[Change]:
        """List what was stored after `after_seq`, in order of commits."""
        return [Change(seq=seq, run=run, rev=rev) for seq, run, rev in self._rows(query("changes"), (after_seq, limit))]

    def store_id(self) -> str:
        """Give the id of the store."""
        return self._rows(query("meta"))[0][0]

    def last_seq(self) -> int:
        """Give the `seq` of the newest event, 0 if there is none."""
        return self._rows(query("last_seq"))[0][0]

    def latest_ms(self) -> int | None:
        """Tell when the newest change of a run was stored, by the clock of then. Reads every run's row."""
        return self._rows(query("latest_ms"))[0][0]

    def data_version(self) -> int:
        """Give a number that differs from the last answer if any other connection has committed since."""
        return self._rows("PRAGMA data_version")[0][0]

    def blobs(self, *, after: str = "", limit: int = 1000) -> list[BlobRow]:
        """List the values that commits have named, by digest."""
        rows = self._rows(query("blobs"), (after, limit))
        return [BlobRow(digest=digest, size_bytes=size_bytes, created_ms=created_ms) for digest, size_bytes, created_ms in rows]

    def users_of_blob(self, digest: str) -> list[str]:
        """List the runs that refer to a value."""
        return [run for (run,) in self._rows(query("users_of_blob"), (digest,))]

    def _rows(self, text: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(text, values).fetchall()
        except apsw.Error as error:
            raise unavailable(error) from error


def _listing(wanted: RunFilter) -> tuple[str, tuple[Any, ...]]:
    source, order = "run", "number"
    where = ["status <> ?"]
    values: list[Any] = [GONE]

    def restrict(condition: str, *given: Any) -> None:
        where.append(condition)
        values.extend(given)

    if words := _WORD.findall(wanted.words):
        # The index gives its rows in order, so the first page of a common word does not read all others.
        source, order = "run_text JOIN run ON run.number = run_text.rowid", "run_text.rowid"
        restrict("run_text MATCH ?", " ".join(f'"{word}"*' for word in words))
    elif wanted.words:
        restrict("FALSE")
    if wanted.statuses:
        restrict(f"status IN ({', '.join('?' * len(wanted.statuses))})", *wanted.statuses)
    if wanted.open_only:
        restrict("closed_ms IS NULL")
    for column in ("name", "directory", "branch", "forked_from"):
        if value := getattr(wanted, column):
            restrict(f"{column} = ?", value)
    if wanted.before is not None:
        restrict(f"{order} < ?", wanted.before)
    text = f"SELECT {RUN_COLUMNS} FROM {source} WHERE {' AND '.join(where)} ORDER BY {order} DESC LIMIT ?"  # noqa: S608 (only fixed names)
    return text, tuple(values)
