"""`treadle validate --fix` and `--diff`: what is mended, shown as a difference or as a list. The fixes are in `treadle.authoring.mend`."""

import difflib
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from rich.text import Text

from treadle.authoring.mend import Fixed
from treadle.authoring.mend_files import MendedFile, mend_file
from treadle.cli import screen
from treadle.compose import workflow_finder
from treadle.config.settings import Settings
from treadle.core.errors import RequestError
from treadle.core.values import Json

_LINE = re.compile(r"[^\n]*\n|[^\n]+\Z")
_PIECE_COLUMNS: Final = 60
_DIFF_STYLES: Final = {"+": "green", "-": "red", "@": "cyan"}


def mend_all(settings: Settings, targets: Sequence[str | Path | bytes], *, write: bool) -> list[MendedFile]:
    """Mend files, and write them if asked to. Nothing is written where one of them may not be mended at all."""
    if any(isinstance(target, bytes) for target in targets):
        raise RequestError("standard input cannot be mended", code="not_a_file", hint="save it to a file and name that")
    finder = workflow_finder(settings)
    files = [mend_file(finder, target) for target in dict.fromkeys(targets) if not isinstance(target, bytes)]
    if write:
        for file in files:
            file.write()
    return files


def fixed_in(files: Iterable[MendedFile]) -> list[Fixed]:
    """List what was mended, in the order of the files."""
    return [fixed for file in files if file.mended is not None for fixed in file.mended.fixed]


def difference(file: MendedFile) -> str:
    """Give what mending changes as a unified difference, which `patch -p1` and `git apply` take."""
    if file.mended is None or not file.is_changed:
        return ""
    name = file.shown if not file.shown.startswith(("/", "~")) else file.path.name
    before, after = _LINE.findall(file.mended.before), _LINE.findall(file.mended.text)
    rows = difflib.unified_diff(before, after, f"a/{name}", f"b/{name}")
    return "".join(row if row.endswith("\n") else f"{row}\n\\ No newline at end of file\n" for row in rows)


def show_difference(files: Sequence[MendedFile]) -> None:
    """Print the difference: as it is where it goes to a file or another program, coloured and cleaned on a terminal."""
    for file in files:
        text = difference(file)
        if not screen.console().is_terminal:
            sys.stdout.buffer.write(text.encode())
            continue
        for row in _LINE.findall(text):
            style = "bold" if row.startswith(("+++", "---")) else _DIFF_STYLES.get(row[:1], "")
            screen.say(screen.clean(row.rstrip("\r\n")), style=style)
    sys.stdout.buffer.flush()
    screen.errors().print(_summary(files, written=False))


def show_fixed(files: Sequence[MendedFile]) -> None:
    """Print a line for each problem that was mended: where it stood, and what became of it."""
    arrow = "→" if screen.mark("completed").plain == "✓" else "->"
    for fixed in fixed_in(files):
        before, after = changed_piece(fixed)
        screen.say(
            Text.assemble(
                screen.mark("completed"), f" {screen.clean(fixed.problem.file)}:{fixed.line}:{fixed.column} ", (fixed.problem.code, "bold"),
                " ", (before, "red"), f" {arrow} ", (after, "green"),
            )
        )  # fmt: skip
    screen.say(_summary(files, written=True))
    screen.say()


def as_json(files: Sequence[MendedFile]) -> dict[str, Json]:
    """Give what `--json` prints besides."""
    return {"fixed": [fixed.to_json() for fixed in fixed_in(files)], "diff": "".join(map(difference, files))}


def _summary(files: Sequence[MendedFile], *, written: bool) -> Text:
    """Say in a line how much was mended."""
    count, changed = len(fixed_in(files)), sum(file.is_changed for file in files)
    if not count:
        left = any(file.mended is None or file.mended.ground.problems for file in files)
        return Text("What is wrong here is left to its author." if left else "There is nothing to mend.", style="bright_black")
    verb = "mended" if written else "could be mended by --fix"
    return Text(f"{count} problem{'s' * (count != 1)} in {changed} file{'s' * (changed != 1)} {verb}")


def changed_piece(fixed: Fixed) -> tuple[str, str]:
    """Give the words that differ between a line before and after, for a list."""
    before, after = (re.sub(r"\s+", " ", text.strip()) for text in (fixed.before, fixed.after))
    start = next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), min(len(before), len(after)))
    rest = zip(reversed(before[start:]), reversed(after[start:]), strict=False)
    end = next((i for i, (a, b) in enumerate(rest) if a != b), min(len(before), len(after)) - start)
    while start and not before[start - 1 : start].isspace():
        start -= 1
    while end and not before[len(before) - end].isspace():
        end -= 1
    pieces = [text[start : len(text) - end].strip() for text in (before, after)]
    if not all(pieces):
        pieces = [before, after]
    shown = [screen.short(piece, _PIECE_COLUMNS) or "(removed)" for piece in pieces]
    return shown[0], shown[1]
