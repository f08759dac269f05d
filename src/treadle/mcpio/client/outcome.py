"""What a tool call gives: a value, or a failure with its class (language.md §2, §9). Plain data; the SDK's types end here."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, cast

import mcp_types

from treadle.core.errors import TreadleError
from treadle.core.values import Json, encode, normalise

MESSAGE_CHARS = 2_000
FailureClass = Literal["unavailable", "timeout", "refused", "bad_output", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFailure:
    """Why a call gave no value.

    `lost` says that the request may have reached the tool without a usable answer: what it did is unknown (ruling 19).
    `retry_after_ms` is the time before which a further try is pointless. `has_result` is true for an error that carries data.
    """

    error_class: FailureClass
    code: str
    message: str
    hint: str = ""
    lost: bool = False
    retry_after_ms: int | None = None
    result: Json = None
    has_result: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolOutcome:
    """The outcome of one call; `failure` of None means done. `digest` is of the tool as it was called, None where it was not found."""

    value: Json = None
    form: Literal["structured", "text", "blocks"] = "structured"
    failure: ToolFailure | None = None
    digest: str | None = None

    def of(self, digest: str) -> "ToolOutcome":
        """Name the tool that was called."""
        return replace(self, digest=digest)


def failed(
    error_class: FailureClass,
    code: str,
    message: str,
    *,
    hint: str = "",
    lost: bool = False,
    retry_after_ms: int | None = None,
) -> ToolOutcome:
    """Make an outcome that is a failure."""
    failure = ToolFailure(error_class=error_class, code=code, message=_short(message), hint=hint, lost=lost, retry_after_ms=retry_after_ms)
    return ToolOutcome(failure=failure)


def refused(error: TreadleError) -> ToolOutcome:
    """Make an outcome of a call that was never sent."""
    return failed("refused", error.code, error.message, hint=error.hint)


def read_result(
    result: mcp_types.CallToolResult | mcp_types.InputRequiredResult, *, structured_null: bool, redacted: Callable[[str], str] = str
) -> ToolOutcome:
    """Turn an answer into an outcome: structured content; else the text; else the list of content blocks.

    `structured_null` tells whether a written `null` is a value (it is since revision 2026-07-28). Raises ValueProblem for data that
    may not enter (ruling 8). `redacted` takes secrets out of a message before it is cut short.
    """
    if isinstance(result, mcp_types.InputRequiredResult):
        return failed(
            "failed",
            "input_required",
            "the tool asks a question in the middle of the call, and nobody is there to answer",
            hint="let an agent make this call: `performer: agent`",
        )
    structured = result.structured_content is not None or (structured_null and "structured_content" in result.model_fields_set)
    if structured:
        outcome = ToolOutcome(value=_clean(result.structured_content), form="structured")
    elif all(isinstance(block, mcp_types.TextContent) for block in result.content):
        outcome = ToolOutcome(value=_clean(_text(result)), form="text")
    else:
        blocks = [block.model_dump(by_alias=True, mode="json", exclude_none=True) for block in result.content]
        outcome = ToolOutcome(value=_clean(blocks), form="blocks")
    if not result.is_error:
        return outcome
    message = _text(result) or (encode(outcome.value) if structured else "") or "the tool reported an error without saying which"
    failure = ToolFailure(
        error_class="failed",
        code="tool_error",
        message=_short(redacted(message)),
        result=outcome.value if structured else None,
        has_result=structured,
    )
    return ToolOutcome(failure=failure)


def _clean(value: object) -> Json:
    return cast(Json, normalise(value))


def _text(result: mcp_types.CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, mcp_types.TextContent))


def _short(message: str) -> str:
    return message if len(message) <= MESSAGE_CHARS else f"{message[:MESSAGE_CHARS]}…"
