"""Why a run stands where it stands: the one thing it waits for, and the command that moves it (rulings 24, 46).

One function for terminal, MCP and page, so that they say the same. What is nearest to moving is named: what a person alone can end comes
first, what goes on by itself last.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from treadle.core.state import ENDED
from treadle.core.verify import VERIFY
from treadle.view import ActionView, RunView, WaitView

WaitKind = Literal["ended", "parked", "outcome", "approval", "answer", "agent", "server", "stalled", "signal", "child", "time", "nothing"]
_ORDER: Final = ("outcome", "approval", "answer", "agent", "stalled", "signal", "child", "server", "time")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """What a run waits for. `command` is what to type; empty where nothing needs to be done. `due_ms` is when time moves it.

    `child` is the run that it waits for, or the one below that, whose wait this is.
    """

    kind: WaitKind
    message: str
    action: str = ""
    command: str = ""
    due_ms: int | None = None
    others: int = 0
    child: str = ""


def why(run: RunView, *, served: bool, alive: Sequence[str] = ()) -> Wait:
    """Name what a run waits for. `served` tells whether some process performs server steps; `alive` are holders known to be at work."""
    if run.status in ENDED:
        return Wait(kind="ended", message="it has ended")
    if run.parked is not None:
        return Wait(kind="parked", message=f"it is set aside: {run.parked}", command=f"treadle resume {run.run_id}")
    # A step whose answer is looked at waits for its checks; they are an action of their own.
    checked = {action.id.removesuffix(VERIFY) for action in run.actions if action.kind == "verify"}
    actions = [action for action in run.actions if action.id not in checked]
    waits = [_wait(run, action, served=served, alive=alive) for action in actions] + [_pause(run, each) for each in run.waits]
    if not waits:
        message = "nothing is handed out; a process has to go on with it"
        return Wait(kind="stalled" if not served else "nothing", message=message, command=f"treadle resume {run.run_id}")
    first = min(waits, key=lambda wait: _ORDER.index(wait.kind))
    return replace(first, others=len(waits) - 1)


def led_on(wait: Wait, child: Wait, run_id: str) -> Wait:
    """Say of a run that waits for a child what the child waits for: that is what moves both."""
    message = f"`{wait.action}` runs {run_id}: {child.message}"
    return replace(child, message=message, action=wait.action, others=wait.others, child=child.child or run_id)


def _pause(run: RunView, wait: WaitView) -> Wait:
    if wait.signal is None:
        return Wait(kind="time", message=f"`{wait.path}` lets time pass", action=wait.path, due_ms=wait.due_ms)
    command = f"treadle signal {run.run_id} {wait.signal}"
    return Wait(
        kind="signal", message=f"`{wait.path}` waits for the signal `{wait.signal}`", action=wait.path, command=command, due_ms=wait.due_ms
    )  # fmt: skip


def _wait(run: RunView, action: ActionView, *, served: bool, alive: Sequence[str]) -> Wait:
    name, due = action.id, action.due_ms
    match action.waits_for:
        case "outcome":
            message = f"nobody knows whether `{name}` was done: whoever performed it was lost; look, and say so"
            return Wait(
                kind="outcome",
                message=message,
                action=name,
                command=f"treadle answer {run.run_id} {name} --done (or --not-done)",
            )
        case "person" if action.kind == "approve":
            needed = action.params.get("count")
            votes = (
                f"; {len(action.votes)} of {needed} have approved: {', '.join(action.votes)}" if needed is not None and action.votes else ""
            )
            return Wait(
                kind="approval", message=f"`{name}` waits for a person's decision{votes}", action=name,
                command=f"treadle approve {run.run_id} {name}", due_ms=due,
            )  # fmt: skip
        case "person":
            return Wait(
                kind="answer",
                message=f"`{name}` asks a person",
                action=name,
                command=f"treadle answer {run.run_id} {name}",
                due_ms=due,
            )
        case "agent":
            return _agent(run, action, alive)
        case "time":
            failed = f", as attempt {action.attempt} failed ({action.problem.error_class})" if action.problem is not None else ""
            word = "is being stopped" if action.status == "stopping" else f"is tried again after a pause{failed}"
            return Wait(kind="time", message=f"`{name}` {word}", action=name, due_ms=due)
        case "server" if action.child is not None and action.status == "claimed":
            return Wait(kind="child", message=f"`{name}` waits for {action.child}", action=name, command=f"treadle why {action.child}",
                        due_ms=due, child=action.child)  # fmt: skip
        case "server":
            checks, step = action.kind == "verify", name.removesuffix(VERIFY)
            if served or action.holder in alive:
                message = f"Treadle looks whether `{step}` is done" if checks else f"Treadle performs `{name}`"
                return Wait(kind="server", message=message, action=step, due_ms=due)
            message = f"`{name}` is performed by Treadle" if not checks else f"`{step}` is claimed done, which Treadle has to look at"
            message += "; no process of this project is at work"
            return Wait(kind="stalled", message=message, action=step, command=f"treadle resume {run.run_id}", due_ms=due)


def _agent(run: RunView, action: ActionView, alive: Sequence[str]) -> Wait:
    if action.holder is None:
        message = f"`{action.id}` waits for an agent, or for you, to do it"
    else:
        known = "is at work on" if action.holder in alive else "holds"
        message = f"{action.holder} {known} `{action.id}`"
    command = f"treadle resume {run.run_id} (or an agent asks for its next step)"
    return Wait(kind="agent", message=message, action=action.id, command=command, due_ms=action.due_ms)
