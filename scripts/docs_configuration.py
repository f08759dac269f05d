"""The reference of `treadle.toml`, from the tables that read it."""

import json
from collections.abc import Callable, Iterator

from treadle.config.settings import KEYS, TABLE_KINDS, Key
from treadle.config.tables import TableKey, TableKind

# Where a kind of table has no key that must stand, its example names some.
EXAMPLES = {
    "servers": ("browser", ("command", "args", "env", "timeout", "effects")),
    "people": ("alice", ("name", "user", "roles")),
    "secrets": ("API_TOKEN", ("env",)),
}


def settings() -> str:
    """A table of `treadle.toml` per heading, a setting per row, and an example of them all."""

    def pages() -> Iterator[str]:
        for table in dict.fromkeys(key.name.split(".")[0] for key in KEYS):
            keys = [key for key in KEYS if key.name.startswith(f"{table}.")]
            yield f"### `[{table}]`\n"
            yield "| key | type | default | variables | meaning |\n|---|---|---|---|---|"
            yield from map(_row, keys)
            yield "\n```toml\n" + example_of(table) + "```\n"

    return "\n" + "\n".join(pages()) + "\n"


def tables() -> str:
    """The tables that stand once per name."""

    def pages() -> Iterator[str]:
        for kind in TABLE_KINDS.values():
            yield f"### `[{kind.name}.NAME]`\n\n{_sentence(kind.doc)} {_sentence(kind.names_are)}\n"
            yield "| key | type | meaning |\n|---|---|---|"
            yield from (_table_row(name, key) for name, key in kind.keys.items())
            yield "\n```toml\n" + named_example_of(kind) + "```\n"

    return "\n" + "\n".join(pages()) + "\n"


def example_of(table: str) -> str:
    """Every key of a table, with its example."""
    lines = [f"{key.name.split('.')[1]} = {key.example}\n" for key in KEYS if key.name.startswith(f"{table}.")]
    return f"[{table}]\n{''.join(lines)}"


def named_example_of(kind: TableKind) -> str:
    """A table of a kind, with the keys that go together."""
    name, keys = EXAMPLES[kind.name]
    return f"[{kind.name}.{name}]\n" + "".join(f"{key} = {kind.keys[key].example}\n" for key in keys)


def _row(key: Key) -> str:
    default = key.form.write(key.default)
    shown = f"`{json.dumps(default, ensure_ascii=False)}`" if default not in ("", []) else "none"
    name = key.name.split(".")[1]
    return f"| `{name}` | {_cell(key.form.words)} | {shown} | {', '.join(f'`{v}`' for v in key.variables)} | {_cell(key.doc)} |"


def _table_row(name: str, key: TableKey) -> str:
    return f"| `{name}` | {_cell(key.form.words)} | {_cell(key.doc)}, e.g. `{key.example}` |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


GENERATORS: dict[str, Callable[[], str]] = {"settings": settings, "configuration-tables": tables}
