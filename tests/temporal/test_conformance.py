"""The exported suite on Temporal: what the small shell can do it does like the others, what it cannot it refuses as `not_yet`."""

import pytest

from tests.temporal.harness import TemporalHarness
from treadle.core.errors import RequestError
from treadle.testing.conformance import CASES

pytestmark = [pytest.mark.temporal, pytest.mark.slow]


@pytest.mark.parametrize("case", [case for case in CASES if not case.needs & TemporalHarness.lacks], ids=lambda case: case.name)
async def test_temporal_engine(case, temporal_server):
    harness = TemporalHarness(temporal_server)
    await case.run(harness)
    await harness.replay_all()


@pytest.mark.parametrize("case", [case for case in CASES if case.needs & TemporalHarness.lacks], ids=lambda case: case.name)
async def test_temporal_engine_refuses_what_it_cannot_do(case, temporal_server):
    with pytest.raises(RequestError) as refused:
        await case.run(TemporalHarness(temporal_server))
    assert refused.value.code == "not_yet"
