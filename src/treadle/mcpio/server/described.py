"""Workflows as `list_workflows` and `describe_workflow` show them: what they want, what they do to the world, and who does what.

Only what was read from files: nothing of a project is executed here (ruling 58). A file that cannot be used is shown with what is wrong.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from treadle.core.definition import Definition
from treadle.mcpio.server.replies import Reply, json_text, short

if TYPE_CHECKING:
    from treadle.authoring.find import Listed, Loaded

STEPS_SHOWN_MAX: Final = 200
PROBLEMS_SHOWN_MAX: Final = 20
# What of a description is told after its steps, each only where there is something to tell.
_MORE: Final = ("steps_not_shown", "effects", "budgets", "approvals", "secrets", "functions", "digest")


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
    """Show one workflow: what `treadle describe` says, as short as an agent can use it."""
    # The reader of files: a session that only works on runs does without.
    from treadle.authoring.describe import describe

    found = describe(loaded)
    data: dict[str, Any] = {
        "kind": "workflow", "name": loaded.name, "source": loaded.shown, "origin": loaded.origin, "startable": found["startable"],
    }  # fmt: skip
    if "steps" in found:
        data |= _whole(found)
    if found["startable"]:
        inputs = ", ".join(f'"{name}": …' for name, schema in found["inputs"].items() if schema.get("required"))
        then = f'start_workflow(workflow="{loaded.name}", inputs={{{inputs}}})'
    else:
        then = "it cannot be started; tell the user what is wrong with it"
    faults = [str(problem) for problem in loaded.problems if problem.severity == "error" or found["startable"]]
    data |= {"problems": faults[:PROBLEMS_SHOWN_MAX]} if faults else {}
    data |= {"not_yet": [f"{row.feature} ({row.file}:{row.line})" for row in loaded.not_yet]} if loaded.not_yet else {}
    data["next"] = then
    return Reply(text=_text(data), data=data)


def _whole(found: dict[str, Any]) -> dict[str, Any]:
    rows = [_row(step) for step in found["steps"]]
    gates = [{"step": gate["step"], "by": gate["by"]} for gate in found["approvals"]]
    more = {
        "steps_not_shown": max(0, len(rows) - STEPS_SHOWN_MAX),
        "effects": {effect: steps for effect, steps in found["effects"].items() if effect != "read"},
        "budgets": found["budgets"], "approvals": gates, "secrets": found["secrets"],
        "functions": [row["name"] for row in found["functions"]], "digest": found["digest"],
    }  # fmt: skip
    return {
        "version": found["version"], "description": found["description"], "inputs": found["inputs"],
        "steps": rows[:STEPS_SHOWN_MAX], **{name: value for name, value in more.items() if value},
    }  # fmt: skip


def _row(step: dict[str, Any]) -> dict[str, Any]:
    by = step["by"].replace("the agent that drives the run", "you")
    row: dict[str, Any] = {"step": step["address"], "type": step["type"]}
    row["by"] = "the user, through the main agent" if step["type"] == "prompt" and step["performer"] == "human" else by
    if step["type"] == "mcp_call":
        row["tool"] = step["does"]
    if step["effect"] != "none":
        row["effect"] = step["effect"]
    if step["conditional"]:
        row["conditional"] = True
    if step.get("task_shown_at"):
        row["steps_as_under"] = step["task_shown_at"]
    return row | ({"description": step["description"]} if step["description"] else {})


def _text(data: dict[str, Any]) -> str:
    lines = [f"{data['name']} {data.get('version', '')} ({data['source']}): {data.get('description') or 'no description'}"]
    if data.get("inputs"):
        lines += ["Inputs:", *(f"- {name}: {json_text(schema)}" for name, schema in data["inputs"].items())]
    if data.get("steps"):
        lines += ["Steps:", *(_step_line(row) for row in data["steps"])]
    lines += [f"{name}: {json_text(data[name])}" for name in _MORE if data.get(name)]
    for name in ("problems", "not_yet"):
        lines += [f"{name}:", *(f"- {row}" for row in data[name])] if data.get(name) else []
    return "\n".join([*lines, data["next"]])


def _step_line(row: dict[str, Any]) -> str:
    more = [row[name] for name in ("tool", "effect") if name in row] + (["conditional"] if row.get("conditional") else [])
    more += [f"steps as under {row['steps_as_under']}"] if "steps_as_under" in row else []
    said = f" — {row['description']}" if "description" in row else ""
    marks = f" [{', '.join(more)}]" if more else ""
    return f"- {row['step']}: {row['type']} by {row['by']}{marks}{said}"
