"""Closures that run a node once per item: `map`, `select`, `where`, `pick`, `to_object`. All turns are charged before the first."""

from collections.abc import Callable
from typing import Final, cast

from treadle.core.expr.build import Builder, Run, cost, text_key
from treadle.core.expr.evaluation import Evaluation, ExprError, V
from treadle.core.expr.look import items_of, truth
from treadle.core.expr.tree import Node, Tree


def _let(b: Builder, node: Node) -> Run:
    slot, value, body = b.use(node[1]), b.run(node[2]), b.run(node[3])

    def run(ev: Evaluation) -> V:
        ev.locals[slot] = value(ev)
        return body(ev)

    return run


def _items(b: Builder, node: Node, who: str, *bodies: Tree) -> Callable[[Evaluation], list[V]]:
    """Build what gives the items of a loop: with all its turns charged."""
    base, at, turn = b.run(node[2]), b.at(node), sum(map(cost, bodies))

    def run(ev: Evaluation) -> list[V]:
        found = base(ev)
        ev.at = at
        items = items_of(ev, found, who)
        ev.charge(len(items) * turn)
        return items

    return run


def _map(b: Builder, node: Node) -> Run:
    slot, items, body = b.use(node[1]), _items(b, node, "map", node[3]), b.run(node[3])

    def run(ev: Evaluation) -> V:
        slots, out = ev.locals, cast(list[V], [])
        for item in items(ev):
            slots[slot] = item
            out.append(body(ev))
        return out

    return run


def _keep(b: Builder, node: Node) -> Run:
    slot, items, body, wanted = b.use(node[1]), _items(b, node, "select", node[3]), b.run(node[3]), node[4]

    def run(ev: Evaluation) -> V:
        slots, out = ev.locals, cast(list[V], [])
        for item in items(ev):
            slots[slot] = item
            verdict = body(ev)
            if (verdict if type(verdict) is bool else truth(ev, verdict)) is wanted:
                out.append(item)
        return out

    return run


def _object(b: Builder, node: Node) -> Run:
    slot, items, key_body, body, at = b.use(node[1]), _items(b, node, "to_object", *node[3:]), b.run(node[3]), b.run(node[4]), b.at(node)

    def run(ev: Evaluation) -> V:
        out: dict[str, V] = {}
        for item in items(ev):
            ev.locals[slot] = item
            key = key_body(ev)
            ev.at = at
            key = key if type(key) is str else text_key(ev, key)
            if key in out:
                hint = "use `groupby`, or `unique` first"
                raise ExprError("duplicate_key", f"`to_object` meets the key `{key[:60]}` twice", suggestion=hint)
            out[key] = body(ev)
        return out

    return run


LOOP_MAKERS: Final[dict[str, Callable[[Builder, Node], Run]]] = {"let": _let, "map": _map, "keep": _keep, "object": _object}
