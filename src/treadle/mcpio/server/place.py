"""Where a server stands: the project's directory and git branch, by which a run is found when its id is lost."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

# The second is how Claude Code tells its servers which project they were started for.
_VARIABLES: Final = ("TREADLE_PROJECT", "CLAUDE_PROJECT_DIR")
_HEAD: Final = "ref: refs/heads/"


def directory_of(environ: Mapping[str, str]) -> Path:
    """Give the directory that a client started this server for."""
    told = next((environ[name] for name in _VARIABLES if environ.get(name)), None)
    return Path(told) if told is not None else Path.cwd()


def branch_of(root: Path) -> str:
    """Read the git branch of a directory, without starting git; empty where there is none."""
    for top in (root, *root.parents):
        dot_git = top / ".git"
        try:
            if dot_git.is_file():
                dot_git = (top / dot_git.read_text(encoding="utf-8").removeprefix("gitdir:").strip()).resolve()
            head = (dot_git / "HEAD").read_text(encoding="utf-8")
        except OSError:
            continue
        return head.removeprefix(_HEAD).strip() if head.startswith(_HEAD) else ""
    return ""
