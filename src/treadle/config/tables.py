"""Tables of a kind, one per name: `[servers.NAME]`, `[people.NAME]`. Their keys are data; reading and the reference page walk it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from treadle.config.forms import Form
from treadle.config.origin import Problem, did_you_mean
from treadle.config.toml_lines import line_of


@dataclass(frozen=True, slots=True, kw_only=True)
class TableKey:
    """One key: the field it sets, its form, what it means, and how it may be written."""

    field: str
    form: Form
    doc: str
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TableKind:
    """A kind of table. A table whose name `names` does not match is told with `code` and `names_are`; `no_table` is said of other values."""

    name: str
    doc: str
    keys: Mapping[str, TableKey]
    code: str
    names: re.Pattern[str]
    names_are: str
    no_table: str = ""


def table_key(field: str, form: Form, doc: str, example: str) -> TableKey:
    """Make a key; a row of a table reads better without names."""
    return TableKey(field=field, form=form, doc=doc, example=example)


def read(
    kind: TableKind, tables: Mapping[str, Any], file: str, lines: Mapping[tuple[str, ...], int]
) -> tuple[dict[str, dict[str, Any]], list[Problem]]:
    """Check the tables of a kind; give the values by name and field, and every fault.

    Among the values are `line`, of the table, and `places`: where each field was written.
    """
    found: dict[str, dict[str, Any]] = {}
    problems: list[Problem] = []
    for name, table in tables.items():
        here = (kind.name, name)

        def fault(code: str, message: str, key: str = "", suggestion: str = "", here: tuple[str, ...] = here) -> None:
            line = line_of(dict(lines), (*here, key) if key else here)
            problems.append(Problem(code=code, message=message, file=file, line=line, suggestion=suggestion))

        if not isinstance(table, dict) and kind.no_table:
            fault(kind.code, f"{kind.name}.{name}: {kind.no_table}")
            continue
        if not isinstance(table, dict):
            fault(kind.code, f"[{kind.name}] has tables, one per name, and no key {name!r}", "", f"write [{kind.name}.{name}]")
            continue
        if not kind.names.fullmatch(name):
            fault(kind.code, f"[{kind.name}.{name}]: {kind.names_are}")
            continue
        places: dict[str, str] = {}
        values: dict[str, Any] = {"line": line_of(dict(lines), here), "places": places}
        for key, value in table.items():
            if key not in kind.keys:
                hint = did_you_mean(key, kind.keys) or f"keys: {', '.join(kind.keys)}"
                fault("unknown_key", f"[{kind.name}.{name}] has no key {key!r}", key, hint)
                continue
            try:
                values[kind.keys[key].field] = kind.keys[key].form.read(value)
                places[kind.keys[key].field] = f"{file}:{line_of(dict(lines), (*here, key))}"
            except ValueError as error:
                fault("bad_value", f"{kind.name}.{name}.{key} {error}", key)
        found[name] = values
    return found, problems
