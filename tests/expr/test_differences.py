"""Where the language is not Jinja: each difference as a test, and a walk over Jinja's own tables so that none is forgotten (language.md §4)."""

import inspect
import re
from collections.abc import Iterator

import jinja2
import jinja2.defaults
import jinja2.filters
import jinja2.tests
import pytest
from jinja2 import StrictUndefined, lexer, nodes, parser, runtime
from jinja2.nativetypes import NativeEnvironment

from tests.expr.support import problems, value
from treadle.authoring import expression_reference as reference
from treadle.authoring.expression_apply import FILTER_NAMES, TEST_NAMES
from treadle.authoring.expression_differences import ARGUMENTS_DIFFERENT, DIFFERENCES, SYNTAX_NOT_THERE
from treadle.authoring.expression_names import BLOCK_HINTS, FILTERS_NOT_THERE, FUNCTIONS_NOT_THERE, TESTS_NOT_THERE
from treadle.authoring.expression_scan import BLOCKS, ENVIRONMENT
from treadle.authoring.expressions import ExpressionProblemsError, compile_text
from treadle.core.expr import Env, ExprError, evaluate
from treadle.core.expr.evaluation import Missing
from treadle.core.expr.table import FILTERS, FUNCTIONS, Required
from treadle.core.values import encode


def test_every_filter_of_jinja_is_ours_or_listed_with_what_to_write_instead():
    assert set(jinja2.filters.FILTERS) <= FILTER_NAMES | set(FILTERS_NOT_THERE)
    assert not FILTER_NAMES & set(FILTERS_NOT_THERE)


def test_every_test_of_jinja_is_ours_or_listed():
    assert set(jinja2.tests.TESTS) <= TEST_NAMES | set(TESTS_NOT_THERE)
    assert not TEST_NAMES & set(TESTS_NOT_THERE)


def test_every_function_of_jinja_is_ours_or_listed():
    assert set(jinja2.defaults.DEFAULT_NAMESPACE) <= set(FUNCTIONS) | set(FUNCTIONS_NOT_THERE)
    assert not set(FUNCTIONS) & set(FUNCTIONS_NOT_THERE)


def test_every_block_of_jinja_is_ours_or_listed():
    words = {*parser._statement_keywords, "call", "filter", "raw", "elif", "else", "break", "continue", "do", "trans", "debug"}
    assert words <= BLOCKS | {"raw"} | set(BLOCK_HINTS)


def test_every_operator_of_jinja_is_ours_or_listed():
    ours = " ".join(entry.signature for entry in (*reference.OPERATORS, *reference.LOOP))
    signs = {sign for sign in lexer.operators if sign not in ours}
    assert signs <= set(SYNTAX_NOT_THERE)
    assert {"and", "or", "not", "in", "is", "if", "else"} <= set(ours.split())


def test_every_field_of_jinjas_loop_is_ours_or_listed():
    fields = {name for name in dir(runtime.LoopContext) if not name.startswith("_")} | {"depth0"}  # which only an instance has
    assert fields == {entry.name for entry in reference.LOOP} | {"changed"}


# Nodes that Jinja's parser never makes: extensions and its code generator do.
OF_EXTENSIONS = {
    "BinExpr", "Break", "ContextReference", "Continue", "DerivedContextReference", "EnvironmentAttribute", "EvalContextModifier", "Expr", "ExprStmt",
    "ExtensionAttribute", "Helper", "ImportedName", "InternalName", "Keyword", "Literal", "MarkSafe", "MarkSafeIfAutoescape", "OverlayScope",
    "Scope", "ScopedEvalContextModifier", "Stmt", "UnaryExpr", "_FilterTestCommon",
}  # fmt: skip
OF_BLOCKS_NOT_THERE = {"Block", "CallBlock", "Extends", "FilterBlock", "FromImport", "Import", "Include", "Macro", "With"}


