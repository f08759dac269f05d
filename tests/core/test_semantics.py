"""Every clause of docs/semantics.md is cited by a test, and every citation names a clause that is there."""

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
CLAUSE = re.compile(r"^- \*\*(S\d+)\*\* ", re.MULTILINE)


@cache
def clauses() -> list[str]:
    return CLAUSE.findall((ROOT / "docs" / "semantics.md").read_text(encoding="utf-8"))


@cache
def citations() -> dict[str, list[str]]:
    """Clause to the tests that cite it, from the source: a test that is skipped still counts as written, one that is deleted does not."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "tests").glob("*/test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or not node.name.startswith("test_"):
                continue
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and isinstance(mark.func, ast.Name) and mark.func.id == "clause":
                    for name in mark.args:
                        found.setdefault(ast.literal_eval(name), []).append(f"{path.name}::{node.name}")
    return found


def test_clauses_are_numbered_once_and_in_order():
    names = clauses()
    assert [name for name, count in Counter(names).items() if count > 1] == []
    assert names == sorted(names, key=lambda name: int(name[1:]))
    assert len(names) >= 60


def test_every_clause_is_cited_by_a_test():
    assert [name for name in clauses() if name not in citations()] == []


def test_every_citation_names_a_clause():
    assert {name: tests for name, tests in citations().items() if name not in clauses()} == {}
