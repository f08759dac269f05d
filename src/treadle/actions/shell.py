"""The action `shell`: a command under a supervisor that outlives this process (ruling 59; language.md §2).

The command sees a small environment: a few variables of this process, and what the step's `env` says, where alone secrets are filled in. It runs
in the directory in which the run was started, or below it.
"""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from signal import Signals
from typing import Final

from treadle.actions.commands import Asked, Commands, Ended, Order, SupervisorFailedError
from treadle.actions.held import PathRefusedError, directory
from treadle.actions.outcome import CallOutcome
from treadle.config.servers import INHERITED
from treadle.core.errors import RequestError
from treadle.core.values import Json, ValueProblem, as_text, parse_json
from treadle.ports import ActionCall

SHELL: Final = "/bin/sh"
LOST_MESSAGE: Final = "its supervisor was killed, so nobody knows how the command ended"
_SHOWN_CHARS: Final = 80
_TAIL_CHARS: Final = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Where commands of a project run and what they see. `check` raises RequestError for one that nobody has trusted (ruling 58)."""

    commands: Commands
    environ: Mapping[str, str]
    root_of: Callable[[ActionCall], Path]
    check: Callable[[ActionCall], None]

    def order(self, call: ActionCall, command: Json, working_dir: str, env: Json, timeout_ms: int | None) -> Order:
        """Say what to run. Raises PathRefusedError, ValueError with what is wrong with it."""
        variables = {name: self.environ[name] for name in INHERITED if name in self.environ}
        variables |= {"TREADLE_RUN": call.run_id, "TREADLE_IDEMPOTENCY_KEY": call.key}
        for name, value in env.items() if isinstance(env, dict) else ():
            if not name or "=" in name or "\0" in name:
                raise ValueError(f"`{name}` is no name of a variable")
            variables[name] = as_text(value)
        words = tuple(map(as_text, command)) if isinstance(command, list) else (SHELL, "-c", as_text(command))
        if not words[0] or any("\0" in word for word in (*words, *variables.values())):
            raise ValueError("the command, or a variable of it, is empty or holds a NUL character")
        return Order(argv=words, cwd=directory(self.root_of(call), working_dir), env=variables, timeout_ms=_time_to_tell(timeout_ms))


async def run_shell(here: Surroundings, call: ActionCall, params: dict[str, Json]) -> CallOutcome:
    """Run the command of a step once, whichever process began it."""
    command = params["command"]
    try:
        here.check(call)
        order = here.order(call, command, str(params.get("working_dir") or "."), params.get("env"), call.timeout_ms)
        ended = await here.commands.run(Asked.by(call), order)
    except RequestError as error:
        return _failed("refused", f"{error.message}; nothing was run — {error.hint} [{error.code}]")
    except (PathRefusedError, ValueError) as error:
        return _failed("failed", f"{error}; nothing was run")
    except (SupervisorFailedError, OSError) as error:
        return _failed("failed", f"the supervisor of `{shown(command)}` could not be started: {error}; nothing was run")
    if ended is None:
        return CallOutcome(has_value=False, error_class="performer_lost", message=LOST_MESSAGE, lost=True)
    return outcome_of(ended, params)


def outcome_of(ended: Ended, params: dict[str, Json]) -> CallOutcome:
    """Judge what became of a command; a failure carries what it wrote, so that `output_to` has it."""
    name, ok_exit, parse = shown(params["command"]), params.get("ok_exit"), params.get("parse")
    if ended.how == "not_started":
        return _failed("failed", f"`{name}` could not be started: {ended.error}; nothing was run")
    result: dict[str, Json] = {
        "stdout": ended.stdout, "stderr": ended.stderr, "exit_code": ended.exit_code, "duration_ms": ended.duration_ms,
        "truncated": ended.truncated,
    }  # fmt: skip
    problem = ""
    if parse in {"json", "lines"}:
        result["value"], problem = _parsed(ended, as_json=parse == "json")
    if ended.how == "timed_out":
        return _failed_with(result, "timeout", f"`{name}` was stopped after {ended.duration_ms} ms, its time being up{told(ended)}")
    if ended.how == "stopped":
        return _failed_with(result, "failed", f"`{name}` was stopped")
    if ended.exit_code not in (ok_exit if isinstance(ok_exit, list) else [0]):
        return _failed_with(result, "exit_code", f"`{name}` {how_it_ended(ended)}{told(ended)}")
    if problem:
        return _failed_with(result, "bad_output", f"`{name}` {problem}")
    return CallOutcome(value=result)


def _time_to_tell(timeout_ms: int | None) -> int | None:
    """Stop a command a little before its attempt is over: what it wrote until then can only be kept if it is answered in time."""
    return timeout_ms - min(timeout_ms // 4, 1_000) if timeout_ms is not None else None


def shown(command: Json) -> str:
    """Give a command as a person writes it, short."""
    text = shlex.join(map(as_text, command)) if isinstance(command, list) else as_text(command)
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"


def how_it_ended(ended: Ended) -> str:
    """Say how a command ended by itself."""
    if ended.signal is None:
        return f"ended with exit code {ended.exit_code}"
    try:
        return f"was killed by {Signals(ended.signal).name}"
    except ValueError:
        return f"was killed by signal {ended.signal}"


def told(ended: Ended) -> str:
    """Give the last lines that a command wrote, its errors first."""
    text = "\n".join((ended.stderr.strip() or ended.stdout.strip()).splitlines()[-8:])
    if not text:
        return ""
    # The sign tells the redactor that the end of a secret may stand beside it.
    return f": {text}" if len(text) <= _TAIL_CHARS else f": …{text[-_TAIL_CHARS:]}"


def _parsed(ended: Ended, *, as_json: bool) -> tuple[Json, str]:
    if not as_json:
        lines = ended.stdout.removesuffix("\n").split("\n") if ended.stdout else []
        return [line.removesuffix("\r") for line in lines], ""
    if ended.truncated:
        return None, "wrote more than is kept, so its output was not read as JSON"
    try:
        return parse_json(ended.stdout), ""
    except ValueProblem as error:
        return None, f"wrote what is no JSON: {error.message}"


def _failed(error_class: str, message: str) -> CallOutcome:
    return CallOutcome(has_value=False, error_class=error_class, message=message)


def _failed_with(result: dict[str, Json], error_class: str, message: str) -> CallOutcome:
    return CallOutcome(value=result, error_class=error_class, message=message)
