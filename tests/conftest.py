"""Fixtures for every test, and the count of skipped tests at the end of a run."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings

from tests.needs import npm_server_command

# How quickly examples are made says something about the machine's other work, nothing about the code.
settings.register_profile("treadle", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("treadle")

# Nearly every test there starts processes. Under `./dev test` the tests of the same things within one process stand for them.
STARTING = (
    "tests/faults/",
    "tests/docs/test_snippets.py",
    "tests/library/test_example_",
    "tests/demo/",
    "tests/store/test_backup.py",
    "tests/sim/test_sim.py",
)
COMMANDS, ONE_OF_THEM = "tests/cli/", "tests/cli/test_cli_run.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        by_command = item.nodeid.startswith(COMMANDS) and not item.nodeid.startswith(ONE_OF_THEM)
        starts = by_command and not {"project", "make_project"}.isdisjoint(getattr(item, "fixturenames", ()))
        if starts or item.nodeid.startswith(STARTING):
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def npm_server() -> Callable[[str], list[str]]:
    """`npm_server("everything")` is the command line of that MCP server; skips where node or the package is missing."""
    return npm_server_command


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = len(terminalreporter.stats.get("skipped", []))
    terminalreporter.write_line(f"skipped tests: {skipped}")
