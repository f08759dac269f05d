"""`treadle signal`: send a run a message; a `wait` for it takes it, now or later."""

import click
from rich.text import Text

from treadle.cli import screen, values
from treadle.cli.frame import Frame, command, find_run, person
from treadle.cli.moving import tell
from treadle.cli.values import NotFittingError
from treadle.core.definition import Definition, Wait
from treadle.core.errors import RequestError
from treadle.core.nearest import nearest
from treadle.core.values import Json
from treadle.engine.service import Offer


@command(
    examples="""\
treadle signal last build-finished
treadle signal run_7k2m build-finished --payload '{"ok": true}'
treadle signal run_7k2m build-finished --payload @result.yaml
ci-report --json | treadle signal run_7k2m build-finished --payload -""",
    keys="run, status, signal, taken_by (the step that took it, or null: it is kept), next {kind, message, action, command, due_at, others, child}",
)
@click.argument("named", metavar="RUN")
@click.argument("name")
@click.option("--payload", metavar="JSON|@FILE|-", help="What it carries: JSON, a JSON or YAML file, or standard input.")
async def signal(frame: Frame, named: str, name: str, *, payload: str | None) -> None:
    """Send RUN (an id, the beginning of one, or `last`) the signal NAME.

    One signal ends one wait. What nothing waits for yet is kept until a step does, first in first out.
    """
    given = _payload(payload)
    async with frame.open(what="signal") as opened:
        row = await find_run(opened.service, named)
        definition = (await opened.engine.snapshot(row.id)).definition
        _check_name(row.id, definition, name)
        offer = await opened.service.signal(row.id, name, person(opened.settings.people), given)
        _check_taken(offer, name)
        if not frame.json:
            said = f" took `{name}`" if offer.taken_by else f" `{name}` is kept until a step waits for it"
            screen.say(Text.assemble(screen.mark("completed"), f" {offer.taken_by}" if offer.taken_by else "", said))
        await tell(frame, opened, offer, signal=name, taken_by=offer.taken_by)


def _payload(text: str | None) -> Json:
    if text is None:
        return None
    if text == "-" or text.startswith("@"):
        return values.read_file(text.removeprefix("@"))
    try:
        return values.read_json(text)
    except NotFittingError as error:
        raise RequestError(
            f"--payload is no JSON: {error}", code="bad_payload", hint="text stands in quotes of its own: --payload '\"done\"'"
        ) from error


def _check_name(run_id: str, definition: Definition, name: str) -> None:
    """Refuse a name that no step can ever wait for: the signal would be kept and never be read."""
    known = signals_of(definition)
    if name in known:
        return
    meant = nearest(name, known)
    listed = f"it waits for: {', '.join(known)}" if known else "it waits for no signal at all"
    raise RequestError(
        f"no step of {run_id} ({definition.name}) waits for a signal `{name}`; nothing was sent", code="unknown_signal",
        hint=f"did you mean `{meant}`?" if meant else listed,
    )  # fmt: skip


def signals_of(definition: Definition) -> list[str]:
    """Give the names of the signals that some step of a workflow waits for."""
    specs = (step.spec for step in definition.index.steps.values())
    return list(dict.fromkeys(spec.signal for spec in specs if isinstance(spec, Wait) and spec.signal is not None))


def _check_taken(offer: Offer, name: str) -> None:
    refusal = offer.refusal
    if refusal is None:
        return
    hint = refusal.hint
    if refusal.code == "invalid_signal":
        faults = (refusal.details or {}).get("faults")
        rest = [str(fault) for fault in faults[1:]] if isinstance(faults, list) else []
        hint = "nothing was sent; give another --payload" + "".join(f"\n  also: {fault}" for fault in rest)
    elif refusal.code == "mailbox_full":
        hint = f"`treadle why {offer.run.run_id}` says what the run waits for; signals of other names are not what it is after"
    elif refusal.code == "run_ended":
        hint = f"`treadle show {offer.run.run_id}` shows how it ended; the signal `{name}` was not kept"
    raise RequestError(refusal.message, code=refusal.code, hint=hint, details=refusal.details)
