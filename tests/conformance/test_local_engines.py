"""The exported suite on the local engines."""

import pytest

from tests.conformance.harnesses import LocalHarness
from treadle.testing.conformance import CASES


@pytest.fixture(params=["memory", "embedded"])
def harness(request, tmp_path):
    return LocalHarness(tmp_path / "treadle.db" if request.param == "embedded" else None)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_local_engine(case, harness):
    await case.run(harness)
