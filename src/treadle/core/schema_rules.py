"""What each keyword of a schema asks of a value."""

from collections.abc import Callable
from fractions import Fraction
from typing import Final, cast

from treadle.core.nearest import nearest
from treadle.core.regex.matching import regex_of
from treadle.core.schema_formats import misfit
from treadle.core.schema_walk import SHOWN_MAX, Checker, Fault, Rules, Schema, Work, joined, resolved, shown, type_of
from treadle.core.values import Json, Value, canonical, normalise


def _type(check: Checker, names: Json, value: Value, path: str, _schema: Schema) -> None:
    wanted = [names] if isinstance(names, str) else cast("list[str]", names)
    kind = type_of(value)
    if kind in wanted or (kind == "integer" and "number" in wanted):
        return
    hint = ""
    if isinstance(value, str) and any(name in {"integer", "number", "boolean"} for name in wanted):
        hint = ", not text in quotes"
    check.fault(path, "type", f"it must be {' or '.join(_TYPE_NAMES[name] for name in wanted)}{hint}; it is {_described(value)}")


_TYPE_NAMES: Final = {
    "null": "null", "boolean": "true or false", "integer": "a whole number", "number": "a number", "string": "text", "array": "a list",
    "object": "an object",
}  # fmt: skip


def _described(value: Value) -> str:
    name = _TYPE_NAMES[type_of(value)]
    return (
        shown(value)
        if value is None or isinstance(value, bool)
        else f"{name} ({shown(value)})"
        if not isinstance(value, dict | list)
        else name
    )


def same(a: Value, b: Value) -> bool:
    """Compare as JSON does: 1 is 1.0 and is not true."""
    if isinstance(a, list | dict) and isinstance(b, list | dict):
        return canonical(normalise(a)) == canonical(normalise(b))
    if isinstance(a, bool) or isinstance(b, bool) or a is None or b is None:
        return a is b
    return a == b


def _enum(check: Checker, allowed: Json, value: Value, path: str, _schema: Schema) -> None:
    options = cast("list[Json]", allowed)
    check.charge(len(options))
    if not any(same(option, value) for option in options):
        listed = ", ".join(shown(option) for option in options[:20]) + (", …" if len(options) > 20 else "")
        meant = nearest(value, [option for option in options if isinstance(option, str)]) if isinstance(value, str) else None
        check.fault(
            path, "enum", f"it must be one of {listed}; it is {shown(value)}" + (f" (did you mean {shown(meant)}?)" if meant else "")
        )


def _const(check: Checker, wanted: Json, value: Value, path: str, _schema: Schema) -> None:
    if not same(wanted, value):
        check.fault(path, "const", f"it must be {shown(wanted)}; it is {shown(value)}")


def _bound(rule: str, says: str, holds: Callable[[float, float], bool]) -> Work:
    def work(check: Checker, limit: Json, value: Value, path: str, _schema: Schema) -> None:
        if not holds(cast(float, value), cast(float, limit)):
            check.fault(path, rule, f"it must be {says} {shown(limit)}; it is {shown(value)}")

    return work


def _multiple(check: Checker, step: Json, value: Value, path: str, _schema: Schema) -> None:
    # As written: 0.3 is a multiple of 0.1 although the floats disagree.
    if (Fraction(repr(value)) / Fraction(repr(step))).denominator != 1:
        check.fault(path, "multipleOf", f"it must be a multiple of {shown(step)}; it is {shown(value)}")


def _size(rule: str, says: str, unit: str, holds: Callable[[int, int], bool]) -> Work:
    def work(check: Checker, limit: Json, value: Value, path: str, _schema: Schema) -> None:
        size = len(cast("str | list[Value] | dict[str, Value]", value))
        if not holds(size, cast(int, limit)):
            check.fault(path, rule, f"it must have {says} {limit} {unit}; it has {size}")

    return work


def _pattern(check: Checker, pattern: Json, value: Value, path: str, _schema: Schema) -> None:
    text = cast(str, value)
    if regex_of(cast(str, pattern), check.charge).search(text, 0, check.charge) is None:
        check.fault(path, "pattern", f"it must match the pattern {pattern}; it is {shown(value)}")


def _format(check: Checker, name: Json, value: Value, path: str, _schema: Schema) -> None:
    text = cast(str, value)
    check.charge(1 + (len(text) >> 6))
    problem = misfit(cast(str, name), text)
    if problem:
        check.fault(path, "format", problem)


