"""Merging worktrees on a real git: into the checkout and into a worktree, with conflicts, beside work that is not committed, again after a kill."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.actions.trees import Repo, a_repo
from tests.core.clauses import clause
from treadle.actions import merging

pytestmark = pytest.mark.asyncio


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return a_repo(tmp_path, a__txt="one\ntwo\nthree\nfour\nfive\n", b__txt="b\n", dir="file in place of a folder\n")


def _names(rows: list[dict]) -> list:
    return [(row["item"], row["files"]) for row in rows]


@clause("S156")
async def test_what_fits_is_merged_into_files_and_index_and_nothing_is_committed(repo: Repo):
    head = repo.git("rev-parse", "HEAD")
    trees = [
        await repo.changed("each[0]", {"a.txt": "ONE\ntwo\nthree\nfour\nfive\n", "n 0/ü.txt": "new"}),
        await repo.changed("each[1]", {}),
        await repo.changed("each[2]", {"a.txt": "one\ntwo\nthree\nfour\nFIVE\n", "b.txt": None}),
        None,
    ]
    result = await repo.merge(trees)
    assert _names(result["merged"]) == [(0, ["a.txt", "n 0/ü.txt"]), (2, ["a.txt", "b.txt"])]
    assert [row["commit"] for row in result["merged"]] == [trees[0]["commit"], trees[2]["commit"]]
    assert result["conflicts"] == []
    assert repo.read("a.txt") == "ONE\ntwo\nthree\nfour\nFIVE\n"
    assert repo.read("n 0/ü.txt") == "new"
    assert repo.status == ["M  a.txt", "D  b.txt", 'A  "n 0/\\303\\274.txt"']
    assert (repo.git("rev-parse", "HEAD"), repo.git("symbolic-ref", "HEAD")) == (head, "refs/heads/main")
    assert not [ref for ref in repo.refs if "each" in ref]
    assert not repo.leftovers
    assert sorted(path.name for path in repo.trees.folder.iterdir() if path.is_dir()) == ["run_1"]


@clause("S157")
async def test_an_item_that_conflicts_is_left_out_whole_and_its_commit_stays(repo: Repo):
    trees = [
        await repo.changed("each[0]", {"a.txt": "first\ntwo\nthree\nfour\nfive\n"}),
        await repo.changed("each[1]", {"a.txt": "second\ntwo\nthree\nfour\nfive\n", "other.txt": "not merged either"}),
        await repo.changed("each[2]", {"b.txt": "third\n"}),
    ]
    result = await repo.merge(trees)
    assert _names(result["merged"]) == [(0, ["a.txt"]), (2, ["b.txt"])]
    assert result["conflicts"] == [{"item": 1, "commit": trees[1]["commit"], "files": ["a.txt"], "reason": "both changed the same lines"}]
    assert repo.read("a.txt").startswith("first\n")
    assert not (repo.folder / "other.txt").exists()
    assert trees[1]["ref"] in repo.refs
    repo.trees.clear(repo.folder, "run_1")
    assert repo.refs == [trees[1]["ref"]]  # that is left, and nothing else


@clause("S158")
@pytest.mark.parametrize("strategy, text", [("ours", "first\n"), ("theirs", "second\n"), ("union", "first\nsecond\n")])
async def test_a_strategy_settles_lines_that_both_changed(repo: Repo, strategy: str, text: str):
    rest = "two\nthree\nfour\nfive\n"
    trees = {
        "l": await repo.changed("p.l", {"a.txt": "first\n" + rest, "b.txt": None, "c.txt": b"\0\1one"}),
        "r": await repo.changed("p.r", {"a.txt": "second\n" + rest, "b.txt": "kept\n", "d.txt": "of r"}),
    }
    result = await repo.merge(trees, strategy)
    assert [row["item"] for row in result["merged"]] == ["l", "r"]
    assert repo.read("a.txt") == text + rest
    assert (repo.folder / "b.txt").exists() == (strategy != "ours")
    assert repo.read("d.txt") == "of r"


async def test_files_that_are_no_text_take_a_side_or_stay_in_conflict(repo: Repo):
    trees = [await repo.changed(f"each[{index}]", {"pic": bytes([0, index])}) for index in range(2)]
    assert _names((await repo.merge(trees, "union"))["conflicts"]) == [(1, ["pic"])]
    assert (await repo.merge(trees, "theirs", action="m2"))["conflicts"] == []
    assert (repo.folder / "pic").read_bytes() == b"\0\1"


@clause("S159")
async def test_work_that_is_not_committed_is_never_overwritten(repo: Repo):
    trees = [
        await repo.changed("each[0]", {"a.txt": "merged\n", "fine.txt": "fine"}),
        await repo.changed("each[1]", {"mine.txt": "theirs"}),
        await repo.changed("each[2]", {"ignored.log": "theirs", "x.txt": "x"}),
        await repo.changed("each[3]", {"staged.txt": "theirs"}),
        await repo.changed("each[4]", {"b.txt": "merged\n"}),
    ]
    repo.write("a.txt", "at work\n")
    repo.write("mine.txt", "mine")
    repo.write(".git/info/exclude", "*.log\n")
    repo.write("ignored.log", "mine")
    repo.write("staged.txt", "mine")
    repo.git("add", "staged.txt")
    result = await repo.merge(trees)
    assert _names(result["merged"]) == [(4, ["b.txt"])]
    assert _names(result["conflicts"]) == [(0, ["a.txt"]), (1, ["mine.txt"]), (2, ["ignored.log"]), (3, ["staged.txt"])]
    assert {row["reason"] for row in result["conflicts"]} == {"the checkout has changes there that are not committed"}
    assert [repo.read(name) for name in ("a.txt", "mine.txt", "ignored.log", "staged.txt")] == ["at work\n", "mine", "mine", "mine"]
    assert not (repo.folder / "fine.txt").exists()
    assert repo.status == [" M a.txt", "M  b.txt", "A  staged.txt", "?? mine.txt"]


async def test_modes_links_and_folders_are_merged_as_they_are(repo: Repo):
    tree = await repo.open("fix")
    path = Path(tree["path"])
    (path / "run.sh").write_text("#!/bin/sh\n")
    (path / "run.sh").chmod(0o755)
    (path / "link").symlink_to("a.txt")
    (path / "dir").unlink()
    repo.write("dir/inside.txt", "in", path)
    tree = await repo.keep("fix", tree)
    assert (await repo.merge(tree))["conflicts"] == []
    assert (repo.folder / "run.sh").stat().st_mode & stat.S_IXUSR
    assert str((repo.folder / "link").readlink()) == "a.txt"
    assert repo.read("dir/inside.txt") == "in"
    back = await repo.open("back")
    path = Path(back["path"])
    (path / "dir" / "inside.txt").unlink()
    (path / "dir").rmdir()
    repo.write("dir", "a file again\n", path)
    back = await repo.keep("back", back)
    repo.write("dir/mine.txt", "mine")
    assert _names((await repo.merge(back, action="m2"))["conflicts"]) == [(None, ["dir"])]
    (repo.folder / "dir" / "mine.txt").unlink()
    assert (await repo.merge(back, action="m3"))["conflicts"] == []
    assert repo.read("dir") == "a file again\n"


async def test_a_link_that_is_not_of_git_leads_nowhere(repo: Repo, tmp_path: Path):
    outside = tmp_path / "outside"
    outside.mkdir()
    tree = await repo.changed("fix", {"out/x.txt": "x"})
    (repo.folder / "out").symlink_to(outside)
    assert _names((await repo.merge(tree))["conflicts"]) == [(None, ["out/x.txt"])]
    assert not list(outside.iterdir())


@clause("S160")
async def test_what_was_merged_is_there_for_the_worktrees_that_come_after(repo: Repo):
    await repo.merge(await repo.changed("one", {"a.txt": "ONE\n"}))
    second = await repo.open("two")
    assert (Path(second["path"]) / "a.txt").read_text() == "ONE\n"
    repo.write("a.txt", "ONE\nTWO\n", Path(second["path"]))
    result = await repo.merge(await repo.keep("two", second), action="m2")
    assert result["conflicts"] == []
    assert repo.read("a.txt") == "ONE\nTWO\n"
    assert repo.status == ["M  a.txt"]
    repo.git("commit", "-q", "-a", "-m", "by a person")
    third = await repo.open("three")
    assert third["base"] == repo.git("rev-parse", "HEAD")


@clause("S156")
async def test_into_a_worktree_is_merged_with_all_that_was_done_there(repo: Repo):
    outer = await repo.open("outer")
    inside = Path(outer["path"])
    inner = await repo.changed("outer/inner", {"a.txt": "of inner\n"}, outer["path"])
    repo.write("b.txt", "of outer\n", inside)
    result = await repo.merge(inner, inside=outer["path"])
    assert _names(result["merged"]) == [(None, ["a.txt"])]
    assert (inside / "a.txt").read_text() == "of inner\n"
    assert repo.read("a.txt").startswith("one\n")
    kept = await repo.keep("outer", outer)
    assert kept["files"] == ["a.txt", "b.txt"]
    assert (await repo.merge(kept, action="m2"))["conflicts"] == []
    assert (repo.read("a.txt"), repo.read("b.txt")) == ("of inner\n", "of outer\n")


async def test_lines_ends_and_filters_of_the_checkout_are_kept(repo: Repo):
    repo.write(".gitattributes", "*.txt text eol=crlf\n")
    repo.commit()
    repo.git("checkout-index", "-f", "-a")
    tree = await repo.open("fix")
    repo.write("b.txt", "new\r\n", Path(tree["path"]))
    await repo.merge(await repo.keep("fix", tree))
    assert (repo.folder / "b.txt").read_bytes() == b"new\r\n"
    assert repo.git("show", ":b.txt") == "new"
    assert repo.status == ["M  b.txt"]


@clause("S161")
async def test_asked_again_it_goes_on_with_its_plan_and_gives_the_same(repo: Repo, monkeypatch: pytest.MonkeyPatch):
    trees = [await repo.changed("each[0]", {"a.txt": "x\n", "n.txt": "n", "b.txt": None}), await repo.changed("each[1]", {"a.txt": "y\n"})]
    put, seen = merging._put, []

    def dies(new: Path, path: Path) -> None:
        seen.append(path.name)
        if len(seen) > 1:
            raise KeyboardInterrupt
        put(new, path)

    monkeypatch.setattr(merging, "_put", dies)
    with pytest.raises(KeyboardInterrupt):
        merging._merge(repo.trees, repo.call("m", "merge"), {"from": "each", "strategy": "merge", "worktrees": trees})
    monkeypatch.undo()
    assert not (repo.folder / "b.txt").exists()  # half of it was done
    repo.write("other.txt", "a person goes on meanwhile")
    result = await repo.merge(trees)
    assert _names(result["merged"]) == [(0, ["a.txt", "b.txt", "n.txt"])]
    assert _names(result["conflicts"]) == [(1, ["a.txt"])]
    assert repo.status == ["M  a.txt", "D  b.txt", "A  n.txt", "?? other.txt"]
    assert await repo.merge(trees) == result
    assert not repo.leftovers


@clause("S161")
async def test_what_somebody_changed_while_it_was_under_way_is_not_overwritten(repo: Repo, monkeypatch: pytest.MonkeyPatch):
    tree = await repo.changed("fix", {"a.txt": "x\n", "b.txt": "x\n"})
    monkeypatch.setattr(merging, "_carry_out", _interrupted)
    with pytest.raises(KeyboardInterrupt):
        merging._merge(repo.trees, repo.call("m", "merge"), {"from": "each", "strategy": "merge", "worktrees": tree})
    monkeypatch.undo()
    repo.write("b.txt", "mine\n")
    outcome = await repo.tried(tree)
    assert outcome.code == "checkout_changed"
    assert "b.txt" in outcome.message
    assert repo.read("b.txt") == "mine\n"
    assert repo.read("a.txt").startswith("one\n")
    repo.git("checkout", "-q", "b.txt")
    assert (await repo.merge(tree))["conflicts"] == []
    assert repo.read("b.txt") == "x\n"


def _interrupted(*_args: object) -> None:
    raise KeyboardInterrupt


async def test_a_commit_that_is_gone_is_a_conflict(repo: Repo):
    tree = await repo.changed("fix", {"a.txt": "x\n"})
    result = await repo.merge({**tree, "commit": "1" * 40})
    assert [row["reason"] for row in result["conflicts"]] == ["its commit is not there any more"]


async def test_names_that_are_no_utf8_are_merged_and_told(repo: Repo):
    tree = await repo.open("fix")
    name = os.fsencode(tree["path"]) + b"/\xff\n.txt"
    Path(os.fsdecode(name)).write_text("odd")
    tree = await repo.keep("fix", tree)
    assert tree["files"] == ["\ufffd\n.txt"]
    assert (await repo.merge(tree))["conflicts"] == []
    assert Path(os.fsdecode(os.fsencode(repo.folder) + b"/\xff\n.txt")).read_text() == "odd"


async def test_a_sha256_repository_is_merged_too(tmp_path: Path):
    repo = Repo(tmp_path / "p", {**os.environ, "HOME": str(tmp_path)})
    repo.folder.mkdir()
    made = subprocess.run(["git", "init", "-q", "--object-format=sha256"], cwd=repo.folder, env=repo.environ, check=False)
    if made.returncode:
        pytest.skip("this git has no SHA-256")
    repo.git("config", "user.name", "Ann")
    repo.git("config", "user.email", "a@b")
    repo.write("a.txt", "a\n")
    repo.commit()
    trees = [await repo.changed("e[0]", {"a.txt": None}), await repo.changed("e[1]", {"a.txt": "changed\n"})]
    assert (await repo.merge(trees, "ours"))["conflicts"] == []
    assert not (repo.folder / "a.txt").exists()
