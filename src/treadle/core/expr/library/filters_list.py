"""Filters on lists and objects. Those that compare ignore case unless told otherwise, as Jinja's do; sorting is stable."""

from collections.abc import Callable
from decimal import Decimal
from functools import cmp_to_key
from typing import Final, cast

from treadle.core.expr.access import step_into
from treadle.core.expr.arithmetic import add
from treadle.core.expr.evaluation import MISSING, Evaluation, ExprError, Missing, V
from treadle.core.expr.given import int_given, keys_given, list_given, object_given, value_at, word_given
from treadle.core.expr.look import MOVE_BITS, Plain, equal, items_of, less, not_ordered, open_blob, opened, truth, wrong_kind
from treadle.core.values import BlobRef, Chunks, canonical

_COMPARED_BITS: Final = 8
_KINDS: Final[dict[type, str]] = {
    int: "number",
    float: "number",
    Decimal: "number",
    str: "text",
    bool: "boolean",
    list: "list",
    type(None): "null",
}


def length(ev: Evaluation, value: V) -> V:
    """Count characters, items or keys; of a value set aside, without reading it."""
    while isinstance(value, BlobRef) and value.length < 0:
        value = open_blob(ev, value)
    if isinstance(value, BlobRef | Chunks):
        return value.length
    value = opened(ev, value)
    if isinstance(value, str | list | dict):
        return len(value)
    raise wrong_kind("length", "text, a list or an object", value)


def first(ev: Evaluation, value: V) -> "V | Missing":
    """Give the first item."""
    return _at_end(ev, "first", value, 0)


def last(ev: Evaluation, value: V) -> "V | Missing":
    """Give the last item."""
    return _at_end(ev, "last", value, -1)


def _at_end(ev: Evaluation, who: str, value: V, index: int) -> "V | Missing":
    if isinstance(value, Chunks):
        return step_into(ev, value, index)
    value = opened(ev, value)
    if isinstance(value, list | str):
        return value[index] if value else MISSING
    items = items_of(ev, value, who)
    return items[index] if items else MISSING


def as_list(ev: Evaluation, value: V) -> V:
    """Give a list's items, an object's keys, a text's characters."""
    return list(items_of(ev, value, "list"))


def reverse(ev: Evaluation, value: V) -> V:
    """Turn a list or a text around."""
    if isinstance(value, str):
        ev.charge(len(value) >> MOVE_BITS)
        return value[::-1]
    return items_of(ev, value, "reverse")[::-1]


def random_item(ev: Evaluation, value: V) -> "V | Missing":
    """Draw an item; the same again when the run is replayed."""
    items = items_of(ev, value, "random")
    return items[ev.draw() % len(items)] if items else MISSING


def attributes(ev: Evaluation, who: str, value: V, attribute: V) -> list[V]:
    """Give the items, or an attribute of each."""
    items = items_of(ev, value, who)
    if attribute is None:
        return items
    keys = keys_given(who, attribute)
    return [value_at(ev, who, item, keys) for item in items]


def _folded(ev: Evaluation, value: V) -> V:
    value = opened(ev, value)
    if isinstance(value, str):
        ev.charge(len(value) >> MOVE_BITS)
        return value.lower()
    return value


def _keys(ev: Evaluation, who: str, items: list[V], attribute: V, case_sensitive: V) -> list[V]:
    if isinstance(attribute, str) and "," in attribute:
        columns = [_keys(ev, who, items, part.strip(), case_sensitive) for part in attribute.split(",")]
        return [list(row) for row in zip(*columns, strict=True)]
    found = items if attribute is None else attributes(ev, who, items, attribute)
    return found if truth(ev, case_sensitive) else [_folded(ev, key) for key in found]


def _order(ev: Evaluation, keys: list[V], *, backwards: bool = False) -> list[int]:
    """Give the indexes in the order of their keys, which must be of one kind."""
    kinds = {_KINDS.get(type(key), "object") for key in keys}
    # Long texts that begin alike are compared to where they differ.
    long = sum(len(key) >> _COMPARED_BITS for key in keys if isinstance(key, str))
    ev.charge((len(keys) + long) * max(len(keys).bit_length(), 1))
    if len(kinds) > 1:
        other = next(key for key in keys if _KINDS.get(type(key), "object") != _KINDS.get(type(keys[0]), "object"))
        raise not_ordered(keys[0], other)
    if kinds <= {"number", "text", "boolean"}:
        if any(isinstance(key, float) for key in keys) and any(isinstance(key, Decimal) for key in keys):
            raise ExprError("types", "floats and decimals have no common order", suggestion="make all decimals: `| map('decimal')`")
        return sorted(range(len(keys)), key=cast("Callable[[int], int]", keys.__getitem__), reverse=backwards)
    if kinds == {"null"} or len(keys) < 2:
        return list(range(len(keys)))

    def compare(a: int, b: int) -> int:
        ev.charge(6)
        return -1 if less(ev, keys[a], keys[b]) else 1 if less(ev, keys[b], keys[a]) else 0

    return sorted(range(len(keys)), key=cmp_to_key(compare), reverse=backwards)


def sort(ev: Evaluation, value: V, reverse: V = False, case_sensitive: V = False, attribute: V = None) -> V:  # noqa: FBT002
    """Sort, by an attribute or several (`'a,b'`)."""
    items = items_of(ev, value, "sort")
    return [items[index] for index in _order(ev, _keys(ev, "sort", items, attribute, case_sensitive), backwards=truth(ev, reverse))]


