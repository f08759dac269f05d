"""The shipped workflows do what their own tests say (`*.test.yaml` beside this file)."""

from pathlib import Path

import pytest

from treadle.testing.cases import check_file, find_cases, run_case

HERE = Path(__file__).parent


@pytest.mark.parametrize("case", find_cases(HERE), ids=lambda case: case.name)
def test_a_shipped_workflow(case):
    run_case(case)


@pytest.mark.parametrize("path", sorted(HERE.glob("*.test.yaml")), ids=lambda path: path.name)
def test_every_shared_answer_is_used_by_some_case(path):
    assert check_file(path)
