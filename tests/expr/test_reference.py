"""The published table of the language: nothing is left out, and every example gives what it says."""

import json

import pytest

from treadle.authoring import expression_reference as reference
from treadle.authoring.expression_apply import FILTER_NAMES, TEST_NAMES
from treadle.authoring.expressions import compile_text
from treadle.core.expr import Env, drawing, evaluate, from_json, to_json
from treadle.core.expr.table import FUNCTIONS, TEST_ALIASES
from treadle.core.expr.tree import SHAPES, nodes_of
from treadle.core.values import encode

ALL = {
    "filter": list(reference.filters()),
    "test": list(reference.tests()),
    "function": list(reference.functions()),
    "operator": list(reference.OPERATORS),
    "statement": list(reference.STATEMENTS),
    "loop": list(reference.LOOP),
}
ENTRIES = [(kind, entry) for kind, entries in ALL.items() for entry in entries]


def tree_of(entry):
    return compile_text(reference.source_of(entry.example), known=set(reference.CONTEXT))


@pytest.mark.parametrize("kind, entry", ENTRIES, ids=[f"{kind} {entry.name}" for kind, entry in ENTRIES])
def test_an_entry_is_described_and_its_example_gives_what_it_says(kind, entry):
    assert entry.signature
    assert entry.sentence.endswith("."), entry.sentence
    assert entry.example, f"the {kind} {entry.name} has no example"
    expr = tree_of(entry)
    env = Env(names=reference.CONTEXT, now_ms=reference.NOW_MS, draw=drawing(reference.SEED, "", ""))
    assert encode(evaluate(expr, env)) == entry.result
    assert encode(evaluate(from_json(json.loads(json.dumps(to_json(expr)))), env)) == entry.result


def test_every_filter_test_and_function_is_described():
    assert {entry.name for entry in ALL["filter"]} == set(FILTER_NAMES)
    assert {entry.name for entry in ALL["test"]} == set(TEST_NAMES) - set(TEST_ALIASES)
    assert {entry.name for entry in ALL["function"]} == set(FUNCTIONS)


@pytest.mark.parametrize("kind", ["filter", "test", "function"])
def test_an_example_uses_what_it_is_an_example_of(kind):
    for entry in ALL[kind]:
        assert f"{entry.name}(" in entry.example or f" {entry.name}" in entry.example or f"'{entry.name}'" in entry.example, entry


def test_the_examples_use_every_operation_of_the_tree():
    used = {node[0] for _, entry in ENTRIES for node in nodes_of(tree_of(entry).tree, ())}
    # `call` is of registered functions, `maybe` of a name that was set in a branch, `let` an argument of `map` that is computed.
    assert set(SHAPES) - used <= {"call", "maybe", "let", "slice", "secret", "pos"}


def test_examples_are_worth_printing():
    for _, entry in ENTRIES:
        assert len(entry.example) <= 100
        assert len(entry.result) <= 100


@pytest.mark.parametrize(
    "source, meant",
    [
        ("1 if 0 or 1 else 2", "1 if (0 or 1) else 2"),
        ("1 or 0 and 0", "1 or (0 and 0)"),
        ("not 1 == 2", "not (1 == 2)"),
        ("1 + 2 in [3]", "(1 + 2) in [3]"),
        ("'a' ~ 'b' == 'ab'", "('a' ~ 'b') == 'ab'"),
        ("1 ~ 2 * 3", "1 ~ (2 * 3)"),
        ("2 * 3 ** 2", "2 * (3 ** 2)"),
        ("2 ** 3 ** 2", "(2 ** 3) ** 2"),
        ("2 + 3 | string", "2 + (3 | string)"),
        ("1 + 2 is odd", "1 + (2 is odd)"),
    ],
)
def test_operators_bind_in_the_order_of_the_table(source, meant):
    assert compile_text(f"{{{{ {source} }}}}") == compile_text(f"{{{{ {meant} }}}}")
