"""Child runs at the terminal: which are open below a run, and what one waits for through its children."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from treadle import presence
from treadle.compose import OpenProject
from treadle.core.errors import RequestError
from treadle.core.state import ENDED
from treadle.engine.service import Service
from treadle.engine.why import Wait, led_on, why
from treadle.view import ActionView, RunView


async def look(opened: OpenProject, run_id: str) -> RunView:
    """View a run with what its leases say: whose lease has run out holds nothing any more, although the history still names it."""
    view = await opened.service.look(run_id)
    now_ms = opened.clock.now_ms()
    held = {(lease.action, lease.attempt) for lease in opened.storage.leases(run_id) if lease.until_ms > now_ms}
    actions = tuple(a if (a.id, a.attempt) in held or a.performer == "server" else replace(a, holder=None) for a in view.actions)
    return replace(view, actions=actions)


async def waits_for(opened: OpenProject, view: RunView) -> Wait:
    """Name what a run waits for, with what is known about the processes at work; where that is a child, what moves the child."""
    present = presence.living(opened.live_dir)
    served = any(each.serves for each in present)
    holders = {action.holder for action in view.actions if action.holder is not None}
    alive = [holder for holder in holders if presence.process_of(holder) in {each.holder for each in present}]
    wait = why(view, served=served, alive=alive)
    child = await _found(opened, wait.child) if wait.kind == "child" else None
    if child is None:
        return wait
    if child.status not in ENDED:
        return led_on(wait, await waits_for(opened, child), child.run_id)
    # Its end is there; the process that waits for it has to say so.
    message = f"`{wait.action}` takes what {child.run_id} gave, which has ended"
    if served:
        return replace(wait, kind="server", message=message, command="")
    return replace(
        wait, kind="stalled", message=f"{message}; no process of this project is at work", command=f"treadle resume {view.run_id}"
    )


async def open_below(opened: OpenProject, view: RunView) -> list[RunView]:
    """Give the open runs that a run waits for, and those that they wait for, nearest first."""
    found: list[RunView] = []
    for action in view.actions:
        child = await _found(opened, action.child) if action.child is not None else None
        if child is not None and child.status not in ENDED:
            found += [child, *await open_below(opened, child)]
    return found


async def first_with(opened: OpenProject, view: RunView, is_meant: Callable[[ActionView], bool]) -> RunView:
    """Give the first of a run and what is open below it that has such an action; the run itself where none has."""
    if any(is_meant(action) for action in view.actions):
        return view
    below = await open_below(opened, view)
    return next((each for each in below if any(is_meant(action) for action in each.actions)), view)


async def any_changed(service: Service, views: list[RunView], timeout_ms: int) -> None:
    """Return when one of several runs has moved, or after a time."""
    waiting = [asyncio.create_task(service.changed(view.run_id, view.revision, timeout_ms)) for view in views]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def _found(opened: OpenProject, run_id: str) -> RunView | None:
    """View a child; None before it is there."""
    try:
        return await look(opened, run_id)
    except RequestError as error:
        if error.code != "unknown_run":
            raise
        return None
