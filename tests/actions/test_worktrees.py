"""Worktrees on a real git: made, worked in, kept, taken away, and what stands in the way of that."""

import asyncio
import os
import shutil
import stat
from pathlib import Path

import pytest

from tests.actions.trees import Repo, a_repo
from tests.core.clauses import clause
from treadle.actions import git as git_module
from treadle.actions.worktrees import Worktrees, safe_name

pytestmark = pytest.mark.asyncio


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return a_repo(tmp_path)


@clause("S150", "S151")
async def test_a_worktree_is_a_folder_of_its_own_at_the_commit_of_the_checkout(repo: Repo):
    head = repo.git("rev-parse", "HEAD")
    tree = await repo.open("each[0]")
    path = Path(tree["path"])
    assert tree == {"path": str(path), "base": head, "ref": f"refs/treadle/run_1/{path.name}"}
    assert path.parent == repo.folder / ".treadle" / "worktrees" / "run_1"
    assert (path / "a.txt").read_text() == "one\ntwo\nthree\n"
    assert repo.git("rev-parse", "HEAD", at=path) == head
    assert repo.git("rev-parse", "--abbrev-ref", "HEAD", at=path) == "HEAD"  # detached
    assert not repo.refs
    assert not repo.leftovers
    assert repo.git("status", "--porcelain") == ""  # nothing of it is seen in the checkout


@clause("S152")
async def test_what_was_changed_is_kept_under_a_ref_and_the_folder_goes(repo: Repo):
    repo.write(".gitignore", "*.log\n")
    repo.commit()
    tree = await repo.changed("fix", {"a.txt": "changed\n", "new dir/n.txt": "new\n", "b.txt": None, "x.log": "ignored\n"})
    assert (tree["files"], tree["file_count"]) == (["a.txt", "b.txt", "new dir/n.txt"], 3)
    assert repo.refs == [tree["ref"]]
    assert repo.git("rev-parse", tree["ref"]) == tree["commit"]
    assert repo.git("log", "-1", "--format=%an <%ae> %P", tree["commit"]) == f"treadle <treadle@localhost> {tree['base']}"
    assert repo.git("show", f"{tree['commit']}:a.txt") == "changed"
    assert not Path(tree["path"]).exists()
    assert len(repo.git("worktree", "list").splitlines()) == 1
    assert repo.read("a.txt") == "one\ntwo\nthree\n"
    assert not repo.status
    assert not repo.leftovers


async def test_where_nothing_was_changed_nothing_is_kept(repo: Repo):
    tree = await repo.changed("fix", {})
    assert tree["commit"] is None
    assert not repo.refs


async def test_what_an_agent_committed_itself_is_kept_with_the_rest_and_no_branch_moves(repo: Repo):
    tree = await repo.open("fix")
    path = Path(tree["path"])
    repo.git("checkout", "-q", "-b", "its-own", at=path)
    repo.write("a.txt", "committed\n", path)
    repo.git("commit", "-q", "-a", "-m", "by itself", at=path)
    own = repo.git("rev-parse", "its-own")
    repo.write("b.txt", "not committed\n", path)
    kept = await repo.keep("fix", tree)
    assert kept["files"] == ["a.txt", "b.txt"]
    assert repo.git("rev-parse", "its-own") == own
    assert repo.git("rev-parse", "main") == tree["base"]


@clause("S150")
async def test_asking_again_gives_the_same_worktree_and_the_same_commit(repo: Repo):
    first = await repo.open("fix")
    repo.write("a.txt", "at work\n", Path(first["path"]))
    repo.commit("meanwhile")
    assert await repo.open("fix") == first
    assert (Path(first["path"]) / "a.txt").read_text() == "at work\n"
    kept = await repo.keep("fix", first)
    assert await repo.keep("fix", first) == kept


async def test_a_worktree_that_was_half_made_is_made_anew(repo: Repo):
    tree = await repo.open("fix")
    path = Path(tree["path"])
    path.with_name(path.name + ".json").unlink()  # as a kill before the end leaves it
    (path / "a.txt").unlink()
    assert await repo.open("fix") == tree
    assert (path / "a.txt").exists()
    shutil.rmtree(path)
    path.with_name(path.name + ".json").unlink()
    path.mkdir()
    assert await repo.open("fix") == tree


@clause("S150")
async def test_a_worktree_in_a_worktree_begins_at_what_is_committed_there(repo: Repo):
    outer = await repo.open("outer")
    repo.write("a.txt", "of outer\n", Path(outer["path"]))
    repo.git("commit", "-q", "-a", "-m", "in outer", at=Path(outer["path"]))
    inner = await repo.open("outer/inner", outer["path"])
    assert inner["base"] == repo.git("rev-parse", "HEAD", at=Path(outer["path"]))
    assert (Path(inner["path"]) / "a.txt").read_text() == "of outer\n"


