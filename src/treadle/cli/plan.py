"""`treadle plan`: the steps of a run as they would be handed out for given inputs. Starts nothing, calls nothing, stores nothing."""

from pathlib import Path
from typing import Any, Final

import click
import orjson
from rich.text import Text

from treadle.authoring import plan as planning
from treadle.cli import screen, values
from treadle.cli.describe import EFFECT_STYLES, target_of
from treadle.cli.frame import Frame, command
from treadle.cli.graph import refused
from treadle.compose import load_workflow
from treadle.core.errors import RequestError
from treadle.core.values import encode

_LINES_MAX: Final = 6
_VALUE_CHARS_MAX: Final = 160
_DIM: Final = "bright_black"
# The field that is shown as text of its own; the others stand beside their names.
_MAIN: Final = {"prompt": "message", "delegate": "instructions", "approve": "show", "fail": "message"}
# What says nothing beside the rest.
_LEFT_OUT: Final = frozenset(
    {"tool", "task", "output", "format", "agent", "performer", "repair", "max_iterations", "on_item_error", "max_parallel"}
)


@command(
    examples="""\
treadle plan planning:interactive -i task_description="Move to Python 3.13"
treadle plan workflows/review.yaml --inputs inputs.yaml --json
treadle plan nightly --out nightly.plan.json""",
    keys=planning.KEYS,
)
@click.argument("workflow", metavar="NAME|FILE")
@click.option("--input", "-i", "inputs", multiple=True, metavar="NAME=VALUE", help="An input; may be repeated.")
@click.option("--inputs", "file", metavar="FILE", help="Inputs from a JSON or YAML file; - is standard input.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write the JSON to a file.")
def plan(frame: Frame, workflow: str, inputs: tuple[str, ...], file: str | None, out: Path | None) -> int:
    """Show the steps of a run as they would be handed out: order, performers, tools, texts, expected answers. Starts nothing.

    What inputs decide is decided; the rest stays open, and ⟨state.plan⟩ names what is missing. The same definition and inputs give the same
    JSON, byte for byte. A file with errors is shown with its errors, and the exit code is 1.
    """
    loaded = load_workflow(frame.settings, target_of(workflow))
    if refused(frame, loaded):
        return 1
    declared: Any = loaded.tree.main.inputs
    given = values.clean_value(values.read_inputs(inputs, file, declared))
    assert isinstance(given, dict)
    made = planning.plan_of(loaded, given)
    if out is not None:
        _write(out, made)
    if frame.json:
        frame.print_json(made)
    elif out is not None:
        screen.say(f"{out}: the plan of {loaded.name}")
    else:
        _tell(made)
    return 0


def _write(path: Path, made: dict[str, Any]) -> None:
    try:
        path.write_bytes(orjson.dumps(made, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    except OSError as error:
        raise RequestError(f"{path} cannot be written: {error.strerror or error}", code="bad_file") from error


def _tell(made: dict[str, Any]) -> None:
    screen.say(Text.assemble(("plan of ", _DIM), (made["workflow"], "bold"), f" {made['version']}", ("; nothing was started", _DIM)))
    for name, value in made["inputs"].items():
        screen.say(f"  {name} = {screen.short(encode(value), _VALUE_CHARS_MAX)}", style=_DIM)
    if made["not_yet"]:
        listed = screen.clean(", ".join(made["not_yet"]), lines=False)
        screen.hang(Text(f"  a run will not be started: this version does not carry out {listed}", style="yellow"), 4)
    screen.say()
    _list(made["steps"], "")
    if made["finally"]:
        screen.say("finally, whatever happened:", style="cyan")
        _list(made["finally"], "  ")


def _list(steps: list[dict[str, Any]], lead: str) -> None:
    for step in steps:
        _step(step, lead)


def _step(step: dict[str, Any], lead: str) -> None:
    line = Text.assemble(lead, (step["action"], "bold"), f"  {step['type']}")
    tool = step.get("with", {}).get("tool")
    line.append(f" {tool}" if tool else "")
    if step["performer"] is not None or step["by"] != "treadle":
        line.append(f"  {step['by']}", style=_DIM)
    if step["effect"] != "none":
        line.append(f"  [{step['effect']}]", style=EFFECT_STYLES[step["effect"]])
    if step.get("skipped"):
        screen.say(Text.assemble(line, ("  skipped: its `when` does not hold", _DIM)))
        return
    if step["reached"] == "perhaps" and "when" not in step:
        line.append("  perhaps", style="yellow")
    screen.hang(line, len(lead) + 4)
    inner = lead + "    "
    if "when" in step:
        screen.say(f"{inner}only when {screen.clean(step['when']['text'], lines=False)}", style="yellow")
    _given(step, inner)
    for fault in step.get("faults", ()):
        screen.hang(Text(f"{inner}would fail: {screen.clean(fault, lines=False)}", style="red"), len(inner) + 2)
    _lists(step, lead + "  ")


def _given(step: dict[str, Any], lead: str) -> None:
    main = _MAIN.get(step["type"], "")
    for name, value in step.get("with", {}).items():
        if name == main:
            _text(value, lead)
        elif name not in _LEFT_OUT:
            screen.hang(Text.assemble((f"{lead}{name}: ", _DIM), screen.short(_shown(value), _VALUE_CHARS_MAX)), len(lead) + 2)
    if step["type"] in {"prompt", "delegate"} and step.get("expected"):
        screen.hang(Text.assemble((f"{lead}answer: ", _DIM), screen.short(encode(step["expected"]), _VALUE_CHARS_MAX)), len(lead) + 2)


def _text(value: Any, lead: str) -> None:
    lines = screen.clean(_shown(value)).strip("\n").splitlines()
    for line in lines[:_LINES_MAX]:
        screen.hang(Text(f"{lead}| {line}"), len(lead) + 2)
    if len(lines) > _LINES_MAX:
        screen.say(f"{lead}| … {len(lines) - _LINES_MAX} more lines; --json has them", style=_DIM)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else encode(value)


def _lists(step: dict[str, Any], lead: str) -> None:
    decides = step.get("decides")
    if decides is not None:
        word = {"foreach": "for each item of", "while": "while", "repeat": "until", "switch": "by"}.get(step["type"], "if")
        known = f": {step['decided']}" if "decided" in step else ", not known before" if decides.get("holes") else ""
        screen.say(Text.assemble((f"{lead}  {word} {screen.clean(decides['text'], lines=False)}", "cyan"), known))
    for each in step.get("lists", ()):
        if "rounds_not_shown" in each:
            screen.say(f"{lead}  … and {each['rounds_not_shown']:,} more rounds alike", style=_DIM)
            continue
        number = f" {each['index']}" if "index" in each else ""
        screen.say(f"{lead}{screen.clean(each['label'], lines=False)}{number}:", style="cyan")
        _list(each["steps"], lead + "  ")
