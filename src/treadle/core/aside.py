"""Values set aside: how the state of a run stays small (rulings 10, 11).

A value above 64 KiB never enters the state. The sizes of all others are added up as they come in, and nothing is subtracted, so that the sum
is never less than the encoded size. Only when it passes the limit is the state measured and, if it is really that large, the largest
values are set aside until a quarter is free again. Measuring costs as much as the state is large, once per quarter of a mebibyte written.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from treadle.core import limits
from treadle.core.codec import dumps
from treadle.core.errors import InvariantViolationError
from treadle.core.expr import NeedBlobs
from treadle.core.records import replace
from treadle.core.state import Fan, Frame, RunState, StepNode
from treadle.core.values import CHUNK_ITEMS, BlobRef, Chunks, Holed, SecretRef, Value, as_text, encode, spill

Shrink = Callable[[Value], Value]
Parts = tuple[tuple[Value, ...] | BlobRef, ...]
# What the core itself looks into stays.
RULES = frozenset(
    {
        "format",
        "options",
        "fields",
        "output",
        "users",
        "roles",
        "never",
        "barred",
        "count",
        "assurance",
        "gate",
        "cache_key",
        "run_id",
        "workflow",
    }
)


def size_of(value: Value) -> int:
    """Give the size of a value as stored, in bytes."""
    if value is None or isinstance(value, bool | int | float):
        return 24
    text = encode(value)
    return len(text) if text.isascii() else len(text.encode())


def fill(value: Value, read: Callable[[str], Value]) -> Value:
    """Give a value with everything in it that was set aside, for whoever needs the whole. Secrets stay references."""
    match value:
        case BlobRef():
            return fill(read(value.digest), read)
        case Chunks():
            parts = [fill(part if isinstance(part, BlobRef) else list(part), read) for part in value.parts]
            return [item for part in parts if isinstance(part, list) for item in part]
        case Holed():
            return _joined(part if isinstance(part, str) else fill(part, read) for part in value.parts)
        case list():
            return [fill(item, read) for item in value]
        case dict():
            return {key: fill(item, read) for key, item in value.items()}
        case _:
            return value


def _joined(parts: Iterable[Value]) -> Value:
    """Write parts as one text, which keeps holes where secrets belong."""
    flat = [inner for part in parts for inner in (part.parts if isinstance(part, Holed) else (part,))]
    out: list[str | SecretRef] = [part if isinstance(part, SecretRef) else as_text(part) for part in flat]
    texts = [part for part in out if isinstance(part, str)]
    return "".join(texts) if len(texts) == len(out) else Holed(parts=tuple(out))


def named(value: Value) -> Value:
    """Give a whole value as it may be shown: of a secret its name, in text as `***NAME***`."""
    match value:
        case SecretRef():
            return {"$treadle.secret": value.name}
        case Holed():
            return "".join(
                f"***{part.name}***" if isinstance(part, SecretRef) else part for part in value.parts if not isinstance(part, BlobRef)
            )
        case list():
            return [named(item) for item in value]
        case dict():
            return {key: named(item) for key, item in value.items()}
        case _:
            return value


def pieces_of(values: Sequence[Value]) -> Parts:
    """Divide a list into pieces of fixed size."""
    return tuple(tuple(values[first : first + CHUNK_ITEMS]) for first in range(0, len(values), CHUNK_ITEMS))


def with_item(parts: Parts, index: int, value: Value) -> Parts:
    """Put a value in its place in the pieces of a list."""
    number, place = divmod(index, CHUNK_ITEMS)
    part = parts[number]
    if value is None or isinstance(part, BlobRef):
        return parts
    return (*parts[:number], (*part[:place], value, *part[place + 1 :]), *parts[number + 1 :])


def with_error(fan: Fan, error: Value, set_aside: Callable[[Value], BlobRef]) -> Fan:
    """Add the record of a failed item; a full piece of them is set aside."""
    errors = (*fan.errors, error)
    if len(errors) < CHUNK_ITEMS:
        return replace(fan, errors=errors)
    return replace(fan, errors=(), error_parts=(*fan.error_parts, set_aside(list(errors))))


def errors_of(fan: Fan) -> Value:
    """Give the list of those records."""
    if not fan.error_parts:
        return list(fan.errors)
    parts = (*fan.error_parts, fan.errors) if fan.errors else fan.error_parts
    return Chunks(parts=parts, length=len(fan.error_parts) * CHUNK_ITEMS + len(fan.errors))


def item_at(items: Value, index: int, blobs: Mapping[str, Value]) -> Value:
    """Give one item of a list; of pieces only the one that holds it is read. Raises NeedBlobs."""
    if isinstance(items, Chunks):
        number, index = divmod(index, CHUNK_ITEMS)
        part = items.parts[number]
        if isinstance(part, BlobRef) and part.digest not in blobs:
            # Small pieces are asked for ahead: each question costs the transition from its beginning.
            ahead = [piece for piece in items.parts[number + 1 : number + limits.PIECES_AHEAD] if isinstance(piece, BlobRef)]
            small = [piece.digest for piece in ahead if piece.size_bytes <= limits.STATE_BYTES_MAX]
            raise NeedBlobs(tuple(name for name in (part.digest, *small) if name not in blobs))
        items = blobs[part.digest] if isinstance(part, BlobRef) else list(part)
    if not isinstance(items, list):
        raise InvariantViolationError("the items of a foreach are no list any more")
    return items[index]


def in_pieces(parts: Sequence[tuple[Value, ...] | BlobRef], count: int, set_aside: Callable[[Value], BlobRef]) -> Value:
    """Give a list of `count` items; a large one in pieces that are set aside, so that an index reads only what it needs."""
    whole = [value for part in parts if not isinstance(part, BlobRef) for value in part]
    if len(whole) == count and size_of(whole) <= limits.BLOB_BYTES_MIN:
        return whole
    return Chunks(parts=tuple(part if isinstance(part, BlobRef) else set_aside(list(part)) for part in parts), length=count)


def make_room(state: RunState, set_aside: dict[str, bytes]) -> RunState:
    """Measure a state; if it is too large, set values aside, the largest first, adding them to `set_aside`."""
    # What is open still grows where it stands: a claim, a timer, a mark.
    growth = (len(state.nodes) + len(state.frames) + len(state.actions)) * limits.ENTRY_BYTES // 2
    size, threshold = len(dumps(state)) + growth, limits.BLOB_BYTES_MIN
    wanted = limits.STATE_BYTES_MAX if size <= limits.STATE_BYTES_MAX else limits.STATE_BYTES_MAX * 3 // 4
    left = size

    def shrink(value: Value) -> Value:
        nonlocal left
        if left <= wanted or not isinstance(value, str | list | dict | Holed) or (found := size_of(value)) < threshold:
            return value
        reference, body = spill(value)
        set_aside[reference.digest] = body
        left -= found - size_of(reference)
        return reference

    while left > wanted and threshold > limits.SPILL_BYTES_MIN:
        threshold //= 2
        state = _shrunk(state, shrink)
    return replace(state, size_bytes=size if left == size else len(dumps(state)) + growth)


def _shrunk(state: RunState, shrink: Shrink) -> RunState:
    actions = {
        path: replace(a, params={name: value if name in RULES else shrink(value) for name, value in a.params.items()})
        for path, a in state.actions.items()
    }
    nodes = {
        path: replace(node, fan=_shrunk_fan(state, path, node.fan, shrink)) if isinstance(node, StepNode) and node.fan else node
        for path, node in state.nodes.items()
    }
    frames = {path: _shrunk_frame(frame, shrink) for path, frame in state.frames.items()}
    return replace(state, frames=frames, actions=actions, nodes=nodes)


def _shrunk_frame(frame: Frame, shrink: Shrink) -> Frame:
    steps: dict[str, Value] = {
        name: {**record, "result": shrink(record["result"])} if isinstance(record, dict) else record for name, record in frame.steps.items()
    }
    state, inputs = ({n: shrink(v) for n, v in fields.items()} if fields else fields for fields in (frame.state, frame.inputs))
    return replace(frame, state=state, inputs=inputs, steps=steps, item=shrink(frame.item))


def _shrunk_fan(state: RunState, path: str, fan: Fan, shrink: Shrink) -> Fan:
    """Set single results aside, and pieces in which nothing is missing any more as wholes."""
    open_indexes = (f.index for f in state.frames.values() if f.index is not None and f.path == f"{path}[{f.index}]")
    first_open = min(open_indexes, default=fan.next_index)
    parts, trees = _shrunk_parts(fan.parts, first_open, shrink), _shrunk_parts(fan.trees, first_open, shrink)
    return replace(fan, items=shrink(fan.items), parts=parts, trees=trees)


def _shrunk_parts(pieces: Parts, first_open: int, shrink: Shrink) -> Parts:
    parts: list[tuple[Value, ...] | BlobRef] = []
    for number, part in enumerate(pieces):
        if not isinstance(part, BlobRef):
            whole = shrink(list(part)) if (number + 1) * CHUNK_ITEMS <= first_open else None
            part = whole if isinstance(whole, BlobRef) else tuple(map(shrink, part))  # noqa: PLW2901 - the same piece, smaller
        parts.append(part)
    return tuple(parts)
