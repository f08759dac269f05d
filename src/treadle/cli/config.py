"""`treadle config`: what is in force, where each value came from, and which files say so. A secret is never shown."""

import re
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import click
import orjson
from rich.text import Text

from treadle.cli import screen
from treadle.cli.frame import Frame, command, user_name
from treadle.cli.group import Group
from treadle.cli.people import person_json
from treadle.config.origin import Origin, did_you_mean
from treadle.config.people import TABLES as PEOPLE
from treadle.config.people import Person
from treadle.config.servers import TABLE_KEYS, Catalog, ServerSpec
from treadle.config.settings import KEYS, Key, Settings
from treadle.core.errors import RequestError
from treadle.core.values import Json

_BY_NAME: Final = {key.name: key for key in KEYS}
_REFERENCE: Final = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")
# An argument whose name says that its value is none of anybody's business.
_SENSITIVE: Final = re.compile(r"TOKEN|KEY|SECRET|PASS|CREDENTIAL|AUTH", re.IGNORECASE)


class Row(NamedTuple):
    """One line of what is shown: `name` is what `config show NAME` takes."""

    name: str
    value: object
    origin: str
    is_default: bool = False


@click.group(name="config", cls=Group, examples="treadle config show\ntreadle config show log.level\ntreadle config path")
def config() -> None:
    """What is in force here, and where it comes from."""


@command(
    examples="treadle config show\ntreadle config show log.level\ntreadle config show servers\nLOG_LEVEL=debug treadle config show log --json",
    keys="file, settings [{name, value, origin {kind, where}, default, doc, variables}], servers [{name, origin {file, line}, …}], "
    "people [{name, full_name, account, roles, you, line}], secrets [{name, kind, where, origin}], problems [text], warnings [text]",
)
@click.argument("name", required=False)
def show(frame: Frame, name: str | None) -> int:
    """Show every setting with value and origin.

    An origin is the default, treadle.toml with the line, an environment variable, or a flag. NAME is a setting (`log.level`), a table
    (`log`), `servers`, `people`, `secrets`, or one of them by name (`servers.web`). Of secrets it tells where treadle.toml finds them;
    `treadle secrets list` knows those of this account too.
    """
    settings = frame.settings
    catalog = settings.servers()
    wanted = _wanted(settings, catalog, name)
    if frame.json:
        frame.print_json(_as_json(settings, catalog, wanted))
        return 0
    rows = [row for row in _rows(settings, catalog) if wanted(row.name)]
    if len(rows) == 1 and rows[0].name == name:
        _print_one(rows[0])
    elif rows:
        _print(rows)
    else:
        screen.say(f"no {name} here", style="bright_black")
    if name is None:
        _notes(settings, catalog)
    return 0


@command(examples='treadle config path\n$EDITOR "$(treadle config path)"', keys="file, exists, project, store")
def path(frame: Frame) -> None:
    """Print where treadle.toml is, or would be."""
    project = frame.settings.project
    if frame.json:
        frame.print_json({
            "file": str(project.config_file), "exists": project.config_file.is_file(), "project": str(project.root), "store": str(project.store_dir),
        })  # fmt: skip
        return
    screen.say(Text(str(project.config_file)))


def _wanted(settings: Settings, catalog: Catalog, name: str | None) -> Callable[[str], bool]:
    """Give the test of what is to be shown. Raises RequestError `unknown_setting`."""
    rows = [row.name for row in _rows(settings, catalog)]
    parts = dict.fromkeys(".".join(row.split(".")[:depth]) for row in rows for depth in (1, 2, 3))
    known = [*parts, "servers", "people", "secrets"]
    if name is not None and name not in known:
        hint = did_you_mean(name, known) or f"there are: {', '.join(dict.fromkeys(part.split('.')[0] for part in known))}"
        raise RequestError(f"there is no setting {name!r}", code="unknown_setting", hint=hint)
    return lambda row: name is None or row == name or row.startswith(f"{name}.")


def _rows(settings: Settings, catalog: Catalog) -> Iterator[Row]:
    for name, value, origin in settings.shown():
        yield Row(name, value, str(origin), origin.kind == "default")
    for server in catalog.specs.values():
        for key, (value, place) in shown_server(server).items():
            yield Row(f"servers.{server.name}.{key}", value, place)
    for person in settings.people.by_name.values():
        for key, (value, place) in _shown_person(person, settings.project.config_file.name).items():
            yield Row(f"people.{person.name}.{key}", value, place)
    # Where a value is found; the value itself is none of this command's business.
    for secret in settings.secrets.values():
        yield Row(f"secrets.{secret.name}.{secret.kind}", secret.where, f"file {secret.origin}")


