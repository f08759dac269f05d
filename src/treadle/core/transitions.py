"""The transition table: what each event does to an action, for every state an action can be in.

Two rules. Every (event, state) pair has a cell, refused and ignored ones included; a test walks them all, and the docs' diagrams are drawn from
here. This file chooses, it does not act: the functions it names live with their subject. What events of the whole run do to an action is in
tests/core/cells.py.

`absent` stands for an id that is not open: it never was, or it has ended. The shell, which has the rows, tells the two apart for the caller.
"""

from collections.abc import Callable
from typing import Final, TypeVar

from treadle.core.answers import answer, answer_stopping, decide, lose_stopping, resolve
from treadle.core.attempts import claim_action, lose_performer
from treadle.core.draft import Draft
from treadle.core.events import Event
from treadle.core.state import ACTION_STATES, ActionState
from treadle.core.values import Value

Cell = TypeVar("Cell")


def refuse_not_open(draft: Draft, path: str) -> None:
    """Tell a caller that the action it names is not there."""
    draft.refuse("not_open", f"`{path}` is not open", hint="ask for the next step, or look at the run")


def ignore(draft: Draft, action: ActionState, event: Event) -> None:
    """Take note of an event that comes too late to matter."""
    draft.note("ignored", action.id, event=type(event).__name__)


def refusing(code: str, message: str, hint: str = "ask for the next step", *, attempt: bool = True) -> Callable[..., None]:
    """Make a cell that refuses; `message` may name the action, the event and their fields, `attempt` adds the one that is open."""

    def refuse(draft: Draft, action: ActionState, event: Event) -> None:
        details: dict[str, Value] = {"attempt": action.attempt} if attempt else {}
        draft.refuse(code, message.format(action=action, event=event), hint=hint, **details)

    return refuse


def _row(*cells: Cell) -> dict[str, Cell]:
    return dict(zip(ACTION_STATES, cells, strict=True))


proving = refusing("verifying", "an answer to `{action.id}` is being verified", "wait for what the checks find: ask for the next step")
late = refusing("late", "attempt {event.attempt} of `{action.id}` has ended; the next one has not begun")
withdrawn = refusing("not_open", "`{action.id}` is being withdrawn", "look at the run", attempt=False)
known = refusing("not_unknown", "`{action.id}` is {action.status}: its outcome is not in doubt", "answer it instead", attempt=False)
not_claimable = (
    refusing("not_claimable", "`{action.id}` has been answered, and the answer is being verified"),
    refusing("not_claimable", "`{action.id}` waits for its next attempt"),
    refusing("not_claimable", "`{action.id}` was asked to stop"),
    refusing("not_claimable", "`{action.id}` has an unknown outcome, which a person decides"),
)

# Events that name one action: the function that absorbs them, by the state of that action, in the order of ACTION_STATES.
ACTION_EVENTS: Final[dict[str, dict[str, Callable[..., None]]]] = {
    "ActionClaimed": _row(refuse_not_open, claim_action, claim_action, *not_claimable),
    "ActionAnswered": _row(refuse_not_open, answer, answer, proving, late, answer_stopping, answer),
    "ApprovalDecided": _row(refuse_not_open, decide, decide, withdrawn, withdrawn, withdrawn, withdrawn),
    "PerformerLost": _row(refuse_not_open, lose_performer, lose_performer, ignore, ignore, lose_stopping, ignore),
    "OutcomeResolved": _row(refuse_not_open, known, known, known, known, known, resolve),
}


def absorb_action_event(draft: Draft, event: Event, action_id: str) -> None:
    """Look the cell up and do what it says."""
    row = ACTION_EVENTS[type(event).__name__]
    action = draft.actions.get(action_id)
    if action is None:
        row["absent"](draft, action_id)
    else:
        row[action.status](draft, action, event)
