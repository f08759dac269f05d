"""Tests of workflows from pytest or any other program: the cases of `*.test.yaml` files, and one call that runs a case.

import pytest
from treadle.testing.cases import find_cases, run_case


@pytest.mark.parametrize("case", find_cases("workflows"), ids=str)
def test_workflow(case):
    run_case(case)
"""

import asyncio
import os
from pathlib import Path

from treadle.authoring.problems import DefinitionError, render
from treadle.compose import locate
from treadle.core.errors import RequestError
from treadle.testing.reading import Case
from treadle.testing.report import miss_lines, story_lines
from treadle.testing.suite import Checked, Suite, Verdict, shared_unused, tests_below

__all__ = ["Case", "CaseFailedError", "Verdict", "check_file", "find_cases", "run_case"]


class CaseFailedError(AssertionError):
    """A case did not come out as expected; `verdict` holds what came, the message the readable difference."""

    def __init__(self, verdict: Verdict) -> None:
        """Write down what differs, and what happened until then."""
        self.verdict = verdict
        lines = [str(verdict.case), "", *miss_lines(verdict), "", *story_lines(verdict)]
        super().__init__("\n".join(lines))


def find_cases(path: str | Path = ".") -> list[Case]:
    """Read the cases of a test file, or of all below a folder. Raises DefinitionError with every problem of a file."""
    path = Path(path)
    files = list(tests_below(path)) if path.is_dir() else [path]
    suite = _suite(path)
    return [case for file in files for case in _sound(suite.check(file)).file.cases]


def run_case(case: Case | str | Path, name: str | None = None) -> Verdict:
    """Run a case, or the one of a file that has this name (or is the only one). Raises CaseFailedError; call it outside of an event loop."""
    path = case.path if isinstance(case, Case) else Path(case)
    suite = _suite(path)
    checked = _sound(suite.check(path))
    wanted = case.name if isinstance(case, Case) else name
    cases = [each for each in checked.file.cases if wanted is None or each.name == wanted]
    if len(cases) != 1:
        names = ", ".join(each.name for each in checked.file.cases)
        raise RequestError(f"{path} has not one case {wanted or ''}".rstrip(), code="unknown_case", hint=f"its cases: {names}")
    verdict = asyncio.run(suite.run(cases[0], checked.names[cases[0].name]))
    if not verdict.passed:
        raise CaseFailedError(verdict)
    return verdict


def check_file(path: str | Path) -> list[Verdict]:
    """Run every case of a file, and see that each shared entry is used by one of them. Raises CaseFailedError for the first that fails."""
    suite = _suite(Path(path))
    checked = _sound(suite.check(Path(path)))

    async def run_all() -> list[Verdict]:
        return [await suite.run(case, checked.names[case.name]) for case in checked.file.cases]

    verdicts = asyncio.run(run_all())
    failed = next((verdict for verdict in verdicts if not verdict.passed), None)
    if failed is not None:
        raise CaseFailedError(failed)
    for entry in shared_unused(checked.file, verdicts):
        raise AssertionError(f"{entry.place}: {entry.unused} by any case")
    return verdicts


def _suite(path: Path) -> Suite:
    folder = path if path.is_dir() else path.parent
    return Suite(locate(folder, os.environ))


def _sound(checked: Checked) -> Checked:
    if checked.problems:
        error = DefinitionError(checked.problems, name=checked.file.shown)
        error.add_note(render(checked.problems, {checked.file.shown: checked.file.document.source.text}))
        raise error
    return checked
