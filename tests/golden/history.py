"""The form of a recorded history, and what the core of today makes of it.

A history is a file of JSON lines. The first line names the workflow, the case, the definition (which stands beside it, by its digest), and holds
the values that were set aside and looked into. Each further line is one event: the event itself, the commands and notes it gave, the digest of
the state behind it, and what it changed in the state, long values as digests: enough to name the place where a new core goes another way.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from treadle.core import codec
from treadle.core.advance import advance
from treadle.core.commands import Decision, NeedBlobs
from treadle.core.definition import Definition
from treadle.core.events import EVENT_TYPES, Event
from treadle.core.state import RunState
from treadle.core.values import Json, Value, decode, untagged

HERE: Final = Path(__file__).parent
LENGTH_MAX: Final = 72
SHOWN_MAX: Final = 200
GONE: Final = "-"
DIFFERENCES_MAX: Final = 6
ADVICE: Final = (
    "A recorded history never changes: either this change of the core is a mistake, or it is due a new semantics number "
    "(core/semantics.py; runs that have the old one keep its behaviour)."
)


class OtherWayError(AssertionError):
    """The core of today goes another way than the one that recorded a history."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A recorded run: `lines` are what is compared, one per event."""

    workflow: str
    case: str
    definition: Definition
    events: tuple[Event, ...]
    lines: tuple[dict[str, Json], ...]
    blobs: Mapping[str, Value] = field(default_factory=dict[str, Value])
    status: str = ""

    @property
    def folder(self) -> Path:
        """Give where it stands."""
        return HERE / self.workflow.replace(":", "-").replace("_", "-")

    @property
    def path(self) -> Path:
        """Give its file."""
        return self.folder / f"{self.case}.jsonl"

    @property
    def definition_path(self) -> Path:
        """Give the file of its definition."""
        return _definition_path(self.folder, codec.digest_of(self.definition))

    def write(self) -> None:
        """Write it, and its definition beside it."""
        self.folder.mkdir(exist_ok=True)
        digest = codec.digest_of(self.definition)
        head: dict[str, object] = {"workflow": self.workflow, "case": self.case, "definition": digest, "status": self.status}
        head |= {"blobs": self.blobs} if self.blobs else {}
        self.definition_path.write_bytes(codec.dumps(self.definition) + b"\n")
        self.path.write_bytes(b"".join(codec.dumps(line) + b"\n" for line in (head, *self.lines)))


def read(path: Path) -> History:
    """Read a recorded history, its definition through the codec of today."""
    head, *lines = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    definition = codec.loads(Definition, _definition_path(path.parent, head["definition"]).read_bytes())
    if codec.digest_of(definition) != head["definition"]:
        raise OtherWayError(f"{path.name}: the definition has another digest than the one that was recorded. {ADVICE}")
    return History(
        workflow=head["workflow"], case=head["case"], definition=definition, status=head["status"], lines=tuple(lines),
        events=tuple(codec.read_union(EVENT_TYPES, json.loads(json.dumps(line["event"]), object_hook=untagged)) for line in lines),
        blobs={digest: decode(json.dumps(value)) for digest, value in head.get("blobs", {}).items()},
    )  # fmt: skip


def record(workflow: str, case: str, definition: Definition, events: Iterable[Event], stored: Mapping[str, Value]) -> History:
    """Fold a history and keep what came; `stored` holds every value that was set aside."""
    events, looked_into = tuple(events), dict[str, Value]()
    lines, state = _folded(definition, events, stored, looked_into)
    return History(
        workflow=workflow, case=case, definition=definition, events=events, lines=tuple(lines), blobs=looked_into, status=state.status
    )


def compare(history: History) -> None:
    """Fold a recorded history. Raises OtherWayError, which says at which event and place the core of today goes another way."""
    lines, _ = _folded(history.definition, history.events, history.blobs, {})
    for number, (was, now) in enumerate(zip(history.lines, lines, strict=True), 1):
        if was != now:
            raise OtherWayError(_told(history, number, was, now))


def recorded() -> list[Path]:
    """List every recorded history."""
    return sorted(HERE.glob("*/*.jsonl"))


def name_of(path: Path) -> str:
    """Give the name of a recorded history, `WORKFLOW/CASE`."""
    head = json.loads(path.read_text(encoding="utf-8").partition("\n")[0])
    return f"{head['workflow']}/{head['case']}"


