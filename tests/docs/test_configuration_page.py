"""The reference of `treadle.toml`: its examples are read by what reads the file, and nothing is missing in it."""

from pathlib import Path

import pytest

from scripts import docs_configuration
from treadle.config import settings
from treadle.config.project import Project
from treadle.config.settings import KEYS, TABLE_KINDS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "configuration.md").read_text(encoding="utf-8")
ROWS = [(kind.name, name) for kind in TABLE_KINDS.values() for name in kind.keys]


def read(folder: Path, toml: str) -> settings.Settings:
    (folder / "treadle.toml").write_text(toml, encoding="utf-8")
    return settings.load(Project(root=folder, home=folder), environ={})


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_every_setting_has_an_example_that_is_read_and_differs_from_its_default(tmp_path: Path, key: settings.Key):
    table, name = key.name.split(".")
    found = read(tmp_path, f"[{table}]\n{name} = {key.example}\n")
    assert getattr(found, key.field) != key.default
    assert str(found.origins[key.name]) == "file treadle.toml:2"


@pytest.mark.parametrize("kind, name", ROWS)
def test_every_key_of_a_named_table_has_an_example_that_is_read(tmp_path: Path, kind: str, name: str):
    read(tmp_path, f"[{kind}.some]\n{name} = {TABLE_KINDS[kind].keys[name].example}\n")


@pytest.mark.parametrize("kind, name", ROWS)
def test_a_misspelt_key_of_a_named_table_is_told_with_the_nearest(tmp_path: Path, kind: str, name: str):
    with pytest.raises(settings.ConfigError) as caught:
        read(tmp_path, f"\n[{kind}.some]\n{name}x = 1\n")
    problem = caught.value.problems[0]
    assert (problem.code, problem.line) == ("unknown_key", 3)
    assert name in problem.suggestion


def test_the_examples_of_the_page_are_read_as_one_file(tmp_path: Path):
    tables = dict.fromkeys(key.name.split(".")[0] for key in KEYS)
    parts = [docs_configuration.example_of(table) for table in tables]
    parts += [docs_configuration.named_example_of(kind) for kind in TABLE_KINDS.values()]
    assert all(f"```toml\n{part}```" in PAGE for part in parts)
    assert {str(origin.kind) for origin in read(tmp_path, "\n".join(parts)).origins.values()} == {"file"}


def test_the_page_names_every_key_and_variable():
    for key in KEYS:
        assert all(f"`{variable}`" in PAGE for variable in key.variables)
    for kind, name in ROWS:
        assert f"### `[{kind}.NAME]`" in PAGE
        assert f"| `{name}` |" in PAGE
