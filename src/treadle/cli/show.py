"""`treadle show` and `treadle why`: how a run stands, and the one thing that it waits for. Neither changes anything."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click
import orjson
from rich.text import Text

from treadle.cli import facts, live, screen, shape
from treadle.cli.children import look, waits_for
from treadle.cli.frame import Frame, command, find_run
from treadle.cli.outline import course_of, outlined
from treadle.compose import OpenProject
from treadle.core.events import RunStarted
from treadle.core.state import ENDED
from treadle.core.values import Value
from treadle.engine.receipts import Receipt, receipts
from treadle.engine.timeline import Moment, Timeline
from treadle.ports import RunQuery, RunRow
from treadle.view import RunView

VALUE_LINES = 12
NARROW = 90


@command(
    examples="treadle show last\ntreadle show run_7k2m --full\ntreadle show last --json",
    keys=shape.RUN_KEYS
    + ",\ndefinition (digest), moved [{at, by, was, to}]"
    + ",\ncourse (every visit of a step, in the order of their beginning) [{"
    + shape.VISIT_KEYS
    + "}],\nreceipts [{"
    + shape.RECEIPT_KEYS
    + "}],\nnot_merged (kept of worktrees) [{ref, commit, what}], forks [id]",
)
@click.argument("named", metavar="RUN")
@click.option("--full", is_flag=True, help="Values whole, however long.")
async def show(frame: Frame, named: str, *, full: bool) -> None:
    """Show RUN (an id, the beginning of one, or `last`): outline, what is open, inputs, state, result, and who did what."""
    async with frame.open() as opened:
        row = await find_run(opened.service, named)
        if frame.json:
            frame.print_json(await shown(opened, row))
        else:
            await _print(opened, row, full=full)


async def shown(opened: OpenProject, row: RunRow) -> dict[str, Any]:
    """Give a run as `treadle show --json` prints it."""
    view = await look(opened, row.id)
    timeline = Timeline(opened.engine, row.id)
    moments = await timeline.more()
    snapshot = await opened.engine.snapshot(row.id)
    status = opened.shown_status(row.id, view.status)
    data = await shape.run_json(opened.service, view, status=status, version=snapshot.definition.version)
    # A run that has ended holds nothing open any more, its inputs neither.
    data["inputs"] = data["inputs"] or _inputs(moments)
    filled = opened.service.filled
    data["course"] = [shape.visit_json(snapshot.definition, visit) for visit in course_of(moments).visits.values()]
    data["receipts"] = [shape.receipt_json(each, await filled(each.facts)) for each in receipts(row.id, moments)]
    data["budgets"] = [shape.budget_json(budget) for budget in timeline.budgets]
    data["not_merged"] = await opened.unmerged(row.id)
    data["definition"], data["moved"] = row.definition, shape.moves_json(moments)
    data["forks"] = [each.id for each in await opened.engine.runs(RunQuery(forked_from=row.id))]
    return data


async def _print(opened: OpenProject, row: RunRow, *, full: bool) -> None:
    view = await look(opened, row.id)
    timeline = Timeline(opened.engine, row.id)
    moments = await timeline.more()
    status, proofs = opened.shown_status(row.id, view.status), receipts(row.id, moments)
    snapshot = await opened.engine.snapshot(row.id)
    now_ms = opened.clock.now_ms()
    until_ms = row.updated_ms if view.status in ENDED else now_ms
    screen.say(Text.assemble(screen.mark(status), " ", (view.run_id, "bold"), "  ", view.workflow, "  ", screen.worded(status)))
    began = f"started by {view.started_by} {screen.ago(view.started_at_ms, now_ms)}, {screen.duration(until_ms - view.started_at_ms)}"
    screen.say(
        "  " + ", ".join(part for part in (screen.clean(row.meta.title), began, screen.clean(row.meta.branch)) if part),
        style="bright_black",
    )
    if view.parent is not None:
        screen.say(f"  started by the step {view.parent.replace('/', ' / ', 1)}", style="bright_black")
    for line in await forks(opened, view):
        screen.say(f"  {line}", style="bright_black")
    for moved in shape.moves_json(moments)[-1:]:
        since = f"since {moved['at']} by {screen.clean(moved['by'], lines=False)}; before: {moved['was'][:19]}"
        screen.say(f"  definition {snapshot.definition.version} ({row.definition[:19]}) {since}", style="bright_black")
    if view.parked is not None:
        screen.say(f"  set aside: {screen.clean(view.parked)}", style=screen.STYLES["parked"])
    if view.ending is not None:
        screen.say(f"  it is ending: {live.ENDING[view.ending]}", style=screen.STYLES["cancelling"])
    for line in unread_and_undo(view):
        screen.say(f"  {line}", style="yellow")
    if view.degraded and view.status not in ENDED:
        screen.say("  a failure was tolerated on the way", style="yellow")
    _heading("steps")
    for line in outlined(view, snapshot.definition, course_of(moments), now_ms, full=full):
        screen.hang(line, 6)
    if view.status not in ENDED:
        wait = await waits_for(opened, view)
        screen.say(Text.assemble(("waits for  ", "bold"), wait.message))
        if wait.command:
            screen.say(f"           {wait.command}")
    if timeline.budgets:
        _heading("budgets")
        for budget in timeline.budgets:
            screen.say(f"  {budget.owner or 'the run'}: {live.used(budget)}")
    await print_fields(opened, "inputs", view.inputs or _inputs(moments), full=full)
    await print_fields(opened, "state", view.state, full=full)
    if view.failure is not None:
        _heading("failure")
        screen.say(f"  {view.failure.error_class} in `{view.failure.step}`: {screen.clean(view.failure.message)}", style="red")
    if view.status in ENDED and view.result is not None:
        await print_result(opened, view, full=full)
    if proofs:
        _heading("who did what")
        screen.say(receipt_table(proofs))
    if rows := await opened.unmerged(row.id):
        _heading("changed in worktrees and not merged")
        for kept in rows:
            screen.say(Text.assemble(f"  {screen.clean(str(kept['what']), lines=False)}: ", (f"git show {kept['ref']}", "bright_black")))


def receipt_table(proofs: Sequence[Receipt]) -> screen.Table:
    """Give who did each action, in how many attempts, and what is done or only claimed."""
    rows: list[list[Text]] = []
    for proof in proofs:
        word = "failed" if proof.standing in {"failed", "rejected"} else "unknown" if proof.standing == "unknown" else "completed"
        word = {"open": "waiting", "claimed": "handling", "stopped": "cancelled"}.get(proof.standing, word)
        took = screen.duration(proof.ended_at_ms - proof.opened_at_ms) if proof.ended_at_ms is not None else ""
        rows.append([
            Text(proof.action), Text(proof.effect, style="bright_black"), Text(proof.standing, style=screen.STYLES.get(word, "")),
            Text(who(proof)), Text(str(proof.attempts), justify="right"), Text(took, style="bright_black"),
        ])  # fmt: skip
    columns = ["action", "effect", "standing", "by", "tries", "took"]
    if screen.console().width < NARROW:
        columns, rows = [columns[0], *columns[2:5]], [[row[0], *row[2:5]] for row in rows]
        return screen.table(columns, rows, wide=(2, 0))
    return screen.table(columns, rows, wide=(3, 0))


@command(
    examples="treadle why last\ntreadle why run_7k2m --json",
    keys=shape.WAIT_KEYS,
)
@click.argument("named", metavar="RUN")
async def why(frame: Frame, named: str) -> None:
    """Name the one thing that RUN waits for, and the command that moves it."""
    async with frame.open() as opened:
        row = await find_run(opened.service, named)
        view = await look(opened, row.id)
        wait = await waits_for(opened, view)
        status = opened.shown_status(row.id, view.status)
        if frame.json:
            frame.print_json(shape.wait_json(view, wait, status))
            return
        screen.say(Text.assemble(screen.mark(status), " ", (view.run_id, "bold"), " is ", screen.worded(status), f": {wait.message}"))
        if view.failure is not None:
            screen.say(
                f"  {view.failure.error_class} in `{view.failure.step}`: {screen.clean(view.failure.message)}",
                style="red",
            )
        for line in unread_and_undo(view):
            screen.say(f"  {line}", style="yellow")
        if wait.due_ms is not None:
            screen.say(f"  time moves it {screen.ago(wait.due_ms, time.time_ns() // 1_000_000)}, if a process is at work then")
        if wait.command:
            screen.say(f"  {wait.command}")
        if wait.others:
            screen.say(f"  {wait.others} more open: treadle show {view.run_id}", style="bright_black")


def who(proof: Receipt) -> str:
    """Say who ended an action, or all who approved it; a decision that came from a script says so."""
    if len(proof.decisions) > 1:
        return ", ".join(screen.clean(decision.by, lines=False) for decision in proof.decisions)
    by_script = f", {proof.note.partition(':')[0]}" if proof.note.startswith("by the script ") else ""
    return (facts.holder_name(proof.by) + by_script) if proof.by else ""


def unread_and_undo(view: RunView) -> Iterator[str]:
    """Say what nobody took notice of: signals that no step has read, and what was or was not taken back."""
    said = {
        "done": "what it did was taken back", "incomplete": "not all that it did could be taken back: `treadle logs` says what was not",
        "kept": f"what it did can be taken back: treadle undo {view.run_id}",
    }  # fmt: skip
    if view.undo:
        yield said[view.undo]
    if view.signals:
        names = ", ".join(f"`{name}`" for name in view.signals[:8]) + (" …" if len(view.signals) > 8 else "")
        yield f"signals that no step has read: {names}"


async def forks(opened: OpenProject, view: RunView) -> list[str]:
    """Say which run a fork comes from and at which step, and which forks a run has."""
    run_id, _, step = (view.forked_from or "").partition("/")
    said = [f"forked from {run_id} at `{step}`"] if run_id else []
    made = [row.id for row in await opened.engine.runs(RunQuery(forked_from=view.run_id))]
    return said + ([f"forked into {', '.join(made)}"] if made else [])


def _inputs(moments: Sequence[Moment]) -> dict[str, Value]:
    """Give the inputs as they were given, for a run that has ended and holds nothing open."""
    first = moments[0].event if moments else None
    return dict(first.inputs) if isinstance(first, RunStarted) else {}


async def print_result(opened: OpenProject, view: RunView, *, full: bool) -> None:
    """Print what a run gave: a map field by field, all else as it is."""
    result = await opened.service.filled(view.result)
    if isinstance(result, dict):
        await print_fields(opened, "result", result, full=full)
    elif result is not None:
        _heading("result")
        screen.say(_cut(result, full=full))


async def print_fields(opened: OpenProject, title: str, fields: Mapping[str, Value], *, full: bool) -> None:
    """Print named values under a heading; text of several lines stands below its name."""
    if not fields:
        return
    _heading(title)
    for name, value in fields.items():
        text = _cut(await opened.service.filled(value), full=full).rstrip("\n")
        if "\n" in text:
            text = "\n" + "\n".join(f"    {line}" for line in text.splitlines())
        screen.say(Text.assemble((f"  {screen.clean(name, lines=False)}: ", "bold"), text))


def _cut(value: Value, *, full: bool) -> str:
    text = screen.clean(value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
    lines = text.splitlines() or [""]
    if full or len(lines) <= VALUE_LINES:
        return text if full or len(text) <= 80 * VALUE_LINES else text[: 80 * VALUE_LINES] + "… (--full shows all)"
    return "\n".join([*lines[:VALUE_LINES], f"… {len(lines) - VALUE_LINES} more lines (--full shows them)"])


def _heading(text: str) -> None:
    screen.say(text, style="bold")
