from collections.abc import Callable

import pytest

from tests.cli.here import Here
from tests.cli.support import ASK, Project


@pytest.fixture
def project(tmp_path) -> Project:
    """A project with the workflow `ask`."""
    return Project(tmp_path, ask=ASK)


@pytest.fixture
def make_project(tmp_path) -> Callable[..., Project]:
    return lambda **workflows: Project(tmp_path, **workflows)


@pytest.fixture
def here(tmp_path, monkeypatch, capfdbinary) -> Here:
    """An empty project in which commands are carried out within this process."""
    return Here(tmp_path, monkeypatch, capfdbinary)
