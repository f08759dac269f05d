"""`treadle run`: start a workflow, or go on with an unfinished run of it, and carry it on in this terminal."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click
from rich.text import Text

from treadle.authoring.find import Loaded
from treadle.authoring.problems import DefinitionError, render
from treadle.cli import screen, shape, values
from treadle.cli.asking import Asker, confirm
from treadle.cli.children import look, waits_for
from treadle.cli.dry_run import KEYS as DRY_RUN_KEYS
from treadle.cli.dry_run import dry_run, write_stubs
from treadle.cli.exits import WAITING, exit_code
from treadle.cli.frame import Frame, command, person, refused
from treadle.cli.keyboard import Keyboard
from treadle.cli.live import Show
from treadle.cli.performing import (
    Acks,
    Carried,
    Nobody,
    Performer,
    Person,
    Watch,
    carry_on,
    kept_and_open,
    listed,
)
from treadle.cli.script import FORM, Script, ScriptPerformer, read_script
from treadle.cli.show import print_result, unread_and_undo
from treadle.compose import OpenProject, branch_of, load_workflow
from treadle.core.definition import Definition
from treadle.core.errors import RequestError
from treadle.core.state import ENDED
from treadle.core.values import Json
from treadle.ports import RunMeta, RunQuery, RunRow
from treadle.view import RunView

TITLE_CHARS = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How a run is to be carried on."""

    script: Script | None = None
    offered: Script | None = None
    record: Path | None = None
    quiet: bool = False
    json: bool = False


@command(
    examples="""\
treadle run hello
treadle run planning:interactive -i task_description="Move to Python 3.13"
treadle run workflows/review.yaml --inputs inputs.yaml --script answers.yaml --json
treadle run nightly --detach
treadle run nightly --dry-run --stubs stubs.yaml
treadle run planning:interactive -i task_description="Move to Python 3.13" --resume""",
    keys=f"{shape.RUN_KEYS}. {DRY_RUN_KEYS}",
    more=FORM,
)
@click.argument("workflow")
@click.option("--input", "-i", "inputs", multiple=True, metavar="NAME=VALUE", help="An input; may be repeated.")
@click.option("--inputs", "file", metavar="FILE", help="Inputs from a JSON or YAML file; - is standard input.")
@click.option("--script", "script", metavar="FILE", help="Answers written down before, instead of a person.")
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with the newest unfinished run of this workflow and these inputs, if there is one.",
)
@click.option("--new", is_flag=True, help="Start a new run, without asking about an unfinished one.")
@click.option("--detach", is_flag=True, help="Start the run and leave it.")
@click.option("--title", default="", help="What to call the run in lists.")
@click.option(
    "--record",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Append a JSON line for each acknowledged answer.",
)
@click.option("--quiet", "-q", is_flag=True, help="Show nothing but the end.")
@click.option(
    "--dry-run", "dry", is_flag=True, help="Walk the run and show what it would do; nothing above `read` is done, nothing is stored."
)
@click.option("--stubs", metavar="FILE", help="With --dry-run: the answers that it goes by, as in a script.")
@click.option(
    "--stubs-init", "init", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="With --dry-run: write made-up answers for every action to a new file, and stop.",
)  # fmt: skip
@click.option(
    "--offer-script",
    "offered",
    metavar="FILE",
    hidden=True,
    help="Let a person say `s` at a question, for the answer of this script.",
)
async def run(
    frame: Frame, workflow: str, inputs: tuple[str, ...], file: str | None, script: str | None, *, resume: bool, new: bool, detach: bool,
    title: str, record: Path | None, quiet: bool, offered: str | None, dry: bool, stubs: str | None, init: Path | None,
) -> int:  # fmt: skip
    """Start WORKFLOW (a name or a file) and carry it on in this terminal.

    On a terminal you are asked for what the run needs; elsewhere it goes on until only a person or an agent can move it (exit code 3).
    """
    if dry or stubs is not None or init is not None:
        beside = {"--resume": resume, "--new": new, "--detach": detach, "--script": script is not None, "--record": record is not None}
        _check_dry(dry=dry, both=stubs is not None and init is not None, beside=[name for name, given in beside.items() if given])
        return await _dry(frame, workflow, inputs, file, stubs, init)
    if resume and new:
        raise RequestError("--resume and --new exclude each other", code="usage", hint="give one of them")
    how = How(
        script=read_script(script) if script is not None else None, offered=read_script(offered) if offered is not None else None,
        record=record, quiet=quiet, json=frame.json,
    )  # fmt: skip
    async with frame.open(serve=not detach, what="run", create=True) as opened:
        loaded = opened.load(workflow)
        definition = required(loaded)
        given = values.read_inputs(inputs, file, definition.main.inputs)
        opened.check_ready(definition)
        found = None if new else await _unfinished(opened, definition, given)
        if found is not None and (resume or await _wants_to_resume(found[1])):
            return await go_on(frame, opened, found[0].id, how, detach=detach)
        if resume:
            screen.errors().print("there is no unfinished run of this workflow with these inputs; a new one is started")
        _tell_file(how, loaded, workflow)
        run_id = await _start(opened, definition, given, title, how)
        if detach:
            return await leave(frame, opened, run_id)
        code = await carry(frame, opened, run_id, how, Watch(opened, run_id, Show.made(quiet=how.quiet, as_json=how.json)))
        _tell_unused(how)
        return code


