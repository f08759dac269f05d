"""The cookbook: fifteen patterns, each on the page; those that this version carries out pass their tests."""

from pathlib import Path

import pytest

from scripts import docs_language
from treadle.authoring import find
from treadle.config.project import Project
from treadle.testing.cases import Case, find_cases, run_case

FOLDER = docs_language.EXAMPLES / "cookbook"
PATTERNS = sorted(path.stem for path in FOLDER.glob("*.yaml") if path.suffixes == [".yaml"])
PAGE = (docs_language.ROOT / "docs" / "cookbook.md").read_text(encoding="utf-8")
NOWHERE = Project(root=Path("/nonexistent"), home=Path("/nonexistent"))


@pytest.mark.parametrize("case", find_cases(FOLDER), ids=str)
def test_a_pattern_does_what_its_test_says(case: Case) -> None:
    run_case(case)


@pytest.mark.parametrize("name", PATTERNS)
def test_a_pattern_has_a_test_or_the_page_says_that_it_is_not_carried_out(name: str) -> None:
    loaded = find.load_text(NOWHERE, (FOLDER / f"{name}.yaml").read_text(encoding="utf-8"), name)
    assert bool(loaded.not_yet) is not (FOLDER / f"{name}.test.yaml").exists()
    _, _, section = PAGE.partition(f"<!-- generated: example-cookbook-{name} -->")
    assert section, "it does not stand on the page"
    assert (docs_language.NOT_YET_SENTENCE in section.split("<!-- end generated -->")[0]) is bool(loaded.not_yet)


def test_there_are_fifteen_patterns_and_ten_of_them_run() -> None:
    assert len(PATTERNS) >= 15
    assert len(list(FOLDER.glob("*.test.yaml"))) >= 10
