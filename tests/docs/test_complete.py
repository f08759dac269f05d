"""What is not documented fails here: an error code of the source, a class of failure, a filter or test of expressions, a step type, a field.

Codes are found in the source itself, so that a new one needs no list of its own.
"""

import ast
import re

import pytest

from scripts import docs_codes, docs_troubleshooting
from treadle.authoring.codes import CODES
from treadle.core.errors import CLASSES
from treadle.core.expr.table import FILTER_ALIASES, FILTERS, FUNCTIONS, TEST_ALIASES, TESTS

DOCS = docs_codes.ROOT / "docs"
PAGE = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")


def test_every_error_code_of_the_source_is_explained() -> None:
    missing = docs_troubleshooting.undocumented()
    assert missing == {}, "explain them in docs/codes.toml (codes of workflow files in authoring/codes.py) and run ./dev docs"


def test_no_code_is_explained_that_the_source_does_not_give() -> None:
    assert docs_troubleshooting.not_given() == [], "remove them from docs/codes.toml and run ./dev docs"


def test_no_code_of_a_workflow_file_is_explained_that_the_source_does_not_give() -> None:
    assert sorted(set(CODES) - set(docs_codes.codes())) == [], "remove them from authoring/codes.py and run ./dev docs"


def test_every_explained_code_has_its_section_on_the_page() -> None:
    assert [code for code in sorted(docs_troubleshooting.documented()) if f"\n### `{code}`\n" not in PAGE] == []


def test_every_class_of_failure_is_explained() -> None:
    assert set(docs_troubleshooting.words()["classes"]) == set(CLASSES)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("raise RequestError('it is so', code='new_code', hint='do it')", [("new_code", "it is so", "do it")]),
        ("raise RequestError(f'{x} is so', code='a_code' if x else 'b_code')", [("a_code", "<x> is so", ""), ("b_code", "<x> is so", "")]),
        ("code, message = 'new_code', f'{x} is so'", [("new_code", "<x> is so", "")]),
        ("_CODES = {'a': 'new_code'}", [("new_code", "", "")]),
        ("class E(TreadleError):\n    code = 'new_code'", [("new_code", "", "")]),
        ("def f(*, code: str = 'new_code'): ...", [("new_code", "", "")]),
        ("self.error('new_code', node, 'it is so', 'do it')", [("new_code", "it is so", "do it")]),
        ("self.fault(f'unknown_{kind}', 'there is none')", [("unknown_*", "there is none", "")]),
        ("def f():\n    message = 'it is so'\n    raise RequestError(message, code='new_code')", [("new_code", "it is so", "")]),
        ("raise Odd(f'{self.file_name} is so', hint='do it')", [("odd", "<file name> is so", "do it")]),
        ("log.info('starting')", []),
    ],
)
def test_a_code_is_found_however_it_is_given(text: str, expected: list[tuple[str, str, str]]) -> None:
    reader = docs_codes.Reader("x.py", {"error": {0}, "fault": {0}}, {"Odd": "odd"})
    assert [(use.code, use.message, use.hint) for use in reader.uses(ast.parse(text))] == expected


def test_a_function_with_a_parameter_named_code_is_noticed() -> None:
    tree = ast.parse(
        "class A:\n    def refuse(self, code, message): ...\nclass B:\n    def __init__(self, x, code): ...\nclass C:\n    x: int\n    code: str\ndef tell(code): ..."
    )
    assert set(docs_codes.parameters(tree)) == {("refuse", 0), ("__init__", 1), ("B", 1), ("C", 1), ("tell", 0)}


def test_every_filter_test_and_function_stands_on_the_page_of_expressions() -> None:
    page = (DOCS / "reference" / "expressions.md").read_text(encoding="utf-8")
    there = set(re.findall(r"`([^`(]+)", page))
    assert sorted({*FILTERS, *FILTER_ALIASES, *TESTS, *TEST_ALIASES, *FUNCTIONS} - there) == []
