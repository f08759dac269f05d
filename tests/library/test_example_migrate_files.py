"""`migrate:files` in a repository: each file in a worktree of its own, one refused first, two in conflict, one that cannot be done, a suite that is red."""

import re
from pathlib import Path

import pytest

from tests.library.playing import PYTHON, Repository, play
from treadle.core.errors import Failure

NAMES = ("apple", "bread it's", "cheese", "date")
FILES = {f"shop/{name}.py": f"def price():\n    return old_money({len(name)})\n" for name in NAMES}
SUITE = (
    "import pathlib, unittest\n\n\nclass Notes(unittest.TestCase):\n    def test_each_file_that_is_new_is_noted(self):\n"
    "        new = sum('new_money' in file.read_text() for file in pathlib.Path('shop').iterdir())\n"
    "        self.assertEqual(len(pathlib.Path('NOTES.md').read_text().splitlines()) - 1, new)\n"
)
INPUTS = {
    "change": "Call new_money instead of old_money, and note it in NOTES.md.",
    "list_command": "git grep -l old_money -- shop",
    "check_command": '! grep -n old_money "$1"',
    "test_command": f"{PYTHON} -B -m unittest -q",
}
DONE = {"summary": "called the new one"}


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    return Repository(tmp_path, monkeypatch, {**FILES, "NOTES.md": "# Notes\n", "test_notes.py": SUITE})


def where(action) -> Path:
    found = re.search(r"(?:Work in|there is now, in) (\S+) and nowhere else", action.params["instructions"])
    assert found is not None
    return Path(found[1])


def migrated(shop: Repository, action, *, note: bool = True) -> dict[str, str]:
    """Do in a worktree what is asked, as a sub-agent would."""
    folder = where(action)
    assert folder != shop.folder
    name = next(name for name in NAMES if f"shop/{name}.py" in action.params["instructions"])
    file, notes = folder / "shop" / f"{name}.py", folder / "NOTES.md"
    file.write_text(file.read_text().replace("old_money", "new_money"))
    if note:
        notes.write_text(notes.read_text() + f"- {name}\n")
    return DONE


def test_files_are_migrated_apart_merged_and_tested_together(shop: Repository):
    shop.write("mine.txt", "not committed, and nobody's business")

    def careless(action):
        return DONE  # nothing was done

    def mend(action):
        assert "`shop/apple.py` has not changed since the step opened" in action.problem.message
        assert "old_money" in action.problem.message
        return migrated(shop, action)

    def cannot(action):
        return Failure(error_class="failed", message="dates have no price", step=action.id)

    def redo(action):
        assert "could not be merged: both changed the same lines (NOTES.md)" in action.params["instructions"]
        assert "- apple\n" in (where(action) / "NOTES.md").read_text()
        return migrated(shop, action)

    def green(action):
        assert "test_each_file_that_is_new_is_noted" in action.params["instructions"]
        shop.write("NOTES.md", shop.read("NOTES.md") + "- cheese\n")
        return {"summary": "noted the cheese"}

    told = play(
        shop, "migrate:files", INPUTS,
        {
            "each[0]/migrate": [careless, mend], "each[1]/migrate": lambda action: migrated(shop, action),
            "each[2]/migrate": lambda action: migrated(shop, action, note=False), "each[3]/migrate": cannot,
            "again[0]/redo": redo, "suite.on_error/mend": green,
        },
    )  # fmt: skip
    assert told.result == {
        "migrated": ["shop/apple.py", "shop/cheese.py", "shop/bread it's.py"], "resolved": ["shop/bread it's.py"], "conflicts": [],
        "failed": [{"file": "shop/date.py", "why": "dates have no price"}], "mended": "noted the cheese", "committed": False,
    }  # fmt: skip
    assert told.view.status == "completed_degraded"
    assert [name for name in NAMES if "new_money" in shop.read(f"shop/{name}.py")] == ["apple", "bread it's", "cheese"]
    assert shop.read("NOTES.md").splitlines() == ["# Notes", "- apple", "- bread it's", "- cheese"]
    assert shop.git("log", "--oneline").count("\n") == 0  # nothing was committed
    assert shop.read("mine.txt") == "not committed, and nobody's business"
    assert sorted(line[3:] for line in shop.git("diff", "--name-status", "HEAD").replace("M\t", "M  ").splitlines()) == sorted(
        ["NOTES.md", "shop/apple.py", "shop/cheese.py", "shop/bread it's.py"]
    )
    # Nothing is left behind but what is the user's.
    assert shop.git("worktree", "list").count("\n") == 0
    assert told.kinds("each[0]/migrate").count("output_refused") == 1
    assert [told.proof(path)["standing"] for path in ("each[0]/migrate", "again[0]/redo", "suite.on_error/mend")] == ["proven"] * 3


def test_a_conflict_that_nobody_resolves_is_told_and_the_rest_stays(shop: Repository):
    def cannot(action):
        return Failure(error_class="failed", message="the two do not go together", step=action.id)

    only = INPUTS | {"list_command": "ls shop/apple.py shop/cheese.py"}
    told = play(shop, "migrate:files", only, {"each[*]/migrate": lambda action: migrated(shop, action), "again[0]/redo": cannot})
    assert (told.result["migrated"], told.result["conflicts"]) == (["shop/apple.py"], ["shop/cheese.py"])
    assert "old_money" in shop.read("shop/cheese.py")
    assert "<<<<" not in shop.read("NOTES.md")


def test_where_nothing_is_to_be_done_nothing_is(shop: Repository):
    told = play(shop, "migrate:files", INPUTS | {"list_command": "git grep -l older_money -- shop"}, {})
    assert (told.view.status, told.result["migrated"]) == ("completed", [])
    assert shop.status == ""


def test_a_run_in_which_no_file_could_be_migrated_did_not_reach_its_goal(shop: Repository):
    told = play(shop, "migrate:files", INPUTS, {"each[*]/migrate": lambda a: Failure(error_class="failed", message="no", step=a.id)})
    assert (told.view.status, told.view.failure.error_class) == ("goal_not_met", "nothing_migrated")
    assert "shop/apple.py: no" in told.view.failure.message
