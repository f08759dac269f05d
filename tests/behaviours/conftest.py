"""A project that serves over the real store: one SQLite file in a temporary directory, and a clock that only the test moves."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cli.here import Here
from tests.mcpserver.support import Shop, shop
from treadle.engine.embedded.storage import EmbeddedStorage


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Shop]:
    """A project whose MCP server agents talk to."""
    async with shop(tmp_path, storage=EmbeddedStorage.open(tmp_path / ".treadle" / "treadle.db")) as opened:
        yield opened


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Here:
    """An empty project in which commands are carried out within this process."""
    return Here(tmp_path, monkeypatch, capfdbinary)
