"""The action `verify`: what Treadle itself looks at before an answer counts as done (ruling 25). Each check gives a fact, held or not.

A fact is `{check, kind, ok, message, duration_ms}` with `exit_code` for a command, `files` for files. That a check could not be made at all is
not a fact about the work: it fails the action.
"""

import asyncio
import time
from typing import cast

from treadle.actions.commands import Asked, SupervisorFailedError
from treadle.actions.held import PathRefusedError, digests
from treadle.actions.outcome import CallOutcome
from treadle.actions.shell import LOST_MESSAGE, Surroundings, how_it_ended, shown, told
from treadle.core.errors import RequestError
from treadle.core.values import Json
from treadle.ports import ActionCall

FILES_SHOWN: int = 50


async def run_verify(here: Surroundings, call: ActionCall, params: dict[str, Json]) -> CallOutcome:
    """Make every check, in order; a failed one does not spare the others, so that all that is missing is told at once."""
    facts: list[Json] = []
    checks = cast(list[dict[str, Json]], params["checks"])
    try:
        if any("shell" in check for check in checks):
            here.check(call)
        for number, check in enumerate(checks, 1):
            if "shell" in check:
                facts.append(await _command(here, call, number, check["shell"]))
            else:
                facts.append(await asyncio.to_thread(_files, here, call, cast(list[dict[str, Json]], check["files"]), params.get("before")))
    except RequestError as error:
        return _failed("refused", f"{error.message}; nothing was checked — {error.hint} [{error.code}]")
    except (PathRefusedError, SupervisorFailedError, OSError, ValueError) as error:
        return _failed("failed", f"the answer could not be checked: {error}")
    return CallOutcome(value=facts)


async def _command(here: Surroundings, call: ActionCall, number: int, command: Json) -> Json:
    order = here.order(call, command, ".", None, call.timeout_ms)
    ended = await here.commands.run(Asked.by(call, number), order)
    name = shown(command)
    if ended is None:
        return {"check": name, "kind": "shell", "ok": False, "message": f"`{name}`: {LOST_MESSAGE}", "duration_ms": 0, "exit_code": None}
    if ended.how == "not_started":
        message = f"`{name}` could not be started: {ended.error}"
    elif ended.how == "timed_out":
        message = f"`{name}` was stopped after {ended.duration_ms} ms: its time was up{told(ended)}"
    elif ended.how == "stopped":
        message = f"`{name}` was stopped"
    else:
        message = f"`{name}` {how_it_ended(ended)}{told(ended)}"
    return {
        "check": name, "kind": "shell", "ok": ended.how == "exited" and ended.exit_code == 0, "message": message,
        "duration_ms": ended.duration_ms, "exit_code": ended.exit_code,
    }  # fmt: skip


def _files(here: Surroundings, call: ActionCall, files: list[dict[str, Json]], before: Json) -> Json:
    began_s = time.monotonic()
    root = here.root_of(call)
    faults: list[str] = []
    found: dict[str, Json] = {}
    for file in files:
        path = str(file["path"])
        there = digests(root, path)
        found |= there
        if not there:
            faults.append(f"`{path}` is not there")
            continue
        if file.get("sha256") and any(digest != file["sha256"] for digest in there.values()):
            faults.append(f"`{path}` is there, with another SHA-256 than {file['sha256']}")
        if file.get("changed"):
            faults += _unchanged(path, there, before, str(root))
    return {
        "check": ", ".join(str(file["path"]) for file in files), "kind": "files", "ok": not faults,
        "message": "; ".join(faults) or f"{len(found)} file{'s' * (len(found) != 1)} as wanted",
        "duration_ms": round((time.monotonic() - began_s) * 1000), "files": dict(list(found.items())[:FILES_SHOWN]),
    }  # fmt: skip


def _unchanged(path: str, there: dict[str, str], before: Json, root: str) -> list[str]:
    """Say what is wrong with a file that must have changed; a new one has."""
    if not isinstance(before, dict) or before.get("root") != root:
        return [f"whether `{path}` has changed cannot be told: the step was opened by a process in another directory"]
    was = cast(dict[str, dict[str, str]], before["files"]).get(path, {})
    return [] if any(was.get(name) != digest for name, digest in there.items()) else [f"`{path}` has not changed since the step opened"]


def _failed(error_class: str, message: str) -> CallOutcome:
    return CallOutcome(has_value=False, error_class=error_class, message=message)
