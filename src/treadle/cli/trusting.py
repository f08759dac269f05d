"""`treadle trust`: show the code that a project would run, and record that this user allows exactly that (ruling 58)."""

from pathlib import Path

import click
from rich.text import Text

from treadle import trust as trusting
from treadle.cli import screen
from treadle.cli.frame import Frame, command
from treadle.compose import trust_items
from treadle.config.origin import Problem
from treadle.core.errors import RequestError
from treadle.trust import TrustItem, TrustStore


@command(
    examples="treadle trust\ntreadle trust --list\ntreadle trust fix:bug /tmp/try.yaml\ntreadle trust --yes\ntreadle trust --revoke",
    keys="items [{kind, name, digest, state (trusted, new, changed), text}], accepted [names], problems [text]",
)
@click.option("--yes", "-y", is_flag=True, help="Allow all that is shown without being asked.")
@click.option("--list", "only_list", is_flag=True, help="Only list, with what is allowed.")
@click.option("--revoke", is_flag=True, help="Forget all that was allowed in this project.")
@click.argument("workflows", nargs=-1, metavar="[WORKFLOW]...")
def trust(frame: Frame, workflows: tuple[str, ...], *, yes: bool, only_list: bool, revoke: bool) -> int:
    """Show what this project would run (files of functions, MCP servers, commands of workflows), and allow it.

    WORKFLOW is the name of one of the library, or a file that does not stand where the project's workflows are.

    What you allow is bound to the content that is shown; a change asks again. It is kept outside of the project, for your account alone.
    """
    settings, store = frame.settings, trusting.user_store()
    if revoke:
        return _revoke(frame, store)
    servers = settings.servers()
    items = trust_items(settings, servers, [Path(each) if Path(each).is_file() else each for each in workflows])
    pending = store.pending(settings.project, items)
    wanted = [] if only_list else pending
    if not frame.json:
        _show_problems(servers.problems)
        _show(store, frame, items, wanted, only_list=only_list)
    accepted = wanted if wanted and _agreed(frame, wanted, yes=yes) else []
    if accepted:
        store.accept(settings.project, accepted)
    if frame.json:
        frame.print_json({
            "items": [{"kind": i.kind, "name": i.name, "digest": i.digest, "state": _state(store, frame, i), "text": i.text} for i in items],
            "accepted": [item.key for item in accepted], "problems": [str(problem) for problem in servers.problems],
        })  # fmt: skip
    elif accepted:
        screen.say(Text.assemble(screen.mark("completed"), f" allowed: {', '.join(item.name for item in accepted)}"))
    return 0 if only_list or len(accepted) == len(wanted) else 1


def _agreed(frame: Frame, wanted: list[TrustItem], *, yes: bool) -> bool:
    if yes:
        return True
    if frame.json or not screen.is_terminal():
        raise RequestError(
            f"{len(wanted)} item{'s' * (len(wanted) != 1)} would have to be allowed, and nobody is there to be asked",
            code="not_trusted", hint="look at them with `treadle trust --list`, then `treadle trust --yes`",
        )  # fmt: skip
    return click.confirm(f"Allow {'this' if len(wanted) == 1 else f'these {len(wanted)}'} to run on your account?", default=False)


def _revoke(frame: Frame, store: TrustStore) -> int:
    there = store.revoke(frame.settings.project)
    if frame.json:
        frame.print_json({"items": [], "accepted": [], "problems": [], "revoked": there})
    else:
        screen.say("Forgotten: nothing of this project is allowed any more." if there else "Nothing of this project was allowed.")
    return 0


def _show(store: TrustStore, frame: Frame, items: list[TrustItem], wanted: list[TrustItem], *, only_list: bool) -> None:
    if not items:
        screen.say("This project has no code to run: no functions/*.py, no MCP servers that a command starts, no workflow with commands.")
        return
    for item in items:
        state = _state(store, frame, item)
        word = {"trusted": "completed", "new": "waiting", "changed": "handling"}[state]
        screen.say(
            Text.assemble(
                screen.mark(word),
                f" {item.kind} ",
                (item.name, "bold"),
                f"  {state}  ",
                (item.digest[:19], "bright_black"),
            )
        )
        if item in wanted or (only_list and state != "trusted"):
            for line in screen.clean(item.text).splitlines():
                screen.say(f"    {line}")
    if not wanted and not only_list:
        screen.say("All of it is allowed already.")


def _show_problems(problems: tuple[Problem, ...]) -> None:
    for problem in problems:
        screen.say(screen.clean(str(problem)), style="yellow")


def _state(store: TrustStore, frame: Frame, item: TrustItem) -> str:
    project = frame.settings.project
    if store.allows(project, item):
        return "trusted"
    return "changed" if store.changed(project, item) else "new"