def _check_dry(*, dry: bool, both: bool, beside: list[str]) -> None:
    if not dry:
        raise RequestError("--stubs and --stubs-init belong to --dry-run", code="usage", hint="a real run takes its answers from --script")
    if both:
        raise RequestError("--stubs and --stubs-init exclude each other", code="usage", hint="write the stubs first, then use them")
    if beside:
        hint = "answers of a dry run are its --stubs" if "--script" in beside else "a dry run leaves no run behind"
        raise RequestError(f"--dry-run does not go with {', '.join(beside)}", code="usage", hint=hint)


async def _dry(frame: Frame, workflow: str, inputs: tuple[str, ...], file: str | None, stubs: str | None, init: Path | None) -> int:
    loaded = load_workflow(frame.settings, workflow)
    definition = required(loaded)
    if init is not None:
        return write_stubs(frame, definition, init)
    given = values.read_inputs(inputs, file, definition.main.inputs)
    return await dry_run(frame, loaded, definition, given, stubs)


async def go_on(frame: Frame, opened: OpenProject, run_id: str, how: How, *, detach: bool) -> int:
    """Go on with a run that was started before: what is kept is said, then it is carried on."""
    service, who = opened.service, person(opened.settings.people)
    view = await service.look(run_id)
    if view.parked is not None:
        offer = await service.resume(run_id, who)
        view = await service.look(run_id) if offer.refusal is None else view
    if not how.json and not how.quiet and view.status not in ENDED:
        kept, rest = kept_and_open(view)
        screen.say(Text.assemble(("going on with ", "bold"), run_id, f" ({view.workflow}), at revision {view.revision}"))
        screen.say(f"  kept:     {listed(kept)}")
        screen.say(f"  will run: {listed(rest)}")
    if detach or view.status in ENDED:
        return await leave(frame, opened, run_id)
    watch = Watch(opened, run_id, Show.made(quiet=how.quiet, as_json=how.json))
    await watch.skip()
    return await carry(frame, opened, run_id, how, watch)


async def carry(frame: Frame, opened: OpenProject, run_id: str, how: How, watch: Watch) -> int:
    """Carry a run on in this process and tell how it stands then; gives the exit code."""
    acks = Acks(how.record)
    performer: Performer
    if how.script is not None:
        performer = ScriptPerformer(opened, run_id, how.script, person(opened.settings.people), acks)
    elif screen.is_terminal() and not how.json:
        performer = Person(watch, Asker(Keyboard(), how.offered), person(opened.settings.people), acks)
    else:
        performer = Nobody(opened, run_id)
    try:
        carried = await carry_on(watch, performer)
    except RequestError as error:
        if error.code != "script_has_no_answer":
            raise
        view = await look(opened, run_id)
        carried = Carried(view=view, wait=await waits_for(opened, view), left=False)
        screen.tell_error(error.code, error.message, error.hint)
    await _tell_end(frame, opened, carried)
    return exit_code(carried.view.status, carried.view.undo)


