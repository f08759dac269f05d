"""Memory and SQLite give the same events; Temporal's part is in tests/temporal."""

import pytest

from tests.conformance.harnesses import LocalHarness
from treadle.testing.differential import SCRIPTS


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
async def test_the_same_script_gives_the_same_events(script, tmp_path):
    events, shown = await script.run(LocalHarness(None))
    assert len(events) > 3
    assert await script.run(LocalHarness(tmp_path / "treadle.db")) == (events, shown)
    assert await script.run(LocalHarness(None)) == (events, shown), "the script itself is left to chance"
