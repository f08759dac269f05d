"""`treadle graph`: a workflow drawn, for a terminal, for Markdown (Mermaid), or as a picture (SVG). Nothing of a project is executed."""

from pathlib import Path
from typing import Final

import click
from rich.text import Text

from treadle.authoring import graph_mermaid, graph_svg, graph_text
from treadle.authoring.find import Loaded
from treadle.authoring.graph import Graph, graph_of
from treadle.authoring.problems import DefinitionError, has_errors
from treadle.cli import screen
from treadle.cli.describe import EFFECT_STYLES, target_of, tell_problems
from treadle.cli.frame import Frame, command
from treadle.compose import load_workflow
from treadle.core.errors import RequestError

_COLUMNS_MIN: Final = 40
_ENDINGS: Final = {".svg": "svg", ".mmd": "mermaid", ".mermaid": "mermaid", ".txt": "text"}


@command(
    examples="""\
treadle graph planning:interactive
treadle graph planning:interactive --format mermaid
treadle graph workflows/review.yaml --out review.svg""",
    keys="name, version, format, file (null without --out), graph (the text itself)",
)
@click.argument("workflow", metavar="NAME|FILE")
@click.option(
    "--format", "form", type=click.Choice(["text", "mermaid", "svg"]), help="What to draw; by default text, or what the ending of --out says."
)  # fmt: skip
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write it to a file instead.")
def graph(frame: Frame, workflow: str, form: str | None, out: Path | None) -> int:
    """Draw a workflow: its steps in order, branches, rounds, what happens on errors, and jumps. Starts nothing.

    A file with errors is shown with its errors, and the exit code is 1.
    """
    loaded = load_workflow(frame.settings, target_of(workflow))
    if refused(frame, loaded):
        return 1
    drawn = graph_of(loaded)
    form = form or (_ENDINGS.get(out.suffix.lower(), "text") if out is not None else "text")
    if out is not None:
        _write(out, _text(drawn, form))
    if frame.json:
        text = _text(drawn, form)
        frame.print_json({"name": drawn.name, "version": drawn.version, "format": form, "file": str(out) if out else None, "graph": text})
    elif out is not None:
        screen.say(f"{out}: {loaded.name} as {form}")
    elif form == "text":
        _tell(drawn)
    else:
        click.echo(_text(drawn, form), nl=False)
    return 0


def refused(frame: Frame, loaded: Loaded) -> bool:
    """Tell what is wrong with a file that has errors; False where it has none. Raises DefinitionError where JSON is wanted."""
    if not has_errors(loaded.problems) and loaded.tree.document.root is not None:
        return False
    if frame.json:
        raise DefinitionError(loaded.problems, name=loaded.name or loaded.shown)
    tell_problems(loaded)
    return True


def _text(drawn: Graph, form: str) -> str:
    if form == "svg":
        return graph_svg.svg_of(drawn)
    if form == "mermaid":
        return graph_mermaid.mermaid_of(drawn)
    return "".join(f"{line}\n" for line in graph_text.lines_of(drawn, screen.PLAIN_WIDTH))


def _tell(drawn: Graph) -> None:
    out = screen.console()
    encoding = out.encoding or "ascii"
    try:
        "├└│┆○◇↻…".encode(encoding)
        lines = graph_text.PRETTY
    except (UnicodeEncodeError, LookupError):
        lines = graph_text.PLAIN
    for line in graph_text.lines_of(drawn, max(_COLUMNS_MIN, out.width), lines):
        effect = EFFECT_STYLES.get(line.effect.strip(" []"), "")
        text = Text.assemble((line.lead, "bright_black"), (line.title, "bold"), line.rest, (line.effect, effect))
        if lines is graph_text.PLAIN:
            text = Text(text.plain.replace("…", "~").encode("ascii", "replace").decode())
        text.rstrip()
        screen.say(text)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RequestError(f"{path} cannot be written: {error.strerror or error}", code="bad_file") from error
