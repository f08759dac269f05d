"""Paths, operators, comparisons, tests, functions and constants of single expressions."""

import uuid

import pytest
from jinja2 import nodes

from tests.expr.support import NOW_MS, env, failure, value, written
from treadle.authoring.expression_apply import TEST_NAMES
from treadle.authoring.expression_scan import ENVIRONMENT
from treadle.authoring.expressions import compile_condition
from treadle.core.expr import Env, ExprError, draw_bits, drawing, evaluate, evaluate_condition

TABLE = [
    # constants
    ("1", "1"), ("1.5", "1.5"), ("3.0", "3"), ("'a' \"b\"", '"ab"'), ("true", "true"), ("none", "null"), ("True", "true"),
    ("[1, 'a', [none]]", '[1,"a",[null]]'), ("(1, 2)", "[1,2]"), ("()", "[]"), ("{'b': 1, 'a': {}}", '{"b":1,"a":{}}'),
    ("{inputs.flag | string: 1}", '{"true":1}'), ("1_000", "1000"), ("0x10", "16"), ("-9223372036854775808", "-9223372036854775808"),
    (r"'\d\n\u00e9\'\\'", '"\\\\d\\né\'\\\\"'), (r"'\ud83d\ude00'", '"😀"'),
    # paths
    ("state.user.name", '"Ada"'), ("state['user']['name']", '"Ada"'), ("state.user.items", "3"), ("state.user[state.key]", '"Ada"'),
    ("state.user.tags[0]", '"x"'), ("state.user.tags[-1]", '"y"'), ("state.user.tags.0", '"x"'), ("state.text[0]", '"H"'),
    ("state.nums[1:]", "[1,2]"), ("state.nums[:inputs.n]", "[3,1]"), ("state.nums[::-1]", "[2,1,3]"), ("state.text[-5:]", '"World"'),
    ("state.nums[5:]", "[]"), ("steps.a_b.result.x", "1"), ("steps['a-b'].result.x", "1"), ("steps['a_b'].status", '"completed"'),
    ("item", '"it-1"'), ("loop.index", "2"), ("run.id", '"run_1"'), ("state.rows[0].name[0]", '"p"'),
    # arithmetic
    ("1 + 2 * 3", "7"), ("(1 + 2) * 3", "9"), ("7 // 2", "3"), ("-7 // 2", "-4"), ("7 % 3", "1"), ("-7 % 3", "2"), ("6 / 2", "3"),
    ("7 / 2", "3.5"), ("2 ** 10", "1024"), ("2 ** -1", "0.5"), ("-2 ** 2", "4"), ("2 ** 3 ** 2", "64"), ("- - 3", "3"), ("+3", "3"),
    ("1 - 2 - 3", "-4"), ("0.1 + 0.2", "0.30000000000000004"), ("'a' + 'b'", '"ab"'), ("[1] + [2]", "[1,2]"), ("'ab' * 2", '"abab"'),
    ("2 * [0]", "[0,0]"), ("'a' * -1", '""'), ("-0.0", "0"), ("9223372036854775807 + 0", "9223372036854775807"), ("2.0 ** 53", "9007199254740992.0"),
    # joining
    ("'a' ~ 1 ~ none ~ true ~ 3.0 ~ [1, 'x'] ~ {'k': 2}", '"a1nulltrue3.0[1, \\"x\\"]{\\"k\\": 2}"'), ("1 ~ 2", '"12"'),
    # comparing
    ("1 == 1.0", "true"), ("1 == true", "false"), ("0 == false", "false"), ("'1' == 1", "false"), ("none == false", "false"),
    ("[1, true] == [1, true]", "true"), ("[1] == [true]", "false"), ("{'a': 1, 'b': 2} == {'b': 2, 'a': 1.0}", "true"),
    ("1 != 2", "true"), ("1 < 2 < 3", "true"), ("1 < 3 < 2", "false"), ("'a' < 'b'", "true"), ("[1, 2] < [1, 3]", "true"),
    ("2 >= 2.0", "true"), ("'1.10' | decimal == '1.1' | decimal", "true"), ("'2' | decimal > 1", "true"),
    ("1 in [1, 2]", "true"), ("1 in [true]", "false"), ("'b' in 'abc'", "true"), ("'b' in state.o", "true"), ("1 in state.o", "false"),
    ("3 not in [1]", "true"), ("not 1 in [1]", "false"),
    # logic
    ("0 or 'x'", '"x"'), ("1 and ''", '""'), ("not []", "true"), ("none or 0 or false", "false"), ("1 and 2 and 3", "3"),
    ("'a' if state.empty else 'b'", '"b"'), ("1 if 0 else 2 if 0 else 3", "3"),
    # tests
    ("1 is boolean", "false"), ("'1.1' | decimal is decimal", "true"), ("state.user.name is defined", "true"), ("state.nope is defined", "false"),
    ("state.nope is undefined", "true"), ("nope is defined", "false"), ("6 is divisibleby 3", "true"), ("1 is eq 1", "true"),
    ("1 is equalto 1.0", "true"), ("2 is even", "true"), ("3 is odd", "true"), ("false is false", "true"), ("1 is true", "false"),
    ("1.0 is float", "true"), ("1 is ge 1", "true"), ("2 is gt 1", "true"), ("2 is greaterthan 1", "true"), ("1 is in [1]", "true"),
    ("true is integer", "false"), ("1 is integer", "true"), ("'a' is iterable", "true"), ("1 is iterable", "false"), ("1 is le 1", "true"),
    ("'a' is lower", "true"), ("1 is lt 2", "true"), ("1 is lessthan 2", "true"), ("{} is mapping", "true"), ("1 is ne 2", "true"),
    ("none is none", "true"), ("none is not none", "false"), ("true is number", "false"), ("1.5 is number", "true"), ("[] is sequence", "true"),
    ("'a' is string", "true"), ("'A' is upper", "true"), ("'v12' is matching('[0-9]+$')", "true"), ("'x' is matching('[0-9]')", "false"),
    # functions
    ("range(3)", "[0,1,2]"), ("range(1, 7, 3)", "[1,4]"), ("range(3, 0, -1)", "[3,2,1]"), ("range(0)", "[]"), ("dict(a=1, b=[])", '{"a":1,"b":[]}'),
    ("dict([['a', 1]], b=2)", '{"a":1,"b":2}'), ("dict()", "{}"), ("dict(state.o | items)", '{"b":2,"a":1}'), ("now()", '"2025-11-20T09:00:00.123Z"'),
    ("env('HOME')", '"/home/ada"'), ("env('NOPE', 'x')", '"x"'), ("random(1, 1)", "1"), ("random() < 1", "true"), ("uuid() | length", "36"),
]  # fmt: skip


