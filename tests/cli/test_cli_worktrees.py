"""Worktrees and merges from the command line, in a git repository of a test's own: done, shown, cancelled, killed in the middle, cleared up."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.support import Project
from tests.core.clauses import clause

MIGRATE = """\
name: migrate
steps:
  - id: each
    foreach: [a.txt, b.txt, c.txt]
    isolation: worktree
    do:
      - id: edit
        shell: 'sed -i s/old/new/ "$FILE"; echo "$FILE" >> changelog; pwd'
        env: {FILE: "{{ item }}"}
        verify: {shell: "! grep -r old $(git diff --name-only)"}
    output: "{{ steps.edit.result.stdout | trim == worktree.path }}"
  - {id: merged, merge: each}
  - return: {at_home: "{{ steps.each.result }}", conflicts: "{{ steps.merged.result.conflicts }}", files: "{{ steps.each.worktree | map(attribute='files') | list }}"}
"""
ASKS = """\
name: asks
steps:
  - id: work
    type: delegate
    instructions: Mend it in {{ worktree.path }}
    isolation: worktree
  - merge: work
"""
FAILS = """\
name: fails
steps:
  - id: work
    isolation: worktree
    shell: "echo half > a.txt; exit 3"
"""


class Repository(Project):
    """A project in a git repository, with files to change."""

    def __init__(self, base: Path, **workflows: str) -> None:
        super().__init__(base, **workflows)
        self.environment |= {"GIT_CONFIG_NOSYSTEM": "1"}
        for name in ("a", "b", "c"):
            self.write(f"{name}.txt", f"old {name}\n")
        self.git("init", "-q", "-b", "main")
        self.git("config", "user.name", "Ann")
        self.git("config", "user.email", "ann@example.com")
        self.git("add", ".")
        self.git("commit", "-q", "-m", "first")
        assert self.treadle("trust", "--yes").code == 0

    def git(self, *words: str) -> str:
        done = subprocess.run(["git", *words], cwd=self.folder, env=self.environment, capture_output=True, text=True, check=True)
        return done.stdout.rstrip()

    @property
    def status(self) -> list[str]:
        return [line for line in self.git("status", "--porcelain", "-uall").splitlines() if ".treadle" not in line]

    def assert_nothing_is_left(self, *refs: str) -> None:
        assert self.git("worktree", "list").count("\n") == 0
        assert [
            ref.rpartition("/")[2].rpartition("-")[0] for ref in self.git("for-each-ref", "--format=%(refname)", "refs/treadle").split()
        ] == list(refs)
        folder = self.folder / ".treadle" / "worktrees"
        assert [path for path in folder.iterdir() if path.is_dir()] == []
        found = [path for path in (self.folder / ".git").rglob("*") if path.name.endswith(".lock") or path.name == "MERGE_HEAD"]
        assert found == []
        assert self.git("branch") == "* main"
        assert self.git("stash", "list") == ""
        assert self.git("log", "--format=%s", "main") == "first"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path, migrate=MIGRATE, asks=ASKS, fails=FAILS)


@clause("S150", "S153", "S157")
def test_items_work_each_in_a_worktree_and_what_fits_is_merged(repository: Repository):
    done = repository.treadle("run", "migrate", "--json")
    assert (done.code, done.json["status"]) == (0, "completed"), done.err
    result = done.json["result"]
    assert result["at_home"] == [True] * 3
    assert result["files"] == [["a.txt", "changelog"], ["b.txt", "changelog"], ["c.txt", "changelog"]]
    # Each began a changelog of its own: the first is taken, the others are told and lie ready.
    assert [(row["item"], row["files"]) for row in result["conflicts"]] == [(1, ["changelog"]), (2, ["changelog"])]
    assert repository.status == ["M  a.txt", "A  changelog"]
    assert (repository.folder / "a.txt").read_text() == "new a\n"
    repository.assert_nothing_is_left("each-1", "each-2")
    shown = repository.show()
    assert [row["what"] for row in shown["not_merged"]] == [f"each[{index}] of {shown['id']}" for index in (1, 2)]
    assert repository.git("show", f"{shown['not_merged'][0]['ref']}:b.txt") == "new b"
    told = repository.treadle("logs", "last").out
    assert "changed 2 files in its worktree, kept as" in told
    assert "not merged" in repository.treadle("receipt", "last").out


@clause("S150", "S153")
def test_a_step_tells_its_worktree_and_a_cancel_takes_it_away(repository: Repository):
    started = repository.treadle("run", "asks", "--json")
    action = started.json["actions"][0]
    folder = Path(action["working_dir"])
    assert action["params"]["instructions"] == f"Mend it in {folder}"
    assert (folder / "a.txt").exists()
    (folder / "a.txt").write_text("mended\n")
    assert "at work in theirs" in repository.treadle("doctor").out
    assert repository.treadle("cancel", "last", "--yes").code == 0
    assert not folder.exists()
    assert repository.status == []
    repository.assert_nothing_is_left("work")
    assert repository.git("show", f"{repository.show()['not_merged'][0]['ref']}:a.txt") == "mended"


@clause("S152", "S153")
def test_what_failed_is_kept_and_not_merged(repository: Repository):
    done = repository.treadle("run", "fails", "--json")
    assert done.json["status"] == "failed"
    assert repository.status == []
    repository.assert_nothing_is_left("work")
    assert repository.git("show", f"{repository.show()['not_merged'][0]['ref']}:a.txt") == "half"


def test_doctor_finds_what_a_crash_left_and_clears_it(repository: Repository):
    left = repository.folder / ".treadle" / "worktrees" / "run_gone" / "x-0"
    repository.treadle("run", "fails")
    repository.git("worktree", "add", "-q", "--detach", str(left))
    found = next(row for row in repository.treadle("doctor", "--json").json["findings"] if row["check"] == "worktrees")
    assert (found["state"], found["code"]) == ("warning", "worktree_left")
    assert "run_gone" in found["message"]
    assert "--clear-worktrees" in found["hint"]
    found = next(row for row in repository.treadle("doctor", "--clear-worktrees", "--json").json["findings"] if row["check"] == "worktrees")
    assert found["state"] == "ok"
    repository.assert_nothing_is_left("work")


def test_outside_of_git_it_is_refused_before_anything_is_done(tmp_path: Path):
    project = Project(tmp_path, asks=ASKS)
    project.environment["GIT_CEILING_DIRECTORIES"] = str(tmp_path)
    done = project.treadle("run", "asks", "--json")
    assert done.json["status"] == "failed"
    assert "[not_a_checkout]" in done.json["failure"]["message"]
    assert "git init" in done.json["failure"]["message"]
    assert not list((project.folder / ".treadle" / "worktrees").glob("run_*"))


POINTS = {
    "amid making one": "worktree add", "amid filling it": "reset --hard", "amid keeping": "commit-tree", "amid naming what was kept": "update-ref refs",
    "amid the plan of a merge": "merge-tree", "amid its files": "checkout-index", "amid the index": "update-index -q --refresh",
    "at its end": "update-ref --stdin",
}  # fmt: skip


@clause("S161")
@pytest.mark.parametrize(
    "point", ["amid its files", *(pytest.param(name, marks=pytest.mark.slow) for name in POINTS if name != "amid its files")]
)
def test_killed_at_any_point_it_goes_on_and_does_the_same(repository: Repository, point: str):
    """git itself is held at a point, Treadle is killed, git goes on alone, and another process takes the run up."""
    held, go_on = repository.home / "held", repository.home / "go-on"
    program = repository.home / "bin" / "git"
    program.parent.mkdir()
    program.write_text(
        f"#!/bin/sh\ncase \"$*\" in *'{POINTS[point]}'*) if mkdir '{held}' 2>/dev/null; then "
        f"while [ ! -e '{go_on}' ]; do sleep 0.02; done; fi;; esac\nexec '{shutil.which('git')}' \"$@\"\n"
    )
    program.chmod(0o755)
    repository.environment["PATH"] = f"{program.parent}:{os.environ['PATH']}"
    process = repository.start("run", "migrate", "--json")
    _until(held.exists)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    go_on.touch()
    done = repository.treadle("resume", "last", "--json")
    assert done.json["status"] == "completed", done.json["failure"]
    assert done.json["result"]["at_home"] == [True] * 3
    assert [row["item"] for row in done.json["result"]["conflicts"]] == [1, 2]
    assert repository.status == ["M  a.txt", "A  changelog"]
    repository.assert_nothing_is_left("each-1", "each-2")


def _until(condition, within_s: float = 30.0) -> None:
    ends = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.02)
