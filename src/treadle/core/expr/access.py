"""Keys, indexes and slices: one way into data, the same for `a.b`, `a['b']` and `a[x]` (language.md §4).

Names are keys, always. What is not there is `MISSING` for whoever asks whether it is (`default`, `is defined`), else an error that lists
what there is. Of chunks and blobs only what is needed is read.
"""

from collections.abc import Iterable
from typing import cast

from treadle.core.expr.evaluation import MISSING, Evaluation, ExprError, Missing, V
from treadle.core.expr.look import MOVE_BITS, chunk_items, kind_of, open_blob, opened, shown
from treadle.core.expr.tree import Node, Tree
from treadle.core.nearest import nearest
from treadle.core.values import BlobRef, Chunks, Holed

_LISTED_MAX = 20


def step_into(ev: Evaluation, value: V, key: V) -> "V | Missing":
    """Look one key or index up; MISSING where there is nothing. Raises ExprError `types` for a key that cannot be one."""
    while isinstance(value, BlobRef):
        value = open_blob(ev, value)
    key = opened(ev, key) if isinstance(key, Holed | BlobRef) else key
    if isinstance(key, str):
        return value.get(key, MISSING) if isinstance(value, dict) else MISSING
    if type(key) is not int:
        hint = (
            "keys are text, indexes whole numbers" if not isinstance(key, float) else "make it a whole number: `| int`, or divide with `//`"
        )
        raise ExprError("types", f"{shown(key)} is {kind_of(key)} and can be neither key nor index", suggestion=hint)
    if isinstance(value, dict):
        raise ExprError("types", f"an object is looked up by text, not by the number {key}", suggestion=f"write ['{key}']")
    if isinstance(value, Chunks):
        return _chunk_item(ev, value, key)
    if isinstance(value, Holed):
        value = opened(ev, value)
    if isinstance(value, list | str):
        return value[key] if -len(value) <= key < len(value) else MISSING
    return MISSING


def _chunk_item(ev: Evaluation, value: Chunks, index: int) -> "V | Missing":
    index = index if index >= 0 else index + value.length
    if not 0 <= index < value.length:
        return MISSING
    items = chunk_items(ev, value, index, index)
    return items[index % 100]


def cut(ev: Evaluation, value: V, first: V, last: V, stride: V) -> V:
    """Take a slice of a list or text, as in Python."""
    for bound in (first, last, stride):
        if bound is not None and type(bound) is not int:
            raise ExprError(
                "types", f"a slice is bounded by whole numbers, not by {kind_of(bound)} ({shown(bound)})", suggestion="use `| int`"
            )
    if stride == 0:
        raise ExprError("types", "the step of a slice cannot be 0")
    where = slice(cast("int | None", first), cast("int | None", last), cast("int | None", stride))
    if isinstance(value, Chunks):
        return _cut_chunks(ev, value, where)
    value = opened(ev, value)
    if isinstance(value, str):
        part = value[where]
        ev.charge(len(part) >> MOVE_BITS)
        return part
    if isinstance(value, list):
        items = value[where]
        ev.charge(len(items))
        return items
    raise ExprError("types", f"a slice is taken of a list or text, not of {kind_of(value)}")


def _cut_chunks(ev: Evaluation, value: Chunks, where: slice) -> V:
    indexes = range(*where.indices(value.length))
    if not indexes:
        return []
    low, high = min(indexes[0], indexes[-1]), max(indexes[0], indexes[-1])
    items = chunk_items(ev, value, low, high)
    begin = low - low % 100
    ev.charge(len(indexes))
    return [items[index - begin] for index in indexes]


def missing_name(name: str, known: Iterable[str]) -> ExprError:
    """Make the error for a name that stands for nothing here."""
    names = sorted(known)
    meant = nearest(name, names)
    message = f"there is no name `{name}` here; there is {_listed(names)}"
    return ExprError("undefined", message, suggestion=f"did you mean `{meant}`?" if meant else "")


def missing_step(node: Node, position: int, value: V, key: V) -> ExprError:
    """Make the error for the step at `position` of a path node: `key` is not in `value`."""
    before = written_path(node, position)
    if isinstance(value, dict) and isinstance(key, str):
        meant = nearest(key, value)
        message = f"`{before}` has no `{key}`; it has {_listed(value)}" if value else f"`{before}` has no `{key}`; it is empty"
        return ExprError("undefined", message, suggestion=f"did you mean `{before}{_written_key(meant)}`?" if meant else "")
    if isinstance(value, list | str | Chunks) and type(key) is int:
        length = value.length if isinstance(value, Chunks) else len(value)
        return ExprError(
            "undefined", f"`{before}` has no index {key}; its length is {length}", suggestion="test the length, or use `default`"
        )
    hint = "of each item: `| map(attribute='…')`; of one: `[0]`" if isinstance(value, list | Chunks) else ""
    if value is None:
        hint = f"use `default`, or test first: `{before} is not none`"
    return ExprError("undefined", f"`{before}` is {kind_of(value)} and has no {shown(key)}", suggestion=hint)


def _listed(names: Iterable[str]) -> str:
    shown_names = [f"`{name[:60]}`" for name in names]
    more = len(shown_names) - _LISTED_MAX
    return ", ".join(shown_names[:_LISTED_MAX]) + (f" and {more} more" if more > 0 else "") if shown_names else "none"


def written_path(node: Node, end: int | None = None) -> str:
    """Write a path node as an author would, up to its step `end`."""
    base = cast(Node, node[1])
    text = str(base[1]) if base[0] == "name" else "it" if base[0] == "local" else "(…)"
    return text + "".join(_written_step(step) for step in (node[2:] if end is None else node[2 : 2 + end]))


def _written_step(step: Tree) -> str:
    if isinstance(step, str):
        return _written_key(step)
    if isinstance(step, tuple):
        return "[…:…]" if step[0] == "slice" else f"[{step[1]!r}]" if step[0] == "const" else "[…]"
    return f"[{step}]"


def _written_key(key: str | None) -> str:
    key = key or ""
    return f".{key}" if key.isidentifier() and key.isascii() else f"['{key[:60]}']"
