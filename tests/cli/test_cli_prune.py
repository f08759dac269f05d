"""`treadle prune`: what goes, what stays and why, and what a person is asked."""

import subprocess

import pytest

from tests.cli.support import Project

DONE = "name: done\nsteps:\n  - return: \"{{ 'v' * 90000 }}\"\n"
ASK = "name: ask\nsteps:\n  - prompt: What now?\n    id: question\n"
PARENT = """\
name: parent
steps:
  - id: below
    run: done
  - id: gate
    prompt: Go on?
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("prune"), done=DONE, ask=ASK, parent=PARENT)


def ids(rows):
    return [row["id"] for row in rows]


def test_prune_shows_asks_and_takes_what_is_old_and_nothing_that_is_open(project):
    for _ in range(3):
        assert project.treadle("run", "done", "--quiet").code == 0
    assert project.treadle("run", "parent", "--detach").code == 3
    project.treadle("resume", "last", "--quiet")  # the child ends, the parent waits for a person
    assert project.treadle("run", "ask", "--detach").code == 3

    told = project.treadle("prune", "--older-than", "0s", "--dry-run", "--json").json
    assert [row["workflow"] for row in told["runs"]] == ["done"] * 3
    assert [each["reason"] for each in told["kept"]] == ["family"]
    assert told["done"] is None
    assert all(row["blobs"] == 0 for row in told["runs"]), "the open parent's child has the same value"

    refused = project.treadle("prune", "--older-than", "0s", "--json")
    assert (refused.code, refused.error["code"]) == (2, "not_confirmed")
    assert len(project.treadle("runs", "--all", "--json").json["runs"]) == 6

    kept = project.treadle("prune", "--older-than", "0s", "--keep", "1", "--dry-run", "--json").json
    assert ids(kept["runs"]) == ids(told["runs"])[:2]

    done = project.treadle("prune", "--older-than", "0s", "--yes")
    assert done.code == 0
    assert "3 runs taken away" in done.out
    assert sorted(row["workflow"] for row in project.treadle("runs", "--all", "--json").json["runs"]) == ["ask", "done", "parent"]
    assert project.treadle("show", told["runs"][0]["id"]).code == 2
    assert project.treadle("verify", "--all").code == 0
    assert project.treadle("answer", "last", "question", "go").code == 0


@pytest.mark.parametrize(
    "arguments, said",
    [((), "say which runs may go"), (("--status", "waiting"), "no status of an ended run"), (("--older-than", "5"), "no duration"),
     (("--keep-size", "many"), "no size")],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(project, arguments, said):
    done = project.treadle("prune", *arguments, "--json")
    assert (done.code, done.error["code"]) == (2, "usage")
    assert said in done.error["message"]


def test_size_takes_the_oldest_and_a_fork_keeps_its_origin(tmp_path):
    project = Project(tmp_path, done=DONE.replace("'v' * 90000", "uuid() * 3000"), ask=ASK)
    assert project.treadle("prune", "--keep", "1", "--yes").code == 0, "a project without runs"
    for _ in range(3):
        assert project.treadle("run", "done", "--quiet").code == 0
    whole = project.treadle("prune", "--keep-size", "1GB", "--dry-run", "--json").json
    assert whole["runs"] == []
    part = project.treadle("prune", "--keep-size", f"{whole['store_bytes'] - 50_000}B", "--dry-run", "--json").json
    assert len(part["runs"]) == 1
    assert part["runs"][0]["blob_bytes"] > 100_000

    assert project.treadle("run", "ask", "--detach").code == 3
    assert project.treadle("answer", "last", "question", "x").code == 0
    origin = project.treadle("runs", "ask", "--all", "--json").json["runs"][0]["id"]
    assert project.treadle("fork", origin, "--from", "question", "--yes", "--detach").code == 3
    kept = project.treadle("prune", "--older-than", "0s", "--dry-run", "--json").json["kept"]
    assert {"id": origin, "reason": "fork"} in kept


def test_what_git_keeps_of_the_worktrees_of_a_pruned_run_goes_too(tmp_path):
    tree = 'name: tree\nsteps:\n  - id: work\n    isolation: worktree\n    shell: "echo new > new.txt"\n'
    project = Project(tmp_path, tree=tree, ask=ASK)

    def git(*arguments):
        environment = project.environment | {
            f"GIT_{who}_{what}": "x@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }
        return subprocess.run(["git", *arguments], cwd=project.folder, env=environment, check=True, capture_output=True, text=True).stdout

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    assert project.treadle("trust", "--yes").code == 0
    done = project.treadle("run", "tree", "--quiet")
    assert done.code == 0, done.err
    assert project.treadle("run", "ask", "--detach").code == 3
    assert git("for-each-ref", "refs/treadle/")
    shown = project.treadle("prune", "--older-than", "0s", "--yes", "--json").json
    assert (shown["refs"], shown["done"]["runs"]) == (1, 1)
    assert git("for-each-ref", "refs/treadle/") == ""


@pytest.mark.slow
def test_a_run_that_was_moved_to_another_definition_keeps_the_old_one(tmp_path):
    project = Project(tmp_path, ask=ASK)
    assert project.treadle("run", "ask", "--detach").code == 3
    assert project.treadle("answer", "last", "question", "x").code == 0
    assert project.treadle("run", "ask", "--detach").code == 3
    moved = project.show()["id"]
    project.write("workflows/ask.yaml", ASK.replace("What now?", "What then?"))
    done = project.treadle("migrate", moved, "--to", "workflows/ask.yaml", "--yes")
    assert done.code == 0, done.err
    pruned = project.treadle("prune", "--older-than", "0s", "--yes", "--json").json["done"]
    assert (pruned["runs"], pruned["definitions"]) == (1, 0)
    assert project.treadle("verify", moved).code == 0
    assert project.treadle("answer", moved, "question", "y").code == 0
