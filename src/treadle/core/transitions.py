"""The transition table: what each event does to an action, for every state an action can be in.

Two rules. Every (event, state) pair has a cell, refused and ignored ones included; a test walks them all, and the docs' diagrams are drawn from
here. This file chooses, it does not act: the functions it names live with their subject.

`absent` stands for an id that is not open: it never was, or it has ended. The shell, which has the rows, tells the two apart for the caller.
"""

from collections.abc import Callable
from typing import Final

from treadle.core import answers, claims
from treadle.core.draft import Draft
from treadle.core.events import ActionAnswered, ActionClaimed, ApprovalDecided, Event, OutcomeResolved, PerformerLost
from treadle.core.state import ACTION_STATES, ActionState

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


# Events that name one action: the function that absorbs them, by the state of that action.
ACTION_EVENTS: Final[dict[str, dict[str, Callable[..., None]]]] = {
    ActionClaimed.__name__: {
        "absent": refuse_not_open,
        "open": claims.claim_action,
        "claimed": claims.claim_action,
        "backoff": claims.refuse_claim,
        "stopping": claims.refuse_claim,
        "unknown": claims.refuse_claim,
    },
    ActionAnswered.__name__: {
        "absent": refuse_not_open,
        "open": answers.answer,
        "claimed": answers.answer,
        "backoff": answers.answer_late,
        "stopping": answers.answer_stopping,
        "unknown": answers.answer,
    },
    ApprovalDecided.__name__: {
        "absent": refuse_not_open,
        "open": answers.decide,
        "claimed": answers.decide,
        "backoff": refuse_decision,
        "stopping": refuse_decision,
        "unknown": refuse_decision,
    },
    PerformerLost.__name__: {
        "absent": refuse_not_open,
        "open": claims.lose_performer,
        "claimed": claims.lose_performer,
        "backoff": ignore,
        "stopping": answers.lose_stopping,
        "unknown": ignore,
    },
    OutcomeResolved.__name__: {
        "absent": refuse_not_open,
        "open": refuse_known,
        "claimed": refuse_known,
        "backoff": refuse_known,
        "stopping": refuse_known,
        "unknown": answers.resolve,
    },
}

# Events of the whole run: what becomes of an action in each state. `advance` does it; the words are checked by the table test.
RUN_EVENTS: Final[dict[str, dict[str, str]]] = {
    "RunStarted": dict.fromkeys(ACTION_STATES, "untouched; refused"),
    "Evaluated": dict.fromkeys(ACTION_STATES, "untouched"),
    "Continued": dict.fromkeys(ACTION_STATES, "untouched"),
    "Woken": {
        "absent": "untouched",
        "open": "within fires, and the timeout of what needs no claim",
        "claimed": "within and timeout fire",
        "backoff": "within and backoff fire",
        "stopping": "grace fires",
        "unknown": "within fires",
    },
    "CancelRequested": {
        "absent": "untouched",
        "open": "dropped; what a server may have begun is stopped",
        "claimed": "stopped",
        "backoff": "dropped",
        "stopping": "untouched; dropped by a second request",
        "unknown": "dropped",
    },
    "RunParked": dict.fromkeys(ACTION_STATES, "untouched; nothing is handed out"),
    "RunResumed": {
        "absent": "untouched",
        "open": "a server's is performed",
        "claimed": "untouched",
        "backoff": "untouched",
        "stopping": "untouched",
        "unknown": "untouched",
    },
}


def absorb_action_event(draft: Draft, event: Event, action_id: str) -> None:
    """Look the cell up and do what it says."""
    row = ACTION_EVENTS[type(event).__name__]
    action = draft.actions.get(action_id)
    if action is None:
        row["absent"](draft, action_id)
    else:
        row[action.status](draft, action, event)
