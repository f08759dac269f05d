"""The expression evaluator: a closed tree of ours over JSON values, under a budget (design §3, language.md §4).

`Expr` is data, made by `treadle.authoring.expressions` from Jinja's syntax. Jinja itself is not needed to evaluate it.

Read `tree` (what there is), then `evaluation` (what an expression may see), `build` (how it runs), `look` (what is opaque) and `table`
(the names of filters, tests, functions; `library` is what they do). Errors have the codes undefined, types, number_range, division_by_zero, budget, too_deep, condition_text,
duplicate_key, reserved_key, bad_json, bad_base64, bad_date, bad_regex, no_random, not_yet, bad_tree, bad_blob and bug.
"""

from treadle.core.expr.evaluation import MOVES_DEFAULT, Env, ExprError, NeedBlobs, draw_bits, drawing
from treadle.core.expr.program import evaluate, evaluate_call_args, evaluate_condition, evaluate_counted
from treadle.core.expr.stored import from_json, to_json
from treadle.core.expr.tree import Call, Expr, Node, Tree, const

__all__ = [
    "MOVES_DEFAULT",
    "Call",
    "Env",
    "Expr",
    "ExprError",
    "NeedBlobs",
    "Node",
    "Tree",
    "const",
    "draw_bits",
    "drawing",
    "evaluate",
    "evaluate_call_args",
    "evaluate_condition",
    "evaluate_counted",
    "from_json",
    "to_json",
]
