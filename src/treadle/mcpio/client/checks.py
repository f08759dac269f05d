"""Whether a call fits its tool: arguments before it is sent, the result after it came.

The schemas are foreign text. One that we cannot read checks nothing, and the server judges for itself; patterns run on the core's
linear-time automaton, so that no schema can hold us up.
"""

from collections.abc import Mapping
from typing import Any, cast

from treadle.core.errors import RequestError, TreadleError
from treadle.core.schema import Fault, check, check_schema
from treadle.core.values import Json
from treadle.mcpio.client.outcome import ToolOutcome, failed
from treadle.mcpio.client.tools import ToolInfo

FAULTS_SHOWN = 5


def check_arguments(tool: ToolInfo, arguments: Mapping[str, Json]) -> None:
    """Raise RequestError `bad_arguments`, which lists what does not fit; nothing was sent then."""
    faults = _faults(tool.input_schema, dict(arguments))
    if faults:
        raise RequestError(
            f"{tool.server}.{tool.name} was not called, its arguments do not fit: {_listed(faults)}",
            code="bad_arguments",
            hint=f"it takes: {_parameters(tool)}",
        )


def check_result(tool: ToolInfo, outcome: ToolOutcome) -> ToolOutcome:
    """Give the outcome, or a failure where the tool broke its own promise. What it did is done all the same."""
    if outcome.failure is not None or tool.output_schema is None:
        return outcome
    name = f"{tool.server}.{tool.name}"
    if outcome.form != "structured":
        return failed("bad_output", "no_structured_result", f"{name} promises structured content by its schema and gave none")
    faults = _faults(tool.output_schema, outcome.value)
    if faults:
        return failed("bad_output", "result_does_not_fit", f"the result of {name} does not fit its own schema: {_listed(faults)}")
    return outcome


def _faults(schema: dict[str, Any], value: Json) -> tuple[Fault, ...]:
    rules = cast(dict[str, Json], schema)
    try:
        return () if check_schema(rules) else check(rules, value)
    except (TreadleError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return ()  # not our value's fault: the schema asks what we do not know


def _parameters(tool: ToolInfo) -> str:
    properties, required = tool.input_schema.get("properties"), tool.input_schema.get("required")
    if not isinstance(properties, dict) or not properties:
        return "nothing that its schema names"
    needed = required if isinstance(required, list) else []
    return ", ".join(f"{name} (required)" if name in needed else name for name in list(properties)[:30])


def _listed(faults: tuple[Fault, ...]) -> str:
    shown = "; ".join(f"{fault.path or 'the value'} {fault.message}" for fault in faults[:FAULTS_SHOWN])
    return shown if len(faults) <= FAULTS_SHOWN else f"{shown}; and {len(faults) - FAULTS_SHOWN} more"
