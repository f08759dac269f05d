"""What goes wrong with the file, each with a stable code, what happened, and what to do next.

Nothing of the workflow core is known here; the engine above turns these into its own families.
"""

import os
from typing import Final

import apsw

from treadle import machine

RESTART: Final = "Stop this process and start it again with the newer Treadle; what it wrote so far is safe."


class StoreError(Exception):
    """Base of what the store raises on purpose: `code` is stable, `hint` says what to do next."""

    code = "store_error"

    def __init__(self, message: str, *, hint: str, code: str | None = None) -> None:
        """Keep the parts for whoever shows them; `code` overrides the family's own."""
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code or type(self).code


class StoreRefusedError(StoreError):
    """The file is not opened at all: its place, its version or the SQLite at hand do not allow safe work."""

    code = "store_refused"


class RestartThisSessionError(StoreError):
    """A newer Treadle has changed the file so that this code may no longer write (ruling 18). Nothing was written."""

    code = "restart_this_session"


class StorageUnavailableError(StoreError):
    """The transaction did not take place: nothing of it is stored, and it may be tried again.

    `reason` says why in one word; it is the second half of the code.
    """

    code = "storage_unavailable"

    def __init__(self, message: str, *, hint: str, reason: str) -> None:
        """`reason` is one of the words in REASONS, `closed` or `other`."""
        super().__init__(message, hint=hint, code=f"storage_{reason}" if reason != "other" else None)
        self.reason = reason


class WriteRejectedError(StoreError):
    """One write breaks a rule of the tables or contradicts itself: a bug of its caller; other writes are not concerned."""

    code = "write_rejected"


class BlobError(StoreError):
    """A value beside the database is missing or is not what its digest says."""

    code = "blob_damaged"


REASONS: Final[tuple[tuple[type[apsw.Error], str, str], ...]] = (
    (apsw.FullError, "full", "Free space on the disk that holds the store, then try again."),
    (
        apsw.ReadOnlyError,
        "read_only",
        "Make the store's file and its folder writable for this user (`treadle doctor` names them).",
    ),
    (
        apsw.PermissionsError,
        "read_only",
        "Make the store's file and its folder writable for this user (`treadle doctor` names them).",
    ),
    (
        apsw.CantOpenError,
        "cannot_open",
        "Check that the store's folder exists, is writable, and that file descriptors are left (`ulimit -n`).",
    ),
    (apsw.BusyError, "busy", "Another program holds the file: `treadle doctor` names it. Try again when it is done."),
    (apsw.LockedError, "busy", "Another program holds the file: `treadle doctor` names it. Try again when it is done."),
    (apsw.CorruptError, "damaged", "Stop every Treadle process on this project and run `treadle doctor`."),
    (
        apsw.NotADBError,
        "damaged",
        "The file is not a Treadle store. Stop every Treadle process on this project and run `treadle doctor`.",
    ),
    (apsw.NoMemError, "memory", "The process has no memory left; raise its limit or restart it."),
    (
        apsw.IOError,
        "io",
        "Reading or writing the disk failed; check the disk and its free space, then run `treadle doctor`.",
    ),
)
_STORE_FILES: Final = 3  # the file, its log, its shared memory
UNIT_FAULTS: Final = (apsw.ConstraintError, apsw.TooBigError, apsw.MismatchError)


def unavailable(error: apsw.Error) -> StorageUnavailableError:
    """Say in our words why a transaction could not take place."""
    if isinstance(error, apsw.CantOpenError) and _out_of_descriptors():
        return StorageUnavailableError(
            f"The store could not be used (no file descriptors are left): {error}.", hint=machine.HINTS["descriptors"], reason="descriptors"
        )
    for family, reason, hint in REASONS:
        if isinstance(error, family):
            return StorageUnavailableError(f"The store could not be used ({reason}): {error}.", hint=hint, reason=reason)
    return StorageUnavailableError(
        f"The store could not be used: {type(error).__name__}: {error}.", hint="Run `treadle doctor`.", reason="other"
    )


def os_unavailable(error: OSError | MemoryError, what: str) -> StorageUnavailableError:
    """Say in our words why a file or folder of the store could not be used."""
    reason = machine.reason_of(error) or "cannot_open"
    said = str(error) or "no memory is left"
    hint = machine.HINTS.get(reason, "Check that the store's folder exists and is a folder that this user may use.")
    return StorageUnavailableError(f"{what}: {said}.", hint=hint, reason=reason)


def _out_of_descriptors() -> bool:
    """Tell whether this process may open hardly anything more; SQLite does not say why it could not open a file, and has closed the others by now."""
    found: list[int] = []
    try:
        found.extend(os.open(os.devnull, os.O_RDONLY) for _ in range(_STORE_FILES))
    except OSError as error:
        return machine.reason_of(error) == "descriptors"
    finally:
        for descriptor in found:
            os.close(descriptor)
    return False


def closed() -> StorageUnavailableError:
    """Say that this process has closed the store."""
    return StorageUnavailableError("The store is closed in this process. Nothing was stored.", hint="Open it again.", reason="closed")
