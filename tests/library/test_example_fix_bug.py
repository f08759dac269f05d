"""`fix:bug` in a repository: the bug is shown by a failing test, the first fix does not hold, the second does."""

import json
from pathlib import Path

import pytest

from tests.library.playing import PYTHON, Repository, play
from treadle.cli import group

SHOP = "def total(prices):\n    return sum(prices[:-1])\n"
TESTS = "import unittest\n\nfrom shop import total\n\n\nclass Empty(unittest.TestCase):\n    def test_nothing(self):\n        self.assertEqual(total([]), 0)\n"
SHOWN = "import unittest\n\nfrom shop import total\n\n\nclass Last(unittest.TestCase):\n    def test_last(self):\n        self.assertEqual(total([1, 2]), 3)\n"
COMMAND = f"{PYTHON} -B -m unittest -q"
WRITTEN = {"test": "test_last.py", "why": "the last price is left out"}
DONE = {"cause": "the slice leaves the last price out", "change": "sum all of them"}


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    return Repository(tmp_path, monkeypatch, {"shop.py": SHOP, "test_shop.py": TESTS})


def test_a_fix_counts_when_the_test_that_failed_before_and_all_others_pass(shop: Repository):
    shop.write("notes.txt", "not committed, and not of the run")

    def reproduce(_action: object) -> dict[str, str]:
        shop.write("test_last.py", SHOWN)
        return WRITTEN

    def careless(_action: object) -> dict[str, str]:
        shop.write("shop.py", "def total(prices):\n    return sum(prices) or None\n")
        return DONE

    def right(action) -> dict[str, str]:
        assert "FAILED" in action.problem.message
        shop.write("shop.py", SHOP.replace("prices[:-1]", "prices"))
        return DONE

    inputs = {"bug": "The last price is not in the total.", "test_command": COMMAND}
    told = play(shop, "fix:bug", inputs, {"reproduce": [WRITTEN, reproduce], "fix": [careless, right]})
    assert told.view.status == "completed"
    assert told.result == {
        "fixed": True, "cause": DONE["cause"], "change": DONE["change"], "reproduced_by": "new test", "test": "test_last.py",
        "test_command": COMMAND, "diff": " shop.py | 2 +-\n 1 file changed, 1 insertion(+), 1 deletion(-)\n", "new_files": ["test_last.py"],
    }  # fmt: skip
    assert shop.read("shop.py") == "def total(prices):\n    return sum(prices)\n"
    # Said to be there and not written, then written: refused once; the careless fix: refused once.
    assert [told.kinds(step).count("output_refused") for step in ("reproduce", "fix")] == [1, 1]
    assert told.proof("fix")["standing"] == "proven"
    assert [fact["ok"] for fact in told.proof("fix")["facts"]] == [True, True]


@pytest.mark.slow
def test_what_cannot_be_fixed_is_no_success_and_the_test_that_shows_it_may_not_be_weakened(shop: Repository):
    def reproduce(_action: object) -> dict[str, str]:
        shop.write("test_last.py", SHOWN)
        return WRITTEN

    def weaken(_action: object) -> dict[str, str]:
        shop.write("test_last.py", SHOWN.replace("3)", "1)"))
        return DONE

    inputs = {"bug": "The last price is not in the total.", "test_command": COMMAND}
    told = play(shop, "fix:bug", inputs, {"reproduce": reproduce, "fix": weaken})
    assert told.view.status == "goal_not_met"
    assert told.view.failure is not None
    assert told.view.failure.error_class == "not_fixed"
    assert "the test that shows the bug was changed: test_last.py" in told.view.failure.message
    assert told.kinds("fix").count("output_refused") == 4


def test_tests_that_fail_already_are_the_reproduction(shop: Repository):
    shop.write("test_last.py", SHOWN)

    def right(action) -> dict[str, str]:
        assert "The tests failed before anything was changed" in action.params["instructions"]
        shop.write("shop.py", SHOP.replace("prices[:-1]", "prices"))
        return DONE

    told = play(shop, "fix:bug", {"bug": "CI is red.", "test_command": COMMAND}, {"fix": right})
    assert (told.view.status, told.result["reproduced_by"], told.result["test"]) == ("completed", "tests that failed before", None)


def test_a_test_command_that_cannot_run_is_no_failing_test(shop: Repository):
    told = play(shop, "fix:bug", {"bug": "CI is red.", "test_command": "no-such-command-here"}, {})
    assert (told.view.status, told.view.failure and told.view.failure.error_class) == ("failed", "tests_cannot_run")
    assert "no-such-command-here" in (told.view.failure.message if told.view.failure else "")


def test_the_same_by_the_command_line(shop: Repository, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    monkeypatch.chdir(shop.folder)

    def treadle(*arguments: str) -> tuple[int, str]:
        capfd.readouterr()
        code = group.run(list(arguments))
        told = capfd.readouterr()
        return code, told.out + told.err

    start = ["run", "fix:bug", "-i", "bug=The last price is not in the total.", "-i", f"test_command={COMMAND}"]
    code, said = treadle(*start)
    assert (code, "not_trusted" in said, "treadle trust fix:bug" in said) == (2, True, True)
    code, said = treadle("trust", "fix:bug", "--yes")
    assert (code, "baseline: sh -c '{{ state.test_command }}'" in said) == (0, True)
    assert treadle(*start)[0] == 3
    shop.write("test_last.py", SHOWN)
    assert treadle("answer", "last", "reproduce", "--json-value", json.dumps(WRITTEN))[0] == 0
    assert treadle("resume", "last")[0] == 3
    assert treadle("answer", "last", "fix", "--json-value", json.dumps(DONE))[0] == 0
    code, said = treadle("resume", "last")
    assert (code, "not proven" in said and "FAILED" in said) == (3, True)
    shop.write("shop.py", SHOP.replace("prices[:-1]", "prices"))
    assert treadle("answer", "last", "fix", "--json-value", json.dumps(DONE))[0] == 0
    code, said = treadle("resume", "last")
    assert (code, "completed" in said, "1 insertion(+), 1 deletion(-)" in said) == (0, True, True)
    code, said = treadle("receipt", "last")
    assert "proven" in said
