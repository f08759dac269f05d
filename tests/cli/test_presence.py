"""Presence: a process is judged dead when the system has let its lock go, and never otherwise."""

import signal
import subprocess
import sys

import pytest

from treadle import presence

CHILD = """
import sys
from pathlib import Path
from treadle import presence
folder, holder = sys.argv[1:]
presence.Presence(Path(folder), holder, what="run", serves=True)
print("there", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def child(tmp_path):
    """A process that is present in `tmp_path` as `treadle-run-1-aa`."""
    started = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path), "treadle-run-1-aa"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert started.stdout is not None
    assert started.stdin is not None
    assert started.stdout.readline() == "there\n"
    yield started
    started.kill()
    started.wait()
    started.stdin.close()
    started.stdout.close()


def test_a_living_process_is_listed_and_not_dead(child, tmp_path):
    found = presence.living(tmp_path)
    assert [(each.holder, each.pid, each.what, each.serves) for each in found] == [("treadle-run-1-aa", child.pid, "run", True)]
    assert presence.is_alive(tmp_path, "treadle-run-1-aa/script x") is True
    with presence.dead(tmp_path) as dead:
        assert dead == []
    assert presence.living(tmp_path)


def test_a_killed_process_is_dead_until_its_mark_was_taken_away(child, tmp_path):
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert presence.living(tmp_path) == []
    assert presence.is_alive(tmp_path, "treadle-run-1-aa") is False
    with pytest.raises(RuntimeError, match="treadle-run-1-aa"):
        fail_while_clearing_up(tmp_path)
    # What should have been done about it was not: the next one is told again.
    with presence.dead(tmp_path) as dead:
        assert dead == ["treadle-run-1-aa"]
    with presence.dead(tmp_path) as dead:
        assert dead == []


def fail_while_clearing_up(folder):
    with presence.dead(folder) as dead:
        raise RuntimeError(*dead)


def test_two_processes_never_clear_up_after_the_same_one(child, tmp_path):
    child.kill()
    child.wait()
    with presence.dead(tmp_path) as first, presence.dead(tmp_path) as second:
        assert first == ["treadle-run-1-aa"]
        assert second == []


def test_who_leaves_is_gone_without_a_trace(tmp_path):
    with presence.Presence(tmp_path, "treadle-mcp-2-bb", what="mcp", serves=True):
        assert len(presence.living(tmp_path)) == 1
    assert list(tmp_path.iterdir()) == []
    assert presence.is_alive(tmp_path, "treadle-mcp-2-bb") is False


def test_names_of_people_and_of_foreign_programs_are_never_judged(tmp_path):
    for name in ("ann", "session-17", "treadle", "../treadle-run-1-aa", "treadle-../x"):
        assert presence.is_alive(tmp_path, name) is None
    assert presence.process_of("treadle-run-1-aa/script research[2]") == "treadle-run-1-aa"


def test_each_process_has_a_name_of_its_own():
    names = {presence.new_holder("run") for _ in range(50)}
    assert len(names) == 50
    assert all(presence.process_of(name) == name for name in names)
