"""`treadle prune`: show which ended runs would go, ask, and take them away while other processes work."""

import contextlib
import re
import time
from dataclasses import asdict
from typing import Any, Final

import click
from rich.text import Text

from treadle.actions.git import GitFailedError
from treadle.cli import screen
from treadle.cli.asking import confirm
from treadle.cli.bar import Bar
from treadle.cli.frame import Frame, command
from treadle.cli.shape import instant
from treadle.compose import OpenProject
from treadle.core.durations import DurationError, parse_duration_ms
from treadle.core.errors import RequestError
from treadle.core.state import ENDED
from treadle.engine.embedded.prune_plan import MOVED_WORD, Plan, Reason, Wanted, plan, store_bytes
from treadle.engine.embedded.pruning import Pruned, Pruner
from treadle.engine.embedded.storage import EmbeddedStorage, as_request_errors
from treadle.engine.embedded.store import Store

SHOWN: Final = 20
_SIZE: Final = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)(B|KB|MB|GB|KiB|MiB|GiB)", re.IGNORECASE)
_UNITS: Final = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}
_WHY: Final[dict[Reason, str]] = {
    "family": "go only together with the run that started them, or that they started, and that one stays",
    "fork": "are the origin of a fork that stays",
    "newest": "has the newest event of the store, which always stays",
}


