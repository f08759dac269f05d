"""What a user keeps for a project's secrets: outside of the project, one file per secret (0600) in a directory of the project (0700).

An entry holds the value itself, or where it is found (a variable, a file, the keyring). One file each, replaced atomically: two processes may
set two secrets at once, and removing one leaves nothing of it. File names carry a digest of the secret's name, because some file systems do
not tell `Token` from `TOKEN`.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from treadle.config.project import Project
from treadle.config.secret import Secret
from treadle.config.secret_file import check_mode
from treadle.core.errors import RequestError

_VERSION: Final = 1
KINDS: Final = ("env", "file", "keyring")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry: `kind` is `value`, with the value in `secret`, or one of `KINDS`, with `where` it is found.

    `owns` says that Treadle made the entry of the keyring, and so removes it.
    """

    name: str
    kind: str
    where: str = ""
    secret: Secret | None = field(default=None, repr=False)
    owns: bool = False


class SecretStore:
    """The entries of one project."""

    def __init__(self, directory: Path, project: Project) -> None:
        """Keep files below `directory`, the user's own data directory; what is needed of it is made when something is set."""
        self._home = str(project.home)
        self.id = hashlib.sha256(self._home.encode()).hexdigest()[:32]
        self._base = directory / "secrets"
        self.folder = self._base / self.id

    def entry(self, name: str) -> Entry | None:
        """Read an entry. Raises RequestError `secret_file_open`, `secrets_unreadable`."""
        return self._read(self._file(name))

    def names(self) -> Iterator[str]:
        """Give the name of every entry; reads none."""
        if self.folder.is_dir():
            yield from (path.name.rpartition("-")[0] for path in sorted(self.folder.glob("*-*.json")))

    def set(self, entry: Entry) -> bool:
        """Write an entry, durably; tells whether it replaced one."""
        for folder in (self._base, self.folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
        data: dict[str, object] = {"version": _VERSION, "project": self._home, "name": entry.name}
        data |= {"value": entry.secret.reveal()} if entry.secret is not None else {entry.kind: entry.where}
        data |= {"owns": True} if entry.owns else {}
        path = self._file(entry.name)
        there = path.exists()
        # mkstemp makes the file 0600 from its first byte on.
        handle, name = tempfile.mkstemp(dir=self.folder, suffix=".new")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(data, file)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:  # an interrupt too: nothing of a value may be left lying about
            Path(name).unlink(missing_ok=True)
            raise
        return there

    def remove(self, name: str) -> None:
        """Remove an entry, and the directories that hold nothing any more."""
        self._file(name).unlink(missing_ok=True)
        for folder in (self.folder, self._base):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}-{hashlib.sha256(name.encode()).hexdigest()[:8]}.json"

    def _read(self, path: Path) -> Entry | None:
        try:
            with path.open("rb") as file:
                check_mode(path, os.fstat(file.fileno()).st_mode)
                data = json.loads(file.read())
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError):
            raise _unreadable(path) from None  # never its words: they may quote what it holds
        match data:
            case {"version": 1, "name": str(name), "value": str(value)}:
                return Entry(name=name, kind="value", secret=Secret(value))
            case {"version": 1, "name": str(name), **rest}:
                for kind in KINDS:
                    if isinstance(rest.get(kind), str):
                        return Entry(name=name, kind=kind, where=rest[kind], owns=rest.get("owns") is True)
        raise _unreadable(path)


def _unreadable(path: Path) -> RequestError:
    return RequestError(
        f"{path} is not of a form that this version of Treadle knows",
        code="secrets_unreadable",
        hint="remove it, and set the secret again with `treadle secrets set NAME`",
    )
