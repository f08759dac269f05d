"""What a workflow is, as data: what it wants, what it does to the world, who does what, and whatever else one wants to know before a run.

One function, so that `treadle describe` and the MCP tool `describe_workflow` say the same. Only what was read from files: nothing of a
project is executed, and a file with warnings, or with features still to be built, is described whole.
"""

from collections.abc import Iterator
from typing import Any, Final

from treadle.authoring import model, outline
from treadle.authoring.check import inferred_reads
from treadle.authoring.find import Loaded
from treadle.authoring.freeze import Part
from treadle.authoring.outline import Outline, Row
from treadle.authoring.problems import has_errors
from treadle.authoring.reads import reads_of
from treadle.authoring.tree import StepTree, Use
from treadle.core.definition import EFFECTS
from treadle.core.values import Json

KEYS: Final = (
    "name, version, description, file, origin, startable, digest, source_digest, problems, not_yet [{feature, file, line}], and without errors also "
    "inputs {NAME: schema}, state, steps [{address, id, type, depth, list, by, performer, effect, description, conditional, does, reads, "
    "reads_inferred, writes, secrets, task, task_shown_at}], effects {EFFECT: [address]}, model_calls [{step, per_item_of, at_most}], budgets "
    "[{at, tokens, usd, calls, wall_ms, on_exceed}], approvals [{step, by, assurance, within_ms, on_timeout, on_reject}], secrets, tools "
    "[{tool, server, effect, steps}], workflows [{name, kind, steps, file, version}], functions [{name, version}], limits"
)
# The field that says in a word what a step works on.
_DOES: Final = {
    "mcp_call": "tool", "shell": "command", "http": "url", "function": "function", "goto": "target", "run": "workflow", "flow": "flow",
    "integration": "integration", "merge": "from", "foreach": "items", "condition": "if", "while": "condition", "repeat": "until",
    "switch": "value", "prompt": "message", "delegate": "instructions", "approve": "show", "fail": "message",
}  # fmt: skip
_CHILDREN: Final = {"run": "workflow", "flow": "flow", "integration": "integration"}
DOES_CHARS_MAX: Final = 200


def describe(loaded: Loaded) -> dict[str, Any]:
    """Describe a loaded workflow; of one with errors only the problems."""
    fields = loaded.tree.fields
    found: dict[str, Any] = {
        "name": loaded.name, "version": _text(fields.get("version"), "0.0.0"), "description": _text(fields.get("description")),
        "file": loaded.shown, "origin": loaded.origin, "startable": loaded.definition is not None, "digest": loaded.digest or None,
        "source_digest": loaded.source_digest, "problems": [problem.to_json() for problem in loaded.problems],
        "not_yet": [{"feature": row.feature, "file": row.file, "line": row.line} for row in loaded.not_yet],
    }  # fmt: skip
    return found if has_errors(loaded.problems) or loaded.tree.document.root is None else found | _whole(loaded)


def _whole(loaded: Loaded) -> dict[str, Any]:
    walked = Outline(loaded)
    rows = list(walked.rows())
    effects = {row.address: walked.effect(row.step) for row in rows}
    main = walked.main.task
    return {
        "inputs": main.inputs,
        "state": main.state_names,
        "steps": [_row(row, effects[row.address], walked) for row in rows],
        "effects": {
            effect: steps
            for effect in EFFECTS[1:]
            if (steps := [row.address for row in rows if effects[row.address] == effect])
        },
        "model_calls": [_model_call(row) for row in rows if row.step.type == "delegate"],
        "budgets": list(_budgets(loaded, rows)),
        "approvals": list(_approvals(rows)),
        "secrets": _secrets(loaded),
        "tools": _tools(rows, effects),
        "workflows": list(_workflows(rows, walked)),
        "functions": [{"name": name, "version": version} for name, version in sorted(_functions(loaded).items())],
        "limits": _limits(loaded),
    }  # fmt: skip


def _row(row: Row, effect: str, walked: Outline) -> dict[str, Any]:
    step = row.step
    task = walked.task_of(step, row.part)
    needs = step.fields.get("needs_state")
    reads = [str(entry) for entry in needs] if isinstance(needs, list) else list(inferred_reads(step))
    found: dict[str, Any] = {
        "address": row.address, "id": step.id, "type": step.type, "depth": row.depth, "list": row.label, "by": outline.who(row),
        "performer": outline.performer_of(step) if step.type not in model.BLOCKS else None,
        "effect": effect, "description": _text(step.fields.get("description")), "conditional": outline.condition_of(step, "when") or None,
        "does": does(step), "reads": reads, "reads_inferred": not isinstance(needs, list), "writes": outline.written(step),
        "secrets": sorted({read.keys[0] for use in step.uses for read in reads_of(use) if read.root == "secrets" and read.keys}),
    }  # fmt: skip
    if task is not None:
        found |= {"task": task.key or task.file.name, "task_shown_at": row.seen_at or None}
    return found