def shown_server(server: ServerSpec) -> dict[str, tuple[Json, str]]:
    """Give what an entry says, by key, as it would be written, with its place; what may be a credential is hidden."""
    own = f"file {server.file}:{server.line}"
    found: dict[str, Json] = {"url": _without_query(server.url)} if server.transport == "http" else {"command": server.command}
    for key, table_key in TABLE_KEYS.items():
        value: Any = getattr(server, table_key.field)
        if key == "command" or value == _DEFAULTS[table_key.field]:
            continue
        if key == "args":
            found[key] = list(_without_credentials(server.args))
        elif key == "env":
            found[key] = {name: _referred(secret.reveal()) for name, secret in server.env.items()}
        else:
            found[key] = table_key.form.write(value)
    places = {key: server.places.get(table_key.field, "") for key, table_key in TABLE_KEYS.items()}
    return {key: (value, f"file {places[key]}" if places.get(key) else own) for key, value in found.items()}


_DEFAULTS: Final = {name: getattr(ServerSpec(name="", file=""), name) for name in ServerSpec.__dataclass_fields__}


def _without_credentials(words: tuple[str, ...]) -> Iterator[str]:
    hide = False
    for word in words:
        name, equals, value = word.partition("=")
        if hide and not word.startswith("-"):
            yield _referred(word)
        elif "://" in name:
            yield _without_query(word)
        elif equals and _SENSITIVE.search(name):
            yield f"{name}={_referred(value)}"
        else:
            yield f"{name}={_without_query(value)}" if "://" in value else word
        hide = not equals and word.startswith("-") and _SENSITIVE.search(word) is not None


def _without_query(url: str) -> str:
    """Hide what an address carries of credentials: user, query, fragment."""
    address, mark, _ = re.sub(r"//[^/?#@]*@", "//***@", url).partition("?")
    return f"{address.partition('#')[0]}{mark and '?***'}"


def _referred(text: str) -> str:
    """Show a plain `${VAR}`, which says no more than a name, and hide all else."""
    return text if _REFERENCE.fullmatch(text) else "***"


def _shown_person(person: Person, file: str) -> dict[str, tuple[Json, str]]:
    own = f"file {file}:{person.line}"
    found: dict[str, Json] = {"name": person.full_name, "user": person.account, "roles": list(person.roles)}
    places = {key: person.places.get(table_key.field, "") for key, table_key in PEOPLE.keys.items()}
    return {
        key: (value, f"file {places[key]}" if places[key] else "default" if key == "user" else own) for key, value in found.items() if value
    }


def _as_json(settings: Settings, catalog: Catalog, wanted: Callable[[str], bool]) -> dict[str, Any]:
    file = settings.project.config_file.name
    return {
        "file": str(settings.project.config_file),
        "settings": [_setting_json(_BY_NAME[name], value, origin) for name, value, origin in settings.shown() if wanted(name)],
        "servers": [
            {"name": name, "origin": {"file": spec.file, "line": spec.line}} | {key: value for key, (value, _) in shown_server(spec).items()}
            for name, spec in catalog.specs.items() if any(wanted(f"servers.{name}.{key}") for key in shown_server(spec))
        ],
        "people": [
            person_json(person, user_name()) for name, person in settings.people.by_name.items()
            if any(wanted(f"people.{name}.{key}") for key in _shown_person(person, file))
        ],
        "secrets": [
            {"name": s.name, "kind": s.kind, "where": s.where, "origin": s.origin}
            for s in settings.secrets.values() if wanted(f"secrets.{s.name}.{s.kind}")
        ],
        "problems": [str(problem) for problem in catalog.problems],
        "warnings": list(settings.warnings),
    }  # fmt: skip


def _setting_json(key: Key, value: object, origin: Origin) -> dict[str, Any]:
    return {
        "name": key.name, "value": value, "origin": {"kind": origin.kind, "where": origin.where or None},
        "default": key.form.write(key.default), "doc": key.doc, "variables": list(key.variables),
    }  # fmt: skip


def _print(rows: list[Row]) -> None:
    cells = [
        [
            Text(row.name, style="" if row.is_default else "bold"), Text(_written(row.value), style="" if row.is_default else "cyan"),
            Text(row.origin, style="bright_black"),
        ]
        for row in rows
    ]  # fmt: skip
    screen.say(screen.table(["setting", "value", "from"], cells, wide=(1, 0)))


def _print_one(row: Row) -> None:
    """Show one value whole, however long it is."""
    screen.say(Text.assemble((row.name, "bold"), " = ", (_written(row.value), "cyan")))
    screen.say(f"  from:      {row.origin}")
    key = _BY_NAME.get(row.name)
    if key is not None:
        screen.say(f"  meaning:   {key.doc} ({key.form.words.replace('`', '')}; by default {_written(key.form.write(key.default))})")
        screen.say(f"  variables: {', '.join(key.variables)}")


def _notes(settings: Settings, catalog: Catalog) -> None:
    for problem in catalog.problems:
        screen.say(f"warning: {screen.clean(str(problem))}", style="yellow")
    if not settings.project.config_file.is_file():
        screen.say(f"There is no {settings.project.config_file.name} here; `treadle init` writes one.", style="bright_black")


def _written(value: object) -> str:
    return screen.clean(orjson.dumps(value).decode(), lines=False)


config.add_command(show, "show")
config.add_command(path, "path")
