"""What a task or a child workflow is given, against the inputs that it declares: names, and values where they are known (ruling 13)."""

from collections.abc import Iterator
from typing import NamedTuple, cast

from treadle.authoring.constants import UNKNOWN, field_value, item_nodes, value_of
from treadle.authoring.nodes import Mapping, Node
from treadle.authoring.problems import did_you_mean, listed
from treadle.authoring.scopes import Scope, Site
from treadle.authoring.shape_of import Shapes
from treadle.authoring.shapes import Shape, of_schema
from treadle.authoring.tree import FileTree, StepTree, TaskTree
from treadle.core.schema import check
from treadle.core.values import Json, Value


class Fault(NamedTuple):
    """Something that does not fit."""

    code: str
    node: Node
    message: str
    suggestion: str


def faults(step: StepTree, name: str, task: TaskTree, around: TaskTree, file: FileTree) -> Iterator[Fault]:
    """Compare what a step gives with what its task takes. `name` is the field that names the task, `around` the task the step is in."""
    if task.fields.get("inputs") is None and "inputs" in task.node.entries:
        return
    rules = task.inputs
    required = [key for key, rule in rules.items() if rule.get("required") is True]
    if "inputs" in step.node.entries:
        yield from _named(step, rules, required, around, file)
    elif name == "task":
        yield from _item(step, rules, required, around, file)
    elif required:
        yield Fault(
            "missing_input", step.place(name), f"the workflow requires {_inputs(required)}, and nothing is given", "write `inputs:`"
        )


def _inputs(names: list[str]) -> str:
    return f"the input{'s' * (len(names) != 1)} {listed(f'`{name}`' for name in names)}"


def _named(step: StepTree, rules: dict[str, dict[str, object]], required: list[str], around: TaskTree, file: FileTree) -> Iterator[Fault]:
    place = step.place("inputs")
    if not isinstance(place, Mapping):
        return
    what = "task" if step.type == "foreach" else "workflow"
    for key, node in place.keys.items():
        if key not in rules:
            hint = did_you_mean(key, rules) or f"inputs: {listed(rules)}"
            yield Fault("unknown_input", node, f"the {what} has no input `{key}`", hint)
    missing = [key for key in required if key not in place.entries]
    for key in missing:
        yield Fault("missing_input", place, f"the {what} requires the input `{key}`, which is not given", f"add `{key}:` to `inputs`")
    uses = {use.field.split(".", 1)[1]: use for use in step.uses if use.key == "inputs"}
    found: tuple[Shapes, Site] | None = None
    for key, use in uses.items():
        if key not in rules:
            continue
        value = value_of(use.expr)
        if value is not UNKNOWN:
            yield from _unfit(key, cast(Json, value), rules[key], use.node)
            continue
        found = found or _at(step, around, file)
        if found is not None:
            shapes, site = found
            yield from _excluded(key, shapes.of(use, shapes.scope.at(site, use)), rules[key], use.node)


def _item(step: StepTree, rules: dict[str, dict[str, object]], required: list[str], around: TaskTree, file: FileTree) -> Iterator[Fault]:
    if rules and len(required) != 1 and len(rules) != 1:
        rows = f"the required inputs {listed(required)}" if required else "no required input"
        message = f"the task has {rows}, so nothing says which one takes the item"
        yield Fault("item_not_mapped", step.place("task"), message, "write `inputs:` on the foreach")
        return
    key = required[0] if len(required) == 1 else next(iter(rules), "")
    if not key:
        return
    items = field_value(step, "items")
    if isinstance(items, list):
        for item, node in zip(items, item_nodes(step.place("items")) or [step.place("items")] * len(items), strict=False):
            yield from _unfit(key, item, rules[key], node)
        return
    found = _at(step, around, file)
    use = next((use for use in step.uses if use.field == "items"), None)
    if found is not None and use is not None:
        shape = found[0].of(use, found[1])
        yield from _excluded(key, shape.items if shape is not None else None, rules[key], step.place("task"))


def _unfit(key: str, value: Json, rule: dict[str, object], node: Node) -> Iterator[Fault]:
    for fault in check(_plain(rule), cast(Value, value)):
        yield Fault("bad_input", node, f"the input `{key}` does not take this: {fault.message}", "give what it takes")
        return


def _excluded(key: str, shape: Shape, rule: dict[str, object], node: Node) -> Iterator[Fault]:
    wanted = of_schema(_plain(rule))
    if shape is not None and wanted is not None and not shape.kinds & wanted.kinds:
        yield Fault("bad_input", node, f"the input `{key}` is {wanted}, and this gives {shape}", "convert it, or give another value")


def _plain(rule: dict[str, object]) -> Json:
    return cast(Json, {key: value for key, value in rule.items() if key not in {"required", "default"}})


def _at(step: StepTree, around: TaskTree, file: FileTree) -> tuple[Shapes, Site] | None:
    scope = Scope(around, is_main=around is file.main, file=file)
    site = next((site for site in scope.sites if site.step is step), None)
    return (Shapes(scope), site) if site is not None else None
