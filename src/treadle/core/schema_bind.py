"""Inputs: what a caller or a foreach gives, checked against the schemas of the task or run that takes it (language.md §1)."""

from collections.abc import Callable, Mapping

from treadle.core.definition import Task
from treadle.core.schema import Fault, check
from treadle.core.values import Json, Value

_OURS = ("required", "default")


def bind_inputs(task: Task, given: Mapping[str, Value], whole: Callable[[Value], Value]) -> tuple[dict[str, Value], tuple[Fault, ...]]:
    """Apply defaults and check; gives the bound inputs and every fault, the path of each beginning with the input's name.

    `whole` gives a value with what was set aside in it.
    """
    bound: dict[str, Value] = {}
    faults: list[Fault] = []
    for name, schema in task.inputs.items():
        if name in given:
            bound[name] = given[name]
            faults += [_under(name, fault) for fault in check(_plain(schema), whole(given[name]))]
        elif "default" in schema:
            bound[name] = schema["default"]
        elif schema.get("required"):
            message = f"the input `{name}` is required and was not given"
            faults.append(Fault(path=name, rule="required", message=message))
        else:
            bound[name] = None
    for name in given:
        if name not in task.inputs:
            message = f"there is no input `{name}`; the inputs are: {', '.join(task.inputs) or 'none'}"
            faults.append(Fault(path=name, rule="unknown", message=message))
    return bound, tuple(faults)


def single_required(task: Task) -> str | None:
    """Give the one input that an item goes to where a foreach maps none (ruling 13)."""
    required = [name for name, schema in task.inputs.items() if schema.get("required")]
    if len(required) == 1:
        return required[0]
    return next(iter(task.inputs)) if len(task.inputs) == 1 else None


def _plain(schema: dict[str, Json]) -> dict[str, Json]:
    return {key: value for key, value in schema.items() if key not in _OURS}


def _under(name: str, fault: Fault) -> Fault:
    path = f"{name}{fault.path}" if fault.path.startswith("[") else f"{name}.{fault.path}" if fault.path else name
    return Fault(path=path, rule=fault.rule, message=f"the input `{path}`: {fault.message}")
