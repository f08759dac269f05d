"""One faulty file per kind of fault (`faulty/*.txt`), told at its exact place, and a near-miss that must be silent."""

import pytest

from tests.authoring.support import Case, assert_case, corpora


@pytest.mark.parametrize("case", corpora(), ids=lambda case: case.code)
def test_a_faulty_file_is_told_at_its_place_and_its_near_miss_is_silent(case: Case) -> None:
    assert_case(case)
