"""Looking at values: inside blobs, at truth, equality and order, and as text.

Only here is decided what is opaque. A reference is compared and tested for truth unopened; whatever needs what is inside goes through
`opened`, which asks for all that is missing at once. Equality and order know that JSON's booleans are no numbers.
"""

import json
from decimal import Decimal
from typing import Final, cast

from treadle.core.expr.evaluation import Evaluation, ExprError, Missing, NeedBlobs, V
from treadle.core.values import CHUNK_ITEMS, BlobRef, Chunks, Holed, SecretRef, Value, as_text

# What one of these costs is counted by its size in moves of 64 bytes.
MOVE_BITS: Final = 6
_SHOWN_MAX: Final = 40
_SET_ASIDE: Final = (BlobRef, Chunks, Holed, SecretRef)


def kind_of(value: V | Missing) -> str:
    """Name a value's kind for messages."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case Decimal():
            return "a decimal"
        case str() | Holed() | BlobRef(kind="text"):
            return "text"
        case list() | Chunks() | BlobRef(kind="list"):
            return "a list"
        case dict() | BlobRef():
            return "an object"
        case SecretRef():
            return "a secret"
        case Missing():
            return "nothing"


def shown(value: V) -> str:
    """Show a value in a message, cut short."""
    match value:
        case None | bool() | int() | float() | Decimal():
            return text_of_scalar(value)
        case str():
            text = json.dumps(value[:_SHOWN_MAX], ensure_ascii=False)
            return text if len(value) <= _SHOWN_MAX else text[:-1] + '…"'
        case _:
            return kind_of(value)


def wrong_kind(who: str, wanted: str, value: V | Missing, suggestion: str = "") -> ExprError:
    """Make the error for a value of a kind that cannot be worked on."""
    return ExprError("types", f"`{who}` works on {wanted}, not on {kind_of(value)}", suggestion=suggestion)


def open_blob(ev: Evaluation, ref: BlobRef) -> V:
    """Give what a reference stands for. Raises NeedBlobs."""
    try:
        return cast(V, ev.env.blobs[ref.digest])
    except KeyError:
        raise NeedBlobs((ref.digest,)) from None


def opened(ev: Evaluation, value: V) -> V:
    """Give a value whose outermost level can be looked at: no reference, no chunks, no holes."""
    while True:
        if isinstance(value, BlobRef):
            value = open_blob(ev, value)
        elif isinstance(value, Chunks):
            return chunk_items(ev, value)
        elif isinstance(value, Holed):
            return _filled(ev, value)
        elif isinstance(value, SecretRef):
            raise secret_inside(value.name)
        else:
            return value


def secret_inside(name: str) -> ExprError:
    """Make the error for whatever needs to know a secret: its value is nowhere but where it is used."""
    hint = "pass it on as it is, or put it into text: `Bearer {{ secrets.NAME }}`"
    return ExprError("secret_inside", f"`secrets.{name}` cannot be looked into, tested or changed", suggestion=hint)


def _require(ev: Evaluation, refs: list[BlobRef]) -> None:
    absent = tuple(dict.fromkeys(ref.digest for ref in refs if ref.digest not in ev.env.blobs))
    if absent:
        raise NeedBlobs(absent)


def _filled(ev: Evaluation, value: Holed) -> str:
    _require(ev, [part for part in value.parts if isinstance(part, BlobRef)])
    text = "".join(part if isinstance(part, str) else text_of(ev, opened(ev, part)) for part in value.parts)
    ev.charge(len(text) >> MOVE_BITS)
    return text


def chunk_items(ev: Evaluation, value: Chunks, first: int = 0, last: int | None = None) -> list[V]:
    """Give the items of the chunks that hold the indexes `first` to `last` (all by default). Raises NeedBlobs for just those."""
    parts = value.parts[first // CHUNK_ITEMS : None if last is None else last // CHUNK_ITEMS + 1]
    _require(ev, [part for part in parts if isinstance(part, BlobRef)])
    ev.charge(len(parts) * CHUNK_ITEMS if len(parts) > 1 else 1)
    items: list[V] = []
    for part in parts:
        found = opened(ev, open_blob(ev, part)) if isinstance(part, BlobRef) else list(cast("tuple[V, ...]", part))
        if not isinstance(found, list):
            raise ExprError("bad_blob", "a piece of a list that was set aside holds no list", suggestion="run `treadle doctor`")
        items += found
    return items


def items_of(ev: Evaluation, value: V, who: str) -> list[V]:
    """Give what going through a value gives: a list's items, an object's keys, a text's characters. Charges a move each."""
    value = opened(ev, value)
    if isinstance(value, list):
        items = value
    elif isinstance(value, str | dict):
        ev.charge(len(value))
        return list(value)
    else:
        raise wrong_kind(who, "a list", value)
    ev.charge(len(items))
    return items


