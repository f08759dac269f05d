"""The runner: performs every server-performed action by its kind (`ports.ActionRunner`).

An action that this version cannot perform is refused by name; nothing is ever reported done that was not. Secrets are filled in here, at the
last moment, and taken out of all that comes back before anybody else sees it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final, cast

from treadle.actions.outcome import CallOutcome
from treadle.actions.secrets import SecretSource, filled, names_in
from treadle.config.secret import Secret
from treadle.core.errors import Failure, RequestError
from treadle.core.values import Json
from treadle.ports import ActionCall, Answer

RETRY_AFTER_MS_MAX: Final = 24 * 3_600_000
"""Nobody can make a run wait longer than a day before its next attempt."""

Perform = Callable[[ActionCall, dict[str, Json]], Awaitable[CallOutcome]]
"""Performs one kind of action, given its fields with secrets filled in. A failure is data; cancelling asks it to stop."""


class Runner:
    """Performs actions by kind, with secrets from `secrets`."""

    def __init__(self, kinds: Mapping[str, Perform], secrets: SecretSource) -> None:
        """Begin nothing yet."""
        self._kinds, self._secrets = kinds, secrets

    async def perform(self, call: ActionCall) -> Answer:
        """Do it once; see `ports.ActionRunner.perform`."""
        perform = self._kinds.get(call.action.kind)
        if perform is None:
            message = f"this version of Treadle cannot perform `{call.action.kind}` itself; nothing was done"
            return Answer(failure=Failure(error_class="refused", message=message, step=call.action.id))
        try:
            params = await self._with_secrets(call)
        except RequestError as error:
            message = f"{error.message}; nothing was sent — {error.hint} [{error.code}]"
            return Answer(failure=Failure(error_class="failed", message=message, step=call.action.id))
        try:
            outcome = await perform(call, params)
        except Exception as error:  # noqa: BLE001 - the border of the action: what broke may quote what it was given
            raise RuntimeError(self._secrets.redactor.text(f"{type(error).__name__}: {error}")) from None
        return answer_of(call, self._without_secrets(outcome))

    async def _with_secrets(self, call: ActionCall) -> dict[str, Json]:
        """Fill in what is still open: what was set aside is there already. Raises RequestError."""
        names = sorted(set(names_in(call.params)))
        # A keyring may ask a person, and git be slow; nothing else waits for them.
        values = await asyncio.to_thread(self._values, names) if names else {}
        return cast(dict[str, Json], filled(call.params, values))

    def _values(self, names: list[str]) -> dict[str, Secret]:
        return {name: self._secrets.get(name) for name in names}

    def _without_secrets(self, outcome: CallOutcome) -> CallOutcome:
        redactor = self._secrets.redactor
        return replace(outcome, value=redactor.value(outcome.value), message=redactor.text(outcome.message))


def answer_of(call: ActionCall, outcome: CallOutcome) -> Answer:
    """Give an outcome in the words of the engine."""
    if outcome.error_class is None:
        return Answer(value=outcome.value, usage=outcome.usage, degraded=outcome.degraded)
    failure = Failure(
        error_class=outcome.error_class, message=outcome.message, step=call.action.id, result=outcome.value, has_result=outcome.has_value,
        retry_after_ms=min(outcome.retry_after_ms or 0, RETRY_AFTER_MS_MAX),
    )  # fmt: skip
    return Answer(failure=failure, lost=outcome.lost, usage=outcome.usage)
