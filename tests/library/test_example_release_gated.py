"""`release:gated` with a bare repository as remote: released as it was approved; taken back when publishing fails; a lost push is asked after."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.library.playing import PYTHON, Repository, Told, play
from treadle.authoring import find
from treadle.config.project import Project
from treadle.core.definition import Shell
from treadle.core.expr import Env, evaluate

VERSIONS = '[project]\nname = "loom"\nversion = "0.9.0"\n'
TESTS = "import unittest\n\n\nclass Loom(unittest.TestCase):\n    def test_it(self):\n        self.assertTrue(True)\n"
SECTION = "# Changes\n\n## 1.0.0\n\n- It weaves.\n"
# What the remote runs when the push has arrived: it kills the supervisor that waits for it, so that nobody learns how the push ended.
KILLER = """\
#!/bin/sh
at=$PPID
while test "$at" -gt 1; do
    case "$(ps -o args= -p "$at")" in *supervisor.py*) kill -9 "$at"; exit 0 ;; esac
    at=$(ps -o ppid= -p "$at" | tr -d ' ')
done
"""


@pytest.fixture
def loom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    return Repository(tmp_path, monkeypatch, {"pyproject.toml": VERSIONS, "test_loom.py": TESTS}).with_remote()


def released(loom: Repository, *, gate: object = True, **inputs: object) -> Told:
    def too_much(_action: object) -> str:
        loom.write("CHANGELOG.md", SECTION.replace("1.0.0", "Unreleased"))
        loom.write("test_loom.py", "")
        return "The first release."

    def right(action) -> str:
        assert "CHANGELOG.md has no heading with 1.0.0" in action.problem.message
        assert "test_loom.py" in action.problem.message
        loom.git("checkout", "-q", "--", "test_loom.py")
        loom.write("CHANGELOG.md", SECTION)
        return "The first release."

    given = {"version": "1.0.0", "test_command": f"{PYTHON} -B -m unittest -q"}
    return play(loom, "release:gated", given | inputs, {"write-changelog": [too_much, right], "gate": gate})


def test_what_a_person_approved_is_what_is_tagged_pushed_and_published(loom: Repository):
    start = loom.git("rev-parse", "HEAD")
    seen: list[dict[str, str]] = []

    def look(action) -> bool:
        assert loom.git("ls-remote", "--tags", "origin") == ""
        seen.append(action.params["show"])
        return True

    told = released(loom, gate=look, publish_command='echo "$VERSION $TAG" > "$HOME/published"')
    commit = loom.git("rev-parse", "HEAD")
    assert told.view.status == "completed"
    assert told.result == {
        "version": "1.0.0", "tag": "v1.0.0", "commit": commit, "approved_by": "ada", "published": True, "branch_pushed": True,
        "summary": "The first release.",
    }  # fmt: skip
    assert (seen[0]["version"], seen[0]["tag"], seen[0]["commit"]) == ("1.0.0", "v1.0.0", commit)
    assert '+version = "1.0.0"' in seen[0]["changes"]
    assert "+- It weaves." in seen[0]["changes"]
    assert loom.git("rev-parse", "v1.0.0^{commit}", of=loom.remote) == loom.git("rev-parse", "main", of=loom.remote) == commit
    assert loom.git("rev-parse", "HEAD~1") == start
    assert (loom.home / "published").read_text() == "1.0.0 v1.0.0\n"
    assert told.kinds("write-changelog").count("output_refused") == 1
    assert [told.proof(step)["standing"] for step in ("bump", "write-changelog", "commit")] == ["proven"] * 3


def test_when_publishing_fails_tag_commit_and_version_are_taken_back(loom: Repository):
    start = loom.git("rev-parse", "HEAD")
    told = released(loom, publish_command="git ls-remote --tags origin > \"$HOME/before\"; echo 'the index is down' >&2; exit 3")
    assert (told.view.status, told.view.undo) == ("failed", "done")
    assert "the index is down" in (told.view.failure.message if told.view.failure else "")
    assert "refs/tags/v1.0.0" in (loom.home / "before").read_text()
    assert loom.git("ls-remote", "--tags", "origin") == loom.git("tag") == loom.status == ""
    assert loom.git("rev-parse", "HEAD") == loom.git("rev-parse", "main", of=loom.remote) == start
    assert loom.read("pyproject.toml") == VERSIONS
    assert not (loom.folder / "CHANGELOG.md").exists()
    assert [path for kind, path, _data in told.notes if kind == "undone"] == ["push-tag", "commit", "bump"]


def test_a_push_whose_end_nobody_saw_is_asked_after_and_not_repeated(loom: Repository):
    hook = loom.remote / "hooks" / "post-receive"
    hook.write_text(KILLER)
    hook.chmod(hook.stat().st_mode | stat.S_IXUSR)
    told = released(loom)
    assert told.view.status == "completed_degraded" if not told.result["branch_pushed"] else "completed"
    kinds = told.kinds("push-tag")
    assert "outcome_unknown" in kinds
    assert next(data for kind, path, data in told.notes if (kind, path) == ("outcome_resolved", "push-tag"))["by"] == "read_back"
    assert told.proof("push-tag")["begun"] == 1
    assert "refs/tags/v1.0.0" in loom.git("ls-remote", "--tags", "origin")


@pytest.mark.parametrize(
    "before, after",
    [
        (
            '[project]\nversion = "0.9.0"  # ours\n[tool.x]\nversion = "3"\n',
            '[project]\nversion = "1.0.0"  # ours\n[tool.x]\nversion = "3"\n',
        ),
        (
            '{\n  "name": "a",\n  "version": "0.9.0",\n  "b": {"version": "1"}\n}\n',
            '{\n  "name": "a",\n  "version": "1.0.0",\n  "b": {"version": "1"}\n}\n',
        ),
        ("__version__ = '0.9.0'\n", "__version__ = '1.0.0'\n"),
        ("version: 0.9.0\n", "version: 1.0.0\n"),
        ("0.9.0\n", "1.0.0\n"),
        ('[tool]\ntarget-version = "3"\n[tool.setuptools.dynamic]\nversion = {attr = "a.v"}\n', None),
    ],
)
def test_the_version_is_written_where_it_stands_and_nothing_else_is_touched(tmp_path: Path, before: str, after: str | None):
    loaded = find.load(Project(root=tmp_path, home=tmp_path), "release:gated")
    bump = loaded.require().index.steps["bump"].spec
    assert isinstance(bump, Shell)
    (tmp_path / "file").write_text(before)
    done = subprocess.run(
        ["sh", "-c", str(evaluate(bump.command, Env()))], cwd=tmp_path, env={**os.environ, "FILE": "file", "VERSION": "1.0.0"}, check=False,
        capture_output=True,
    )  # fmt: skip
    assert (done.returncode == 0, (tmp_path / "file").read_text()) == (after is not None, after or before)


def test_a_person_who_says_no_leaves_nothing_behind(loom: Repository):
    start = loom.git("rev-parse", "HEAD")
    told = released(loom, gate=False)
    assert (told.view.status, told.view.undo, told.view.failure and told.view.failure.error_class) == ("failed", "done", "rejected")
    assert (loom.git("rev-parse", "HEAD"), loom.status, loom.git("tag")) == (start, "", "")


def test_a_tag_that_is_on_the_remote_already_is_seen_before_anything_is_done(loom: Repository):
    loom.git("tag", "v1.0.0")
    loom.git("push", "-q", "origin", "v1.0.0")
    loom.git("tag", "-d", "v1.0.0")
    told = released(loom)
    assert told.view.status == "failed"
    assert "the tag v1.0.0 is on origin already" in (told.view.failure.message if told.view.failure else "")
