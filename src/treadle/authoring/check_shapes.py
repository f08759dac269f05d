"""What values can be against what they are used for: keys, conditions, lists and maps, comparisons, `state_schema`, results that are null.

Errors are what cannot go well whatever happens; what an open schema leaves open is a warning (language.md §8).
"""

from typing import Final, cast

from treadle.authoring import model
from treadle.authoring.constants import UNKNOWN, value_of
from treadle.authoring.kinds import Condition, Items, Kind, Value
from treadle.authoring.nodes import Mapping, Node
from treadle.authoring.problems import did_you_mean, listed
from treadle.authoring.reads import Read, reads_of
from treadle.authoring.reporter import Reporter
from treadle.authoring.scopes import Scope, Site
from treadle.authoring.shape_of import Shapes
from treadle.authoring.shapes import Known, Shape, excludes, of_schema
from treadle.authoring.tree import StepTree, Use
from treadle.core.expr import Expr
from treadle.core.expr.tree import Node as Tree
from treadle.core.schema import check
from treadle.core.values import Json, encode
from treadle.core.values import Value as Data

_ALWAYS_NULL: Final = frozenset({"null"})
_OF_OUTPUT: Final = Site(step=None, chain=(), names=frozenset({"inputs", "state", "steps", "run"}))
_OF_INITIAL_STATE: Final = Site(step=None, chain=(), names=frozenset({"inputs", "item", "loop", "run", "state"}))


def check_scope(scope: Scope, shapes: Shapes, to: Reporter) -> None:
    """Check every expression of a scope, and what is written to its state."""
    for use in scope.task.uses:
        _use(use, _OF_OUTPUT if use.key == "output" else _OF_INITIAL_STATE, shapes, to)
        if use.key == "output":
            _shaped(use, model.TASK["output"].kind, _OF_OUTPUT, shapes, to)
    for site in scope.sites:
        step = site.step
        assert step is not None
        for use in step.uses:
            seen = scope.at(site, use)
            _use(use, seen, shapes, to)
            spec = model.TYPES[step.type].fields.get(use.field) or model.COMMON.get(use.field) if step.type else None
            if spec is not None:
                _shaped(use, spec.kind, seen, shapes, to)
        if step.type == "switch":
            _cases(step, site, shapes, to)
        _null_output(step, site, shapes, to)
    _state_schema(scope, shapes, to)


def _use(use: Use, site: Site, shapes: Shapes, to: Reporter) -> None:
    if not use.expr.reads and use.expr.tree[0] in {"const", "json"}:
        return
    faults, compared = shapes.look(use, site)
    for fault in faults:
        read = Read(fault.root, fault.keys, is_open=False)
        tell = to.read_error if fault.is_error else to.read_warning
        tell("unknown_key", read, use, fault.message, fault.suggestion)
    for node in compared:
        _comparison(node, use, site, shapes, to)
    for read in reads_of(use):
        if read.root == "steps" and len(read.keys) == 2 and read.keys[1] == "result":
            _null_read(read, use, site, shapes, to)


# Comparisons


def _comparison(node: Tree, use: Use, site: Site, shapes: Shapes, to: Reporter) -> None:
    left = cast(Tree, node[1])
    for index in range(2, len(node), 2):
        op, right = node[index], cast(Tree, node[index + 1])
        if op in {"==", "!="}:
            _equal(left, right, use, site, shapes, to, holds=op == "!=")
        elif op in {"in", "not in"}:
            found = value_of(Expr(right))
            for value in found if isinstance(found, list) else ():
                _among(left, value, use, site, shapes, to)
        left = right


def _equal(left: Tree, right: Tree, use: Use, site: Site, shapes: Shapes, to: Reporter, *, holds: bool) -> None:
    one, other = shapes.walk(site, left), shapes.walk(site, right)
    if not excludes(one, other) or one is None or other is None:
        return
    for asked, value, shape in ((left, right, one), (right, left, other)):
        wanted = value_of(Expr(value))
        read = _read_of(asked)
        if read is not None and wanted is not UNKNOWN:
            said = "always" if holds else "never"
            _tell_never(read, use, cast(Json, wanted), shape, f"this {said} holds", to)
            return
    read = _read_of(left) or _read_of(right)
    if read is not None:
        message = f"this {'always' if holds else 'never'} holds: {one} and {other} are never equal"
        to.read_warning("never_equal", read, use, message, "convert one of them: `| int`, `| string`")


def _among(asked: Tree, value: Json, use: Use, site: Site, shapes: Shapes, to: Reporter) -> None:
    shape, read = shapes.walk(site, asked), _read_of(asked)
    if read is not None and shape is not None and excludes(shape, of_schema({"const": value})):
        _tell_never(read, use, value, shape, "one of these never fits", to)


def _tell_never(read: Read, use: Use, value: Json, shape: Known, what: str, to: Reporter) -> None:
    shown = encode(value)
    if shape.values is not None:
        texts = [item for item in shape.values if isinstance(item, str)]
        hint = (
            did_you_mean(value, texts) if isinstance(value, str) else ""
        ) or f"it is one of: {listed(encode(item) for item in shape.values)}"
        to.read_warning("never_equal", read, use, f"{what}: `{read}` is never {shown}", hint)
    else:
        to.read_warning("never_equal", read, use, f"{what}: `{read}` is {shape}, and {shown} is not", "compare with a value of its kind")


def _read_of(node: Tree) -> Read | None:
    """Give the read that a node is, if it is one."""
    base = node[1] if node[0] == "path" else None
    if isinstance(base, tuple) and base[0] == "name" and all(isinstance(key, str) for key in node[2:]):
        return Read(cast(str, base[1]), cast("tuple[str, ...]", node[2:]), is_open=False)
    return Read(cast(str, node[1]), (), is_open=False) if node[0] == "name" else None


