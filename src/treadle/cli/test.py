"""`treadle test`: play workflows by the answers in their test files, and tell what is not as expected. Nothing outside is called."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import click
from rich.text import Text

from treadle.cli import screen
from treadle.cli.frame import Frame, command
from treadle.cli.problems import show
from treadle.core.errors import RequestError
from treadle.core.nearest import nearest
from treadle.testing import report
from treadle.testing.junit import write_junit
from treadle.testing.reading import SUFFIXES, Case
from treadle.testing.script import compiled
from treadle.testing.suite import Checked, Suite, Verdict, shared_unused, tests_below

_MORE: Final = """\
A test file
workflows/review.test.yaml beside workflows/review.yaml, or in tests/ with `workflow: NAME`:
  inputs: {branch: main}
  answers:
    - {match: ask, answer: "Dark mode."}
    - {match: publish, approve: true, after: 2h}
    - {match: save, answer: {ok: true}}              what the tool answers; it is not called
  expect:
    status: completed
    order: [ask, publish, save]
Every field: docs/reference/test-files.md. `treadle test --init RUN` writes one from a run."""
_HOW: Final = "write one beside a workflow (workflows/NAME.test.yaml), or have it written from a finished run: `treadle test --init last`"


@dataclass(slots=True, kw_only=True)
class _File:
    """A test file, what became of its cases, and what is wrong with the file as a whole."""

    checked: Checked
    chosen: list[Case]
    verdicts: list[Verdict] = field(default_factory=list[Verdict])
    unused: list[str] = field(default_factory=list[str])

    @property
    def faults(self) -> list[str]:
        return [*map(str, self.checked.problems), *self.unused]


@dataclass(slots=True, kw_only=True)
class _Tally:
    """All files of one call."""

    files: list[_File]
    took_ms: float = 0.0

    @property
    def verdicts(self) -> list[Verdict]:
        return [verdict for each in self.files for verdict in each.verdicts]

    @property
    def ok(self) -> bool:
        return all(verdict.passed for verdict in self.verdicts) and not any(each.faults for each in self.files)


@command(
    name="test",
    examples=(
        "treadle test\ntreadle test workflows/review.test.yaml\ntreadle test planning:interactive -x\ntreadle test tests/ -k rejected\n"
        "treadle test --junit report.xml\ntreadle test --init last --out workflows/review.test.yaml"
    ),
    keys=(
        "ok, passed, failed, broken, took_ms, cases [{file, name, line, ok, status, took_ms, misses [{code, message, file, line, column, "
        "differences [{path, expected, came, hint}], snippet}], order, story [{at_ms, word, path, text}]}], problems [{code, severity, file, "
        "line, column, path, message, suggestion}], unused [text]; with --init: file, text, passes"
    ),
    more=_MORE,
)
@click.argument("what", metavar="[FILE|DIR|NAME]...", nargs=-1)
@click.option("-k", "only", metavar="PATTERN", default="", help="Only cases whose `FILE::NAME` holds this text (* stands for anything).")
@click.option("-x", "first", is_flag=True, help="Stop at the first case that fails.")
@click.option("--verbose", "-v", is_flag=True, help="Tell what happened in each case.")
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Also write a report as JUnit XML.")
@click.option("--init", "run", metavar="RUN", help="Write a test from a finished run, and run nothing else.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="With --init: write it here, not to the terminal."
)
async def test(
    frame: Frame, what: tuple[str, ...], *, only: str, first: bool, verbose: bool, junit: Path | None, run: str | None, out: Path | None,
) -> int:  # fmt: skip
    """Run tests of workflows: those of the project, of the files and folders given, or of a workflow by name.

    Performers, people and tools answer by the file; time is the test's own. Exit code 1 where something is not as expected.
    """
    if run is not None:
        # Reading a run and writing a file of it: no other test needs that.
        from treadle.cli.test_init import write_test

        return await write_test(frame, run, out)
    if out is not None:
        raise RequestError("--out belongs to --init", code="usage", hint="treadle test --init RUN --out FILE")
    began = time.perf_counter()
    suite = Suite(frame.settings)
    tally = _Tally(files=_files(suite, what, only))
    for file in tally.files:
        await _run(suite, file, first=first, quiet=frame.json, verbose=verbose)
        if first and not tally.ok:
            break
    tally.took_ms = (time.perf_counter() - began) * 1000
    if junit is not None:
        _write_junit(junit, tally)
    if frame.json:
        frame.print_json(_json(tally))
    else:
        _tell(tally)
    return 0 if tally.ok else 1


async def _run(suite: Suite, file: _File, *, first: bool, quiet: bool, verbose: bool) -> None:
    if not quiet:
        screen.say(Text(screen.clean(file.checked.file.shown, lines=False), style="bold"))
        if file.checked.problems:
            count = len(file.checked.problems)
            screen.say(
                Text.assemble("  ", screen.mark("failed"), f" the file has {count} problem{'s' * (count != 1)}; none of its cases was run")
            )
    for case in file.chosen:
        verdict = await suite.run(case, file.checked.names[case.name])
        file.verdicts.append(verdict)
        if not quiet:
            _line(verdict, verbose=verbose)
        if first and not verdict.passed:
            return
    file.unused = [
        f"{entry.place}: {entry.unused} by any case; `optional: true` allows that"
        for entry in shared_unused(file.checked.file, file.verdicts)
    ]
    if not quiet:
        for fault in file.unused:
            screen.say(Text.assemble("  ", screen.mark("failed"), " ", screen.clean(fault)))


# Which


def _files(suite: Suite, what: Sequence[str], only: str) -> list[_File]:
    """Choose files and cases. Raises RequestError where there is nothing to run."""
    found: dict[Path, _File] = {}
    for each in what or ("",):
        for file in _meant(suite, each):
            known = found.setdefault(file.checked.file.path, file)
            known.chosen += [case for case in file.chosen if not any(case is other for other in known.chosen)]
    files = list(found.values())
    if only:
        pattern = compiled(f"**{only.lower().replace('*', '**')}**")
        for file in files:
            file.chosen = [case for case in file.chosen if pattern.fullmatch(str(case).lower())]
        files = [file for file in files if file.chosen]
        if not files:
            raise RequestError(f"no case has {only!r} in its name", code="no_tests", hint="`treadle test` shows them all")
    return files


def _meant(suite: Suite, what: str) -> list[_File]:
    name, _, case = what.partition("::")
    path = Path(name)
    if not what:
        return _checked(suite, suite.files(), "this project has no tests")
    if path.is_dir():
        return _checked(suite, list(tests_below(path)), f"there is no test below {name}")
    if path.is_file():
        return [_of_file(suite, path, case)]
    return _of_workflow(suite, name)


def _checked(suite: Suite, paths: Sequence[Path], nothing: str) -> list[_File]:
    if not paths:
        raise RequestError(nothing, code="no_tests", hint=_HOW)
    checked = [suite.check(path) for path in paths]
    return [_File(checked=each, chosen=list(each.file.cases)) for each in checked]


def _of_file(suite: Suite, path: Path, name: str) -> _File:
    if not path.name.endswith(SUFFIXES):
        beside = next((path.with_name(path.stem + suffix) for suffix in SUFFIXES if path.with_name(path.stem + suffix).is_file()), None)
        hint = f"its test is {beside}" if beside is not None else _HOW
        raise RequestError(f"{path} is no test file: those end in {', '.join(SUFFIXES)}", code="no_tests", hint=hint)
    checked = suite.check(path)
    cases = [case for case in checked.file.cases if not name or case.name == name]
    if not cases and not checked.problems:
        names = [case.name for case in checked.file.cases]
        near = nearest(name, names)
        hint = f"did you mean {near!r}?" if near else f"its cases: {', '.join(names)}"
        raise RequestError(f"{path} has no case {name!r}", code="no_tests", hint=hint)
    return _File(checked=checked, chosen=cases)


def _of_workflow(suite: Suite, name: str) -> list[_File]:
    """Choose the cases of a workflow that is named; a broken file cannot say which it tests, and is told."""
    files = _checked(suite, suite.files(), "this project has no tests")
    known: dict[str, None] = {}
    found: list[_File] = []
    for file in files:
        names = {case.name: suite.workflow_name(case) for case in file.chosen}
        known |= dict.fromkeys(names.values())
        file.chosen = [case for case in file.chosen if names[case.name] == name]
        if file.chosen:
            found.append(file)
    if not found:
        near = nearest(name, known)
        broken = [file.checked.file.shown for file in files if file.checked.problems]
        hint = f"did you mean {near}?" if near else f"tested are: {', '.join(known) or 'none'}"
        hint += f"; not readable: {', '.join(broken)}" if broken else ""
        raise RequestError(f"there is no file or folder {name!r}, and no test of a workflow of that name", code="no_tests", hint=hint)
    return found


# Telling


def _line(verdict: Verdict, *, verbose: bool) -> None:
    mark = screen.mark("completed" if verdict.passed else "failed")
    name = screen.clean(verdict.case.name, lines=False)
    screen.say(Text.assemble("  ", mark, " ", name, (f"  {verdict.took_ms:.1f} ms", "bright_black")))
    if verbose:
        if verdict.case.description:
            screen.say(f"      {screen.clean(verdict.case.description)}", style="bright_black")
        for line in list(report.story_lines(verdict, most=1_000))[1:]:
            screen.say(f"    {screen.clean(line, lines=True)}", style="bright_black")


def _tell(tally: _Tally) -> None:
    for file in tally.files:
        if file.checked.problems:
            screen.say()
            show(file.checked.problems, {file.checked.file.shown: file.checked.file.document.source.text})
    for verdict in tally.verdicts:
        if not verdict.passed:
            _tell_failed(verdict)
    screen.say()
    screen.say(_summary(tally))


def _tell_failed(verdict: Verdict) -> None:
    screen.say()
    screen.say(Text.assemble(screen.mark("failed"), " ", (screen.clean(str(verdict.case), lines=False), "bold")))
    for line in report.miss_lines(verdict):
        screen.say(_dressed(f"  {screen.clean(line)}"))
    for line in report.story_lines(verdict):
        screen.say(f"  {screen.clean(line)}", style="bright_black")


def _dressed(line: str) -> Text:
    text = Text(line)
    word = line.split(maxsplit=1)[0] if line.strip() else ""
    if word == report.EXPECTED and line.startswith("      "):
        text.stylize("green")
    elif word == report.CAME and line.startswith("      "):
        text.stylize("red")
    return text


def _summary(tally: _Tally) -> Text:
    passed = sum(verdict.passed for verdict in tally.verdicts)
    failed = len(tally.verdicts) - passed
    broken = sum(bool(file.faults) for file in tally.files)
    parts = [
        f"{passed} passed",
        *([f"{failed} failed"] if failed else []),
        *([f"{broken} file{'s' * (broken != 1)} with problems"] if broken else []),
    ]
    word = "completed" if tally.ok else "failed"
    return Text.assemble(screen.mark(word), " ", (", ".join(parts), screen.STYLES[word]), f" in {screen.duration(tally.took_ms)}")


def _json(tally: _Tally) -> dict[str, Any]:
    passed = sum(verdict.passed for verdict in tally.verdicts)
    return {
        "ok": tally.ok, "passed": passed, "failed": len(tally.verdicts) - passed, "broken": sum(bool(file.faults) for file in tally.files),
        "took_ms": round(tally.took_ms, 3), "cases": [report.verdict_json(verdict) for verdict in tally.verdicts],
        "problems": [problem.to_json() for file in tally.files for problem in file.checked.problems],
        "unused": [fault for file in tally.files for fault in file.unused],
    }  # fmt: skip


def _write_junit(path: Path, tally: _Tally) -> None:
    try:
        write_junit(path, [(file.checked, file.verdicts, file.faults) for file in tally.files])
    except OSError as error:
        raise RequestError(f"{path} cannot be written: {error.strerror or error}", code="bad_file") from error
