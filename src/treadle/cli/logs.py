"""`treadle logs`: what happened in a run, when, and who did it; made of the events by folding them again."""

import click

from treadle.cli import facts, screen, shape
from treadle.cli.frame import Frame, command, find_run
from treadle.core.state import ENDED
from treadle.engine.timeline import Timeline


@command(
    examples="treadle logs last\ntreadle logs run_7k2m --follow\ntreadle logs last --all\ntreadle logs last --json",
    keys="a line per event: seq, rev, at, event, by, by_kind, notes [{kind, path, data}]",
)
@click.argument("named", metavar="RUN")
@click.option("--follow", "-f", is_flag=True, help="Go on until the run ends.")
@click.option("--all", "everything", is_flag=True, help="Every note, small ones too.")
async def logs(frame: Frame, named: str, *, follow: bool, everything: bool) -> None:
    """Show what happened in RUN (an id, the beginning of one, or `last`)."""
    async with frame.open() as opened:
        row = await find_run(opened.service, named)
        timeline, teller = Timeline(opened.engine, row.id), facts.Teller()
        while True:
            for moment in await timeline.more():
                if frame.json:
                    frame.print_line(await shape.moment_json(opened.service, moment))
                    continue
                for fact in teller.tell(moment):
                    if everything or not fact.minor:
                        screen.say(facts.line(fact))
            if not follow or (timeline.state is not None and timeline.state.status in ENDED):
                return
            await opened.service.changed(row.id, timeline.rev, 60_000)
