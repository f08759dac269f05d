"""Scripts: answers that were written down before, given to the actions that they were written for, and to no others.

The same entries stand under `answers` of a test file and in a script for `treadle run --script`; `fields.py` is their table. An entry has
`match` (an action's id, a pattern of ids, or a kind of action) and one verb. The first entry that matches and has something left is used:
nothing is ever answered by guess. What a verb does is up to who performs: `player.py` on a clock of its own, the command line for real.
"""

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, cast

from treadle.core.errors import Failure
from treadle.core.values import Json
from treadle.testing.fields import KINDS, VERBS

DECISIONS: Final = frozenset({"approve", "reject"})
# What may be done to an action of whatever kind.
_ANY_KIND: Final = frozenset({"hold", "advance", "cancel"})
_KINDS: Final = frozenset(KINDS)


class Action(Protocol):
    """What of an action decides which entry is for it."""

    @property
    def id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def waits_for(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where something stands in a file, for messages."""

    file: str
    line: int
    column: int = 1

    def __str__(self) -> str:
        """Give it as compilers do."""
        return f"{self.file}:{self.line}"


@dataclass(slots=True, kw_only=True)
class Entry:
    """One entry. `given` is what stands beside the verb; `used` counts how often it was used."""

    match: str
    verb: str
    given: Json
    place: Place
    value: Json = None
    after_ms: int = 0
    times: int | None = None
    optional: bool = False
    by: str = ""
    used: int = 0

    @property
    def most(self) -> int | None:
        """Give how often it can be used; None where there is no bound."""
        if self.verb == "answers":
            return len(cast(list[Json], self.given))
        # Time passes, and a run is ended, once.
        return self.times or (1 if self.verb in {"advance", "cancel"} else None)

    def fits(self, action: Action) -> bool:
        """Tell whether this entry is for an action, and has something left."""
        if not matches(self.match, action.id, action.kind) or (self.most is not None and self.used >= self.most):
            return False
        if self.verb in _ANY_KIND:
            return True
        if (self.verb == "outcome") != (action.waits_for == "outcome"):
            return False
        if action.waits_for != "outcome" and (self.verb in DECISIONS) != (action.kind == "approve"):
            return False
        return self.verb != "lost" or action.waits_for == "server"

    def answer(self) -> Json:
        """Give what is to be answered now, and count it."""
        self.used += 1
        return cast(list[Json], self.given)[self.used - 1] if self.verb == "answers" else self.given

    @property
    def note(self) -> str:
        """Give the note of a decision."""
        return self.given if isinstance(self.given, str) else ""

    @property
    def unused(self) -> str:
        """Say how much of it nothing has used; empty when there is nothing to say."""
        if self.optional or (self.used and (self.most is None or self.used >= self.most)):
            return ""
        what = f"the entry for `{self.match}` ({self.verb})"
        return f"{what} was never used" if not self.used else f"{what} was used {self.used} of {self.most} times"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """A signal that a test's run gets, so long after its start."""

    name: str
    payload: Json
    after_ms: int
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """Entries in their order. `name` is how it is called in notes and messages."""

    name: str
    entries: tuple[Entry, ...] = field(default=())

    def find(self, action: Action) -> Entry | None:
        """Give the entry for an action, None if there is none."""
        return next((entry for entry in self.entries if entry.fits(action)), None)

    def fresh(self) -> "Script":
        """Give the same script, of which nothing was used."""
        return replace(self, entries=tuple(replace(entry, used=0) for entry in self.entries))

    def unused(self) -> list[Entry]:
        """Give the entries of which something was left."""
        return [entry for entry in self.entries if entry.unused]


def matches(pattern: str, action_id: str, kind: str = "") -> bool:
    """Tell whether a pattern means an action: its id, with `*` for anything within a segment and `**` for anything, or its kind."""
    return pattern == action_id or (pattern == kind and pattern in _KINDS) or compiled(pattern).fullmatch(action_id) is not None


@functools.lru_cache(maxsize=4_096)
def compiled(pattern: str) -> re.Pattern[str]:
    """Translate a pattern: `*` stays within a segment, brackets are brackets."""
    return re.compile("".join({"**": ".*", "*": "[^/]*"}.get(part) or re.escape(part) for part in re.split(r"(\*\*|\*)", pattern)))


def entry_of(row: Mapping[str, object], place: Place) -> Entry:
    """Make an entry of a row that was read by the table and has one verb."""
    verb = next(name for name in VERBS if name in row)
    return Entry(
        match=str(row["match"]), verb=verb, given=cast(Json, row[verb]), value=cast(Json, row.get("value")), place=place,
        after_ms=cast(int, row.get("after", 0)), times=cast("int | None", row.get("times")), optional=row.get("optional") is True,
        by=str(row.get("by", "")),
    )  # fmt: skip


def verbs_of(row: Iterable[str]) -> list[str]:
    """Give the verbs among a row's keys."""
    keys = set(row)
    return [name for name in VERBS if name in keys]


def failure_of(verb: str, given: Json, action_id: str) -> Failure | None:
    """Give the failure that `cannot` and `fail` mean; None for every other verb."""
    if verb == "cannot":
        return Failure(error_class="failed", message=str(given), step=action_id)
    if verb != "fail" or not isinstance(given, dict):
        return None
    message = str(given.get("message") or f"`{action_id}` failed, as the script says")
    return Failure(
        error_class=str(given["class"]), message=message, step=action_id, result=given.get("result"), has_result="result" in given
    )


def mends(refused: Entry, follows: Entry | None, code: str) -> bool:
    """Tell whether the entry that follows a refused answer may mend it: that an answer is refused may be what is scripted."""
    return code in {"bad_output", "invalid_answer"} and follows is not None and (follows is not refused or refused.verb == "answers")
