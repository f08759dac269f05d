"""Pruning: runs go whole, values go when nobody names them, nobody who writes is held up or loses anything, and a kill leaves a store that holds."""

import asyncio
import signal
import subprocess
import sys
import time
from dataclasses import replace

import apsw
import pytest

from tests.store.build import DIGEST, starting, stepping
from tests.store.conftest import ROOT
from treadle.engine.embedded import checks, faults
from treadle.engine.embedded.blobs import Blobs
from treadle.engine.embedded.connection import connect
from treadle.engine.embedded.errors import StorageUnavailableError, WriteRejectedError
from treadle.engine.embedded.pruning import Pruner
from treadle.engine.embedded.reader import Reader
from treadle.engine.embedded.records import BlobRow, DefinitionRow, RequestRow
from treadle.engine.embedded.store import open_store

MOVED = b'"RunMigrated"'
POINTS = [point for point in sorted(faults.points()) if point.startswith("prune.")]


def started(path, role, *args, fault=""):
    environment = {"PATH": "", "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "TREADLE_FAULT": fault}
    command = [sys.executable, "-m", "tests.store.keeping_child", role, str(path), *map(str, args)]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)


def told(path, role, *args, fault=""):
    process = started(path, role, *args, fault=fault)
    out = process.communicate(timeout=60)[0]
    return process.returncode, out.splitlines()


async def ended(store, run, *, steps=8, definition="", events=(), **more):
    """Make a run of its own definition that has ended; gives its last revision."""
    digest = definition or f"{run:d>64}"[:64]
    first = starting(run, definition=digest, **more)
    rows = (*first.definitions, DefinitionRow(digest=digest, body=b"{}"))
    head = (await store.commit(replace(first, definitions=rows))).head
    for number in range(steps):
        value = f"{run}{number // 2}".encode() * 500
        blobs = (BlobRow(digest=store.blobs.put(value), size_bytes=len(value), created_ms=1),)
        body = events[number] if number < len(events) else b"." * 500
        request = RequestRow(key=f"{run}/step[{number}]#1", digest="d", reply=b"{}", created_ms=1)
        head = (
            await store.commit(stepping(run, head, body, blobs=blobs, requests=(request,), snapshot=b"s" if number == 5 else None))
        ).head
    fields = {"status": "completed", "closed_ms": head.revision, "updated_ms": head.revision}
    return (await store.commit(replace(stepping(run, head), fields=fields, opened=()))).head.revision


async def two_and_an_open_one(path):
    store = open_store(path)
    revs = {run: await ended(store, run) for run in ("one", "two")}
    await store.commit(starting("open"))
    await store.close()
    return [f"{run}:{rev}" for run, rev in revs.items()]


def rows(path, text):
    db = apsw.Connection(str(path))
    try:
        return db.execute(text).fetchall()
    finally:
        db.close()


def findings(path):
    reader = Reader(connect(path, "read"))
    try:
        found = [
            *checks.check_file(path),
            *checks.check_chains(reader),
            *checks.check_blobs(reader, Blobs(path.with_name("blobs")), deep=True),
        ]
        return found, [row.id for row in reader.runs()]
    finally:
        reader.close()


def test_a_pruned_run_leaves_nothing_behind(path):
    one, two = asyncio.run(two_and_an_open_one(path))
    size = path.stat().st_size
    code, out = told(path, "prune", one, two)
    assert (code, out) == (0, ["done 2 20 2 8"])
    for table in ("snapshot", "blob", "blob_use", "request"):
        assert rows(path, f"SELECT count(*) FROM {table}") == [(0,)], table
    assert rows(path, "SELECT DISTINCT run FROM event") == [("open",)]
    assert rows(path, "SELECT digest FROM definition") == [(DIGEST,)]
    assert [file for file in path.with_name("blobs").glob("??/*") if file.is_file()] == []
    assert path.stat().st_size < size
    assert findings(path) == ([], ["open"])


@pytest.mark.kill
@pytest.mark.parametrize("point", POINTS)
def test_a_kill_amid_pruning_leaves_whole_runs_and_the_next_one_finishes(path, point):
    runs = asyncio.run(two_and_an_open_one(path))
    code, _ = told(path, "prune", *runs, fault=point)
    assert code == -signal.SIGKILL
    found, left = findings(path)
    assert found == []
    assert set(left) <= {"one", "two", "open"}
    assert told(path, "prune", *(run for run in runs if run.partition(":")[0] in left))[0] == 0
    assert findings(path) == ([], ["open"])
    assert rows(path, "SELECT count(*) FROM blob UNION ALL SELECT count(*) FROM request") == [(0,), (0,)]
    assert [file for file in path.with_name("blobs").glob("??/*") if not file.name.startswith(".")] == []


async def test_a_run_that_went_on_or_has_the_newest_event_stays(path):
    store = open_store(path)
    revision = await ended(store, "one")
    last = await ended(store, "two")
    await store.close()
    code, out = told(path, "prune", f"one:{revision - 1}", f"two:{last}")
    assert (code, out) == (0, ["done 0 0 1 0 one two"])


