"""What evaluation costs in moves, which no other load of the machine changes; times are measured by `./dev bench`."""

import pytest

from treadle.authoring.expressions import compile_text
from treadle.core.expr import Env, ExprError, evaluate

NAMES = {
    "state": {
        "user": {"address": {"city": "Bern"}},
        "count": 1,
        "rows": [{"id": n, "name": f"n{n}", "ok": n % 2 == 0, "team": "a"} for n in range(100)],
    },
    "inputs": {"n": 3},
}


def moves(source):
    """The smallest budget under which an expression is evaluated."""
    expr, low, high = compile_text(source), 0, 100_000
    while low < high:
        middle = (low + high) // 2
        try:
            evaluate(expr, Env(names=NAMES, moves_max=middle))
        except ExprError:
            low = middle + 1
        else:
            high = middle
    evaluate(expr, Env(names=NAMES, moves_max=low))
    return low


@pytest.mark.parametrize(
    "source, moves_max",
    [
        ("{{ state.user.address.city }}", 10),
        ("{{ state.rows | where(it.id > 50) }}", 1_000),
        ("{{ state.rows | where(it.team == 'a' and it.ok) }}", 1_200),
        ("{{ state.rows | selectattr('ok') }}", 1_000),
        ("{{ state.rows | selectattr('team', 'equalto', 'a') }}", 1_000),
        ("{{ state.count + 1 }}", 10),
        ("{{ state.rows[:inputs.n] }}", 20),
        ("City: {{ state.user.address.city | upper }}, {{ inputs.n }} times", 30),
    ],
)
def test_an_expression_costs_what_it_touches(source, moves_max):
    assert 0 < moves(source) <= moves_max


def test_a_filtered_list_costs_in_proportion_to_its_length():
    one, ten = (moves(f"{{{{ range({n}) | list | where(it % 2 == 0) | length }}}}") for n in (100, 1_000))
    assert 8 * one < ten < 12 * one
