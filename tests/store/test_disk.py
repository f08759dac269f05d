"""A disk that is full, or a file that may not be written: a clear answer, nothing half stored, and on it goes afterwards."""

import asyncio
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.store.build import starting, stepping
from treadle.engine.embedded import checks
from treadle.engine.embedded.errors import StorageUnavailableError
from treadle.engine.embedded.records import Committed
from treadle.engine.embedded.store import open_store


async def test_a_full_disk_fails_every_waiter_and_stores_nothing_of_them(store):
    head = (await store.commit(starting("r"))).head
    pages = store._db.execute("PRAGMA page_count").fetchall()[0][0]
    store._db.execute(f"PRAGMA max_page_count = {pages}")
    big = [store.commit(starting(f"big{n}", words="x" * 20_000)) for n in range(4)]
    outcomes = await asyncio.gather(*big, return_exceptions=True)
    assert [(type(each), each.code, each.reason) for each in outcomes] == [(StorageUnavailableError, "storage_full", "full")] * 4
    assert [row.id for row in store.reader.runs()] == ["r"]
    store._db.execute("PRAGMA max_page_count = 1000000")
    assert isinstance(await store.commit(stepping("r", head)), Committed)
    assert list(checks.check_file(store.path)) == []


def test_a_log_that_cannot_grow_is_refused_and_what_was_told_before_stays(path, child):
    process = child("outgrow")
    lines = process.communicate()[0].splitlines()
    assert process.returncode == 0, lines
    refused = next(line for line in lines if line.startswith("refused"))
    assert refused in ("refused storage_io io", "refused storage_full full")
    told = int(lines[-1].split()[1])

    async def look():
        store = open_store(path)
        revision = store.reader.run("r").head.revision
        found = [*checks.check_file(path), *checks.check_chains(store.reader)]
        await store.close()
        return revision, found

    assert asyncio.run(look()) == (told, [])


@pytest.fixture
def public_folder():
    """A folder that another user can reach: pytest's own are private."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_a_file_that_may_only_be_read_is_refused_as_such(public_folder, child, path):
    store_path = public_folder / "treadle.db"
    asyncio.run(open_store(store_path).close())
    for file in public_folder.iterdir():
        file.chmod(0o444)
    public_folder.chmod(0o555)
    process = child("intrude", at=store_path)
    assert process.communicate()[0].split()[0] == "storage_read_only"
    public_folder.chmod(0o755)


def test_no_descriptors_left_is_named(path):
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 1, hard))
    try:
        with pytest.raises(StorageUnavailableError) as caught:
            open_store(path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert caught.value.reason == "descriptors"
