"""The JSON Schema of workflow files, made from the tables of `model`, for editors and `treadle schema`.

It describes form. What only the whole file can tell (names that exist, data flow, what goes together) stays with `check`, so a file that an
editor accepts may still have problems, and never the other way round.
"""

from typing import Final

from treadle.authoring import kinds as k
from treadle.authoring import model
from treadle.core.values import Json

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_TEMPLATE: Final[Json] = {"type": "string", "pattern": r"^\s*\{\{"}
_DURATION: Final[Json] = {"type": "string", "pattern": r"^(\d+d)?(\d+h)?(\d+m(?!s))?(\d+s)?(\d+ms)?$", "minLength": 2}


def file_schema() -> dict[str, Json]:
    """Give the JSON Schema of a workflow file, draft 2020-12."""
    return {
        "$schema": DIALECT,
        "title": "Treadle workflow",
        **_object(model.FILE),
        "$defs": {
            "step": _step(),
            **{f"step_{name}": _step_type(name, spec) for name, spec in model.TYPES.items()},
        },
    }


def object_schema(fields: dict[str, k.Field]) -> dict[str, Json]:
    """Give the JSON Schema of a map with known fields, for other files that are read by such a table."""
    return _object(fields)


def _step() -> dict[str, Json]:
    typed: list[Json] = [
        {
            "if": {"properties": {"type": {"const": name}}, "required": ["type"]},
            "then": {"$ref": f"#/$defs/step_{name}"},
        }
        for name in model.TYPES
    ]
    for key, name in model.SHORTHANDS.items():
        untyped: Json = {"required": [key], "not": {"required": ["type"]}}
        # A key such as `function` or `continue` may be a field of another step that says its type by another shorthand.
        typed.append({"if": untyped, "then": {"$ref": f"#/$defs/step_{name}"}})
    return {
        "type": "object",
        "properties": {"type": {"enum": list(model.TYPES)}},
        "allOf": typed,
        "anyOf": [{"required": [key]} for key in ("type", *model.SHORTHANDS)],
    }


def _step_type(name: str, spec: k.StepType) -> dict[str, Json]:
    fields = {key: field for key, field in {**model.COMMON, **spec.fields}.items() if key not in spec.without}
    found = _object(fields)
    properties = found["properties"]
    assert isinstance(properties, dict)
    properties["type"] = {"const": name}
    for key, target in model.SHORTHANDS.items():
        if target == name and key not in properties:
            properties[key] = _kind(spec.fields[spec.main].kind) if spec.main else {"type": "null"}
    # The main field may stand under the shorthand key instead.
    found["required"] = [key for key in _required(spec.fields) if key != spec.main]
    return {"description": spec.doc, **found}


def _required(fields: dict[str, k.Field]) -> list[Json]:
    return [name for name, field in fields.items() if field.required]


def _object(fields: dict[str, k.Field]) -> dict[str, Json]:
    properties: dict[str, Json] = {name: _field(field) for name, field in fields.items()}
    return {"type": "object", "properties": properties, "required": _required(fields), "additionalProperties": False}


def _field(field: k.Field) -> Json:
    found = _kind(field.kind)
    doc = field.doc + (" (checked; not carried out yet)" if field.later else "")
    default: dict[str, Json] = {"default": field.default_written} if field.default_written is not None else {}
    return {"description": doc, **default, **found}


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
            return {"anyOf": [{"type": "boolean"}, _TEMPLATE]}
        case k.Flag():
            return {"type": "boolean"}
        case k.Whole(minimum=minimum, maximum=maximum):
            return {"type": "integer", "minimum": minimum} | ({"maximum": maximum} if maximum is not None else {})
        case k.Amount():
            return {"type": ["number", "string"]}
        case k.Duration():
            return dict(_DURATION) if isinstance(_DURATION, dict) else {}
        case k.Words(words=words):
            return {"enum": list(words)}
        case k.Schema():
            return {"type": ["object", "boolean"]}
        case k.Entries():
            return {"type": "object", "additionalProperties": {"type": "object"}}
        case k.Exprs():
            return {"type": "object"}
        case _:
            return _compound(kind)


def _text(kind: k.Text) -> dict[str, Json]:
    found: dict[str, Json] = {"type": "string"}
    if kind.pattern:
        found["pattern"] = f"^(?:{kind.pattern})$"
    if kind.characters_max:
        found["maxLength"] = kind.characters_max
    return found


def _compound(kind: k.Kind) -> dict[str, Json]:
    match kind:
        case k.Steps():
            return {"type": "array", "items": {"$ref": "#/$defs/step"}}
        case k.ListOf(kind=inner, alone=alone, count_min=count_min):
            found: dict[str, Json] = {"type": "array", "items": _kind(inner)}
            if count_min:
                found["minItems"] = count_min
            return {"anyOf": [found, _kind(inner)]} if alone else found
        case k.MapOf(kind=inner):
            return {"type": "object", "additionalProperties": _kind(inner)}
        case k.Record(fields=fields, one_of=one_of):
            return _object(fields) | ({"minProperties": 1, "maxProperties": 1} if one_of else {})
        case k.Either(kinds=kinds):
            return {"anyOf": [_kind(inner) for inner in kinds]}
        case _:
            raise TypeError(type(kind).__name__)
