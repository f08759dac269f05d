"""What a planned step is given and is to give: its own fields, rendered as far as they are known, and the shape of its answer."""

from dataclasses import dataclass, field, replace
from typing import Any, Final, cast

from treadle.authoring import kinds, model
from treadle.authoring.plan_values import Known, Partial, joined, partially
from treadle.authoring.tree import StepTree
from treadle.core.expr import Expr
from treadle.core.schema_expected import expected_answer
from treadle.core.values import Json

# What decides about a block, or is a list of steps, is told by other keys of the plan.
_ELSEWHERE: Final = {
    "condition": {"if"}, "switch": {"value"}, "while": {"condition"}, "repeat": {"until"}, "parallel": set[str](),
    "foreach": {"items", "inputs", "output", "as", "agent"},
}  # fmt: skip
_STEPS: Final = (kinds.Steps, kinds.MapOf)


@dataclass(slots=True, kw_only=True)
class Told:
    """Fields of a step as they would be handed out."""

    given: dict[str, Json] = field(default_factory=dict[str, Json])
    holes: list[str] = field(default_factory=list[str])
    open_fields: set[str] = field(default_factory=set[str])
    faults: list[str] = field(default_factory=list[str])

    def to_json(self) -> dict[str, Any]:
        """Give the keys of the plan, those that say something."""
        found = {"with": self.given, "holes": list(dict.fromkeys(self.holes)), "faults": self.faults}
        return {key: value for key, value in found.items() if value}


def fields_of(step: StepTree, known: Known) -> Told:
    """Render the fields of a step."""
    told = Told()
    for name, spec in model.TYPES[step.type].fields.items():
        if name not in step.fields or name in _ELSEWHERE.get(step.type, ()) or isinstance(spec.kind, _STEPS):
            continue
        is_steps = name == "on_reject" and isinstance(step.fields[name], dict)
        # Updates see one another, and what `let` names is not stored.
        if is_steps or name in {"updates", "let"}:
            continue
        value = _field(step.fields[name], known)
        told.given[f"{name}_ms" if isinstance(spec.kind, kinds.Duration) else name] = value.value
        told.holes += value.holes
        told.open_fields |= {name} if value.holes else set()
        told.faults += [f"{name}: {value.fault}"] if value.fault else []
    if step.type == "set_state":
        told.given |= _updates(step, known, told)
    return told


def expected_of(step: StepTree, told: Told) -> dict[str, Any]:
    """Give the JSON Schema of the answer, where one is known; `{}` takes anything."""
    if step.type == "approve":
        return {"expected": {"type": "object", "properties": {"approved": {"type": "boolean"}, "note": {"type": "string"}}}}
    if step.type not in {"prompt", "delegate"} or told.open_fields & {"options", "fields", "output"}:
        return {}
    return {"expected": expected_answer(step.type, cast(Any, told.given))}


def set_fields(step: StepTree, known: Known) -> Known:
    """Give what is known after a set_state: later updates see earlier ones."""
    return _set(step, known)[0]


def _set(step: StepTree, known: Known) -> tuple[Known, dict[str, Partial]]:
    let = cast(list[tuple[str, Expr]], step.fields.get("let", []))
    inner = known
    for name, expr in let:
        value = partially(expr, inner)
        if value.is_known:
            inner = inner.with_names(**{name: value.value})
        else:
            inner = replace(inner.without_names(name), stands_for={**inner.stands_for, name: value.holes})
    found: dict[str, Partial] = {}
    for name, expr in cast(list[tuple[str, Expr]], step.fields.get("updates", [])):
        value = found[name] = partially(expr, inner)
        inner = inner.with_state(**{name: value.value}) if value.is_known else inner.without(name)
    return replace(inner, names=known.names, stands_for=known.stands_for), found


def _updates(step: StepTree, known: Known, told: Told) -> dict[str, Json]:
    found = _set(step, known)[1]
    told.holes[:] = [name for value in found.values() for name in value.holes]
    told.faults[:] = [f"{name}: {value.fault}" for name, value in found.items() if value.fault]
    return {"updates": {name: value.value for name, value in found.items()}}


def _field(value: object, known: Known) -> Partial:
    """Render a field, whatever its form: an expression, a list or map of them, or plain data."""
    if isinstance(value, Expr):
        return partially(value, known)
    if isinstance(value, list) and value and all(isinstance(item, Expr) for item in value):
        return joined([partially(item, known) for item in value])
    if isinstance(value, list) and value and all(isinstance(item, tuple) for item in value):
        parts = {name: partially(expr, known) for name, expr in value}
        whole = joined(list(parts.values()))
        return Partial(value={name: part.value for name, part in parts.items()}, holes=whole.holes, fault=whole.fault)
    return Partial(value=cast(Json, value))
