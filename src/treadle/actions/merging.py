"""The action `merge`: what was changed in the worktrees of a step, into the worktree around the merge or into the checkout (ruling 29).

Theory of operation
-------------------
Everything is computed beside the checkout: item by item, in order, git merges the kept commit with what there is so far, without a working
tree. An item that conflicts is left out whole, and so is one that changes a file which is not as git has it: work that is not committed is
never overwritten. What came of it is one commit, the plan, kept under `refs/treadle/RUN/merge.NAME` together with the result, before a file is
touched; asked again, the action goes on with its plan.

Into the checkout the plan is carried out as `git merge --squash` would leave it: files and index are changed, HEAD and branches are not. Each
file is written aside and moved into place, so that a file is as before or as planned whenever this is killed. What the run has merged is
remembered as `refs/treadle/RUN/merged` (its later worktrees begin there, while HEAD stays). A worktree is Treadle's own and moves to the plan.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from treadle.actions.git import Git, GitFailedError
from treadle.actions.outcome import CallOutcome
from treadle.actions.worktrees import REFS, Worktrees, commit_at, committed, safe_name, shown, told, top_of
from treadle.core.values import Json
from treadle.ports import ActionCall

_LINK: Final = "120000"
_SUBMODULE: Final = "160000"
_ABSENT: Final = "000000"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """A file that differs between two commits."""

    path: str
    mode: str
    oid: str


@dataclass(slots=True, kw_only=True)
class _Merging:
    """A merge under way: `now` is the commit that holds what is merged so far."""

    git: Git
    start: str
    now: str
    strategy: str
    dirty: set[str]
    merged: list[Json] = field(default_factory=list[Json])
    conflicts: list[Json] = field(default_factory=list[Json])
    refs: list[str] = field(default_factory=list[str])


async def merge(trees: Worktrees, call: ActionCall, params: dict[str, Json]) -> CallOutcome:
    """Merge, or go on merging; gives `{merged, conflicts}`."""
    return await told(lambda: _merge(trees, call, params))


def _merge(trees: Worktrees, call: ActionCall, params: dict[str, Json]) -> Json:
    root = trees.root_of(call)
    with trees.locked(trees.folder / "merge") as lock:
        top, _ = top_of(Git(root, trees.environ))
        git = Git(top, trees.environ, lock=lock)
        own, space = bool(call.action.working_dir), f"{REFS}/{call.run_id}"
        ref = f"{space}/merge.{safe_name(call.action.id)}"
        plan = commit_at(git, ref)
        if not plan:
            merging = _planned(git, trees, call, params)
            if merging.now == merging.start:
                return {"merged": merging.merged, "conflicts": merging.conflicts}
            plan = _kept_plan(merging, ref, call)
        said = json.loads(git.text("log", "-1", "--format=%B", plan).rpartition("\n\n")[2].partition("\n")[0])
        if own:
            git.text("reset", "--hard", "--quiet", plan)
        else:
            _carry_out(git, trees.folder, said["start"], plan)
        refs = [name for name in said["refs"] if commit_at(git, name)]
        lines = [*(f"delete {name}\n" for name in refs), *(() if own else (f"update {space}/merged {plan}\n",))]
        git.text("update-ref", "--stdin", stdin="".join(lines))
        return said["result"]


# The plan


def _planned(git: Git, trees: Worktrees, call: ActionCall, params: dict[str, Json]) -> _Merging:
    if call.action.working_dir:
        git.text("add", "--all")
        start, dirty = committed(git, f"treadle: before {call.action.id} of {call.run_id}\n"), set[str]()
    else:
        start = trees.base_of(git, call.run_id, in_checkout=True)
        dirty = _not_committed(git, start)
    merging = _Merging(git=git, start=start, now=start, strategy=str(params["strategy"]), dirty=dirty)
    for item, tree in _worktrees(params["worktrees"]):
        _add(merging, item, tree)
    return merging


def _worktrees(value: Json) -> Iterator[tuple[Json, dict[str, Any]]]:
    """Give each worktree in which something was changed, with the item or branch that it belongs to."""
    if isinstance(value, dict) and isinstance(value.get("base"), str):
        rows: list[tuple[Json, Json]] = [(None, value)]
    elif isinstance(value, dict):
        rows = list(value.items())
    else:
        rows = list(enumerate(value)) if isinstance(value, list) else []
    for item, tree in rows:
        if isinstance(tree, dict) and tree.get("commit"):
            yield item, cast(dict[str, Any], tree)


def _not_committed(git: Git, start: str) -> set[str]:
    """Give the files of the checkout that are not as in a commit, in the working tree or in the index."""
    words = ("--name-only", "-z", "--no-renames", "--no-ext-diff", "--ignore-submodules=all")
    return {*git.names("diff", *words, start), *git.names("diff", "--cached", *words, start)}


def _add(merging: _Merging, item: Json, tree: dict[str, Any]) -> None:
    git, commit = merging.git, str(tree["commit"])
    if not commit_at(git, commit):
        merging.conflicts.append({"item": item, "commit": commit, "files": [], "reason": "its commit is not there any more"})
        return
    done = git.ended("merge-tree", "--write-tree", "-z", "--no-messages", merging.now, commit, ok=(0, 1))
    first, *rest = done.stdout.decode("utf-8", "surrogateescape").split("\0")
    stages = [row for row in rest if row]
    new: str | None = first
    if done.returncode:
        new = None if merging.strategy == "merge" else _resolved(git, first, stages, merging.strategy)
    if new is None:
        files = sorted({row.partition("\t")[2] for row in stages})
        merging.conflicts.append({"item": item, "commit": commit, "files": shown(files), "reason": "both changed the same lines"})
        return
    changes = _changes(git, merging.now, new)
    in_the_way = [change.path for change in changes if change.path in merging.dirty or _is_foreign(merging, change)]
    if in_the_way:
        reason = "the checkout has changes there that are not committed"
        merging.conflicts.append({"item": item, "commit": commit, "files": shown(in_the_way), "reason": reason})
        return
    if changes:
        merging.now = git.text("commit-tree", new, "-p", merging.now, "-p", commit, "-F", "-", stdin=f"treadle: merge {tree['ref']}\n")
    files = [change.path for change in changes]
    merging.merged.append({"item": item, "commit": commit, "files": shown(files), "file_count": len(files)})
    merging.refs.append(str(tree["ref"]))


def _is_foreign(merging: _Merging, change: _Change) -> bool:
    """Tell whether something that git does not have stands where a file is to be written; only the checkout can hold such a thing."""
    if change.mode == _ABSENT:
        return False
    top = merging.git.directory
    parts = Path(change.path).parts
    for depth in range(1, len(parts) + 1):
        path = top.joinpath(*parts[:depth])
        is_in_the_way = os.path.lexists(path) and (path.is_symlink() or not path.is_dir() or depth == len(parts))
        if is_in_the_way and not merging.git.names("ls-tree", "-z", merging.start, "--", "/".join(parts[:depth])):
            return True
    # A folder gives way to a file only when git has all that is in it.
    whole = top / change.path
    return whole.is_dir() and not whole.is_symlink() and bool(merging.git.names("ls-files", "-o", "-z", "--", change.path))


def _changes(git: Git, before: str, after: str) -> list[_Change]:
    rows = git.names("diff-tree", "-r", "-z", "--no-renames", "--raw", before, after)
    found: list[_Change] = []
    for head, path in zip(rows[::2], rows[1::2], strict=True):
        _, mode, _, oid, _ = head.split(" ")
        found.append(_Change(path=path, mode=mode, oid=oid))
    return found


def _resolved(git: Git, tree: str, stages: list[str], strategy: str) -> str | None:
    """Settle conflicts as the strategy says, and give the tree; None where a side cannot simply be taken."""
    found: dict[str, dict[int, tuple[str, str]]] = {}
    for row in stages:
        head, _, path = row.partition("\t")
        mode, oid, stage = head.split(" ")
        found.setdefault(path, {})[int(stage)] = (mode, oid)
    lines: list[str] = []
    for path, sides in found.items():
        chosen = _chosen(git, sides, strategy)
        if chosen is None or (len(sides) > 1 and not git.names("ls-tree", "-z", tree, "--", path)):
            return None
        mode, oid = chosen
        lines.append(f"{mode} {oid}\t{path}\0")
    with tempfile.TemporaryDirectory(prefix="treadle-") as folder:
        aside = git.at(index=Path(folder) / "index")
        aside.text("read-tree", tree)
        aside.text("update-index", "-z", "--index-info", stdin="".join(lines))
        return aside.text("write-tree")


def _chosen(git: Git, sides: dict[int, tuple[str, str]], strategy: str) -> tuple[str, str] | None:
    ours, theirs = sides.get(2), sides.get(3)
    if ours is None or theirs is None or not {ours[0], theirs[0]} <= {"100644", "100755"}:
        if strategy == "union":
            return (ours or theirs) if ours is None or theirs is None else None
        some = next(iter(sides.values()))
        return (ours if strategy == "ours" else theirs) or (_ABSENT, "0" * len(some[1]))
    with tempfile.TemporaryDirectory(prefix="treadle-") as folder:
        names: list[str] = []
        for number, side in ((2, ours), (1, sides.get(1)), (3, theirs)):
            file = Path(folder) / str(number)
            file.write_bytes(git.data("cat-file", "blob", side[1]) if side is not None else b"")
            names.append(str(file))
        done = git.ended("merge-file", "--quiet", "-p", f"--{strategy}", *names, ok=range(256))
    if done.returncode:  # what is no text
        return None if strategy == "union" else ours if strategy == "ours" else theirs
    return ours[0], git.text("hash-object", "-w", "--stdin", stdin=done.stdout.decode("utf-8", "surrogateescape"))


def _kept_plan(merging: _Merging, ref: str, call: ActionCall) -> str:
    """Keep what is going to be done, and what will be told about it."""
    git = merging.git
    head = git.text("rev-parse", "HEAD")
    said = {"start": merging.start, "refs": merging.refs, "result": {"merged": merging.merged, "conflicts": merging.conflicts}}
    message = f"treadle: {call.action.id} of {call.run_id}\n\nTreadle-Head: {head}\n\n{json.dumps(said)}\n"
    plan = git.text("commit-tree", f"{merging.now}^{{tree}}", "-p", merging.now, "-F", "-", stdin=message)
    git.text("update-ref", ref, plan)
    return plan


# Carrying it out in the checkout


def _carry_out(git: Git, folder: Path, start: str, plan: str) -> None:
    """Change files and index of the checkout from one commit to another; what is changed already stays."""
    top = git.directory
    changes = _changes(git, start, plan)
    with tempfile.TemporaryDirectory(prefix="merge-", dir=folder) as aside:
        planned, before = (
            _index_with(git, Path(aside) / "planned", changes),
            _index_with(git, Path(aside) / "before", _changes(git, plan, start)),
        )
        left = _differing(planned, changes)
        touched = _differing(before, changes) & left
        if touched:
            names = ", ".join(sorted(touched)[:5])
            hint = "commit them or put them aside, then let the step be tried again"
            raise GitFailedError(
                "checkout_changed", f"while it was being merged, somebody changed {names}; nothing of that was overwritten", hint
            )
        written = [change for change in changes if change.path in left and change.mode not in {_ABSENT, _SUBMODULE}]
        new = Path(aside) / "files"
        new.mkdir()
        paths = "".join(f"{change.path}\0" for change in written)
        planned.text("checkout-index", "-z", "--stdin", "--force", f"--prefix={new}/", stdin=paths)
        for change in changes:
            if change.path in left and change.mode == _ABSENT:
                _delete(top, change.path)
        for change in written:
            _put(new / change.path, top / change.path)
    git.text("update-index", "-z", "--index-info", stdin=_entries(changes))
    git.ended("update-index", "-q", "--refresh", ok=(0, 1))


def _index_with(git: Git, path: Path, changes: list[_Change]) -> Git:
    """Give git with a copy of the checkout's index in which some files are as given."""
    real = Path(git.text("rev-parse", "--path-format=absolute", "--git-path", "index"))
    if real.exists():
        shutil.copyfile(real, path)
    other = git.at(index=path)
    other.text("update-index", "-z", "--index-info", stdin=_entries(changes))
    other.ended("update-index", "-q", "--refresh", ok=(0, 1))
    return other


