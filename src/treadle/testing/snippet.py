"""What could be added to a test: an entry for an action that has no answer, and data written as YAML that reads back as the same data."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Final

from treadle.core.schema_example import skeleton
from treadle.core.values import Json, Value, as_text, encode
from treadle.view import ActionView

INDENT: Final = "  "
FLOW_CHARACTERS_MAX: Final = 100
# Text that reads as itself in YAML; everything else is quoted.
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_./@-]*( [A-Za-z0-9_./@-]+)*\Z")
_WORDS: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_BLOCK: Final = re.compile(r"[^\s][^\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff\ufffe\uffff\u2028\u2029\t]*\Z")


def snippet(action: ActionView) -> str:
    """Give an entry for an action, to be filled in."""
    if action.status == "unknown":
        verb: dict[str, Json] = {"outcome": "not_done"}
    elif action.kind == "approve":
        verb = {"approve": True}
    else:
        verb = {"answer": skeleton(action.expected) if action.expected else None if action.params.get("format") == "info" else "…"}
    return "\n".join(entry_lines({"match": action.id, **verb}))


def entry_lines(row: Mapping[str, Value]) -> Iterator[str]:
    """Write an entry of a list: on one line where that is short, else a line per field."""
    flow = f"- {{{', '.join(f'{key}: {_flow(value)}' for key, value in row.items())}}}"
    if len(flow) <= FLOW_CHARACTERS_MAX and "\\n" not in flow:
        yield flow
        return
    for number, (key, value) in enumerate(row.items()):
        yield from _field(("- " if number == 0 else INDENT) + scalar(key) + ":", value, INDENT)


def field_lines(key: str, value: Value, margin: str = "") -> Iterator[str]:
    """Write a field of a map in block style."""
    yield from _field(f"{margin}{scalar(key)}:", value, margin)


def _field(head: str, value: Value, margin: str) -> Iterator[str]:
    below = margin + INDENT
    if isinstance(value, str) and "\n" in value and _BLOCK.match(value):
        body = value.rstrip("\n")
        chomp = {0: "|-", 1: "|"}.get(len(value) - len(body), "|+")
        yield f"{head} {chomp}"
        yield from (below + line if line else "" for line in body.split("\n"))
        yield from ("" for _ in range(len(value) - len(body) - 1))
    elif isinstance(value, dict) and value and len(_flow(value)) > FLOW_CHARACTERS_MAX // 2:
        yield head
        for key, item in value.items():
            yield from _field(f"{below}{scalar(key)}:", item, below)
    elif isinstance(value, list) and value and len(_flow(value)) > FLOW_CHARACTERS_MAX // 2:
        yield head
        for item in value:
            yield from _item(item, below)
    else:
        yield f"{head} {_flow(value)}"


def _item(value: Value, margin: str) -> Iterator[str]:
    if isinstance(value, dict) and value and (len(_flow(value)) > FLOW_CHARACTERS_MAX or "\\n" in _flow(value)):
        for number, (key, item) in enumerate(value.items()):
            yield from _field(f"{margin}{'- ' if number == 0 else INDENT}{scalar(key)}:", item, margin + INDENT)
    elif isinstance(value, list) and value and len(_flow(value)) > FLOW_CHARACTERS_MAX:
        yield f"{margin}-"
        for item in value:
            yield from _item(item, margin + INDENT)
    else:
        yield from _field(f"{margin}-", value, margin)


def _flow(value: Value) -> str:
    """Write in one line; JSON is YAML, but for keys and words that need no quotes."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(key)}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return scalar(value)


def scalar(value: Value) -> str:
    """Write a scalar: plain where it reads back as itself, else quoted."""
    if isinstance(value, str):
        plain = _PLAIN.match(value) and value.lower() not in _WORDS
        # Escapes, not the characters themselves: what hides in text must be seen, and YAML forbids some of it.
        return value if plain else json.dumps(value, ensure_ascii=not value.isprintable())
    return as_text(value) if not isinstance(value, float) else encode(value)
