"""Every cell of the transition table does what the table of tests/core/cells.py says, and no cell is left out."""

import pytest

from tests.core.cells import CELLS, RUN_EVENTS, Case, all_cells, check, recording
from treadle.core import events, transitions
from treadle.core.state import ACTION_STATES


@pytest.mark.parametrize("case", CELLS, ids=str)
def test_cell(case: Case):
    check(case)


def test_the_table_has_a_row_for_every_event_and_a_cell_for_every_state():
    rows = {**transitions.ACTION_EVENTS, **RUN_EVENTS}
    assert set(rows) == {kind.__name__ for kind in events.EVENT_TYPES}
    assert all(tuple(row) == ACTION_STATES for row in rows.values())


def test_no_cell_is_left_out():
    with recording() as recorder:
        for case in CELLS:
            check(case)
    assert [cell for cell in all_cells() if cell not in recorder.seen] == []


def test_the_recorder_tells_when_a_cell_is_left_out():
    with recording() as recorder:
        for case in CELLS:
            if (case.event, case.state) != ("OutcomeResolved", "backoff"):
                check(case)
    assert [cell for cell in all_cells() if cell not in recorder.seen] == [("OutcomeResolved", "backoff")]


def test_cases_say_which_cell_they_are_of():
    assert {(case.event, case.state) for case in CELLS} == set(all_cells())
