"""Paths: the names of everything that exists while a run lives (language.md §3).

A *path* names a thing in one run (`research[2]/search`); an *address* names its place in the definition (`research[]/search`).
A list of steps has the path of its owner plus a suffix (`triage.then`, `research[2]`, `push.on_error`); the file's own list is `""`.
"""

import hashlib
import re
from urllib.parse import quote

ID_PATTERN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")
ACTION_ID_CHARACTERS_MAX = 1_024
_INDEX = re.compile(r"\[\d+\]")
_CHILD = re.compile(r"run_[0-9a-f]{20}")
_VISIT = re.compile(r"~\d+")
_OWN_LISTS = frozenset({"on_error", "on_reject", "finally", "undo", "read_back", "default", "requires", "verify", "worktree"})


def join(list_path: str, step_id: str) -> str:
    """Name a step inside a list, for paths and addresses alike."""
    return f"{list_path}/{step_id}" if list_path else step_id


def address_of(path: str) -> str:
    """Give the place in the definition that a path stands for."""
    return _VISIT.sub("", _INDEX.sub("[]", path))


def suffix_of(name: str) -> str:
    """Write the name of a case or branch so that it can stand in a path, and is none of the lists that every step may have."""
    text = quote(name, safe="").replace("~", "%7E").replace(".", "%2E")
    return f"%{ord(text[0]):02X}{text[1:]}" if text in _OWN_LISTS else text or "%"


def is_under(path: str, root: str) -> bool:
    """Tell whether `path` is `root` itself or stands below it."""
    if root in {"", path}:
        return True
    return path.startswith(root) and path[len(root)] in "/[."


def idempotency_key(run_id: str, action_id: str) -> str:
    """Name an action for the outside world; all its attempts share the name (house style §4.4)."""
    return f"{run_id}/{action_id}"


def branch_token(seed: str, list_path: str) -> str:
    """Name a sub-agent's own channel; it cannot be guessed without the run's seed (ruling 22)."""
    return "br_" + hashlib.sha256(f"{seed}|branch|{list_path}".encode()).hexdigest()[:24]


def child_run_id(run_id: str, action_id: str) -> str:
    """Name the run that a step starts, so that it is started once however often that is asked."""
    return "run_" + hashlib.sha256(f"{run_id}|child|{action_id}".encode()).hexdigest()[:20]


def child_of_attempt(child_id: str, attempt: int) -> str:
    """Name the run of a later attempt: what `retry` tries again is done anew, in a run of its own."""
    return child_id if attempt == 1 else child_run_id(child_id, str(attempt))


def is_child_run(run_id: str) -> bool:
    """Tell by its id whether a step started a run: those that are asked for have short ones."""
    return _CHILD.fullmatch(run_id) is not None
