"""The expression evaluator: a closed tree of ours over JSON values, under a budget (design §3, language.md §4).

`Expr` is data, made by `treadle.authoring.expressions` from Jinja's syntax. Jinja itself is not needed to evaluate it.
"""

from treadle.core.expr.evaluation import Env, ExprError, NeedBlobs, draw_bits
from treadle.core.expr.tree import Call, Expr, Node, Tree, const, from_json, to_json

__all__ = [
    "Call",
    "Env",
    "Expr",
    "ExprError",
    "NeedBlobs",
    "Node",
    "Tree",
    "const",
    "draw_bits",
    "from_json",
    "to_json",
]
