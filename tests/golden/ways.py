"""What is recorded: cases of the library's own tests, and a run that a process left in the middle.

A case is played as `treadle test` plays it: memory engine, a clock of its own, names that are always the same. So recording twice gives the
same bytes.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tests.golden import by_hand
from tests.golden.history import History, record
from treadle import functions, trust
from treadle.compose import locate, workflow_finder
from treadle.core.definition import Definition
from treadle.core.events import Event
from treadle.core.values import Value
from treadle.engine.memory import MemoryStorage
from treadle.functions import Registry
from treadle.testing.player import RUN_ID, play
from treadle.testing.suite import Suite, tests_below

LIBRARY_TESTS: Final = Path(__file__).parents[1] / "library"
FIRST: Final = "first"
# Cases that are recorded beside the first of each file, by workflow: ends that are not good, time, signals, jumps, undo, what was lost.
CASES: Final[dict[str, dict[str, str]]] = {
    "data:reconcile": {"left-open": "what nobody can explain stays open, and then there is nothing to approve"},
    "fix:bug": {"goal-not-met": "tests that fail to the end are no success"},
    "incident:respond": {
        "nobody-came": "nobody comes within the time, and the next one is paged",
        "looked-again": "what does not last is looked at again",
    },
    "migrate:files": {"in-conflict": "what fails and what stays in conflict is told, and what is merged is tested"},
    "planning:research_task": {
        "tried-again": "a search that fails for a moment is tried again",
        "given-up": "a search that hangs is given up after its time, three times",
    },
    "release:gated": {
        "taken-back": "publishing fails, and all is taken back",
        "pushed-again": "a lost push that did not arrive is pushed again",
        "nobody-decided": "nobody decides within two days",
    },
    "report:nightly": {"two-nights": "what gives no number is missing, and is named"},
    "upgrade:dependency": {"given-up": "given up after the rounds, and taken back"},
    "planning:interactive": {
        "approved": "an approved plan is saved",
        "rejected": "a rejected plan is not saved",
        "failed-item": "a question that cannot be researched costs the plan nothing but that question",
        "cancelled": "a run that is cancelled while its plan is written saves nothing",
        "unknown-outcome": "a save whose outcome nobody knows is not done twice",
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One history that can be recorded."""

    workflow: str
    case: str
    make: Callable[[], History]

    @property
    def name(self) -> str:
        """Give what the command line calls it."""
        return f"{self.workflow}/{self.case}"


def ways() -> Iterator[Way]:
    """Give every way, those of one workflow together."""
    suite = Suite(locate(LIBRARY_TESTS, os.environ))
    for path in tests_below(LIBRARY_TESTS):
        checked = suite.check(path)
        assert not checked.problems, checked.problems
        workflow = suite.workflow_name(checked.file.cases[0])
        cases = {case.name: case for case in checked.file.cases}
        wanted = CASES.get(workflow, {})
        # The first case of `planning:interactive` has a name of its own.
        wanted = wanted if next(iter(cases)) in wanted.values() else {FIRST: next(iter(cases)), **wanted}
        for short, case_name in wanted.items():
            assert case_name in cases, f"{path.name} has no case {case_name!r} any more; change tests/golden/ways.py, keep what is recorded"
            case = cases[case_name]

            def make(workflow: str = workflow, short: str = short, case=case, names=checked.names[case_name]) -> History:
                return asyncio.run(_played(workflow, short, replace(case, script=case.script.fresh()), names.definition))

            yield Way(workflow=workflow, case=short, make=make)
    yield _by_hand("crash", by_hand.crash_and_resume)
    yield _by_hand("cancelled-in-grace", by_hand.cancel_within_grace)


def registry() -> Registry:
    """Give the registered functions of the library."""
    project = locate(LIBRARY_TESTS, os.environ).project
    return Registry(functions.catalog(project), project, trust.user_store())


async def _played(workflow: str, short: str, case, definition: Definition) -> History:
    storage = MemoryStorage()
    played = await play(
        definition, case.script, case.inputs, functions=registry(), user=case.user, clock_ms=case.clock_ms, signals=case.signals,
        storage=storage,
    )  # fmt: skip
    assert played.trouble is None, played.trouble
    return await stored(workflow, short, definition, storage)


def _by_hand(case: str, carry: Callable[[Definition, Registry], Awaitable[MemoryStorage]]) -> Way:
    workflow = "planning:interactive"

    async def carried() -> History:
        definition = workflow_finder(locate(LIBRARY_TESTS, os.environ)).load_named(workflow).require()
        return await stored(workflow, case, definition, await carry(definition, registry()), by_hand.RUN_ID)

    return Way(workflow=workflow, case=case, make=lambda: asyncio.run(carried()))


async def stored(workflow: str, short: str, definition: Definition, storage: MemoryStorage, run_id: str = RUN_ID) -> History:
    """Make a history of what a storage holds."""
    events: list[Event] = [each.event for each in await storage.events(run_id, 0)]
    return record(workflow, short, definition, events, _Blobs(storage))


class _Blobs(dict[str, Value]):
    """Every value that a storage has set aside, read when it is asked for."""

    def __init__(self, storage: MemoryStorage) -> None:
        super().__init__()
        self._storage = storage

    def __contains__(self, digest: object) -> bool:
        return True

    def __getitem__(self, digest: str) -> Value:
        return self._storage.blob(digest)