def _items(check: Checker, items: Json, value: Value, path: str, schema: Schema) -> None:
    first = schema.get("prefixItems")
    begin = len(first) if isinstance(first, list) else 0
    for index, item in enumerate(cast("list[Value]", value)[begin:], begin):
        check.value(items, item, joined(path, index))


def _prefix_items(check: Checker, schemas: Json, value: Value, path: str, _schema: Schema) -> None:
    for index, (inner, item) in enumerate(zip(cast("list[Json]", schemas), cast("list[Value]", value), strict=False)):
        check.value(inner, item, joined(path, index))


def _unique(check: Checker, wanted: Json, value: Value, path: str, _schema: Schema) -> None:
    if wanted is not True:
        return
    seen: dict[bytes, int] = {}
    for index, item in enumerate(cast("list[Value]", value)):
        mark = canonical(normalise(item, refs=True))
        check.charge(1 + (len(mark) >> 6))
        if mark in seen:
            check.fault(joined(path, index), "uniqueItems", f"it is the same as item {seen[mark]}; items must differ")
        seen.setdefault(mark, index)


def _contains(check: Checker, inner: Json, value: Value, path: str, schema: Schema) -> None:
    found = sum(not check.fits(inner, item, path) for item in cast("list[Value]", value))
    low, high = cast(int, schema.get("minContains", 1)), schema.get("maxContains")
    if found < low or (isinstance(high, int) and found > high):
        bounds = f"at least {low}" + (f" and at most {shown(high)}" if high is not None else "")
        check.fault(path, "contains", f"{bounds} of its items must be of a certain form; {found} are")


def _properties(check: Checker, properties: Json, value: Value, path: str, _schema: Schema) -> None:
    data = cast("dict[str, Value]", value)
    for key, inner in cast(Schema, properties).items():
        if key in data:
            check.value(inner, data[key], joined(path, key))


def _pattern_properties(check: Checker, patterns: Json, value: Value, path: str, _schema: Schema) -> None:
    for pattern, inner in cast(Schema, patterns).items():
        regex = regex_of(pattern, check.charge)
        for key, item in cast("dict[str, Value]", value).items():
            if regex.search(key, 0, check.charge) is not None:
                check.value(inner, item, joined(path, key))


def _required(check: Checker, names: Json, value: Value, path: str, _schema: Schema) -> None:
    data = cast("dict[str, Value]", value)
    for name in cast("list[str]", names):
        check.charge(1)
        if name not in data:
            meant = nearest(name, [key for key in data if key not in cast("list[str]", names)])
            check.fault(joined(path, name), "required", f"`{name}` is missing" + (f"; there is `{meant}`" if meant else ""))


def _additional(check: Checker, inner: Json, value: Value, path: str, schema: Schema) -> None:
    known = cast(Schema, schema.get("properties", {}))
    patterns = [regex_of(pattern, check.charge) for pattern in cast(Schema, schema.get("patternProperties", {}))]
    for key, item in cast("dict[str, Value]", value).items():
        check.charge(1)
        if key in known or any(regex.search(key, 0, check.charge) is not None for regex in patterns):
            continue
        if inner is False:
            meant = nearest(key, known)
            hint = f"; did you mean `{meant}`?" if meant else f"; there is {', '.join(f'`{name}`' for name in list(known)[:20]) or 'none'}"
            check.fault(joined(path, key), "additionalProperties", f"`{key[:SHOWN_MAX]}` is not known{hint}")
        else:
            check.value(inner, item, joined(path, key))


def _property_names(check: Checker, inner: Json, value: Value, path: str, _schema: Schema) -> None:
    for key in cast("dict[str, Value]", value):
        for fault in check.fits(inner, key, path):
            check.fault(joined(path, key), "propertyNames", f"the name `{key[:SHOWN_MAX]}`: {fault.message}")


def _dependent_required(check: Checker, needs: Json, value: Value, path: str, _schema: Schema) -> None:
    data = cast("dict[str, Value]", value)
    for key, names in cast("dict[str, list[str]]", needs).items():
        for name in names if key in data else ():
            if name not in data:
                check.fault(joined(path, name), "dependentRequired", f"`{name}` is missing: `{key}` needs it")


def _any_of(check: Checker, schemas: Json, value: Value, path: str, _schema: Schema) -> None:
    found = [check.fits(inner, value, path) for inner in cast("list[Json]", schemas)]
    if all(found):
        check.fault(path, "anyOf", f"it fits none of {len(found)} forms{_closest(found)}")


