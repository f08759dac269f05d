"""Which project a directory belongs to.

The nearest parent that holds `treadle.toml`, `.treadle/` or `.git` is the project's root: its files are read there. The store is in
the main working tree, also when the root lies in a linked git worktree, so that all worktrees share one history (ruling 60). Git is
not started for this: the two small files that it keeps for a linked worktree say enough.
"""

from dataclasses import dataclass
from pathlib import Path

MARKERS = ("treadle.toml", ".treadle", ".git")


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """`root` is where files are read; `home` is the same place in the main working tree; `marker` is empty when nothing was found."""

    root: Path
    home: Path
    marker: str = ""

    @property
    def config_file(self) -> Path:
        """Give the place of `treadle.toml`, whether it is there or not."""
        return self.root / "treadle.toml"

    @property
    def store_dir(self) -> Path:
        """Give the directory of the store, logs and memory."""
        return self.home / ".treadle"


def find(start: Path, *, user_home: Path | None = None) -> Project:
    """Find the project of a directory; without any marker above it, the directory itself is the project.

    `~/.treadle` holds the user's own workflows and marks no project, or everything below the home directory would be one.
    """
    start = start.resolve()
    for directory in (start, *start.parents):
        for marker in MARKERS:
            if marker == ".treadle" and user_home is not None and directory == user_home.resolve():
                continue
            if (directory / marker).exists():
                return Project(root=directory, home=_main_tree(directory), marker=marker)
    return Project(root=start, home=start)


def _main_tree(root: Path) -> Path:
    """Give the directory that corresponds to `root` in the main working tree; `root` itself outside of linked worktrees."""
    for top in (root, *root.parents):
        dot_git = top / ".git"
        if dot_git.is_dir():
            return root
        if dot_git.is_file():
            main = _main_of_linked(dot_git)
            return root if main is None else main / root.relative_to(top)
    return root


def _main_of_linked(dot_git: Path) -> Path | None:
    """Follow a linked worktree's `.git` file to the main tree; None for submodules, bare repositories and broken links."""
    try:
        git_dir = (dot_git.parent / _after(dot_git.read_text(encoding="utf-8"), "gitdir:")).resolve()
        common = (git_dir / (git_dir / "commondir").read_text(encoding="utf-8").strip()).resolve()
    except (OSError, ValueError):
        return None
    return common.parent if common.name == ".git" and common.is_dir() else None


def _after(text: str, prefix: str) -> str:
    if not text.startswith(prefix):
        raise ValueError(f"no {prefix} line")
    return text.removeprefix(prefix).strip()
