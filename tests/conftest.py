"""Fixtures for every test, and the count of skipped tests at the end of a run."""

from collections.abc import Callable

import pytest

from tests.needs import npm_server_command


@pytest.fixture
def npm_server() -> Callable[[str], list[str]]:
    """`npm_server("everything")` is the command line of that MCP server; skips where node or the package is missing."""
    return npm_server_command


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = len(terminalreporter.stats.get("skipped", []))
    terminalreporter.write_line(f"skipped tests: {skipped}")
