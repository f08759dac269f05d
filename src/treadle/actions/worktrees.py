"""The actions `worktree` and `worktree_commit`: a git worktree for a step, an item or a branch, and what was changed in it, kept (ruling 29).

Theory of operation
-------------------
A worktree is a folder `.treadle/worktrees/RUN/NAME`, detached at a commit: that of the worktree around it, or of the checkout in which the run
was started. Beside it `NAME.json` says what was given; it is written when the worktree is whole, so that asking again gives the same, and what
a killed process left half done is made anew. `NAME.lock` is held while that is done, also by the git that does it.

When the scope is over, all that was changed is committed on the detached HEAD and kept under `refs/treadle/RUN/NAME`; the folder goes. What
failed, was stopped, or was left by a crash is kept in the same way by `sweep`, which runs for runs that have ended. No branch is made, and
nothing is written into the checkout: merging is another action (merging.py).
"""

import asyncio
import contextlib
import hashlib
import json
import re
import shutil
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from treadle.actions.git import Git, GitFailedError
from treadle.actions.held import PathRefusedError
from treadle.actions.outcome import CallOutcome
from treadle.core.values import Json
from treadle.ports import ActionCall

if sys.platform != "win32":
    import fcntl  # only there on POSIX

FOLDER: Final = "worktrees"
REFS: Final = "refs/treadle"
FILES_SHOWN: Final = 500
_PLAIN = re.compile(r"[^A-Za-z0-9_-]+")
_HEAD = re.compile(r"^Treadle-Head: ([0-9a-f]+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Worktrees:
    """The worktrees of a project. `root_of` says where a call is done: in a worktree, or in the checkout of its run."""

    store_dir: Path
    environ: Mapping[str, str]
    root_of: Callable[[ActionCall], Path]

    @property
    def folder(self) -> Path:
        """Give where they stand."""
        return self.store_dir / FOLDER

    async def open(self, call: ActionCall, params: dict[str, Json]) -> CallOutcome:
        """Make the worktree of a scope, or find it made."""
        return await _told(self._open, call, params)

    async def commit(self, call: ActionCall, params: dict[str, Json]) -> CallOutcome:
        """Keep what was changed in the worktree of a scope, and take the worktree away."""
        return await _told(self._commit, call, params)

    def _open(self, call: ActionCall, params: dict[str, Json]) -> Json:
        scope = str(params["scope"])
        place = self.place(call.run_id, scope)
        root = self.root_of(call)
        with self.locked(place) as lock:
            told = _read(place)
            if told is not None and place.is_dir():
                return told["value"]
            git = Git(root, self.environ, lock=lock)
            top, prefix = top_of(git)
            base = self.base_of(git, call.run_id, in_checkout=not call.action.working_dir)
            self._remove(git, place)
            with self.locked(self.folder / "git"):
                git.text("worktree", "add", "--detach", "--no-checkout", "--force", str(place), base)
            inside = git.at(place)
            inside.text("reset", "--hard", "--quiet", base)
            directory = place / prefix if prefix else place
            directory.mkdir(parents=True, exist_ok=True)
            value: dict[str, Json] = {"path": str(directory), "base": base, "ref": f"{REFS}/{call.run_id}/{place.name}"}
            if notes := [*_left_out(git.at(top), base), *_submodules(inside)]:
                value["notes"] = cast(Json, notes)
            _write(place, {"scope": scope, "root": str(root), "value": value})
            return value

    def _commit(self, call: ActionCall, params: dict[str, Json]) -> Json:
        scope = str(params["scope"])
        place = self.place(call.run_id, scope)
        with self.locked(place) as lock:
            told = _read(place)
            if told is None:
                hint = "nothing of it can be kept; start the run anew"
                raise GitFailedError("worktree_gone", f"the worktree of `{scope}` was taken away from outside", hint)
            if "kept" not in told:
                told["kept"] = keep(Git(place, self.environ, lock=lock), told["value"], f"{scope} of {call.run_id}")
                _write(place, told)
            self._remove(Git(Path(told["root"]), self.environ, lock=lock), place)
            return told["kept"]

    def place(self, run_id: str, scope: str) -> Path:
        """Give the folder of a scope; names that look alike are told apart, and none leads anywhere else."""
        return self.folder / run_id / safe_name(scope)

    @contextlib.contextmanager
    def locked(self, place: Path) -> Iterator[int]:
        """Hold the lock beside a folder; gives the number of the open file, for git to hold too."""
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        hidden = self.folder / ".gitignore"  # whoever adds all there is must not add these
        if not hidden.exists():
            hidden.write_text("*\n", encoding="utf-8")
        with place.with_name(place.name + ".lock").open("a") as file:
            if sys.platform == "win32":
                raise GitFailedError("not_a_checkout", "worktrees are not made on Windows", "use a POSIX system")
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file.fileno()

    def base_of(self, git: Git, run_id: str, *, in_checkout: bool) -> str:
        """Give the commit that work begins at: HEAD, or what this run has merged into the checkout since."""
        head = commit_at(git, "HEAD")
        if not head:
            hint = "commit something: a worktree begins at a commit"
            raise GitFailedError("no_commit_yet", f"{git.directory} has no commit yet", hint)
        merged = commit_at(git, f"{REFS}/{run_id}/merged") if in_checkout else ""
        found = _HEAD.search(git.text("log", "-1", "--format=%B", merged)) if merged else None
        # Who commits what was merged moves HEAD on; from then on that counts.
        return merged if found is not None and found[1] == head else head

    def _remove(self, git: Git, place: Path) -> None:
        with self.locked(self.folder / "git"):
            if place.exists():
                shutil.rmtree(place, ignore_errors=True)
            # git knows the folder by its place, also when that is gone or was never finished.
            if f"worktree {place}" in git.names("worktree", "list", "--porcelain", "-z"):
                git.text("worktree", "remove", "--force", "--force", str(place))
            if place.exists():
                raise GitFailedError("git_failed", f"{place} cannot be removed", "see what holds it, and delete it")

    def unmerged(self, places: list[Path], run_id: str) -> list[dict[str, Json]]:
        """Give what a run has changed in worktrees and not merged, as git keeps it: `{ref, commit, what}`; nothing outside of git.

        The first of `places` that is there is where git is asked.
        """
        root = next((place for place in places if place.is_dir()), None)
        if root is None:
            return []
        try:
            git = Git(root, self.environ)
            rows = git.text("for-each-ref", "--format=%(refname)%09%(objectname)%09%(subject)", f"{REFS}/{run_id}/").splitlines()
        except GitFailedError:
            return []
        found = [row.split("\t", 2) for row in rows]
        return [{"ref": ref, "commit": commit, "what": what.removeprefix("treadle: ")} for ref, commit, what in found if not _is_own(ref)]

    # After the end

    def refs(self, root: Path) -> dict[str, list[str]]:
        """Give what git keeps of runs, by run; nothing outside of git."""
        found: dict[str, list[str]] = {}
        try:
            names = Git(root, self.environ).text("for-each-ref", "--format=%(refname)", f"{REFS}/").split()
        except GitFailedError:
            return found
        for name in names:
            found.setdefault(name.removeprefix(f"{REFS}/").partition("/")[0], []).append(name)
        return found

    def forget(self, root: Path, run_id: str, refs: list[str]) -> None:
        """Take away all that is left of a run: its folders, and what git keeps of it. Raises GitFailedError, OSError."""
        if (self.folder / run_id).is_dir():
            self.clear(root, run_id)
            refs = self.refs(root).get(run_id, [])
        if refs:
            Git(root, self.environ).text("update-ref", "--stdin", stdin="".join(f"delete {name}\n" for name in refs))

    def runs(self) -> list[str]:
        """Give the runs that have anything here."""
        return sorted(each.name for each in self.folder.iterdir() if each.is_dir()) if self.folder.is_dir() else []

    async def sweep(self, root: Path, is_over: Callable[[str], Awaitable[bool]]) -> list[str]:
        """Take away the worktrees of runs that are over; what was changed in them is kept. Gives what could not be done, for a log."""
        troubles: list[str] = []
        for run_id in self.runs():
            if await is_over(run_id):
                try:
                    await asyncio.to_thread(self.clear, root, run_id)
                except (GitFailedError, OSError) as error:
                    troubles.append(f"{run_id}: {error}")
        return troubles

    def clear(self, root: Path, run_id: str) -> None:
        """Keep and take away what a run left; several processes may ask for it at once. Raises GitFailedError, OSError."""
        folder = self.folder / run_id
        with self.locked(self.folder / "clear"):
            if folder.is_dir():
                self._clear(root, run_id, folder)

    def _clear(self, root: Path, run_id: str, folder: Path) -> None:
        git = Git(root, self.environ)
        for place in sorted(
            {*(file.with_suffix("") for file in folder.glob("*.json")), *(each for each in folder.iterdir() if each.is_dir())}
        ):
            # Somebody may still be at work on one: that its run is over was no news to git.
            with self.locked(place) as lock:
                told = _read(place)
                git = Git(Path(told["root"]), self.environ, lock=lock) if told is not None and Path(told["root"]).is_dir() else git
                if told is not None and "kept" not in told and place.is_dir():
                    keep(Git(place, self.environ, lock=lock), told["value"], f"{told['scope']} of {run_id}, which was not completed")
                self._remove(git, place)
                place.with_name(place.name + ".json").unlink(missing_ok=True)
        try:
            names = git.text("for-each-ref", "--format=%(refname)", f"{REFS}/{run_id}/").split()
            git.text("update-ref", "--stdin", stdin="".join(f"delete {name}\n" for name in names if _is_own(name)))
        except GitFailedError as error:
            if error.code not in {"not_a_checkout", "git_missing", "git_too_old"}:  # there never was one, which is why the run failed
                raise
        shutil.rmtree(folder)


def safe_name(scope: str) -> str:
    """Name a scope by what can stand in the name of a folder and of a ref."""
    return f"{_PLAIN.sub('-', scope).strip('-')[:40]}-{hashlib.sha256(scope.encode()).hexdigest()[:10]}"


def _is_own(ref: str) -> bool:
    """Tell whether a ref is a merge's own, and not what was kept of a worktree."""
    name = ref.rpartition("/")[2]
    return name == "merged" or name.startswith("merge.")


def top_of(git: Git) -> tuple[Path, str]:
    """Give the top of a checkout, and where in it git stands. Raises GitFailedError `not_a_checkout`."""
    top, prefix, *_ = [*git.text("rev-parse", "--show-toplevel", "--show-prefix").split("\n"), ""]
    return Path(top), prefix


def commit_at(git: Git, name: str) -> str:
    """Give the commit that a name stands for; empty for none."""
    return git.data("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", ok=(0, 1)).decode().strip()


def keep(git: Git, value: dict[str, Any], what: str) -> dict[str, Json]:
    """Commit all that differs from the base, and keep it under its ref; what `.gitignore` names is left out."""
    git.text("add", "--all")
    head = committed(git, f"treadle: {what}\n")
    if head == value["base"]:
        return {"commit": None, "files": [], "file_count": 0}
    git.text("update-ref", str(value["ref"]), head)
    files = git.names("diff", "--name-only", "-z", "--no-renames", "--no-ext-diff", str(value["base"]), head)
    return {"commit": head, "files": shown(files), "file_count": len(files)}


def shown(files: list[str]) -> Json:
    """Give names of files as a result has them: not all of very many, and of what is no UTF-8 the sign for that."""
    return [name.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for name in files[:FILES_SHOWN]]


def committed(git: Git, message: str) -> str:
    """Commit what stands in the index on the detached HEAD, if it differs; no branch moves."""
    head, tree = git.text("rev-parse", "HEAD"), git.text("write-tree")
    if tree == git.text("rev-parse", "HEAD^{tree}"):
        return head
    commit = git.text("commit-tree", tree, "-p", head, "-F", "-", stdin=message)
    git.text("update-ref", "--no-deref", "HEAD", commit)
    return commit


def _left_out(git: Git, base: str) -> list[str]:
    """Say what of the checkout is not in a worktree."""
    names = git.names("diff", "--name-only", "-z", "--no-renames", "--no-ext-diff", "--ignore-submodules=all", base)
    names += git.names("ls-files", "--others", "--exclude-standard", "-z")
    count = sum(".treadle" not in Path(name).parts for name in names)
    return (
        [f"{count} file{'s' * (count != 1)} with uncommitted changes in the checkout {'are' if count != 1 else 'is'} not in it"]
        if count
        else []
    )


def _submodules(git: Git) -> list[str]:
    return ["submodules are not checked out in it"] if (git.directory / ".gitmodules").exists() else []


def _read(place: Path) -> dict[str, Any] | None:
    try:
        return json.loads(place.with_name(place.name + ".json").read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def _write(place: Path, told: dict[str, Any]) -> None:
    new = place.with_name(place.name + ".new")
    new.write_text(json.dumps(told), encoding="utf-8")
    new.replace(place.with_name(place.name + ".json"))


async def _told(do: Callable[[ActionCall, dict[str, Json]], Json], call: ActionCall, params: dict[str, Json]) -> CallOutcome:
    return await told(lambda: do(call, params))


async def told(do: Callable[[], Json]) -> CallOutcome:
    """Do it beside the loop; what goes wrong is told as a failure with its code."""
    try:
        return CallOutcome(value=await asyncio.to_thread(do))
    except GitFailedError as error:
        return CallOutcome(has_value=False, error_class="failed", code=error.code, message=f"{error.message} — {error.hint} [{error.code}]")
    except PathRefusedError as error:
        return CallOutcome(has_value=False, error_class="failed", message=f"{error}; nothing was done")
    except OSError as error:
        code = "disk_full" if error.errno in {28, 122} else "git_failed"
        return CallOutcome(has_value=False, error_class="failed", code=code, message=f"{error} [{code}]")
