"""What is known of an expression before anything runs: its value, where it is written out."""

from typing import Final, cast

from treadle.authoring.nodes import Mapping, Node, Sequence
from treadle.authoring.tree import StepTree, Use
from treadle.core.expr import Expr
from treadle.core.expr.tree import Node as TreeNode
from treadle.core.values import Json, decode


class Unknown:
    """Stands for a value that only a run has."""


UNKNOWN: Final = Unknown()


def value_of(expr: object) -> Json | Unknown:
    """Give the value of an expression that is a constant."""
    return constant_of(expr.tree) if isinstance(expr, Expr) else UNKNOWN


def constant_of(tree: TreeNode) -> Json | Unknown:
    """Give the value of a part of an expression that is a constant."""
    match tree:
        case ("const", None | bool() | int() | float() | str() as value):
            return value
        case ("json", str() as text):
            return cast(Json, decode(text))
        case _:
            return UNKNOWN


def field_value(step: StepTree, name: str) -> Json | Unknown:
    """Give the value of a step's field that is a constant expression."""
    return value_of(step.fields.get(name))


def use_of(step: StepTree, field: str) -> Use | None:
    """Find an expression of a step by its field."""
    return next((use for use in step.uses if use.field == field), None)


def item_nodes(node: Node) -> list[Node]:
    """Give the nodes of a written list; none of anything else."""
    return node.items if isinstance(node, Sequence) else []


def key_node(step: StepTree, name: str) -> Node:
    """Give the node of a field's name, else of its value."""
    return step.node.keys.get(name, step.place(name))


def entry_node(node: Node, *keys: str) -> Node:
    """Follow keys of written maps as far as they go."""
    for key in keys:
        if not isinstance(node, Mapping) or key not in node.entries:
            break
        node = node.entries[key]
    return node
