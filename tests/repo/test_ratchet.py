"""The gauges of scripts/ratchet.py see what they are for, and the tree keeps them."""

from pathlib import Path

import pytest

from scripts import ratchet

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "ratchet.txt").write_text("# none\n")

    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return tmp_path

    return write


def function_of(lines):
    return "def long():\n" + "    x = 1\n" * (lines - 1)


def test_this_tree_keeps_every_gauge():
    assert ratchet.problems(ROOT) == []


def test_a_function_of_70_lines_passes_and_one_of_71_fails(tree):
    assert ratchet.problems(tree("src/treadle/a.py", function_of(70))) == []
    root = tree("src/treadle/a.py", "class A:\n" + "".join(f"    {line}\n" for line in function_of(71).splitlines()))
    assert ratchet.problems(root) == ["src/treadle/a.py::A.long: 71 lines, at most 70: divide it"]


@pytest.mark.parametrize("name, limit", [("src/treadle/core/a.py", 400), ("src/treadle/a.py", 600), ("tests/a.py", 600)])
def test_a_file_over_its_limit_fails(tree, name, limit):
    assert ratchet.problems(tree(name, "x = 1\n" * limit)) == []
    assert ratchet.problems(tree(name, "x = 1\n" * (limit + 1))) == [f"{name}: {limit + 1} lines, at most {limit}: divide it"]


def test_core_and_evaluator_count_lines_of_code_each_without_what_serves_the_border(tree):
    for number in range(10):
        tree(f"src/treadle/core/part{number}.py", "x = 1\n" * 300)
    for number in range(5):
        tree(f"src/treadle/core/expr/part{number}.py", "x = 1\n" * 300)
    for number in range(4):
        tree(f"src/treadle/core/{('regex', 'expr/library')[number % 2]}/part{number}.py", "x = 1\n" * 350)
    for beside in ("schema", "expr/stored"):
        tree(f"src/treadle/core/{beside}.py", "x = 1\n" * 400)
    root = tree("src/treadle/core/said.py", '"""Theory."""\n\n# why\n')
    assert ratchet.problems(root) == []
    tree("src/treadle/core/expr/one_more.py", "x = 1\n")
    tree("src/treadle/core/regex/one_more.py", "x = 1\n")
    assert sorted(ratchet.problems(tree("src/treadle/core/one_more.py", "x = 1\n"))) == [
        "src/treadle/core/expr/library: 1401 lines, at most 1400: divide it",
        "src/treadle/core/expr: 1501 lines, at most 1500: divide it",
        "src/treadle/core: 3001 lines, at most 3000: divide it",
    ]


def test_a_row_in_the_ratchet_allows_exactly_its_lines_and_goes_stale(tree):
    root = tree("src/treadle/a.py", function_of(80))
    (root / "scripts" / "ratchet.txt").write_text("80 src/treadle/a.py::long\n")
    assert ratchet.problems(root) == []
    tree("src/treadle/a.py", function_of(81))
    assert len(ratchet.problems(root)) == 1
    tree("src/treadle/a.py", function_of(75))
    assert "lower its row from 80" in ratchet.problems(root)[0]
    tree("src/treadle/a.py", function_of(70))
    assert "is stale" in ratchet.problems(root)[0]


def test_a_row_that_the_commit_before_did_not_have_fails():
    assert list(ratchet.growth({"a.py": 700}, {})) != []
    assert list(ratchet.growth({"a.py": 700}, {"a.py": 650})) != []
    assert list(ratchet.growth({"a.py": 700}, {"a.py": 700})) == []
    assert list(ratchet.growth({"a.py": 700}, None)) == []


def test_a_broad_except_and_a_hidden_import_need_a_comment(tree):
    bare = "def f():\n    import os\n    try:\n        os.getpid()\n    except (ValueError, Exception):\n        return None\n"
    assert len(ratchet.problems(tree("src/treadle/a.py", bare))) == 2
    explained = bare.replace("import os", "import os  # heavy").replace("Exception):", "Exception):  # border of a process")
    assert ratchet.problems(tree("src/treadle/a.py", explained)) == []


def test_too_many_broad_excepts_fail_though_each_has_a_comment(tree):
    one = "try:\n    x = 1\nexcept Exception:  # a border\n    x = 2\n"
    assert ratchet.problems(tree("src/treadle/a.py", one * 3)) == []
    assert "4 broad excepts" in ratchet.problems(tree("src/treadle/a.py", one * 4))[0]
