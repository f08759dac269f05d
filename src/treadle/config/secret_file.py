"""A secret in a file: private to its owner, and where no commit can take it along.

Everything is judged on the open file, so that what was judged is what is read. Whether git would take a file along only git can say; it is
asked with `check-ignore`, which runs nothing of the repository.
"""

import os
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Final

from treadle.core.errors import RequestError

GIT_TIMEOUT_S: Final = 10


def read(path: Path, root: Path, size_bytes_max: int) -> bytes:
    """Read a secret's file. Raises RequestError `secret_missing`, `secret_file_open`, `secret_in_repository`, `secret_too_long`."""
    check_place(path, root)
    try:
        # A pipe without a writer would be waited for.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError as error:
        raise _missing(path, "is not there") from error
    except OSError as error:
        raise _missing(path, f"cannot be read: {error.strerror}") from error
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise _missing(path, "is no regular file")
        check_mode(path, found.st_mode)
        data = file.read(size_bytes_max + 1)
    if len(data) > size_bytes_max:
        raise RequestError(
            f"{path} is larger than {size_bytes_max:,} bytes", code="secret_too_long", hint="a secret is one value, not a store"
        )
    return data


def check_mode(path: Path, mode: int) -> None:
    """Refuse a file that others on this machine may read or change. Windows says nothing of that here."""
    if os.name != "nt" and mode & 0o077:
        raise RequestError(
            f"{path} is open to others (mode {stat.S_IMODE(mode):04o})",
            code="secret_file_open",
            hint=f"`chmod 600 {path}`, and change the secret if others may have read it",
        )


def check_place(path: Path, root: Path) -> None:
    """Refuse a file that git would commit."""
    for place in {path.absolute(), path.resolve()}:
        top = next((folder for folder in (root, *root.parents) if (folder / ".git").exists() and place.is_relative_to(folder)), None)
        if top is not None and not _is_ignored(place, top):
            raise RequestError(
                f"{path} is in the repository and not ignored by git, so that a commit would take the secret along",
                code="secret_in_repository",
                hint="move it out of the repository, or add it to .gitignore (and change the secret if it was ever committed)",
            )


def _is_ignored(place: Path, top: Path) -> bool:
    git = shutil.which("git")
    if git is None:
        raise RequestError(
            f"whether git ignores {place} cannot be told, because there is no `git` here",
            code="secret_in_repository",
            hint="keep the file outside of the repository",
        )
    # No monitor and no hooks: what the repository's configuration would run is not run.
    command = [git, "-c", "core.fsmonitor=false", "-C", str(top), "check-ignore", "-q", "--", str(place)]
    done = subprocess.run(command, check=False, capture_output=True, timeout=GIT_TIMEOUT_S, stdin=subprocess.DEVNULL)
    return done.returncode == 0


def _missing(path: Path, why: str) -> RequestError:
    return RequestError(f"{path} {why}", code="secret_missing", hint="put the value there, readable by you alone (mode 0600)")
