"""The action `function`: one call of a registered function, in a thread, so that a slow one holds nobody up."""

import asyncio
from typing import cast

from treadle.actions.outcome import CallOutcome
from treadle.core.values import Json, Value
from treadle.ports import FunctionFailedError, Functions


async def call_function(functions: Functions, name: str, version: str, parameters: Json) -> CallOutcome:
    """Call it once with named arguments; that it raised, or is not there, is a failure of class `function`."""
    if not isinstance(parameters, dict):
        message = f"the parameters of {name} must be an object, by name"
        return CallOutcome(has_value=False, error_class="function", code="bad_arguments", message=message)
    try:
        value = await asyncio.to_thread(functions.call, name, version, (), cast(dict[str, Value], parameters))
    except FunctionFailedError as error:
        return CallOutcome(has_value=False, error_class="function", message=f"`{name}`: {error}")
    return CallOutcome(value=cast(Json, value))
