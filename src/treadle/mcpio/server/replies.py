"""What a tool gives back: a short text that an agent can act on, and the same facts as data (reference/mcp.md §2).

Some clients show their model the text, others the data, so neither may know more than the other. An error is a tool error with a stable code,
what happened and what to do next; the protocol itself never fails because of what was asked.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from treadle.core.errors import Refusal, TreadleError

# A client shows a model about 25,000 tokens of a reply. Instructions are never cut; what is merely shown is.
SHOWN_CHARS_MAX: Final = 20_000
SHORT_CHARS_MAX: Final = 160
# Next steps are told in calls of these tools; the terminal's own words would lead an agent astray.
_HINTS: Final[dict[str, str]] = {
    "unknown_run": "list_runs shows the runs there are; get_run finds one by words",
    "unknown_workflow": "list_workflows shows what there is",
    "ambiguous_name": "give the path of one of them as `workflow`",
    "invalid_definition": "the workflow's file must be mended first; describe_workflow lists every fault",
    "not_trusted": "a person looks at the code and allows it with `treadle trust` in a terminal; you cannot",
    "impossible_gate": "tell the user: a person changes who may decide (`by` in the file, [people] in treadle.toml); you cannot",
    "already_parked": "resume_run takes it up again",
    "not_parked": "call get_next_step",
    "conflict": "the same `key` started another run before; take another key",
    "run_ended": "get_run shows how it ended",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One reply. `data` is an object with `kind`; `text` says the same."""

    text: str
    data: dict[str, Any]
    is_error: bool = False


def error(code: str, message: str, hint: str = "", details: Mapping[str, Any] | None = None) -> Reply:
    """Say what was wrong and what to do next."""
    data: dict[str, Any] = {"kind": "error", "code": code, "message": message}
    if details:
        data |= {name: value for name, value in details.items() if name not in data}
    if hint:
        data["next"] = hint
    lines = [f"{code}: {message}"]
    lines += [f"{name}: {json_text(value)}" for name, value in (details or {}).items()]
    return Reply(text="\n".join([*lines, *([f"Next: {hint}"] if hint else [])]), data=data, is_error=True)


def raised(problem: TreadleError) -> Reply:
    """Give a request that could not be done as an error."""
    hint = _HINTS.get(problem.code, problem.hint)
    if problem.code == "unknown_workflow" and problem.hint.startswith("did you mean"):
        hint = f"{problem.hint} {hint}"
    return error(problem.code, problem.message, hint, problem.details)


def refused(refusal: Refusal, hint: str = "") -> Reply:
    """Give what the core refused as an error."""
    return error(refusal.code, refusal.message, hint or _HINTS.get(refusal.code, refusal.hint), refusal.details)


def json_text(value: object) -> str:
    """Write data as it stands in a text: text as it is, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def cut(text: str, limit: int = SHOWN_CHARS_MAX) -> str:
    """Shorten a text that is only shown, and say by how much."""
    return text if len(text) <= limit else f"{text[:limit]}… [{len(text) - limit:,} more characters]"


def short(value: object, limit: int = SHORT_CHARS_MAX) -> str:
    """Give a value on one line."""
    text = " ".join(json_text(value).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
