"""What values can be, as far as it is known before anything runs: kinds, keys, the few values of an enumeration.

A shape is an upper bound: what it leaves out cannot happen. None stands for a value of which nothing is known, and whatever is not understood
gives None, so that a doubt never becomes a problem.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from treadle.core.values import Json, encode

KINDS: Final = frozenset({"null", "boolean", "number", "string", "array", "object"})
_SAID: Final = {
    "null": "null", "boolean": "true or false", "number": "a number", "string": "text", "array": "a list", "object": "a map",
}  # fmt: skip
_OPAQUE: Final = ("$ref", "allOf", "anyOf", "oneOf", "not", "if", "patternProperties")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a value can be. `keys` are those of a map, all of them where it is `closed`; `items` is what a list holds.

    `values` are the only ones there are, None where there are more than a few.
    """

    kinds: frozenset[str]
    keys: Mapping[str, "Shape"] = field(default_factory=dict[str, "Shape"])
    closed: bool = False
    items: "Shape" = None
    values: tuple[Json, ...] | None = None

    def __str__(self) -> str:
        """Name the kinds for a message."""
        return " or ".join(said for kind, said in _SAID.items() if kind in self.kinds)


Shape: TypeAlias = Known | None

NULL: Final = Known(kinds=frozenset({"null"}), values=(None,))
TEXT: Final = Known(kinds=frozenset({"string"}))
NUMBER: Final = Known(kinds=frozenset({"number"}))
FLAG: Final = Known(kinds=frozenset({"boolean"}))
LIST: Final = Known(kinds=frozenset({"array"}))
MAP: Final = Known(kinds=frozenset({"object"}))


def record(**keys: Shape) -> Known:
    """Give a map that has these keys and no others."""
    return Known(kinds=frozenset({"object"}), keys=keys, closed=True)


def list_of(items: Shape) -> Known:
    """Give a list."""
    return Known(kinds=frozenset({"array"}), items=items)


def one_of(*values: Json) -> Known:
    """Give one of some values."""
    return Known(kinds=frozenset(map(_kind, values)), values=values)


def of_value(value: Json) -> Known:
    """Give the shape of a value that is known."""
    if isinstance(value, dict):
        return Known(kinds=frozenset({"object"}), keys={key: of_value(item) for key, item in value.items()}, closed=True, values=(value,))
    if isinstance(value, list):
        # Of an empty list nothing is known of what will be put into it.
        return Known(kinds=frozenset({"array"}), items=joined(of_value(item) for item in value) if value else None, values=(value,))
    return one_of(value)


def of_schema(schema: Json) -> Shape:
    """Give what a JSON Schema lets pass; a rule that is not understood makes it more, never less."""
    if not isinstance(schema, dict) or any(rule in schema for rule in _OPAQUE):
        return None
    values = schema["enum"] if "enum" in schema else [schema["const"]] if "const" in schema else None
    if isinstance(values, list) and values:
        return one_of(*values)
    kinds = _kinds(schema.get("type"))
    if kinds is None:
        return None
    properties, more = schema.get("properties"), schema.get("additionalProperties")
    keys = {key: of_schema(rule) for key, rule in properties.items()} if isinstance(properties, dict) else {}
    return Known(kinds=kinds, keys=keys, closed=more is False, items=of_schema(schema.get("items")))


def joined(shapes: Iterable[Shape]) -> Shape:
    """Give what is one of several."""
    found: Shape = None
    for number, shape in enumerate(shapes):
        if shape is None:
            return None
        found = shape if number == 0 or found is None else _join(found, shape)
    return found


def or_null(shape: Shape) -> Shape:
    """Give a shape that may be null too."""
    return None if shape is None else _join(shape, NULL)


def below(shape: Shape, key: str | int) -> Shape:
    """Give what stands at a key or an index."""
    if shape is None:
        return None
    return shape.items if isinstance(key, int) else shape.keys.get(key)


def excludes(one: Shape, other: Shape) -> bool:
    """Tell that no value has both shapes."""
    if one is None or other is None:
        return False
    if not one.kinds & other.kinds:
        return True
    if one.values is None or other.values is None:
        return False
    return not {encode(value) for value in one.values} & {encode(value) for value in other.values}


def without_values(shape: Shape) -> Shape:
    """Forget the values, keep the kinds."""
    return None if shape is None else replace(shape, values=None)


def _join(one: Known, other: Known) -> Known:
    values = None
    if one.values is not None and other.values is not None:
        values = tuple({encode(value): value for value in (*one.values, *other.values)}.values())
    maps = [shape for shape in (one, other) if "object" in shape.kinds]
    keys: dict[str, Shape] = {}
    for shape in maps:
        for key, inner in shape.keys.items():
            keys[key] = joined([keys[key], inner]) if key in keys else inner
    lists = [shape for shape in (one, other) if "array" in shape.kinds]
    return Known(
        kinds=one.kinds | other.kinds, keys=keys, closed=all(shape.closed for shape in maps), values=values,
        items=joined(shape.items for shape in lists) if lists else None,
    )  # fmt: skip


def _kind(value: Json) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"


def _kinds(types: Json) -> frozenset[str] | None:
    named = types if isinstance(types, list) else [types]
    found = frozenset("number" if name == "integer" else name for name in named if isinstance(name, str))
    return found if found and found <= KINDS else None
