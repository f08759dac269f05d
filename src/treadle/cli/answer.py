"""`treadle answer`: give a run what one of its open actions asks for, or say what became of one whose performer was lost."""

import asyncio
from dataclasses import dataclass, replace
from typing import Literal, cast

import click
from rich.text import Text

from treadle.cli import screen, shape, values
from treadle.cli.asking import Asker, LeftError, Said
from treadle.cli.children import first_with, look, waits_for
from treadle.cli.exits import WAITING
from treadle.cli.frame import Frame, command, find_run, person, refused
from treadle.cli.keyboard import Keyboard
from treadle.cli.performing import asks_somebody, let_go
from treadle.cli.values import NotFittingError
from treadle.compose import OpenProject
from treadle.core.errors import Failure, RequestError
from treadle.core.values import Json, Value
from treadle.engine.service import Offer
from treadle.view import ActionView, RunView


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What the command line says about the answer."""

    text: str | None
    json_text: str | None
    file: str | None
    cannot: str | None
    outcome: str | None
    take_over: bool


@command(
    examples="""\
treadle answer last "The one for Python 3.13"
treadle answer run_7k2m gather-requirements --file requirements.md
treadle answer last research[2]/read-sources --json-value '{"findings": [], "confidence": "low"}'
treadle answer last fix --cannot "the test needs a network"
treadle answer last save-to-memory --done""",
    keys="run, action, attempt, duplicate, status, next {kind, message, action, command, due_at, others, child}",
)
@click.argument("named", metavar="RUN")
@click.argument("action", required=False)
@click.argument("value", required=False)
@click.option("--json-value", metavar="JSON", help="The answer as JSON.")
@click.option(
    "--file",
    metavar="FILE",
    help="The answer from a file: JSON where JSON is expected, else text; - is standard input.",
)
@click.option("--cannot", metavar="REASON", help="It cannot be done; the step fails with this reason.")
@click.option(
    "--done",
    "outcome",
    flag_value="done",
    help="Outcome unknown: it was done (with VALUE or --json-value, its result).",
)
@click.option("--not-done", "outcome", flag_value="not_done", help="Outcome unknown: it was not done, and may be done again.")
@click.option("--failed", "outcome", flag_value="failed", help="Outcome unknown: let the step fail.")
@click.option("--take-over", is_flag=True, help="Take the action from whoever holds it.")
async def answer(
    frame: Frame, named: str, action: str | None, value: str | None, *, json_value: str | None, file: str | None, cannot: str | None,
    outcome: str | None, take_over: bool,
) -> int:  # fmt: skip
    """Answer an open action of RUN (an id, the beginning of one, or `last`), or of a child that it waits for.

    ACTION may be left out where only one is open; then a single further word is the answer. Without an answer you are asked, on a terminal.
    """
    async with frame.open(what="answer") as opened:
        row = await find_run(opened.service, named)
        view = await _meant(opened, await look(opened, row.id), action)
        chosen, text = _choose(view, action, value)
        given = Given(text=text, json_text=json_value, file=file, cannot=cannot, outcome=outcome, take_over=take_over)
        offer = await _give(opened, view, chosen, given)
        if offer is None:
            return WAITING
        return await _told(frame, opened, chosen, offer)


async def _meant(opened: OpenProject, view: RunView, action: str | None) -> RunView:
    """Find the run that is to be answered: RUN itself, or a child that it waits for."""
    named = await first_with(opened, view, lambda each: each.id == action)
    return named if any(each.id == action for each in named.actions) else await first_with(opened, view, asks_somebody)


def _choose(view: RunView, action: str | None, value: str | None) -> tuple[ActionView, str | None]:
    """Find the action that is meant, and the answer's text. Raises RequestError."""
    open_ones = [a for a in view.actions if asks_somebody(a) and (a.kind != "approve" or a.waits_for == "outcome")]
    found = next((a for a in open_ones if a.id == action), None)
    if found is not None:
        return found, value
    gate = next((a for a in view.actions if a.id == action and a.kind == "approve"), None)
    if gate is not None or (action is None and not open_ones and any(a.kind == "approve" for a in view.actions)):
        raise RequestError("that is a decision", code="needs_decision", hint=f"`treadle approve {view.run_id}` shows it and takes it")
    if len(open_ones) == 1 and (action is None or value is None):
        # One word that names no action is the answer itself.
        return open_ones[0], action
    names = ", ".join(a.id for a in open_ones[:12])
    if action is not None and value is not None:
        raise RequestError(f"no action {action!r} waits for an answer", code="not_open", hint=f"open: {names or 'none'}")
    if not open_ones:
        raise RequestError(
            f"nothing in {view.run_id} waits for an answer; it is {view.status}",
            code="not_open",
            hint=f"treadle why {view.run_id}",
        )
    raise RequestError("several actions wait for an answer", code="which_action", hint=f"name one: {names}")


