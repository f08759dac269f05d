"""The reference of the language is whole: an example for each step type and field, free of problems, and nothing left out of the page."""

from pathlib import Path

import pytest
import yaml

from scripts import docs_language
from treadle.authoring import find
from treadle.authoring.model import COMMON, FILE, SHORTHANDS, TYPES
from treadle.config.project import Project

FILES = sorted(docs_language.EXAMPLES.rglob("*.yaml"))
WORKFLOWS = [path for path in FILES if path.suffixes == [".yaml"]]
NOWHERE = Project(root=Path("/nonexistent"), home=Path("/nonexistent"))
PAGE = (docs_language.ROOT / "docs" / "reference" / "language.md").read_text(encoding="utf-8")


def named(path: Path) -> str:
    return path.relative_to(docs_language.EXAMPLES).as_posix()


@pytest.mark.parametrize("path", WORKFLOWS, ids=named)
def test_an_example_has_neither_error_nor_warning(path: Path) -> None:
    loaded = find.load_text(NOWHERE, path.read_text(encoding="utf-8"), path.name)
    assert loaded.problems == (), "\n".join(map(str, loaded.problems))


def test_every_step_type_has_an_example_that_uses_it_and_no_other_has_one() -> None:
    steps = docs_language.EXAMPLES / "steps"
    assert {path.stem for path in steps.iterdir()} == set(TYPES)
    for name in TYPES:
        text = (steps / f"{name}.yaml").read_text(encoding="utf-8")
        keys = [key for key, target in SHORTHANDS.items() if target == name]
        assert f"type: {name}" in text or any(f"{key}:" in text for key in keys), name


def test_every_common_field_has_an_example_that_uses_it() -> None:
    fields = docs_language.EXAMPLES / "fields"
    assert {path.stem for path in fields.iterdir()} == set(COMMON)
    for name in COMMON:
        assert f" {name}:" in (fields / f"{name}.yaml").read_text(encoding="utf-8"), name


def test_one_file_shows_every_field_of_a_file() -> None:
    data = yaml.safe_load((docs_language.EXAMPLES / "file.yaml").read_text(encoding="utf-8"))
    assert set(data) == set(FILE)


def test_every_field_of_a_file_and_of_every_step_stands_on_the_page() -> None:
    of_file, _, rest = PAGE.partition("## On every step")
    assert [name for name in FILE if f"| `{name}`" not in of_file] == []
    assert [name for name in COMMON if f"| `{name}`" not in rest.partition("## Every step type")[0]] == []


def test_every_field_of_every_step_type_stands_on_the_page() -> None:
    _, _, rest = PAGE.partition("## Every step type")
    for name, spec in TYPES.items():
        _, _, section = rest.partition(f"### `{name}`")
        section, _, _ = section.partition("\n### ")
        assert section, name
        for field in spec.fields:
            assert f"| `{field}`" in section, (name, field)


def test_every_step_type_says_what_its_result_is() -> None:
    assert set(docs_language.RESULTS) == set(TYPES)
