"""Backups hold all that was acknowledged before they began; what is damaged, hostile or in use is refused; a kill leaves the old store or the new."""

import asyncio
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import time
import zipfile
from dataclasses import replace

import pytest

from tests.store.build import starting, stepping
from tests.store.test_pruning import ended, findings, rows, started, told
from treadle.engine.embedded import backup, faults
from treadle.engine.embedded import store as module
from treadle.engine.embedded.blobs import Blobs
from treadle.engine.embedded.errors import BlobError, StorageUnavailableError
from treadle.engine.embedded.pruning import Pruner
from treadle.engine.embedded.records import Committed
from treadle.engine.embedded.store import open_store

POINTS = [point for point in sorted(faults.points()) if point.startswith("restore.")]


def quiet(*_):
    pass


async def filled(path, *runs):
    store = open_store(path)
    for run in runs:
        await ended(store, run)
    head = (await store.commit(starting("open"))).head
    await store.close()
    return head


def restored(path, source):
    with backup.staged(path) as folder:
        return backup.replace_store(path, folder, backup.unpack(source, folder, quiet), wait_ms=50)


def content(path):
    return rows(path, "SELECT seq, run, rev, prev, body FROM event ORDER BY seq"), rows(
        path, "SELECT id, revision, head FROM run ORDER BY id"
    )


async def test_a_backup_put_back_is_the_same_history_under_another_id(path, tmp_path):
    await filled(path, "one", "two")
    then, store_then = content(path), rows(path, "SELECT store FROM meta")
    made = backup.make_backup(path, tmp_path / "b", quiet)
    assert (made.runs, made.blobs, made.last_seq) == (3, 8, 21)
    store = open_store(path)
    await ended(store, "later")
    await store.close()

    done = restored(path, tmp_path / "b")
    assert content(path) == then
    assert rows(path, "SELECT store FROM meta") != store_then
    assert findings(path) == ([], ["open", "two", "one"])
    # What was there stands aside, whole, with its values.
    assert (done.aside / "treadle.db").exists()
    assert findings(done.aside / "treadle.db")[0] == []
    assert not list(path.parent.glob(".restoring-*"))
    # It is opened, is no store that lost anything, and goes on.
    store = open_store(path)
    assert isinstance(await store.commit(stepping("open", store.reader.run("open").head)), Committed)
    await store.close()


async def test_a_backup_goes_where_no_store_was_and_leases_have_ended(path, tmp_path):
    store = open_store(path)
    await store.commit(starting("r", title="t"))
    held = stepping("r", store.reader.run("r").head)
    (row,) = held.opened
    await store.commit(replace(held, opened=(replace(row, status="claimed", holder="agent", lease_until_ms=1 << 50),)))
    await store.close()
    backup.make_backup(path, tmp_path / "b", quiet)
    elsewhere = tmp_path / "else" / ".treadle" / "treadle.db"
    done = restored(elsewhere, tmp_path / "b")
    assert done.aside is None
    assert rows(elsewhere, "SELECT holder, lease_until_ms FROM action") == [("agent", 0)]
    assert elsewhere.stat().st_mode & 0o077 == 0
    assert (tmp_path / "b").stat().st_mode & 0o077 == 0


def test_nothing_acknowledged_before_a_backup_began_is_missing_in_it(path, tmp_path):
    """Two processes write all the while; a third kind prunes what has ended."""
    asyncio.run(filled(path, *(f"r{number}" for number in range(4))))
    writers = [started(path, "write", f"w{number}", 2.5) for number in range(2)]
    acked = [0, 0]
    for each in writers:
        assert each.stdout.readline() == "ready\n"
    time.sleep(0.3)  # some history to be told of, not a synchronisation
    for number, each in enumerate(writers):
        for _ in range(20):
            acked[number] = int(each.stdout.readline().split()[2])
    made = backup.make_backup(path, tmp_path / "b", quiet)
    for each in writers:
        each.communicate(timeout=30)
    elsewhere = tmp_path / "else" / ".treadle" / "treadle.db"
    restored(elsewhere, tmp_path / "b")
    found, runs = findings(elsewhere)
    assert found == []
    assert made.runs == len(runs) == 7
    for number in range(2):
        assert rows(elsewhere, f"SELECT revision FROM run WHERE id = 'w{number}'")[0][0] >= acked[number]


@pytest.mark.kill
@pytest.mark.parametrize("point", POINTS)
async def test_a_kill_amid_restoring_leaves_the_old_store_or_the_new_one(path, tmp_path, point):
    await filled(path, "one")
    new = content(path)
    backup.make_backup(path, tmp_path / "b", quiet)
    store = open_store(path)
    await ended(store, "two")
    await store.close()
    old = content(path)
    code, _ = told(path, "restore", tmp_path / "b", fault=point)
    assert code == -signal.SIGKILL
    assert content(path) == (new if point == "restore.replaced" else old)
    store = open_store(path)
    assert isinstance(await store.commit(starting("after")), Committed)
    await store.close()
    assert findings(path)[0] == []