@command(
    examples="""\
treadle prune --older-than 30d --dry-run
treadle prune --older-than 90d --status completed,cancelled
treadle prune --keep 200 --yes
treadle prune --keep-size 500MB --yes --json""",
    keys=(
        "store_bytes, freed_bytes, refs (of worktrees), runs [{id, workflow, status, ended_at, bytes, blobs, blob_bytes}],\n"
        "kept [{id, reason (family, fork, newest)}], done (null with --dry-run) {runs, events, definitions, blobs, blob_bytes, young (values for "
        "another time), left [run that was carried on meanwhile], troubles, store_bytes}"
    ),
)
@click.option("--older-than", metavar="TIME", help="Runs that ended so long ago: 12h, 30d.")
@click.option("--status", "statuses", metavar="WORDS", help=f"Only runs of these, with commas between: {', '.join(sorted(ENDED))}.")
@click.option("--keep", type=click.IntRange(min=1), metavar="N", help="Leave the N that ended last.")
@click.option("--keep-size", metavar="SIZE", help="No more than bring the store below this size, oldest first: 500MB, 2GiB.")
@click.option("--dry-run", is_flag=True, help="Only show what would go.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
async def prune(
    frame: Frame, *, older_than: str | None, statuses: str | None, keep: int | None, keep_size: str | None, dry_run: bool, yes: bool
) -> int:  # fmt: skip
    """Take ended runs away for good: history, values, answers to requests, definitions, and what git keeps of their worktrees.

    Unfinished runs never go. Others may work meanwhile. What several options say must all hold.
    """
    wanted = _wanted(older_than=older_than, statuses=statuses, keep=keep, keep_size=keep_size)
    async with frame.open(what="prune") as opened:
        if not isinstance(opened.storage, EmbeddedStorage):
            found, refs, count = Plan(), {}, 0
        else:
            with as_request_errors():
                found = plan(opened.storage.store.path, wanted)
            refs = opened.trees.refs(opened.settings.project.root) if found.goers else {}
            count = sum(len(refs.get(each.run, ())) for each in found.goers)
        if not frame.json:
            _show(found, count)
        done, troubles, now_bytes = None, list[str](), found.store_bytes
        if isinstance(opened.storage, EmbeddedStorage) and not dry_run and await _agreed(frame, found, yes=yes):
            store = opened.storage.store
            done, troubles = _remove(opened, store, found, refs, quiet=frame.json)
            with as_request_errors():
                now_bytes = store_bytes(store.path)
            if not frame.json:
                _tell(found, done, troubles, now_bytes)
        if frame.json:
            frame.print_json(_as_json(found, count, done, troubles, now_bytes))
        return int(bool(troubles))


def _wanted(*, older_than: str | None, statuses: str | None, keep: int | None, keep_size: str | None) -> Wanted:
    if not (older_than or statuses or keep or keep_size):
        raise RequestError(
            "say which runs may go", code="usage", hint="`treadle prune --older-than 30d --dry-run` shows what that would be"
        )
    words = tuple(filter(None, (statuses or "").replace(" ", "").split(",")))
    if unknown := [word for word in words if word not in ENDED]:
        hint = f"one of {', '.join(sorted(ENDED))}; unfinished runs never go"
        raise RequestError(f"{unknown[0]!r} is no status of an ended run", code="usage", hint=hint)
    before_ms = None
    if older_than:
        try:
            before_ms = time.time_ns() // 1_000_000 - parse_duration_ms(older_than)
        except DurationError as error:
            raise RequestError(str(error), code="usage", hint="write for example --older-than 30d") from error
    return Wanted(ended_before_ms=before_ms, statuses=words, keep=keep or 0, keep_bytes=_read_bytes(keep_size) if keep_size else None)


def _read_bytes(text: str) -> int:
    found = _SIZE.fullmatch(text.replace(" ", ""))
    if found is None:
        raise RequestError(f"{text!r} is no size", code="usage", hint="write for example --keep-size 500MB, or 2GiB")
    return int(float(found[1]) * _UNITS[found[2].lower()])


async def _agreed(frame: Frame, found: Plan, *, yes: bool) -> bool:
    if not found.goers:
        return yes  # what an earlier one was killed over is still cleared up
    if yes:
        return True
    if frame.json or not screen.is_terminal():
        message = f"{_runs(len(found.goers))} would be taken away, and nobody is there to be asked"
        raise RequestError(message, code="not_confirmed", hint="--dry-run shows them; --yes takes them away")
    return await confirm(f"Take {_runs(len(found.goers))} away for good?", default=False)


def _remove(opened: OpenProject, store: Store, found: Plan, refs: dict[str, list[str]], *, quiet: bool) -> tuple[Pruned, list[str]]:
    """Take away what was shown; gives what git could not do beside what was done."""
    root = opened.settings.project.root
    troubles: list[str] = []
    with_folders = set(opened.trees.runs())

    def forget(run: str) -> None:
        # Before its rows go: afterwards nobody would know whose these were.
        if run in refs or run in with_folders:
            try:
                opened.trees.forget(root, run, refs.get(run, []))
            except (GitFailedError, OSError) as error:
                troubles.append(f"worktrees of {run}: {error}")

    with Bar(quiet=quiet) as bar, as_request_errors(), contextlib.closing(Pruner(store.path, store.blobs, bar.told)) as pruner:
        done = pruner.prune([(each.run, each.revision) for each in found.goers], before_each=forget, moved_word=MOVED_WORD)
    return done, troubles


def _show(found: Plan, refs: int) -> None:
    if not found.goers:
        screen.say("No run would go.")
    else:
        rows = [
            [Text(each.run, style="bold"), Text.assemble(screen.mark(each.status), " ", screen.worded(each.status)),
             Text(screen.clean(each.workflow, lines=False)), Text(screen.size(each.bytes + each.blob_bytes)),
             Text(screen.ago(each.closed_ms, time.time_ns() // 1_000_000), style="bright_black")]
            for each in found.goers[:SHOWN]
        ]  # fmt: skip
        screen.say(screen.table(["run", "status", "workflow", "size", "ended"], rows, wide=(2,)))
        if len(found.goers) > SHOWN:
            screen.say(f"… and {len(found.goers) - SHOWN:,} more")
        blobs = sum(each.blobs for each in found.goers)
        beside = [f"{blobs:,} value{'s' * (blobs != 1)} beside them"] * bool(blobs) + [
            f"{refs} worktree ref{'s' * (refs != 1)} in git"
        ] * bool(refs)
        sizes = f"about {screen.size(found.freed_bytes)} of {screen.size(found.store_bytes)}"
        screen.say(f"{_runs(len(found.goers))} would go: {', '.join([sizes, *beside])}")
    for reason, runs in _by_reason(found.kept).items():
        named = ", ".join(runs[:5]) + (", …" if len(runs) > 5 else "")
        screen.hang(Text(f"stay: {named}: {_WHY[reason]}", style="yellow"), 6)


def _tell(found: Plan, done: Pruned, troubles: list[str], now_bytes: int) -> None:
    said = f"{_runs(done.runs)} taken away; the store has {screen.size(now_bytes)}, it had {screen.size(found.store_bytes)}"
    screen.say(Text.assemble(screen.mark("completed"), " ", said))
    if done.young:
        screen.say(
            f"{done.young} value{'s' * (done.young != 1)} no run has any more went not yet: touched within the last hour. The next prune takes them."
        )
    if done.left:
        screen.say(f"Not taken, because something happened meanwhile: {', '.join(done.left[:5])}")
    for trouble in troubles:
        screen.say(screen.clean(trouble), style="red")


def _as_json(found: Plan, refs: int, done: Pruned | None, troubles: list[str], now_bytes: int) -> dict[str, Any]:
    made = None
    if done is not None:
        made = asdict(done) | {"troubles": troubles, "store_bytes": now_bytes}
    return {
        "store_bytes": found.store_bytes, "freed_bytes": found.freed_bytes, "refs": refs,
        "runs": [
            {"id": each.run, "workflow": each.workflow, "status": each.status, "ended_at": instant(each.closed_ms), "bytes": each.bytes,
             "blobs": each.blobs, "blob_bytes": each.blob_bytes}
            for each in found.goers
        ],
        "kept": [{"id": run, "reason": reason} for run, reason in found.kept],
        "done": made,
    }  # fmt: skip


def _by_reason(kept: list[tuple[str, Reason]]) -> dict[Reason, list[str]]:
    found: dict[Reason, list[str]] = {}
    for run, reason in kept:
        found.setdefault(reason, []).append(run)
    return found


def _runs(count: int) -> str:
    return f"{count:,} run{'s' * (count != 1)}"