def does(step: StepTree, most: int = DOES_CHARS_MAX) -> str:
    """Say in a line what a step works on, as its author wrote it."""
    main = _DOES.get(step.type, "")
    if step.type in {"condition", "while", "repeat"}:
        text = outline.condition_of(step, main)
    elif step.type == "set_state":
        text = ", ".join(outline.written(step))
    elif step.type == "wait":
        text = next((f"{name} {outline.text_of(step, name)}" for name in ("signal", "duration", "until") if name in step.places), "")
    elif step.type == "parallel":
        text = ", ".join(outline.keys_of(step, "branches"))
    elif step.type == "shell" and not outline.text_of(step, main):
        command = step.places.get(main)
        text = " ".join(node.text for node in outline.scalars_of(command)) if command is not None else ""
    elif step.type in {"foreach", "switch"}:
        text = outline.condition_of(step, main)
    else:
        text = outline.text_of(step, main)
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def _model_call(row: Row) -> dict[str, Any]:
    retry = row.step.fields.get("retry")
    attempts = retry.get("attempts", 1) if isinstance(retry, dict) else 1
    # An answer that nothing checks is never sent back for mending.
    is_checked = "output" in row.step.fields or "verify" in row.step.fields
    repair = row.step.fields.get("repair", 2) if is_checked else 0
    at_most = attempts * (1 + repair) if isinstance(attempts, int) and isinstance(repair, int) else None
    return {"step": row.address, "per_item_of": list(row.rounds), "at_most": at_most}


def _budgets(loaded: Loaded, rows: list[Row]) -> Iterator[dict[str, Any]]:
    owners: list[tuple[str, object]] = [("", loaded.tree.fields.get("budget"))]
    owners += [(part.key, part.task.fields.get("budget")) for part in loaded.parts[1:]]
    owners += [(row.address, row.step.fields.get("budget")) for row in rows]
    for at, budget in owners:
        if isinstance(budget, dict):
            wall = {"wall_ms": budget["wall"]} if "wall" in budget else {}
            yield {"at": at or loaded.name, **{key: value for key, value in budget.items() if key != "wall"}, **wall}


def _approvals(rows: list[Row]) -> Iterator[dict[str, Any]]:
    for row in rows:
        step, fields = row.step, row.step.fields
        if step.type == "approve":
            on_reject = fields.get("on_reject", "fail")
            yield {
                "step": row.address, "by": outline.who(row).removesuffix(", never an agent"), "assurance": fields.get("assurance", "local"),
                "within_ms": fields.get("within"), "on_timeout": "reject", "on_reject": "do" if isinstance(on_reject, dict) else on_reject,
            }  # fmt: skip
        requires = fields.get("requires")
        if isinstance(requires, dict):
            by = requires.get("by")
            yield {
                "step": row.address, "by": outline.people(by) if isinstance(by, dict) else "a person",
                "assurance": requires.get("assurance", "local"), "within_ms": requires.get("within"), "on_timeout": "reject",
                "on_reject": "fail",
            }  # fmt: skip
        elif isinstance(requires, list):
            yield {
                "step": row.address, "by": f"as decided in {', '.join(map(str, requires))}", "assurance": None, "within_ms": None,
                "on_timeout": None, "on_reject": "fail",
            }  # fmt: skip


def _uses(part: Part) -> Iterator[Use]:
    yield from part.task.uses
    for step in outline.steps_of(part):
        yield from step.uses


def _secrets(loaded: Loaded) -> list[str]:
    """Name the secrets that are declared or read."""
    found = {read.keys[0] for part in loaded.parts for use in _uses(part) for read in reads_of(use) if read.root == "secrets" and read.keys}
    declared = loaded.tree.fields.get("secrets")
    return sorted(found | {str(name) for name in declared}) if isinstance(declared, list) else sorted(found)


def _tools(rows: list[Row], effects: dict[str, str]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        tool = row.step.fields.get("tool")
        if row.step.type != "mcp_call" or not isinstance(tool, str):
            continue
        effect = effects[row.address]
        entry = found.setdefault(tool, {"tool": tool, "server": tool.partition(".")[0], "effect": effect, "steps": []})
        entry["steps"].append(row.address)
        # The strongest of what its steps say.
        entry["effect"] = max(entry["effect"], effect, key=lambda each: (*EFFECTS, each).index(each))
    return [found[name] for name in sorted(found)]


def _workflows(rows: list[Row], walked: Outline) -> Iterator[dict[str, Any]]:
    """Give the tasks and child workflows that are used, in the order in which they are first named."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        step = row.step
        task = walked.task_of(step, row.part)
        if task is not None:
            file = task.file.document.source.file
            entry: dict[str, Any] = {"name": task.key or task.file.name, "kind": "task", "steps": [], "file": file, "version": None}
        elif step.type in _CHILDREN:
            name = _text(step.fields.get(_CHILDREN[step.type]))
            version = step.fields.get("version")
            entry = {"name": name, "kind": step.type, "steps": [], "file": None, "version": version}
        else:
            continue
        found.setdefault((entry["kind"], entry["name"]), entry)["steps"].append(row.address)
    yield from found.values()


def _functions(loaded: Loaded) -> dict[str, str | None]:
    """Give the registered functions that are called, with their versions where an expression calls them."""
    found: dict[str, str | None] = {}
    for part in loaded.parts:
        for step in outline.steps_of(part):
            name = step.fields.get("function")
            if step.type == "function" and isinstance(name, str):
                found.setdefault(name, None)
        for use in _uses(part):
            found |= {call.function: call.version for call in use.expr.calls}
    return found


def _limits(loaded: Loaded) -> dict[str, Json]:
    limits = loaded.tree.fields.get("limits")
    return dict(limits) if isinstance(limits, dict) else {}


def _text(value: object, default: str = "") -> str:
    return value if isinstance(value, str) else default
