"""Values beside the database: durable before they are named, checked when they are read (ruling 11)."""

import os

import pytest

from treadle.engine.embedded.blobs import Blobs, digest_of
from treadle.engine.embedded.errors import BlobError, StorageUnavailableError


@pytest.fixture
def blobs(tmp_path):
    return Blobs(tmp_path / "blobs")


def test_a_value_comes_back_by_its_digest(blobs):
    digest = blobs.put(b"value")
    assert digest == digest_of(b"value")
    assert blobs.get(digest) == b"value"
    assert blobs.size_bytes(digest) == 5
    assert list(blobs.digests()) == [digest]


def test_the_same_value_twice_is_one_file_and_young_again(blobs):
    digest = blobs.put(b"value")
    path = blobs._path(digest)
    os.utime(path, (1, 1))
    blobs.put(b"value")
    assert path.stat().st_mtime > 1
    assert len(list(blobs.root.rglob("*.*"))) == 0
    assert list(blobs.digests()) == [digest]


def test_it_is_private(blobs):
    path = blobs._path(blobs.put(b"value"))
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


def test_a_missing_value_says_so(blobs):
    with pytest.raises(BlobError) as caught:
        blobs.get(digest_of(b"never"))
    assert caught.value.code == "blob_missing"


@pytest.mark.parametrize("damaged", [b"valuf", b"", b"value and more"])
def test_a_changed_value_is_not_given(blobs, damaged):
    digest = blobs.put(b"value")
    blobs._path(digest).write_bytes(damaged)
    with pytest.raises(BlobError) as caught:
        blobs.get(digest)
    assert caught.value.code == "blob_damaged"


def test_a_cut_off_value_is_written_anew(blobs):
    digest = blobs.put(b"value")
    blobs._path(digest).write_bytes(b"val")
    assert blobs.put(b"value") == digest
    assert blobs.get(digest) == b"value"


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 64, "a" * 63])
def test_only_a_digest_names_a_file(blobs, name):
    with pytest.raises(BlobError):
        blobs.get(name)


def test_a_folder_that_cannot_be_made_is_storage_unavailable(tmp_path):
    (tmp_path / "blobs").write_text("in the way")
    with pytest.raises(StorageUnavailableError) as caught:
        Blobs(tmp_path / "blobs").put(b"value")
    assert (caught.value.code, caught.value.reason) == ("storage_cannot_open", "cannot_open")
