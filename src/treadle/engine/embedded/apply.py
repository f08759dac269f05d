"""Carrying out one unit (a `Write` or a `Renewal`) within an open transaction.

A step is four statements: the run's row with its fence, one event, one action closed, one opened. The fence comes first,
so that a miss has nothing to undo. Whatever does not end in `Committed` or `Renewed` must be undone by the caller, who
owns the savepoint: some rows may be written already.
"""

from functools import lru_cache
from typing import Final

from treadle.engine.embedded import faults
from treadle.engine.embedded.chain import first_link, next_link
from treadle.engine.embedded.errors import WriteRejectedError
from treadle.engine.embedded.queries import query
from treadle.engine.embedded.records import (
    ActionFields,
    Committed,
    Head,
    NewRun,
    Outcome,
    Refused,
    Renewal,
    Renewed,
    Repeated,
    RequestRow,
    RunFields,
    Stale,
    Unit,
    Write,
)
from treadle.engine.embedded.rows import event_row, run_row
from treadle.engine.embedded.sql import Db

_START_RUN: Final = query("start_run")
_INDEX_RUN: Final = query("index_run")
_ADD_EVENT: Final = query("add_event")
_KEEP_SNAPSHOT: Final = query("keep_snapshot")
_OPEN_ACTION: Final = query("open_action")
_CLOSE_ACTION: Final = query("close_action")
_RENEW_LEASE: Final = query("renew_lease")
_ADD_REQUEST: Final = query("add_request")
_RUN_COLUMNS: Final = frozenset(RunFields.__annotations__)
_ACTION_COLUMNS: Final = frozenset(ActionFields.__annotations__)


def apply(db: Db, unit: Unit) -> Outcome:
    """Carry out a unit, with its `redo` if the fence misses. Raises WriteRejectedError, apsw.Error, or what `redo` raises."""
    if isinstance(unit, Renewal):
        db.execute(_RENEW_LEASE, (unit.lease_until_ms, unit.run, unit.action, unit.attempt, unit.holder, unit.now_ms))
        return Renewed(held=db.changes() == 1)
    outcome = _write(db, unit)
    if not isinstance(outcome, Stale) or unit.redo is None:
        return outcome
    again = unit.redo(outcome)
    if isinstance(again, Refused):
        return again
    outcome = _write(db, again)
    if isinstance(outcome, Stale):
        raise _rejected(unit.run, "its redo was not built on the newer run it was given")
    return outcome


def _write(db: Db, write: Write) -> Outcome:
    for each in write.definitions:  # before the run, which refers to them
        db.execute(query("add_definition"), (each.digest, each.body))
    head, events = _chained(write)
    if write.expected is not None and write.start is not None:
        raise _rejected(write.run, "it both starts a run and expects one")
    if write.expected is not None:
        _move_run(db, write, write.expected, head)
    elif write.start is not None:
        _start_run(db, write.run, write.start, head)
    else:
        raise _rejected(write.run, "it neither starts a run nor says which revision it expects")
    if db.changes() != 1:
        answered = (_answered(db, request.key) for request in write.requests)
        return next(filter(None, answered), None) or _stale(db, write)
    if write.start is not None:
        _index_run(db, write.run, write.start)
    for request in write.requests:
        db.execute(_ADD_REQUEST, (request.key, request.digest, request.reply, request.created_ms, request.run or write.run))
        if db.changes() != 1:
            return _answered(db, request.key) or _stale(db, write)
    for event in events:
        db.execute(_ADD_EVENT, event)
    seq = db.last_insert_rowid() if events else 0
    faults.point("commit.event")
    _change_actions(db, write)
    if write.snapshot is not None:
        db.execute(_KEEP_SNAPSHOT, (write.run, head.revision, write.snapshot))
    for blob in write.blobs:
        db.execute(query("add_blob"), (blob.digest, blob.size_bytes, blob.created_ms))
        db.execute(query("use_blob"), (blob.digest, write.run))
    return Committed(head=head, seq=seq)


def _chained(write: Write) -> tuple[Head, list[tuple[str, int, bytes, bytes]]]:
    """Give the run's head after the write, and the rows (run, rev, prev, body) of its events."""
    before = write.expected or Head(revision=0, link=first_link(write.run))
    run, revision, link, tail_bytes = write.run, before.revision, before.link, before.tail_bytes
    rows: list[tuple[str, int, bytes, bytes]] = []
    for body in write.events:
        revision += 1
        rows.append((run, revision, link, body))
        link = next_link(link, revision, body)
        tail_bytes += len(body)
    if write.snapshot is not None:
        return Head(revision=revision, link=link, snap_rev=revision, snap_bytes=len(write.snapshot)), rows
    snap_rev, snap_bytes = before.snap_rev, before.snap_bytes
    return Head(revision=revision, link=link, snap_rev=snap_rev, snap_bytes=snap_bytes, tail_bytes=tail_bytes), rows


