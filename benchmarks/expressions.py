"""Evaluating and compiling expressions, each beside the same source in Jinja's native environment, measured in the same round."""

import statistics
import timeit

from jinja2 import StrictUndefined
from jinja2.nativetypes import NativeEnvironment

from treadle.authoring import expressions
from treadle.core.expr import Env, evaluate

NAMES = {
    "state": {
        "user": {"address": {"city": "Bern"}},
        "count": 1,
        "rows": [{"id": n, "name": f"n{n}", "ok": n % 2 == 0, "team": "a"} for n in range(100)],
    },
    "inputs": {"n": 3},
}
# Jinja makes lists only where it is told to.
SOURCES = {
    "path": "{{ state.user.address.city }}",
    "condition": "{{ state.count > 2 and inputs.n == 3 }}",
    "filter of 100": "{{ state.rows | selectattr('ok') | list }}",
    "map of 100": "{{ state.rows | map(attribute='name') | join(', ') }}",
    "two tests of 100": "{{ state.rows | selectattr('team', 'equalto', 'a') | list }}",
    "sum of 100": "{{ state.rows | sum(attribute='id') }}",
    "text": "City: {{ state.user.address.city | upper }}, {{ inputs.n }} times",
    "loop of 100": "{% for row in state.rows if row.ok %}{{ row.name }}, {% endfor %}",
}
NATIVE = NativeEnvironment(undefined=StrictUndefined)
COMPILED = 20
MICROSECONDS = 1e6


def evaluated_us(source: str) -> tuple[float, float]:
    """Our time and Jinja's, for one evaluation of what is compiled already."""
    expr, template = expressions.compile_text(source), NATIVE.from_string(source)
    evaluate(expr, Env(names=NAMES))
    ours = timeit.timeit(lambda: evaluate(expr, Env(names=NAMES)), number=200)
    theirs = timeit.timeit(lambda: template.render(NAMES), number=200)
    return ours / 200 * MICROSECONDS, theirs / 200 * MICROSECONDS


def compiled_us(source: str) -> tuple[float, float]:
    """Our time and Jinja's, for compiling a source that is new each time."""
    sources = [f"{number}{source}" for number in range(COMPILED)]

    def ours() -> None:
        for one in sources:
            # The cache would answer after the first round.
            expressions.compile_text(one, known=NAMES)

    def theirs() -> None:
        for one in sources:
            NATIVE.from_string(one)

    return tuple(timeit.timeit(work, number=1) / COMPILED * MICROSECONDS for work in (ours, theirs))  # type: ignore[return-value] # two of them


def table(rounds: int) -> None:
    print(f"\nExpressions, {rounds} rounds; medians in µs, beside Jinja's native templates")
    print(f"{'':16}{'evaluate':>9}{'Jinja':>9}{'ratio':>7}{'compile':>10}{'Jinja':>9}{'ratio':>7}")
    for name, source in SOURCES.items():
        rows = [(*evaluated_us(source), *compiled_us(source)) for _ in range(rounds)]
        run, their_run, made, their_made = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"{name:16}{run:9.1f}{their_run:9.1f}{run / their_run:7.2f}{made:10.1f}{their_made:9.1f}{made / their_made:7.2f}")
