"""The transition table: what each event does to an action, for every state an action can be in.

Two rules. Every (event, state) pair has a cell, refused and ignored ones included; a test walks them all, and the docs' diagrams are drawn from
here. This file chooses, it does not act: the functions it names live with their subject.

`absent` stands for an id that is not open: it never was, or it has ended. The shell, which has the rows, tells the two apart for the caller.
"""

from collections.abc import Callable
from typing import Final, TypeVar

from treadle.core.answers import answer, answer_late, answer_proving, answer_stopping, decide, lose_stopping, resolve
from treadle.core.claims import claim_action, lose_performer, refuse_claim
from treadle.core.draft import Draft
from treadle.core.events import Event
from treadle.core.state import ACTION_STATES, ActionState

Cell = TypeVar("Cell")
Transition = Callable[[Draft, ActionState, Event], None]


def refuse_not_open(draft: Draft, path: str) -> None:
    """Tell a caller that the action it names is not there."""
    draft.refuse("not_open", f"`{path}` is not open", hint="ask for the next step, or look at the run")


def ignore(draft: Draft, action: ActionState, event: Event) -> None:
    """Take note of an event that comes too late to matter."""
    draft.note("ignored", action.id, event=type(event).__name__)


def refuse_decision(draft: Draft, action: ActionState, _event: Event) -> None:
    """Refuse a decision about a gate that is being withdrawn."""
    draft.refuse("not_open", f"`{action.id}` is being withdrawn", hint="look at the run")


def refuse_known(draft: Draft, action: ActionState, _event: Event) -> None:
    """Refuse to settle an outcome that is not in doubt."""
    draft.refuse("not_unknown", f"`{action.id}` is {action.status}: its outcome is not in doubt", hint="answer it instead")


def _row(*cells: Cell) -> dict[str, Cell]:
    return dict(zip(ACTION_STATES, cells, strict=True))


# Events that name one action: the function that absorbs them, by the state of that action, in the order of ACTION_STATES.
ACTION_EVENTS: Final[dict[str, dict[str, Callable[..., None]]]] = {
    "ActionClaimed": _row(refuse_not_open, claim_action, claim_action, refuse_claim, refuse_claim, refuse_claim, refuse_claim),
    "ActionAnswered": _row(refuse_not_open, answer, answer, answer_proving, answer_late, answer_stopping, answer),
    "ApprovalDecided": _row(refuse_not_open, decide, decide, refuse_decision, refuse_decision, refuse_decision, refuse_decision),
    "PerformerLost": _row(refuse_not_open, lose_performer, lose_performer, ignore, ignore, lose_stopping, ignore),
    "OutcomeResolved": _row(refuse_not_open, refuse_known, refuse_known, refuse_known, refuse_known, refuse_known, resolve),
}

# Events of the whole run: what becomes of an action in each state. `advance` does it; the words are checked by the table test.
RUN_EVENTS: Final[dict[str, dict[str, str]]] = {
    "RunStarted": dict.fromkeys(ACTION_STATES, "untouched; refused"),
    "RunForked": dict.fromkeys(ACTION_STATES, "its step begins anew") | {"absent": "untouched", "stopping": "dropped"},
    "Evaluated": dict.fromkeys(ACTION_STATES, "untouched"),
    "Continued": dict.fromkeys(ACTION_STATES, "untouched"),
    "Woken": _row(
        "untouched", "within fires, and the timeout of what needs no claim", "within and timeout fire", "within fires",
        "within and backoff fire", "grace fires", "within fires",
    ),
    "CancelRequested": _row(
        "untouched", "dropped; what a server may have begun is stopped", "stopped", "dropped",
        "dropped", "untouched; dropped by a second request", "dropped",
    ),
    "SignalSent": dict.fromkeys(ACTION_STATES, "untouched"),
    "UndoRequested": dict.fromkeys(ACTION_STATES, "untouched; refused"),
    "RunParked": dict.fromkeys(ACTION_STATES, "untouched; nothing is handed out"),
    "RunResumed": dict.fromkeys(ACTION_STATES, "untouched") | {"open": "a server's is performed"},
}  # fmt: skip


def absorb_action_event(draft: Draft, event: Event, action_id: str) -> None:
    """Look the cell up and do what it says."""
    row = ACTION_EVENTS[type(event).__name__]
    action = draft.actions.get(action_id)
    if action is None:
        row["absent"](draft, action_id)
    else:
        row[action.status](draft, action, event)
