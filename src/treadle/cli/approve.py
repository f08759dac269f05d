"""`treadle approve`: show exactly what a run asks approval for, with its digest, and take a person's decision."""

from dataclasses import replace

import click
from rich.text import Text

from treadle.cli import screen
from treadle.cli.answer import tell_next
from treadle.cli.asking import Asker, LeftError, shown_thing
from treadle.cli.children import first_with, look
from treadle.cli.exits import PARKED, WAITING
from treadle.cli.frame import Frame, command, decider, find_run, person, refused
from treadle.cli.keyboard import Keyboard
from treadle.compose import OpenProject
from treadle.core.errors import RequestError
from treadle.view import ActionView, RunView


@command(
    examples="""\
treadle approve last
treadle approve run_7k2m request-approval --note "as discussed"
treadle approve last --reject --note "the second step is missing"
treadle approve last --yes""",
    keys="run, action, attempt, duplicate, status, next {kind, message, action, command, due_at, others, child}",
)
@click.argument("named", metavar="RUN")
@click.argument("action", required=False)
@click.option("--yes", "-y", is_flag=True, help="Approve without being asked; what is approved is shown all the same.")
@click.option("--reject", is_flag=True, help="Reject.")
@click.option("--note", default="", help="A note that is kept with the decision.")
async def approve(frame: Frame, named: str, action: str | None, *, yes: bool, reject: bool, note: str) -> int:
    """Decide what RUN (an id, the beginning of one, or `last`), or a child that it waits for, asks approval for.

    The decision is bound to the digest of exactly what is shown, and is of level `local`: it tells who the operating system says you are.
    """
    if yes and reject:
        raise RequestError("--yes and --reject exclude each other", code="usage", hint="give one of them")
    async with frame.open(what="approve") as opened:
        row = await find_run(opened.service, named)
        view = await first_with(opened, await look(opened, row.id), lambda each: each.kind == "approve" and action in {None, each.id})
        gate = _gate(view, action)
        gate = replace(gate, params={**gate.params, "show": await opened.service.filled(gate.params.get("show"))})
        if yes or reject or not screen.is_terminal():
            if not frame.json:
                _show(gate)
            _need_a_word(yes=yes, reject=reject)
            return await _decide(frame, opened, view, gate, approved=yes, note=note)
        try:
            said = await Asker(Keyboard()).ask(gate)
        except LeftError:
            return WAITING
        if said.kind == "park":
            await opened.service.park(view.run_id, person(opened.settings.people), said.text)
            return PARKED
        return await _decide(frame, opened, view, gate, approved=said.kind == "approve", note=note or said.text)


async def _decide(frame: Frame, opened: OpenProject, view: RunView, gate: ActionView, *, approved: bool, note: str) -> int:
    who = decider(opened.settings.people)
    offer = await opened.service.decide(view.run_id, gate.id, gate.digest or "", who, approved=approved, note=note)
    if offer.refusal is not None:
        raise refused(offer.refusal)
    await tell_next(frame, opened, offer, gate)
    return 0


def _gate(view: RunView, action: str | None) -> ActionView:
    gates = [a for a in view.actions if a.kind == "approve" and action in {None, a.id}]
    if len(gates) == 1:
        return gates[0]
    if not gates:
        what = f"`{action}` is no open approval" if action else f"nothing in {view.run_id} waits for approval"
        raise RequestError(f"{what}; the run is {view.status}", code="not_open", hint=f"treadle why {view.run_id}")
    names = ", ".join(gate.id for gate in gates)
    raise RequestError("several approvals are open", code="which_action", hint=f"name one: {names}")


def _show(gate: ActionView) -> None:
    screen.heading(Text.assemble(("to be approved: ", "cyan"), (gate.id, "bold cyan")))
    if gate.description:
        screen.say(screen.clean(gate.description), style="bright_black")
    screen.say(shown_thing(gate.params.get("show"), gate.digest))


def _need_a_word(*, yes: bool, reject: bool) -> None:
    if not (yes or reject):
        raise RequestError(
            "nobody is there to decide", code="no_decision", hint="say --yes or --reject; what is shown above is what is decided"
        )
