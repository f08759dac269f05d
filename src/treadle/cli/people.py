"""`treadle people`: who may decide what, and which of them sits here."""

import click
from rich.text import Text

from treadle.cli import screen
from treadle.cli.frame import Frame, command, user_name
from treadle.cli.group import Group
from treadle.config.people import Person
from treadle.core.values import Json


@click.group(name="people", cls=Group, examples="treadle people list\ntreadle people list --json")
def people() -> None:
    """Who may decide what a gate asks: tables [people.NAME] of treadle.toml."""


@command(
    name="list",
    examples="treadle people list\ntreadle people list --json",
    keys="configured, account, you (a name, or null), people [{name, full_name, account, roles, you, line}]",
)
def list_people(frame: Frame) -> None:
    """List the people of treadle.toml with their roles and accounts, and say who you are."""
    everybody, account = frame.settings.people, user_name()
    you = everybody.of_account(account)
    if frame.json:
        frame.print_json({
            "configured": bool(everybody), "account": account, "you": you.name if you is not None else None,
            "people": [person_json(person, account) for person in everybody.by_name.values()],
        })  # fmt: skip
        return
    if not everybody:
        screen.say(f"treadle.toml names no people: every account of this machine may decide, and nobody has a role. You are `{account}`.")
        screen.say('A table such as [people.alice] with `roles = ["reviewer"]` makes those listed the only ones who approve.')
        return
    cells = [
        [
            Text(person.name, style="bold" if person.account == account else ""), Text(", ".join(person.roles) or "-"),
            Text(screen.clean(person.account, lines=False)), Text("you" if person.account == account else "", style="cyan"),
            Text(screen.clean(person.full_name, lines=False), style="bright_black"),
        ]
        for person in everybody.by_name.values()
    ]  # fmt: skip
    screen.say(screen.table(["name", "roles", "account", "", "called"], cells, wide=(4, 1)))
    if you is None:
        screen.say(
            f"You are the account `{account}`, which is nobody's here: you can start and answer runs, and cannot approve.", style="yellow"
        )


def person_json(person: Person, account: str) -> dict[str, Json]:
    """Give the shape that `--json` prints."""
    return {
        "name": person.name, "full_name": person.full_name or None, "account": person.account, "roles": list(person.roles),
        "you": person.account == account, "line": person.line,
    }  # fmt: skip


people.add_command(list_people, "list")
