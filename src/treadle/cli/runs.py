"""`treadle runs`: which runs there are, newest first."""

import time
from collections.abc import Iterator

import click
from rich.text import Text

from treadle.cli import screen, shape
from treadle.cli.children import look, waits_for
from treadle.cli.frame import Frame, command
from treadle.compose import OpenProject
from treadle.core.errors import TreadleError
from treadle.core.ids import is_child_run
from treadle.core.state import ENDED
from treadle.ports import RunQuery, RunRow


@command(
    examples="""\
treadle runs
treadle runs --all
treadle runs --tree
treadle runs planning release
treadle runs --status failed --limit 5 --json""",
    keys="runs [{" + shape.ROW_KEYS + ", parent (RUN/ACTION that started it, or null)}]",
)
@click.argument("words", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Ended runs too, however old.")
@click.option("--status", "statuses", multiple=True, metavar="WORD", help="Only runs of this status; may be repeated.")
@click.option("--tree", is_flag=True, help="Child runs below the run that started them, forks below the run they come from.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most so many.")
async def runs(frame: Frame, words: tuple[str, ...], *, everything: bool, statuses: tuple[str, ...], tree: bool, limit: int) -> None:
    """List unfinished runs, and those that ended within a day. WORDS are looked for in id, workflow, title, branch and directory."""
    async with frame.open() as opened:
        query = RunQuery(words=" ".join(words), statuses=statuses, limit=limit)
        rows = await opened.engine.runs(query)
        now_ms = opened.clock.now_ms()
        if not (everything or statuses or words):
            rows = [row for row in rows if row.status not in ENDED or now_ms - row.updated_ms < 86_400_000]
        parents = {row.id: await _parent(opened, row) for row in rows}
        depths = dict.fromkeys(parents, 0)
        if tree:
            rows, depths = _as_tree(rows, parents)
        shown = {row.id: opened.shown_status(row.id, row.status) for row in rows}
        if frame.json:
            undo = {row.id: await _undo(opened, row) for row in rows}
            frame.print_json({"runs": [shape.row_json(row, shown[row.id], undo[row.id]) | {"parent": parents[row.id]} for row in rows]})
            return
        if not rows:
            await _nothing(opened, everything=everything or bool(words) or bool(statuses))
            return
        needs = {row.id: await _need(opened, row, shown[row.id]) for row in rows}
        screen.say(_table(rows, shown, needs, depths, tree=tree))


def _table(rows: list[RunRow], shown: dict[str, str], needs: dict[str, str], depths: dict[str, int], *, tree: bool) -> screen.Table:
    now_ms = time.time_ns() // 1_000_000
    narrow = screen.console().width < 90
    columns = ["run", "status", "workflow", "changed", "what"]
    cells: list[list[Text]] = []
    for row in rows:
        word = shown[row.id]
        status = Text.assemble(screen.mark(word), " ", screen.worded(word))
        what = needs[row.id] or row.meta.title
        cells.append([
            Text.assemble("  " * depths[row.id], ("fork " if tree and row.meta.forked_from else "", "cyan"), (row.id, "bold")), status, Text(screen.clean(row.meta.workflow, lines=False)),
            Text(screen.ago(row.updated_ms, now_ms), style="bright_black"), Text(screen.clean(what, lines=False)),
        ])  # fmt: skip
    if narrow:
        columns, cells = columns[:2] + columns[4:], [[*row[:2], Text.assemble(row[2], " ", row[4])] for row in cells]
        return screen.table(columns, cells, wide=(2,))
    return screen.table(columns, cells, wide=(4,))


async def _parent(opened: OpenProject, row: RunRow) -> str | None:
    try:
        return (await opened.engine.snapshot(row.id)).state.parent if is_child_run(row.id) else None
    except TreadleError:  # as below: it is shown all the same
        return None


def _as_tree(rows: list[RunRow], parents: dict[str, str | None]) -> tuple[list[RunRow], dict[str, int]]:
    """Put each run below the one that started it or that it was forked from, first started first, where that is listed too.

    Tells how deep each stands.
    """
    below: dict[str, list[RunRow]] = {}
    for row in reversed(rows):
        above = (parents[row.id] or row.meta.forked_from).partition("/")[0]
        below.setdefault(above if above in parents else "", []).append(row)
    depths: dict[str, int] = {}

    def put(each: RunRow, depth: int) -> Iterator[RunRow]:
        depths[each.id] = depth
        yield each
        for child in below.get(each.id, ()):
            yield from put(child, depth + 1)

    return [row for top in reversed(below.get("", [])) for row in put(top, 0)], depths


async def _need(opened: OpenProject, row: RunRow, status: str) -> str:
    """Say what an unfinished run waits for, and what of an ended one is left to do."""
    if status in ENDED:
        said = {"incomplete": "not all could be taken back", "kept": "can be taken back: treadle undo"}
        return said.get(await _undo(opened, row), "")
    try:
        view = await look(opened, row.id)
    except TreadleError as error:
        # One run that cannot be read must not hide the others.
        return f"cannot be read ({error.code}): {error.message}"
    return (await waits_for(opened, view)).message


async def _undo(opened: OpenProject, row: RunRow) -> str:
    """Say what became of taking back; a row does not know, and only runs that did not end well have something to take back."""
    if row.status not in {"failed", "cancelled", "goal_not_met", "completed_degraded"}:
        return ""
    try:
        return (await opened.engine.snapshot(row.id)).state.undo_status
    except TreadleError:
        return ""


async def _nothing(opened: OpenProject, *, everything: bool) -> None:
    others = [] if everything else await opened.engine.runs(RunQuery(limit=1))
    if everything:
        screen.say("No runs like that. `treadle runs --all` lists all there are.")
    elif others:
        screen.say("Nothing is going on. `treadle runs --all` lists what has ended.")
    else:
        screen.say("No runs yet. `treadle list` shows the workflows there are; `treadle run NAME` starts one.")