def truth(ev: Evaluation, value: V) -> bool:
    """Tell whether a value counts as true: not null, false, 0, nor empty."""
    if value is True or value is False:  # what loops mostly ask, without the ceremony
        return value
    match value:
        case BlobRef(length=-1):
            return truth(ev, open_blob(ev, value))
        case BlobRef() | Chunks():
            return value.length > 0
        case Holed():
            return any(truth(ev, part) for part in value.parts)
        case SecretRef():
            raise secret_inside(value.name)
        case _:
            return bool(value)


def equal(ev: Evaluation, a: V, b: V) -> bool:
    """Compare as JSON does: by kind first, deep, numbers by value. References to the same bytes are equal unopened."""
    kind = type(a)
    if kind is type(b):
        if kind is list or kind is dict:
            return _equal_containers(ev, a, b)
        if kind is str:
            ev.charge(1 + (len(cast(str, a)) >> MOVE_BITS))
            return a == b
        if a is None or isinstance(a, bool | int | float | Decimal):
            return a == b
    if isinstance(a, _SET_ASIDE) or isinstance(b, _SET_ASIDE):
        return _equal_set_aside(ev, a, b)
    if isinstance(a, Decimal) or isinstance(b, Decimal):
        return _equal_decimals(a, b)
    if isinstance(a, bool) or isinstance(b, bool):
        return False
    return isinstance(a, int | float) and isinstance(b, int | float) and a == b


def _equal_set_aside(ev: Evaluation, a: V, b: V) -> bool:
    """Compare by kind, digest and length before anything is read: whether a large text is null needs no look inside."""
    secret = next((side for side in (a, b) if isinstance(side, SecretRef)), None)
    if secret is not None:
        raise secret_inside(secret.name)
    if a is b:
        return True
    if isinstance(a, BlobRef) and isinstance(b, BlobRef):
        if a.digest == b.digest:
            return True
        if a.kind == b.kind == "text" and -1 not in {a.length, b.length}:
            return False
    if kind_of(a) != kind_of(b) or _known_length(a) != _known_length(b) != -1 != _known_length(a):
        return False
    return equal(ev, opened(ev, a), opened(ev, b))


def _known_length(value: V) -> int:
    if isinstance(value, BlobRef | Chunks):
        return value.length
    return len(value) if isinstance(value, str | list | dict) else -1


def _equal_decimals(a: V, b: V) -> bool:
    if isinstance(a, float | str) or isinstance(b, float | str):
        other = a if isinstance(b, Decimal) else b
        message = f"a decimal cannot be compared with {kind_of(other)}"
        raise ExprError("types", message, suggestion=f"compare decimals: `{shown(other)} | decimal`")
    return not isinstance(a, bool) and not isinstance(b, bool) and a == b


