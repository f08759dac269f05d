"""`treadle mcp` and `treadle server`: processes that speak MCP over stdio. Nothing but protocol is written to stdout."""

import os
from collections.abc import Callable
from pathlib import Path

import click

from treadle.cli.frame import Frame, command
from treadle.cli.group import Group
from treadle.core.errors import TreadleError

_BAD = 2


@command(
    as_json=False,
    examples="treadle mcp\ntreadle mcp --project ../other",
)
def mcp(frame: Frame) -> int:
    """Serve this project's workflows to an agent over MCP (stdio), perform what Treadle performs, and keep time.

    Agents start it themselves: `treadle init` adds the entry to .mcp.json.
    """
    # The MCP SDK: half a second that no other command should pay.
    from treadle.mcpio.server.stdio import run_stdio

    return run_stdio(os.environ, frame.given_directory)


@click.group(
    name="server", cls=Group,
    examples="treadle server memory\ntreadle server memory --file notes.db\ntreadle server web --provider files --folder docs",
)  # fmt: skip
def server() -> None:
    """Serve a tool of Treadle's own over MCP (stdio); an entry in .mcp.json starts it."""


@command(as_json=False, examples="treadle server memory\ntreadle server memory --file notes.db")
@click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The database; by default .treadle/memory.db of the project.",
)
def memory(frame: Frame, *, file: Path | None) -> int:
    """A memory that lasts: save, get, add, search, list, delete."""
    # The MCP SDK, as above.
    from treadle.servers.memory import run_memory_server

    return _served("memory", lambda: run_memory_server(file or frame.settings.project.store_dir / "memory.db"))


@command(
    as_json=False,
    examples="treadle server web --provider files --folder docs\ntreadle server web --provider searxng --url http://localhost:8080",
)
@click.option("--provider", help="searxng or files; by default web_search.provider of treadle.toml.")
@click.option("--url", help="Address of the SearXNG instance.")
@click.option("--folder", help="Folder that the provider `files` searches.")
@click.option("--site", help="Address under which that folder is published.")
def web(frame: Frame, *, provider: str | None, url: str | None, folder: str | None, site: str | None) -> int:
    """Web search, answered by the configured provider; every reply names it."""
    # The MCP SDK, as above.
    from treadle.servers.web import choose_provider, run_web_server

    flags = {
        "web_search.provider": provider,
        "web_search.url": url,
        "web_search.folder": folder,
        "web_search.site": site,
    }
    return _served("web", lambda: run_web_server(choose_provider(frame.with_flags(flags))))


def _served(name: str, serve: Callable[[], None]) -> int:
    try:
        serve()
    except TreadleError as error:
        hint = f" — {error.hint}" if error.hint else ""
        click.echo(f"treadle server {name}: {error.message} [{error.code}]{hint}", err=True)
        return _BAD
    return 0


server.add_command(memory, "memory")
server.add_command(web, "web")
