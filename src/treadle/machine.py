"""What the machine refuses a process, in our words: no room, no rights, no descriptors, no memory. None of these is a bug of Treadle."""

import errno
from typing import Final

from treadle.core.errors import RequestError

Reason = str
HINTS: Final[dict[Reason, str]] = {
    "full": "Free space on the disk that holds the project, then try again; nothing that was acknowledged is lost.",
    "read_only": "Make the project's `.treadle` folder and its files writable for this user (`treadle doctor` names them).",
    "descriptors": "Raise the limit on open files (`ulimit -n`), or end what holds so many, and start this process again.",
    "memory": "Raise the limit on this process's memory, or free some, and start it again; nothing that was acknowledged is lost.",
    "io": "Reading or writing the disk failed; check the disk and its free space, then run `treadle doctor`.",
}
_REASONS: Final = {
    errno.ENOSPC: "full", errno.EDQUOT: "full", errno.EFBIG: "full", errno.EROFS: "read_only", errno.EACCES: "read_only",
    errno.EPERM: "read_only", errno.EMFILE: "descriptors", errno.ENFILE: "descriptors", errno.ENOMEM: "memory", errno.EIO: "io",
}  # fmt: skip
_NO_MEMORY: Final = ("failed to map segment", "cannot allocate memory", "can't start new thread")


def reason_of(error: BaseException) -> Reason | None:
    """Name the reason in one word; None where the machine is not to blame."""
    if isinstance(error, MemoryError):
        return "memory"
    if isinstance(error, OSError):
        return _REASONS.get(error.errno or 0)
    if isinstance(error, ImportError | RuntimeError) and any(sign in str(error).lower() for sign in _NO_MEMORY):
        return "memory"
    return None


def as_request_error(error: BaseException) -> RequestError | None:
    """Give the error to tell, with the code that the store gives for the same reason; None where the machine is not to blame."""
    reason = reason_of(error)
    if reason is None:
        return None
    said = str(error) or "no memory is left"
    return RequestError(f"the machine refused something that Treadle needs: {said}", code=f"storage_{reason}", hint=HINTS[reason])