async def test_open_runs_are_never_taken(path):
    store = open_store(path)
    await store.commit(starting("open"))
    await ended(store, "one")
    await store.close()
    assert told(path, "prune", "open:1") == (0, ["done 0 0 0 0 open"])


async def test_a_definition_that_a_history_still_names_stays(path):
    store = open_store(path)
    old = "a" * 64
    gone = await ended(store, "one", definition=old)
    await ended(store, "moved", events=[b'{"type":"RunMigrated","was":"%b"}' % old.encode()])
    await store.commit(starting("open"))
    await store.close()
    assert told(path, "prune", f"one:{gone}")[0] == 0
    assert (old,) in rows(path, "SELECT digest FROM definition")


async def test_a_value_that_another_run_uses_stays(path):
    store = open_store(path)
    gone = await ended(store, "one")
    await store.commit(starting("fork", forked_from="one"))
    await store.close()
    assert told(path, "prune", f"one:{gone}")[1] == ["done 1 10 1 0"]
    assert findings(path)[0] == []
    assert len(rows(path, "SELECT digest FROM blob_use WHERE run = 'fork'")) == 4


async def test_a_young_value_stays_for_a_commit_that_comes_late(path):
    store = open_store(path)
    digest = store.blobs.put(b"v" * 100)
    pruner = Pruner(path, store.blobs, lambda *_: None)
    done = pruner.prune([], before_each=lambda _: None, moved_word=MOVED)
    pruner.close()
    assert (done.young, done.blobs, store.blobs.get(digest)) == (1, 0, b"v" * 100)
    await store.close()


async def test_a_commit_whose_value_was_collected_is_refused_and_nothing_of_it_stored(store):
    head = (await store.commit(starting("r"))).head
    digest = store.blobs.put(b"v" * 100)
    assert store.blobs.remove_old(digest, -1.0) == 100
    late = stepping("r", head, blobs=(BlobRow(digest=digest, size_bytes=100, created_ms=1),))
    with pytest.raises(StorageUnavailableError, match="collected"):
        await store.commit(late)
    assert store.blobs.put(b"v" * 100) == digest
    assert (await store.commit(late)).head.revision == 2


async def test_a_fork_of_a_run_that_was_pruned_meanwhile_is_refused(store):
    with pytest.raises(WriteRejectedError, match="not there any more"):
        await store.commit(starting("fork", forked_from="gone"))


@pytest.mark.slow
def test_writers_beside_pruning_lose_nothing_and_are_not_held_up(path):
    """Two processes write while another prunes again and again without respect for the young: every value that a commit named is there."""

    async def made():
        store = open_store(path)
        revs = [f"{run}:{await ended(store, run, steps=200)}" for run in (f"r{number}" for number in range(10))]
        await store.close()
        return revs

    revs = asyncio.run(made())
    writers = [started(path, "write", f"w{number}", 4) for number in range(2)]
    for each in writers:
        assert each.stdout.readline() == "ready\n"
    until_s = time.monotonic() + 4
    while time.monotonic() < until_s:
        assert told(path, "prune", *revs)[0] == 0
    outs = [each.communicate(timeout=30)[0].splitlines() for each in writers]
    assert [each.returncode for each in writers] == [0, 0]
    found, runs = findings(path)
    assert found == []
    assert set(runs) == {"w0", "w1"}
    for number, out in enumerate(outs):
        acked = max(int(line.split()[2]) for line in out if line.startswith("ack"))
        assert rows(path, f"SELECT revision FROM run WHERE id = 'w{number}'") == [(acked,)]


@pytest.mark.slow
async def test_a_run_of_many_events_goes_in_turns_that_hold_nobody_up(path):
    """Measured alone: 24 ms at the longest. The bound is wide because whoever runs this may share the machine."""
    store = open_store(path)
    first = starting("big", definition=DIGEST)
    head = (await store.commit(replace(first, events=(b"." * 800,) * 20_000))).head
    fields = {"status": "completed", "closed_ms": 1}
    last = (await store.commit(replace(stepping("big", head), fields=fields, opened=(), closed=("step[0]",)))).head
    await store.close()
    writers = [started(path, "write", f"w{number}", 2) for number in range(2)]
    for each in writers:
        assert each.stdout.readline() == "ready\n"
    pruner = Pruner(path, Blobs(path.with_name("blobs")), lambda *_: None)
    done = pruner.prune([("big", last.revision)], before_each=lambda _: None, moved_word=MOVED)
    pruner.close()
    assert (done.runs, done.events) == (1, 20_001)
    longest = [int(each.communicate(timeout=30)[0].splitlines()[-1].split()[1]) for each in writers]
    assert max(longest) < 1_500
    assert findings(path) == ([], ["w1", "w0"]) or findings(path) == ([], ["w0", "w1"])