def test_every_node_of_jinjas_parser_is_compiled_or_listed():
    def kinds(of):
        for kind in of.__subclasses__():
            yield kind.__name__
            yield from kinds(kind)

    entries = (*reference.filters(), *reference.tests(), *reference.OPERATORS, *reference.STATEMENTS, *reference.LOOP)
    sources = [reference.source_of(entry.example) for entry in entries] + [
        "{{ +state.n }}",
        "{{ dict(a=1) }}",
        "{{ (1, 2) }}",
        "{{ 1 - 1 }}",
    ]
    sources += [example for example, _ in SYNTAX_NOT_THERE.values() if ";" not in example and "a = 1" not in example]
    found = {type(node).__name__ for source in sources for node in ENVIRONMENT.parse(source).find_all(nodes.Node)} | {"Template"}
    assert set(kinds(nodes.Node)) - found - OF_EXTENSIONS - OF_BLOCKS_NOT_THERE == set()


@pytest.mark.parametrize("name", sorted(SYNTAX_NOT_THERE))
def test_syntax_that_is_not_there_is_a_load_error(name):
    example, why = SYNTAX_NOT_THERE[name]
    assert problems(example)
    assert why


def parameters_of_jinja(name):
    """Jinja's parameters of a filter behind the value, with their defaults."""
    found = inspect.signature(jinja2.filters.FILTERS[name]).parameters.values()
    _, *given = (one for one in found if one.name not in {"environment", "env", "context", "eval_ctx"})
    return {one.name: one.default for one in given}


@pytest.mark.parametrize("name", sorted(set(jinja2.filters.FILTERS) & set(FILTERS)))
def test_a_filter_has_jinjas_arguments_in_jinjas_order_with_jinjas_defaults(name):
    theirs = parameters_of_jinja(name)
    listed = {argument for filter_name, argument in ARGUMENTS_DIFFERENT if filter_name == name}
    ours = dict(FILTERS[name].parameters)
    assert list(ours)[: len(theirs)] == [argument for argument in theirs if argument in ours or argument not in listed]
    for argument, default in theirs.items():
        if argument in listed:
            continue
        here = ours[argument]
        assert not isinstance(here, Missing)
        assert (default is inspect.Parameter.empty) if isinstance(here, Required) else here == default


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


# Not optimized: folding constants, Jinja raises for branches that are never taken.
NATIVE = NativeEnvironment(undefined=StrictUndefined, optimized=False)


def ours(source):
    try:
        return encode(evaluate(compile_text(source), Env(names=reference.CONTEXT)))
    except ExpressionProblemsError as error:
        return f"error {error.problems[0].code}"
    except ExprError as error:
        return f"error {error.code}"


def jinjas(example):
    try:
        if reference.source_of(example) == example:
            return shown(NATIVE.from_string(example).render(**reference.CONTEXT))
        return shown(NATIVE.compile_expression(example, undefined_to_none=False)(**reference.CONTEXT))
    except (jinja2.TemplateError, TypeError, AssertionError) as error:
        return f"error {type(error).__name__}"


def shown(found):
    if isinstance(found, jinja2.Undefined):
        return "error UndefinedError"
    if isinstance(found, Iterator):
        found = list(found)
    return re.sub(r" at 0x[0-9a-f]+", "", repr(found))


@pytest.mark.parametrize("row", DIFFERENCES, ids=[row.example for row in DIFFERENCES])
def test_a_listed_difference_is_one(row):
    assert row.why
    assert (jinjas(row.example), ours(reference.source_of(row.example))) == (row.jinja, row.ours)


def test_the_list_has_no_rows_that_are_no_differences():
    same = [row.example for row in DIFFERENCES if row.ours == row.jinja or (row.ours, row.jinja) in {("true", "True"), ("false", "False")}]
    same += [row.example for row in DIFFERENCES if row.ours.startswith("error") and row.jinja.startswith("error")]
    assert same == []


def test_regular_expressions_and_escapes_do_not_warn():
    assert value(r"{{ 'a1' | regex_search('\d') }}") == "1"
