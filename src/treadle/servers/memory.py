"""`treadle server memory`: a small durable memory for workflows and agents, over MCP.

Six tools over `MemoryStore`. `success: true` is said after the commit and never before. `add` is the one tool whose repetition would add
something; it honours an idempotency key, as the other writing ones do, so that a caller that lost the reply may ask again.
"""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import mcp_types
from pydantic import Field, model_validator

from treadle.config import project
from treadle.core.errors import TreadleError
from treadle.core.values import encode
from treadle.servers import serving
from treadle.servers.memory_store import RESULT_BYTES_MAX, MemoryStore, Row

INSTRUCTIONS = "Values saved here survive sessions. Use `save` with a key for one current value, `add` for a growing list by category."
Key = Annotated[str, Field(min_length=1, max_length=512, description="Name of the entry")]
Category = Annotated[str, Field(max_length=128, description="Group of entries")]
Limit = Annotated[int, Field(ge=1, le=500, description="Most entries to give")]
EntryId = Annotated[int, Field(ge=1, description="Number of the entry, as `add` gave it")]
PREVIEW_CHARS = 160


class SaveArguments(serving.Model):
    """What `save` takes."""

    key: Key
    value: Annotated[Any, Field(description="Any JSON value; replaces what the key held")]
    category: Category = ""


class Saved(serving.Model):
    """What `save` gives, after the commit."""

    success: bool
    key: str
    id: int
    created: Annotated[bool, Field(description="False when the key held a value before")]
    updated_at: str


class OneArguments(serving.Model):
    """Names one entry."""

    key: Key | None = None
    id: EntryId | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> "OneArguments":
        if (self.key is None) == (self.id is None):
            raise ValueError("give either `key` or `id`")
        return self


class Entry(serving.Model):
    """One entry as it is stored."""

    id: int
    key: str | None
    category: str
    value: Any
    created_at: str
    updated_at: str


class Got(serving.Model):
    """What `get` gives; `found` false is no error."""

    found: bool
    entry: Entry | None = None
    value: Any = None


class AddArguments(serving.Model):
    """What `add` takes."""

    category: Annotated[str, Field(min_length=1, max_length=128, description="Group of entries")]
    content: Annotated[Any, Field(description="Any JSON value")]


class Added(serving.Model):
    """What `add` gives, after the commit."""

    success: bool
    id: int
    category: str
    created_at: str


class SearchArguments(serving.Model):
    """What `search` takes."""

    query: Annotated[str, Field(min_length=1, max_length=1_000, description="Words to look for")]
    category: Category | None = None
    limit: Limit = 10


class Hit(Entry):
    """An entry with the place that matched."""

    snippet: str


class Found(serving.Model):
    """What `search` gives, best first. `match` says how: all words, any word, or the text itself."""

    query: str
    match: str
    results: list[Hit]
    truncated: Annotated[bool, Field(description="True when results were left out because of their size")]


class ListArguments(serving.Model):
    """What `list` takes."""

    category: Category | None = None
    prefix: Annotated[str, Field(max_length=512, description="Beginning of the keys")] = ""
    limit: Limit = 50
    offset: Annotated[int, Field(ge=0)] = 0


class Listed(serving.Model):
    """One line of a list."""

    id: int
    key: str | None
    category: str
    preview: str
    updated_at: str


class Listing(serving.Model):
    """What `list` gives, newest first."""

    entries: list[Listed]
    total: int


class Deleted(serving.Model):
    """What `delete` gives, after the commit; 0 means that there was nothing."""

    success: bool
    deleted: int


A = TypeVar("A", bound=serving.Model)
R = TypeVar("R", bound=serving.Model)


