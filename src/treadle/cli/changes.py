"""What differs between two definitions of a step, as lines that a person can read: its fields as an author would write them."""

import difflib
from collections.abc import Iterator
from typing import cast

from treadle.authoring.expression_written import written
from treadle.cli.shape import type_word
from treadle.core.definition import Definition, Step
from treadle.core.expr import Expr
from treadle.core.index import walk
from treadle.core.records import names_of
from treadle.core.values import Json, encode

_OWN_NAMES = {
    "timeout_ms": "timeout", "within_ms": "within", "final_steps": "finally", "key": "idempotency_key", "ttl_ms": "ttl", "backoff_ms": "backoff",
    "otherwise": "else", "reject_steps": "on_reject",
}  # fmt: skip


def steps_of(definition: Definition) -> dict[str, Step]:
    """Give every step of a definition by its id, which is its own in the file."""
    tasks = (definition.main.steps, *(task.steps for task in definition.tasks.values()), definition.final_steps)
    return {step.id: step for steps in tasks for step in walk(steps)}


def difference(was: Step, now: Step) -> list[str]:
    """Give a unified difference of two texts of a step, without a head."""
    rows = difflib.unified_diff(list(_lines(was)), list(_lines(now)), lineterm="", n=1)
    return [row for row in rows if not row.startswith(("---", "+++", "@@"))]


def _lines(step: Step) -> Iterator[str]:
    yield f"id: {step.id}"
    yield f"type: {type_word(type(step.spec).__name__)}"
    yield from _fields(step.spec, "")
    yield from _fields(step, "")


def _fields(record: object, indent: str) -> Iterator[str]:
    for name in names_of(type(record)):
        value = getattr(record, name)
        if name not in {"id", "spec", "needs_state"} and value not in (None, "", (), {}, False) and not _is_default(record, name, value):
            yield from _field(_OWN_NAMES.get(name, name), value, indent)


def _is_default(record: object, name: str, value: object) -> bool:
    standing = cast(dict[str, object], {each.name: each.default for each in type(record).__dataclass_fields__.values()})  # type: ignore[attr-defined]
    return standing.get(name) == value


def _field(name: str, value: object, indent: str) -> Iterator[str]:
    shown = _shown(value)
    if isinstance(shown, str) and "\n" in shown:
        yield f"{indent}{name}: |"
        yield from (f"{indent}  {line}" for line in shown.rstrip("\n").split("\n"))
    elif isinstance(shown, str):
        yield f"{indent}{name}: {shown}"
    elif isinstance(value, dict) and value:
        yield f"{indent}{name}:"
        for key, item in cast(dict[str, object], value).items():
            yield from _field(key, item, f"{indent}  ")
    else:
        yield f"{indent}{name}: {encode(shown)}"


def _shown(value: object) -> Json:
    if isinstance(value, Expr):
        return written(value)
    if isinstance(value, Step):
        return value.id
    if isinstance(value, tuple):
        return [_shown(each) for each in cast(tuple[object, ...], value)]
    if isinstance(value, dict):
        return {key: _shown(item) for key, item in cast(dict[str, object], value).items()}
    if names_of(type(value)):
        return {name: _shown(item) for name in names_of(type(value)) if (item := getattr(value, name)) not in (None, "", (), False)}
    return cast(Json, value)