async def _give(opened: OpenProject, view: RunView, action: ActionView, given: Given) -> Offer | None:
    service, who, run_id = opened.service, person(opened.settings.people), view.run_id
    if action.waits_for == "outcome":
        return await _resolve(opened, view, action, given)
    if given.outcome is not None:
        raise RequestError(
            f"the outcome of `{action.id}` is not in doubt",
            code="not_unknown",
            hint="answer it, or leave out --done, --not-done, --failed",
        )
    # What is wrong with the answer is told before anything is taken: nobody else is kept from the action by it.
    said = _read(replace(action, params=await _whole(opened, action)), given)
    held = await _take(opened, view, action, take_over=given.take_over)
    if said is None:
        said = await _asked(opened, view, held)
    if said.kind == "park":
        return await service.park(run_id, who, said.text)
    failure = Failure(error_class="failed", message=said.text, step=held.id) if said.kind == "cannot" else None
    return await service.submit(run_id, held.id, held.attempt, who, value=said.value, failure=failure, token=held.channel, then_next=False)


async def _whole(opened: OpenProject, action: ActionView) -> dict[str, Value]:
    return {name: await opened.service.filled(value) for name, value in action.params.items()}


async def _resolve(opened: OpenProject, view: RunView, action: ActionView, given: Given) -> Offer | None:
    if given.outcome is None:
        if not screen.is_terminal():
            raise RequestError(
                f"nobody knows whether `{action.id}` was done", code="outcome_unknown",
                hint="look, and say --done, --not-done or --failed",
            )  # fmt: skip
        try:
            said = await Asker(Keyboard()).ask(action)
        except LeftError:
            return None
    else:
        text = given.json_text if given.json_text is not None else given.text
        value = values.read_json(text) if text is not None else None
        said = Said(kind=given.outcome, value=value, text=given.cannot or "")
    if said.kind not in {"done", "not_done", "failed"}:
        return None
    kind = cast(Literal["done", "not_done", "failed"], said.kind)
    return await opened.service.resolve(
        view.run_id,
        action.id,
        action.attempt,
        person(opened.settings.people),
        kind,
        value=said.value,
        note=said.text,
    )


async def _take(opened: OpenProject, view: RunView, action: ActionView, *, take_over: bool) -> ActionView:
    offer = await opened.service.next_step(
        view.run_id, person(opened.settings.people), token=action.channel, action=action.id, take_over=take_over
    )
    if offer.action is None:
        refusal = offer.refusal
        if refusal is None:
            raise RequestError(f"`{action.id}` is not open any more", code="not_open", hint=f"treadle why {view.run_id}")
        hint = "`--take-over` takes it from whoever holds it" if refusal.code == "held" else refusal.hint
        raise RequestError(refusal.message, code=refusal.code, hint=hint, details=refusal.details)
    return offer.action


def _read(action: ActionView, given: Given) -> Said | None:
    """Read the answer from the command line; None where a person has to be asked. Raises RequestError `bad_answer`, `no_answer`."""
    if given.cannot is not None:
        return Said(kind="cannot", text=given.cannot)
    try:
        if given.json_text is not None:
            value: Json = values.read_json(given.json_text)
            values.check_answer(action.expected, value)
            return Said(kind="value", value=value)
        text = given.text
        if given.file is not None:
            text = values.read_bytes_of(given.file).decode("utf-8", "replace").rstrip("\n")
        if text is not None:
            return Said(kind="value", value=values.read_answer(action.kind, action.params, action.expected, text))
    except NotFittingError as error:
        raise RequestError(
            f"the answer to `{action.id}` does not fit: {error}", code="bad_answer", hint="nothing was sent; answer again",
            details={"expected": action.expected},
        ) from error  # fmt: skip
    if action.kind == "prompt" and action.params.get("format") == "info":
        return Said(kind="value")
    if not screen.is_terminal():
        raise RequestError("there is no answer", code="no_answer", hint="give VALUE, --json-value, --file or --cannot")
    return None


async def _asked(opened: OpenProject, view: RunView, action: ActionView) -> Said:
    """Ask at the terminal. Raises RequestError `no_answer` when the person leaves; the action is free again then."""
    try:
        return await Asker(Keyboard()).ask(action)
    except (LeftError, asyncio.CancelledError) as left:
        await let_go(opened, view.run_id, action, person(opened.settings.people).name)
        if isinstance(left, LeftError):
            raise RequestError("left without an answer", code="no_answer", hint=f"treadle answer {view.run_id} {action.id}") from None
        raise


async def _told(frame: Frame, opened: OpenProject, action: ActionView, offer: Offer) -> int:
    refusal = offer.refusal
    if refusal is not None:
        raise refused(refusal)
    await tell_next(frame, opened, offer, action)
    return 0


async def tell_next(frame: Frame, opened: OpenProject, offer: Offer, action: ActionView) -> None:
    """Say that it was taken, and what the run waits for now."""
    view = await look(opened, offer.run.run_id)
    wait = await waits_for(opened, view)
    if frame.json:
        frame.print_json({
            "run": view.run_id, "action": action.id, "attempt": action.attempt, "duplicate": offer.duplicate, "status": view.status,
            "next": shape.wait_json(view, wait),
        })  # fmt: skip
        return
    again = " (it had been answered so before)" if offer.duplicate else ""
    screen.say(Text.assemble(screen.mark("completed"), f" {action.id} is answered{again}"))
    screen.say(Text.assemble(screen.mark(view.status), f" {view.run_id} is ", screen.worded(view.status), f": {wait.message}"))
    if wait.command:
        screen.say(f"  next: {wait.command}")
