"""A git repository of its own, and the performers of worktrees and merges on it."""

import os
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from tests.actions.support import a_call
from treadle.actions.git import Git
from treadle.actions.merging import merge
from treadle.actions.outcome import CallOutcome
from treadle.actions.worktrees import Worktrees
from treadle.ports import ActionCall


@dataclass
class Repo:
    """A checkout below a folder whose name has a space, with one commit."""

    folder: Path
    environ: dict[str, str]

    def git(self, *words: str, at: Path | None = None) -> str:
        done = subprocess.run(["git", *words], cwd=at or self.folder, env=self.environ, capture_output=True, text=True, check=True)
        return done.stdout.rstrip()

    def write(self, name: str, text: str | bytes, at: Path | None = None) -> Path:
        path = (at or self.folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def commit(self, message: str = "more") -> str:
        self.git("add", "-A", ".", ":(exclude).treadle")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    @property
    def trees(self) -> Worktrees:
        return Worktrees(store_dir=self.folder / ".treadle", environ=self.environ, root_of=self.root_of)

    def root_of(self, call: ActionCall) -> Path:
        return Path(call.action.working_dir) if call.action.working_dir else self.folder

    def call(self, action: str, kind: str, working_dir: str = "") -> ActionCall:
        call = a_call(action, kind=kind)
        return replace(call, action=replace(call.action, working_dir=working_dir))

    async def open(self, scope: str, inside: str = "") -> dict:
        return value_of(await self.trees.open(self.call(f"{scope}.worktree", "worktree", inside), {"scope": scope}))

    async def keep(self, scope: str, tree: dict) -> dict:
        call = self.call(f"{scope}.worktree.commit", "worktree_commit", tree["path"])
        return tree | value_of(await self.trees.commit(call, {"scope": scope, **tree}))

    async def changed(self, scope: str, files: dict[str, str | bytes | None], inside: str = "") -> dict:
        """Open a worktree, change files in it (None deletes one), and keep that."""
        tree = await self.open(scope, inside)
        for name, text in files.items():
            if text is None:
                (Path(tree["path"]) / name).unlink()
            else:
                self.write(name, text, Path(tree["path"]))
        return await self.keep(scope, tree)

    async def merge(self, worktrees, strategy: str = "merge", action: str = "m", inside: str = "") -> dict:
        return value_of(await self.tried(worktrees, strategy, action, inside))

    async def tried(self, worktrees, strategy: str = "merge", action: str = "m", inside: str = "") -> CallOutcome:
        params = {"from": "each", "strategy": strategy, "worktrees": worktrees}
        return await merge(self.trees, self.call(action, "merge", inside), params)

    def read(self, name: str) -> str:
        return (self.folder / name).read_text()

    @property
    def status(self) -> list[str]:
        return [line for line in self.git("status", "--porcelain", "-uall").splitlines() if ".treadle" not in line]

    @property
    def refs(self) -> list[str]:
        return self.git("for-each-ref", "--format=%(refname)", "refs/treadle").split()

    @property
    def leftovers(self) -> list[str]:
        """All that git must not have been left with."""
        folder = self.folder / ".git"
        names = [path.name for path in folder.rglob("*") if path.name.endswith(".lock") or path.name in {"MERGE_HEAD", "CHERRY_PICK_HEAD"}]
        return [*names, *self.git("branch", "--format=%(refname)").split()[1:], *self.git("stash", "list").splitlines()]


def a_repo(folder: Path, **files: str) -> Repo:
    """A repository with the files, `.` in a name written as `__`."""
    repo = Repo(folder / "a project", {**os.environ, "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"})
    repo.folder.mkdir(parents=True)
    repo.git("init", "-q", "-b", "main")
    repo.git("config", "user.name", "Ann")
    repo.git("config", "user.email", "ann@example.com")
    for name, text in (files or {"a__txt": "one\ntwo\nthree\n", "b__txt": "b\n"}).items():
        repo.write(name.replace("__", "."), text)
    repo.commit("first")
    return repo


def value_of(outcome: CallOutcome) -> dict:
    assert outcome.error_class is None, outcome.message
    assert isinstance(outcome.value, dict)
    return outcome.value


__all__ = ["Git", "Repo", "a_repo", "value_of"]