def _one_of(check: Checker, schemas: Json, value: Value, path: str, _schema: Schema) -> None:
    found = [check.fits(inner, value, path) for inner in cast("list[Json]", schemas)]
    fitting = [index + 1 for index, faults in enumerate(found) if not faults]
    if not fitting:
        check.fault(path, "oneOf", f"it fits none of {len(found)} forms{_closest(found)}")
    elif len(fitting) > 1:
        check.fault(path, "oneOf", f"it fits the forms {', '.join(map(str, fitting))} and may fit one only")


def _closest(found: list[list[Fault]]) -> str:
    # Deeper faults mean that more of it fitted.
    best = max(found, key=lambda faults: (max(fault.path.count(".") + fault.path.count("[") for fault in faults), -len(faults)))
    place = f"`{best[0].path}` " if best[0].path else ""
    return f"; the closest says: {place}{best[0].message}"


def _all_of(check: Checker, schemas: Json, value: Value, path: str, _schema: Schema) -> None:
    for inner in cast("list[Json]", schemas):
        check.value(inner, value, path)


def _not(check: Checker, inner: Json, value: Value, path: str, _schema: Schema) -> None:
    if not check.fits(inner, value, path):
        check.fault(path, "not", "it has a form that is not allowed here")


def _if(check: Checker, test: Json, value: Value, path: str, schema: Schema) -> None:
    inner = schema.get("then" if not check.fits(test, value, path) else "else")
    if inner is not None:
        check.value(inner, value, path)


def _ref(check: Checker, reference: Json, value: Value, path: str, _schema: Schema) -> None:
    try:
        check.value(resolved(check.root, cast(str, reference)), value, path)
    except KeyError:
        check.fault(path, "$ref", f"the schema refers to {reference}, which is not in it")


_NUMBER: Final = frozenset({"integer", "number"})
_TEXT: Final = frozenset({"string"})
_LIST: Final = frozenset({"array"})
_OBJECT: Final = frozenset({"object"})
_ANY: Final[frozenset[str]] = frozenset()
# Each keyword: the types of value that it speaks of (none: all), and what it does.
RULES: Final[Rules] = {
    "$ref": (_ANY, _ref),
    "type": (_ANY, _type),
    "enum": (_ANY, _enum),
    "const": (_ANY, _const),
    "minimum": (_NUMBER, _bound("minimum", "at least", lambda value, limit: value >= limit)),
    "maximum": (_NUMBER, _bound("maximum", "at most", lambda value, limit: value <= limit)),
    "exclusiveMinimum": (_NUMBER, _bound("exclusiveMinimum", "more than", lambda value, limit: value > limit)),
    "exclusiveMaximum": (_NUMBER, _bound("exclusiveMaximum", "less than", lambda value, limit: value < limit)),
    "multipleOf": (_NUMBER, _multiple),
    "minLength": (_TEXT, _size("minLength", "at least", "characters", lambda size, limit: size >= limit)),
    "maxLength": (_TEXT, _size("maxLength", "at most", "characters", lambda size, limit: size <= limit)),
    "pattern": (_TEXT, _pattern),
    "format": (_TEXT, _format),
    "prefixItems": (_LIST, _prefix_items),
    "items": (_LIST, _items),
    "minItems": (_LIST, _size("minItems", "at least", "items", lambda size, limit: size >= limit)),
    "maxItems": (_LIST, _size("maxItems", "at most", "items", lambda size, limit: size <= limit)),
    "uniqueItems": (_LIST, _unique),
    "contains": (_LIST, _contains),
    "required": (_OBJECT, _required),
    "properties": (_OBJECT, _properties),
    "patternProperties": (_OBJECT, _pattern_properties),
    "additionalProperties": (_OBJECT, _additional),
    "propertyNames": (_OBJECT, _property_names),
    "minProperties": (_OBJECT, _size("minProperties", "at least", "keys", lambda size, limit: size >= limit)),
    "maxProperties": (_OBJECT, _size("maxProperties", "at most", "keys", lambda size, limit: size <= limit)),
    "dependentRequired": (_OBJECT, _dependent_required),
    "anyOf": (_ANY, _any_of),
    "oneOf": (_ANY, _one_of),
    "allOf": (_ANY, _all_of),
    "not": (_ANY, _not),
    "if": (_ANY, _if),
}
