"""A search for the slowest expression: random ones over hostile data, each run until its budget ends, none over its time.

What it finds becomes a row of the bombs in `test_hostile`. The values are larger than any state, because a value that was set aside can be.
"""

import contextlib
import json
import random
import time

import pytest

from treadle.authoring.expressions import ExpressionProblemsError, compile_text
from treadle.core.expr import Env, ExprError, drawing, evaluate
from treadle.core.expr.table import FILTERS, TESTS

pytestmark = pytest.mark.usefixtures("heap_of_its_own")
# Of processor time: three times what the order allows, as in `test_hostile`.
SECONDS_MAX = 0.3
ROWS = [{"id": n, "name": f"Row {n}", "tags": ["a", "b"], "f": n / 7} for n in range(1_000)]
VALUES = {
    "words": "ab cd " * 2_000, "wide": "ÀÉ ßǅ" * 2_000, "lines": "a\n" * 5_000, "sharp": "ß" * 8_000, "digits": "9" * 300, "kelvin": "\u212a" * 50_000,
    "huge_words": "àb " * 2_000_000, "huge_sharp": "ß" * 6_000_000, "huge_lines": "a\n" * 3_000_000, "emoji": "\U0001f600" * 3_000_000,
    "mixed": [n * 7_919 % 5_003 for n in range(5_000)], "floats": [n / 7 for n in range(3_000)], "texts": [f"t{n % 50} É" for n in range(3_000)],
    "long_texts": ["É" * 400 + str(n) for n in range(500)], "alike": ["É" * 250] * 2_000, "bools": [True, False] * 2_000, "decimals": ["1.5"] * 2_000,
    "rows": ROWS, "nested": [[n % 3, [n % 5, n]] for n in range(2_000)], "object": {f"k{n}": n for n in range(3_000)}, "table": [list(range(100))] * 100,
    "pairs": [[f"k{n}", n] for n in range(2_000)], "many": list(range(150_000)), "many_rows": [{"a": {"b": n % 1_000}} for n in range(60_000)],
    "json": json.dumps(ROWS), "flat_json": "[" + "1," * 50_000 + "1]", "base64": "YWJj" * 20_000, "day": "2026-11-20", "at": "2026-11-20T10:00:00+01:00",
    "number": 12_345_678_901, "money": "1234567890.123456789",
}  # fmt: skip
ARGUMENTS = [
    "0", "1", "2", "-1", "3", "7", "1000", "100000", "''", "'a'", "'ab'", "' '", "'É'", "'\\n'", "words", "wide", "'.*'", "'(a|b|c)*d'", "'[a-z]+ ?'", "'(?i)é+x'",
    "'\\\\w+|\\\\s'", "'(a?){30}'", "'name'", "'id'", "'a.b'", "true", "false", "none", "mixed", "texts", "object", "'value'", "'half_up'", "'ceil'", "'%Y%A%B%j%V'",
    "'sha512'", "2.5", "(money | decimal)", "rows", "'k'", "long_texts", "huge_words", "36", "15", "'x' * 300", "digits", "it",
]  # fmt: skip
ATTRIBUTES = ["'name'", "'id'", "'a.b'", "0", "'k0'", "'tags.0'", "'name,id'", "'tags'"]
OPERATORS = ["+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", "<=", ">", "in", "not in", "and", "or"]
WRAPPINGS = [
    "{{ %s }}", "{{ range(30000) | pick([%s, 0] | last) | length }}", "{{ range(30000) | pick(%s) | length }}", "{{ range(3) | pick([%s, 0] | last) }}",
    "{%% for it in range(30000) %%}{%% set z = %s %%}{%% endfor %%}", "{%% for it in range(40) %%}{{ %s }}{%% endfor %%}", "{{ [%s] | tojson | length }}",
]  # fmt: skip
ATOMS = [
    "a",
    "b",
    "é",
    "ß",
    "\\\\d",
    "\\\\w",
    "\\\\s",
    "\\\\S",
    "\\\\W",
    "[^a]",
    "[a-zé]",
    ".",
    "(a|b)",
    "(?:ab|a)",
    "\\\\b",
    "^",
    "$",
    "[ß-ü]",
    "\\\\B",
    "k",
]
REPEATS = ["", "", "*", "+", "?", "{3}", "{2,5}", "*?", "+?", "{0,30}", "{100}"]


def drawn_pattern(rng, depth=0):
    parts = [
        f"({drawn_pattern(rng, depth + 1)})" if depth < 3 and rng.random() < 0.3 else rng.choice(ATOMS) for _ in range(rng.randint(1, 4))
    ]
    flags = "" if depth else rng.choice(["", "", "", "(?i)", "(?s)"])
    return flags + "".join(part + rng.choice(REPEATS) for part in parts) + ("" if rng.random() < 0.8 else f"|{rng.choice(ATOMS)}")


def drawn_argument(rng, name):
    if name == "attribute":
        return rng.choice(ATTRIBUTES)
    return f"'{drawn_pattern(rng)}'" if name == "pattern" else rng.choice(ARGUMENTS)


def drawn_call(rng, table):
    name = rng.choice(sorted(table))
    parameters = [parameter for parameter, _ in table[name].parameters]
    given = parameters[: rng.randint(table[name].required, len(parameters))]
    return name + (f"({', '.join(drawn_argument(rng, one) for one in given)})" if given else "")


def drawn_expression(rng):
    value, other = rng.choice(list(VALUES)), rng.choice(list(VALUES))
    name = rng.choice(sorted(FILTERS))
    return rng.choice(
        [
            f"({value} | {drawn_call(rng, FILTERS)})",
            f"({value} | {drawn_call(rng, FILTERS)})",
            f"({value} | {drawn_call(rng, FILTERS)} | {drawn_call(rng, FILTERS)})",
            f"({value} is {drawn_call(rng, TESTS)})",
            f"({value} {rng.choice(OPERATORS)} {other})",
            f"({rng.choice(['7', '1.5', '(money | decimal)', value + '[0]'])} {rng.choice(OPERATORS)} {rng.choice(['3', '64', '0.5', other + '[1]'])})",
            f"({value} | map('{name}') | list)",
            f"({value} | select('{rng.choice(sorted(TESTS))}', {rng.choice(ARGUMENTS)}))",
            f"({value} | to_object(it | string, it))",
            f"({value}[ {rng.choice(['::-1', '1::2', ':100'])} ] ~ {other})",
            f"([{value}, {{'a': {other}}}])",
            f"('abcab' | regex_search('{drawn_pattern(rng)}' ~ it))",
        ]
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_no_random_expression_takes_longer_than_its_budget(seed):
    rng = random.Random(seed)
    tried = 0
    while tried < 300:
        source = rng.choice(WRAPPINGS) % drawn_expression(rng)
        try:
            expr = compile_text(source)
        except ExpressionProblemsError:
            continue
        tried += 1
        env = Env(names={**VALUES, "it": 1}, draw=drawing("", "", ""))
        begin = time.process_time()
        with contextlib.suppress(ExprError):
            evaluate(expr, env)
        assert time.process_time() - begin < SECONDS_MAX, source