def unique(ev: Evaluation, value: V, case_sensitive: V = False, attribute: V = None) -> V:  # noqa: FBT002
    """Keep the first of those that are equal."""
    items = items_of(ev, value, "unique")
    ev.charge(2 * len(items))
    seen: set[object] = set()
    out: list[V] = []
    for item, key in zip(items, _keys(ev, "unique", items, attribute, case_sensitive), strict=True):
        mark = _mark(ev, key)
        if mark not in seen:
            seen.add(mark)
            out.append(item)
    return out


def _mark(ev: Evaluation, key: V) -> object:
    key = opened(ev, key)
    if not isinstance(key, list | dict):
        return _KINDS.get(type(key)), key
    mark = canonical(Plain(ev).value(key, 0))
    ev.charge(len(mark) >> 5)
    return mark


def smallest(ev: Evaluation, value: V, case_sensitive: V = False, attribute: V = None) -> "V | Missing":  # noqa: FBT002
    """Give the smallest item."""
    return _extreme(ev, "min", value, case_sensitive, attribute)


def largest(ev: Evaluation, value: V, case_sensitive: V = False, attribute: V = None) -> "V | Missing":  # noqa: FBT002
    """Give the largest item."""
    return _extreme(ev, "max", value, case_sensitive, attribute)


def _extreme(ev: Evaluation, who: str, value: V, case_sensitive: V, attribute: V) -> "V | Missing":
    items = items_of(ev, value, who)
    keys = _keys(ev, who, items, attribute, case_sensitive)
    best = 0
    ev.charge(2 * len(items))
    for index in range(1, len(items)):
        if less(ev, keys[index], keys[best]) if who == "min" else less(ev, keys[best], keys[index]):
            best = index
    return items[best] if items else MISSING


def total(ev: Evaluation, value: V, attribute: V = None, start: V = 0) -> V:
    """Add up."""
    result = start
    for item in attributes(ev, "sum", value, attribute):
        ev.charge(2)
        result = add(ev, result, item)
    return result


def batch(ev: Evaluation, value: V, linecount: V, fill_with: V = None) -> V:
    """Cut into lists of `linecount` items, the last filled up if something is given for it."""
    size = int_given("batch", "linecount", linecount, 1)
    items = items_of(ev, value, "batch")
    rows: list[list[V]] = [items[at : at + size] for at in range(0, len(items), size)]
    if rows and fill_with is not None and len(rows[-1]) < size:
        ev.charge(size)
        rows[-1] = rows[-1] + [fill_with] * (size - len(rows[-1]))
    return cast(V, rows)


def chunk(ev: Evaluation, value: V, n: V) -> V:
    """Cut into lists of `n` items; the last may be shorter."""
    return batch(ev, value, int_given("chunk", "n", n, 1))


def into_slices(ev: Evaluation, value: V, slices: V, fill_with: V = None) -> V:
    """Deal into so many lists of about the same length, in order."""
    count = int_given("slice", "slices", slices, 1)
    ev.charge(6 * count)
    items = items_of(ev, value, "slice")
    size, longer = divmod(len(items), count)
    out: list[V] = []
    at = 0
    for number in range(count):
        end = at + size + (number < longer)
        row = items[at:end]
        out.append([*row, fill_with] if fill_with is not None and number >= longer else row)
        at = end
    return out


def groupby(ev: Evaluation, value: V, attribute: V, default: "V | Missing" = MISSING, case_sensitive: V = False) -> V:  # noqa: FBT002
    """Give `[key, rows]` for each value of an attribute, sorted by it; the key is written as in the first row."""
    items = items_of(ev, value, "groupby")
    keys = keys_given("groupby", attribute)
    given = default is not MISSING
    found = [value_at(ev, "groupby", item, keys, cast(V, default) if given else None, has_default=given) for item in items]
    folded = found if truth(ev, case_sensitive) else [_folded(ev, key) for key in found]
    groups: list[V] = []
    rows: list[V] = []
    before: int | None = None
    for index in _order(ev, folded):
        if before is None or not equal(ev, folded[before], folded[index]):
            rows = []
            groups.append([found[index], rows])
        rows.append(items[index])
        before = index
    return groups


def dictsort(ev: Evaluation, value: V, case_sensitive: V = False, by: V = "key", reverse: V = False) -> V:  # noqa: FBT002
    """Give an object's `[key, value]` pairs, sorted by key or by value."""
    pairs = cast("list[list[V]]", items(ev, object_given(ev, "dictsort", value)))
    position = 0 if word_given(ev, "dictsort", "by", by, ("key", "value")) == "key" else 1
    keys = [pair[position] for pair in pairs]
    keys = keys if truth(ev, case_sensitive) else [_folded(ev, key) for key in keys]
    return [cast(V, pairs[index]) for index in _order(ev, keys, backwards=truth(ev, reverse))]


def items(ev: Evaluation, value: V) -> V:
    """Give an object's `[key, value]` pairs."""
    return [[key, item] for key, item in object_given(ev, "items", value).items()]


def merge(ev: Evaluation, value: V, other: V) -> V:
    """Put two objects together; where both have a key, the other's value wins."""
    return {**object_given(ev, "merge", value), **object_given(ev, "merge", other)}


def pair_up(ev: Evaluation, value: V, other: V) -> V:
    """Pair the items of two lists; the longer one's surplus is dropped."""
    pairs = zip(list_given(ev, "zip", value), list_given(ev, "zip", other), strict=False)
    return [[one, two] for one, two in pairs]
