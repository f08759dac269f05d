"""Showing problems of a file in a terminal: the rendering of `treadle.authoring.problems` with its colours, cut to the terminal's width."""

from collections.abc import Sequence
from typing import Final

from rich.text import Text

from treadle.authoring.problems import COLUMNS_MAX, Problem, rendered
from treadle.cli import screen

_GUTTER_COLUMNS: Final = 10
_COLUMNS_MIN: Final = 30
_STYLES: Final = {
    "place": "bold", "error": "bold red", "warning": "bold yellow", "message": "", "gutter": "bright_black", "source": "",
    "error_mark": "bold red", "warning_mark": "bold yellow", "help": "cyan",
}  # fmt: skip


def show(problems: Sequence[Problem], sources: dict[str, str]) -> None:
    """Print problems, each with its line and what to do."""
    out = screen.console()
    columns = max(_COLUMNS_MIN, min(COLUMNS_MAX, out.width - _GUTTER_COLUMNS)) if out.is_terminal else COLUMNS_MAX
    for line in rendered(problems, sources, columns):
        screen.say(Text.assemble(*((piece.text, _STYLES[piece.role]) for piece in line)))
