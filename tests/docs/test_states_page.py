"""The page of states says what the core's tables and the checked cases say today."""

import subprocess
import sys
from typing import get_args

import pytest

from scripts import docs, docs_states
from treadle.core import events
from treadle.core.state import ACTION_STATES, RunStatus, StepPhase

PAGE = docs.ROOT / "docs" / "reference" / "states.md"


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def test_the_page_is_fresh():
    # In a process of its own: what is drawn is carried out, and other tests change the world in which that is.
    check = "import sys; from scripts import docs; page = sys.stdin.read(); sys.exit(docs.rebuilt(page, 'states.md') != page)"
    with PAGE.open("rb") as text:
        done = subprocess.run([sys.executable, "-c", check], stdin=text, cwd=docs.ROOT, check=False)
    assert done.returncode == 0, "run ./dev docs"


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


def test_a_state_without_words_is_told():
    with pytest.raises(ValueError, match="does not say what these mean: gate"):
        docs_states._follows({("gate", "action"): set()}, {"action": "it has been handed out"})
