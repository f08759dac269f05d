"""Answers made up from schemas: the least that fits, for stubs that somebody has yet to write. They say nothing about the world.

What is made up is held against its schema; where nothing that fits was found (a pattern, rules that contradict one another), that is said.
"""

from collections.abc import Mapping
from typing import Final, cast

from treadle.core.schema import check
from treadle.core.values import Json

FILLER: Final = "made up"
_FORMATS: Final = {
    "date": "2026-01-01", "instant": "2026-01-01T00:00:00Z", "date-time": "2026-01-01T00:00:00Z", "time": "00:00:00Z", "duration": "1s",
    "email": "made.up@example.org", "url": "https://example.org/", "uri": "https://example.org/", "path": "made-up.txt",
    "uuid": "00000000-0000-4000-8000-000000000000", "hostname": "example.org", "ipv4": "192.0.2.1", "ipv6": "2001:db8::1", "regex": "a",
}  # fmt: skip
_TRIED: Final = (
    FILLER,
    "a",
    "A",
    "0",
    "1",
    "made-up",
    "made_up",
    "MADE",
    "a1",
    "A1",
    "0000",
    "2026-01-01",
    "https://example.org/",
    "a@b.cd",
    "1.0.0",
)
_DEPTH_MAX: Final = 12


def made_up(schema: Json) -> tuple[Json, str]:
    """Give a value for a schema, and what is still wrong with it; empty when it fits."""
    value = _value(schema, schema, 0)
    faults = check(schema, value)
    return value, "; ".join(f"{fault.path or 'it'}: {fault.message}" for fault in faults[:3])


def _value(schema: Json, root: Json, depth: int) -> Json:
    if not isinstance(schema, dict) or depth > _DEPTH_MAX:
        return None
    schema = _whole(schema, root)
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    options = schema.get("enum")
    if isinstance(options, list) and options:
        return options[0]
    for key in ("anyOf", "oneOf"):
        ways = schema.get(key)
        if isinstance(ways, list) and ways:
            rest = {name: rule for name, rule in schema.items() if name != key}
            return _first_that_fits(schema, [{**rest, **way} if isinstance(way, dict) else way for way in ways], root, depth)
    kind = schema.get("type") or _implied(schema)
    kind = kind[0] if isinstance(kind, list) and kind else kind
    match kind:
        case "object":
            return _object(schema, root, depth)
        case "array":
            return _array(schema, root, depth)
        case "string":
            return _text(schema)
        case "integer" | "number":
            return _number(schema, whole=kind == "integer")
        case "boolean":
            return False
        case _:
            return None


def _first_that_fits(schema: Json, ways: list[Json], root: Json, depth: int) -> Json:
    found = [_value(way, root, depth + 1) for way in ways]
    return next((value for value in found if not check(_closed(schema, root), value)), found[0])


def _closed(schema: Json, root: Json) -> Json:
    """Give a part of a schema with what its references mean."""
    defs = {key: root[key] for key in ("$defs", "definitions") if isinstance(root, dict) and key in root}
    return {**schema, **defs} if isinstance(schema, dict) else schema


def _whole(schema: dict[str, Json], root: Json) -> dict[str, Json]:
    """Give a schema with what it refers to, and with all that must hold at once."""
    found = dict(schema)
    for _ in range(_DEPTH_MAX):
        target = found.pop("$ref", None)
        if not isinstance(target, str):
            break
        found = {**_at(root, target), **found}
    parts = found.pop("allOf", None)
    for part in parts if isinstance(parts, list) else ():
        if isinstance(part, dict):
            found = _merged(found, _whole(part, root))
    return found


def _at(root: Json, pointer: str) -> dict[str, Json]:
    node: Json = root
    for key in pointer.removeprefix("#").strip("/").split("/") if pointer != "#" else ():
        node = node.get(key.replace("~1", "/").replace("~0", "~")) if isinstance(node, dict) else None
    return node if isinstance(node, dict) else {}


def _merged(one: dict[str, Json], other: Mapping[str, Json]) -> dict[str, Json]:
    found = {**other, **one}
    for key in ("properties", "required"):
        first, second = one.get(key), other.get(key)
        if isinstance(first, dict) and isinstance(second, dict):
            found[key] = {**second, **first}
        elif isinstance(first, list) and isinstance(second, list):
            found[key] = [*first, *second]
    return found


def _implied(schema: Mapping[str, Json]) -> str:
    hints = {"properties": "object", "required": "object", "items": "array", "minItems": "array", "pattern": "string", "minLength": "string",
             "format": "string", "minimum": "number", "maximum": "number"}  # fmt: skip
    return next((kind for key, kind in hints.items() if key in schema), "")


def _object(schema: Mapping[str, Json], root: Json, depth: int) -> Json:
    """Give the keys that must be there; of an object that must have none, those that are named, so that its shape is seen."""
    properties = schema.get("properties")
    known = properties if isinstance(properties, dict) else {}
    required = [str(name) for name in cast(list[Json], schema.get("required", []))]
    return {name: _value(known.get(name, {}), root, depth + 1) for name in required or known}


def _array(schema: Mapping[str, Json], root: Json, depth: int) -> Json:
    first = [_value(part, root, depth + 1) for part in cast(list[Json], schema.get("prefixItems", []))]
    least = _whole_number(schema.get("minItems")) or (1 if "contains" in schema else 0)
    items = schema.get("contains", schema.get("items", {}))
    found = [*first, *(_value(items, root, depth + 1) for _ in range(least - len(first)))]
    if schema.get("uniqueItems") is True and isinstance(items, dict):
        options = items.get("enum")
        found = list(options[:least]) if isinstance(options, list) else [_numbered(item, n) for n, item in enumerate(found)]
    return found


def _numbered(value: Json, number: int) -> Json:
    if isinstance(value, str):
        return f"{value} {number + 1}"
    return value + number if isinstance(value, int) and not isinstance(value, bool) else value


def _text(schema: Mapping[str, Json]) -> str:
    low, high = _whole_number(schema.get("minLength")), schema.get("maxLength")
    form = schema.get("format")
    if isinstance(form, str) and form in _FORMATS:
        return _FORMATS[form]
    text = FILLER
    if "pattern" in schema:
        rule: Json = {"type": "string", "pattern": schema["pattern"]}
        text = next((tried for tried in _TRIED if not check(rule, tried)), FILLER)
    text = text + "." * max(0, low - len(text))
    return text[:high] if isinstance(high, int) else text


def _number(schema: Mapping[str, Json], *, whole: bool) -> Json:
    step = schema.get("multipleOf", 1 if whole else None)
    low, high = _bound(schema, "minimum", "exclusiveMinimum", 1), _bound(schema, "maximum", "exclusiveMaximum", -1)
    value: float = low if low is not None and low > 0 else min(0, high) if high is not None else max(0, low or 0)
    if isinstance(step, int | float) and step:
        value = -(-value // step) * step
    return int(value) if float(value).is_integer() else value


def _bound(schema: Mapping[str, Json], name: str, exclusive: str, inwards: int) -> float | None:
    bound, beyond = schema.get(name), schema.get(exclusive)
    if isinstance(beyond, int | float):
        return beyond + inwards
    return bound if isinstance(bound, int | float) else None


def _whole_number(value: Json) -> int:
    return value if isinstance(value, int) else 0
