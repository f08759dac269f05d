"""`treadle functions`: what there is, from where, with types; an installed package included."""

from pathlib import Path

import pytest

from tests.cli.here import Here
from treadle import functions
from treadle.ports import FunctionFailedError

OWN = '''\
from treadle.functions import function

open("executed", "w")


@function(version="2", pure=True)
def mine(x: str, *, times: int = 2) -> list[str]:
    """Do it.

    And say more about it.
    """
    return [x] * times
'''
PACKAGE = '''\
from treadle.functions import function


@function(version="7")
def shout(text: str, marks: int = 1) -> str:
    """Say it loudly."""
    return text.upper() + "!" * marks
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package `acme` that offers functions by its entry point."""
    site = tmp_path / "site"
    (site / "acme").mkdir(parents=True)
    (site / "acme" / "__init__.py").write_text("raise SystemExit('never imported by listing')\n")
    (site / "acme" / "text.py").write_text(PACKAGE)
    about = site / "acme-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[treadle.functions]\nacme = acme.text\n")
    monkeypatch.syspath_prepend(str(site))
    functions._installed.cache_clear()
    yield site
    functions._installed.cache_clear()


def test_functions_are_listed_with_types_and_source_and_none_is_executed(here: Here, package: Path):
    here.write("functions/own.py", OWN)
    found = here.treadle("functions", "--json").json
    by_name = {row["name"]: row for row in found["functions"]}
    mine, shout = by_name["mine"], by_name["shout"]
    assert (mine["origin"], mine["place"], mine["line"], mine["version"], mine["pure"]) == ("project", "functions/own.py", 7, "2", True)
    assert mine["returns"] == {"type": "array", "items": {"type": "string"}}
    assert [(p["name"], p["kind"], p["required"], p["schema"]) for p in mine["parameters"]] == [
        ("x", "plain", True, {"type": "string"}),
        ("times", "named_only", False, {"type": "integer"}),
    ]
    assert (shout["origin"], shout["place"], shout["version"], shout["pure"]) == ("package", "acme.text", "7", False)
    assert by_name["generate_research_tasks"]["origin"] == "library"
    assert "uuid" in {row["name"] for row in found["built_in"]}
    assert not (here.folder / "executed").exists()


def test_an_installed_function_is_checked_and_called_by_its_types(here: Here, package: Path):
    here.write("workflows/f.yaml", "name: f\nsteps:\n  - function: shout\n    parameters: {text: 3}\n")
    (problem,) = here.treadle("validate", "f", "--json").json["problems"]
    assert (problem["code"], problem["line"], problem["column"]) == ("bad_input", 4, 24)
    (package / "acme" / "__init__.py").write_text("")
    registry = functions.Registry(functions.catalog(None))
    assert registry.call("shout", "7", ["hey"], {"marks": 2}) == "HEY!!"
    with pytest.raises(FunctionFailedError, match="`marks` of `shout` must be a whole number, not text"):
        registry.call("shout", "7", ["hey", "2"], {})
    with pytest.raises(FunctionFailedError, match="not here in version 6"):
        registry.call("shout", "6", ["hey"], {})


def test_one_is_shown_whole(here: Here):
    here.write("functions/own.py", OWN)
    out = here.treadle("functions", "mine").out
    assert out.splitlines() == [
        "mine(x: str, *, times: int=2) -> list[str]",
        "  project functions/own.py:7, version 2, pure",
        "  Do it.",
        "",
        "  And say more about it.",
    ]
    assert "And say more" not in here.treadle("functions").out
    assert "→" in here.treadle("functions", "uuid").out


def test_narrow_and_without_colour_nothing_is_lost(here: Here):
    out = here.treadle("functions", "generate_research_tasks", COLUMNS="40", NO_COLOR="1").out
    assert "\x1b" not in out
    assert "generate_research_tasks(" in out


def test_an_unknown_name_suggests_the_nearest(here: Here):
    done = here.treadle("functions", "generate_reserch_tasks", "--json")
    assert (done.code, done.error["code"], done.error["hint"]) == (2, "unknown_function", "did you mean `generate_research_tasks`?")


def test_a_file_that_is_no_python_is_told_and_the_rest_is_listed(here: Here):
    here.write("functions/bad.py", "def f(:\n")
    done = here.treadle("functions")
    assert done.code == 1
    assert "functions/bad.py:1" in done.out
    assert "[python_syntax]" in done.out
    assert here.treadle("functions", "uuid").code == 0
