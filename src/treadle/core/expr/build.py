"""From the tree to Python closures, once per expression; running them is evaluation.

Each builder takes a node and gives a function of the `Evaluation`. A node that may be missing has a second form, built by `soft`, which gives
`MISSING` instead of raising; only `default`, `is defined` and what hands a value through to them ask for it. Nodes that can fail note where
they stand (`ev.at`) right before they work, so an error finds its column at no cost to what succeeds. Loops charge for all their turns before
the first.
"""

import operator
from collections.abc import Callable, Mapping
from typing import Final, Protocol, TypeAlias, cast

from treadle.core.expr.access import cut, missing_name, missing_step, step_into
from treadle.core.expr.arithmetic import OPERATORS, negate, plus
from treadle.core.expr.evaluation import MISSING, Evaluation, ExprError, Missing, V
from treadle.core.expr.library.checks import COMPARE
from treadle.core.expr.look import opened, truth
from treadle.core.expr.tree import Node, Tree, preorder
from treadle.core.values import SecretRef, decode

Run: TypeAlias = Callable[[Evaluation], V]
Soft: TypeAlias = Callable[[Evaluation], "V | Missing"]
Compare: TypeAlias = Callable[[Evaluation, V, V], bool]
# Texts up to this length are compared without a charge of their own.
_SHORT: Final = 256
_TABLED: Final = frozenset({"filter", "test", "fn"})
_SIMPLE: Final[Mapping[str, Callable[..., bool]]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


class SoftMaker(Protocol):
    """Builds a node that may be missing; with `soft` it then gives `MISSING` instead of raising."""

    def __call__(self, b: "Builder", node: Node, *, soft: bool) -> Run:
        """Build it."""
        ...


class Builder:
    """Builds the closures of one expression. `makers` build by operation, `places` maps the identity of a node to where it stands."""

    def __init__(
        self,
        makers: "Mapping[str, Callable[[Builder, Node], Run]]",
        soft_makers: "Mapping[str, SoftMaker]",
        places: dict[int, int],
    ) -> None:
        """Begin with no slots used."""
        self.makers, self.soft_makers = makers, soft_makers
        self.places = places
        self.slots = 0

    def at(self, node: Node) -> int | None:
        """Give the place of a node, if the source is known."""
        return self.places.get(id(node))

    def use(self, slot: Tree) -> int:
        """Note that a slot is used."""
        number = cast(int, slot)
        self.slots = max(self.slots, number + 1)
        return number

    def run(self, tree: Tree) -> Run:
        """Build a node."""
        node = cast(Node, tree)
        return self.makers[cast(str, node[0])](self, node)

    def runs(self, nodes: tuple[Tree, ...]) -> list[Run]:
        """Build several nodes."""
        return [self.run(node) for node in nodes]

    def soft(self, tree: Tree) -> Soft:
        """Build a node so that it may be missing."""
        node = cast(Node, tree)
        make = self.soft_makers.get(cast(str, node[0]))
        return make(self, node, soft=True) if make else self.run(node)

    def either(self, tree: Tree, *, soft: bool) -> Run:
        """Build a node that may be missing exactly where what it belongs to may be."""
        return cast(Run, self.soft(tree)) if soft else self.run(tree)


def cost(tree: Tree) -> int:
    """Count the nodes of a tree, what stands in the tables thrice: what one turn of a loop over it is charged."""
    return sum(3 if node[0] in _TABLED else 1 for node in preorder(cast(Node, tree)))


def _const(_b: Builder, node: Node) -> Run:
    value = cast(V, node[1])
    return lambda _ev: value


def _json(_b: Builder, node: Node) -> Run:
    value = cast(V, decode(cast(str, node[1])))
    return lambda _ev: value


def _list(b: Builder, node: Node) -> Run:
    items = b.runs(node[1:])
    return lambda ev: [item(ev) for item in items]


def _dict(b: Builder, node: Node) -> Run:
    pairs = list(zip(b.runs(node[1::2]), b.runs(node[2::2]), strict=True))
    at = b.at(node)

    def build(ev: Evaluation) -> V:
        out: dict[str, V] = {}
        for key_run, item in pairs:
            key = key_run(ev)
            ev.at = at
            out[key if type(key) is str else text_key(ev, key)] = item(ev)
        return out

    return build


def text_key(ev: Evaluation, key: V) -> str:
    key = opened(ev, key)
    if not isinstance(key, str):
        raise ExprError("types", "keys are text", suggestion="convert it: `| string`")
    return key


def _name(b: Builder, node: Node, *, soft: bool = False) -> Run:
    name, at = cast(str, node[1]), b.at(node)

    def read(ev: Evaluation) -> V:
        try:
            return cast(V, ev.names[name])
        except KeyError:
            if soft:
                return cast(V, MISSING)
            ev.at = at
            raise missing_name(name, ev.names) from None

    return read


def _secret(_b: Builder, node: Node) -> Run:
    reference = SecretRef(name=cast(str, node[1]))
    return lambda _ev: reference


def _local(b: Builder, node: Node) -> Run:
    slot = b.use(node[1])

    def read(ev: Evaluation) -> V:
        value = ev.locals[slot]
        if value is MISSING:
            raise ExprError("bad_tree", "a name is read before it is set", suggestion="run `treadle doctor`")
        return cast(V, value)

    return read


def _maybe(b: Builder, node: Node, *, soft: bool = False) -> Run:
    slot, fallback = b.use(node[1]), b.either(node[2], soft=soft)

    def read(ev: Evaluation) -> V:
        value = ev.locals[slot]
        return fallback(ev) if value is MISSING else cast(V, value)

    return read


def _path(b: Builder, node: Node, *, soft: bool = False) -> Run:
    base, walk = b.run(node[1]), _walker(b, node, soft=soft)
    if not all(isinstance(step, str) for step in node[2:]):
        return lambda ev: walk(ev, base(ev))
    keys = cast("tuple[str, ...]", node[2:])
    root = cast(Node, node[1])
    if root[0] == "local" and len(keys) == 1:
        return _field(b.use(root[1]), keys[0], base, walk)

    def read(ev: Evaluation) -> V:
        start = value = base(ev)
        for key in keys:
            if type(value) is not dict or key not in value:
                return walk(ev, start)  # inside a blob, or not there: go again with care
            value = value[key]
        return value

    return read


def _field(slot: int, key: str, base: Run, walk: Callable[[Evaluation, V], V]) -> Run:
    """Build `it.name`, which loops are made of."""

    def read(ev: Evaluation) -> V:
        value = ev.locals[slot]
        return value[key] if type(value) is dict and key in value else walk(ev, base(ev))

    return read


def _walker(b: Builder, node: Node, *, soft: bool) -> Callable[[Evaluation, V], V]:
    at, last = b.at(node), len(node) - 3
    steps = [_step(b, step) for step in node[2:]]

    def walk(ev: Evaluation, value: V) -> V:
        for position, (key_run, bounds) in enumerate(steps):
            if bounds:
                values = [bound(ev) for bound in bounds]
                ev.at = at
                value = cut(ev, value, *values)
                continue
            key = key_run(ev)
            ev.at = at
            found = step_into(ev, value, key)
            if found is MISSING:
                if soft and position == last:
                    return cast(V, MISSING)
                raise missing_step(node, position, opened(ev, value), key)
            value = cast(V, found)
        return value

    return walk


def _step(b: Builder, step: Tree) -> tuple[Run, list[Run]]:
    if not isinstance(step, tuple):
        return _const(b, ("const", step)), []
    if step[0] == "slice":
        return _const(b, ("const", None)), [_const(b, ("const", None)) if bound is None else b.run(bound) for bound in step[1:]]
    return b.run(step), []


def _and_or(b: Builder, node: Node) -> Run:
    first, *others = b.runs(node[1:])
    ends_at = node[0] == "or"

    def run(ev: Evaluation) -> V:
        value = first(ev)
        for other in others:
            if truth(ev, value) is ends_at:
                return value
            value = other(ev)
        return value

    return run


def _not(b: Builder, node: Node) -> Run:
    inner = b.run(node[1])
    return lambda ev: not truth(ev, inner(ev))


def _if(b: Builder, node: Node, *, soft: bool = False) -> Run:
    test, then, at = b.run(node[1]), b.either(node[2], soft=soft), b.at(node)
    otherwise = None if node[3] is None else b.either(node[3], soft=soft)

    def run(ev: Evaluation) -> V:
        if truth(ev, test(ev)):
            return then(ev)
        if otherwise is not None:
            return otherwise(ev)
        if soft:
            return cast(V, MISSING)
        ev.at = at
        raise ExprError("undefined", "the condition is false and there is no `else`", suggestion="add `else …`")

    return run


def _cmp(b: Builder, node: Node) -> Run:
    first, at = b.run(node[1]), b.at(node)
    pairs = [(COMPARE[cast(str, op)], b.run(right)) for op, right in zip(node[2::2], node[3::2], strict=True)]
    if len(pairs) == 1:
        return _one_comparison(first, cast(str, node[2]), pairs[0][1], at)

    def chain(ev: Evaluation) -> V:
        left = first(ev)
        for compare, second in pairs:
            right = second(ev)
            ev.at = at
            if not compare(ev, left, right):
                return False
            left = right
        return True

    return chain


def _one_comparison(first: Run, op: str, second: Run, at: int | None) -> Run:
    compare, simple = COMPARE[op], _SIMPLE.get(op)

    def run(ev: Evaluation) -> V:
        left, right = first(ev), second(ev)
        if simple is not None:
            # Two whole numbers or two short texts: what is compared in loops, without the ceremony.
            if type(left) is int and type(right) is int:
                return simple(left, right)
            if type(left) is str and type(right) is str and len(left) < _SHORT:
                return simple(left, right)
        ev.at = at
        return compare(ev, left, right)

    return run


def _arith(b: Builder, node: Node) -> Run:
    first, at = b.run(node[1]), b.at(node)
    pairs = [(OPERATORS[cast(str, op)], b.run(right)) for op, right in zip(node[2::2], node[3::2], strict=True)]

    def run(ev: Evaluation) -> V:
        value = first(ev)
        for work, second in pairs:
            right = second(ev)
            ev.at = at
            value = work(ev, value, right)
        return value

    return run


def _unary(b: Builder, node: Node) -> Run:
    inner, at, work = b.run(node[1]), b.at(node), negate if node[0] == "neg" else plus

    def run(ev: Evaluation) -> V:
        value = inner(ev)
        ev.at = at
        return work(ev, value)

    return run


MAKERS: Final[dict[str, Callable[[Builder, Node], Run]]] = {
    "const": _const, "json": _json, "list": _list, "dict": _dict, "name": _name, "local": _local, "maybe": _maybe, "path": _path,
    "and": _and_or, "or": _and_or, "not": _not, "if": _if, "cmp": _cmp, "arith": _arith, "neg": _unary, "pos": _unary,
    "secret": _secret,
}  # fmt: skip
SOFT_MAKERS: Final[dict[str, SoftMaker]] = {"name": _name, "maybe": _maybe, "path": _path, "if": _if}
