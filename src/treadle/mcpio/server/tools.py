"""The tools: their names, what they say of themselves, and how a call reaches whoever answers it.

The whole list is paid for in every session of every client, so it stays under 2,000 tokens (ruling 43). The SDK's own decorator would parse
texts that look like JSON before a tool sees them, and its schemas are three times as long; a tool here checks its arguments itself.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import mcp_types
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp.server.mcpserver.utilities.func_metadata import ArgModelBase, FuncMetadata
from pydantic import Field, ValidationError

from treadle import machine
from treadle.core.errors import TreadleError
from treadle.mcpio.server import arguments as given
from treadle.mcpio.server.holder import Holder, call_key, client_name
from treadle.mcpio.server.replies import Reply, error, raised

Progress = Callable[[float, str], Awaitable[None]]
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Who calls. `key` is the client's own id of the call, `progress` tells it that the call is alive."""

    holder: Holder
    key: str | None
    progress: Progress


Answers = Callable[[], Awaitable[object]]
"""Gives whoever answers (one method per tool, named as the tool is), when that is ready. Raises TreadleError if it never will be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """A tool as it is published. `hot` ones are always before the model's eyes."""

    name: str
    says: str
    arguments: type[given.Arguments]
    reads: bool = False
    repeatable: bool = False
    destroys: bool = False
    hot: bool = False


SPECS: Final = (
    Spec(
        name="list_workflows", arguments=given.ListWorkflows, reads=True,
        says="Workflows that can be started here, with inputs and source.",
    ),
    Spec(
        name="describe_workflow", arguments=given.DescribeWorkflow, reads=True,
        says="Inputs, steps, effects of a workflow, and who does what. Starts nothing.",
    ),
    Spec(
        name="start_workflow", arguments=given.StartWorkflow, hot=True,
        says="Start a run of a workflow. Gives its first step to do.",
    ),
    Spec(
        name="get_next_step", arguments=given.GetNextStep, repeatable=True, hot=True,
        says="The step to do now; asking again gives the same one. Sub-agents pass their branch. "
        "wait_seconds: wait for one. take_over: only when its holder is gone.",
    ),
    Spec(
        name="submit_result", arguments=given.SubmitResult, repeatable=True, hot=True,
        says="Answer the step you hold, in its `expected` shape. Gives the next step. Safe to repeat. "
        "What you cannot do: outcome=cannot and the reason. Never make a result up.",
    ),
    Spec(
        name="get_run", arguments=given.GetRun, reads=True, hot=True,
        says="Where a run stands, what was decided, how to go on. Without run_id: the newest open run that fits the words "
        "in find, else this directory and git branch. full: state, inputs, all steps.",
    ),
    Spec(
        name="list_runs", arguments=given.ListRuns, reads=True,
        says="Runs, newest first; only open ones unless all or status. before: the id that the last page ended with.",
    ),
    Spec(name="cancel_run", arguments=given.CancelRun, destroys=True, says="End a run for good. Only if the user wants it."),
    Spec(
        name="park_run", arguments=given.ParkRun, repeatable=True,
        says="Set a run aside, saying why. Loses nothing; the way out when you must stop.",
    ),
    Spec(name="resume_run", arguments=given.ResumeRun, repeatable=True, says="Take up a parked run."),
    Spec(
        name="heartbeat", arguments=given.Heartbeat, repeatable=True,
        says="Keep a step that takes longer than its `lease_seconds`.",
    ),
)  # fmt: skip


class ServedTool(Tool):
    """A tool of the SDK's server that checks its own arguments and makes its own errors."""

    spec: Spec = Field(exclude=True)
    answers: Answers = Field(exclude=True)
    session: str = Field(exclude=True)

    async def run(self, arguments: dict[str, Any], context: Context[Any, Any], convert_result: bool = False) -> Any:  # noqa: ARG002, FBT001, FBT002 - the SDK's
        """Answer one call."""
        reply = await self._answer(arguments, context)
        text = mcp_types.TextContent(text=reply.text)
        return mcp_types.CallToolResult(content=[text], structured_content=reply.data, is_error=reply.is_error)

    async def _answer(self, arguments: dict[str, Any], context: Context[Any, Any]) -> Reply:
        try:
            checked = self.spec.arguments.model_validate(arguments)
        except ValidationError as problem:
            return _bad_arguments(self.spec, problem)
        request = context.request_context
        params = request.session.client_params
        holder = Holder(session=self.session, client=client_name(params.client_info.name if params is not None else None))
        call = Call(
            holder=holder, key=call_key(request.meta, holder),
            progress=lambda done, message: context.report_progress(done, message=message),
        )  # fmt: skip
        try:
            answering = await self.answers()
            return await getattr(answering, self.spec.name)(checked, call)
        except TreadleError as problem:
            return raised(problem)
        except Exception as problem:  # noqa: BLE001 - the border of a tool: what went wrong is told, and nothing is claimed
            if (refused := machine.as_request_error(problem)) is not None:
                return raised(refused)
            _log.exception("%s failed", self.spec.name)
            said = f"{self.spec.name} failed: {type(problem).__name__}: {problem}"
            return error("internal", said, "what it did is unknown: look with get_run; the log on stderr says more")


def tools(answers: Answers, session: str) -> list[Tool]:
    """Make the tools, in the order in which they are listed."""
    return [
        ServedTool(
            fn=_not_called, name=spec.name, title=None, description=spec.says, parameters=given.published(spec.arguments),
            fn_metadata=FuncMetadata(arg_model=ArgModelBase), is_async=True, context_kwarg=None, annotations=_annotations(spec),
            meta=_meta(spec), spec=spec, answers=answers, session=session,
        )
        for spec in SPECS
    ]  # fmt: skip


def _not_called() -> None:
    raise AssertionError("a tool answers in `run`")


def _annotations(spec: Spec) -> mcp_types.ToolAnnotations:
    if spec.reads:
        return mcp_types.ToolAnnotations(read_only_hint=True, open_world_hint=False)
    return mcp_types.ToolAnnotations(destructive_hint=spec.destroys, idempotent_hint=spec.repeatable or None, open_world_hint=False)


def _meta(spec: Spec) -> dict[str, Any] | None:
    # The second says that a long instruction is shown whole, where it would otherwise be cut.
    return {"anthropic/alwaysLoad": True, "anthropic/maxResultSizeChars": 400_000} if spec.hot else None


def _bad_arguments(spec: Spec, problem: ValidationError) -> Reply:
    faults = [f"{'.'.join(map(str, each['loc'])) or 'arguments'}: {_said(each)}" for each in problem.errors(include_url=False)]
    takes = ", ".join(name if field.is_required() else f"{name}?" for name, field in spec.arguments.model_fields.items())
    return error("bad_arguments", f"{spec.name}: {'; '.join(faults)}", f"nothing was done; call it again. It takes {takes}")


def _said(fault: Any) -> str:
    match fault["type"]:
        case "string_pattern_mismatch":
            return "has characters that no such name has, or is too long; copy it exactly as it was given"
        case "extra_forbidden":
            return "is not known here"
        case "missing":
            return "is missing"
        case _:
            return str(fault["msg"]).lower()
