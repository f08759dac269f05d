"""Accidents and careless edits are found, each with its code (rulings 32 and 39); a sound store has no findings."""

import shutil

import apsw
import pytest

from tests.store.build import starting, stepping
from treadle.engine.embedded import checks
from treadle.engine.embedded.errors import StorageUnavailableError, StoreRefusedError
from treadle.engine.embedded.records import BlobRow
from treadle.engine.embedded.store import open_store


@pytest.fixture
async def walked(path):
    """A closed store with two runs of four events and one blob."""
    store = open_store(path)
    for run in ("a", "b"):
        digest = store.blobs.put(b"value")
        head = (await store.commit(starting(run))).head
        for n in range(3):
            blobs = (BlobRow(digest=digest, size_bytes=5, created_ms=1),) if n == 0 else ()
            head = (await store.commit(stepping(run, head, b"event %d" % n, blobs=blobs))).head
    await store.close()
    return path


def edit(path, *statements):
    db = apsw.Connection(str(path))
    for statement in statements:
        db.execute(statement)
    db.close()


def found(path, **how):
    reader = open_store(path).reader
    blobs = checks.Blobs(path.with_name("blobs"))
    every = [
        *checks.check_place(path),
        *checks.check_file(path),
        *checks.check_chains(reader),
        *checks.check_blobs(reader, blobs, **how),
    ]
    return [(finding.code, finding.run) for finding in every]


def test_a_sound_store_has_no_findings(walked):
    assert found(walked, deep=True) == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE event SET body = x'00' WHERE run = 'a' AND rev = 2",
        "UPDATE event SET body = x'00' WHERE run = 'a' AND rev = 4",
        "UPDATE event SET rev = 9 WHERE run = 'a' AND rev = 3",
        "DELETE FROM event WHERE run = 'a' AND rev = 1",
        "DELETE FROM event WHERE run = 'a' AND rev = 4",
        "UPDATE run SET revision = 3 WHERE id = 'a'; DELETE FROM event WHERE run = 'a' AND rev = 4",
        "UPDATE event SET prev = zeroblob(32) WHERE run = 'a' AND rev = 3",
        "UPDATE event SET run = 'c' WHERE run = 'a'; UPDATE event SET run = 'a' WHERE run = 'b'; UPDATE event SET run = 'b' WHERE run = 'c'",
    ],
)
def test_the_chain_finds_an_edit(walked, statement):
    edit(walked, statement)
    assert ("chain_broken", "a") in found(walked)


def test_a_missing_and_a_damaged_value_are_found_with_their_runs(walked):
    (blob,) = [path for path in walked.with_name("blobs").rglob("*") if path.is_file()]
    blob.write_bytes(b"valuf")
    assert found(walked) == []
    assert found(walked, deep=True) == [("blob_damaged", None)]
    blob.write_bytes(b"val")
    assert found(walked) == [("blob_damaged", None)]
    blob.unlink()
    assert found(walked) == [("blob_missing", None)]
    reader = open_store(walked).reader
    (finding,) = checks.check_blobs(reader, checks.Blobs(walked.with_name("blobs")))
    assert finding.message.endswith("Used by: a, b.")


def test_a_damaged_page_is_found_and_the_rest_is_still_checked(walked):
    page = 4096
    with walked.open("r+b") as file:
        pages = walked.stat().st_size // page
        for number in range(3, pages):
            file.seek(number * page)
            file.write(b"\xff" * 300)
    codes = {finding.code for finding in checks.check_file(walked)}
    assert "file_damaged" in codes


async def test_a_damaged_file_is_storage_unavailable_not_a_wrong_answer(walked):
    walked.write_bytes(walked.read_bytes()[:4096] + b"\xff" * (walked.stat().st_size - 4096))
    with pytest.raises(StorageUnavailableError) as caught:
        await open_store(walked).commit(starting("c"))
    assert caught.value.reason == "damaged"


def test_a_changed_schema_is_found(walked):
    edit(walked, "DROP INDEX run_due")
    assert found(walked) == [("schema_changed", None)]


async def test_a_log_that_was_cut_off_is_refused_until_the_loss_is_accepted(path):
    store = open_store(path)
    head = (await store.commit(starting("r"))).head
    store.writer._session.checkpoint(truncate=True)
    head = (await store.commit(stepping("r", head))).head
    away = path.parent.with_name("copy") / path.name
    shutil.copytree(path.parent, away.parent)
    away.with_name(path.name + "-wal").write_bytes(b"")
    away.with_name(path.name + "-shm").unlink()
    with pytest.raises(StoreRefusedError) as caught:
        open_store(away)
    assert caught.value.code == "history_truncated"
    assert [finding.code for finding in checks.check_file(away)] == ["history_truncated"]
    accepted = open_store(away, accept_loss=True)
    assert accepted.reader.run("r").head.revision == 1
    await accepted.close()
    await open_store(away).close()
    await store.close()


async def test_an_older_copy_of_the_file_is_noticed(path):
    store = open_store(path)
    head = (await store.commit(starting("r"))).head
    await store.close()
    old = path.read_bytes()
    store = open_store(path)
    await store.commit(stepping("r", head))
    await store.close()
    path.write_bytes(old)
    path.with_name(path.name + "-wal").unlink(missing_ok=True)
    with pytest.raises(StoreRefusedError, match="event 2 was acknowledged"):
        open_store(path)


async def test_a_new_file_beside_an_old_lock_is_no_loss(path):
    store = open_store(path)
    await store.commit(starting("r"))
    await store.close()
    for end in ("", "-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)
    again = open_store(path)
    assert again.reader.runs() == []
    await again.close()


def test_files_are_private_and_it_is_found_if_they_are_not(walked):
    assert found(walked) == []
    walked.chmod(0o644)
    assert {code for code, _ in found(walked)} == {"open_to_others"}


def test_the_holder_of_the_lock_is_named(path, child):
    path.parent.mkdir()
    holder = child("hold")
    assert holder.stdout.readline() == "held\n"
    messages = [finding.message for finding in checks.check_lock(path)]
    assert messages == [] or str(holder.pid) in messages[0]
