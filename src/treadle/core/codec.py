"""Frozen dataclasses to plain JSON data and back, by their type hints; one mechanism for definitions, events and states.

A field that still has its default is left out, so that adding a field changes no stored byte (house style §4.4). A member of a union of
dataclasses carries its class name as `kind`. Unknown keys are an error: they come from code that is newer than this.
"""

import dataclasses
import json
import types
from collections.abc import Callable, Mapping
from functools import cache
from typing import TypeVar, Union, cast, get_args, get_origin, get_type_hints

from treadle.core import definition, events, state
from treadle.core import expr as expr_module
from treadle.core.definition import Definition
from treadle.core.errors import HistoryMismatchError
from treadle.core.expr import Expr
from treadle.core.values import BlobRef, Chunks, Holed, Json, SecretRef, Value, decode, digest, tagged

T = TypeVar("T")
Reader = Callable[[object], object]
# Members of unions carry their name; values are leaves, which their own codec has read already.
_TAGGED: frozenset[type] = frozenset((*get_args(definition.Spec), *events.EVENT_TYPES, *get_args(state.Node)))
_VALUES: frozenset[object] = frozenset((BlobRef, Chunks, Holed, SecretRef))
_NAMES = {"Json": Json, "Value": Value, "Index": object}


def plain(value: object) -> dict[str, object]:
    """Give one record or value leaf as plain data; the `default` hook of JSON encoders, ours and faster ones alike."""
    return tagged(value) if type(value) in _VALUES else to_data(value)


def dumps(record: object, *, canonical: bool = False) -> bytes:
    """Write a record as JSON; `canonical` sorts keys, for digests."""
    text = json.dumps(record, default=plain, sort_keys=canonical, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def loads(cls: type[T], body: bytes) -> T:
    """Read what `dumps` wrote."""
    return from_data(cls, decode(body.decode()))


def digest_of(definition: Definition) -> str:
    """Name a definition by its content: comments, positions and source text are not part of it (ruling 17)."""
    return digest(dumps(definition, canonical=True))


def to_data(value: object) -> dict[str, object]:
    """Give a dataclass as a dict, one level deep: nested dataclasses stay for the JSON encoder's `default` hook, which is this."""
    cls = type(value)
    if cls is Expr:
        return cast(dict[str, object], expr_module.to_json(cast(Expr, value)))
    out: dict[str, object] = {"kind": cls.__name__} if cls in _TAGGED else {}
    for name, default, factory in _plan(cls):
        item = getattr(value, name)
        if item is default or (item == default and type(item) is type(default)) or (factory and not item):
            continue
        out[name] = item
    return out


def from_data(cls: type[T], data: object) -> T:
    """Build a dataclass, or a member of a union, from plain JSON data. Raises HistoryMismatchError for data that does not fit."""
    return cast(T, _reader(cls)(data))


def read_union(members: tuple[type[T], ...], data: Mapping[str, object]) -> T:
    """Build the member of a union that the data's `kind` names."""
    for member in members:
        if member.__name__ == data.get("kind"):
            return from_data(member, data)
    message = f"a stored record has the kind {data.get('kind')!r}, which this version of Treadle does not know"
    raise HistoryMismatchError(message, hint="open it with the version that wrote it, or a newer one")


@cache
def _plan(cls: type) -> tuple[tuple[str, object, bool], ...]:
    fields = (item for item in dataclasses.fields(cls) if item.init)
    return tuple((item.name, item.default, item.default_factory is not dataclasses.MISSING) for item in fields)


@cache
def _reader(hint: object) -> Reader:
    origin, args = get_origin(hint), get_args(hint)
    if hint is Expr:
        return lambda data: expr_module.from_json(cast(Json, data))
    if isinstance(hint, type) and dataclasses.is_dataclass(hint) and hint not in _VALUES:
        return _dataclass_reader(hint)
    if origin is tuple:
        return _tuple_reader(args)
    if origin is dict and _is_structured(args[1]):
        inner = _reader(args[1])
        return lambda data: {key: inner(item) for key, item in cast(dict[str, object], data).items()}
    if origin in {Union, types.UnionType} and any(_is_structured(a) for a in args):
        return _union_reader(args)
    return lambda data: data


def _is_structured(hint: object) -> bool:
    if hint is Expr or get_origin(hint) is tuple:
        return True
    if get_origin(hint) in {Union, types.UnionType}:
        return any(_is_structured(a) for a in get_args(hint))
    return isinstance(hint, type) and dataclasses.is_dataclass(hint) and hint not in _VALUES


def _dataclass_reader(cls: type) -> Reader:
    @cache
    def readers() -> dict[str, Reader]:  # at the first reading only: a step holds steps
        hints = get_type_hints(cls, localns=_NAMES)
        return {item.name: _reader(hints[item.name]) for item in dataclasses.fields(cls) if item.init}

    def read(data: object) -> object:
        known, given = readers(), dict[str, object]()
        for key, item in cast(dict[str, object], data).items():
            if key in known:
                given[key] = known[key](item)
            elif key != "kind":
                message = f"a stored {cls.__name__} has the field {key!r}, which this version of Treadle does not know"
                raise HistoryMismatchError(message, hint="open it with the version that wrote it, or a newer one")
        try:
            return cls(**given)
        except TypeError as error:
            message = f"a stored {cls.__name__} does not fit: {error}"
            raise HistoryMismatchError(message, hint="run `treadle doctor`") from error

    return read


def _tuple_reader(args: tuple[object, ...]) -> Reader:
    if len(args) == 2 and args[1] is Ellipsis:
        inner = _reader(args[0])
        return lambda data: tuple(inner(item) for item in cast(list[object], data))
    readers = [_reader(a) for a in args]
    return lambda data: tuple(read(item) for read, item in zip(readers, cast(list[object], data), strict=True))


def _union_reader(args: tuple[object, ...]) -> Reader:
    members = {a.__name__: a for a in args if isinstance(a, type) and dataclasses.is_dataclass(a) and a not in _VALUES}
    tuples = [a for a in args if get_origin(a) is tuple]

    def read(data: object) -> object:
        if isinstance(data, dict) and members:
            kind = str(cast(dict[str, object], data).get("kind")) if len(members) > 1 else next(iter(members))
            if kind not in members:
                raise HistoryMismatchError(f"a stored record has the kind {kind!r}, which this version of Treadle does not know")
            return _reader(members[kind])(cast(object, data))
        return _reader(tuples[0])(cast(object, data)) if isinstance(data, list) and tuples else cast(object, data)

    return read
