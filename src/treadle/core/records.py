"""Records: what the core's data are made of, and changed copies of them.

A record is a frozen, slotted dataclass whose fields are given by name; `class Approval(Record)` is all it takes to make one. `replace` does what
`dataclasses.replace` does, at half its cost: a step makes some five copies.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from typing import TypeVar, dataclass_transform


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
class _RecordType(type):
    """Makes a dataclass of each class that derives from Record."""

    def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, object]) -> type:
        made = super().__new__(cls, name, bases, body)
        # With slots, `dataclass` makes the class once more; that one has them already.
        return made if "__slots__" in body else dataclass(frozen=True, slots=True, kw_only=True)(made)


class Record(metaclass=_RecordType):
    """Base of all records."""

    __slots__ = ()


Copied = TypeVar("Copied")
_Get = Callable[[object], object]
_Put = Callable[[object, object], None]


@cache
def names_of(kind: type) -> tuple[str, ...]:
    """Give the names of a record's fields; nothing for what is no record."""
    return tuple(each.name for each in fields(kind)) if is_dataclass(kind) else ()


@cache
def _plan(kind: type, changed: tuple[str, ...]) -> tuple[tuple[tuple[_Get, _Put], ...], tuple[_Put, ...]]:
    slots = {name: getattr(kind, name) for name in names_of(kind)}
    kept = tuple((slot.__get__, slot.__set__) for name, slot in slots.items() if name not in changed)
    return kept, tuple(slots[name].__set__ for name in changed)


def replace(record: Copied, **changes: object) -> Copied:
    """Copy a frozen slotted record, with some fields changed. Nothing is checked or derived anew."""
    kind = type(record)
    kept, puts = _plan(kind, tuple(changes))
    copy = object.__new__(kind)
    for get, put in kept:
        put(copy, get(record))
    for put, value in zip(puts, changes.values(), strict=True):
        put(copy, value)
    return copy
