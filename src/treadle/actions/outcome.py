"""What became of an action that this process performed, as the performer of its kind says it."""

from dataclasses import dataclass

from treadle.core.events import Usage
from treadle.core.values import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOutcome:
    """What an action gives: `error_class` of None means done, with `value`.

    `lost` says that it may have been done without telling (ruling 19): retrying it blindly could do it twice. `value` is then,
    and with every failure, null, unless `has_value` says that the failure carries data. `digest` is of the tool that was called; pin it.
    `usage` and `degraded` are of a child run.
    """

    value: Json = None
    has_value: bool = True
    error_class: str | None = None
    code: str = ""
    message: str = ""
    lost: bool = False
    retry_after_ms: int | None = None
    digest: str | None = None
    usage: Usage | None = None
    degraded: bool = False