@pytest.mark.parametrize("expression, wanted", TABLE)
def test_an_expression_gives_its_value(expression, wanted):
    assert written("{{ " + expression + " }}") == wanted


def test_every_test_stands_in_the_table():
    symbols = {"==", "!=", "<", "<=", ">", ">="}  # names of tests only in `select('==', 1)`
    used = {
        node.name
        for expression, _ in TABLE
        if " is " in expression
        for node in ENVIRONMENT.parse("{{ " + expression + " }}").find_all(nodes.Test)
    }
    assert set(TEST_NAMES) - symbols <= used
    assert [value("{{ [1, 2] | select('" + name + "', 1) }}") for name in sorted(symbols)] == [
        [2],
        [],
        [1],
        [1],
        [2],
        [1, 2],
    ]


FAILING = [
    ("state.nope", "undefined", "`state` has no `nope`; it has `user`, `rows`"),
    ("state.usr.name", "undefined", "`state` has no `usr`"),
    ("state.user.namee", "undefined", "`state.user` has no `namee`"),
    ("state.none.x", "undefined", "`state.none` is null and has no"),
    ("state.rows.name", "undefined", "a list"),
    ("state.nums[7]", "undefined", "no index 7; its length is 3"),
    ("state.o[1]", "types", "looked up by text"),
    ("state.nums[0.5 + 1]", "types", "neither key nor index"),
    ("state.nums[inputs.flag]", "types", "neither key nor index"),
    ("state.nums['a':]", "types", "whole numbers"),
    ("state.nums[::0]", "types", "cannot be 0"),
    ("state.o[1:]", "types", "a list or text"),
    ("nope", "undefined", "there is no name `nope` here"),
    ("stat.user", "undefined", "there is no name `stat`"),
    ("'a' if false", "undefined", "no `else`"),
    ("true + 1", "types", "a boolean"),
    ("1 + 'a'", "types", "text"),
    ("'a' - 'b'", "types", "text"),
    ("none * 2", "types", "null"),
    ("'%s' % 1", "types", "text"),
    ("-'a'", "types", "text"),
    ("1 / 0", "division_by_zero", "zero"),
    ("1 // 0.0", "division_by_zero", "zero"),
    ("1 % 0", "division_by_zero", "zero"),
    ("0 ** -1", "division_by_zero", "zero"),
    ("'1' | decimal / 0", "division_by_zero", "zero"),
    ("9223372036854775807 + 1", "number_range", "64-bit"),
    ("-9223372036854775808 - 1", "number_range", "64-bit"),
    ("-(-9223372036854775807 - 1)", "number_range", "64-bit"),
    ("2 ** 63", "number_range", "64-bit"),
    ("1e308 * 10", "number_range", "infinite"),
    ("10.0 ** 400", "number_range", "infinite"),
    ("(-8) ** 0.5", "number_range", "real"),
    ("('1' | decimal / 3) * ('1' | decimal / 3)", "number_range", "50 digits"),
    ("1 < 'a'", "types", "no order"),
    ("none < 1", "types", "no order"),
    ("true < 1", "types", "no order"),
    ("{} < {}", "types", "no order"),
    ("1 in 5", "types", "works on"),
    ("1 in 'a1'", "types", "text within text"),
    ("{1 + 1: 2}", "types", "keys are text"),
    ("range(0, 5, 0)", "types", "cannot be 0"),
    ("env('NOPE')", "undefined", "not set or not allowed"),
    ("random('a')", "types", "numbers"),
    ("random(2, 1)", "types", "lower bound"),
    ("dict([1])", "types", "pairs"),
    ("'x' is even", "types", "whole numbers"),
    ("6 is divisibleby 0", "division_by_zero", "zero"),
]  # fmt: skip


