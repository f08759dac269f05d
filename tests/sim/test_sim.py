"""The simulator runs clean, sees what it must see, and a seed is a run: in every process alike."""

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.core.build import delegate, prompt, workflow
from tests.sim.definitions import Drawn
from tests.sim.driver import NONE, Faults, Sim
from tests.sim.oracles import Violation
from tests.sim.prove import differs_between_processes
from treadle.core import codec, transitions

SEEDS = [int(line) for line in Path(__file__).with_name("seeds.txt").read_text(encoding="utf-8").split()]
COUNT = 500


def test_seeds_that_failed_once_pass():
    for seed in SEEDS:
        Sim(random.Random(seed), deep=True).run()


def test_many_runs_under_attack_keep_every_oracle():
    for seed in range(COUNT):
        Sim(random.Random(seed), deep=seed % 16 == 0).run()


def test_every_run_ends_when_everybody_behaves():
    for seed in range(100):
        sim = Sim(random.Random(seed), NONE, deep=seed % 10 == 0).run()
        assert sim.state.ended


def test_the_attack_reaches_nearly_every_cell_of_the_table():
    """What it cannot reach is a decision about something that is no gate, which no client can even name."""
    entered: set[tuple[str, str]] = set()
    table = {event: dict(row) for event, row in transitions.ACTION_EVENTS.items()}

    def noting(event, state, cell):
        def enter(*args):
            entered.add((event, state))
            return cell(*args)

        return enter

    try:
        for event, row in table.items():
            for state, cell in row.items():
                transitions.ACTION_EVENTS[event][state] = noting(event, state, cell)
        for seed in range(COUNT + 200):
            Sim(random.Random(seed)).run()
    finally:
        for event, row in table.items():
            transitions.ACTION_EVENTS[event].update(row)
    wanted = {(event, state) for event, row in table.items() for state in row if event in {"ActionClaimed", "ActionAnswered"}}
    wanted |= {("ApprovalDecided", "open"), ("ApprovalDecided", "absent"), ("PerformerLost", "claimed"), ("PerformerLost", "open"), ("OutcomeResolved", "unknown")}  # fmt: skip
    assert wanted - entered == set()


def test_a_seed_is_a_run():
    one, two = (Sim(random.Random(11), deep=True, trace=True).run() for _ in range(2))
    assert one.trace.digest() == two.trace.digest()
    assert [codec.dumps(event) for event in one.store.log] == [codec.dumps(event) for event in two.store.log]


def test_two_processes_with_different_hash_seeds_see_the_same():
    assert differs_between_processes(150) is False


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(st.randoms(use_true_random=False))
def test_the_same_driver_on_hypothesis(rng):
    Sim(rng).run()


def test_hypothesis_makes_a_violation_small():
    """A mistake in the core ends as a run of a few events: here the log of the smallest run that shows it."""
    from tests.sim.mutants_whole import MUTANTS

    smallest: list[int] = []
    faults = Faults(crash=0.0, wrong=0.2, silent=0.0, failing=0.1, steps=12)
    drawn = Drawn(workflow(delegate("a"), prompt("b"), delegate("c"), inputs={"n": {}}))

    @settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True)
    @given(st.randoms(use_true_random=False))
    def simulate(rng):
        sim = Sim(rng, faults, drawn=drawn)
        try:
            sim.run()
        except Violation:
            smallest.append(len(sim.store.log))
            raise

    with MUTANTS["clock_goes_back"](), pytest.raises(Violation, match="clock"):
        simulate()
    assert smallest[-1] <= 4
