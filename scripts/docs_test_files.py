"""The reference of test files, written from their table (`treadle.testing.fields`)."""

from collections.abc import Callable
from typing import Final

from scripts.docs_language import cell, default, holds
from treadle.authoring import kinds as k
from treadle.testing import fields

HEAD: Final = "| field | holds | left out | |\n| --- | --- | --- | --- |\n"


def test_files() -> str:
    """Write a table for each part of a test file."""
    return "\n".join(f"## {title}\n\n{about}\n\n{HEAD}{_rows(table)}" for title, about, table in fields.tables())


def _rows(table: dict[str, k.Field]) -> str:
    return "".join(f"| `{name}` | {cell(holds(field.kind))} | {_left_out(field)} | {cell(field.doc)} |\n" for name, field in table.items())


def _left_out(field: k.Field) -> str:
    return "must be there" if field.required else cell(default(field))


GENERATORS: Final[dict[str, Callable[[], str]]] = {"test-files": test_files}
