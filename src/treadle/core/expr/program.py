"""Evaluating: an expression and what it may see, to a value that can be stored.

An expression is built into closures at its first evaluation and keeps them. What only chooses among stored values (`passive`) is given as it
is; everything else is finished: decimals become text, integral floats integers (ruling 8), and it is measured as it would be written out.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, cast

from treadle.core.expr.build import MAKERS, SOFT_MAKERS, Builder, Run, cost
from treadle.core.expr.build_loops import LOOP_MAKERS
from treadle.core.expr.build_table import SOFT_TABLE_MAKERS, TABLE_MAKERS
from treadle.core.expr.build_text import TEXT_MAKERS
from treadle.core.expr.evaluation import Env, Evaluation, ExprError, V
from treadle.core.expr.look import shown, text_of_scalar, too_deep, truth
from treadle.core.expr.tree import Expr, Node, Tree, nodes_of
from treadle.core.values import DEPTH_MAX, EXACT_FLOAT_MAX, RESERVED, BlobRef, Chunks, Holed, Value, decode

_MAKERS: Final = {**MAKERS, **TABLE_MAKERS, **LOOP_MAKERS, **TEXT_MAKERS}
_SOFT_MAKERS: Final = {**SOFT_MAKERS, **SOFT_TABLE_MAKERS}
# Draws of a call's arguments are numbered apart from those of the tree, so that a result that comes later moves none of them.
_ORDINALS_PER_CALL: Final = 1 << 20
_CHOOSING_FILTERS: Final = frozenset({"first", "last", "list", "sort", "reverse", "unique", "min", "max", "random"})
_CHOOSING: Final[dict[str, tuple[int, ...]]] = {
    "name": (), "call": (), "defined": (), "cmp": (), "test": (), "not": (), "text": (), "cat": (),
    "path": (1,), "keep": (2,), "if": (2, 3), "default": (1, 2), "let": (3,),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """An expression built. `calls` holds the arguments of each lifted call, by position and by name."""

    run: Run
    calls: tuple[tuple[tuple[Run, ...], tuple[tuple[str, Run], ...]], ...]
    slots: int
    moves: int
    passive: bool


def program_of(expr: Expr) -> Program:
    """Give the program of an expression, built at the first call."""
    if isinstance(expr.program, Program):
        return expr.program
    places = {id(node): column for node, column in zip(nodes_of(expr.tree, expr.calls), expr.columns, strict=False)}
    builder = Builder(_MAKERS, _SOFT_MAKERS, places)
    run = builder.run(expr.tree)
    calls = tuple((tuple(builder.runs(call.args)), tuple((name, builder.run(arg)) for name, arg in call.kwargs)) for call in expr.calls)
    program = Program(run=run, calls=calls, slots=builder.slots, moves=cost(expr.tree), passive=_passive(expr.tree))
    # A cache on frozen data: what is written is the same whoever writes it.
    object.__setattr__(expr, "program", program)
    return program


def _passive(tree: Tree) -> bool:
    if tree is None:
        return True
    node = cast(Node, tree)
    op = node[0]
    if op == "filter":
        return node[1] in _CHOOSING_FILTERS and _passive(node[2])
    if op in {"const", "json"}:
        return not _holds_float(node[1] if op == "const" else decode(cast(str, node[1])))
    if op in {"and", "or"}:
        return all(_passive(child) for child in node[1:])
    return op in _CHOOSING and all(_passive(node[index]) for index in _CHOOSING[op])


def _holds_float(value: Value | Tree) -> bool:
    if isinstance(value, dict):
        return any(_holds_float(item) for item in value.values())
    return any(_holds_float(item) for item in value) if isinstance(value, list) else isinstance(value, float)


def evaluate(expr: Expr, env: Env) -> Value:
    """Evaluate an expression. Raises ExprError and NeedBlobs; asking again with the same `env` gives the same."""
    return evaluate_counted(expr, env)[0]


def evaluate_counted(expr: Expr, env: Env) -> tuple[Value, int]:
    """Evaluate as `evaluate` does; gives also the moves that it took."""
    program = program_of(expr)
    ev = Evaluation(env, program.slots)
    return _run(program.run, ev, program), env.moves_max - ev.left


def evaluate_call_args(expr: Expr, index: int, env: Env) -> tuple[tuple[Value, ...], dict[str, Value]]:
    """Evaluate the arguments of one lifted call; `env.results` must hold those of the calls before it. Raises as `evaluate`."""
    program = program_of(expr)
    args, kwargs = program.calls[index]
    ev = Evaluation(env, program.slots, (index + 1) * _ORDINALS_PER_CALL)
    given = tuple(_run(arg, ev, None) for arg in args)
    return given, {name: _run(arg, ev, None) for name, arg in kwargs}


def evaluate_condition(expr: Expr, env: Env) -> bool:
    """Evaluate a condition: any value but text counts as true or false (language.md §4)."""
    program = program_of(expr)
    ev = Evaluation(env, program.slots)
    value = _run(program.run, ev, program)
    if isinstance(value, str | Holed) or (isinstance(value, BlobRef) and value.kind == "text"):
        hint = "compare it: `{{ … == 'yes' }}`, or convert it: `| bool`"
        raise ExprError("condition_text", f"a condition gave the text {shown(cast(V, value))}", suggestion=hint)
    return truth(ev, cast(V, value))


def _run(run: Run, ev: Evaluation, program: Program | None) -> Value:
    try:
        ev.charge(program.moves if program else 1)
        value = run(ev)
        if program is not None and program.passive and not ev.env.blobs:
            return cast(Value, value)
        return cast(Value, _Finish(ev).value(value, 0))
    except ExprError as error:
        if error.column is None and ev.at is not None:
            error.column = ev.at + 1
        raise
    except RecursionError:
        raise ExprError("budget", "the expression is nested too deeply to be evaluated here") from None


class _Finish:
    """Makes a result storable and measures it. Shared parts are measured once and counted as often as they stand."""

    def __init__(self, ev: Evaluation) -> None:
        self.ev = ev
        self.total = 0
        self.seen: dict[tuple[int, int], tuple[V, int]] = {}

    def value(self, value: V, depth: int) -> V:
        kind = type(value)
        if kind is str:
            return self._text(cast(str, value))
        if kind is list or kind is dict:
            return self._container(cast("list[V] | dict[str, V]", value), depth)
        self._count(8)
        if kind is float:
            number = cast(float, value)
            return int(number) if number.is_integer() and -EXACT_FLOAT_MAX < number < EXACT_FLOAT_MAX else number
        if isinstance(value, Decimal):
            return text_of_scalar(value)
        if isinstance(value, Holed | Chunks):
            self._count(sum(len(part) for part in value.parts if isinstance(part, str)))
        return value

    def _text(self, text: str) -> str:
        self._count(_written_size(text))
        return text

    def _container(self, value: "list[V] | dict[str, V]", depth: int) -> V:
        # What holds one part alone multiplies nothing, and most containers are small.
        shared = len(value) > 1
        known = self.seen.get((id(value), depth)) if shared else None
        if known is not None:
            self._count(known[1])
            return known[0]
        if depth >= DEPTH_MAX:
            raise too_deep()
        before = self.total
        self.ev.charge(2 + (len(value) >> 1))
        self._count(2)
        result = self._list(value, depth + 1) if isinstance(value, list) else self._dict(value, depth + 1)
        if shared:
            self.seen[id(value), depth] = (result, self.total - before)
        return result

    def _list(self, items: list[V], depth: int) -> V:
        changed: list[V] | None = None
        for index, item in enumerate(items):
            kind = type(item)
            if kind is int or kind is str:  # as in `value`, and counted against the limit with what follows
                self.total += 8 if kind is int else _written_size(cast(str, item))
                continue
            new = self.value(item, depth)
            if new is not item:
                if changed is None:
                    changed = list(items)
                changed[index] = new
        self._count(0)
        return items if changed is None else changed

    def _dict(self, data: dict[str, V], depth: int) -> V:
        changed: dict[str, V] | None = None
        for key, item in data.items():
            if key.startswith(RESERVED):
                raise ExprError("reserved_key", f"the key `{key[:60]}` is reserved", suggestion=f"no key may start with `{RESERVED}`")
            self.total += _written_size(key)
            new = self.value(item, depth)
            if new is not item:
                if changed is None:
                    changed = dict(data)
                changed[key] = new
        self._count(0)
        return data if changed is None else changed

    def _count(self, size: int) -> None:
        self.total += size
        self.ev.check_size(self.total)


def _written_size(text: str) -> int:
    return 2 + (len(text) if text.isascii() else len(text.encode(errors="surrogatepass")))
