"""Actions as the engine hands them out, for the performers that really do something."""

import os
from pathlib import Path
from typing import Any

from treadle.actions.commands import Commands
from treadle.actions.shell import Surroundings
from treadle.core.state import ActionState
from treadle.ports import ActionCall


def a_call(
    action: str = "build", *, kind: str = "shell", attempt: int = 1, opened_at_ms: int = 5, timeout_ms: int | None = None
) -> ActionCall:
    state = ActionState(
        id=action, at=action, kind=kind, performer="server", channel="", effect="write", repeatable=False, params={}, opened_at_ms=opened_at_ms,
        attempt=attempt,
    )  # fmt: skip
    return ActionCall(run_id="run_1", action=state, params={}, key=f"run_1/{action}", timeout_ms=timeout_ms)


def surroundings(
    folder: Path, *, output_bytes_max: int = 1 << 16, redact: Any = str, environ: dict[str, str] | None = None
) -> Surroundings:
    """A project in `folder/project`, whose store lies beside it."""
    root = folder / "project"
    root.mkdir(exist_ok=True)
    commands = Commands(folder / "store", output_bytes_max=output_bytes_max, redact=redact, grace_ms=300)
    return Surroundings(
        commands=commands, environ=environ if environ is not None else {"PATH": os.environ["PATH"]}, root_of=lambda _: root,
        check=lambda _: None,
    )  # fmt: skip