def _move_run(db: Db, write: Write, expected: Head, head: Head) -> None:
    fields = write.fields or {}
    values = (
        head.revision,
        head.link,
        head.tail_bytes,
        head.snap_rev,
        head.snap_bytes,
        *fields.values(),
        write.run,
        expected.revision,
    )
    db.execute(_run_update(tuple(fields)), values)


def _start_run(db: Db, run: str, new: NewRun, head: Head) -> None:
    values = (
        *(run, new.name, new.definition, new.semantics, new.status),
        *(head.revision, head.link, head.snap_rev, head.snap_bytes, head.tail_bytes),
        *(new.now_ms, new.created_ms, new.created_ms, new.next_due_ms, new.closed_ms),
        *(new.title, new.words, new.started_by, new.directory, new.branch, new.forked_from),
    )
    db.execute(_START_RUN, values)


def _index_run(db: Db, run: str, new: NewRun) -> None:
    text = f"{run} {new.name} {new.title} {new.words} {new.branch} {new.directory}"
    db.execute(_INDEX_RUN, (db.last_insert_rowid(), text))
    if new.forked_from:
        if not db.execute(query("run"), (new.forked_from,)).fetchall():
            raise _rejected(run, f"{new.forked_from}, whose history it shares, is not there any more")
        db.execute(query("share_blobs"), (run, new.forked_from))


def _change_actions(db: Db, write: Write) -> None:
    for action in write.closed:
        db.execute(_CLOSE_ACTION, (write.run, action))
        _one_changed(db, write.run, action)
    for change in write.changed:
        fields = change.fields
        db.execute(_action_update(tuple(fields)), (*fields.values(), write.run, change.id))
        _one_changed(db, write.run, change.id)
    for row in write.opened:
        values = (
            *(write.run, row.id, row.status, row.kind, row.performer, row.opened_ms, row.channel, row.attempt),
            *(row.holder, row.lease_until_ms, row.due_ms, row.params),
        )
        db.execute(_OPEN_ACTION, values)


def _one_changed(db: Db, run: str, action: str) -> None:
    if db.changes() != 1:
        raise _rejected(run, f"its action {action} is not open")


def _answered(db: Db, key: str) -> Repeated | None:
    rows = db.execute(query("request"), (key,)).fetchall()
    if not rows:
        return None
    found_key, digest, reply, created_ms, run = rows[0]
    return Repeated(request=RequestRow(key=found_key, digest=digest, reply=reply, created_ms=created_ms, run=run))


def _stale(db: Db, write: Write) -> Stale:
    rows = db.execute(query("run"), (write.run,)).fetchall()
    if not rows:
        raise _rejected(write.run, "there is no such run")
    since = 0 if write.expected is None else write.expected.revision
    found = db.execute(query("events"), (write.run, since, -1)).fetchall()
    return Stale(row=run_row(rows[0]), events=tuple(map(event_row, found)))


def _rejected(run: str, why: str) -> WriteRejectedError:
    return WriteRejectedError(
        f"A write to run {run} was rejected: {why}. Nothing of it was stored.",
        hint="This is a bug of Treadle: report it.",
    )


def _checked(columns: tuple[str, ...], allowed: frozenset[str]) -> str:
    unknown = set(columns) - allowed
    if unknown:
        raise ValueError(f"no such column: {', '.join(sorted(unknown))}")
    return ", ".join(f"{column} = ?" for column in columns)


@lru_cache(maxsize=256)
def _run_update(columns: tuple[str, ...]) -> str:
    more = _checked(columns, _RUN_COLUMNS)
    kept = "revision = ?, head = ?, tail_bytes = ?, snap_rev = ?, snap_bytes = ?"
    return f"UPDATE run SET {kept}{', ' if more else ''}{more} WHERE id = ? AND revision = ?"  # noqa: S608 (names are checked above)


@lru_cache(maxsize=256)
def _action_update(columns: tuple[str, ...]) -> str:
    return f"UPDATE action SET {_checked(columns, _ACTION_COLUMNS)} WHERE run = ? AND id = ?"  # noqa: S608 (names are checked above)
