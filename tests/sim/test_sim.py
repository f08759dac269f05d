"""The simulator runs clean, sees what it must see, and a seed is a run: in every process alike."""

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.core.build import delegate, prompt, workflow
from tests.core.test_pairs import MODIFIERS, REFUSED, STEPS
from tests.sim.covered import every_step, modifiers, types
from tests.sim.definitions import Drawn, draw
from tests.sim.driver import NONE, Faults, Sim
from tests.sim.oracles import Violation
from tests.sim.prove import differs_between_processes
from treadle.core import codec, transitions

DRAWN = st.builds(draw, st.randoms(use_true_random=False))
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
    wanted = {(event, state) for event, row in table.items() for state in row if event in {"ActionClaimed", "ActionAnswered"}}
    wanted |= {("ApprovalDecided", "open"), ("ApprovalDecided", "absent"), ("PerformerLost", "claimed"), ("PerformerLost", "open"), ("OutcomeResolved", "unknown")}  # fmt: skip

    def noting(event, state, cell):
        def enter(*args):
            entered.add((event, state))
            return cell(*args)

        return enter

    try:
        for event, row in table.items():
            for state, cell in row.items():
                transitions.ACTION_EVENTS[event][state] = noting(event, state, cell)
        for seed in range(6 * COUNT):
            Sim(random.Random(seed)).run()
            if wanted <= entered:
                break
    finally:
        for event, row in table.items():
            transitions.ACTION_EVENTS[event].update(row)
    assert wanted - entered == set()


def test_a_seed_is_a_run():
    one, two = (Sim(random.Random(11), deep=True, trace=True).run() for _ in range(2))
    assert one.trace.digest() == two.trace.digest()
    assert [codec.dumps(event) for event in one.store.log] == [codec.dumps(event) for event in two.store.log]


def test_two_processes_with_different_hash_seeds_see_the_same():
    assert differs_between_processes(150) is False


def test_every_modifier_is_drawn_on_every_type_that_takes_it():
    wanted = {(kind, modifier) for kind in STEPS for modifier in MODIFIERS if modifier not in REFUSED[kind]}
    left = set(wanted)
    for seed in range(12_000):
        left -= modifiers(draw(random.Random(seed)).definition)
        if not left:
            break
    assert len(wanted) > 200
    assert left == set()


@pytest.mark.slow
def test_hypothesis_draws_every_type_and_every_modifier():
    """Few examples reach every type and every modifier; which stands on which is counted above."""
    seen: set[str] = set()

    @settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True)
    @given(DRAWN)
    def look(drawn):
        seen.update(types(drawn.definition), (modifier for _, modifier in modifiers(drawn.definition)))

    look()
    assert (set(STEPS) | set(MODIFIERS)) - seen == set()


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


class EnoughError(KeyboardInterrupt):
    """The definition is small enough; Hypothesis would go on for minutes."""


@pytest.mark.slow
def test_hypothesis_makes_a_definition_small():
    """A mistake in the core, met by drawn definitions: the definition that shows it becomes at least half as large."""
    from tests.sim.mutants_whole import MUTANTS

    sizes: list[int] = []

    @settings(max_examples=2_000, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True)
    @given(DRAWN)
    def simulate(drawn):
        try:
            Sim(random.Random(0), NONE, drawn=drawn).run()
        except Violation:
            sizes.append(len(list(every_step(drawn.definition))))
            if 2 * sizes[-1] <= sizes[0]:
                raise EnoughError from None
            raise

    with MUTANTS["degraded_forgotten"](), pytest.raises(EnoughError):
        simulate()
