"""`treadle migrate`: move a run to a changed definition. What becomes of every open step is shown, and asked about, before."""

from collections.abc import Iterator, Sequence
from typing import Any

import click
from rich.text import Text

from treadle.cli import screen, shape
from treadle.cli.asking import confirm
from treadle.cli.changes import difference, steps_of
from treadle.cli.describe import target_of
from treadle.cli.frame import Frame, command, find_run, person, refused
from treadle.cli.moving import tell
from treadle.cli.run import required
from treadle.compose import OpenProject
from treadle.core.definition import Definition
from treadle.core.errors import RequestError
from treadle.core.events import RunMigrated
from treadle.engine.migrating import Becomes, Plan, check_plan
from treadle.ports import RunRow, Snapshot

_WORDS: dict[Becomes, str] = {
    "goes on": "completed", "handed out anew": "handling", "keeps what it was given": "running", "asked anew": "waiting", "waits anew": "waiting",
    "checked anew": "handling", "cannot move": "failed",
}  # fmt: skip
_STYLES = {"+": "green", "-": "red"}


@command(
    examples="""\
treadle migrate last --to workflows/release.yaml --dry-run
treadle migrate run_7k2m --to release
treadle migrate last --to release --map draft=write --map review=check
treadle migrate last --to release --yes --json
treadle migrate last --back""",
    keys=(
        "run, workflow, was, to (digests), migrated, moves [{path, to, type, becomes, why, candidates}], changes [{step, was, when, fields, "
        "difference}], added, passed, gone, again, state [{name, what}], notes, troubles, blocked {code, message, hint};\n"
        "when it was done also status, next {kind, message, action, command, due_at, others, child}"
    ),
)
@click.argument("named", metavar="RUN")
@click.option("--to", "target", metavar="FILE|NAME|DIGEST", help="The changed workflow; a digest is one that the run had before.")
@click.option("--back", is_flag=True, help="The definition that the run had before it was moved last.")
@click.option("--map", "pairs", multiple=True, metavar="OLD=NEW", help="What a step is called now; may be repeated.")
@click.option("--dry-run", "dry", is_flag=True, help="Only show what would happen.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
async def migrate(frame: Frame, named: str, *, target: str | None, back: bool, pairs: tuple[str, ...], dry: bool, yes: bool) -> int:
    """Move RUN to a changed workflow, and keep all that it has done.

    Open steps that changed are handed out anew; what may have had an effect already keeps what it was given. A run that was set aside stays so. All
    of it happens, or nothing. Exit code 1 where the run cannot be moved.
    """
    renamed = dict(map(_pair, pairs))
    if (target is None) == (not back):
        raise RequestError(
            "say where to: --to FILE, or --back", code="usage", hint="`treadle migrate RUN --to FILE --dry-run` shows what would happen"
        )
    async with frame.open(what="migrate") as opened:
        row = await find_run(opened.service, named)
        who = person(opened.settings.people)
        seen = await opened.engine.snapshot(row.id)
        old = seen.definition
        new, undone = await _definition(opened, row, target)
        renamed = undone | renamed
        plan = await opened.service.plan_migration(row.id, new, who, renamed)
        blocked = _blocked(opened, new, seen)
        if dry or plan.is_empty or plan.troubles:
            return _tell_plan(frame, row, plan, old, new, blocked, dry=dry)
        if blocked is not None:
            raise blocked
        if not frame.json:
            _show(row, plan, old, new, None)
        if not await _agreed(frame, row, yes=yes):
            return 0
        offer = await opened.service.migrate(row.id, new, who, renamed, planned=plan)
        if offer.refusal is not None:
            raise refused(offer.refusal)
        await tell(frame, opened, offer, **(_json(row, plan, old, new, None) | {"migrated": True} if frame.json else {}))
        if not frame.json:
            screen.say(f"  back:  treadle migrate {row.id} --back", style="bright_black")
        return 0


def _pair(text: str) -> tuple[str, str]:
    old, equals, new = text.partition("=")
    if not equals or not old or not new:
        raise RequestError(f"{text!r} is not OLD=NEW", code="usage", hint="--map draft=write")
    return old.strip(), new.strip()


async def _definition(opened: OpenProject, row: RunRow, target: str | None) -> tuple[Definition, dict[str, str]]:
    """Find where to, and for the way back what steps were called; an earlier definition of the run is still stored.

    Raises RequestError, with every fault of a file.
    """
    if target is not None and not target.startswith("sha256:"):
        return required(opened.load(target_of(target))), {}
    if target is not None:
        return await opened.engine.definition(target), {}
    moves = [each.event for each in await opened.engine.events(row.id) if isinstance(each.event, RunMigrated)]
    if not moves:
        raise RequestError(f"{row.id} was never moved", code="never_migrated", hint="it has the definition that it began with")
    return await opened.engine.definition(moves[-1].was), {new: old for old, new in moves[-1].renamed.items()}


def _blocked(opened: OpenProject, new: Definition, seen: Snapshot) -> RequestError | None:
    """Tell why a run of the new definition would not even be started: commands that nobody allowed, a gate that nobody can pass."""
    try:
        opened.check_ready(new)
        inputs = seen.state.frames[""].inputs if "" in seen.state.frames else None
        opened.check_gates(new, seen.meta.started_by, inputs or {})
    except RequestError as error:
        return RequestError(error.message.replace("nothing was started", "the run is as it was"), code=error.code, hint=error.hint)
    return None


async def _agreed(frame: Frame, row: RunRow, *, yes: bool) -> bool:
    if yes:
        return True
    if frame.json or not screen.is_terminal():
        raise RequestError(
            f"{row.id} would be moved, and nobody is there to be asked", code="not_confirmed",
            hint="--dry-run shows what would happen; --yes does it",
        )  # fmt: skip
    return await confirm("Move it?", default=False)


def _tell_plan(frame: Frame, row: RunRow, plan: Plan, old: Definition, new: Definition, blocked: RequestError | None, *, dry: bool) -> int:
    if frame.json:
        frame.print_json(_json(row, plan, old, new, blocked))
    else:
        _show(row, plan, old, new, blocked)
    if not dry:
        check_plan(plan, None)
    return int(bool(plan.troubles) or blocked is not None)


def _json(row: RunRow, plan: Plan, old: Definition, new: Definition, blocked: RequestError | None) -> dict[str, Any]:
    return {
        "run": row.id, "workflow": old.name, "was": plan.event.was, "to": plan.event.to, "migrated": False,
        "moves": [
            {"path": move.path, "to": move.to, "type": shape.type_word(move.type), "becomes": move.becomes, "why": move.why or None,
             "candidates": list(move.candidates)}
            for move in plan.moves
        ],
        "changes": [
            {"step": change.step, "was": change.was, "when": change.when, "fields": list(change.fields),
             "difference": difference(steps_of(old)[change.was], steps_of(new)[change.step])}
            for change in plan.changes
        ],
        "added": list(plan.added), "passed": list(plan.passed), "gone": list(plan.gone), "again": list(plan.again),
        "state": [{"name": name, "what": what} for name, what in plan.fields], "notes": list(plan.notes), "troubles": list(plan.troubles),
        "blocked": {"code": blocked.code, "message": blocked.message, "hint": blocked.hint} if blocked is not None else None,
    }  # fmt: skip


# For people


def _show(row: RunRow, plan: Plan, old: Definition, new: Definition, blocked: RequestError | None) -> None:
    head = f"{row.id} ({screen.clean(old.name, lines=False)} {old.version}, {row.status})"
    screen.say(Text.assemble((head, "bold"), f" to {screen.clean(new.name, lines=False)} {new.version}"))
    screen.say(f"  {plan.event.was[:19]} to {plan.event.to[:19]}", style="bright_black")
    if plan.is_empty:
        screen.say("  it has that definition already")
        return
    screen.say()
    _show_moves(plan)
    for line in _others(plan):
        screen.hang(line, 11)
    for change in plan.changes:
        _show_change(change.step, change.when, difference(steps_of(old)[change.was], steps_of(new)[change.step]))
    screen.say()
    for trouble in plan.troubles:
        screen.hang(Text.assemble(screen.mark("failed"), f" {screen.clean(trouble, lines=False)}"), 2)
    if blocked is not None:
        screen.hang(Text.assemble(screen.mark("failed"), f" {screen.clean(blocked.message, lines=False)}"), 2)
        screen.hang(Text(f"  {screen.clean(blocked.hint, lines=False)}"), 2)


def _show_moves(plan: Plan) -> None:
    rows: list[Sequence[Text]] = []
    for move in plan.moves:
        meant = f"; perhaps --map {move.path.rpartition('/')[2].partition('~')[0]}={move.candidates[0]}" if move.candidates else ""
        where = "the same" if move.to == move.path else screen.clean(move.to, lines=False)
        rows.append([
            Text(screen.clean(move.path, lines=False), style="bold"), Text(shape.type_word(move.type)), Text(where),
            Text.assemble(screen.worded(_WORDS[move.becomes], move.becomes), f"{': ' * bool(move.why)}{move.why}{meant}"),
        ])  # fmt: skip
    if rows:
        screen.say(screen.table(["open step", "type", "is then", "what becomes of it"], rows, wide=(3, 0)))
    else:
        screen.say("no step is open")


def _others(plan: Plan) -> Iterator[Text]:
    told = {
        "will run": plan.added, "not run": [f"{path} (added where the run has been)" for path in plan.passed],
        "gone": plan.gone, "again": [f"{path} (stands behind the open step now, and runs once more)" for path in plan.again],
    }  # fmt: skip
    for word, listed in told.items():
        if listed:
            yield Text.assemble((f"{word:<9}  ", "bold"), screen.clean(", ".join(listed), lines=False))
    for name, what in plan.fields:
        yield Text.assemble(("state      ", "bold"), f"{screen.clean(name, lines=False)}: {screen.clean(what, lines=False)}")
    for note in plan.notes:
        yield Text.assemble(("note       ", "bold yellow"), screen.clean(note, lines=False))


def _show_change(step: str, when: str, rows: list[str]) -> None:
    words = {"open": "open", "to come": "to come", "past": "past: nothing of it is done again"}
    screen.say()
    screen.say(Text.assemble((screen.clean(step, lines=False), "bold"), (f"  ({words[when]})", "bright_black")))
    for row in rows:
        screen.say(f"  {screen.clean(row)}", style=_STYLES.get(row[:1], "bright_black"))