def _cases(step: StepTree, site: Site, shapes: Shapes, to: Reporter) -> None:
    use = next((use for use in step.uses if use.field == "value"), None)
    cases = step.places.get("cases")
    shape = shapes.of(use, site) if use is not None else None
    if not isinstance(cases, Mapping) or shape is None or shape.values is None:
        return
    values = [item if isinstance(item, str) else encode(item) for item in shape.values]
    for name, node in cases.keys.items():
        if name not in values:
            to.warning("never_equal", node, f"the value is never {name!r}", did_you_mean(name, values) or f"it is one of: {listed(values)}")


# Kinds


def _shaped(use: Use, kind: Kind, site: Site, shapes: Shapes, to: Reporter) -> None:
    """Compare what an expression gives with what its field takes."""
    if use.is_part or (not isinstance(kind, Condition | Items) and not (isinstance(kind, Value) and kind.shape != "any")):
        return
    shape = shapes.of(use, site)
    if shape is None:
        return
    place, name = use.node, use.field
    if isinstance(kind, Condition) and shape.kinds == {"string"}:
        message = f"`{name}` is true or false, and this is text"
        to.error("condition_text", place, message, "compare it: `{{ … == 'yes' }}`")
    wanted = "list" if isinstance(kind, Items) else kind.shape if isinstance(kind, Value) else "any"
    needed = {"list": "array", "map": "object"}.get(wanted)
    if needed is not None and needed not in shape.kinds:
        hint = "write `| split(…)`, or a list" if wanted == "list" and "string" in shape.kinds else f"give a {wanted}"
        to.error("wrong_type", place, f"`{name}` is a {wanted}, and this gives {shape}", hint)


def _null_output(step: StepTree, site: Site, shapes: Shapes, to: Reporter) -> None:
    if "output_to" not in step.fields or step.broken:
        return
    why = _why_null(step, shapes.result(step, site))
    if why:
        to.warning("always_null", step.place("output_to"), f"`{step.id}` gives {why[0]}", why[1])


def _null_read(read: Read, use: Use, site: Site, shapes: Shapes, to: Reporter) -> None:
    found = shapes.scope.steps.get(read.keys[0])
    if found is None or found.step.implicit or found.chain != site.chain[: len(found.chain)]:
        return
    why = _why_null(found.step, shapes.result(found.step, found.site))
    if why:
        to.read_warning("always_null", read, use, f"`{found.step.id}` gives {why[0]}", why[1])


def _why_null(step: StepTree, shape: Shape) -> tuple[str, str] | None:
    if shape is None:
        return None
    if shape.kinds == _ALWAYS_NULL:
        hints = {
            "prompt": "to ask for something, write `format: text`", "run": "to take its result, wait for it: delete `detach`",
            "set_state": "read the field that it writes",
        }  # fmt: skip
        return "no result, only null", hints.get(step.type, "read a field that a step in it writes")
    if step.type == "foreach" and shape.items is not None and shape.items.kinds == _ALWAYS_NULL and "output" not in step.places:
        return "a list of nulls: its rounds say no result", "write `output:` on the foreach"
    return None


# The state's schema


def _state_schema(scope: Scope, shapes: Shapes, to: Reporter) -> None:
    schema = scope.task.fields.get("state_schema")
    if not isinstance(schema, dict):
        return
    found = cast("dict[str, Json]", schema)
    properties = found.get("properties")
    rules = cast("dict[str, Json]", properties) if isinstance(properties, dict) else {}
    initial = scope.task.node.entries.get("initial_state")
    places = initial.entries if isinstance(initial, Mapping) else {}
    for name, expr in scope.task.exprs("initial_state"):
        _fits(name, expr, places[name], _OF_INITIAL_STATE, rules, shapes, to)
    for site in scope.sites:
        step = site.step
        if step is None:
            continue
        updates = step.fields.get("updates")
        nodes = step.place("updates")
        for name, expr in cast("list[tuple[str, Expr]]", updates) if isinstance(updates, list) else ():
            _fits(name, expr, nodes.entries[name] if isinstance(nodes, Mapping) else nodes, site, rules, shapes, to)
        target = step.fields.get("output_to")
        if isinstance(target, str) and target in rules:
            _excluded(target, shapes.result(step, site), rules[target], step.place("output_to"), to)
    if found.get("additionalProperties") is False:
        for name, node in [*_named(initial), *scope.first_writer.items()]:
            if name not in rules:
                message = f"`state_schema` has no field `{name}` and allows no others"
                to.error("bad_state", node, message, did_you_mean(name, rules) or "add it there")


def _named(node: object) -> list[tuple[str, Node]]:
    return list(node.keys.items()) if isinstance(node, Mapping) else []


def _fits(name: str, expr: Expr, node: Node, site: Site, rules: dict[str, Json], shapes: Shapes, to: Reporter) -> None:
    if name not in rules:
        return
    value = value_of(expr)
    if value is UNKNOWN:
        _excluded(name, shapes.walk(site, expr.tree), rules[name], node, to)
        return
    for fault in check(rules[name], cast(Data, value)):
        to.error("bad_state", node, f"`state_schema` does not let `{name}` be this: {fault.message}", "mend the value, or the schema")
        return


def _excluded(name: str, shape: Shape, rule: Json, node: Node, to: Reporter) -> None:
    wanted = of_schema(rule)
    if shape is not None and wanted is not None and not shape.kinds & wanted.kinds:
        to.error("bad_state", node, f"`state_schema` wants {wanted} for `{name}`, and this gives {shape}", "mend the value, or the schema")
