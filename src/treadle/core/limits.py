"""Every figure that bounds a run (language.md §7), in one place; a message that reports one names it."""

from typing import Final

STATE_BYTES_MAX: Final = 1 << 20
BLOB_BYTES_MIN: Final = 64 << 10
SPILL_BYTES_MIN: Final = 256
SETTLE_MOVES_MAX: Final = 2_000
RUN_MOVES_MAX: Final = 1_000_000
OPEN_ITEMS_MAX: Final = 256
LAPSES_MAX: Final = 3
CANCEL_GRACE_MS: Final = 10_000
LEASE_MS: Final = 300_000
ENTRY_BYTES: Final = 400
MESSAGE_CHARACTERS_MAX: Final = 4_000
DEFINITION_STEPS_MAX: Final = 20_000
TASK_DEPTH_MAX: Final = 32
PIECES_AHEAD: Final = 6
CHILD_DEPTH_MAX: Final = 10
FINALLY_MS: Final = 300_000
MAILBOX_MAX: Final = 1_000
