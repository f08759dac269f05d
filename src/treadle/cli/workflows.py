"""`treadle list` and `treadle validate`: which workflows there are, and what is wrong with them. Nothing of a project is executed."""

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import click
from rich.text import Text

from treadle.authoring.find import Loaded
from treadle.authoring.problems import Problem, has_errors, ordered, report
from treadle.authoring.tree import NotYet
from treadle.authoring.yaml_reader import FILE_BYTES_MAX
from treadle.cli import mending, screen
from treadle.cli.frame import Frame, command
from treadle.cli.problems import show
from treadle.compose import list_workflows as listed_workflows
from treadle.compose import load_workflows
from treadle.core.errors import RequestError

SHOWN_MAX: Final = 100
_SUFFIXES: Final = (".yaml", ".yml", ".json")
_STEPS: Final = re.compile(rb"^[\"']?steps[\"']?[ \t]*:|\"steps\"\s*:", re.MULTILINE)


@command(
    name="list",
    examples="treadle list\ntreadle list --json",
    keys="workflows [{name, version, description, origin, file, status, problem, hidden_by}]",
)
def list_workflows(frame: Frame) -> None:
    """List the workflows that can be run here, with where each comes from; broken ones too."""
    rows = listed_workflows(frame.settings)
    if frame.json:
        frame.print_json({
            "workflows": [
                {"name": r.name, "version": r.version, "description": r.description, "origin": r.origin, "file": r.shown,
                 "status": r.status, "problem": r.problem or None, "hidden_by": r.hidden_by or None}
                for r in rows
            ]
        })  # fmt: skip
        return
    words = {"ready": "completed", "broken": "failed", "not_yet": "skipped"}
    cells = [
        [
            Text(row.name, style="bold" if not row.hidden_by else "bright_black"), screen.worded(words[row.status], row.status.replace("_", " ")),
            Text(row.shown, style="bright_black"), Text(screen.clean(row.problem or row.description, lines=False)),
        ]
        for row in rows
    ]  # fmt: skip
    screen.say(screen.table(["name", "status", "file", "about"], cells, wide=(3, 2)))


@command(
    examples=(
        "treadle validate workflows/\ntreadle validate planning:interactive\ntreadle validate review.yaml deploy.yaml --strict\n"
        "treadle validate - < review.yaml\ntreadle validate workflows/ --diff\ntreadle validate workflows/ --fix"
    ),
    keys=(
        "ok, problems [{code, severity, file, line, column, path, message, suggestion}], not_yet [{feature, path, line, file}], files, "
        "skipped [file]; with --fix or --diff also fixed [{code, file, line, column, before, after}] and diff"
    ),
)
@click.argument("what", metavar="FILE|DIR|NAME|-...", nargs=-1, required=True)
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
@click.option("--quiet", "-q", is_flag=True, help="One line per problem, and nothing where there is none.")
@click.option("--all", "everything", is_flag=True, help=f"Show more than the first {SHOWN_MAX} problems.")
@click.option("--fix", is_flag=True, help="Mend what has one certain remedy, in the files; then tell what is left.")
@click.option("--diff", is_flag=True, help="Show what --fix would change, and change nothing.")
def validate(frame: Frame, what: tuple[str, ...], *, strict: bool, quiet: bool, everything: bool, fix: bool, diff: bool) -> int:
    """Check workflows: files, every workflow below a folder, names, or `-` for standard input. Exit code 1 where something is wrong.

    Each fault is shown with its line and what to do. Nothing of the project is executed.
    """
    found = _targets(what)
    mended = mending.mend_all(frame.settings, found.targets, write=not diff) if fix or diff else []
    loaded = load_workflows(frame.settings, found.targets)
    problems = ordered(problem for each in loaded for problem in each.problems)
    failed = has_errors(problems, strict=strict)
    if frame.json:
        not_yet = [{"feature": n.feature, "path": n.path, "line": n.line, "file": n.file} for n in _not_yet(loaded)]
        files = [each.shown for each in loaded]
        also = mending.as_json(mended) if fix or diff else {}
        frame.print_json({**report(problems, strict=strict), "not_yet": not_yet, "files": files, "skipped": found.skipped, **also})
        return int(failed)
    if diff:
        mending.show_difference(mended)
        return int(failed)
    if fix and not quiet:
        mending.show_fixed(mended)
    shown = problems if everything else problems[:SHOWN_MAX]
    if quiet:
        for problem in shown:
            screen.say(screen.clean(str(problem), lines=False))
    else:
        _tell(loaded, shown)
    if len(shown) < len(problems):
        screen.say(f"… and {len(problems) - len(shown):,} more; `--all` shows them, `--json` too", style="bright_black")
    if not quiet:
        errors = sum(problem.severity == "error" for problem in problems)
        screen.say(_summary(len(loaded), errors, len(problems) - errors, len(found.skipped), failed=failed))
    return int(failed)


