"""An expression as it is stored: plain JSON data, and back only if every node is one of the closed set, so that a damaged record never runs."""

from collections.abc import Callable
from typing import Final, cast

from treadle.core.expr.evaluation import ExprError
from treadle.core.expr.tree import SHAPES, STATEMENTS, TREE_DEPTH_MAX, Call, Expr, Node, Scalar, Tree
from treadle.core.values import Json

SLOTS_MAX: Final = 10_000
COMPARISONS: Final = frozenset({"==", "!=", "<", "<=", ">", ">=", "in", "not in"})
OPERATORS: Final = frozenset({"+", "-", "*", "/", "//", "%", "**"})


def to_json(expr: Expr) -> dict[str, Json]:
    """Write an expression as JSON data; `from_json` reads it back exactly."""
    out: dict[str, Json] = {"tree": _listed(expr.tree)}
    if expr.calls:
        out["calls"] = [
            {
                "function": call.function,
                "version": call.version,
                "args": [_listed(arg) for arg in call.args],
                "kwargs": {name: _listed(arg) for name, arg in call.kwargs},
            }
            for call in expr.calls
        ]
    return out


def from_json(data: Json) -> Expr:
    """Read what `to_json` wrote. Raises ExprError `bad_tree` for anything outside the closed set, so a damaged record never runs."""
    if not isinstance(data, dict) or not set(data) <= {"tree", "calls"}:
        raise _bad("an expression is an object with `tree` and `calls`")
    calls: list[Call] = []
    stored = data.get("calls", [])
    for entry in stored if isinstance(stored, list) else [None]:
        calls.append(_call(entry, len(calls)))
    return Expr(_node(data.get("tree"), 0, len(calls)), tuple(calls))


def _call(entry: Json, known: int) -> Call:
    match entry:
        case {"function": str(function), "version": str(version), "args": list(args), "kwargs": dict(kwargs)}:
            return Call(
                function=function,
                version=version,
                args=tuple(_node(arg, 0, known) for arg in args),
                kwargs=tuple((name, _node(arg, 0, known)) for name, arg in kwargs.items()),
            )
        case _:
            raise _bad("a call has a function, a version, args and kwargs")


def _listed(tree: Tree) -> Json:
    return [_listed(child) for child in tree] if isinstance(tree, tuple) else tree


def _bad(message: str) -> ExprError:
    return ExprError("bad_tree", f"a stored expression is damaged: {message}", suggestion="run `treadle doctor`")


def _node(data: Json, depth: int, calls: int, *, statement: bool = False) -> Node:
    if depth > TREE_DEPTH_MAX:
        raise _bad(f"it is nested deeper than {TREE_DEPTH_MAX}")
    if not isinstance(data, list) or not data or not isinstance(op := data[0], str) or op not in SHAPES:
        raise _bad(f"no operation stands at {str(data)[:40]!r}")
    if (op in STATEMENTS) != statement or op == "slice":
        raise _bad(f"`{op}` may not stand where it stands")
    node = _shaped(op, data, depth, calls)
    if op == "call" and cast(int, node[1]) >= calls:
        raise _bad("a call refers to one that comes after it")
    return node


def _shaped(op: str, data: list[Json], depth: int, calls: int) -> Node:
    shape = SHAPES[op]
    repeated = shape[-2] if shape.endswith("*") else ""
    fixed = shape[:-2] if repeated else shape
    rest = len(data) - 1 - len(fixed)
    if rest < 0 or (rest and not repeated) or (repeated == "a" and rest % 2) or (op == "dict" and rest % 2):
        raise _bad(f"`{op}` has {len(data) - 1} parts")
    letters = fixed + (_branch_letters(rest) if repeated == "B" else _operator_letters(op, rest) if repeated == "a" else repeated * rest)
    return (op, *(_child(letter, child, depth, calls) for letter, child in zip(letters, data[1:], strict=True)))


def _branch_letters(rest: int) -> str:
    if rest % 2 == 0:
        raise _bad("`branch` ends with its else part")
    return "nx" * (rest // 2) + "X"


def _operator_letters(op: str, rest: int) -> str:
    return ("cn" if op == "cmp" else "an") * (rest // 2)


def _child(letter: str, data: Json, depth: int, calls: int) -> Tree:
    if data is None and letter in "NITXv":
        return None
    if letter in "nN":
        return _node(data, depth + 1, calls)
    if letter in "xX":
        node = _node(data, depth + 1, calls)
        if node[0] == "text":
            return node
    elif letter == "o":
        is_statement = isinstance(data, list) and bool(data) and data[0] in STATEMENTS
        return data if isinstance(data, str) else _node(data, depth + 1, calls, statement=is_statement)
    elif letter == "p":
        return _step(data, depth, calls)
    elif letter in "tT":
        return _target(data, depth)
    elif _LEAVES[letter](data):
        return cast(Scalar, data)
    raise _bad(f"{str(data)[:40]!r} stands where it may not")


def _step(data: Json, depth: int, calls: int) -> Tree:
    if isinstance(data, str) or _is_int(data):
        return cast(Scalar, data)
    if isinstance(data, list) and data[:1] == ["slice"]:
        return _shaped("slice", data, depth, calls)
    return _node(data, depth + 1, calls)


def _target(data: Json, depth: int) -> Tree:
    if isinstance(data, list) and depth <= TREE_DEPTH_MAX:
        return tuple(_target(item, depth + 1) for item in data)
    if _is_slot(data):
        return cast(int, data)
    raise _bad("an assignment has no target")


def _is_int(data: Json) -> bool:
    return isinstance(data, int) and not isinstance(data, bool)


def _is_slot(data: Json) -> bool:
    return isinstance(data, int) and not isinstance(data, bool) and 0 <= data < SLOTS_MAX


_LEAVES: Final[dict[str, Callable[[Json], bool]]] = {
    "s": lambda data: isinstance(data, str),
    "i": _is_slot,
    "I": _is_slot,
    "b": lambda data: isinstance(data, bool),
    "v": lambda data: not isinstance(data, list | dict),
    "a": lambda data: isinstance(data, str) and data in OPERATORS,
    "c": lambda data: isinstance(data, str) and data in COMPARISONS,
}