async def test_a_project_below_the_top_of_the_repository_works_in_the_same_place_of_the_worktree(repo: Repo):
    repo.write("sub/project/p.txt", "p\n")
    repo.commit()
    below = Repo(repo.folder / "sub" / "project", repo.environ)
    tree = await below.open("fix")
    assert Path(tree["path"]).parts[-2:] == ("sub", "project")
    assert (Path(tree["path"]) / "p.txt").exists()
    below.write("p.txt", "changed\n", Path(tree["path"]))
    repo.write("a.txt", "changed\n", Path(tree["path"]).parents[1])
    assert (await below.keep("fix", tree))["files"] == ["a.txt", "sub/project/p.txt"]


@clause("S151")
async def test_work_that_is_not_committed_is_not_in_it_and_that_is_said(repo: Repo):
    repo.write("a.txt", "at work\n")
    repo.write("mine.txt", "mine\n")
    tree = await repo.open("fix")
    assert tree["notes"] == ["2 files with uncommitted changes in the checkout are not in it"]
    assert (Path(tree["path"]) / "a.txt").read_text() == "one\ntwo\nthree\n"


async def test_submodules_are_told(repo: Repo):
    repo.write(".gitmodules", '[submodule "s"]\n\tpath = s\n\turl = ./s\n')
    repo.commit()
    assert (await repo.open("fix"))["notes"] == ["submodules are not checked out in it"]


async def test_many_are_made_at_once(repo: Repo):
    trees = await asyncio.gather(*(repo.changed(f"each[{index}]", {f"f{index}": "x"}) for index in range(12)))
    assert len({tree["path"] for tree in trees}) == 12
    assert all(tree["files"] == [f"f{index}"] for index, tree in enumerate(trees))
    assert not repo.leftovers


@pytest.mark.parametrize("scope", ["p.%2E%2E", "p.-rf", "p.a b", "each[0]/" + "x" * 900, "p.%2Fetc", "..", "p.%F0%9F%92%A5"])
async def test_no_name_leads_out_of_the_folder(repo: Repo, scope: str):
    tree = await repo.changed(scope, {"n.txt": "n"})
    assert Path(tree["path"]).parent == repo.folder / ".treadle" / "worktrees" / "run_1"
    assert repo.refs == [tree["ref"]]


async def test_names_that_look_alike_are_told_apart():
    assert len({safe_name(scope) for scope in ("a/b", "a.b", "a-b", "A-b", "a[b", "a~b")}) == 6


@clause("S153")
async def test_what_a_run_left_is_kept_and_taken_away_when_it_is_over(repo: Repo):
    failed = await repo.open("each[0]")
    repo.write("a.txt", "half done\n", Path(failed["path"]))
    untouched = await repo.open("each[1]")
    half = repo.trees.folder / "run_1" / "half-made"
    half.mkdir()
    over: list[str] = []

    async def is_over(run_id: str) -> bool:
        return run_id in over

    assert await repo.trees.sweep(repo.folder, is_over) == []
    assert Path(failed["path"]).exists()
    over.append("run_1")
    assert await repo.trees.sweep(repo.folder, is_over) == []
    assert repo.refs == [failed["ref"]]
    assert repo.git("show", f"{failed['ref']}:a.txt") == "half done"
    assert not Path(untouched["path"]).exists()
    assert repo.trees.runs() == []
    assert len(repo.git("worktree", "list").splitlines()) == 1
    assert not repo.leftovers


async def test_two_processes_may_clear_up_at_once(repo: Repo):
    trees = [await repo.open(f"each[{index}]") for index in range(3)]
    for tree in trees:
        repo.write("a.txt", tree["path"], Path(tree["path"]))
    await asyncio.gather(*(asyncio.to_thread(repo.trees.clear, repo.folder, "run_1") for _ in range(4)))
    assert sorted(repo.refs) == sorted(tree["ref"] for tree in trees)
    assert repo.trees.runs() == []


# What stands in the way


async def _refused(repo: Repo, scope: str = "fix") -> tuple[str, str]:
    outcome = await repo.trees.open(repo.call(f"{scope}.worktree", "worktree"), {"scope": scope})
    assert outcome.error_class == "failed"
    assert outcome.message.endswith(f"[{outcome.code}]")
    return outcome.code, outcome.message


@clause("S154")
async def test_without_a_repository_or_a_commit_it_is_refused_with_what_to_do(tmp_path: Path):
    environ = {**os.environ, "HOME": str(tmp_path), "GIT_CEILING_DIRECTORIES": str(tmp_path)}
    bare = Repo(tmp_path / "none", environ)
    bare.folder.mkdir()
    code, message = await _refused(bare)
    assert code == "not_a_checkout"
    assert "git init" in message
    bare.git("init", "-q", "-b", "main")
    assert (await _refused(bare))[0] == "no_commit_yet"


