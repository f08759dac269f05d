"""`treadle secrets`: set, list and remove the secrets that workflows name. A value is typed unseen or piped in, and never shown again."""

import getpass
import os
import sys
import warnings
from pathlib import Path
from typing import Final

import click
from rich.text import Text

from treadle.cli import screen
from treadle.cli.frame import Frame, command
from treadle.cli.group import Group
from treadle.compose import secrets_of, secrets_used
from treadle.config import secret_file, secret_keyring
from treadle.config.secret import Secret
from treadle.config.secret_store import Entry
from treadle.config.secrets import BYTES_MAX, KEYRING, NAME, VARIABLE, Secrets, sound
from treadle.core.errors import RequestError

# A terminal hands over lines of at most so many bytes, and cuts longer ones.
TYPED_BYTES_MAX: Final = 4_095


@click.group(
    name="secrets", cls=Group,
    examples='treadle secrets set API_TOKEN\nprintf %s "$TOKEN" | treadle secrets set API_TOKEN\n'
    "treadle secrets set API_TOKEN --from env:MY_TOKEN\ntreadle secrets list\ntreadle secrets remove API_TOKEN",
)  # fmt: skip
def secrets() -> None:
    """Keep what workflows may use and nobody may see: `{{ secrets.NAME }}` in `parameters`, `headers`, `json`, `body`, `env`."""


@command(
    name="set",
    examples="treadle secrets set API_TOKEN\npass show api | treadle secrets set API_TOKEN\n"
    "treadle secrets set API_TOKEN --from env:MY_TOKEN\ntreadle secrets set API_TOKEN --from file:~/.config/api-token\n"
    "treadle secrets set API_TOKEN --from keyring\ntreadle secrets set API_TOKEN --from keyring:api.example.org/me",
    keys="name, from, origin (this account), replaced, present, hides",
)
@click.argument("name", metavar="NAME")
@click.argument("given", metavar="", nargs=-1)
@click.option(
    "--from",
    "place",
    metavar="PLACE",
    help="env[:VARIABLE], file:PATH, or keyring[:SERVICE/NAME]; without it the value is kept for this account.",
)
def set_secret(frame: Frame, *, name: str, given: tuple[str, ...], place: str | None) -> None:
    """Set NAME for this project and your account: type its value unseen, pipe it in, or say by --from where it is.

    A value has 6 to 32,768 bytes of text; one line end at its end is not part of it. It is kept outside of the project, in a file that you alone
    can read; with `--from keyring` in the keyring. `env:`, `file:` and `keyring:SERVICE/NAME` keep no value, only where it is.
    """
    if given:
        message = "a value is never an argument: other programs see it, and the shell keeps it. Type it when asked, or pipe it in"
        raise _usage(message)
    _check_name(name)
    found = secrets_of(frame.settings, os.environ)
    before = _entry(found, name)
    entry = _kept_entry(found, name, place) if place in {None, "keyring"} else _pointing_entry(frame, name, str(place))
    found.store.set(entry)
    if before is not None and before.owns and not entry.owns:
        _forget_in_keyring(before)
    _tell_set(frame, found, name, replaced=before is not None)


@command(
    name="list",
    examples="treadle secrets list\ntreadle secrets list --json",
    keys="secrets [{name, from, origin, hides, present, problem {code, message, hint}, workflows}]",
)
def list_secrets(frame: Frame) -> None:
    """List the secrets that are set or used: where each is found, whether a value is there now, and who uses it. Values are not shown."""
    found, used = secrets_of(frame.settings, os.environ), secrets_used(frame.settings)
    names = sorted({*found.names(), *used})
    rows = [_row(found, name, used.get(name, [])) for name in names]
    if frame.json:
        frame.print_json({"secrets": rows})
        return
    if not rows:
        screen.say("No secret is set, and no workflow uses one.")
        return
    cells = [
        [
            Text(str(row["name"]), style="bold"), screen.worded("completed", "there") if row["present"] else screen.worded("failed", "not there"),
            Text(_where(row), style="bright_black"), Text(", ".join(used.get(str(row["name"]), [])) or "-"),
        ]
        for row in rows
    ]  # fmt: skip
    screen.say(screen.table(["name", "value", "where", "used by"], cells, wide=(2, 3)))
    for row in rows:
        problem = row["problem"]
        if isinstance(problem, dict):
            screen.say(Text.assemble(screen.mark("failed"), f" {screen.clean(str(problem['message']))} [{problem['code']}]"))
            screen.say(f"    {screen.clean(str(problem['hint']))}", style="bright_black")


