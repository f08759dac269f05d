"""Memory and SQLite give the same events over shapes of the whole language; Temporal's part is in tests/temporal."""

import pytest

from tests.conformance.harnesses import LocalHarness
from tests.conformance.shapes import shape_scripts


@pytest.mark.parametrize("script", [*shape_scripts("one"), *shape_scripts("two")], ids=lambda script: script.name)
async def test_a_shape_gives_the_same_events(script, tmp_path):
    expected = await script.run(LocalHarness(None))
    assert await script.run(LocalHarness(tmp_path / "treadle.db")) == expected
