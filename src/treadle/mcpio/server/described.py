"""Workflows as `list_workflows` and `describe_workflow` show them: what they want, what they do to the world, and who does what.

Only what was read from files: nothing of a project is executed here (ruling 58). A file that cannot be used is shown with what is wrong.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from treadle.core.definition import EFFECTS, Approve, By, Definition, Delegate, Foreach, McpCall, Prompt, Step
from treadle.core.index import child_lists  # fmt: skip
from treadle.mcpio.server.replies import Reply, json_text, short

if TYPE_CHECKING:
    from treadle.authoring.find import Listed, Loaded

STEPS_SHOWN_MAX: Final = 200
PROBLEMS_SHOWN_MAX: Final = 20
_LISTS: Final = {".then": "then", ".else": "else", "[]": "each", ".on_reject": "on_reject", ".on_error": "on_error"}


def list_reply(rows: "Sequence[tuple[Listed, Definition | None]]", left_out: int) -> Reply:
    """Show workflows; a definition is there where the file can be used."""
    listed = [_listed(row, definition) for row, definition in rows]
    lines = [
        f"{row['name']} ({row['source']}, {row['status']}): {row.get('problem') or row['description'] or 'no description'}"
        + (f" Inputs: {', '.join(row['inputs'])}." if row.get("inputs") else "")
        for row in listed
    ]
    then = "describe_workflow says more of one; start_workflow(workflow=…, inputs={…}) starts it"
    data: dict[str, Any] = {
        "kind": "workflows",
        "workflows": listed,
        **({"left_out": left_out} if left_out else {}),
        "next": then,
    }
    more = [f"{left_out} more are left out; narrow the list with `find`."] if left_out else []
    return Reply(text="\n".join([*(lines or ["There are no workflows here."]), *more, then]), data=data)


def _listed(row: "Listed", definition: Definition | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": row.name, "version": row.version, "description": row.description, "source": row.shown, "status": row.status,
    }  # fmt: skip
    if definition is not None:
        found["inputs"] = {name: _input_short(schema) for name, schema in definition.main.inputs.items()}
    found |= {"problem": row.problem} if row.problem else {}
    return found | ({"hidden_by": row.hidden_by} if row.hidden_by else {})


def _input_short(schema: Mapping[str, Any]) -> str:
    kind = json_text(schema.get("type", "any"))
    if schema.get("required"):
        return f"{kind}, required"
    return f"{kind}, default {short(schema['default'], 40)}" if "default" in schema else kind


def describe_reply(loaded: "Loaded") -> Reply:
    """Show one workflow whole."""
    data: dict[str, Any] = {
        "kind": "workflow", "name": loaded.name, "source": loaded.shown, "origin": loaded.origin,
        "startable": loaded.definition is not None,
    }  # fmt: skip
    if loaded.definition is not None:
        data |= _definition(loaded.definition) | {"digest": loaded.digest}
        inputs = ", ".join(f'"{name}": …' for name in _required(loaded.definition))
        then = f'start_workflow(workflow="{loaded.name}", inputs={{{inputs}}})'
    else:
        then = "it cannot be started; tell the user what is wrong with it"
    faults = [str(problem) for problem in loaded.problems if problem.severity == "error" or loaded.definition is not None]
    data |= {"problems": faults[:PROBLEMS_SHOWN_MAX]} if faults else {}
    data |= {"not_yet": [f"{row.feature} ({row.file}:{row.line})" for row in loaded.not_yet]} if loaded.not_yet else {}
    data["next"] = then
    return Reply(text=_text(data), data=data)


def _required(definition: Definition) -> list[str]:
    return [name for name, schema in definition.main.inputs.items() if schema.get("required")]


def _definition(definition: Definition) -> dict[str, Any]:
    rows = list(_rows(definition, definition.main.steps, "", "you"))
    effects = {effect: [row["step"] for row in rows if row.get("effect") == effect] for effect in EFFECTS[2:]}
    found: dict[str, Any] = {
        "version": definition.version, "description": definition.description, "inputs": definition.main.inputs,
        "steps": rows[:STEPS_SHOWN_MAX], "effects": {effect: steps for effect, steps in effects.items() if steps},
    }  # fmt: skip
    return found | ({"steps_not_shown": len(rows) - STEPS_SHOWN_MAX} if len(rows) > STEPS_SHOWN_MAX else {})


def _rows(definition: Definition, steps: tuple[Step, ...], prefix: str, agent: str) -> Iterator[dict[str, Any]]:
    """Give a row for each step; `agent` is who drives this list."""
    for step in steps:
        name = f"{prefix}{step.id}"
        yield _row(step, name, agent)
        own = "the branch's sub-agent" if isinstance(step.spec, Foreach) and step.spec.agent is not None else agent
        for suffix, inner in child_lists(step):
            yield from _rows(definition, inner, f"{name} {_LISTS[suffix]} / ", own if suffix == "[]" else agent)
        if isinstance(step.spec, Foreach) and step.spec.task is not None:
            yield from _rows(definition, definition.tasks[step.spec.task].steps, f"{name} each / ", own)


def _row(step: Step, name: str, agent: str) -> dict[str, Any]:
    row: dict[str, Any] = {"step": name, "type": _type_name(step), "by": _performer(step, agent)}
    if isinstance(step.spec, McpCall):
        row["tool"] = step.spec.tool
    if step.effect != "none":
        row["effect"] = step.effect
    if step.when is not None:
        row["conditional"] = True
    return row | ({"description": step.description} if step.description else {})


def _type_name(step: Step) -> str:
    letters = type(step.spec).__name__
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in letters).lstrip("_")


def _performer(step: Step, agent: str) -> str:
    match step.spec:
        case Prompt():
            return "the user, through the main agent"
        case Approve(by=By(users=users)):
            return f"a person ({', '.join(users)}), never an agent" if users else "a person, never an agent"
        case Delegate(agent=str(named)) | Foreach(agent=str(named)):
            return "a fresh sub-agent" if named == "@task" else f"the agent {named.removeprefix('@')}"
        case Delegate():
            return agent
        case McpCall() if step.performer == "agent":
            return f"{agent}, with a tool of its own"
        case _:
            return "treadle"


def _text(data: dict[str, Any]) -> str:
    lines = [f"{data['name']} {data.get('version', '')} ({data['source']}): {data.get('description') or 'no description'}"]
    if data.get("inputs"):
        lines += ["Inputs:", *(f"- {name}: {json_text(schema)}" for name, schema in data["inputs"].items())]
    if data.get("steps"):
        lines += ["Steps:", *(_step_line(row) for row in data["steps"])]
    lines += [f"{name}: {json_text(data[name])}" for name in ("steps_not_shown", "effects", "digest") if data.get(name)]
    for name in ("problems", "not_yet"):
        lines += [f"{name}:", *(f"- {row}" for row in data[name])] if data.get(name) else []
    return "\n".join([*lines, data["next"]])


def _step_line(row: dict[str, Any]) -> str:
    more = [row[name] for name in ("tool", "effect") if name in row] + (["conditional"] if row.get("conditional") else [])
    said = f" — {row['description']}" if "description" in row else ""
    marks = f" [{', '.join(more)}]" if more else ""
    return f"- {row['step']}: {row['type']} by {row['by']}{marks}{said}"
