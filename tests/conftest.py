"""Fixtures for every test, and the count of skipped tests at the end of a run."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings

from tests.needs import npm_server_command

# How quickly examples are made says something about the machine's other work, nothing about the code.
settings.register_profile("treadle", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("treadle")


@pytest.fixture
def npm_server() -> Callable[[str], list[str]]:
    """`npm_server("everything")` is the command line of that MCP server; skips where node or the package is missing."""
    return npm_server_command


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = len(terminalreporter.stats.get("skipped", []))
    terminalreporter.write_line(f"skipped tests: {skipped}")
