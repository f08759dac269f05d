"""What an action wants for an answer, as a JSON Schema: shown to whoever performs it, and used to check what comes back."""

from collections.abc import Mapping

from treadle.core.values import Json, Value


def expected_answer(kind: str, params: Mapping[str, Value]) -> dict[str, Json]:
    """Give the schema of the answer of an action; `{}` takes anything (language.md §2, column "result")."""
    if kind == "prompt":
        return _prompt(params)
    if kind == "delegate":
        output = params.get("output")
        return output if isinstance(output, dict) else {}
    return {}


def _prompt(params: Mapping[str, Value]) -> dict[str, Json]:
    match params.get("format"):
        case "info":
            return {}
        case "confirm":
            return _object({"confirmed": {"type": "boolean"}}, ["confirmed"])
        case "choice":
            return _choice(params)
        case "form":
            return _form(params)
        case _:
            keys = (("min_length", "minLength"), ("max_length", "maxLength"), ("pattern", "pattern"))
            rules = {theirs: params[ours] for ours, theirs in keys if params.get(ours) is not None}
            return {"type": "string", **rules}  # type: ignore[dict-item]


def _choice(params: Mapping[str, Value]) -> dict[str, Json]:
    options = params.get("options")
    one: dict[str, Json] = {"enum": options if isinstance(options, list) else []}
    return {"type": "array", "items": one, "uniqueItems": True} if params.get("multiple") else one


def _form(params: Mapping[str, Value]) -> dict[str, Json]:
    fields = params.get("fields")
    rows = fields if isinstance(fields, dict) else {}
    required: list[Json] = [name for name, rule in rows.items() if isinstance(rule, dict) and rule.get("required")]
    plain: dict[str, Json] = {}
    for name, rule in rows.items():
        plain[name] = {k: v for k, v in rule.items() if k not in {"required", "default"}} if isinstance(rule, dict) else {}
    return _object(plain, required)


def _object(properties: dict[str, Json], required: list[Json]) -> dict[str, Json]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
