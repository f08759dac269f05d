"""Workflows to be shown: the library's, one with every step type, one whose jumps go criss-cross."""

from pathlib import Path

from tests.authoring.support import NOWHERE
from treadle.authoring import find

HERE = Path(__file__).parent
EVERY = HERE / "every_block.yaml"
JUMPS = HERE / "many_jumps.yaml"
LIBRARY = ["planning:interactive", "planning:research_task"]
ALL = [*LIBRARY, EVERY, JUMPS]


def loaded(wanted: str | Path) -> find.Loaded:
    found = find.load(NOWHERE, wanted)
    assert not [p for p in found.problems if p.severity == "error"], found.problems
    return found


def named(wanted: object) -> str:
    return wanted.stem if isinstance(wanted, Path) else str(wanted)
