"""What the small Temporal engine refuses as `not_yet`, by the words that the conformance suite knows it by.

Imports nothing, so that docs and tests can read it where Temporal's package is not installed.
"""

from typing import Final

LACKS: Final[dict[str, str]] = {
    "blobs": "There is no place for values: an answer above 64 KiB is refused, and a run whose server or expression makes one is set aside.",
    "changes": "There is no feed over all runs of a namespace; nobody can wait for one to move (`wait_seconds`), only look again.",
    "children": "A workflow with a `run` step is not started.",
    "forks": "A run is not forked: its history is Temporal's own.",
    "listing": "Runs are neither listed nor found; that takes search attributes.",
    "moving": "A run is not moved to a changed definition: its workflow has the one it began with for life.",
    "undo": "What an ended run has kept is not taken back when asked: its workflow is over. `undo` after a failure or a cancel works.",
    "worktrees": "A workflow that works in git worktrees is not started: they would lie on the machine of one worker.",
}
