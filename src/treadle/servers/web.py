"""`treadle server web`: web search over MCP, answered by whichever provider the project configured.

There is no default provider: without one the tool says exactly that, and how to configure one. Each reply names the provider, so that a
search of a local folder cannot pass for a search of the web. `fetch` is not offered yet.
"""

import argparse
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import mcp_types
from pydantic import Field

from treadle.config import project, settings
from treadle.core.errors import RequestError, TreadleError
from treadle.servers import serving
from treadle.servers.search_files import FilesProvider
from treadle.servers.search_searxng import SearxngProvider
from treadle.servers.sources import Provider

INSTRUCTIONS = "`search` asks the configured provider; `provider` in the reply says which: searxng (the web) or files (a local folder)."


class SearchArguments(serving.Model):
    """What `search` takes."""

    query: Annotated[str, Field(min_length=1, max_length=1_000, description="What to look for")]
    max_results: Annotated[int, Field(ge=1, le=50, description="Most sources to give")] = 5


class Found(serving.Model):
    """One source."""

    title: str
    url: Annotated[str, Field(description="Address, or the file's path for the provider `files`")]
    snippet: str


class SearchResult(serving.Model):
    """What `search` gives; no sources means that nothing was found."""

    query: str
    provider: str
    sources: list[Found]


def tools(provider: Provider | None) -> list[serving.ServedTool[Any]]:
    """Give the tool over a provider; over none it refuses."""

    async def search(given: SearchArguments, _: str | None) -> SearchResult:
        if provider is None:
            raise RequestError(
                "web search has no provider configured; nothing was searched",
                code="no_provider",
                hint='set [web_search] provider = "searxng" with url, or provider = "files" with folder, in treadle.toml; '
                "or start the server with --provider",
            )
        sources = await provider.search(given.query, given.max_results)
        return SearchResult(query=given.query, provider=provider.name, sources=[Found(**asdict(source)) for source in sources])

    annotations = mcp_types.ToolAnnotations(
        read_only_hint=True,
        idempotent_hint=True,
        destructive_hint=False,
        open_world_hint=not isinstance(provider, FilesProvider),
    )
    return [
        serving.ServedTool(
            name="search",
            description="Search through the configured provider; gives title, url and snippet per source.",
            arguments=SearchArguments,
            result=SearchResult,
            run=search,
            annotations=annotations,
        )
    ]


def choose_provider(configured: settings.Settings) -> Provider | None:
    """Make the configured provider; None where none is named. Raises RequestError `bad_provider` for an incomplete one."""
    if configured.web_search_provider == "searxng":
        if not configured.web_search_url:
            raise RequestError("the provider searxng needs an address", code="bad_provider", hint="set web_search.url, or --url")
        return SearxngProvider(configured.web_search_url)
    if configured.web_search_provider == "files":
        if not configured.web_search_folder:
            raise RequestError("the provider files needs a folder", code="bad_provider", hint="set web_search.folder, or --folder")
        folder = configured.path(configured.web_search_folder)
        return FilesProvider(folder, root=configured.project.root, site=configured.web_search_site)
    return None


def run_web_server(provider: Provider | None) -> None:
    """Serve web search over stdio until the client leaves."""
    serving.serve(serving.build("treadle-web", INSTRUCTIONS, tools(provider)))


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line: `python -m treadle.servers.web [--provider searxng --url URL | --provider files --folder DIR]`."""
    parser = argparse.ArgumentParser(prog="treadle server web", description="Web search over MCP (stdio).")
    parser.add_argument("--provider", help="searxng or files; by default web_search.provider of treadle.toml")
    parser.add_argument("--url", help="address of the SearXNG instance")
    parser.add_argument("--folder", help="folder that the provider `files` searches")
    parser.add_argument("--site", help="address under which that folder is published")
    given = parser.parse_args(arguments)
    try:
        here = project.find(Path.cwd(), user_home=Path.home())
        flags = {f"web_search.{name}": value for name, value in vars(given).items()}
        provider = choose_provider(settings.load(here, environ=os.environ, flags=flags))
    except TreadleError as error:
        hint = f" — {error.hint}" if error.hint else ""
        sys.stderr.write(f"treadle server web: {error.message}{hint}\n")
        return 2
    run_web_server(provider)
    return 0


if __name__ == "__main__":
    sys.exit(main())
