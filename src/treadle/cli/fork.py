"""`treadle fork`: a new run that shares what another one did up to a step. What would happen again is shown, and asked about, before."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import click
from rich.text import Text

from treadle.cli import screen, shape, values
from treadle.cli.asking import confirm
from treadle.cli.frame import Frame, command, find_run, person, refused
from treadle.cli.keyboard import Keyboard
from treadle.cli.live import Show
from treadle.cli.performing import Watch
from treadle.cli.run import How, carry, leave
from treadle.cli.values import NotFittingError
from treadle.compose import OpenProject
from treadle.core.errors import RequestError
from treadle.core.values import Json, encode
from treadle.engine.forking import Again, Forking, Point, look

KEYS = (
    shape.RUN_KEYS
    + ";\nwith --dry-run from, step, type, at, revision, shared (events), set, again [{"
    + shape.RECEIPT_KEYS
    + ", undo}];\nwithout --from from, steps [{step, type, at, revision}]"
)


@command(
    examples="""\
treadle fork last --from review
treadle fork run_7k2m --from research[2]/search --set limit=5
treadle fork last --from publish --dry-run
treadle fork last --from plan --set approach="the second one" --yes --detach --json""",
    keys=KEYS,
)
@click.argument("named", metavar="RUN")
@click.option("--from", "step", metavar="STEP", help="A step that the run has reached: its path, or its id for its last visit.")
@click.option(
    "--set", "pairs", multiple=True, metavar="NAME=JSON", help="A state that the step sees, as JSON, else as text; may be repeated."
)
@click.option("--dry-run", "dry", is_flag=True, help="Only show what would be shared, and what would happen again.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--detach", is_flag=True, help="Only make the run; do not carry it on here.")
@click.option("--quiet", "-q", is_flag=True, help="Show nothing but the end.")
async def fork(
    frame: Frame, named: str, *, step: str | None, pairs: tuple[str, ...], dry: bool, yes: bool, detach: bool, quiet: bool
) -> int:
    """Make a run that shares what RUN did before STEP, and goes on from there by itself. RUN stays as it is.

    What RUN did from STEP on happens again where the new run comes by: it is shown first.
    """
    state = dict(map(_pair, pairs))
    async with frame.open(serve=not (detach or dry), what="fork") as opened:
        row = await find_run(opened.service, named)
        origin = await look(opened.engine, row.id)
        if step is None and frame.json and dry:
            frame.print_json({"from": row.id, "steps": [_point_json(point) for point in origin.points.values()]})
            return 0
        point = await _chosen(frame, origin) if step is None else origin.point(step)
        if point is None:
            return 0
        again = origin.again(point)
        if not dry:
            definition = origin.definition_at(point)
            opened.check_ready(definition)
            opened.check_gates(definition, person(opened.settings.people).name, origin.inputs)
        if not await _agreed(frame, origin, point, again, state, dry=dry, yes=yes, quiet=quiet):
            return 0
        return await _make(frame, opened, origin, point, state, detach=detach, quiet=quiet)


async def _make(
    frame: Frame, opened: OpenProject, origin: Forking, point: Point, state: dict[str, Json], *, detach: bool, quiet: bool
) -> int:
    offer = await opened.service.fork(origin, point, person(opened.settings.people), state)
    if offer.refusal is not None:
        raise refused(offer.refusal)
    run_id = offer.run.run_id
    if not frame.json and not quiet:
        screen.say(Text.assemble(("forked: ", "bold"), run_id))
    if detach:
        return await leave(frame, opened, run_id)
    how = How(quiet=quiet, json=frame.json)
    watch = Watch(opened, run_id, Show.made(quiet=quiet, as_json=frame.json))
    await watch.skip()
    return await carry(frame, opened, run_id, how, watch)


def _pair(text: str) -> tuple[str, Json]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise RequestError(f"--set {text!r} is no NAME=JSON", code="bad_input", hint="for example --set limit=5, --set names='[\"a\"]'")
    try:
        return name, values.read_json(value)
    except NotFittingError:
        return name, value


async def _chosen(frame: Frame, origin: Forking) -> Point | None:
    """Let a person choose the step. Raises RequestError where nobody is there to be asked."""
    points = list(origin.points.values())
    if not points or frame.json or not screen.is_terminal():
        listed = ", ".join(point.path for point in points[-12:]) or "nothing yet"
        raise RequestError(
            "a fork begins at a step", code="no_step_named", hint=f"name it with --from; {origin.run_id} can be forked from: {listed}"
        )
    screen.say(Text.assemble((origin.run_id, "bold"), " can be forked from:"))
    now_ms = time.time_ns() // 1_000_000
    for number, point in enumerate(points, 1):
        about = f"  {shape.type_word(point.type)}, reached {screen.ago(point.at_ms, now_ms)}"
        screen.say(Text.assemble(f"  {number:>3}  ", (point.path, "bold"), (about, "bright_black")))
    keyboard = Keyboard()
    while (typed := await keyboard.lines("From which step (number or name, empty for none): ")) is not None and typed.strip():
        try:
            named = typed.strip()
            return points[int(named) - 1] if named.isdigit() and 1 <= int(named) <= len(points) else origin.point(named)
        except RequestError as error:
            screen.tell_error(error.code, error.message, error.hint)
    return None


async def _agreed(
    frame: Frame, origin: Forking, point: Point, again: Sequence[Again], state: dict[str, Json], *, dry: bool, yes: bool, quiet: bool
) -> bool:
    if frame.json and dry:
        frame.print_json(_json(origin, point, again, state))
    elif not frame.json and not (quiet and yes):
        for line in _lines(origin, point, again, state):
            screen.hang(line, 11)
    if dry or yes:
        return not dry
    if frame.json or not screen.is_terminal():
        said = f"{len(again)} effect{'s' * (len(again) != 1)} would happen again" if again else "a run would be made"
        hint = f"`treadle fork {origin.run_id} --from {point.path} --dry-run` shows what; --yes forks"
        raise RequestError(f"{said}, and nobody is there to be asked", code="not_confirmed", hint=hint)
    return await confirm("Fork it?", default=not again)


# What it would be


def _lines(origin: Forking, point: Point, again: Sequence[Again], state: dict[str, Json]) -> Iterator[Text]:
    now_ms, last = time.time_ns() // 1_000_000, origin.moments[-1].rev
    yield Text.assemble("fork of ", (origin.run_id, "bold"), f" ({origin.meta.workflow}) from ", (point.path, "bold"))
    earlier = list(origin.points.values())
    done = [each.path for each in earlier[: earlier.index(point)]]
    events = f"what it did until {screen.clock(point.at_ms)} ({screen.ago(point.at_ms, now_ms)}): {point.rev - 1} of {last} events"
    yield Text(f"  shared   {events}" + (f"; {', '.join(done[-6:])} reached" if done else ""))
    for name, value in state.items():
        yield Text(f"  set      {name} = {screen.short(screen.clean(encode(value), lines=False), 100)}")
    if not again:
        yield Text("  again    nothing that changes anything outside was begun after that")
        return
    yield Text("  again    these effects came after that, and will happen again where the fork comes by:", style="yellow")
    for each in again:
        yield _effect(each, now_ms)


def _effect(each: Again, now_ms: int) -> Text:
    receipt = each.receipt
    line = Text("    ")
    line.append_text(screen.mark("unknown" if each.unknown else "waiting" if receipt.standing == "open" else "completed"))
    line.append(f" {receipt.action}", style="bold")
    line.append(f"  {receipt.kind}")
    line.append(f" [{receipt.effect}]", style="yellow")
    at_ms = receipt.ended_at_ms or receipt.opened_at_ms
    word = {"unknown": "nobody knows whether it was done", "open": "begun, not ended"}.get(receipt.standing, receipt.standing)
    line.append(f"  {word}, {screen.ago(at_ms, now_ms)}", style="red" if each.unknown else "bright_black")
    line.append("; its `undo` can take it back" if each.undo else "; it has no `undo`", style="bright_black")
    return line


def _json(origin: Forking, point: Point, again: Sequence[Again], state: dict[str, Json]) -> dict[str, Any]:
    rows = [{**shape.receipt_json(each.receipt), "undo": each.undo} for each in again]
    return {"from": origin.run_id, **_point_json(point), "shared": point.rev - 1, "set": state, "again": rows}


def _point_json(point: Point) -> dict[str, Any]:
    return {"step": point.path, "type": shape.type_word(point.type), "at": shape.instant(point.at_ms), "revision": point.rev - 1}
