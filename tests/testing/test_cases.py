"""What other programs call, and the JSON Schema that editors get."""

import pytest

from tests.testing.support import ANSWERS, written
from treadle.authoring.nodes import data_of
from treadle.authoring.problems import DefinitionError
from treadle.core.errors import RequestError
from treadle.core.schema import check, check_schema
from treadle.testing import fields
from treadle.testing.cases import CaseFailedError, check_file, find_cases, run_case
from treadle.testing.reading import read_tests

TWO = ANSWERS + "cases:\n  - {name: good}\n  - {name: bad, expect: {status: failed}}\n"


def test_a_case_is_run_by_itself_or_by_name(tmp_path):
    path = written(tmp_path, TWO)
    assert [case.name for case in find_cases(tmp_path)] == ["good", "bad"]
    assert run_case(find_cases(path)[0]).status == "completed"
    assert run_case(path, "good").passed
    with pytest.raises(RequestError, match="has not one case") as caught:
        run_case(path)
    assert (caught.value.code, "good, bad" in caught.value.hint) == ("unknown_case", True)


def test_a_case_that_fails_says_what_differs_and_what_happened(tmp_path):
    path = written(tmp_path, TWO)
    for call in (lambda: run_case(path, "bad"), lambda: check_file(path)):
        with pytest.raises(CaseFailedError) as caught:
            call()
        assert isinstance(caught.value, AssertionError)
        assert "notes.test.yaml:8: the run completed [status]" in str(caught.value)
        assert "expected  failed" in str(caught.value)
        assert "publish  approved by tester" in str(caught.value)
        assert caught.value.verdict.status == "completed"


def test_a_faulty_file_is_raised_with_its_problems(tmp_path):
    with pytest.raises(DefinitionError) as caught:
        find_cases(written(tmp_path, "expcet: {}"))
    assert [problem.code for problem in caught.value.problems] == ["unknown_field"]


def test_the_schema_takes_what_is_read_and_refuses_what_is_not(tmp_path):
    schema = fields.test_file_schema()
    assert check_schema(schema) == ()
    good = read_tests(written(tmp_path, TWO), "good").document.root
    bad = read_tests(written(tmp_path, "cases: [{nam: x}]"), "bad").document.root
    assert check(schema, data_of(good)) == ()
    assert check(schema, data_of(bad)) != ()
