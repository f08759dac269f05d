"""What travels between client, workflow and activities, and how: the core's own records, written by the core's own codec.

Payloads keep the encoding `json/plain`, so that Temporal's tools show them. Keys are only ever added, as in events (house style §4.4): a payload
stays in Temporal's history for as long as its run does.
"""

from dataclasses import dataclass, field, is_dataclass
from datetime import timedelta
from typing import Any, Final

from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    CompositePayloadConverter,
    DataConverter,
    DefaultPayloadConverter,
    JSONPlainPayloadConverter,
)

from treadle.core.codec import dumps, loads
from treadle.core.definition import Definition
from treadle.core.errors import Refusal
from treadle.core.events import Event, RunStarted
from treadle.core.state import ActionState, RunState
from treadle.core.values import Value
from treadle.ports import Lease, Request, RunMeta, StoredEvent

PAYLOAD_BYTES_MAX: Final = 1 << 20
"""Temporal refuses a payload of 2 MiB and a message of 4 MiB (ruling 40)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """The input of a run's workflow. `at_ms` of the event is the client's; the workflow stamps its own."""

    definition: Definition
    event: RunStarted
    meta: RunMeta
    lease_ms: int
    request: Request | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """An event on its way into the inbox, with the identity of the request that it came by."""

    event: Event
    request: Request | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What became of a letter: the part of a `ports.Reply` that is not the state."""

    refusal: Refusal | None = None
    claimed: str | None = None
    lease_until_ms: int | None = None
    duplicate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What stays as it is for the life of a run."""

    definition: Definition
    meta: RunMeta


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What somebody wants to see of a run, beside its state: what stays, the events after a revision."""

    opening: bool = False
    after_rev: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A run as it is now; `state` is None until its first event is absorbed. The events are no log: Temporal's history rebuilds them."""

    state: RunState | None = None
    leases: tuple[Lease, ...] = ()
    opening: Opening | None = None
    events: tuple[StoredEvent, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A server-performed action for an activity, with what its performer may need to know of the run: commands are trusted by definition."""

    run_id: str
    action: ActionState
    key: str
    timeout_ms: int | None = None
    definition: Definition | None = None
    directory: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionCall:
    """A registered function for a local activity."""

    node: str
    function: str
    version: str
    args: tuple[Value, ...] = ()
    kwargs: dict[str, Value] = field(default_factory=dict[str, Value])


class RecordConverter(JSONPlainPayloadConverter):
    """JSON payloads of our records by our codec; everything else as Temporal writes it."""

    def to_payload(self, value: Any) -> Payload | None:
        """Write a value."""
        if is_dataclass(value) and not isinstance(value, type):
            return Payload(metadata={"encoding": self.encoding.encode()}, data=dumps(value))
        return super().to_payload(value)

    def from_payload(self, payload: Payload, type_hint: type | None = None) -> Any:
        """Read a value back, by the type that is expected."""
        wanted: type[Any] | None = type_hint
        if wanted is not None and is_dataclass(wanted):
            return loads(wanted, payload.data)
        return super().from_payload(payload, wanted)


class RecordPayloads(CompositePayloadConverter):
    """Temporal's converters, with ours in the place of its JSON."""

    def __init__(self) -> None:
        """Made by Temporal, once per worker and client."""
        known = DefaultPayloadConverter.default_encoding_payload_converters
        super().__init__(*(RecordConverter() if isinstance(each, JSONPlainPayloadConverter) else each for each in known))


CONVERTER: Final = DataConverter(payload_converter_class=RecordPayloads)


def duration(ms: int) -> timedelta:
    """Give milliseconds as Temporal wants them."""
    return timedelta(milliseconds=ms)