async def test_a_store_that_anybody_has_open_is_not_replaced(path, tmp_path):
    await filled(path, "one")
    backup.make_backup(path, tmp_path / "b", quiet)
    store = open_store(path)
    head = store.reader.run("open").head
    with pytest.raises(backup.BackupError) as caught:
        restored(path, tmp_path / "b")
    assert caught.value.code == "store_in_use"
    assert isinstance(await store.commit(stepping("open", head)), Committed)
    await store.close()
    restored(path, tmp_path / "b")


async def test_a_damaged_store_is_replaced_and_kept_with_its_log(path, tmp_path):
    await filled(path, "one")
    backup.make_backup(path, tmp_path / "b", quiet)
    path.write_bytes(b"x" * 8192)
    path.with_name("treadle.db-wal").write_bytes(b"log")
    done = restored(path, tmp_path / "b")
    assert {"blobs", "treadle.db", "treadle.db-wal"} <= {each.name for each in done.aside.iterdir()}
    assert findings(path) == ([], ["open", "one"])


async def test_an_empty_file_beside_a_log_is_replaced_and_the_log_kept(path, tmp_path):
    await filled(path, "one")
    backup.make_backup(path, tmp_path / "b", quiet)
    path.write_bytes(b"")
    path.with_name("treadle.db-wal").write_bytes(b"log")
    done = restored(path, tmp_path / "b")
    assert (done.aside / "treadle.db-wal").read_bytes() == b"log"
    assert findings(path) == ([], ["open", "one"])


def rewritten(source, target, change):
    """Write a backup anew with its parts changed."""
    with zipfile.ZipFile(source) as archive:
        parts = [(entry.filename, archive.read(entry)) for entry in archive.infolist()]
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in change(parts):
            archive.writestr(name, body)
    return target


def manifest_with(**fields):
    return lambda parts: [(n, json.dumps(json.loads(b) | fields).encode() if n == "manifest.json" else b) for n, b in parts]


def forged(change):
    """Change the database and make digest and size fit: the checks of what is inside remain."""

    def changed(parts):
        (database,) = [body for name, body in parts if name == "treadle.db"]
        made = change(database)
        rest = [(name, made if name == "treadle.db" else body) for name, body in parts]
        return manifest_with(database_sha256=hashlib.sha256(made).hexdigest(), database_bytes=len(made))(rest)

    return changed


def edited(database):
    """Change one event in a database."""
    db = sqlite3.connect(":memory:")
    db.deserialize(database)
    db.execute("UPDATE event SET body = x'00' WHERE rev = 2")
    db.commit()
    return bytes(db.serialize())


