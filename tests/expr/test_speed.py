"""How fast evaluation is; the limits are those of the order, measured as the best of several tries."""

import timeit

import pytest

from treadle.authoring.expressions import compile_text
from treadle.core.expr import Env, evaluate

NAMES = {
    "state": {
        "user": {"address": {"city": "Bern"}},
        "count": 1,
        "rows": [{"id": n, "name": f"n{n}", "ok": n % 2 == 0, "team": "a"} for n in range(100)],
    },
    "inputs": {"n": 3},
}


def best_us(source, number):
    expr = compile_text(source)
    given = Env(names=NAMES)
    evaluate(expr, given)
    return min(timeit.repeat(lambda: evaluate(expr, Env(names=NAMES)), number=number, repeat=7)) / number * 1e6


@pytest.mark.parametrize(
    "source, limit_us",
    [
        ("{{ state.user.address.city }}", 10),
        ("{{ state.rows | where(it.id > 50) }}", 100),
        ("{{ state.rows | where(it.team == 'a' and it.ok) }}", 100),
        ("{{ state.rows | selectattr('ok') }}", 100),
        ("{{ state.rows | selectattr('team', 'equalto', 'a') }}", 100),
        ("{{ state.count + 1 }}", 20),
        ("{{ state.rows[:inputs.n] }}", 20),
        ("City: {{ state.user.address.city | upper }}, {{ inputs.n }} times", 20),
    ],
)
def test_an_expression_is_fast(source, limit_us):
    assert best_us(source, 200) <= limit_us


def test_1000_updates_of_a_state_take_20_ms_at_most():
    sources = [
        "{{ state.count + 1 }}",
        "{{ state.user.address.city }}",
        "{{ state.rows[0].name ~ inputs.n }}",
        "{{ [state.count, inputs.n] }}",
    ]
    exprs = [compile_text(source) for source in sources] * 250

    def update():
        for expr in exprs:
            evaluate(expr, Env(names=NAMES))

    assert min(timeit.repeat(update, number=1, repeat=7)) <= 0.020


def test_a_300_expression_file_compiles_in_a_moment():
    sources = [
        "Do {{ state.user.address.city }} for {{ inputs.n }}: {% if state.count > 2 %}yes{% endif %}",
        "{{ state.rows | where(it.ok) | map(attribute='name') | join(', ') }}",
    ] * 150
    took = min(timeit.repeat(lambda: [compile_text(source) for source in sources], number=1, repeat=3))
    assert took < 0.5
