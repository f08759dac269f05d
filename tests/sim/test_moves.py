"""Runs that are moved at any moment keep every oracle, and the oracles see what a migration may do wrong."""

import random

import pytest

from tests.sim.moves import MovingSim
from tests.sim.mutants import swapped
from tests.sim.oracles import Violation
from treadle.core import migrate

COUNT = 80


def test_runs_that_are_moved_under_attack_keep_every_oracle():
    moves = 0
    for seed in range(COUNT):
        sim = MovingSim(random.Random(seed), deep=seed % 8 == 0)
        sim.run()
        assert sim.state.ended
        moves += sim.moves
    assert moves > COUNT, "they are hardly ever moved"


original = migrate._let_go


def _keeps_what_was_handed_out(_draft, _action_id):
    """An open action is not rendered again."""


def _keeps_votes(draft, action_id):
    """An approval that was given for the old text counts for the new one."""
    votes = draft.actions[action_id].votes if action_id in draft.actions else ()
    if not votes:
        original(draft, action_id)


@pytest.mark.parametrize(
    "wrong", [_keeps_what_was_handed_out, pytest.param(_keeps_votes, marks=pytest.mark.slow)], ids=lambda wrong: wrong.__name__
)
def test_a_mistake_in_the_core_is_seen(wrong):
    def attack():
        for seed in range(1_500):
            MovingSim(random.Random(seed)).run()

    with swapped(migrate._let_go, wrong), pytest.raises(Violation, match="migration"):
        attack()


def test_a_step_that_was_handed_out_before_a_move_still_has_its_finally():
    MovingSim(random.Random(403)).run()  # a failed attempt, parked, moved, cancelled
