"""A shop per test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.mcpserver.support import Shop, shop


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Shop]:
    """A project that serves, with workflows that tests write."""
    async with shop(tmp_path) as opened:
        yield opened