def _definition_path(folder: Path, digest: str) -> Path:
    return folder / f"definition-{digest.removeprefix('sha256:')[:12]}.json"


def _folded(
    definition: Definition, events: Iterable[Event], stored: Mapping[str, Value], looked_into: dict[str, Value]
) -> tuple[list[dict[str, Json]], RunState]:
    lines: list[dict[str, Json]] = []
    state: RunState | None = None
    for event in events:
        decision = _decided(definition, state, event, stored, looked_into)
        lines.append(_line(event, decision, state))
        state = decision.state
    assert state is not None, "a history begins with an event"
    return lines, state


def _decided(
    definition: Definition, state: RunState | None, event: Event, stored: Mapping[str, Value], looked_into: dict[str, Value]
) -> Decision:
    while isinstance(decision := advance(definition, state, event, looked_into), NeedBlobs):
        missing = [digest for digest in decision.digests if digest not in stored]
        if missing or set(decision.digests) <= set(looked_into):
            raise OtherWayError(f"{type(event).__name__}: the core looks into values that it did not look into: {missing}. {ADVICE}")
        looked_into |= {digest: stored[digest] for digest in decision.digests}
    return decision


def _line(event: Event, decision: Decision, before: RunState | None) -> dict[str, Json]:
    after, was = _data(decision.state), _data(before) if before is not None else {}
    line: dict[str, Json] = {"event": _data(event)}
    if decision.commands:
        line["commands"] = [{"kind": type(command).__name__} | brief(_data(command)) for command in decision.commands]
    if decision.notes:
        line["notes"] = [[note.kind, note.path, *([brief(_data(note)["data"])] if note.data else [])] for note in decision.notes]
    if decision.refusal is not None:
        line["refusal"] = decision.refusal.code
    line["state"] = hashlib.sha256(codec.dumps(decision.state)).hexdigest()[:16]
    line["changes"] = changes(was, after)
    return line


def _data(value: object) -> dict[str, Json]:
    return json.loads(codec.dumps(value))


def brief(value: Json, levels: int = 3) -> Json:
    """Give a value so many levels deep; long texts, and what is large below, as digests: they are compared, not read."""
    if isinstance(value, dict) and levels:
        return {key: brief(item, levels - 1) for key, item in value.items()}
    return value if len(codec.dumps(value)) <= LENGTH_MAX else f"#{hashlib.sha256(codec.dumps(value)).hexdigest()[:10]}"


def changes(before: dict[str, Json], after: dict[str, Json], levels: int = 3) -> dict[str, Json]:
    """Give what differs, as deep as both have objects; what is gone has a `-` before its name."""
    out: dict[str, Json] = {f"{GONE}{key}": None for key in before if key not in after}
    for key, value in after.items():
        was = before.get(key)
        if isinstance(value, dict) and isinstance(was, dict) and value != was:
            out[key] = changes(was, value, max(levels - 1, 0))
        elif key not in before or value != was or type(value) is not type(was):
            out[key] = brief(value, levels)
    return out


def differences(was: Json, now: Json, place: str = "") -> Iterator[str]:
    """Say where two trees part."""
    if isinstance(was, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*was, *now]):
            where = f"{place}.{key}" if place else key
            if key not in now:
                yield f"{where}: was {_shown(was[key])}, now not there"
            elif key not in was:
                yield f"{where}: was not there, now {_shown(now[key])}"
            else:
                yield from differences(was[key], now[key], where)
    elif isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        for index, (one, other) in enumerate(zip(was, now, strict=True)):
            yield from differences(one, other, f"{place}[{index}]")
    elif was != now or type(was) is not type(now):
        yield f"{place}: was {_shown(was)}, now {_shown(now)}"


def _shown(value: Json) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}…"


def _told(history: History, number: int, was: dict[str, Json], now: dict[str, Json]) -> str:
    event = type(history.events[number - 1]).__name__
    places = [line for line in differences(was, now) if not line.startswith("state: ")]
    # What changed is kept without long values; the digest has them all, in their order.
    found = places or ["changes: the same places changed; another order of keys, or a value within one that is kept as a digest"]
    more = [f"and {len(found) - DIFFERENCES_MAX} more"] if len(found) > DIFFERENCES_MAX else []
    lines = [
        f"{history.path.relative_to(HERE.parent.parent)}: event {number} of {len(history.lines)} ({event}) goes another way",
        *found[:DIFFERENCES_MAX], *more, ADVICE,
    ]  # fmt: skip
    return "\n  ".join(lines)
