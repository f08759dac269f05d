"""A tool as a server lists it, with its digest and its effect.

The digest covers name, schemas and annotations. It is pinned at first use in a run, so that a server cannot change under a run what its
tool takes or may do (ruling 53). Annotations are hints by somebody else: they decide the effect only where the configuration says so.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import mcp_types

from treadle.config.servers import ServerSpec
from treadle.core.definition import Effect
from treadle.core.values import ValueProblem, canonical, digest, normalise

NAME = re.compile(r"[!-~]{1,128}")
# A server that announces this keeps the reply to a key: sending a call again with the same key repeats nothing.
KEY_META = "io.treadle/idempotencyKey"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolInfo:
    """One tool. `repeats_by_key` says that the idempotency key reaches it, by announcement or by configuration."""

    server: str
    name: str
    description: str
    effect: Effect
    digest: str
    idempotent: bool
    repeats_by_key: bool
    input_schema: dict[str, Any] = field(repr=False)
    output_schema: dict[str, Any] | None = field(repr=False)
    annotations: dict[str, Any] = field(repr=False)


def tool_info(spec: ServerSpec, tool: mcp_types.Tool) -> ToolInfo:
    """Describe a listed tool as the configuration wants it understood. Raises ValueProblem for one that cannot be offered."""
    if not NAME.fullmatch(tool.name):
        raise ValueProblem("bad_name", "a tool's name is at most 128 printable ASCII characters")
    annotations = tool.annotations.model_dump(by_alias=True, exclude_none=True) if tool.annotations else {}
    bound = {"name": tool.name, "input": tool.input_schema, "output": tool.output_schema, "annotations": annotations}
    return ToolInfo(
        server=spec.name,
        name=tool.name,
        description=tool.description or "",
        effect=effect_of(spec, tool.name, annotations),
        digest=digest(canonical(normalise(bound))),
        idempotent=spec.annotations_confirmed and annotations.get("idempotentHint") is True,
        repeats_by_key=tool.name in spec.idempotency_key or (tool.meta or {}).get(KEY_META) is True,
        input_schema=tool.input_schema,
        output_schema=tool.output_schema,
        annotations=annotations,
    )


def effect_of(spec: ServerSpec, tool: str, annotations: dict[str, Any]) -> Effect:
    """Say what a tool may do to the world: as configured; else as annotated, where that is believed; else `write` (ruling 20)."""
    if tool in spec.effects:
        return spec.effects[tool]
    if not spec.annotations_confirmed:
        return "write"
    if annotations.get("readOnlyHint") is True:
        return "read"
    return "destroy" if annotations.get("destructiveHint") is True else "write"
