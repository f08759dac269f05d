"""What the tools take: one model per tool, from which the published schema is made, so that the two cannot differ.

Everything is checked here once, at the border (ruling 57): characters of names and ids, sizes, JSON text where an object is wanted. Clients and
models that send `"3"` for 3 or `'{"a": 1}'` for an object are understood; an argument that nobody knows is an error, never ignored.
"""

import json
import re
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from treadle.core.values import ValueProblem, parse_json

INPUTS_BYTES_MAX: Final = 1 << 20
RESULT_BYTES_MAX: Final = 4 << 20
REASON_CHARS_MAX: Final = 2_000
WAIT_SECONDS_MAX: Final = 25
RUN_ID: Final = r"[A-Za-z0-9_-]{1,64}"
NAME: Final = r"[A-Za-z0-9_:./@-]{1,256}"
# Letters, digits and what joins the segments of a path: no spaces, no invisible characters.
PATH: Final = r"[A-Za-z0-9_\-./\[\]~%]{1,1024}"
_FENCED: Final = re.compile(r"\s*```[a-z]*\s*\n(.*)\n\s*```\s*\Z", re.DOTALL)

# Patterns are checked, not published: a model gains nothing from them, and the list of tools is paid for in every session.
RunId = Annotated[str, StringConstraints(pattern=rf"\A{RUN_ID}\z")]
WorkflowName = Annotated[str, StringConstraints(pattern=rf"\A{NAME}\z")]
ActionId = Annotated[str, StringConstraints(pattern=rf"\A{PATH}\z")]
Branch = Annotated[str, StringConstraints(pattern=rf"\A{PATH}#[0-9a-f]{{24}}\z")]
Attempt = Annotated[int, Field(ge=1, le=1_000_000)]
Wait = Annotated[int, Field(ge=0, le=WAIT_SECONDS_MAX)]
Words = Annotated[str, StringConstraints(max_length=200)]
Reason = Annotated[str, StringConstraints(max_length=REASON_CHARS_MAX)]
Key = Annotated[str, StringConstraints(pattern=r"\A[\x21-\x7e]{1,128}\z")]
ErrorClass = Literal["refused", "failed", "transient", "rate_limited", "timeout", "unavailable", "denied"]
Status = Literal[
    "running", "waiting", "parked", "cancelling", "undoing", "completed", "completed_degraded", "goal_not_met", "failed", "cancelled"
]  # fmt: skip


Shown = dict[str, dict[str, Any]]


class Arguments(BaseModel):
    """Arguments of a tool: nothing unknown passes."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    # How fields are published, where their type says too little or too much.
    shown: ClassVar[Shown] = {}


class ListWorkflows(Arguments):
    """Arguments of `list_workflows`."""

    find: Words = ""


class DescribeWorkflow(Arguments):
    """Arguments of `describe_workflow`."""

    workflow: WorkflowName


class StartWorkflow(Arguments):
    """Arguments of `start_workflow`; `key` makes a repeated call harmless."""

    workflow: WorkflowName
    inputs: Any = None
    key: Key | None = None
    wait_seconds: Wait = 0
    shown: ClassVar[Shown] = {
        "inputs": {"type": "object", "description": "by name, as describe_workflow lists them"},
        "key": {"type": "string", "description": "any id of yours: the same call again starts nothing new"},
    }  # fmt: skip


class GetNextStep(Arguments):
    """Arguments of `get_next_step`."""

    run_id: RunId
    branch: Branch | None = None
    take_over: bool = False
    wait_seconds: Wait = 0
    shown: ClassVar[Shown] = {"branch": {"type": "string", "description": "a sub-agent's own, from its prompt"}}


class SubmitResult(Arguments):
    """Arguments of `submit_result`."""

    run_id: RunId
    action: ActionId
    attempt: Attempt
    result: Any = None
    branch: Branch | None = None
    outcome: Literal["done", "cannot"] = "done"
    reason: Reason = ""
    error_class: ErrorClass = "refused"
    wait_seconds: Wait = 0
    shown: ClassVar[Shown] = {
        "action": {"type": "string", "description": "as the step says, as attempt"},
        "attempt": {"type": "integer"},
        "result": {"description": "text or JSON, as the step's `expected` says"},
        "reason": {"type": "string", "description": "why it cannot be done"},
    }  # fmt: skip


class GetRun(Arguments):
    """Arguments of `get_run`."""

    run_id: RunId | None = None
    find: Words = ""
    full: bool = False


class ListRuns(Arguments):
    """Arguments of `list_runs`."""

    find: Words = ""
    status: Status | None = None
    all: bool = False
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    before: RunId | None = None


class CancelRun(Arguments):
    """Arguments of `cancel_run`."""

    run_id: RunId
    reason: Reason = ""


class ParkRun(Arguments):
    """Arguments of `park_run`."""

    run_id: RunId
    reason: Annotated[str, StringConstraints(min_length=1, max_length=REASON_CHARS_MAX)]


class ResumeRun(Arguments):
    """Arguments of `resume_run`."""

    run_id: RunId


class Heartbeat(Arguments):
    """Arguments of `heartbeat`."""

    run_id: RunId
    action: ActionId
    attempt: Attempt
    branch: Branch | None = None
    shown: ClassVar[Shown] = {"attempt": {"type": "integer"}}


def published(model: type[Arguments]) -> dict[str, Any]:
    """Give the schema of a tool's arguments in as few characters as it can be said in."""
    schema = model.model_json_schema()
    properties = {name: model.shown.get(name) or _short(entry) for name, entry in schema["properties"].items()}
    found: dict[str, Any] = {"type": "object", "properties": properties}
    if schema.get("required"):
        found["required"] = schema["required"]
    return found


def _short(entry: dict[str, Any]) -> dict[str, Any]:
    """Keep type, choice and bounds; an optional value is one that may be left out."""
    one = next((each for each in entry.get("anyOf", []) if each.get("type") != "null"), entry)
    return {key: one[key] for key in ("type", "enum", "maximum") if key in one}


def as_data(value: Any, *, wants_text: bool = False) -> Any:
    """Read JSON text where data is wanted, a fenced block too; what is no JSON stays the text it is."""
    if wants_text or not isinstance(value, str):
        return value
    fenced = _FENCED.match(value)
    try:
        return parse_json(fenced[1] if fenced else value)
    except ValueProblem:
        return value


def size_of(value: Any) -> int:
    """Give the size of data as JSON, in bytes."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))
