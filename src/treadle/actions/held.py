"""Paths of steps, held below the project: neither `..` nor a symbolic link leads out (language.md §2, `working_dir`)."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

FILES_MAX: Final = 5_000
BYTES_MAX: Final = 512 << 20
_READ_BYTES: Final = 1 << 20


class PathRefusedError(Exception):
    """A path cannot be used; the message is for the author of the step."""


def directory(root: Path, text: str) -> Path:
    """Give a directory below the project. Raises PathRefusedError."""
    path = _below(root, text)
    if not path.is_dir():
        raise PathRefusedError(f"there is no directory `{text}` in the project")
    return path


def matching(root: Path, pattern: str) -> list[Path]:
    """Give the files that a path or a glob names, sorted; a name without `*`, `?` or `[` is one file. Raises PathRefusedError."""
    if not any(sign in pattern for sign in "*?["):
        path = _below(root, pattern)
        return [path] if path.is_file() else []
    if pattern.startswith(("/", "~")) or ".." in Path(pattern).parts:
        raise PathRefusedError(f"`{pattern}` leads out of the project")
    top = root.resolve()
    found: list[Path] = []
    try:
        for path in top.glob(pattern):
            # What git and Treadle themselves keep changes all the time, and is nobody's work.
            if {".git", ".treadle"} & set(path.relative_to(top).parts) or not path.is_file() or not path.resolve().is_relative_to(top):
                continue
            found.append(path)
            if len(found) > FILES_MAX:
                raise PathRefusedError(f"`{pattern}` names more than {FILES_MAX} files; name fewer")
    except (ValueError, NotImplementedError, OSError) as error:
        raise PathRefusedError(f"`{pattern}` cannot be looked for: {error}") from error
    return sorted(found)


def digests(root: Path, pattern: str) -> dict[str, str]:
    """Give the SHA-256 of each file that a path or a glob names, by its path in the project. Raises PathRefusedError."""
    top = root.resolve()
    found: dict[str, str] = {}
    left_bytes = BYTES_MAX
    for path in matching(root, pattern):
        hasher = hashlib.sha256()
        try:
            for chunk in _chunks(path):
                left_bytes -= len(chunk)
                if left_bytes < 0:
                    raise PathRefusedError(f"`{pattern}` names more than {BYTES_MAX >> 20} MiB; name fewer files")
                hasher.update(chunk)
        except OSError as error:
            raise PathRefusedError(f"{path.relative_to(top)} cannot be read: {error.strerror}") from error
        found[path.relative_to(top).as_posix()] = hasher.hexdigest()
    return found


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_READ_BYTES):
            yield chunk


def _below(root: Path, text: str) -> Path:
    top = root.resolve()
    try:
        path = (top / text).resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise PathRefusedError(f"`{text}` is no path: {error}") from error
    if "\0" in text or not path.is_relative_to(top):
        raise PathRefusedError(f"`{text}` leads out of the project")
    return path
