"""The JSON Schema of workflow files, made from the tables of `model`, for editors and `treadle schema`.

It describes form. What only the whole file can tell (names that exist, data flow, what goes together) stays with `check`, so a file that an
editor accepts may still have problems, and never the other way round.

A step is described by what it says that it is: one `if`/`then` per type and per shorthand key, so that an editor reports the faults of that
type alone. Patterns keep to what every dialect of regular expressions has, our own linear one included.
"""

from typing import Final

from treadle.authoring import kinds as k
from treadle.authoring import model
from treadle.core.schema import FORMATS, KEYWORDS
from treadle.core.schema_form import TYPES
from treadle.core.values import Json

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
FILE_NAME: Final = "workflow.schema.json"
_TEMPLATE: Final[dict[str, Json]] = {"type": "string", "pattern": r"^\s*\{\{"}
_NO_TEMPLATE: Final[dict[str, Json]] = {"not": {"pattern": r"\{\{|\{%|\{#"}}
_DURATION: Final[dict[str, Json]] = {"type": "string", "pattern": r"^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$", "minLength": 2}
_STEP: Final[dict[str, Json]] = {"$ref": "#/$defs/step"}
_JSON_SCHEMA: Final[dict[str, Json]] = {"$ref": "#/$defs/json_schema"}


def file_schema() -> dict[str, Json]:
    """Give the JSON Schema of a workflow file, draft 2020-12."""
    found = document_schema("Treadle workflow", "A workflow of Treadle: its steps in order, what goes in, what comes out.", model.FILE)
    properties = found["properties"]
    assert isinstance(properties, dict)
    properties["defaults"] = {"description": _sentence(model.FILE["defaults"]), "type": "object", **_defaults()}
    return found


def step_schema(name: str) -> dict[str, Json]:
    """Give the JSON Schema of the steps of one type."""
    return _with_definitions({"$schema": DIALECT, "title": f"Treadle step: {name}", "$ref": f"#/$defs/step_{name}"})


def document_schema(title: str, description: str, fields: dict[str, k.Field]) -> dict[str, Json]:
    """Give the JSON Schema of a file that is a map with known fields."""
    return _with_definitions({"$schema": DIALECT, "title": title, "description": description, **object_schema(fields)})


def object_schema(fields: dict[str, k.Field]) -> dict[str, Json]:
    """Give the JSON Schema of a map with known fields; what it refers to is in `document_schema`."""
    properties: dict[str, Json] = {name: _field(field) for name, field in fields.items()}
    return {"type": "object", "properties": properties, "required": _required(fields), "additionalProperties": False}


def _with_definitions(schema: dict[str, Json]) -> dict[str, Json]:
    """Add what a schema refers to, directly or through another."""
    known = _definitions()
    used: set[str] = set()
    pending: list[Json] = [schema]
    while pending:
        part = pending.pop()
        if isinstance(part, list):
            pending += part
        elif isinstance(part, dict):
            pending += part.values()
            reference = part.get("$ref")
            name = reference.split("/")[2] if isinstance(reference, str) else ""
            if name and name not in used:
                used.add(name)
                pending.append(known[name])
    return {**schema, "$defs": {name: found for name, found in known.items() if name in used}}


def _definitions() -> dict[str, Json]:
    return {
        "step": _step(),
        **{f"step_{name}": _step_type(name, spec) for name, spec in model.TYPES.items()},
        **{f"common_{name}": _field(field) for name, field in model.COMMON.items()},
        "json_schema": _json_schema(),
        "input": _input(),
    }


