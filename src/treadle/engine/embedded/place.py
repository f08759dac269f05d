"""Where a project's store lies, and whether that place can hold one (ruling 60).

SQLite in WAL mode needs working file locks and memory shared between processes; network file systems give neither
reliably. What cannot be found out (the kind of file system, off Linux) is taken for local.
"""

import os
import re
from pathlib import Path
from typing import Final

from treadle.engine.embedded.errors import StoreRefusedError

FOLDER: Final = ".treadle"
FILE: Final = "treadle.db"
NETWORK_KINDS: Final = frozenset(
    {
        *(
            "9p",
            "afs",
            "beegfs",
            "ceph",
            "cifs",
            "coda",
            "davfs",
            "glusterfs",
            "gpfs",
            "lustre",
            "ncpfs",
            "nfs",
            "nfs4",
        ),
        *("orangefs", "pvfs2", "smb3", "smbfs"),
        *("fuse.ceph", "fuse.davfs2", "fuse.gcsfuse", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs"),
    }
)

_OCTAL: Final = re.compile(r"\\([0-7]{3})")  # how mountinfo writes white space and backslashes


def main_tree(directory: Path) -> Path:
    """Give the main working tree of a linked git worktree; any other directory is its own."""
    marker = directory / ".git"
    if not marker.is_file():
        return directory
    named = marker.read_text(encoding="utf-8", errors="replace").strip().removeprefix("gitdir:").strip()
    git_dir = (directory / named).resolve()
    common = git_dir / "commondir"
    if not common.is_file():  # a submodule: a tree of its own
        return directory
    shared = (git_dir / common.read_text(encoding="utf-8", errors="replace").strip()).resolve()
    # A bare repository has no main working tree; then each worktree is its own.
    return shared.parent if shared.name == ".git" else directory


def store_path(directory: Path) -> Path:
    """Give the store's path for the project at `directory`, the root of a working tree."""
    return main_tree(directory) / FOLDER / FILE


def file_system_kind(path: Path, mounts: str) -> str:
    """Give the kind of file system that holds `path`, by the text of /proc/self/mountinfo; "" if it does not say."""
    found, depth = "", -1
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        fields, kind = left.split(), right.split()
        if len(fields) < 5 or not kind:
            continue
        point = Path(_OCTAL.sub(lambda found: chr(int(found[1], 8)), fields[4]))
        # A later mount on the same point hides the earlier one.
        if path.is_relative_to(point) and len(point.parts) >= depth:
            found, depth = kind[0], len(point.parts)
    return found


def refuse_network(path: Path) -> None:
    """Raise StoreRefusedError if `path` lies on a network file system."""
    kind = file_system_kind(path.resolve(), _mounts())
    if kind in NETWORK_KINDS:
        raise StoreRefusedError(
            f"{path} lies on a network file system ({kind}): file locks and shared memory do not work there reliably, "
            "and a store could be damaged.",
            hint="Keep the project on a local disk, or set the store's place to one there.",
            code="network_filesystem",
        )


def _mounts() -> str:
    try:
        return Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""


def make_private(path: Path) -> bool:
    """Make the store's folder (0700) and an empty file (0600) if they are missing; True if this process made the file."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        return False
    return True


def open_to_others(path: Path) -> list[Path]:
    """List those of the store's folder and files that other users of this machine can read or write."""
    beside = [path.parent, path, *(path.with_name(path.name + end) for end in ("-wal", "-shm", ".next", ".hold"))]
    return [each for each in beside if each.exists() and each.stat().st_mode & 0o077]