def tools(store: MemoryStore) -> list[serving.ServedTool[Any]]:
    """Give the tools over a store."""
    reads = mcp_types.ToolAnnotations(read_only_hint=True, idempotent_hint=True, destructive_hint=False, open_world_hint=False)
    adds = mcp_types.ToolAnnotations(read_only_hint=False, idempotent_hint=False, destructive_hint=False, open_world_hint=False)
    replaces = mcp_types.ToolAnnotations(read_only_hint=False, idempotent_hint=True, destructive_hint=True, open_world_hint=False)

    def tool(
        name: str,
        description: str,
        takes: type[A],
        gives: type[R],
        act: Callable[[A, str | None], R],
        annotations: mcp_types.ToolAnnotations,
    ) -> serving.ServedTool[A]:
        return serving.ServedTool(
            name=name,
            description=description,
            arguments=takes,
            result=gives,
            run=_threaded(act),
            annotations=annotations,
            keeps_replies=not annotations.read_only_hint,
        )

    def save(given: SaveArguments, key: str | None) -> Saved:
        return Saved(**store.save(given.key, given.value, given.category, key))

    def add(given: AddArguments, key: str | None) -> Added:
        return Added(**store.add(given.category, given.content, key))

    def get(given: OneArguments, _: str | None) -> Got:
        row = store.get(given.key, given.id)
        return Got(found=False) if row is None else Got(found=True, entry=Entry(**row), value=row["value"])

    def search(given: SearchArguments, _: str | None) -> Found:
        rows, match = store.search(given.query, given.category, given.limit)
        kept = _within_size(rows)
        return Found(query=given.query, match=match, results=[Hit(**row) for row in kept], truncated=len(kept) < len(rows))

    def listing(given: ListArguments, _: str | None) -> Listing:
        rows, total = store.entries(given.category, given.prefix, given.limit, given.offset)
        return Listing(entries=[_line(row) for row in rows], total=total)

    def delete(given: OneArguments, key: str | None) -> Deleted:
        return Deleted(**store.delete(given.key, given.id, key))

    return [
        tool("save", "Store a value under a key, replacing what it held.", SaveArguments, Saved, save, replaces),
        tool("get", "Read the value of a key, or an entry by id.", OneArguments, Got, get, reads),
        tool("add", "Add a value to a category; nothing is replaced.", AddArguments, Added, add, adds),
        tool("search", "Full-text search over keys, categories and values.", SearchArguments, Found, search, reads),
        tool("list", "List entries, newest first, with a preview.", ListArguments, Listing, listing, reads),
        tool("delete", "Remove an entry by key or id.", OneArguments, Deleted, delete, replaces),
    ]


def run_memory_server(file: Path) -> None:
    """Serve the memory in `file` over stdio until the client leaves. Raises RequestError `memory_unusable` before serving."""
    store = MemoryStore(file)
    try:
        serving.serve(serving.build("treadle-memory", INSTRUCTIONS, tools(store)))
    finally:
        store.close()


def _threaded(act: Callable[[A, str | None], R]) -> Callable[[A, str | None], Awaitable[R]]:
    """Wait for the disk and other processes beside the event loop."""

    async def run(given: A, key: str | None) -> R:
        return await asyncio.to_thread(act, given, key)

    return run


def _within_size(rows: list[Row]) -> list[Row]:
    kept: list[Row] = []
    size = 0
    for row in rows:
        size += len(encode(row["value"]))
        if kept and size > RESULT_BYTES_MAX:
            break
        kept.append(row)
    return kept


def _line(row: Row) -> Listed:
    value = row["value"]
    text = value if isinstance(value, str) else encode(value)
    preview = text if len(text) <= PREVIEW_CHARS else f"{text[:PREVIEW_CHARS]}…"
    return Listed(id=row["id"], key=row["key"], category=row["category"], preview=preview, updated_at=row["updated_at"])


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line: `python -m treadle.servers.memory [--file FILE]`."""
    parser = argparse.ArgumentParser(prog="treadle server memory", description="A durable memory over MCP (stdio).")
    parser.add_argument("--file", type=Path, help="the database; by default .treadle/memory.db of the project")
    given = parser.parse_args(arguments)
    try:
        run_memory_server(given.file or project.find(Path.cwd(), user_home=Path.home()).store_dir / "memory.db")
    except TreadleError as error:
        sys.stderr.write(f"treadle server memory: {error.message}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
