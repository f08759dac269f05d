"""`treadle verify`: compute runs again from their events and compare with what is stored; says what differs, and changes nothing."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import click
import orjson
from rich.text import Text

from treadle.cli import screen
from treadle.cli.frame import Frame, command, find_run
from treadle.compose import OpenProject
from treadle.core.errors import RequestError, TreadleError
from treadle.core.values import Json
from treadle.engine.embedded.checks import check_chains
from treadle.engine.embedded.storage import EmbeddedStorage
from treadle.engine.verifying import Difference, Verified, verify_run
from treadle.ports import RunQuery, RunRow

VALUE_CHARS: Final = 200
_PAGE: Final = 200


@command(
    examples="treadle verify last\ntreadle verify run_7k2m --json\ntreadle verify --all",
    keys="ok, runs [{run, ok, status, events, differences [{what (chain, events, definition, state, row), place, message, computed, stored}]}]",
)
@click.argument("named", metavar="RUN", required=False)
@click.option("--all", "everything", is_flag=True, help="Every run of the project.")
async def verify(frame: Frame, named: str | None, *, everything: bool) -> int:
    """Compute RUN again from its events, and compare it with what is stored. Exit code 1 where something differs.

    Found are accidents and careless edits. Whoever can write the file can also make it fit again: only signatures resist a forger.
    """
    if (named is None) != everything:
        raise RequestError("say which run, or --all", code="usage", hint="`treadle verify last`, or `treadle verify --all`")
    async with frame.open(what="verify") as opened:
        found = [(row, await _verified(opened, row)) async for row in _rows(opened, named)]
    broken = [each for _, each in found if each.differences]
    if frame.json:
        frame.print_json({"ok": not broken, "runs": [_as_json(row, each) for row, each in found]})
        return int(bool(broken))
    for row, each in found:
        _tell(row, each)
    if everything:
        said = f"{len(found)} run{'s' * (len(found) != 1)} verified" + (f", {len(broken)} do not hold" if broken else ", all hold")
        screen.say(Text.assemble(screen.mark("failed" if broken else "completed"), f" {said}"))
    return int(bool(broken))


async def _rows(opened: OpenProject, named: str | None) -> AsyncIterator[RunRow]:
    if named is not None:
        yield await find_run(opened.service, named)
        return
    before: str | None = None
    while rows := await opened.engine.runs(RunQuery(limit=_PAGE, before=before)):
        for row in rows:
            yield row
        before = rows[-1].id


async def _verified(opened: OpenProject, row: RunRow) -> Verified:
    chain = await asyncio.to_thread(_chain, opened, row.id)
    try:
        found = await verify_run(opened.engine, row)
    except TreadleError as error:
        # One run that cannot be read must not hide the others.
        unread = Difference(what="events", place="", message=f"the run cannot be read ({error.code}): {error.message}")
        found = Verified(run_id=row.id, events=0, differences=(unread,))
    return Verified(run_id=found.run_id, events=found.events, differences=(*chain, *found.differences))


def _chain(opened: OpenProject, run_id: str) -> list[Difference]:
    if not isinstance(opened.storage, EmbeddedStorage):
        return []
    reader = opened.storage.store.new_reader()
    try:
        return [Difference(what="chain", place="", message=each.message) for each in check_chains(reader, [run_id])]
    finally:
        reader.close()


def _tell(row: RunRow, found: Verified) -> None:
    if not found.differences:
        said = f"{row.meta.workflow}, {row.status}: {found.events} events give what is stored"
        screen.say(Text.assemble(screen.mark("completed"), " ", (row.id, "bold"), "  ", screen.clean(said, lines=False)))
        return
    screen.say(
        Text.assemble(screen.mark("failed"), " ", (row.id, "bold"), f"  {screen.clean(row.meta.workflow, lines=False)}, {row.status}")
    )
    for each in found.differences:
        where = f" {each.place}" if each.place else ""
        screen.say(screen.clean(f"    {each.what}{where}: {each.message}"), style="red")
        if each.computed is not None or each.stored is not None:
            screen.say(f"      from the events: {screen.short(_text(each.computed), VALUE_CHARS)}")
            screen.say(f"      stored:          {screen.short(_text(each.stored), VALUE_CHARS)}")


def _text(value: Json) -> str:
    return orjson.dumps(value).decode()


def _as_json(row: RunRow, found: Verified) -> dict[str, Any]:
    rows = [
        {"what": each.what, "place": each.place, "message": each.message, "computed": each.computed, "stored": each.stored}
        for each in found.differences
    ]
    return {"run": row.id, "ok": not rows, "status": row.status, "events": found.events, "differences": rows}
