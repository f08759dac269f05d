"""Checking a schema itself: every keyword known, every argument of the right form, every reference leading somewhere.

A keyword that is not carried out is a fault, never ignored: a schema that seems to forbid what it lets pass is worse than none. Words that
only describe (`title`, `examples`, …) may stand.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, cast

from treadle.core.nearest import nearest
from treadle.core.regex.matching import Regex
from treadle.core.regex.syntax import RegexError
from treadle.core.schema_formats import FORMATS
from treadle.core.schema_rules import RULES
from treadle.core.schema_walk import FAULTS_MAX, Fault, joined, resolved, shown
from treadle.core.values import DEPTH_MAX, Json

TYPES: Final = ("null", "boolean", "integer", "number", "string", "array", "object")
SCHEMAS_MAX: Final = 10_000
_WORDS: Final = frozenset({
    "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "$comment", "$schema", "$id", "$anchor",
    "contentEncoding", "contentMediaType", "$vocabulary",
})  # fmt: skip
_PARTS: Final = frozenset({"$defs", "definitions", "then", "else", "minContains", "maxContains"})
_NOT_CARRIED_OUT: Final = frozenset({
    "unevaluatedItems", "unevaluatedProperties", "dependentSchemas", "dependencies", "$dynamicRef", "$dynamicAnchor", "$recursiveRef",
    "contentSchema", "additionalItems",
})  # fmt: skip
KEYWORDS: Final = frozenset({*RULES, *_WORDS, *_PARTS})
"""Every keyword that may stand in a schema."""


def check_schema(schema: Json) -> tuple[Fault, ...]:
    """Check a schema; `path` of a fault leads through the schema (`properties.a.minimum`)."""
    form = _Form(schema)
    form.schema(schema, "", 0)
    if not form.faults:
        form.loops()
    return tuple(form.faults[:FAULTS_MAX])


class _Form:
    def __init__(self, root: Json) -> None:
        self.root = root
        self.faults: list[Fault] = []
        self.count = 0
        self.references: dict[str, str] = {}

    def fault(self, path: str, rule: str, message: str) -> None:
        self.faults.append(Fault(path=path, rule=rule, message=message))

    def schema(self, schema: Json, path: str, depth: int) -> None:
        self.count += 1
        if self.count > SCHEMAS_MAX or depth > DEPTH_MAX:
            if self.count <= SCHEMAS_MAX + 1:
                self.fault(path, "budget", f"a schema is nested deeper than {DEPTH_MAX}, or has more than {SCHEMAS_MAX:,} parts")
            self.count = max(self.count, SCHEMAS_MAX + 1)
            return
        if isinstance(schema, bool) or len(self.faults) >= FAULTS_MAX:
            return
        if not isinstance(schema, dict):
            self.fault(path, "schema", f"a schema is an object, true or false; not {shown(schema)}")
            return
        for keyword, argument in schema.items():
            self._keyword(keyword, argument, joined(path, keyword), depth)

    def _keyword(self, keyword: str, argument: Json, path: str, depth: int) -> None:
        if keyword in _WORDS:
            return
        form = _ARGUMENTS.get(keyword)
        if form is not None:
            form(self, keyword, argument, path, depth)
        elif keyword in _NOT_CARRIED_OUT:
            self.fault(path, "unknown_keyword", f"`{keyword}` is not carried out here, so it may not stand")
        else:
            meant = nearest(keyword, sorted(KEYWORDS))
            self.fault(path, "unknown_keyword", f"there is no keyword `{keyword[:60]}`" + (f"; did you mean `{meant}`?" if meant else ""))

    def inner(self, _keyword: str, argument: Json, path: str, depth: int) -> None:
        self.schema(argument, path, depth + 1)

    def several(self, keyword: str, argument: Json, path: str, depth: int) -> None:
        if not isinstance(argument, list) or not argument:
            self.fault(path, keyword, f"`{keyword}` is a list of schemas, not {shown(argument)}")
            return
        for index, schema in enumerate(argument):
            self.schema(schema, joined(path, index), depth + 1)

    def named(self, keyword: str, argument: Json, path: str, depth: int) -> None:
        if not isinstance(argument, dict):
            self.fault(path, keyword, f"`{keyword}` is a map of names to schemas, not {shown(argument)}")
            return
        for name, schema in argument.items():
            if keyword == "patternProperties":
                self.pattern(keyword, name, joined(path, name), depth)
            self.schema(schema, joined(path, name), depth + 1)

    def types(self, keyword: str, argument: Json, path: str, _depth: int) -> None:
        names = argument if isinstance(argument, list) else [argument]
        for name in names:
            if not isinstance(name, str) or name not in TYPES:
                meant = nearest(name, TYPES) or _OTHER_NAMES.get(name) if isinstance(name, str) else None
                hint = f"; did you mean `{meant}`?" if meant else f"; there are {', '.join(TYPES)}"
                self.fault(path, keyword, f"there is no type {shown(name)}{hint}")
        if not names or len({shown(name) for name in names}) < len(names):
            self.fault(path, keyword, "`type` is a name, or a list of different names")

    def number(self, keyword: str, argument: Json, path: str, _depth: int) -> None:
        if isinstance(argument, bool) or not isinstance(argument, int | float):
            self.fault(path, keyword, f"`{keyword}` is a number, not {shown(argument)}")
        elif keyword == "multipleOf" and argument <= 0:
            self.fault(path, keyword, f"`multipleOf` is more than 0, not {shown(argument)}")

    def count_of(self, keyword: str, argument: Json, path: str, _depth: int) -> None:
        if isinstance(argument, bool) or not isinstance(argument, int) or argument < 0:
            self.fault(path, keyword, f"`{keyword}` is a whole number from 0, not {shown(argument)}")

    def flag(self, keyword: str, argument: Json, path: str, _depth: int) -> None:
        if not isinstance(argument, bool):
            self.fault(path, keyword, f"`{keyword}` is true or false, not {shown(argument)}")

    def pattern(self, keyword: str, argument: Json, path: str, _depth: int) -> None:
        if not isinstance(argument, str):
            self.fault(path, keyword, f"`{keyword}` is text, not {shown(argument)}")
            return
        try:
            Regex(argument)
        except RegexError as error:
            self.fault(path, keyword, f"the pattern cannot be used: {error}")

    def format(self, keyword: str, argument: Json, path: str, _depth: int) -> None:
        if not isinstance(argument, str) or argument not in FORMATS:
            meant = nearest(argument, FORMATS) if isinstance(argument, str) else None
            hint = f"; did you mean `{meant}`?" if meant else f"; there are {', '.join(FORMATS)}"
            self.fault(path, keyword, f"there is no format {shown(argument)}{hint}")

    def options(self, keyword: str, argument: Json, path: str, _depth: int) -> None:
        if not isinstance(argument, list) or not argument:
            self.fault(path, keyword, f"`enum` is a list of values, not {shown(argument)}")

    def names(self, keyword: str, argument: Json, path: str, _depth: int) -> None:
        if not isinstance(argument, list) or not all(isinstance(name, str) for name in argument):
            hint = "; only an input has `required: true`" if isinstance(argument, bool) else ""
            self.fault(path, keyword, f"`{keyword}` is a list of names, not {shown(argument)}{hint}")
        elif len(set(cast("list[str]", argument))) < len(argument):
            self.fault(path, keyword, f"`{keyword}` holds a name twice")

    def names_by_name(self, keyword: str, argument: Json, path: str, depth: int) -> None:
        if not isinstance(argument, dict):
            self.fault(path, keyword, f"`{keyword}` is a map of names to lists of names, not {shown(argument)}")
            return
        for name, needs in argument.items():
            self.names(keyword, needs, joined(path, name), depth)

    def reference(self, keyword: str, argument: Json, path: str, _depth: int) -> None:
        if not isinstance(argument, str):
            self.fault(path, keyword, f"`$ref` is text, not {shown(argument)}")
            return
        self.references.setdefault(argument, path)
        try:
            resolved(self.root, argument)
        except KeyError:
            hint = "nothing is fetched; put it under `$defs`" if not argument.startswith("#") else "it is not in this schema"
            self.fault(path, keyword, f"`$ref` leads to {shown(argument)}: {hint}")

    def loops(self) -> None:
        """Find references that lead back to themselves without a step into the data."""
        for reference, path in self.references.items():
            seen: set[str] = set()
            todo = [reference]
            while todo:
                for further in _in_place(resolved(self.root, todo.pop())):
                    if further == reference:
                        self.fault(path, "$ref", f"`$ref` {shown(reference)} leads back to itself at the same value")
                        todo.clear()
                        break
                    if further not in seen:
                        seen.add(further)
                        todo.append(further)

    def anything(self, _keyword: str, _argument: Json, _path: str, _depth: int) -> None:
        """Take any argument, as `const` does."""


def _in_place(schema: Json) -> Iterator[str]:
    """Give the references of a schema that speak of the very same value."""
    if not isinstance(schema, dict):
        return
    if isinstance(schema.get("$ref"), str):
        yield cast(str, schema["$ref"])
    for keyword in ("anyOf", "oneOf", "allOf"):
        for inner in cast("list[Json]", schema.get(keyword, [])):
            yield from _in_place(inner)
    for keyword in ("not", "if", "then", "else"):
        yield from _in_place(schema.get(keyword))


_OTHER_NAMES: Final = {
    "text": "string",
    "list": "array",
    "map": "object",
    "dict": "object",
    "bool": "boolean",
    "float": "number",
    "none": "null",
}
_ARGUMENTS: Final[Mapping[str, Callable[[_Form, str, Json, str, int], None]]] = {
    "$ref": _Form.reference, "type": _Form.types, "enum": _Form.options, "const": _Form.anything, "pattern": _Form.pattern,
    "format": _Form.format, "required": _Form.names, "dependentRequired": _Form.names_by_name, "uniqueItems": _Form.flag,
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), _Form.number),
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "minContains", "maxContains"), _Form.count_of),
    **dict.fromkeys(("anyOf", "oneOf", "allOf", "prefixItems"), _Form.several),
    **dict.fromkeys(("properties", "patternProperties", "$defs", "definitions"), _Form.named),
    **dict.fromkeys(("items", "additionalProperties", "propertyNames", "contains", "not", "if", "then", "else"), _Form.inner),
}  # fmt: skip
