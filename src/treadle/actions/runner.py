"""The runner: performs every server-performed action by its kind (`ports.ActionRunner`).

An action that this version cannot perform is refused by name; nothing is ever reported done that was not. Secrets are filled in here, at the
last moment, and taken out of all that comes back before anybody else sees it.
"""

import asyncio
from dataclasses import replace
from typing import cast

from treadle.actions.mcp_call import CallOutcome, ToolPool, call_tool
from treadle.actions.secrets import SecretSource, filled, names_in
from treadle.config.secret import Secret
from treadle.core.errors import Failure, RequestError
from treadle.core.values import Json, Value
from treadle.ports import ActionCall, Answer


class Runner:
    """Performs `mcp_call` through a pool of servers, with secrets from `secrets`."""

    def __init__(self, pool: ToolPool, secrets: SecretSource) -> None:
        """Call nothing yet."""
        self._pool, self._secrets = pool, secrets

    async def perform(self, call: ActionCall) -> Answer:
        """Do it once; see `ports.ActionRunner.perform`."""
        if call.action.kind != "mcp_call":
            message = f"this version of Treadle cannot perform `{call.action.kind}` itself; nothing was done"
            return Answer(failure=Failure(error_class="refused", message=message, step=call.action.id))
        tool = call.params["tool"]
        try:
            parameters = await self._with_secrets(call.params.get("parameters"))
        except RequestError as error:
            message = f"{error.message}; nothing was sent — {error.hint} [{error.code}]"
            return Answer(failure=Failure(error_class="failed", message=message, step=call.action.id))
        try:
            outcome = await call_tool(
                self._pool, tool if isinstance(tool, str) else "", parameters, timeout_ms=call.timeout_ms, idempotency_key=call.key
            )  # fmt: skip
        except Exception as error:  # noqa: BLE001 - the border of the action: what broke may quote what it was given
            raise RuntimeError(self._secrets.redactor.text(f"{type(error).__name__}: {error}")) from None
        return _answer(call, self._without_secrets(outcome))

    async def _with_secrets(self, parameters: Value) -> Json:
        """Fill in what is still open: what was set aside is there already. Raises RequestError."""
        names = sorted(set(names_in(parameters)))
        if not names:
            return cast(Json, parameters)
        # A keyring may ask a person, and git be slow; nothing else waits for them.
        return filled(parameters, await asyncio.to_thread(self._values, names))

    def _values(self, names: list[str]) -> dict[str, Secret]:
        return {name: self._secrets.get(name) for name in names}

    def _without_secrets(self, outcome: CallOutcome) -> CallOutcome:
        redactor = self._secrets.redactor
        return replace(outcome, value=redactor.value(outcome.value), message=redactor.text(outcome.message))


def _answer(call: ActionCall, outcome: CallOutcome) -> Answer:
    if outcome.error_class is None:
        return Answer(value=outcome.value)
    failure = Failure(
        error_class=outcome.error_class, message=outcome.message, step=call.action.id, result=outcome.value, has_result=outcome.has_value
    )  # fmt: skip
    return Answer(failure=failure, lost=outcome.lost)
