"""`treadle list` and `treadle validate`: which workflows there are, and what is wrong with them. Nothing of a project is executed."""

from collections.abc import Iterable
from pathlib import Path

import click
from rich.text import Text

from treadle.authoring.find import Loaded
from treadle.authoring.problems import has_errors, ordered, render, report
from treadle.cli import screen
from treadle.cli.frame import Frame, command
from treadle.compose import list_workflows as listed_workflows
from treadle.compose import load_workflow
from treadle.core.errors import RequestError

_SUFFIXES = (".yaml", ".yml", ".json")


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
    examples="treadle validate workflows/\ntreadle validate planning:interactive\ntreadle validate review.yaml --strict",
    keys="ok, problems [{code, severity, file, line, column, path, message, suggestion}], not_yet [{feature, path, line, file}], files",
)
@click.argument("what", metavar="FILE|DIR|NAME")
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
def validate(frame: Frame, what: str, *, strict: bool) -> int:
    """Check a workflow, or every workflow below a folder: each fault with its line and what to do. Exit code 1 if there are any."""
    folder = Path(what)
    targets: list[str | Path] = _files(folder) if folder.is_dir() else [_absolute(what)]
    loaded = [load_workflow(frame.settings, target) for target in targets]
    problems = ordered(problem for each in loaded for problem in each.problems)
    failed = has_errors(problems, strict=strict)
    if frame.json:
        not_yet = [{"feature": n.feature, "path": n.path, "line": n.line, "file": n.file} for each in loaded for n in each.not_yet]
        frame.print_json({**report(problems, strict=strict), "not_yet": not_yet, "files": [each.shown for each in loaded]})
        return int(failed)
    sources = {file: text for each in loaded for file, text in each.sources.items()}
    if problems:
        screen.say(_coloured(render(problems, sources)))
        screen.say()
    _not_yet(loaded)
    errors = sum(problem.severity == "error" for problem in problems)
    screen.say(_summary(len(loaded), errors, len(problems) - errors, failed=failed))
    return int(failed)


def _summary(files: int, errors: int, warnings: int, *, failed: bool) -> Text:
    word = "failed" if failed else "completed"
    counted = f"{files} file{'s' * (files != 1)}: {errors} error{'s' * (errors != 1)}, {warnings} warning{'s' * (warnings != 1)}"
    return Text.assemble(screen.mark(word), " ", counted)


def _not_yet(loaded: Iterable[Loaded]) -> None:
    for each in loaded:
        for row in each.not_yet:
            message = f"{row.file}:{row.line}: {row.feature} is checked, but this version does not carry it out; a run will not be started"
            screen.say(screen.clean(message), style="yellow")


def _coloured(text: str) -> Text:
    """Dress the rendering: places of errors red, of warnings yellow."""
    shown = Text(screen.clean(text))
    shown.highlight_regex(r"error\[[a-z_]+\]", "bold red")
    shown.highlight_regex(r"warning\[[a-z_]+\]", "bold yellow")
    shown.highlight_regex(r"(?m)^ help: .*$", "cyan")
    return shown


def _files(folder: Path) -> list[str | Path]:
    files: list[str | Path] = [
        path.resolve()
        for path in sorted(folder.rglob("*"))
        if path.suffix in _SUFFIXES and path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    if not files:
        raise RequestError(
            f"there is no workflow file below {folder}",
            code="unknown_workflow",
            hint="workflows are .yaml, .yml or .json files",
        )
    return files


def _absolute(what: str) -> str | Path:
    """A path is meant from where the user stands; a name is looked up."""
    path = Path(what)
    return path.resolve() if path.is_file() else what
