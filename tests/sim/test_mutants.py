"""Every mutant is caught: the oracles see each class of mistake within a bounded number of seeds."""

import pytest

from tests.sim.mutants_whole import MUTANTS
from tests.sim.prove import caught, differs_between_processes

MOST = 3_000


@pytest.mark.parametrize("name", [name for name in MUTANTS if name != "set_order"])
def test_mutant_is_caught(name):
    assert caught(name, MOST) is not None


def test_a_dependence_on_set_order_is_caught_by_two_processes():
    assert differs_between_processes(200, "set_order")


def test_there_are_enough_mutants_and_each_says_what_is_wrong():
    assert len(MUTANTS) >= 40
    assert all(make.__doc__ for make in MUTANTS.values())
