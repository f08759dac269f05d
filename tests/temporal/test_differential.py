"""Temporal gives the same events as memory, but for `at_ms` and the holder (ruling 42)."""

import pytest

from tests.conformance.harnesses import LocalHarness
from tests.conformance.shapes import HASTY, shape_scripts
from tests.temporal.harness import TemporalHarness
from treadle.core.errors import RequestError
from treadle.testing.differential import SCRIPTS

pytestmark = [pytest.mark.temporal, pytest.mark.slow]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
async def test_temporal_gives_the_same_events(script, temporal_server):
    events, shown = await script.run(LocalHarness(None))
    harness = TemporalHarness(temporal_server)
    assert await script.run(harness) == (events, shown)
    await harness.replay_all()


SHAPES = [each for each in shape_scripts("one") if each.name.removesuffix(" one") not in HASTY]
REFUSED = [each for each in SHAPES if "worktree" in each.name]


@pytest.mark.parametrize("script", [each for each in SHAPES if each not in REFUSED], ids=lambda script: script.name)
async def test_a_shape_gives_the_same_events(script, temporal_server):
    expected = await script.run(LocalHarness(None))
    assert await script.run(TemporalHarness(temporal_server)) == expected


@pytest.mark.parametrize("script", REFUSED, ids=lambda script: script.name)
async def test_a_shape_that_is_not_built_is_refused(script, temporal_server):
    with pytest.raises(RequestError) as refused:
        await script.run(TemporalHarness(temporal_server))
    assert refused.value.code == "not_yet"
