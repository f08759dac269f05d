"""`treadle undo`: show what an ended run would take back, ask, and carry that out here."""

from collections.abc import Iterator
from dataclasses import dataclass

import click
from rich.text import Text

from treadle.cli import screen, shape
from treadle.cli.asking import confirm
from treadle.cli.frame import Frame, command, find_run, person, refused
from treadle.cli.live import Show
from treadle.cli.performing import Watch
from treadle.cli.run import How, carry, leave
from treadle.compose import OpenProject
from treadle.core.definition import Definition, Step
from treadle.core.errors import RequestError
from treadle.core.index import walk
from treadle.core.state import RunState
from treadle.core.values import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A completed visit of a step that can be taken back, and the steps that do it."""

    path: str
    by: tuple[Step, ...]


def kept_for_undo(definition: Definition, state: RunState) -> list[Kept]:
    """Give what a run can still take back, in the order in which it would be."""
    lists = definition.index.lists
    return [Kept(path=path, by=tuple(walk(lists[f"{entry.at}.undo"]))) for path, entry in reversed(state.undo.items())]


@command(
    examples="treadle undo last\ntreadle undo run_7k2m --yes\ntreadle undo last --yes --detach --json",
    keys=shape.RUN_KEYS + ";\nbefore that, with --list, run, status, undo, kept [{step, by [{id, type, does, effect}]}]",
)
@click.argument("named", metavar="RUN")
@click.option("--list", "only_list", is_flag=True, help="Only list what would be taken back.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--detach", is_flag=True, help="Only begin; do not carry it out here.")
@click.option("--quiet", "-q", is_flag=True, help="Show nothing but the end.")
async def undo(frame: Frame, named: str, *, only_list: bool, yes: bool, detach: bool, quiet: bool) -> int:
    """Take back what RUN did, newest first, once. It has ended, and what it could take back was kept.

    A run that fails or is cancelled takes it back by itself, unless its `undo_on` says otherwise. Exit code 8 says that some of it failed.
    """
    async with frame.open(serve=not (detach or only_list), what="undo") as opened:
        row = await find_run(opened.service, named)
        snapshot = await opened.engine.snapshot(row.id)
        kept = kept_for_undo(snapshot.definition, snapshot.state) if snapshot.state.undo_status == "kept" else []
        if only_list:
            _list(frame, row.id, snapshot.state, kept)
            return 0
        if kept:
            opened.check_ready(snapshot.definition)
            if not await _agreed(frame, row.id, kept, yes=yes):
                return 0
        offer = await opened.service.undo(row.id, person(opened.settings.people))
        if offer.refusal is not None:
            raise refused(offer.refusal)
        return await _carry(frame, opened, row.id, quiet=quiet, detach=detach)


async def _carry(frame: Frame, opened: OpenProject, run_id: str, *, quiet: bool, detach: bool) -> int:
    if detach:
        return await leave(frame, opened, run_id)
    how = How(quiet=quiet, json=frame.json)
    watch = Watch(opened, run_id, Show.made(quiet=quiet, as_json=frame.json))
    await watch.skip()
    return await carry(frame, opened, run_id, how, watch)


def _list(frame: Frame, run_id: str, state: RunState, kept: list[Kept]) -> None:
    if frame.json:
        rows: Json = [{"step": each.path, "by": [_step_json(step) for step in each.by]} for each in kept]
        frame.print_json({"run": run_id, "status": state.status, "undo": state.undo_status or None, "kept": rows})
    elif kept:
        for line in _lines(kept):
            screen.say(line)
    else:
        screen.say(f"{run_id} is {state.status} and keeps nothing that could be taken back")


async def _agreed(frame: Frame, run_id: str, kept: list[Kept], *, yes: bool) -> bool:
    if not frame.json:
        screen.say(f"{run_id} takes back, newest first:")
        for line in _lines(kept):
            screen.say(line)
    if yes:
        return True
    if frame.json or not screen.is_terminal():
        message = f"{len(kept)} step{'s' * (len(kept) != 1)} would be taken back, and nobody is there to be asked"
        raise RequestError(message, code="not_confirmed", hint=f"`treadle undo {run_id} --list` shows them; --yes takes them back")
    return await confirm("Take them back?" if len(kept) > 1 else "Take it back?", default=False)


def _lines(kept: list[Kept]) -> Iterator[Text]:
    for each in kept:
        line = Text.assemble("  ", (each.path, "bold"), "  by ")
        for number, step in enumerate(each.by):
            line.append(", " if number else "")
            line.append(screen.clean(f"{step.id} ({_does(step)})", lines=False))
            line.append(f" [{step.effect}]" if step.effect not in {"none", "read"} else "", style="yellow")
        yield line


def _does(step: Step) -> str:
    kind, tool = shape.type_word(type(step.spec).__name__), getattr(step.spec, "tool", "")
    return f"{kind} {tool}".strip()


def _step_json(step: Step) -> Json:
    return {"id": step.id, "type": shape.type_word(type(step.spec).__name__), "does": _does(step), "effect": step.effect}