def _step() -> dict[str, Json]:
    typed: list[Json] = [
        {
            "if": {"properties": {"type": {"const": name}}, "required": ["type"]},
            "then": {"$ref": f"#/$defs/step_{name}", "required": [key for key in _required(spec.fields) if key == spec.main]},
        }
        for name, spec in model.TYPES.items()
    ]
    for key, name in model.SHORTHANDS.items():
        untyped: Json = {"required": [key], "not": {"required": ["type"]}}
        # A key such as `function` or `continue` may be a field of another step that says its type by another shorthand.
        typed.append({"if": untyped, "then": {"$ref": f"#/$defs/step_{name}"}})
    types: dict[str, Json] = {
        "description": "What the step is.",
        "enum": list(model.TYPES),
        "enumDescriptions": [t.doc for t in model.TYPES.values()],
    }
    shorthands: dict[str, Json] = {key: {"description": model.TYPES[name].doc} for key, name in model.SHORTHANDS.items()}
    return {
        "description": "One step: `type` and its fields, or the type as key of its main field.",
        "type": "object",
        "properties": {"type": types, **shorthands},
        "allOf": typed,
        "anyOf": [{"required": [key]} for key in ("type", *model.SHORTHANDS)],
    }


def _step_type(name: str, spec: k.StepType) -> dict[str, Json]:
    properties: dict[str, Json] = {"type": {"description": "What the step is.", "const": name}}
    properties |= {key: _field(field) for key, field in spec.fields.items() if key not in spec.without}
    for key, target in model.SHORTHANDS.items():
        if target == name and key not in properties:
            properties[key] = _shorthand(spec)
    properties |= {key: {"$ref": f"#/$defs/common_{key}"} for key in model.COMMON if key not in spec.without and key not in properties}
    # The main field may stand under the shorthand key instead.
    required: list[Json] = [key for key in _required(spec.fields) if key != spec.main]
    return {"description": spec.doc, "type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _shorthand(spec: k.StepType) -> dict[str, Json]:
    if not spec.main:
        return {"description": spec.doc, "type": "null"}
    found = _field(spec.fields[spec.main])
    return {**found, "description": f"{spec.doc} Here: {spec.fields[spec.main].doc}."}


def _defaults() -> dict[str, Json]:
    """Describe `defaults:`: per type the fields that may stand there, all of them optional."""
    known: dict[str, Json] = {}
    for name, spec in model.TYPES.items():
        if name in model.WITHOUT_DEFAULTS:
            continue
        fields = {**model.COMMON, **spec.fields}
        allowed = [f for f in fields if f not in model.DEFAULTS_WITHOUT and f not in spec.without and not fields[f].required]
        properties: dict[str, Json] = {field: {"$ref": f"#/$defs/step_{name}/properties/{field}"} for field in allowed}
        known[name] = {"description": spec.doc, "type": "object", "properties": properties, "additionalProperties": False}
    return {"properties": known, "additionalProperties": False}


def _json_schema() -> dict[str, Json]:
    """Describe the JSON Schemas that a file may hold: keywords that nothing carries out are errors there (`core.schema_form`)."""
    several: Json = {"type": "array", "items": dict(_JSON_SCHEMA), "minItems": 1}
    named: Json = {"type": "object", "additionalProperties": dict(_JSON_SCHEMA)}
    types: Json = {"enum": [*TYPES]}
    known: dict[str, Json] = {name: {} for name in sorted(KEYWORDS)}
    known |= {
        name: dict(_JSON_SCHEMA) for name in ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames")
    }
    known |= dict.fromkeys(("allOf", "anyOf", "oneOf", "prefixItems"), several)
    known |= dict.fromkeys(("properties", "patternProperties", "$defs", "definitions"), named)
    known |= {
        "type": {"anyOf": [types, {"type": "array", "items": types, "minItems": 1}]},
        "format": {"enum": [*sorted(FORMATS)]},
        "enum": {"type": "array"},
        "required": {"type": "array", "items": {"type": "string"}},
    }
    return {
        "description": "A JSON Schema, draft 2020-12.",
        "type": ["object", "boolean"],
        "properties": known,
        "additionalProperties": False,
    }


def _input() -> dict[str, Json]:
    schema = _json_schema()
    properties = schema["properties"]
    assert isinstance(properties, dict)
    required: Json = {"description": "Whether it must be given.", "type": ["boolean", "array"]}
    default: Json = {"description": "Its value where it is not given."}
    own: dict[str, Json] = {**properties, "required": required, "default": default}
    description = "A JSON Schema, and whether it must be given (`required`), or what it is otherwise (`default`)."
    return {"description": description, "type": "object", "properties": own, "additionalProperties": False}


def _required(fields: dict[str, k.Field]) -> list[Json]:
    return [name for name, field in fields.items() if field.required]


def _field(field: k.Field) -> dict[str, Json]:
    default: dict[str, Json] = {"default": field.default_written} if field.default_written is not None else {}
    return {"description": _sentence(field), **default, **_kind(field.kind)}


def _sentence(field: k.Field) -> str:
    return f"{field.doc[:1].upper()}{field.doc[1:]}." + (" Checked; not carried out yet." if field.later else "")


def _kind(kind: k.Kind) -> dict[str, Json]:
    match kind:
        case k.Text():
            return _text(kind)
        case k.Template():
            return {"type": "string"}
        case k.Value(shape="any") | k.Anything():
            return {}
        case k.Value(shape=shape):
            return {"anyOf": [{"type": "object" if shape == "map" else "array"}, _TEMPLATE]}
        case k.Items():
            return {"anyOf": [{"type": "array"}, _TEMPLATE]}
        case k.Condition():
            return {"anyOf": [_TEMPLATE, {"type": "boolean"}]}
        case k.Flag():
            return {"type": "boolean"}
        case k.Whole(minimum=minimum, maximum=maximum):
            return {"type": "integer", "minimum": minimum} | ({"maximum": maximum} if maximum is not None else {})
        case k.Amount():
            return {"type": ["number", "string"], "minimum": 0, "pattern": "[0-9]"}
        case k.Duration():
            return dict(_DURATION)
        case k.Words(words=words):
            return {"enum": list(words)}
        case k.Schema():
            return dict(_JSON_SCHEMA)
        case k.Entries():
            return {"type": "object", "propertyNames": _names(k.NAME), "additionalProperties": {"$ref": "#/$defs/input"}}
        case k.Exprs():
            return {"type": "object", "propertyNames": _names(k.NAME)}
        case _:
            return _compound(kind)


def _text(kind: k.Text) -> dict[str, Json]:
    found: dict[str, Json] = {"type": "string"}
    if kind.pattern:
        found["pattern"] = f"^(?:{kind.pattern})$"
    if kind.characters_max:
        found["maxLength"] = kind.characters_max
    return found if kind.braces or kind.pattern else {**found, **_NO_TEMPLATE}


def _names(pattern: str) -> dict[str, Json]:
    return {"pattern": f"^(?:{pattern})$", "maxLength": k.NAME_CHARACTERS_MAX}


def _compound(kind: k.Kind) -> dict[str, Json]:
    match kind:
        case k.Steps():
            return {"type": "array", "items": dict(_STEP)}
        case k.ListOf(kind=inner, alone=alone, count_min=count_min):
            found: dict[str, Json] = {"type": "array", "items": _kind(inner)}
            if count_min:
                found["minItems"] = count_min
            return {"anyOf": [found, _kind(inner)]} if alone else found
        case k.MapOf(kind=inner, key=key, count_min=count_min):
            keys: dict[str, Json] = {"propertyNames": {"pattern": f"^(?:{key})$"}} if key else {}
            return {"type": "object", "additionalProperties": _kind(inner), "minProperties": count_min, **keys}
        case k.Record(fields=fields, one_of=True, beside=beside) if beside:
            chosen: list[Json] = [{"required": [name]} for name in fields if name not in beside]
            return object_schema(fields) | {"oneOf": chosen, "dependentRequired": {name: [whose] for name, whose in beside.items()}}
        case k.Record(fields=fields, one_of=one_of):
            return object_schema(fields) | ({"minProperties": 1, "maxProperties": 1} if one_of else {})
        case k.Either(kinds=kinds):
            return {"anyOf": [_kind(inner) for inner in kinds]}
        case _:
            raise TypeError(type(kind).__name__)
