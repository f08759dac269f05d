"""What one test of the core kept for later runs, the next one does not find."""

import pytest

from tests.core.play import CACHE


@pytest.fixture(autouse=True)
def nothing_kept():
    """Begin without results of earlier tests."""
    CACHE.clear()
