"""Whose fault it is: five families, and data for the failures that belong to a run (house style §2.3).

`Failure` and `Refusal` are data, never raised out of the core. What is raised means that the caller keeps the old state.
"""

from typing import Final

from treadle.core.records import Record
from treadle.core.values import Json, Value

CLASSES: Final = (
    "transient", "rate_limited", "timeout", "unavailable", "bad_output", "refused", "denied", "rejected", "exit_code", "function",
    "expression", "budget", "max_visits", "max_iterations", "min_success", "performer_lost", "outcome_unknown", "failed", "bug",
)  # fmt: skip
RETRY_DEFAULT: Final = ("transient", "rate_limited", "timeout", "unavailable")


class Failure(Record):
    """Why a step failed, as data of the run. `step` is the path of the step where it began.

    `goal_not_met` ends the run with that status. `retry_after_ms` is how long whoever refused asks to be left alone.
    """

    error_class: str
    message: str
    step: str
    result: Value = None
    has_result: bool = False
    goal_not_met: bool = False
    retry_after_ms: int = 0

    def shown(self) -> dict[str, Value]:
        """Give the shape that expressions read as `error` (language.md §9)."""
        return {"class": self.error_class, "message": self.message, "step": self.step}


class Refusal(Record):
    """Why an event was not done as asked: the caller's to mend. `details` is machine-readable; `hint` says what to do next."""

    code: str
    message: str
    hint: str = ""
    details: dict[str, Json] | None = None


def failure_at(step: str, error_class: str, message: str) -> Failure:
    """Give the failure of the step, scope or run at a path."""
    return Failure(error_class=error_class, message=message, step=step)


class StepFailedError(Exception):
    """Ends the visit of a step or scope, which has failed; `failure` says why, as data of the run."""

    def __init__(self, failure: Failure) -> None:
        """Keep the failure."""
        super().__init__(failure.message)
        self.failure = failure


class TreadleError(Exception):
    """Base of what Treadle raises on purpose: a stable `code`, a message, and a `hint` that says what to do next."""

    code = "error"

    def __init__(self, message: str, *, code: str | None = None, hint: str = "", details: dict[str, Json] | None = None) -> None:
        """Keep the parts for whoever shows them; `code` overrides the family's own."""
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.hint = hint
        self.details = details


class RequestError(TreadleError):
    """A caller asked for what cannot be done; nothing was changed."""

    code = "bad_request"


class HistoryMismatchError(TreadleError):
    """Stored events do not fit the definition or the code: the run parks, it never fails (design §2)."""

    code = "history_mismatch"


class InvariantViolationError(TreadleError):
    """A state that must not exist: a bug of ours; the caller keeps the old state and parks the run."""

    code = "bug"