@pytest.mark.parametrize("expression, code, says", FAILING)
def test_an_expression_that_cannot_be_evaluated_says_why(expression, code, says):
    error = failure("{{ " + expression + " }}")
    assert (error.code, says in error.message) == (code, True), error.message
    assert error.column is not None
    assert 4 <= error.column <= len(expression) + 4


@pytest.mark.parametrize(
    "expression, hint",
    [
        ("state.usr", "did you mean `state.user`?"),
        ("state.user['namee']", "did you mean `state.user.name`?"),
        ("stat", "did you mean `state`?"),
        ("1 + 'a'", "`~`"),
        ("true + 1", "1 if x else 0"),
        ("state.none.x", "default"),
        ("state.rows.name", "map(attribute"),
        ("env('HOM')", "did you mean `HOME`?"),
    ],
)
def test_an_error_says_what_to_write_instead(expression, hint):
    assert hint in failure("{{ " + expression + " }}").suggestion


@pytest.mark.parametrize(
    "source, column",
    [
        ("{{ state.nope }}", 4),
        ("{{ 1 + state.nope }}", 8),
        ("a {{ 1 }} b {{ nope }}", 16),
        ("{{ 'x' | int }}", 10),
        ("{{\n\n state.nope }}", 6),
    ],
)
def test_an_error_names_its_column(source, column):
    assert failure(source).column == column


def test_chance_is_drawn_from_the_run_the_path_and_the_field():
    assert draw_bits("s", "p", "f", 0) == draw_bits("s", "p", "f", 0)
    different = {
        draw_bits(*key) for key in [("s", "p", "f", 0), ("s", "p", "f", 1), ("s", "p", "g", 0), ("s", "q", "f", 0), ("t", "p", "f", 0)]
    }
    assert len(different) == 5
    two = value("{{ [uuid(), uuid()] }}")
    assert two[0] != two[1]
    assert two == value("{{ [uuid(), uuid()] }}")
    assert two != value("{{ [uuid(), uuid()] }}", draw=drawing("seed", "path", "other"))
    assert {value("{{ random(1, 6) }}", draw=drawing(str(n), "p", "f")) for n in range(100)} == {1, 2, 3, 4, 5, 6}


def test_a_uuid_is_of_version_4():
    assert uuid.UUID(value("{{ uuid() }}")).version == 4


def test_without_a_source_of_chance_there_is_an_error():
    with pytest.raises(ExprError) as caught:
        evaluate(compile_condition("{{ random() > 2 }}"), Env())
    assert caught.value.code == "no_random"


def test_now_is_the_instant_of_the_event():
    assert value("{{ now() }}", now_ms=NOW_MS + 1) == "2025-11-20T09:00:00.124Z"


@pytest.mark.parametrize(
    "source, wanted",
    [
        ("{{ 1 }}", True),
        ("{{ [] }}", False),
        ("{{ none }}", False),
        ("{{ {'a': 1} }}", True),
        ("  {{ state.rows }}\n", True),
        ("{{ 0.0 }}", False),
    ],
)
def test_a_condition_counts_every_value_but_text(source, wanted):
    assert evaluate_condition(compile_condition(source), env()) is wanted


def test_a_condition_that_gives_text_is_an_error():
    with pytest.raises(ExprError) as caught:
        evaluate_condition(compile_condition("{{ state.text }}"), env())
    assert caught.value.code == "condition_text"
