"""The import contracts refuse what they are for. That the tree keeps them is `./dev lint`'s to say, and checked here too."""

import subprocess
import sys
from pathlib import Path

import grimp
import pytest

from scripts import contracts

ROOT = Path(__file__).parents[2]


def graph_of(*imports):
    graph = grimp.ImportGraph()
    for importer, imported in imports:
        graph.add_module(importer)
        graph.add_module(imported, is_squashed=not imported.startswith("treadle"))
        graph.add_import(importer=importer, imported=imported, line_number=1, line_contents="")
    return graph


def check(contract_class, graph, **options):
    contract = contract_class(name="x", session_options={"root_packages": ["treadle"]}, contract_options=options)
    return contract.check(graph, verbose=False)


def test_this_tree_keeps_every_contract():
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-logo", "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "importer, kept",
    [("treadle.engine.embedded.store", True), ("treadle.engine.embedded", True), ("treadle.engine.embedded2", False)],
)
def test_a_third_party_outside_its_folder_breaks_the_contract(importer, kept):
    places = ["apsw: treadle.engine.embedded", "starlette: treadle.web"]
    assert check(contracts.OnlyInContract, graph_of((importer, "apsw")), places=places).kept is kept


@pytest.mark.parametrize("imported, kept", [("json", True), ("treadle.core.values", True), ("time", False), ("treadle.ports", False)])
def test_the_core_imports_only_itself_and_the_allow_list(imported, kept):
    options = {"package": "treadle.core", "allowed": ["json"], "forbidden_names": []}
    assert check(contracts.AllowListContract, graph_of(("treadle.core.a", imported)), **options).kept is kept


def test_names_that_read_clock_or_chance_are_found_where_they_are_called():
    source = "datetime.now(tz=UTC)\nuuid4()\nstate.now_ms\nx = now\n"
    assert list(contracts.impure_names(source, {"now", "uuid4"})) == [(1, "now"), (2, "uuid4")]
