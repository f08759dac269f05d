"""`upgrade:dependency` in a repository: the registry fails once, the upgrade breaks the tests, mending takes two rounds; or it is given up."""

from pathlib import Path

import pytest

from tests.library.playing import PYTHON, Repository, Told, play

APP = "from vendored import greet\n\n\ndef hello():\n    return greet('Ada')\n"
TESTS = "import unittest\n\nfrom app import hello\n\n\nclass Hello(unittest.TestCase):\n    def test_hello(self):\n        self.assertEqual(hello(), 'Hello Ada')\n"
OLD = "def greet(name):\n    return f'Hello {name}'\n"
# Version 2 takes its argument by name alone.
UPGRADE = """\
import pathlib, sys
tried = pathlib.Path(sys.argv[1])
if not tried.exists():
    tried.touch()
    sys.exit("the registry does not answer")
pathlib.Path("vendored.py").write_text("def greet(*, name):\\n    return f'Hello {name}'\\n")
pathlib.Path("vendored.lock").write_text("vendored 2.0.0\\n")
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    files = {"app.py": APP, "test_app.py": TESTS, "vendored.py": OLD, "vendored.lock": "vendored 1.0.0\n", "tools/upgrade.py": UPGRADE}
    return Repository(tmp_path, monkeypatch, files)


def upgraded(project: Repository, mend: object, **inputs: object) -> Told:
    given = {
        "dependency": "vendored", "lock_files": ["vendored.lock"], "test_command": f"{PYTHON} -B -m unittest -q",
        "upgrade_command": f"{PYTHON} tools/upgrade.py {project.home}/tried",
    }  # fmt: skip
    return play(project, "upgrade:dependency", given | inputs, {"**/mend": mend})


def test_what_the_upgrade_breaks_is_mended_and_the_upgrade_stays(project: Repository):
    def take_back(action) -> str:
        assert "TypeError" in action.params["instructions"]
        project.write("vendored.py", OLD)
        project.write("vendored.lock", "vendored 1.0.0\n")
        return "The old version works."

    def half(action) -> str:
        assert "the upgrade must stay" in action.problem.message
        project.git("checkout", "-q", "--", "vendored.py", "vendored.lock")
        project.write("vendored.py", "def greet(*, name):\n    return f'Hello {name}'\n")
        project.write("vendored.lock", "vendored 2.0.0\n")
        project.write("app.py", APP.replace("'Ada'", "nam='Ada'"))
        return "The argument has a name now."

    def whole(_action: object) -> str:
        project.write("app.py", APP.replace("'Ada'", "name='Ada'"))
        return "A letter was missing."

    told = upgraded(project, [take_back, half, whole])
    assert told.view.status == "completed"
    assert {key: told.result[key] for key in ("upgraded", "dependency", "rounds_of_mending")} == {
        "upgraded": True, "dependency": "vendored", "rounds_of_mending": 2,
    }  # fmt: skip
    assert "3 files changed" in told.result["diff"]
    assert project.read("vendored.lock") == "vendored 2.0.0\n"
    assert (told.proof("upgrade")["attempts"], told.proof("upgrade")["begun"]) == (2, 2)
    assert told.kinds("test.on_error/mend").count("output_refused") == 1
    assert told.view.undo == ""


def test_given_up_everything_is_as_it_was_and_what_was_tried_is_kept(project: Repository):
    def in_vain(_action: object) -> str:
        project.write("app.py", APP + "\n# no idea\n")
        project.write("notes.txt", "tried this and that")
        return "Something."

    told = upgraded(project, in_vain, rounds=1)
    assert (told.view.status, told.view.undo) == ("failed", "done")
    assert told.view.failure is not None
    assert told.view.failure.error_class == "given_up"
    assert "after 1 rounds of mending" in told.view.failure.message
    assert (project.status, project.read("vendored.lock"), project.read("app.py")) == ("", "vendored 1.0.0\n", APP)
    assert "upgrade of vendored, given up" in project.git("stash", "list")
    assert "tried this and that" in project.git("show", "stash@{0}^3:notes.txt")


def test_work_that_is_not_committed_is_never_put_at_risk(project: Repository):
    project.write("app.py", APP + "\n# mine\n")
    told = upgraded(project, None)
    assert (told.view.status, told.view.undo) == ("failed", "")
    assert "commit or stash these first" in (told.view.failure.message if told.view.failure else "")
    assert project.read("app.py").endswith("# mine\n")


def test_an_upgrade_that_changes_nothing_is_said_to_be_none(project: Repository):
    told = upgraded(project, None, upgrade_command="true")
    assert (told.view.status, told.result["upgraded"]) == ("completed", False)
