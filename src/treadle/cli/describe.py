"""`treadle describe`: what a workflow wants, does and may cost, before anything of it is started. Nothing of a project is executed."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import click
from rich.text import Text

from treadle.authoring import describe as described
from treadle.authoring.find import Loaded
from treadle.authoring.problems import has_errors
from treadle.cli import problems, screen
from treadle.cli.frame import Frame, command
from treadle.compose import load_workflow
from treadle.core.values import encode

EFFECT_STYLES: Final = {
    "read": "green", "write": "yellow", "send": "bold magenta", "pay": "bold red", "destroy": "bold red", "none": "bright_black",
}  # fmt: skip
_DEFAULT_CHARS: Final = 40
_DIM: Final = "bright_black"


@command(
    examples="treadle describe planning:interactive\ntreadle describe workflows/review.yaml\ntreadle describe planning:interactive --json",
    keys=described.KEYS,
)
@click.argument("workflow", metavar="NAME|FILE")
def describe(frame: Frame, workflow: str) -> int:
    """Say what a workflow is: inputs, steps, who does what with which effect, what it may cost, who decides. Starts nothing.

    A file with errors is shown with its errors, and the exit code is 1.
    """
    loaded = load_workflow(frame.settings, target_of(workflow))
    found = described.describe(loaded)
    failed = has_errors(loaded.problems)
    if frame.json:
        frame.print_json(found)
        return int(failed)
    if failed:
        tell_problems(loaded)
        return 1
    _head(found)
    for tell in (_inputs, _steps, _effects, _costs, _approvals, _uses, _rest):
        tell(found)
    if loaded.problems:
        screen.say()
        tell_problems(loaded)
    return 0


def target_of(written: str) -> str | Path:
    """Give what a name or path on a command line means: a path is meant from where the user stands."""
    path = Path(written)
    return path.resolve() if path.is_file() else written


def tell_problems(loaded: Loaded) -> None:
    """Show what is wrong with a file, at its lines."""
    problems.show(loaded.problems, dict(loaded.sources))


def _head(found: dict[str, Any]) -> None:
    screen.say(Text.assemble((found["name"], "bold"), f" {found['version']}   ", (screen.clean(found["file"]), _DIM)))
    if found["description"]:
        screen.say(screen.clean(found["description"]))
    if found["not_yet"]:
        listed = ", ".join(f"{row['feature']} (line {row['line']})" for row in found["not_yet"])
        screen.say(screen.clean(f"a run will not be started: this version does not carry out {listed}"), style="yellow")


def _inputs(found: dict[str, Any]) -> None:
    if not found["inputs"]:
        return
    _title("Inputs")
    rows = [
        [Text(f"  {name}"), Text(_wanted(schema)), Text(screen.clean(str(schema.get("description", "")), lines=False))]
        for name, schema in found["inputs"].items()
    ]
    _grid(rows)


def _wanted(schema: dict[str, Any]) -> str:
    kind = schema.get("type", "one of " + ", ".join(map(str, schema["enum"])) if "enum" in schema else "anything")
    word = kind if isinstance(kind, str) else " or ".join(map(str, kind))
    if schema.get("required") is True:
        return f"{word}, required"
    return f"{word}, default {screen.short(encode(schema['default']), _DEFAULT_CHARS)}" if "default" in schema else word


def _steps(found: dict[str, Any]) -> None:
    _title("Steps")
    rows: list[list[Text]] = []
    lists: list[str] = []
    for step in found["steps"]:
        at = step["address"].rpartition("/")[0]
        # Whenever another list begins, it is named: `then`, `each`, a branch.
        if step["list"] and (not lists or at not in lists):
            rows.append([Text(f"{'  ' * (2 * step['depth'])}{step['list']}:", style="cyan"), Text(), Text(), Text()])
        lists.append(at)
        rows.append(_step(step))
        about = _about(step)
        if about:
            rows.append([Text(f"{'  ' * (2 * step['depth'] + 2)}{about}", style=_DIM)])
    _outline(rows)


def _step(step: dict[str, Any]) -> list[Text]:
    does = step["does"] if step["type"] not in {"prompt", "delegate", "approve"} else ""
    effect = step["effect"] if step["effect"] != "none" else ""
    return [
        Text(f"{'  ' * (2 * step['depth'] + 1)}{step['id']}", style="bold"),
        Text(f"{step['type']} {screen.short(does, 48)}".rstrip()), Text(step["by"] if step["performer"] or step["by"] != "treadle" else ""),
        Text(effect, style=EFFECT_STYLES[step["effect"]]),
    ]  # fmt: skip


def _about(step: dict[str, Any]) -> str:
    parts = [screen.clean(step["description"], lines=False)] if step["description"] else []
    if step["conditional"]:
        parts.append(f"only when {screen.short(step['conditional'], 60)}")
    if step["reads"]:
        parts.append(f"reads {', '.join(step['reads'])}" + (" (inferred)" if step["reads_inferred"] else ""))
    parts += [f"writes {', '.join(step['writes'])}"] if step["writes"] and step["type"] != "set_state" else []
    parts += [f"secrets {', '.join(step['secrets'])}"] if step["secrets"] else []
    parts += [f"its steps are shown under {step['task_shown_at']}"] if step.get("task_shown_at") else []
    return " · ".join(parts)


def _outline(rows: list[list[Text]]) -> None:
    """Print rows with their cells below one another where the width allows, else one after the other."""
    cells = [row for row in rows if len(row) > 1]
    widths = [max((row[index].cell_len for row in cells), default=0) for index in range(4)]
    fits = sum(widths) + 6 <= screen.console().width
    for row in rows:
        line = Text()
        for index, cell in enumerate(row):
            line.append_text(cell)
            line.append("  " if not fits else " " * (widths[index] + 2 - cell.cell_len) if index < len(row) - 1 else "")
        line.rstrip()
        if not fits and screen.console().is_terminal:
            line.truncate(screen.console().width, overflow="ellipsis")
        screen.say(line)


def _effects(found: dict[str, Any]) -> None:
    rows = [[Text(f"  {effect}", style=EFFECT_STYLES[effect]), Text(", ".join(steps))] for effect, steps in found["effects"].items()]
    if rows:
        _title("Effects")
        _grid(rows)


def _costs(found: dict[str, Any]) -> None:
    calls, budgets = found["model_calls"], found["budgets"]
    if not calls and not budgets:
        return
    _title("May cost")
    for call in calls:
        per = "".join(f", per round of {at}" for at in call["per_item_of"])
        answers = "one answer" if call["at_most"] == 1 else f"at most {call['at_most']} answers"
        screen.say(f"  {call['step']}: an agent works, {answers}{per}")
    for budget in budgets:
        words = {"tokens": "tokens", "usd": "USD", "calls": "calls"}
        parts = [f"{budget[key]} {word}" for key, word in words.items() if key in budget]
        parts += [screen.duration(budget["wall_ms"])] if "wall_ms" in budget else []
        screen.say(f"  {budget['at']}: budget {', '.join(parts)}, then {budget.get('on_exceed', 'stop')}")


def _approvals(found: dict[str, Any]) -> None:
    if not found["approvals"]:
        return
    _title("Approvals")
    for gate in found["approvals"]:
        within = f", within {screen.duration(gate['within_ms'])}, else rejected" if gate["within_ms"] is not None else ""
        level = f", assurance {gate['assurance']}" if gate["assurance"] not in {None, "local"} else ""
        after = {"fail": "the step fails", "continue": "the run goes on", "do": "other steps run instead"}[gate["on_reject"]]
        screen.say(f"  {gate['step']}: {gate['by']}{level}{within}; if rejected, {after}")


def _uses(found: dict[str, Any]) -> None:
    lines: list[tuple[str, Iterable[str]]] = [
        ("secrets", found["secrets"]),
        ("tools", (f"{row['tool']} ({row['effect']})" for row in found["tools"])),
        ("workflows", (_child(row) for row in found["workflows"])),
        ("functions", (f"{row['name']} {row['version']}" if row["version"] else row["name"] for row in found["functions"])),
        ("limits", (f"{name} {value}" for name, value in found["limits"].items())),
    ]
    rows = [[Text(f"  {name}"), Text(", ".join(listed))] for name, values in lines if (listed := list(values))]
    if rows:
        _title("Uses")
        _grid(rows)


def _child(row: dict[str, Any]) -> str:
    version = f" {row['version']}" if row["version"] else ""
    return f"{row['name']}{version} ({row['kind']}{', ' + row['file'] if row['file'] else ''})"


def _rest(found: dict[str, Any]) -> None:
    _title("Identity")
    rows = [
        [Text("  definition"), Text(found["digest"] or "none: this version cannot run it")],
        [Text("  source"), Text(found["source_digest"])],
    ]
    _grid(rows)


def _title(text: str) -> None:
    screen.say()
    screen.say(text, style="bold")


def _grid(rows: list[list[Text]]) -> None:
    """Print rows as columns; the last one is wrapped below itself on a terminal."""
    widths = [max(row[index].cell_len for row in rows) for index in range(len(rows[0]) - 1)]
    indent = sum(widths) + screen.GAP * len(widths)
    for row in rows:
        line = Text()
        for width, cell in zip(widths, row, strict=False):
            line.append_text(cell)
            line.append(" " * (width + screen.GAP - cell.cell_len))
        _hanging(line, row[-1], indent)


def _hanging(line: Text, last: Text, indent: int) -> None:
    out = screen.console()
    room = out.width - indent
    if not out.is_terminal or room < screen.NARROW:
        screen.say(Text.assemble(line, last))
        return
    pieces = last.wrap(out, room)
    for number, piece in enumerate(pieces or [Text()]):
        screen.say(Text.assemble(line if number == 0 else " " * indent, piece))
