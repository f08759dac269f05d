"""Every mutant of the storages is caught by the player within a bounded number of seeds, and without one it finds nothing."""

import random

import pytest

from tests.store.mutants import MUTANTS, caught
from tests.store.player import AGENTS, answered, claimed, play
from tests.store.sides import Side
from treadle.clock import FakeClock
from treadle.core.events import RunStarted
from treadle.ports import Request, RunMeta
from treadle.testing.build import GO_ON, delegate, prompt, workflow

MOST = 100
SEEDS = 4
KEPT = (27, 86, 114, 198)  # found something, in the product or in the player


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant_is_caught(mutant):
    assert caught(mutant.name, MOST) is not None


@pytest.mark.parametrize("seed", [*range(SEEDS), *KEPT])
def test_both_storages_tell_and_keep_the_same(seed):
    play(seed)


def test_there_are_enough_mutants_and_no_two_are_one():
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 15


@pytest.mark.parametrize("kind", ["memory", "file"])
async def test_a_repeated_request_gets_its_first_reply_also_when_a_timer_comes_before_it(tmp_path, kind):
    clock = FakeClock()
    side = Side(tmp_path / "treadle.db" if kind == "file" else None, clock, random.Random(0))
    definition = workflow(delegate("work"), prompt("ask", within_ms=500, on_error=GO_ON), prompt("again"))
    engine, request = side.engines[0], Request(key="k", digest="d")
    await engine.start(definition, RunStarted(at_ms=clock.now_ms(), run_id="r", seed="s", inputs={}, by=AGENTS[0]), RunMeta(workflow="w"))
    await engine.send("r", claimed(AGENTS[0], "work"))
    first = await engine.send("r", answered("work", 1, AGENTS[0].name, "x"), request)
    clock.advance(501)
    again = await engine.send("r", answered("work", 1, AGENTS[0].name, "x"), request)
    await side.close()
    assert (first.refusal, again.refusal, again.duplicate) == (None, None, True)
