"""The stress of `./dev stress`, short: what it compares is compared, and a fault in either record is found."""

import json
import sqlite3

import pytest

from tests.stress.check import check
from tests.stress.play import play

pytestmark = pytest.mark.slow


def test_killed_processes_lose_nothing_and_do_nothing_twice_unseen(tmp_path):
    found, scene, driver = play(tmp_path, runs=25, seconds=8, seed=5)
    assert found.faults == []
    assert found.runs.total() == 25
    assert found.answers >= 50 - found.unknown  # each is asked twice; of one whose payment is unknown, once
    assert sum(scene.killed.values()) >= 5
    store = scene.project.folder / ".treadle" / "treadle.db"
    a_run = next(iter(driver.started))
    with scene.clients.open("a") as log:
        log.write(json.dumps({"what": "answered", "run": a_run, "action": "ask", "value": "something else"}) + "\n")
    with scene.ledger.open("a") as ledger:
        ledger.write("k3\nk3\nk3\n")
    faults = " ".join(check(store, scene.ledger, scene.clients).faults)
    assert "was answered 'something else'" in faults
    assert "k3 was paid" in faults
    with sqlite3.connect(store) as db:
        db.execute("DELETE FROM event WHERE run = ? AND rev = 2", (a_run,))
    assert "event 3 follows event 1" in " ".join(check(store, scene.ledger, scene.clients).faults)
