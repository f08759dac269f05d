"""Kept results: `cache` of steps without effect. One small file per result below `.treadle/cache/`, named by the digest of the work.

Losing a file costs only the work, so nothing here raises and nothing is forced to disk; a file is whole or not there. Age is told by what the file
says. A result belongs to the git commit at which it was kept; `commit: true` asks for that of now, and outside of git never finds one. When
all of them are larger than `TOTAL_BYTES_MAX`, the oldest go.
"""

import contextlib
import json
import logging
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from treadle.core.values import Json

FOLDER: Final = "cache"
ENTRY_BYTES_MAX: Final = 4 << 20
TOTAL_BYTES_MAX: Final = 64 << 20
_NO_COMMIT: Final = "none"
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


class KeptResults:
    """The kept results of a project, as one of its working trees sees them."""

    def __init__(self, store_dir: Path, root: Path, now_ms: Callable[[], int]) -> None:
        """Keep files below `store_dir`; `root` says which commit it is."""
        self._folder, self._root, self._now_ms = store_dir / FOLDER, root, now_ms

    def get(self, key: str, ttl_ms: int, *, commit: bool) -> Json:
        """Give `{value}` of a result that may be used again, else null."""
        wanted = commit_of(self._root) if commit else ""
        if commit and not wanted:
            return None
        entries = [entry for entry in self._entries(_stem(key)) if not commit or entry.name == _name(key, wanted)]
        found: tuple[int, Json] | None = None
        for entry in entries:
            try:
                data = json.loads(entry.read_bytes())
                at_ms, same, value = int(data["at_ms"]), data["key"] == key, data["value"]
            except (OSError, ValueError, KeyError, TypeError, RecursionError):  # cleared away, or not ours
                continue
            age_ms = self._now_ms() - at_ms
            if same and age_ms >= 0 and (not ttl_ms or age_ms <= ttl_ms) and (found is None or at_ms > found[0]):
                found = at_ms, value
        return None if found is None else {"value": found[1]}

    def keep(self, key: str, value: Json) -> None:
        """Keep a result; one that is too large, or cannot be written, is not kept."""
        body = json.dumps({"key": key, "at_ms": self._now_ms(), "value": value}, ensure_ascii=False).encode("utf-8", "replace")
        if len(body) > ENTRY_BYTES_MAX:
            return
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._folder, suffix=".new")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(body)
                Path(name).replace(self._folder / _name(key, commit_of(self._root)))
            except OSError:
                Path(name).unlink(missing_ok=True)
                raise
            self._make_room()
        except OSError as error:
            logging.getLogger("treadle.cache").warning("a result was not kept", extra={"reason": str(error)})

    def _entries(self, stem: str = "") -> list[Path]:
        return list(self._folder.glob(f"{stem}*.json")) if self._folder.is_dir() else []

    def _make_room(self) -> None:
        sizes: list[tuple[float, int, Path]] = []
        for entry in self._entries():
            with contextlib.suppress(FileNotFoundError):
                told = entry.stat()
                sizes.append((told.st_mtime, told.st_size, entry))
        total_bytes = sum(size for _, size, _ in sizes)
        for _, size_bytes, entry in sorted(sizes):
            if total_bytes <= TOTAL_BYTES_MAX:
                return
            entry.unlink(missing_ok=True)
            total_bytes -= size_bytes


def commit_of(root: Path) -> str:
    """Give the commit that a working tree is on; empty outside of git, before the first commit, or where only git itself could tell."""
    for top in (root, *root.parents):
        marker = top / ".git"
        if marker.exists():
            try:
                return _head(marker)
            except (OSError, UnicodeDecodeError):
                return ""
    return ""


def _head(marker: Path) -> str:
    folder = marker
    if marker.is_file():
        folder = (marker.parent / marker.read_text(encoding="utf-8").removeprefix("gitdir:").strip()).resolve()
    head = (folder / "HEAD").read_text(encoding="utf-8").strip()
    if not head.startswith("ref: "):
        return head if _COMMIT.fullmatch(head) else ""
    name = head.removeprefix("ref: ")
    shared = folder / "commondir"
    common = (folder / shared.read_text(encoding="utf-8").strip()).resolve() if shared.exists() else folder
    for place in (folder, common):
        if (place / name).is_file():
            found = (place / name).read_text(encoding="utf-8").strip()
            return found if _COMMIT.fullmatch(found) else ""
    packed = common / "packed-refs"
    for line in packed.read_text(encoding="utf-8").splitlines() if packed.is_file() else ():
        commit, _, ref = line.partition(" ")
        if ref == name and _COMMIT.fullmatch(commit):
            return commit
    return ""


def _stem(key: str) -> str:
    return re.sub(r"[^0-9A-Za-z]", "_", key)


def _name(key: str, commit: str) -> str:
    return f"{_stem(key)}.{commit or _NO_COMMIT}.json"