def _equal_containers(ev: Evaluation, a: V, b: V) -> bool:
    if a is b:
        return True
    if isinstance(a, list) and isinstance(b, list):
        ev.charge(1 + min(len(a), len(b)))
        return len(a) == len(b) and all(equal(ev, x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict) and isinstance(b, dict):
        ev.charge(1 + min(len(a), len(b)))
        return len(a) == len(b) and all(key in b and equal(ev, x, b[key]) for key, x in a.items())
    return False


def less(ev: Evaluation, a: V, b: V) -> bool:
    """Tell whether `a` comes before `b`. Raises ExprError `types` for values of different kinds, and for null and objects."""
    if isinstance(a, bool) or isinstance(b, bool):
        if isinstance(a, bool) and isinstance(b, bool):
            return a < b
        raise not_ordered(a, b)
    if isinstance(a, int | float) and isinstance(b, int | float):
        return a < b
    if isinstance(a, int | Decimal) and isinstance(b, int | Decimal):
        return a < b
    a, b = opened(ev, a), opened(ev, b)
    if isinstance(a, str) and isinstance(b, str):
        ev.charge(1 + (min(len(a), len(b)) >> MOVE_BITS))
        return a < b
    if isinstance(a, list) and isinstance(b, list):
        for x, y in zip(a, b, strict=False):
            ev.charge(1)
            if not equal(ev, x, y):
                return less(ev, x, y)
        return len(a) < len(b)
    raise not_ordered(a, b)


def not_ordered(a: V, b: V) -> ExprError:
    """Make the error for two values that have no order."""
    hint = "" if not (isinstance(a, str) or isinstance(b, str)) else "convert one of them: `| int`, `| float`, `| decimal` or `| string`"
    return ExprError("types", f"{kind_of(a)} ({shown(a)}) and {kind_of(b)} ({shown(b)}) have no order", suggestion=hint)


def text_of_scalar(value: bool | float | Decimal | None) -> str:  # noqa: FBT001
    """Write a number, boolean or null as in text: JSON's way."""
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    return f"{value:f}" if isinstance(value, Decimal) else repr(value)


def text_of(ev: Evaluation, value: V) -> str:
    """Write a value as in text: text as it is, all else as JSON text (language.md §4)."""
    if isinstance(value, _SET_ASIDE):
        value = opened(ev, value)
    if isinstance(value, str):
        return value
    if isinstance(value, list | dict):
        return json_text(ev, value)
    return text_of_scalar(cast("int | float | Decimal | None", value))


def json_text(ev: Evaluation, value: V, indent: int | None = None) -> str:
    """Write a value as JSON text, keys in their order, nothing escaped for HTML."""
    plain = Plain(ev).value(value, 0)
    if indent is None and not isinstance(plain, str):
        text = as_text(plain)
    else:
        text = json.dumps(plain, ensure_ascii=False, allow_nan=False, indent=indent)
        ev.charge(len(text) >> 4)  # indenting is done in Python
    ev.charge(len(text) >> MOVE_BITS)
    ev.check_size(len(text))
    return text


class Plain:
    """Makes a value plain JSON data, looking inside everything; refuses what would be too large before it is built."""

    def __init__(self, ev: Evaluation) -> None:
        """Begin with nothing written."""
        self.ev = ev
        self.size = 0

    def value(self, value: V, depth: int) -> Value:
        """Give the plain form of one value."""
        kind = type(value)
        if kind is int or kind is bool or value is None or kind is float:
            self.size += 2
            return cast(Value, value)
        if kind is str:
            text = cast(str, value)
            self._count(len(text) + 3)
            self.ev.charge(len(text) >> MOVE_BITS)
            return text
        if kind is list:
            return self._list(cast("list[V]", value), depth)
        if kind is dict:
            return self._dict(cast("dict[str, V]", value), depth)
        return text_of_scalar(value) if isinstance(value, Decimal) else self.value(opened(self.ev, value), depth)

    def _list(self, items: list[V], depth: int) -> Value:
        self._enter(len(items), depth)
        return [self.value(item, depth + 1) for item in items]

    def _dict(self, data: dict[str, V], depth: int) -> Value:
        self._enter(len(data), depth)
        self._count(sum(map(len, data)) + 4 * len(data))
        return {key: self.value(item, depth + 1) for key, item in data.items()}

    def _enter(self, count: int, depth: int) -> None:
        self.ev.charge(3 + count)
        self._count(2 + count)
        if depth >= _DEPTH_MAX:
            raise too_deep()

    def _count(self, size: int) -> None:
        self.size += size
        self.ev.check_size(self.size)


_DEPTH_MAX: Final = 64


def too_deep() -> ExprError:
    """Make the error for data nested too deeply."""
    return ExprError("too_deep", f"data is nested deeper than {_DEPTH_MAX}", suggestion="keep lists and objects flatter")