HOSTILE = {
    "a part goes out of the folder": lambda parts: [*parts, ("../../evil", b"x")],
    "an absolute name": lambda parts: [*parts, ("/tmp/evil", b"x")],
    "a value out of its folder": lambda parts: [*parts, ("blobs/../../" + "a" * 55, b"x")],
    "a part twice": lambda parts: [*parts, parts[0]],
    "more than the manifest says": lambda parts: [(n, b + b"\0" * (50 << 20) if n == "treadle.db" else b) for n, b in parts],
    "a value that is another": lambda parts: [(n, b + b"x" if n.startswith("blobs/") else b) for n, b in parts],
    "a value is missing": lambda parts: parts[:1] + parts[2:],
    "no database": lambda parts: parts[1:],
    "a size that is none": manifest_with(database_bytes=-1),
    "a count that is text": manifest_with(runs="3"),
    "another store's manifest": manifest_with(last_seq=1),
    "an event was changed": forged(edited),
    "pages are damaged": forged(lambda database: database[:20_000] + b"\xff" * 3_000 + database[23_000:]),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("what", HOSTILE)
async def test_a_backup_that_was_tampered_with_is_refused_and_nothing_changes(path, tmp_path, what):
    await filled(path, "one")
    backup.make_backup(path, tmp_path / "b", quiet)
    before = content(path)
    bad = rewritten(tmp_path / "b", tmp_path / "bad", HOSTILE[what])
    with pytest.raises(backup.BackupError) as caught:
        restored(path, bad)
    assert caught.value.code == "backup_damaged"
    assert content(path) == before
    assert not (tmp_path / "evil").exists()
    assert not list(path.parent.glob(".restoring-*"))


@pytest.mark.parametrize(
    "change, code",
    [
        (manifest_with(number=99), "backup_newer"),
        (manifest_with(format="other"), "backup_damaged"),
        (lambda _: [("x", b"")], "not_a_backup"),
    ],
)
async def test_what_is_no_backup_of_ours_is_told_from_a_newer_one(path, tmp_path, change, code):
    await filled(path, "one")
    backup.make_backup(path, tmp_path / "b", quiet)
    with pytest.raises(backup.BackupError) as caught:
        restored(path, rewritten(tmp_path / "b", tmp_path / "bad", change))
    assert caught.value.code == code


@pytest.mark.parametrize("cut", [0, 1, 100, -1, -30])
async def test_a_file_that_was_cut_off_is_refused(path, tmp_path, cut):
    await filled(path, "one")
    backup.make_backup(path, tmp_path / "b", quiet)
    (tmp_path / "bad").write_bytes((tmp_path / "b").read_bytes()[:cut])
    with pytest.raises(backup.BackupError, match="damaged"):
        restored(path, tmp_path / "bad")


async def test_a_backup_larger_than_the_disk_is_refused_before_it_is_unpacked(path, tmp_path):
    await filled(path, "one")
    backup.make_backup(path, tmp_path / "b", quiet)
    huge = rewritten(tmp_path / "b", tmp_path / "bad", manifest_with(database_bytes=1 << 60))
    with pytest.raises(StorageUnavailableError) as caught:
        restored(path, huge)
    assert caught.value.reason == "full"


async def test_a_missing_value_is_told_and_no_backup_is_left(path, tmp_path):
    await filled(path, "one")
    shutil.rmtree(path.with_name("blobs"))
    with pytest.raises(BlobError):
        backup.make_backup(path, tmp_path / "b", quiet)
    assert [each.name for each in tmp_path.iterdir()] == [".treadle"]


async def test_a_value_collected_while_a_backup_is_made_is_no_loss(path, tmp_path, monkeypatch):
    store = open_store(path)
    revision = await ended(store, "one")
    await store.commit(starting("open"))
    await store.close()
    copy, pruned = backup._copy, []

    def then_prune(*args):
        number = copy(*args)
        if not pruned:
            blobs = Blobs(path.with_name("blobs"))
            for file in path.with_name("blobs").glob("??/*"):
                os.utime(file, (1, 1))
            pruner = Pruner(path, blobs, quiet)
            pruned.append(pruner.prune([("one", revision)], before_each=quiet, moved_word=b"x"))
            pruner.close()
        return number

    monkeypatch.setattr(backup, "_copy", then_prune)
    made = backup.make_backup(path, tmp_path / "b", quiet)
    assert (pruned[0].blobs, made.runs, made.blobs) == (4, 1, 0)


@pytest.mark.parametrize("most", [0, 30_000, 140_000])
async def test_a_disk_that_is_full_is_told_and_nothing_is_left_of_the_backup(path, tmp_path, most):
    await filled(path, *(f"r{number}" for number in range(20)))
    before = content(path)
    code, out = told(path, "limited", tmp_path / "b", most)
    assert code == 0
    assert out[0].split()[0] == "refused"
    assert out[0].split()[1] in {"storage_full", "storage_io"}
    assert [each.name for each in tmp_path.iterdir()] == [".treadle"]
    assert content(path) == before


async def test_what_a_killed_backup_left_is_taken_away_after_a_day(path, tmp_path):
    await filled(path, "one")
    for name, age_s in ((".b.old", 100_000), (".b.new", 10), (".c.old", 100_000)):
        (tmp_path / name).write_bytes(b"")
        os.utime(tmp_path / name, (time.time() - age_s,) * 2)
    backup.make_backup(path, tmp_path / "b", quiet)
    assert sorted(each.name for each in tmp_path.iterdir()) == [".b.new", ".c.old", ".treadle", "b"]


async def test_a_file_that_is_there_is_not_overwritten(path, tmp_path):
    await filled(path, "one")
    (tmp_path / "b").write_text("mine")
    with pytest.raises(backup.BackupError) as caught:
        backup.make_backup(path, tmp_path / "b", quiet)
    assert (caught.value.code, (tmp_path / "b").read_text()) == ("file_exists", "mine")


async def test_who_was_about_to_open_the_old_file_opens_the_restored_one(path, tmp_path, monkeypatch):
    """The file is replaced between the moment it is opened and the turnstile."""
    await filled(path, "one")
    backup.make_backup(path, tmp_path / "b", quiet)
    enter, done = module._enter, []

    def replaced_before(turnstile, wait_limit_ms):
        if not done:
            done.append(1)
            other = tmp_path / "new" / ".treadle" / "treadle.db"
            restored(other, tmp_path / "b")
            shutil.copy(other, path.with_name("moved"))
            path.with_name("moved").replace(path)
        enter(turnstile, wait_limit_ms)

    backup._let_go(path, 50)  # as a restore does first: the file is no WAL file any more
    monkeypatch.setattr(module, "_enter", replaced_before)
    opened = open_store(path)
    assert done
    assert opened.id == rows(path, "SELECT store FROM meta")[0][0]
    outcome = await opened.commit(starting("after", title="x"))
    assert isinstance(outcome, Committed)
    await opened.close()
    assert rows(path, "SELECT count(*) FROM run WHERE id = 'after'") == [(1,)]
