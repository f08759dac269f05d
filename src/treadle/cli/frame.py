"""What every command shares: `--project`, `--json`, the open project, who is asking, which run is meant, and how JSON is printed."""

import asyncio
import contextlib
import functools
import inspect
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import orjson

from treadle import log
from treadle.cli.group import Command
from treadle.compose import OpenProject, locate, open_project
from treadle.config.people import People
from treadle.config.settings import Settings
from treadle.core.errors import Refusal, RequestError
from treadle.core.events import Caller
from treadle.core.ids import is_child_run
from treadle.engine.service import Service
from treadle.ports import RunQuery, RunRow

_LOOKED_AT = 200


@dataclass(slots=True, kw_only=True)
class Frame:
    """One command line's surroundings."""

    directory: Path
    json: bool
    given_directory: Path | None = None
    _settings: Settings | None = None

    @property
    def settings(self) -> Settings:
        """Read the settings, once; what is odd about them is told on stderr."""
        if self._settings is None:
            self._settings = locate(self.directory, os.environ)
            for warning in self._settings.warnings:
                click.echo(f"warning: {warning}", err=True)
        return self._settings

    def with_flags(self, flags: Mapping[str, object]) -> Settings:
        """Read the settings with what the command line says."""
        return locate(self.directory, os.environ, flags)

    @contextlib.asynccontextmanager
    async def open(self, *, serve: bool = False, what: str = "cli", create: bool = False) -> AsyncIterator[OpenProject]:
        """Open the project."""
        if serve:
            # Beside a terminal's own lines only what is wrong, unless more was asked for.
            quiet = self.settings.origins["log.level"].kind == "default"
            log.configure("warning" if quiet else self.settings.log_level, self.settings.log_format)
        async with open_project(self.settings, serve=serve, environ=os.environ, what=what, create=create or serve) as opened:
            yield opened

    def print_json(self, data: object) -> None:
        """Print one JSON document; an object that is one line of many is printed with `print_line`."""
        sys.stdout.buffer.write(orjson.dumps(data, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        sys.stdout.buffer.flush()

    def print_line(self, data: object) -> None:
        """Print one JSON object on a line of its own."""
        sys.stdout.buffer.write(orjson.dumps(data, option=orjson.OPT_APPEND_NEWLINE))
        sys.stdout.buffer.flush()


def command(
    *, examples: str = "", keys: str = "", more: str = "", name: str | None = None, as_json: bool = True
) -> Callable[[Callable[..., Any]], Command]:
    """Make a command of a function, plain or async, that takes a Frame first; it gives the exit code, None meaning 0."""

    def decorate(target: Callable[..., Any]) -> Command:
        @functools.wraps(target)
        def call(project: Path | None, json: bool = False, **given: Any) -> int | None:  # noqa: FBT001, FBT002 - click hands them over
            frame = Frame(directory=project or Path.cwd(), json=json, given_directory=project)
            result = target(frame, **given)
            return asyncio.run(result) if inspect.iscoroutine(result) else result

        where = click.Path(exists=True, file_okay=False, path_type=Path)
        dressed: Any = click.option(
            "--project",
            type=where,
            envvar="TREADLE_PROJECT",
            metavar="DIR",
            help="Work on the project of this directory.",
        )(call)
        if as_json:
            dressed = click.option("--json", is_flag=True, help="Print JSON.")(dressed)
        return click.command(name=name, cls=Command, examples=examples, keys=keys, more=more)(dressed)

    return decorate


def person(people: People) -> Caller:
    """Say who sits at this terminal, by the account that the operating system names, whatever the environment claims.

    An account that is nobody's, where people are configured, gives no assurance: no gate takes its word.
    """
    account = user_name()
    known = people.of_account(account)
    roles = known.roles if known is not None else ()
    return Caller(kind="human", name=people.caller_name(account), assurance="local" if known is not None else "none", roles=roles)


def decider(people: People) -> Caller:
    """Say the same of who is about to decide. Raises RequestError `not_a_person`."""
    who = person(people)
    if who.assurance == "none":
        raise RequestError(
            f"the account {user_name()!r} is nobody's in [people] of treadle.toml, and only those people approve",
            code="not_a_person", hint=f'add `user = "{user_name()}"` to one of them, or a table of its own; `treadle people list` shows them',
        )  # fmt: skip
    return who


def user_name() -> str:
    """Give the name of the account that runs this process."""
    try:
        # Not there on Windows.
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError):
        return f"user-{os.getuid()}" if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")


def refused(refusal: Refusal) -> RequestError:
    """Make the error that tells why a request was not done."""
    return RequestError(refusal.message, code=refusal.code, hint=refusal.hint, details=refusal.details)


async def find_run(service: Service, named: str) -> RunRow:
    """Find the run that a whole id, a beginning of one (with or without `run_`), or `last` means. Raises RequestError.

    The last one is the newest that somebody asked for; what its steps started is found through it.
    """
    if named == "last":
        before: str | None = None
        while rows := await service.engine.runs(RunQuery(limit=_LOOKED_AT, before=before)):
            asked_for = next((row for row in rows if not is_child_run(row.id)), None)
            if asked_for is not None:
                return asked_for
            before = rows[-1].id
        raise RequestError("there are no runs yet", code="unknown_run", hint="`treadle run WORKFLOW` starts one")
    rows = await service.engine.runs(RunQuery(words=named, limit=_LOOKED_AT))
    found = [row for row in rows if row.id.removeprefix("run_").startswith(named.removeprefix("run_"))]
    exact = [row for row in found if row.id == named]
    if len(exact or found) == 1:
        return (exact or found)[0]
    if not found:
        raise RequestError(
            f"there is no run {named!r} here",
            code="unknown_run",
            hint="`treadle runs --all` lists them; `last` is the newest",
        )
    ids = ", ".join(row.id for row in found[:8])
    raise RequestError(f"{named!r} could be: {ids}", code="ambiguous_run", hint="give more of the id")
