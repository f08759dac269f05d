"""`@clause("S12")` says which clause of docs/semantics.md a test shows."""

from collections.abc import Callable
from typing import TypeVar

F = TypeVar("F", bound=Callable)


def clause(*names: str) -> Callable[[F], F]:
    def mark(test: F) -> F:
        test.clauses = names
        return test

    return mark
