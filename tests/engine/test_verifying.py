"""Computing a run again: a state that does not follow from the events is found, with the place and both values."""

from dataclasses import replace

import pytest

from tests.core.build import delegate, prompt, put, ret, workflow
from treadle.clock import FakeClock
from treadle.core.definition import Definition
from treadle.core.events import Caller
from treadle.engine.local import LocalEngine
from treadle.engine.memory import MemoryStorage
from treadle.engine.service import Service
from treadle.engine.verifying import verify_run
from treadle.ports import FunctionFailedError, RunMeta, RunQuery, RunRow, Snapshot, StoredEvent

ANN = Caller(kind="human", name="ann", assurance="local")


class NoFunctions:
    def call(self, name, version, args, kwargs):
        raise FunctionFailedError(f"there is no {name} {version} for {args} {kwargs}")


class Tampered(LocalEngine):
    """An engine whose file somebody has edited."""

    change_state = staticmethod(lambda state: state)
    drop_rev: int | None = None

    async def snapshot(self, run_id: str) -> Snapshot:
        given = await super().snapshot(run_id)
        return replace(given, state=self.change_state(given.state))

    async def events(self, run_id: str, after_rev: int = 0) -> list[StoredEvent]:
        return [each for each in await super().events(run_id, after_rev) if each.rev != self.drop_rev]


@pytest.fixture
async def engine():
    made = Tampered(MemoryStorage(), functions=NoFunctions(), clock=FakeClock(), holder="test")
    yield made
    await made.close()


async def started(engine: Tampered, definition: Definition) -> RunRow:
    service = Service(engine, engine.clock)
    offer = await service.start(definition, {}, ANN, RunMeta(workflow=definition.name))
    offer = await service.next_step(offer.run.run_id, ANN)
    await service.submit(offer.run.run_id, offer.action.id, 1, ANN, value="x" * 100_000, then_next=False)
    (row,) = await engine.runs(RunQuery())
    return row


DEFINITION = workflow(
    prompt("p", output_to="long"),
    put("n", {"n": "{{ state.long | length }}"}),
    delegate("d"),
    ret("r", 1),
    initial_state={"n": 0, "long": None},
)


async def test_a_run_with_values_set_aside_holds(engine):
    found = await verify_run(engine, await started(engine, DEFINITION))
    assert (found.differences, found.events) == ((), 3)


async def test_a_state_that_does_not_follow_is_shown_with_both_values(engine):
    row = await started(engine, DEFINITION)
    engine.change_state = lambda state: replace(state, frames={"": replace(state.frames[""], state={**state.frames[""].state, "n": 7})})
    (found,) = (await verify_run(engine, row)).differences
    assert (found.what, found.place, found.computed, found.stored) == ("state", "frames..state.n", 100_000, 7)


async def test_what_names_a_branch_is_not_shown(engine):
    row = await started(engine, DEFINITION)
    engine.change_state = lambda state: replace(state, seed="another")
    (found,) = (await verify_run(engine, row)).differences
    assert (found.place, found.computed, found.stored) == ("seed", None, None)


async def test_a_missing_event_is_named(engine):
    row = await started(engine, DEFINITION)
    engine.drop_rev = 2
    (found,) = (await verify_run(engine, row)).differences
    assert (found.what, found.place) == ("events", "2")


async def test_another_definition_than_the_run_names_is_found(engine):
    row = await started(engine, DEFINITION)
    (found,) = (await verify_run(engine, replace(row, definition="sha256:0"))).differences
    assert found.what == "definition"
