"""What every test of expressions shares."""

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture
def heap_of_its_own() -> Iterator[None]:
    """Leave what earlier tests hold out of garbage collection: who measures an expression must not pay for a heap of thousands of tests."""
    gc.freeze()
    yield
    gc.unfreeze()
