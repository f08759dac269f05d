"""The page of states says what the core's tables and the checked cases say today."""

from typing import get_args

import pytest

from scripts import docs, docs_states
from treadle.core import events
from treadle.core.state import ACTION_STATES, RunStatus, StepPhase

PAGE = docs.ROOT / "docs" / "reference" / "states.md"


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def test_the_page_is_fresh(page: str):
    assert docs.rebuilt(page, PAGE.name) == page, "run ./dev docs"


def test_a_changed_cell_makes_it_stale(monkeypatch: pytest.MonkeyPatch, page: str):
    monkeypatch.setitem(docs_states.RUN_EVENTS["SignalSent"], "unknown", "done")
    table = docs_states.action_table()
    assert "| unknown | done | as it was |" in table
    assert table not in page


def test_every_event_status_and_phase_is_there(page: str):
    assert [kind.__name__ for kind in events.EVENT_TYPES if f"### `{kind.__name__}`" not in page] == []
    assert set(docs_states.ACTION_WORDS) == set(ACTION_STATES)
    assert set(docs_states.RUN_WORDS) == set(get_args(RunStatus))
    # What is gone within the transition that makes it is never seen.
    assert set(get_args(StepPhase)) - set(docs_states.PHASE_WORDS) == {"opening", "fallback"}
    assert [word for word in (*docs_states.RUN_WORDS, *docs_states.PHASE_WORDS) if f"| `{word}` |" not in page] == []


def test_a_state_without_words_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(docs_states.PHASE_WORDS, "gate")
    with pytest.raises(ValueError, match="does not say what these mean: gate"):
        docs_states.step_diagram()