def _entries(changes: list[_Change]) -> str:
    # What goes away goes first: a folder may take the place of a file.
    rows = sorted(changes, key=lambda change: change.mode != _ABSENT)
    return "".join(f"{change.mode} {change.oid}\t{change.path}\0" for change in rows)


def _differing(git: Git, changes: list[_Change]) -> set[str]:
    """Give the files, of those that change, that are not in the working tree as this index has them."""
    unlike = set(git.names("diff-files", "--name-only", "-z", "--ignore-submodules=all"))
    listed = set(git.names("ls-files", "-z"))
    there = {change.path for change in changes if change.path not in listed and _is_file(git.directory / change.path)}
    return {change.path for change in changes if change.path in unlike} | there


def _is_file(path: Path) -> bool:
    return path.is_symlink() or path.is_file()


def _delete(top: Path, name: str) -> None:
    path = top / name
    path.unlink(missing_ok=True)
    for parent in path.parents:
        if parent == top or not parent.is_dir() or any(parent.iterdir()):
            return
        parent.rmdir()


def _put(new: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        new.replace(path)
    except OSError as error:
        if error.errno != 18:  # another file system
            raise
        near = path.with_name(f".{path.name}.treadle")
        shutil.copy2(new, near, follow_symlinks=False)
        near.replace(path)