@clause("S154")
async def test_a_bare_repository_is_no_checkout(tmp_path: Path):
    repo = Repo(tmp_path / "bare.git", {**os.environ, "HOME": str(tmp_path)})
    repo.folder.mkdir()
    repo.git("init", "-q", "--bare")
    assert (await _refused(repo))[0] == "not_a_checkout"


async def test_a_shallow_clone_has_worktrees_and_merges_too(repo: Repo, tmp_path: Path):
    repo.write("a.txt", "second\n")
    repo.commit()
    repo.git("clone", "-q", "--depth", "1", f"file://{repo.folder}", str(tmp_path / "shallow"))
    shallow = Repo(tmp_path / "shallow", repo.environ)
    tree = await shallow.changed("fix", {"a.txt": "third\n"})
    assert (await shallow.merge(tree))["conflicts"] == []
    assert shallow.read("a.txt") == "third\n"


@clause("S154")
async def test_git_that_is_missing_or_old_is_refused(repo: Repo, tmp_path: Path):
    empty = tmp_path / "empty"
    empty.mkdir()
    repo.environ = {**repo.environ, "PATH": str(empty)}
    assert (await _refused(repo))[0] == "git_missing"
    old = tmp_path / "old"
    program = repo.write("git", "#!/bin/sh\necho git version 2.20.1\n", old)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    repo.environ = {**repo.environ, "PATH": str(old)}
    code, message = await _refused(repo)
    assert code == "git_too_old"
    assert "2.38" in message


@clause("S154")
async def test_a_lock_that_stays_is_told_with_its_name(repo: Repo, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(git_module, "LOCKED_S", 0.1)
    tree = await repo.open("fix")
    repo.write("a.txt", "x", Path(tree["path"]))
    index = Path(repo.git("rev-parse", "--path-format=absolute", "--git-path", "index.lock", at=Path(tree["path"])))
    index.write_text("")
    call = repo.call("fix.worktree.commit", "worktree_commit", tree["path"])
    outcome = await repo.trees.commit(call, {"scope": "fix", **tree})
    assert outcome.code == "git_locked"
    assert "index.lock" in outcome.message
    index.unlink()
    assert (await repo.keep("fix", tree))["files"] == ["a.txt"]


async def test_a_worktree_that_was_taken_away_from_outside_is_told(repo: Repo):
    tree = await repo.open("fix")
    shutil.rmtree(Path(tree["path"]).parent)
    outcome = await repo.trees.commit(repo.call("fix.worktree.commit", "worktree_commit", tree["path"]), {"scope": "fix", **tree})
    assert outcome.code == "worktree_gone"


@clause("S155")
async def test_no_hook_and_no_monitor_of_the_repository_runs(repo: Repo, tmp_path: Path):
    marks = tmp_path / "marks"
    hook = f"#!/bin/sh\necho $0 >> '{marks}'\n"
    for name in (
        "post-checkout",
        "pre-commit",
        "post-commit",
        "post-index-change",
        "reference-transaction",
        "prepare-commit-msg",
        "post-merge",
    ):
        repo.write(name, hook, tmp_path / "hooks").chmod(0o755)
    repo.write("monitor", hook, tmp_path).chmod(0o755)
    repo.git("config", "core.hooksPath", str(tmp_path / "hooks"))
    repo.git("config", "core.fsmonitor", str(tmp_path / "monitor"))
    repo.git("config", "core.sshCommand", str(tmp_path / "monitor"))
    repo.git("config", "commit.gpgSign", "true")
    repo.git("config", "diff.external", str(tmp_path / "monitor"))
    marks.unlink(missing_ok=True)
    tree = await repo.changed("fix", {"a.txt": "changed\n"})
    await repo.merge(tree)
    repo.trees.clear(repo.folder, "run_1")
    assert not marks.exists(), marks.read_text()


async def test_variables_that_lead_git_elsewhere_are_left_out(repo: Repo, tmp_path: Path):
    other = a_repo(tmp_path / "other")
    environ = {**repo.environ, "GIT_DIR": str(other.folder / ".git"), "GIT_WORK_TREE": str(other.folder), "GIT_INDEX_FILE": "/nowhere"}
    trees = Worktrees(store_dir=repo.folder / ".treadle", environ=environ, root_of=repo.root_of)
    outcome = await trees.open(repo.call("fix.worktree", "worktree"), {"scope": "fix"})
    assert outcome.error_class is None, outcome.message
    assert len(repo.git("worktree", "list").splitlines()) == 2