@command(
    name="remove",
    examples="treadle secrets remove API_TOKEN",
    keys="name, removed, left (where treadle.toml still says that it is found, or null)",
)
@click.argument("name", metavar="NAME")
def remove(frame: Frame, *, name: str) -> None:
    """Undo `set`: forget NAME for this project and your account. What only its place was kept of (a variable, a file) stays as it is."""
    _check_name(name)
    found = secrets_of(frame.settings, os.environ)
    in_file = frame.settings.secrets.get(name)
    if name not in found.store.names():
        if in_file is not None:
            raise RequestError(
                f"{name} is set by {in_file.origin}, not by `secrets set`",
                code="secret_in_file",
                hint=f"delete it there ({in_file.origin})",
            )
        raise RequestError(f"the secret {name} is not set here", code="unknown_secret", hint="`treadle secrets list` shows those that are")
    before = _entry(found, name)
    if before is not None and before.owns:
        _forget_in_keyring(before)
    found.store.remove(name)
    if frame.json:
        frame.print_json({"name": name, "removed": True, "left": str(in_file) if in_file is not None else None})
        return
    left = f"; {in_file.origin} still says where it is found: {in_file}" if in_file is not None else ""
    screen.say(Text.assemble(screen.mark("completed"), f" {name} is forgotten{left}"))


secrets.add_command(set_secret, "set")
secrets.add_command(list_secrets, "list")
secrets.add_command(remove, "remove")


def _usage(message: str) -> click.UsageError:
    return click.UsageError(message, click.get_current_context(silent=True))


def _check_name(name: str) -> None:
    if NAME.fullmatch(name) is None:
        raise RequestError(
            "this can be no name of a secret", code="bad_secret", hint="letters, digits and `_`, at most 64, no digit first: `treadle secrets set API_TOKEN`"
        )  # fmt: skip


def _entry(found: Secrets, name: str) -> Entry | None:
    """Read what is there; an entry that cannot be read is replaced or removed as well."""
    try:
        return found.store.entry(name)
    except RequestError:
        return None


def _kept_entry(found: Secrets, name: str, place: str | None) -> Entry:
    """Take the value in, and keep it: with the entry, or in the keyring."""
    if place is None:
        return Entry(name=name, kind="value", secret=_asked(name))
    where = f"treadle/{found.store.id}/{name}"
    service, _, account = where.rpartition("/")
    secret_keyring.get(service, account)  # before anything is typed: is there a keyring at all?
    secret_keyring.set_entry(service, account, _asked(name).reveal())
    return Entry(name=name, kind="keyring", where=where, owns=True)


def _pointing_entry(frame: Frame, name: str, place: str) -> Entry:
    """Take in where the value is; a file that could not be used is refused at once."""
    kind, colon, where = place.partition(":")
    if kind == "file" and where:
        path = Path(where).expanduser().absolute()
        sound(secret_file.read(path, frame.settings.project.root, BYTES_MAX + 2), f"the file {path}")
        return Entry(name=name, kind="file", where=str(path))
    form = {"env": VARIABLE, "keyring": KEYRING}.get(kind)
    if form is None:
        raise _usage("--from is env[:VARIABLE], file:PATH, or keyring[:SERVICE/NAME]")
    try:
        return Entry(name=name, kind=kind, where=form.read(where if colon else name))
    except ValueError as error:
        raise _usage(f"--from {kind}: {error}") from error


def _asked(name: str) -> Secret:
    """Have the value typed, unseen, or read what is piped in."""
    if not sys.stdin.isatty():
        return sound(sys.stdin.buffer.read(BYTES_MAX + 3), f"the value of {name}")
    with warnings.catch_warnings():
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            typed = getpass.getpass(f"Value of {name} (not shown): ")
        except getpass.GetPassWarning:
            raise RequestError("this terminal would show what is typed", code="bad_secret", hint="pipe the value in") from None
        except EOFError:
            typed = ""
    if len(typed.encode()) >= TYPED_BYTES_MAX:
        raise RequestError(
            "the terminal has cut what was typed", code="secret_too_long", hint=f"pipe it in: `treadle secrets set {name} < FILE`"
        )
    return sound(typed, f"the value of {name}")


def _forget_in_keyring(entry: Entry) -> None:
    service, _, account = entry.where.rpartition("/")
    secret_keyring.delete(service, account)


def _tell_set(frame: Frame, found: Secrets, name: str, *, replaced: bool) -> None:
    row = _row(found, name, [])
    if frame.json:
        frame.print_json({key: row[key] for key in ("name", "from", "origin", "present", "hides")} | {"replaced": replaced})
        return
    screen.say(Text.assemble(screen.mark("completed"), f" {name} is {'replaced' if replaced else 'set'}: {_where(row)}"))
    problem = row["problem"]
    if isinstance(problem, dict):
        screen.say(f"  there is no value yet: {screen.clean(str(problem['message']))}", style="yellow")


def _row(found: Secrets, name: str, workflows: list[str]) -> dict[str, object]:
    problem: dict[str, object] | None = None
    source = None
    try:
        source = found.source(name)
        found.get(name)
    except RequestError as error:
        problem = {"code": error.code, "message": error.message, "hint": error.hint}
    return {
        "name": name, "from": str(source) if source is not None else None, "origin": source.origin if source is not None else None,
        "hides": (source.hides or None) if source is not None else None, "present": problem is None, "problem": problem, "workflows": workflows,
    }  # fmt: skip


def _where(row: dict[str, object]) -> str:
    if row["from"] is None:
        return "not set"
    hides = f", hides {row['hides']}" if row["hides"] else ""
    said = "" if row["origin"] == "this account" and str(row["from"]).endswith("this account") else f" ({row['origin']})"
    return screen.clean(f"{row['from']}{said}{hides}")
