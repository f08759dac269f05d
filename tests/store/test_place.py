"""Where the store lies: beside the main working tree, private, and not on a network file system (ruling 60)."""

import subprocess

import pytest

from treadle.engine.embedded import place
from treadle.engine.embedded.errors import StorageUnavailableError, StoreRefusedError
from treadle.engine.embedded.store import open_store

MOUNTS = r"""
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /shared/ann rw,relatime shared:2 - nfs4 server:/shared rw
31 30 0:41 / /shared/ann/local rw - ext4 /dev/sdb1 rw
32 22 0:42 / /mnt/with\040space rw - fuse.sshfs me@there: rw
33 22 0:43 / /twice rw - ext4 /dev/sdc1 rw
34 22 0:44 / /twice rw - cifs //there/x rw
"""


@pytest.mark.parametrize(
    "path, kind",
    [
        ("/work/project", "ext4"),
        ("/shared/ann/project", "nfs4"),
        ("/shared/ann/local/project", "ext4"),
        ("/shared/anna/project", "ext4"),
        ("/mnt/with space/project", "fuse.sshfs"),
        ("/twice/project", "cifs"),
    ],
)
def test_the_kind_of_file_system_is_that_of_the_nearest_mount(path, kind, tmp_path):
    assert place.file_system_kind(type(tmp_path)(path), MOUNTS) == kind


def test_without_a_table_of_mounts_the_kind_is_unknown(tmp_path):
    assert place.file_system_kind(tmp_path, "") == ""


def test_a_network_file_system_is_refused_with_the_reason(path, monkeypatch):
    monkeypatch.setattr(place, "_mounts", lambda: "22 1 8:1 / / rw - nfs server:/ rw")
    with pytest.raises(StoreRefusedError, match="locks") as caught:
        open_store(path)
    assert caught.value.code == "network_filesystem"
    assert not path.exists()


async def test_folder_and_files_are_for_their_owner_alone(path):
    store = open_store(path)
    assert place.open_to_others(path) == []
    assert path.parent.stat().st_mode & 0o777 == 0o700
    for end in ("", "-wal", "-shm", ".next", ".hold"):
        assert path.with_name(path.name + end).stat().st_mode & 0o777 == 0o600
    await store.close()


def test_a_linked_worktree_shares_the_main_tree_s_store(tmp_path):
    main, linked = tmp_path / "main", tmp_path / "linked"
    git = ["git", "-c", "user.name=n", "-c", "user.email=e", "-C", str(main)]
    subprocess.run(["git", "init", "-q", str(main)], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    subprocess.run([*git, "worktree", "add", "-q", str(linked)], check=True)
    assert place.store_path(linked) == place.store_path(main) == main / ".treadle" / "treadle.db"


def test_a_directory_without_git_is_its_own(tmp_path):
    assert place.store_path(tmp_path) == tmp_path / ".treadle" / "treadle.db"


def test_a_folder_that_cannot_be_made_is_storage_unavailable(tmp_path):
    (tmp_path / ".treadle").write_text("in the way")
    with pytest.raises(StorageUnavailableError) as caught:
        open_store(tmp_path / ".treadle" / "treadle.db")
    assert caught.value.reason == "cannot_open"
