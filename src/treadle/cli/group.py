"""click, dressed: commands that are imported when they are called, help that begins with examples, and the border where errors become exit codes.

An error is told on stderr with its stable code, what happened and what to do next; with `--json` as one JSON object. Exit codes are ruling 61's.
"""

import importlib
import json
import os
import sys
import textwrap
import traceback
from typing import Any, Final

import click

from treadle import machine
from treadle.cli.commands import COMMANDS, help_text
from treadle.core.errors import TreadleError

USAGE: Final = 2
FAILED: Final = 1
INTERRUPTED: Final = 130
# What is not the caller's to mend: the machine, the file, or a bug.
_OURS: Final = frozenset(
    {
        "file_damaged",
        "history_mismatch",
        "bug",
        "blob_missing",
        "blob_damaged",
        "history_truncated",
    }
)


class Command(click.Command):
    """A command whose help shows examples first, and at the end what `--json` prints."""

    def __init__(self, *args: Any, examples: str = "", keys: str = "", more: str = "", **kwargs: Any) -> None:
        """`examples` and `more` are texts of lines, `more` beginning with its title; `keys` is wrapped."""
        super().__init__(*args, **kwargs)
        self.examples, self.keys, self.more = examples, keys, more

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help."""
        self.format_usage(ctx, formatter)
        self.format_help_text(ctx, formatter)
        _block(formatter, "Examples", self.examples)
        self.format_options(ctx, formatter)
        title, _, more = self.more.partition("\n")
        _block(formatter, title, more)
        _block(formatter, "With --json", textwrap.fill(" ".join(self.keys.split()), formatter.width - 4, break_long_words=False))


class Group(click.Group):
    """A group of commands of the class above."""

    command_class = Command

    def __init__(self, *args: Any, examples: str = "", **kwargs: Any) -> None:
        """`examples` is a text, a line each."""
        super().__init__(*args, **kwargs)
        self.examples = examples

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help."""
        self.format_usage(ctx, formatter)
        self.format_help_text(ctx, formatter)
        _block(formatter, "Examples", self.examples)
        self.format_commands(ctx, formatter)


class Root(click.Group):
    """`treadle` itself."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """List the names in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """Import a command."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry.place.partition(":")
        return getattr(importlib.import_module(f"treadle.cli.{module}"), attribute)

    def get_help(self, ctx: click.Context) -> str:  # noqa: ARG002 - as above
        """Give the help that `main` prints."""
        return help_text().rstrip("\n")


def run(arguments: list[str]) -> int:
    """Carry out a command line; gives the exit code and never raises."""
    as_json = "--json" in arguments
    try:
        code = Root(name="treadle").main(arguments, prog_name="treadle", standalone_mode=False)
        sys.stdout.flush()
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx is not None else "treadle"
        return _tell("usage", error.format_message(), f"`{where} --help` shows how", as_json=as_json, exit_code=USAGE)
    except click.ClickException as error:
        return _tell("usage", error.format_message(), "", as_json=as_json, exit_code=USAGE)
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read us has closed; Python would complain once more when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except TreadleError as error:
        code = FAILED if error.code in _OURS or error.code.startswith("storage_") else USAGE
        return _tell(error.code, error.message, error.hint, as_json=as_json, exit_code=code, details=error.details)
    except Exception as error:  # noqa: BLE001 - the border of the process: a bug is told as one
        if (refused := machine.as_request_error(error)) is not None:
            return _tell(refused.code, refused.message, refused.hint, as_json=as_json, exit_code=FAILED)
        traceback.print_exc()
        hint = "this is a bug of Treadle; nothing that was acknowledged is lost. `treadle doctor` checks the project"
        return _tell("bug", f"{type(error).__name__}: {error}", hint, as_json=as_json, exit_code=FAILED)
    return code if isinstance(code, int) else 0


def _tell(code: str, message: str, hint: str, *, as_json: bool, exit_code: int, details: Any = None) -> int:
    if as_json:
        body = {"code": code, "message": message, "hint": hint, "details": details}
        sys.stderr.write(json.dumps({"error": body}, ensure_ascii=False) + "\n")
        return exit_code
    # rich, for width and colour: only where something is shown.
    from treadle.cli.screen import tell_error

    tell_error(code, message, hint)
    return exit_code


def _block(formatter: click.HelpFormatter, title: str, text: str) -> None:
    if text:
        formatter.write(f"\n{title}:\n" + "".join(f"  {line}".rstrip() + "\n" for line in text.strip("\n").splitlines()))
