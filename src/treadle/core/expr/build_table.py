"""Closures for what stands in the tables, for `default` and `is defined`, and for results of registered functions."""

from collections.abc import Callable, Mapping
from typing import Final, cast

from treadle.core.expr.build import Builder, Run, Soft, SoftMaker
from treadle.core.expr.evaluation import MISSING, Evaluation, ExprError, Missing, V
from treadle.core.expr.look import opened, truth
from treadle.core.expr.table import FILTERS, FUNCTIONS, TESTS, Entry, Required
from treadle.core.expr.tree import Node, Tree


def _looked_up(table: Mapping[str, Entry], kind: str, name: Tree) -> Entry:
    entry = table.get(cast(str, name))
    if entry is None:
        raise ExprError("bad_tree", f"there is no {kind} `{name}`", suggestion="open the run with the version of Treadle that made it")
    return entry


def _arguments(b: Builder, entry: Entry, name: Tree, given: tuple[Tree, ...]) -> list[Soft]:
    """Build arguments; what was not given gets its default."""
    runs: list[Soft] = []
    for position, (_, default) in enumerate(entry.parameters):
        node = given[position] if position < len(given) else None
        if node is not None:
            runs.append(b.run(node))
        elif isinstance(default, Required):
            raise ExprError("bad_tree", f"`{name}` lacks an argument")
        else:
            runs.append(_constant(default))
    if len(given) > len(runs):
        raise ExprError("bad_tree", f"`{name}` has {len(given)} arguments")
    return runs


def _constant(value: "V | Missing") -> Soft:
    return lambda _ev: value


def _filter(b: Builder, node: Node, *, soft: bool = False) -> Run:
    name, at = cast(str, node[1]), b.at(node)
    entry = _looked_up(FILTERS, "filter", name)
    base, args, work = b.run(node[2]), _arguments(b, entry, name, node[3:]), entry.work
    reads_inside = not entry.opaque

    def run(ev: Evaluation) -> V:
        value = base(ev)
        given = [arg(ev) for arg in args]
        ev.at = at
        result = work(ev, opened(ev, value) if reads_inside else value, *given)
        if result is MISSING and not soft:
            hint = "use `default`, or test the length first"
            raise ExprError("undefined", f"`{name}` of an empty list gives nothing", suggestion=hint)
        return cast(V, result)

    return run


def _test(b: Builder, node: Node) -> Run:
    at, entry = b.at(node), _looked_up(TESTS, "test", node[1])
    work, base, args = entry.work, b.run(node[2]), _arguments(b, entry, node[1], node[3:])

    def run(ev: Evaluation) -> V:
        value = base(ev)
        given = [arg(ev) for arg in args]
        ev.at = at
        return cast(V, work(ev, value, *given))

    return run


def _fn(b: Builder, node: Node) -> Run:
    at, entry = b.at(node), _looked_up(FUNCTIONS, "function", node[1])
    work, args = entry.work, _arguments(b, entry, node[1], node[2:])

    def run(ev: Evaluation) -> V:
        given = [arg(ev) for arg in args]
        ev.at = at
        return cast(V, work(ev, *given))

    return run


def _defined(b: Builder, node: Node) -> Run:
    soft = b.soft(node[1])
    return lambda ev: soft(ev) is not MISSING


def _default(b: Builder, node: Node, *, soft: bool = False) -> Run:
    wanted, fallback, by_truth = b.soft(node[1]), b.either(node[2], soft=soft), b.run(node[3])

    def run(ev: Evaluation) -> V:
        value = wanted(ev)
        if value is MISSING or (truth(ev, by_truth(ev)) and not truth(ev, cast(V, value))):
            return fallback(ev)
        return cast(V, value)

    return run


def _call(_b: Builder, node: Node) -> Run:
    index = cast(int, node[1])

    def read(ev: Evaluation) -> V:
        try:
            return cast(V, ev.env.results[index])
        except IndexError:
            raise ExprError("bug", f"the result of function call {index} was not supplied") from None

    return read


TABLE_MAKERS: Final[dict[str, Callable[[Builder, Node], Run]]] = {
    "filter": _filter, "test": _test, "fn": _fn, "defined": _defined, "default": _default, "call": _call,
}  # fmt: skip
SOFT_TABLE_MAKERS: Final[dict[str, SoftMaker]] = {"filter": _filter, "default": _default}
