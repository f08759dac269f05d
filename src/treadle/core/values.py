"""Values: JSON data plus four kinds of leaf that stand for data kept elsewhere (rulings 8, 10, 11).

What comes from outside passes `normalise` once; behind it every value is finite, bounded and free of surprises, and is never changed in
place. A `BlobRef` is opaque: it may be assigned, passed on and compared. `Chunks` is a list whose pieces may be blobs. `Holed` is text with
blobs still to be filled in, at dispatch. `SecretRef` names a secret: whoever performs fills it in, and nothing stored ever holds more than the
name. All live in stored JSON as objects with one reserved key, which no outside data may use.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, NoReturn, TypeAlias, TypedDict, cast

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None

INT_MIN: Final = -(2**63)
INT_MAX: Final = 2**63 - 1
EXACT_FLOAT_MAX: Final = 2**53
DEPTH_MAX: Final = 64
CHUNK_ITEMS: Final = 100
RESERVED: Final = "$treadle."


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobRef:
    """A value set aside. `length` counts characters, items or keys, by `kind`; -1 where only reading can tell (text with holes)."""

    digest: str
    size_bytes: int
    kind: Literal["text", "list", "object"]
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunks:
    """A list in pieces of `CHUNK_ITEMS` (the last may be shorter), each there or set aside; `length` counts the items."""

    parts: tuple["tuple[Value, ...] | BlobRef", ...]
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretRef:
    """A secret, by name. It can be passed on and stand in text; nothing can look inside."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Holed:
    """Text with holes: a blob's text (a list's or object's JSON text), or a secret, belongs where its reference stands."""

    parts: tuple[str | BlobRef | SecretRef, ...]


Value: TypeAlias = Json | list["Value"] | dict[str, "Value"] | BlobRef | Chunks | Holed | SecretRef


class _BlobBody(TypedDict):
    digest: str
    size_bytes: int
    kind: Literal["text", "list", "object"]
    length: int


class _ChunksBody(TypedDict):
    length: int
    parts: list[list[Value] | BlobRef]


class ValueProblem(Exception):  # noqa: N818 - it tells of outside data, not of a fault in the program
    """Data that may not enter. `path` is a JSON pointer to the place."""

    def __init__(self, code: str, message: str) -> None:
        """Keep a stable code and a message for whoever sent the data."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.path = ""


def tagged(value: object) -> dict[str, object]:
    """Give the stored form of a blob reference, a secret, chunks or holed text; the `default` hook of JSON encoders."""
    if type(value) is BlobRef:
        body = {"digest": value.digest, "size_bytes": value.size_bytes, "kind": value.kind, "length": value.length}
        return {"$treadle.blob": body}
    if type(value) is Chunks:
        return {"$treadle.chunks": {"length": value.length, "parts": value.parts}}
    if type(value) is Holed:
        return {"$treadle.holed": value.parts}
    if type(value) is SecretRef:
        return {"$treadle.secret": value.name}
    raise ValueProblem("not_json", f"{type(value).__name__} is no JSON value")


def untagged(data: dict[str, object]) -> object:
    """Read back what `tagged` wrote; any other object is given as it is. The `object_hook` of JSON decoders."""
    if len(data) != 1:
        return data
    ((key, body),) = data.items()
    if key == "$treadle.blob":
        blob = cast(_BlobBody, body)
        return BlobRef(**blob)
    if key == "$treadle.chunks":
        chunks = cast(_ChunksBody, body)
        parts = tuple(part if isinstance(part, BlobRef) else tuple(part) for part in chunks["parts"])
        return Chunks(parts=parts, length=chunks["length"])
    if key == "$treadle.holed":
        return Holed(parts=tuple(cast("list[str | BlobRef | SecretRef]", body)))
    if key == "$treadle.secret":
        return SecretRef(name=cast(str, body))
    return data


_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False, default=tagged)
_spaced = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, default=tagged)
_sorted = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False, default=tagged, sort_keys=True)


def as_text(value: Value) -> str:
    """Write plain data as it reads in text (language.md §4): text as it is, all else as JSON text, with spaces, keys in their order."""
    return value if isinstance(value, str) else _spaced.encode(value)


def encode(value: Value) -> str:
    """Write a value as it is stored: compact, keys in the order they came."""
    return _compact.encode(value)


def decode(text: str) -> Value:
    """Read what `encode` wrote. For data from outside there is `parse_json`."""
    hook = untagged if RESERVED in text else None
    return cast(Value, json.loads(text, object_hook=hook))


def canonical(value: Value) -> bytes:
    """Write a value for digests: compact, keys sorted (ruling 8)."""
    return _sorted.encode(value).encode()


def digest(data: bytes) -> str:
    """Name bytes by their content."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def spill(value: Value) -> tuple[BlobRef, bytes]:
    """Set a text, list or object aside: its reference, and the bytes to store under the reference's digest."""
    body = encode(value).encode()
    length = -1
    if isinstance(value, str):
        kind, length = "text", len(value)
    elif isinstance(value, Holed):
        kind = "text"
    elif isinstance(value, list):
        kind, length = "list", len(value)
    elif isinstance(value, Chunks):
        kind, length = "list", value.length
    elif isinstance(value, dict):
        kind, length = "object", len(value)
    else:
        raise ValueProblem("not_spillable", f"a value of type {type(value).__name__} is never set aside")
    return BlobRef(digest=digest(body), size_bytes=len(body), kind=kind, length=length), body


