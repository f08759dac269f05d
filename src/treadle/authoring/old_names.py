"""Names that fields had in older formats, and have in neighbouring systems: what an author who knows those meant.

A name stands here only if it can mean one thing: `--fix` writes the new one. Where values have another form too, nothing is listed, and the
problem lists the fields that there are.
"""

from collections.abc import Iterable
from typing import Final

# Step types: what `model.OTHER_NAMES` suggests and can only be that.
CERTAIN_TYPES: Final = frozenset({
    "conditional", "user_input", "user_prompt", "user_message", "agent_prompt", "agent_task", "subagent", "sub_agent", "sub_agent_task",
    "subagent_task", "mcp", "tool_call", "shell_command", "bash", "state_update", "batch_state_update", "set_variable", "while_loop",
    "parallel_foreach", "sleep", "delay", "include_workflow", "http_request", "approval",
})  # fmt: skip

_CALL: Final = {"params": "parameters", "arguments": "parameters", "args": "parameters"}
FIELDS: Final[dict[str, dict[str, str]]] = {
    "prompt": {"prompt": "message", "question": "message", "text": "message", "kind": "format", "prompt_type": "format", "choices": "options"},
    "approve": {"message": "show", "content": "show"},
    "delegate": {"prompt": "instructions", "task": "instructions", "expected_response": "output", "response_schema": "output"},
    "mcp_call": _CALL | {"tool_name": "tool"},
    "function": _CALL | {"name": "function"},
    "shell": {"working_directory": "working_dir", "cwd": "working_dir", "cmd": "command", "run": "command"},
    "set_state": {"state_updates": "updates", "state_update": "updates", "values": "updates", "set": "updates"},
    "condition": {"condition": "if", "then_steps": "then", "else_steps": "else"},
    "switch": {"on": "value", "expression": "value"},
    "foreach": {
        "body": "do", "steps": "do", "variable_name": "as", "item_name": "as", "sub_agent_task": "task", "max_concurrency": "max_parallel",
        "parallel_limit": "max_parallel", "concurrency": "max_parallel", "in": "items", "over": "items",
    },
    "while": {"body": "do", "steps": "do", "while": "condition"},
    "repeat": {"body": "do", "steps": "do"},
    "goto": {"max_iterations": "max_visits", "step": "target", "to": "target"},
    "run": {"input_mapping": "inputs", "with": "inputs"},
    "return": {"output": "value", "result": "value"},
    "fail": {"error_message": "message", "reason": "message"},
}  # fmt: skip
COMMON: Final = {"store_result": "output_to", "save_to": "output_to", "result_to": "output_to", "store_as": "output_to"}
FILE: Final = {"sub_agent_tasks": "tasks", "input": "inputs", "state": "initial_state"}
# The unit is in the name, so it need not be guessed.
WITH_UNIT: Final = {
    "timeout_seconds": ("timeout", "s"), "timeout_ms": ("timeout", "ms"), "timeout_minutes": ("timeout", "m"),
    "duration_seconds": ("duration", "s"), "duration_ms": ("duration", "ms"), "delay_seconds": ("duration", "s"),
}  # fmt: skip
# Types of inputs, as other languages call them.
INPUT_TYPES: Final = {
    "str": "string", "text": "string", "int": "integer", "float": "number", "double": "number", "bool": "boolean", "list": "array",
    "dict": "object", "map": "object",
}  # fmt: skip


def field_meant(name: str, step_type: str, known: Iterable[str]) -> str:
    """Give the field that an old name means on a step of a type (`""` for the file and its tasks); empty where there is none."""
    found = (FIELDS.get(step_type, {}) | COMMON).get(name, "") if step_type else FILE.get(name, "")
    return found if found in known else ""
