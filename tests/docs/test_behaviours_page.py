"""docs/behaviours.md names tests that there are: each of the forty by its number, where the page says, and every other by its name."""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "behaviours.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (\d+) \| (.*) \|$", re.MULTILINE)
FORTY, TWELVE = (ROW.findall(part) for part in PAGE.split("## The twelve"))


@cache
def names_in(place: str) -> frozenset[str]:
    tree = ast.parse((ROOT / place).read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_each_of_the_forty_has_a_test_of_its_number_in_each_file_that_the_page_names() -> None:
    assert [int(number) for number, _ in FORTY] == list(range(1, 41))
    for number, row in FORTY:
        places = re.findall(r"`(tests/behaviours/\w+\.py)`", row)
        assert places
        for place in places:
            assert any(name.startswith(f"test_b{int(number):02}_") for name in names_in(place)), (number, place)


def test_no_numbered_test_is_left_out_of_the_page() -> None:
    rows = dict(FORTY)
    for path in sorted((ROOT / "tests" / "behaviours").glob("test_*.py")):
        place = path.relative_to(ROOT).as_posix()
        for name in names_in(place):
            found = re.match(r"test_b(\d\d)_", name)
            assert found is None or f"`{place}`" in rows[str(int(found[1]))], (name, place)


def test_each_of_the_twelve_says_how_far_it_holds_and_names_tests_that_there_are() -> None:
    assert [int(number) for number, _ in TWELVE] == list(range(1, 13))
    for number, row in TWELVE:
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row)
        assert named, number
        assert [(place, name) for place, name in named if name not in names_in(place)] == []
