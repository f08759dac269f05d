"""Where the language is not Jinja: each difference as a test, and a walk over Jinja's own tables so that none is forgotten (language.md §4)."""

import jinja2.defaults
import jinja2.filters
import jinja2.tests
import pytest
from jinja2.nativetypes import NativeEnvironment

from tests.expr.support import STATE, failure, problems, value, written
from treadle.authoring.expression_apply import FILTER_NAMES, TEST_NAMES
from treadle.authoring.expression_names import BLOCK_HINTS, FILTERS_NOT_THERE, FUNCTIONS_NOT_THERE, TESTS_NOT_THERE
from treadle.core.expr.table import FUNCTIONS

STOCK = NativeEnvironment(optimized=False)


def stock(expression):
    found = STOCK.compile_expression(expression)(state=STATE)
    return list(found) if hasattr(found, "__next__") else found


def test_every_filter_of_jinja_is_ours_or_listed_with_what_to_write_instead():
    assert set(jinja2.filters.FILTERS) <= FILTER_NAMES | set(FILTERS_NOT_THERE)
    assert not FILTER_NAMES & set(FILTERS_NOT_THERE)


def test_every_test_of_jinja_is_ours_or_listed():
    assert set(jinja2.tests.TESTS) <= TEST_NAMES | set(TESTS_NOT_THERE)
    assert not TEST_NAMES & set(TESTS_NOT_THERE)


def test_every_function_of_jinja_is_ours_or_listed():
    assert set(jinja2.defaults.DEFAULT_NAMESPACE) <= set(FUNCTIONS) | set(FUNCTIONS_NOT_THERE)
    assert not set(FUNCTIONS) & set(FUNCTIONS_NOT_THERE)


@pytest.mark.parametrize("name", sorted(FILTERS_NOT_THERE))
def test_a_filter_that_is_not_there_says_what_to_write(name):
    (found,) = problems("{{ x | " + name + " }}")
    assert found.code in {"not_in_language", "unknown_filter"}
    assert found.suggestion == FILTERS_NOT_THERE[name]


@pytest.mark.parametrize("name", sorted(set(TESTS_NOT_THERE) - {"sameas", "contains"}))
def test_a_test_that_is_not_there_says_what_to_write(name):
    (found,) = problems("{{ x is " + name + " }}")
    assert found.suggestion == TESTS_NOT_THERE[name]


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS_NOT_THERE) - {"secrets"}))
def test_a_function_that_is_not_there_says_what_to_write(name):
    (found,) = problems("{{ " + name + "() }}")
    assert found.suggestion == FUNCTIONS_NOT_THERE[name]


@pytest.mark.parametrize("name", sorted(BLOCK_HINTS))
def test_a_block_that_is_not_there_says_what_to_write(name):
    found = problems("{% " + name + " x %}")
    assert found[0].suggestion == BLOCK_HINTS[name]


# Expression, what Jinja gives, what it is here.
VALUES = [
    ("1 == true", True, "false"),
    ("true in [1]", True, "false"),
    ("[1] == [true]", True, "false"),
    ("true is number", True, "false"),
    ("(1, 2) == [1, 2]", False, "true"),
    ("(1, 2)", (1, 2), "[1,2]"),
    ("range(2) == [0, 1]", False, "true"),
    ("[2, 1] | sort | reverse", [2, 1], "[2,1]"),
    ("state.user.items", None, "3"),
    ("{'b': 1, 'a': '<'} | tojson", None, '"{\\"b\\": 1, \\"a\\": \\"<\\"}"'),
    ("'x' ~ true ~ none", "xTrueNone", '"xtruenull"'),
    ("[true, none] | join(' ')", "True None", '"true null"'),
    ("[1.0, 'a'] ~ ''", "[1.0, 'a']", '"[1.0, \\"a\\"]"'),
    ("none | string", "None", '"null"'),
    ("[{'k': 1, 'v': 2}] | groupby('k')", None, '[[1,[{"k":1,"v":2}]]]'),
    ("'aaaa bbbb-cccc' | wordwrap(10)", "aaaa bbbb-\ncccc", '"aaaa\\nbbbb-cccc"'),
]


@pytest.mark.parametrize("expression, jinja, wanted", VALUES)
def test_a_value_differs_from_jinja(expression, jinja, wanted):
    assert written("{{ " + expression + " }}") == wanted
    if jinja is not None:
        assert stock(expression) == jinja
        assert type(stock(expression)) is type(jinja)


# Expressions that Jinja evaluates and that are errors here.
ERRORS = [
    ("true + 1", "types"),
    ("-true", "types"),
    ("true < 2", "types"),
    ("'abc' | int", "types"),
    ("'abc' | float", "types"),
    ("'%s' % 'x'", "types"),
    ("none | upper", "types"),
    ("[1] | upper", "types"),
    ("'1e999' | float", "number_range"),
    ("9223372036854775807 + 1", "number_range"),
    ("1e308 * 10", "number_range"),
    ("state.user.tags['x']", "undefined"),
    ("state.nope is none", "undefined"),
    ("state.nope is string", "undefined"),
    ("state.nope in []", "undefined"),
    ("[state.nope] | length", "undefined"),
    ("[] | first", "undefined"),
    ("'a' if false", "undefined"),
    ("state.o[1]", "types"),
]


@pytest.mark.parametrize("expression, code", ERRORS)
def test_an_error_where_jinja_gives_something(expression, code):
    assert failure("{{ " + expression + " }}").code == code
    stock(expression)


@pytest.mark.parametrize(
    "expression, code",
    [
        ("state.text.upper()", "method_call"),
        ("state | attr('user')", "not_in_language"),
        ("state.rows | map(state.key)", "not_literal"),
        ("state.rows | sort(attribute=state.key)", "not_literal"),
        ("'%s' | format(1)", "not_in_language"),
        ("1 is sameas 1", "not_in_language"),
        ("dict(**state)", "bad_arguments"),
        ("1 is callable", "not_in_language"),
    ],
)
def test_a_load_error_where_jinja_gives_something(expression, code):
    (found,) = problems("{{ " + expression + " }}")
    assert found.code == code


def test_text_that_looks_like_data_stays_text():
    assert STOCK.from_string("{{ '5' }}").render() == 5
    assert value("{{ '5' }}") == "5"
    assert value("{{ '[1]' }}") == "[1]"


def test_nothing_is_escaped_for_html():
    assert value("{{ '<b>' | tojson }}.") == '"<b>".'
    assert "u003c" in jinja2.filters.do_tojson.__globals__["htmlsafe_json_dumps"]("<b>")


def test_white_space_around_an_expression_alone_is_no_text():
    assert STOCK.from_string(" {{ [1] }}\n").render() != [1]
    assert value(" {{ [1] }}\n") == [1]


def test_regular_expressions_and_escapes_do_not_warn():
    assert value(r"{{ 'a1' | regex_search('\d') }}") == "1"
