"""Exit codes of commands that carry a run (ruling 61)."""

from typing import Final

WAITING: Final = 3
PARKED: Final = 7
UNDO_INCOMPLETE: Final = 8
EXIT_CODES: Final = {
    "completed": 0, "failed": 1, "waiting": WAITING, "running": WAITING, "cancelling": WAITING, "undoing": WAITING, "stalled": WAITING,
    "completed_degraded": 4, "goal_not_met": 5, "cancelled": 6, "parked": PARKED,
}  # fmt: skip


def exit_code(status: str, undo: str = "") -> int:
    """Give the exit code that tells a run's status; that something could not be taken back is told before all else."""
    return UNDO_INCOMPLETE if undo == "incomplete" else EXIT_CODES.get(status, 1)
