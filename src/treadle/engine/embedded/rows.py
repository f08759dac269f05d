"""Rows as SQLite gives them, made into records: the columns are RUN_COLUMNS and ACTION_COLUMNS, in that order."""

from typing import Any

from treadle.engine.embedded.records import ActionRow, EventRow, Head, OpenAction, RunRow


def run_row(row: tuple[Any, ...]) -> RunRow:
    """Make a run of RUN_COLUMNS."""
    number, run, name, definition, semantics, status, revision, link, snap_rev, snap_bytes, tail_bytes, *rest = row
    now_ms, created_ms, updated_ms, next_due_ms, closed_ms, title, words, started_by, directory, branch, forked_from = rest
    return RunRow(
        number=number,
        id=run,
        name=name,
        definition=definition,
        semantics=semantics,
        status=status,
        head=Head(revision=revision, link=link, snap_rev=snap_rev, snap_bytes=snap_bytes, tail_bytes=tail_bytes),
        now_ms=now_ms,
        created_ms=created_ms,
        updated_ms=updated_ms,
        next_due_ms=next_due_ms,
        closed_ms=closed_ms,
        title=title,
        words=words,
        started_by=started_by,
        directory=directory,
        branch=branch,
        forked_from=forked_from,
    )


def action_row(row: tuple[Any, ...]) -> ActionRow:
    """Make an action of ACTION_COLUMNS."""
    action, status, kind, performer, opened_ms, channel, attempt, holder, lease_until_ms, due_ms, params = row
    return ActionRow(
        id=action,
        status=status,
        kind=kind,
        performer=performer,
        opened_ms=opened_ms,
        channel=channel,
        attempt=attempt,
        holder=holder,
        lease_until_ms=lease_until_ms,
        due_ms=due_ms,
        params=params,
    )


def open_action(row: tuple[Any, ...]) -> OpenAction:
    """Make an action with its run of `run` and ACTION_COLUMNS."""
    return OpenAction(run=row[0], action=action_row(row[1:]))


def event_row(row: tuple[Any, ...]) -> EventRow:
    """Make an event of seq, run, rev, body."""
    seq, run, rev, body = row
    return EventRow(seq=seq, run=run, rev=rev, body=body)