async def _tell_end(frame: Frame, opened: OpenProject, carried: Carried) -> None:
    view, wait = carried.view, carried.wait
    if frame.json:
        frame.print_json(await shape.run_json(opened.service, view))
        return
    screen.say()
    if view.status in ENDED:
        screen.say(Text.assemble(screen.mark(view.status), " ", (view.run_id, "bold"), " ", screen.worded(view.status)))
        if view.failure is not None:
            screen.say(
                f"  {screen.clean(view.failure.error_class)} in `{view.failure.step}`: {screen.clean(view.failure.message)}",
                style="red",
            )
        told = unread_and_undo(view)
        for line in told:
            screen.say(f"  {line}", style="yellow")
        await print_result(opened, view, full=True)
        return
    lead = "left as it is" if carried.left else str(view.status)
    screen.say(Text.assemble(screen.mark(view.status), " ", (view.run_id, "bold"), f" {lead}; {wait.message}"))
    if wait.command and not wait.command.startswith("treadle resume"):
        screen.say(f"  now:       {wait.command}")
    screen.say(f"  come back: treadle resume {view.run_id}")


async def leave(frame: Frame, opened: OpenProject, run_id: str) -> int:
    """Tell how a run stands that nobody carries on here; gives the exit code."""
    view = await look(opened, run_id)
    await _tell_end(frame, opened, Carried(view=view, wait=await waits_for(opened, view), left=view.status not in ENDED))
    return exit_code(view.status, view.undo) if view.status in ENDED else WAITING


def _tell_file(how: How, loaded: Loaded, workflow: str) -> None:
    """Say which file a name meant: one that hides another should not go unnoticed."""
    if not how.quiet and loaded.shown != workflow:
        out = screen.errors() if how.json else screen.console()
        out.print(Text(f"{screen.clean(loaded.name)} is {screen.clean(loaded.shown)}", style="bright_black"), soft_wrap=not out.is_terminal)


def required(loaded: Loaded) -> Definition:
    """Give the definition of a file. Raises RequestError that shows every fault of it."""
    try:
        return loaded.require()
    except DefinitionError as error:
        text = render([p for p in error.problems if p.severity == "error"], dict(loaded.sources))
        raise RequestError(
            f"{error.message.splitlines()[0]}\n\n{text}",
            code=error.code,
            hint="mend what is shown; nothing was started",
            details=error.details,
        ) from error


async def _start(opened: OpenProject, definition: Definition, given: Mapping[str, Json], title: str, how: How) -> str:
    project, who = opened.settings.project, person(opened.settings.people)
    opened.check_gates(definition, who.name, given)
    called = title or next((value for value in given.values() if isinstance(value, str)), "")
    meta = RunMeta(
        workflow=definition.name, title=screen.short(called, TITLE_CHARS), directory=str(project.root), branch=branch_of(project.root),
        started_by=who.name,
    )  # fmt: skip
    offer = await opened.service.start(definition, given, who, meta, env=opened.variables)
    if offer.refusal is not None:
        raise refused(offer.refusal)
    Acks(how.record).note("start", offer)
    return offer.run.run_id


async def _unfinished(opened: OpenProject, definition: Definition, given: Mapping[str, Json]) -> tuple[RunRow, RunView] | None:
    """Find the newest unfinished run of a workflow with the same inputs."""
    wanted = {name: rule["default"] for name, rule in definition.main.inputs.items() if "default" in rule} | dict(given)
    for row in await opened.engine.runs(RunQuery(words=definition.name, open_only=True)):
        if row.meta.workflow != definition.name:
            continue
        try:
            view = await opened.service.look(row.id)
        except RequestError:  # that run is damaged, and doctor says so; a new one is none the worse
            continue
        inputs = {name: value for name, value in view.inputs.items() if value is not None or name in wanted}
        if inputs == wanted:
            return row, view
    return None


async def _wants_to_resume(view: RunView) -> bool:
    """Ask on a terminal; elsewhere say that there is an unfinished run, and start a new one."""
    kept, _ = kept_and_open(view)
    about = f"{view.run_id} is unfinished ({view.status}, {len(kept)} of {len(view.steps)} steps kept), with the same inputs"
    if not screen.is_terminal():
        screen.errors().print(f"{about}; a new run is started. `--resume` goes on with it, `--new` says that you know", soft_wrap=True)
        return False
    screen.say(f"{about}.")
    return await confirm("Go on with it?", default=True)


def _tell_unused(how: How) -> None:
    """Name what of a script nothing asked for: a pattern that was mistyped would go unnoticed."""
    if how.script is not None and (unused := how.script.unused()):
        screen.errors().print(f"not used of the script: {listed(unused)}", soft_wrap=True)
