"""Temporal gives the same events as memory, but for `at_ms` and the holder (ruling 42)."""

import pytest

from tests.conformance.harnesses import LocalHarness
from tests.conformance.shapes import HASTY, shape_scripts
from tests.temporal.harness import TemporalHarness
from treadle.testing.differential import SCRIPTS

pytestmark = [pytest.mark.temporal, pytest.mark.slow]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
async def test_temporal_gives_the_same_events(script, temporal_server):
    events, shown = await script.run(LocalHarness(None))
    harness = TemporalHarness(temporal_server)
    assert await script.run(harness) == (events, shown)
    await harness.replay_all()


@pytest.mark.parametrize(
    "script", [each for each in shape_scripts("one") if each.name.removesuffix(" one") not in HASTY], ids=lambda script: script.name
)
async def test_a_shape_gives_the_same_events(script, temporal_server):
    expected = await script.run(LocalHarness(None))
    harness = TemporalHarness(temporal_server)
    assert await script.run(harness) == expected
