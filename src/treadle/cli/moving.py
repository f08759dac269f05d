"""`treadle park`, `resume`, `cancel`: set a run aside, go on with it, end it."""

from dataclasses import replace
from pathlib import Path

import click
from rich.text import Text

from treadle.cli import screen, shape
from treadle.cli.asking import confirm
from treadle.cli.children import look, waits_for
from treadle.cli.frame import Frame, command, find_run, person, refused
from treadle.cli.live import Show
from treadle.cli.performing import Nobody, Watch, carry_on
from treadle.cli.run import How, go_on
from treadle.cli.script import read_script
from treadle.compose import OpenProject
from treadle.core.state import ENDED
from treadle.core.values import Json
from treadle.engine.service import Offer

_KEYS = "run, status, next {kind, message, action, command, due_at, others, child}"


@command(examples='treadle park last --reason "waits for the new quota"', keys=_KEYS)
@click.argument("named", metavar="RUN")
@click.option("--reason", required=True, help="Why; it is shown wherever the run is.")
async def park(frame: Frame, named: str, *, reason: str) -> None:
    """Set RUN aside. Nothing is completed and nothing is lost by it; `treadle resume` takes it up again."""
    async with frame.open(what="park") as opened:
        row = await find_run(opened.service, named)
        await tell(frame, opened, await opened.service.park(row.id, person(opened.settings.people), reason))


@command(
    examples="treadle resume last\ntreadle resume run_7k2m --script answers.yaml\ntreadle resume last --detach",
    keys=shape.RUN_KEYS,
)
@click.argument("named", metavar="RUN")
@click.option("--script", metavar="FILE", help="Answers written down before, instead of a person.")
@click.option("--detach", is_flag=True, help="Only take it up again; do not carry it on here.")
@click.option(
    "--record",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Append a JSON line for each acknowledged answer.",
)
@click.option("--quiet", "-q", is_flag=True, help="Show nothing but the end.")
async def resume(frame: Frame, named: str, *, script: str | None, detach: bool, record: Path | None, quiet: bool) -> int:
    """Go on with RUN here: take it up again if it was parked, perform what Treadle performs, and ask you for the rest."""
    how = How(script=read_script(script) if script is not None else None, record=record, quiet=quiet, json=frame.json)
    async with frame.open(serve=not detach, what="resume") as opened:
        row = await find_run(opened.service, named)
        if row.status not in ENDED:
            opened.check_ready((await opened.engine.snapshot(row.id)).definition)
        return await go_on(frame, opened, row.id, how, detach=detach)


@command(
    examples='treadle cancel last\ntreadle cancel run_7k2m --reason "started by mistake" --yes\ntreadle cancel last --detach',
    keys=_KEYS,
)
@click.argument("named", metavar="RUN")
@click.option("--reason", default="", help="Why; it is kept in the run.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--detach", is_flag=True, help="Do not wait until what is open has stopped.")
async def cancel(frame: Frame, named: str, *, reason: str, yes: bool, detach: bool) -> None:
    """End RUN. What is open is asked to stop and has 10 seconds to answer; asked a second time, it ends at once."""
    async with frame.open(serve=not detach, what="cancel") as opened:
        row = await find_run(opened.service, named)
        if not yes and screen.is_terminal() and not await confirm(f"End {row.id} ({row.meta.workflow}, {row.status})?", default=False):
            return
        offer = await opened.service.cancel(row.id, person(opened.settings.people), reason)
        if offer.refusal is None and not detach:
            watch = Watch(opened, row.id, Show(None, quiet=frame.json))
            await watch.skip()
            await carry_on(watch, Nobody(opened, row.id))
        overtaken = offer.refusal is not None and offer.refusal.code == "run_ended" and row.status not in ENDED
        await tell(frame, opened, replace(offer, refusal=None) if overtaken else offer)


async def tell(frame: Frame, opened: OpenProject, offer: Offer, **more: Json) -> None:
    """Tell how a run stands after a request; `more` is for `--json`. Raises RequestError where it was refused."""
    if offer.refusal is not None:
        raise refused(offer.refusal)
    view = await look(opened, offer.run.run_id)
    wait = await waits_for(opened, view)
    if frame.json:
        frame.print_json({"run": view.run_id, "status": view.status, **more, "next": shape.wait_json(view, wait)})
        return
    screen.say(
        Text.assemble(
            screen.mark(view.status),
            " ",
            (view.run_id, "bold"),
            " is ",
            screen.worded(view.status),
            f": {wait.message}",
        )
    )
    if wait.command:
        screen.say(f"  next: {wait.command}")
