"""kill -9 at every named point loses nothing that was acknowledged, and the file works on (ruling 56).

The record is what the child itself had been told and wrote to its standard output before it died.
"""

import asyncio
import signal

import pytest

from treadle.engine.embedded import checks, faults
from treadle.engine.embedded.store import open_store

ONCE = ("migrate.before_commit", "checkpoint.before", "checkpoint.after")  # passed seldom, whoever writes
ELSEWHERE = ("prune.", "restore.")  # passed by commands of their own: test_pruning.py, test_backup.py
ALONE, IN_A_GROUP = 5, 40  # which passing lies in which part of the child's walk
PASSINGS = [
    *((point, 1) for point in ONCE),
    *(
        (point, nth)
        for point in sorted(faults.points())
        if point not in ONCE and not point.startswith(ELSEWHERE)
        for nth in (ALONE, IN_A_GROUP)
    ),
]


def acknowledged(lines):
    last = {}
    for line in lines:
        match line.split():
            case ["ack", run, rev]:
                last[run] = int(rev)
    return last


def problems(store):
    yield from checks.check_file(store.path)
    yield from checks.check_chains(store.reader)
    yield from checks.check_blobs(store.reader, store.blobs, deep=True)


@pytest.mark.kill
@pytest.mark.parametrize("point, nth", PASSINGS)
def test_a_kill_loses_no_acknowledged_commit(path, child, point, nth):
    dying = child("walk", 20, fault=f"{point}:{nth}")
    told = acknowledged(dying.communicate()[0].splitlines())
    assert dying.returncode == -signal.SIGKILL

    async def look():
        store = open_store(path)
        stored = {row.id: row.head.revision for row in store.reader.runs()}
        found = list(problems(store))
        await store.close()
        return stored, found

    stored, found = asyncio.run(look())
    assert found == []
    for run, rev in told.items():
        assert rev <= stored[run] <= rev + 1, f"{run}: told {rev}, stored {stored[run]}"

    after = child("walk", 3)
    assert after.communicate()[0].splitlines()[-1] == "done"
    assert after.returncode == 0


def test_an_unknown_fault_point_is_refused(child, path):
    process = child("hold", fault="commit.nowhere")
    process.communicate()
    assert process.returncode == 1
    assert not path.exists()