def parse_json(text: str) -> Json:
    """Read JSON text from outside, strictly: no duplicate keys, no NaN, then `normalise`. Raises ValueProblem."""
    try:
        data = json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueProblem("too_deep", f"data is nested deeper than {DEPTH_MAX}") from error
    except ValueError as error:
        raise ValueProblem("not_json", f"this is not JSON: {error}") from error
    return cast(Json, normalise(data))


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueProblem("duplicate_key", f"the key {key!r} stands twice in one object")
            seen.add(key)
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueProblem("not_finite", f"{name} is no JSON number")


def normalise(value: object, *, report: Callable[[str], None] | None = None, refs: bool = False) -> Value:
    """Make outside data ours (ruling 8); the same object comes back where nothing had to change. Raises ValueProblem.

    Integral floats below 2**53 become integers, tuples lists, lone surrogates U+FFFD: `report` then gets the offending text as it reads now.
    `refs` lets references, chunks and holed text pass, for values that were computed here.
    """
    return _normalise(value, 0, _Rules(report, refs))


class _Rules(NamedTuple):
    report: Callable[[str], None] | None
    refs: bool


def _normalise(value: object, depth: int, rules: _Rules) -> Value:
    kind = type(value)
    if kind is str:
        text = cast(str, value)
        return text if text.isascii() else _without_surrogates(text, rules.report)
    if value is None or kind is bool:
        return cast(Json, value)
    if kind is int:
        if not INT_MIN <= cast(int, value) <= INT_MAX:
            raise ValueProblem("number_range", "an integer lies beyond 64 bits; pass it as text")
        return cast(int, value)
    if kind is float:
        return _number(cast(float, value))
    if kind is dict or kind is list or kind is tuple:
        if depth >= DEPTH_MAX:
            raise ValueProblem("too_deep", f"data is nested deeper than {DEPTH_MAX}")
        if kind is dict:
            return _object(cast(dict[object, object], value), depth + 1, rules)
        return _items(cast("list[object] | tuple[object, ...]", value), depth + 1, rules)
    if rules.refs and kind in {BlobRef, Chunks, Holed, SecretRef}:
        return cast(Value, value)
    raise ValueProblem("not_json", f"{kind.__name__} is no JSON value")


def _number(number: float) -> float:
    if number - number != 0.0:  # NaN and the infinities alone
        raise ValueProblem("not_finite", "NaN and infinity are no JSON numbers")
    return int(number) if -EXACT_FLOAT_MAX < number < EXACT_FLOAT_MAX and number.is_integer() else number


def _items(items: list[object] | tuple[object, ...], depth: int, rules: _Rules) -> Value:
    changed: list[Value] | None = list(cast("tuple[Value, ...]", items)) if type(items) is tuple else None
    index = 0
    try:
        for index, item in enumerate(items):
            new = _normalise(item, depth, rules)
            if new is not item:
                if changed is None:
                    changed = list(cast("list[Value]", items))
                changed[index] = new
    except ValueProblem as problem:
        problem.path = f"/{index}{problem.path}"
        raise
    return changed if changed is not None else cast("list[Value]", items)


def _object(data: dict[object, object], depth: int, rules: _Rules) -> Value:
    changed: dict[str, Value] | None = None
    key: object = None
    try:
        for key, item in data.items():
            if _key(key, None) is not key:
                return _object(_with_sound_keys(data, rules), depth, rules)
            new = _normalise(item, depth, rules)
            if new is not item:
                if changed is None:
                    changed = cast("dict[str, Value]", dict(data))
                changed[cast(str, key)] = new
    except ValueProblem as problem:
        problem.path = f"/{str(key)[:80].replace('~', '~0').replace('/', '~1')}{problem.path}"
        raise
    return changed if changed is not None else cast("dict[str, Value]", data)


def _with_sound_keys(data: dict[object, object], rules: _Rules) -> dict[object, object]:
    sound: dict[object, object] = {_key(key, rules.report): item for key, item in data.items()}
    if len(sound) < len(data):
        raise ValueProblem("duplicate_key", "two keys of one object differ only in broken characters")
    return sound


def _key(key: object, report: Callable[[str], None] | None) -> str:
    if type(key) is not str:
        raise ValueProblem("key_type", f"a key is a {type(key).__name__}; keys are text")
    if key.startswith(RESERVED):
        raise ValueProblem("reserved_key", f"the key {key!r} is reserved: no key of yours may start with {RESERVED!r}")
    return key if key.isascii() else _without_surrogates(key, report)


def _without_surrogates(text: str, report: Callable[[str], None] | None) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        # A pair that arrived as two halves is one character; a half alone is nothing.
        sound = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        if report is not None:
            report(sound)
        return sound
    return text
