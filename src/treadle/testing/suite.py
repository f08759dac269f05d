"""The tests of a project: which files there are, the workflow of each case, and running them.

One `Suite` reads each workflow once and serves any number of cases; each case gets an engine of its own. Nothing here prints.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from treadle import functions, trust
from treadle.authoring.find import Loaded
from treadle.authoring.problems import DefinitionError, Problem, ordered
from treadle.compose import workflow_finder
from treadle.config.settings import Settings
from treadle.core.errors import RequestError, TreadleError
from treadle.testing.fitting import Names, fit
from treadle.testing.judging import Miss, judge, stands
from treadle.testing.player import Played, play
from treadle.testing.reading import SUFFIXES, Case, TestFile, place_of, read_tests, stem_of
from treadle.testing.script import Entry

PLACES: Final = ("workflows", ".treadle/workflows", "tests")
_WORKFLOW_SUFFIXES: Final = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of one case."""

    case: Case
    played: Played
    misses: tuple[Miss, ...]
    took_ms: float

    @property
    def passed(self) -> bool:
        """Tell whether all is as expected."""
        return not self.misses

    @property
    def status(self) -> str:
        """Give how the run ended, or stands."""
        return stands(self.played)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A test file with what its cases need: `names` by case where the workflow could be loaded."""

    file: TestFile
    names: dict[str, Names] = field(default_factory=dict[str, Names])

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Give what is wrong with it."""
        return self.file.problems


class Suite:
    """Reads and runs the tests of one project."""

    def __init__(self, settings: Settings) -> None:
        """Read nothing yet."""
        self._settings = settings
        self._finder = workflow_finder(settings)
        self._loaded: dict[str | Path, Loaded] = {}
        self._names: dict[str, Names] = {}
        self._checked: dict[Path, Checked] = {}
        project = settings.project
        self._functions = functions.Registry(functions.catalog(project), project, trust.user_store())

    # Files

    def folders(self) -> list[Path]:
        """Give where tests are looked for."""
        further = [self._settings.path(text) for text in self._settings.workflows_paths]
        return [*(self._settings.project.root / name for name in PLACES), *further]

    def files(self) -> list[Path]:
        """List every test file of the project."""
        return list(dict.fromkeys(path.resolve() for folder in self.folders() for path in tests_below(folder)))

    def check(self, path: Path) -> Checked:
        """Read a test file and hold it against its workflows, once; never raises for what it holds."""
        path = path.resolve()
        if path not in self._checked:
            self._checked[path] = self._check(path)
        return self._checked[path]

    def _check(self, path: Path) -> Checked:
        file = read_tests(path, self._shown(path))
        problems = list(file.problems)
        names: dict[str, Names] = {}
        for case in file.cases:
            try:
                names[case.name] = self._names_of(self._workflow(case))
            except TreadleError as error:
                problems.append(_workflow_problem(case, error))
            else:
                problems += fit(case, names[case.name])
        found = ordered(problems)
        return Checked(file=replace(file, problems=found, cases=() if found else file.cases), names=names)

    def workflow_name(self, case: Case) -> str:
        """Give the declared name of the workflow of a case. Raises TreadleError."""
        return self._workflow(case).name

    async def run(self, case: Case, names: Names) -> Verdict:
        """Run one case."""
        began = time.perf_counter()
        case = replace(case, script=case.script.fresh())
        played = await play(
            names.definition, case.script, case.inputs, functions=self._functions, user=case.user, clock_ms=case.clock_ms,
            signals=case.signals,
        )  # fmt: skip
        misses = tuple(judge(case, played))
        return Verdict(case=case, played=played, misses=misses, took_ms=(time.perf_counter() - began) * 1000)

    def _shown(self, path: Path) -> str:
        for base in (Path.cwd(), self._settings.project.root):
            if path.is_relative_to(base):
                return path.relative_to(base).as_posix()
        return str(path)

    # Workflows

    def _workflow(self, case: Case) -> Loaded:
        wanted = _beside(case) if not case.workflow else _meant(case)
        found = self._loaded.get(wanted)
        if found is None:
            found = self._loaded[wanted] = self._finder.load_named(wanted)
        return found

    def _names_of(self, loaded: Loaded) -> Names:
        found = self._names.get(loaded.shown)
        if found is None:
            found = self._names[loaded.shown] = Names(definition=loaded.require())
        return found


def tests_below(folder: Path) -> Iterator[Path]:
    """Give the test files of a folder and those below it; hidden ones are not looked at."""
    if not folder.is_dir():
        return
    for path in sorted(folder.rglob("*.test.*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.name.endswith(SUFFIXES) and not hidden and path.is_file():
            yield path


def shared_unused(file: TestFile, verdicts: Sequence[Verdict]) -> list[Entry]:
    """Give the entries beside `cases` that none of its cases used; asked when all of them were run to their end."""
    if len(verdicts) < len(file.cases) or any(verdict.played.trouble is not None for verdict in verdicts):
        return []
    used = {(entry.place.line, entry.place.column) for verdict in verdicts for entry in verdict.case.script.entries if entry.used}
    return [entry for entry in file.shared if not entry.optional and (entry.place.line, entry.place.column) not in used]


def _beside(case: Case) -> Path:
    stem = stem_of(case.path)
    for suffix in _WORKFLOW_SUFFIXES:
        path = case.path.with_name(stem + suffix)
        if path.is_file():
            return path.resolve()
    raise RequestError(
        f"the case says no `workflow`, and there is no {stem}.yaml beside {case.path.name}",
        code="unknown_workflow",
        hint="write `workflow: NAME`, or put the test beside its workflow",
    )


def _meant(case: Case) -> str | Path:
    """Give a workflow as written: a file is meant from where the test stands, then from where the project is."""
    written = case.workflow
    if "/" not in written and not written.endswith(_WORKFLOW_SUFFIXES):
        return written
    beside = case.path.parent / written
    return beside.resolve() if beside.is_file() else Path(written)


def _workflow_problem(case: Case, error: TreadleError) -> Problem:
    node = next((root.entries["workflow"] for root in case.nodes if "workflow" in root.entries), None)
    place = place_of(node, case.shown, fallback=case.place)
    message, hint = error.message.splitlines()[0], error.hint
    if isinstance(error, DefinitionError):
        first = next(p for p in error.problems if p.severity == "error")
        message, hint = f"{message} first {first}", f"`treadle validate {first.file}` shows them with their source"
    return Problem(
        code=error.code, severity="error", file=case.shown, line=place.line, column=place.column, path="workflow", message=message,
        suggestion=hint,
    )  # fmt: skip
