"""The activities: the outside of a run, one call each. Every retry, timeout and order is the core's; Temporal tries each attempt once.

A long activity tells Temporal that it lives, so that a worker that died is noticed, and a cancellation reaches it, within `ALIVE_WITHIN_MS`.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from temporalio import activity

from treadle.core.commands import Evaluate
from treadle.core.definition import EFFECTS
from treadle.core.errors import Failure
from treadle.engine.temporal.convert import FunctionCall, Order
from treadle.engine.transact import call
from treadle.ports import ActionCall, ActionRunner, Answer, Functions

PERFORM: Final = "treadle-perform"
CALL: Final = "treadle-call"
BREATHE: Final = "treadle-breathe"
ALIVE_WITHIN_MS: Final = 2_000


class Activities:
    """The activities of one worker, over the ports it was given."""

    def __init__(self, runner: ActionRunner, functions: Functions) -> None:
        """Keep what performs and what is called."""
        self._runner, self._functions = runner, functions

    def all(self) -> list[Callable[..., object]]:
        """Give what a worker registers."""
        return [self.perform, self.call, self.breathe]

    @activity.defn(name=PERFORM)
    async def perform(self, order: Order) -> Answer:
        """Perform a server-performed action once."""
        action = order.action
        asked = ActionCall(
            run_id=order.run_id, action=action, params=action.params, key=order.key, timeout_ms=order.timeout_ms, definition=order.definition,
            directory=order.directory,
        )  # fmt: skip
        alive = asyncio.create_task(_stay_alive())
        try:
            return await self._runner.perform(asked)
        except Exception as error:  # noqa: BLE001 - the border of actions: a runner that breaks its promise never stops the run
            if EFFECTS.index(action.effect) >= EFFECTS.index("write"):
                return Answer(lost=True)
            message = f"performing `{action.id}` broke: {type(error).__name__}: {error}"
            return Answer(failure=Failure(error_class="bug", message=message, step=action.id))
        finally:
            alive.cancel()

    @activity.defn(name=CALL)
    async def call(self, asked: FunctionCall) -> Answer:
        """Call a registered function."""
        command = Evaluate(
            node=asked.node, ordinal=0, function=asked.function, version=asked.version, args=asked.args, kwargs=asked.kwargs
        )  # fmt: skip
        given = call(command, self._functions)
        return Answer(failure=given) if isinstance(given, Failure) else Answer(value=given)

    @activity.defn(name=BREATHE)
    async def breathe(self) -> None:
        """Do nothing: a long transition only ends its activation by waiting for something (ruling 3)."""


async def _stay_alive() -> None:
    if activity.info().is_local:
        return
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            activity.heartbeat()
            await asyncio.sleep(ALIVE_WITHIN_MS / 4000)
