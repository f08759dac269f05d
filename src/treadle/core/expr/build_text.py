"""Closures for text: pieces, `{% if %}`, `{% for %}`, `{% set %}`, and `~`.

Output is counted as it is written. A reference to a blob is written as a hole, which is filled at dispatch (ruling 11).
"""

from collections.abc import Callable
from typing import Final, TypeAlias, cast

from treadle.core.expr.build import Builder, Run, cost
from treadle.core.expr.evaluation import MISSING, Evaluation, ExprError, V
from treadle.core.expr.look import items_of, kind_of, opened, truth
from treadle.core.expr.out import Out
from treadle.core.expr.tree import Node, Tree

Write: TypeAlias = Callable[[Evaluation, Out], None]


def _writer(b: Builder, tree: Tree) -> Write:
    """Build a text node as something that writes."""
    parts = [_part(b, part) for part in cast(Node, tree)[1:]]
    if len(parts) == 1:
        return parts[0]

    def write(ev: Evaluation, out: Out) -> None:
        for part in parts:
            part(ev, out)

    return write


def _part(b: Builder, part: Tree) -> Write:
    if isinstance(part, str):
        text = part
        return lambda ev, out: out.text(ev, text)
    node = cast(Node, part)
    statement = _STATEMENTS.get(cast(str, node[0]))
    if statement is not None:
        return statement(b, node)
    run = b.run(node)
    return lambda ev, out: out.value(ev, run(ev))


def _text(b: Builder, node: Node) -> Run:
    write = _writer(b, node)

    def run(ev: Evaluation) -> V:
        out = Out()
        write(ev, out)
        return out.result()

    return run


def _cat(b: Builder, node: Node) -> Run:
    runs = b.runs(node[1:])

    def run(ev: Evaluation) -> V:
        out = Out()
        for part in runs:
            out.value(ev, part(ev))
        return out.result()

    return run


def _branch(b: Builder, node: Node) -> Write:
    pairs = [(b.run(test), _writer(b, block)) for test, block in zip(node[1:-1:2], node[2:-1:2], strict=True)]
    otherwise = _writer(b, node[-1]) if node[-1] is not None else None

    def write(ev: Evaluation, out: Out) -> None:
        for test, block in pairs:
            if truth(ev, test(ev)):
                block(ev, out)
                return
        if otherwise is not None:
            otherwise(ev, out)

    return write


def _assigner(b: Builder, target: Tree, at: int | None) -> Callable[[Evaluation, V], None]:
    if not isinstance(target, tuple):
        slot = b.use(target)

        def assign(ev: Evaluation, value: V) -> None:
            ev.locals[slot] = value

        return assign
    inner = [_assigner(b, item, at) for item in target]

    def unpack(ev: Evaluation, value: V) -> None:
        ev.at = at
        value = opened(ev, value)
        if not isinstance(value, list):
            raise ExprError(
                "types", f"{kind_of(value)} cannot be unpacked into {len(inner)} names", suggestion="unpack lists; of an object `| items`"
            )
        if len(value) != len(inner):
            raise ExprError("types", f"a list of {len(value)} cannot be unpacked into {len(inner)} names")
        for part, item in zip(inner, value, strict=True):
            part(ev, item)

    return unpack


def _for(b: Builder, node: Node) -> Write:
    at = b.at(node)
    assign, loop_slot = _assigner(b, node[1], at), None if node[2] is None else b.use(node[2])
    base, test, turn = (b.run(node[3]), None if node[4] is None else b.run(node[4]), cost(node[5]) + (cost(node[4]) if node[4] else 0) + 1)
    body, otherwise = _writer(b, node[5]), None if node[6] is None else _writer(b, node[6])
    resets = [b.use(slot) for slot in cast("tuple[Tree, ...]", node[7] or ())]

    def chosen(ev: Evaluation) -> list[V]:
        found = base(ev)
        ev.at = at
        items = items_of(ev, found, "for")
        ev.charge(len(items) * turn)
        if test is None:
            return items
        out: list[V] = []
        for item in items:
            assign(ev, item)
            if truth(ev, test(ev)):
                out.append(item)
        return out

    def write(ev: Evaluation, out: Out) -> None:
        items = chosen(ev)
        for index, item in enumerate(items):
            for slot in resets:
                ev.locals[slot] = MISSING
            assign(ev, item)
            if loop_slot is not None:
                ev.locals[loop_slot] = _loop(items, index)
            body(ev, out)
        if not items and otherwise is not None:
            otherwise(ev, out)

    return write


def _loop(items: list[V], index: int) -> V:
    count = len(items)
    loop: dict[str, V] = {
        "index": index + 1, "index0": index, "revindex": count - index, "revindex0": count - index - 1,
        "first": index == 0, "last": index == count - 1, "length": count, "depth": 1, "depth0": 0,
    }  # fmt: skip
    if index:
        loop["previtem"] = items[index - 1]
    if index < count - 1:
        loop["nextitem"] = items[index + 1]
    return loop


def _set(b: Builder, node: Node) -> Write:
    assign, run = _assigner(b, node[1], b.at(node)), b.run(node[2])
    return lambda ev, _out: assign(ev, run(ev))


def _capture(b: Builder, node: Node) -> Write:
    slot, write = b.use(node[1]), _writer(b, node[2])

    def capture(ev: Evaluation, _out: Out) -> None:
        out = Out()
        write(ev, out)
        ev.locals[slot] = out.result()

    return capture


_STATEMENTS: Final[dict[str, Callable[[Builder, Node], Write]]] = {"branch": _branch, "for": _for, "set": _set, "capture": _capture}
TEXT_MAKERS: Final[dict[str, Callable[[Builder, Node], Run]]] = {"text": _text, "cat": _cat}
