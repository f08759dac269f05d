"""What an action wants for an answer, as a JSON Schema: shown to whoever performs it, and used to check what comes back."""

from collections.abc import Mapping
from typing import cast

from treadle.core.schema import check
from treadle.core.values import Json, Value

# What is looked at here comes from the definition or was checked when the step opened; none of it is ever set aside (aside.py).
Schema = dict[str, Json]


def expected_answer(kind: str, params: Mapping[str, Value]) -> Schema:
    """Give the schema of the answer of an action; `{}` takes anything (language.md §2, column "result")."""
    if kind == "prompt":
        return _prompt(params)
    output = params.get("output") if kind == "delegate" else None
    return cast(Schema, output) if isinstance(output, dict) else {}


def faults_of(schema: Json, value: Value, what: str = "the answer") -> tuple[str, ...]:
    """Tell how a whole value does not fit a schema, fault by fault; `what` names the value itself."""
    return tuple(f"{fault.path or what}: {fault.message}" for fault in check(schema, value)) if isinstance(schema, dict) and schema else ()


def _prompt(params: Mapping[str, Value]) -> Schema:
    match params.get("format"):
        case "info":
            return {}
        case "confirm":
            return _object({"confirmed": {"type": "boolean"}}, ["confirmed"])
        case "choice":
            one: Schema = {"enum": cast(Json, params.get("options") or [])}
            return {"type": "array", "items": one, "uniqueItems": True} if params.get("multiple") else one
        case "form":
            return _form(cast(dict[str, Schema], params.get("fields") or {}))
        case _:
            keys = (("min_length", "minLength"), ("max_length", "maxLength"), ("pattern", "pattern"))
            rules = {theirs: cast(Json, params[ours]) for ours, theirs in keys if ours in params}
            return {"type": "string", **rules}


def _form(fields: dict[str, Schema]) -> Schema:
    ours = {"required", "default"}
    plain: Schema = {name: {k: v for k, v in rule.items() if k not in ours} for name, rule in fields.items()}
    return _object(plain, [name for name, rule in fields.items() if rule.get("required")])


def _object(properties: Schema, required: list[Json]) -> Schema:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