def _tell(loaded: Sequence[Loaded], problems: Sequence[Problem]) -> None:
    if problems:
        show(problems, {file: text for each in loaded for file, text in each.sources.items()})
        screen.say()
    for row in _not_yet(loaded):
        message = f"{row.file}:{row.line}: {row.feature} is checked, but this version does not carry it out; a run will not be started"
        screen.say(screen.clean(message), style="yellow")


def _summary(files: int, errors: int, warnings: int, skipped: int, *, failed: bool) -> Text:
    word = "failed" if failed else "completed"
    counted = f"{_counted(files, 'file')}: {_counted(errors, 'error')}, {_counted(warnings, 'warning')}"
    also = f"; {_counted(skipped, 'file')} skipped that {'is no workflow' if skipped == 1 else 'are no workflows'}" if skipped else ""
    return Text.assemble(screen.mark(word), " ", counted, (also, "bright_black"))


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def _not_yet(loaded: Iterable[Loaded]) -> list[NotYet]:
    return list(dict.fromkeys(row for each in loaded for row in each.not_yet))


@dataclass(slots=True)
class _Targets:
    """What is checked, and which files of folders were left out."""

    targets: list[str | Path | bytes] = field(default_factory=list[str | Path | bytes])
    skipped: list[str] = field(default_factory=list[str])


def _targets(what: Sequence[str]) -> _Targets:
    found = _Targets()
    for written in what:
        path = Path(written)
        if written == "-":
            found.targets.append(sys.stdin.buffer.read(FILE_BYTES_MAX + 1))
        elif path.is_dir():
            _below(path, found)
        elif path.exists() and not path.is_file():
            raise RequestError(f"{written} is no regular file", code="unreadable", hint="`-` reads standard input")
        elif path.is_symlink() and not path.exists():
            raise RequestError(f"{written} is a link that leads nowhere", code="unreadable")
        else:
            # A path is meant from where the user stands; a name is looked up.
            found.targets.append(path.resolve() if path.is_file() else written)
    return found


def _below(folder: Path, found: _Targets) -> None:
    """Take the workflows below a folder: in a project's own places every file, elsewhere those that have `steps`."""
    before = len(found.targets)
    own = any(part in {"workflows", ".treadle"} for part in folder.resolve().parts)
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).parts
        if path.suffix not in _SUFFIXES or any(part.startswith(".") or part == "node_modules" for part in inside) or not path.is_file():
            continue
        if path.stem.endswith(".test") or not (own or "workflows" in inside or _has_steps(path)):
            found.skipped.append(path.as_posix())
        else:
            found.targets.append(path.resolve())
    if len(found.targets) == before:
        raise RequestError(
            f"there is no workflow file below {folder}",
            code="unknown_workflow",
            hint="workflows are .yaml, .yml or .json files with `steps`; `treadle init` makes one",
        )


def _has_steps(path: Path) -> bool:
    """Tell whether a file looks like a workflow; what cannot be read does, so that it is told."""
    try:
        with path.open("rb") as file:
            return _STEPS.search(file.read(FILE_BYTES_MAX)) is not None
    except OSError:
        return True
