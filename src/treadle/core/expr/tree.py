"""The closed tree: what an expression is once its text is gone (design §3).

A node is a tuple: an operation's name, then what `SHAPES` says. Nothing else exists: no attribute of a host object, no method, no name that
is not in a table of ours. The tree is plain data, part of a definition and of its digest; positions in the source are kept beside it and
never stored. Names local to an expression (`{% set %}`, loop targets, `it`) are numbered slots, so what is left under `name` is
exactly what is read from outside, which is where `reads` comes from.

    const v            json "text"             list n…              dict n n …           name s
    local i            maybe i n               path n step…         slice N N N (a step) and n… · or n… · not n
    if n n N           cmp n (op n)…           arith n (op n)…      neg n · pos n        cat n…
    filter s n N…      test s n N…             fn s N…              defined n            default n n n
    call i             let i n n               map i n n            keep i n n b         object i n n n      secret s
    text part…         branch (n text)… N      for target I n N text N target      set target n         capture i text

`n` is a node, capitals may be null (an argument that is null was not given). `local i` is a slot, `maybe i n` a slot that a skipped `{% set %}` may have left empty. `map`, `keep` and
`object` run their last nodes once per item, with the item in slot i. The ops of the last line but the first stand in text only.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias, cast

from treadle.core.values import Json, encode

Scalar: TypeAlias = bool | int | float | str | None
Tree: TypeAlias = Scalar | tuple["Tree", ...]
Node: TypeAlias = tuple[Tree, ...]

TREE_DEPTH_MAX: Final = 100
# One letter per child: n node, N node or null, s text, i slot or index, I the same or null, b flag, v scalar; the last may repeat (…*):
# p step of a path, a operator, then node, o part of text, t target of an assignment, T that or null, x text node, X that or null.
SHAPES: Final[dict[str, str]] = {
    "const": "v", "json": "s", "list": "n*", "dict": "n*", "name": "s", "local": "i", "maybe": "in", "path": "np*", "slice": "NNN",
    "and": "n*", "or": "n*", "not": "n", "if": "nnN", "cmp": "na*", "arith": "na*", "neg": "n", "pos": "n", "cat": "n*",
    "filter": "snN*", "test": "snN*", "fn": "sN*", "defined": "n", "default": "nnn", "call": "i", "let": "inn",
    "map": "inn", "keep": "innb", "object": "innn", "secret": "s",
    "text": "o*", "branch": "B*", "for": "tInNxXT", "set": "tn", "capture": "ix",
}  # fmt: skip
STATEMENTS: Final = frozenset({"branch", "for", "set", "capture"})
# Bare, these mean all that is in them: a read of `state` is a read of every field.
CONTAINERS: Final = frozenset({"state", "inputs", "steps", "run"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call of a registered function, lifted out of the tree (ruling 4); arguments may refer to earlier calls."""

    function: str
    version: str
    args: tuple[Node, ...] = ()
    kwargs: tuple[tuple[str, Node], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Expr:
    """An expression, frozen. `reads` are the dotted paths that it reads from outside, sorted; `state[*]` means that any field may be read.

    `columns` gives, for each node in preorder, its place in the source text (from 0); it is not stored and not compared.
    """

    tree: Node
    calls: tuple[Call, ...] = ()
    columns: tuple[int, ...] = field(default=(), repr=False)
    reads: tuple[str, ...] = field(init=False)
    program: object = field(init=False, default=None, repr=False)

    def __post_init__(self) -> None:
        """Derive what is read, once."""
        object.__setattr__(self, "reads", reads_of(self))

    def __eq__(self, other: object) -> bool:
        """Compare as data: in JSON 1, 1.0 and true are three things."""
        return isinstance(other, Expr) and repr((self.tree, self.calls)) == repr((other.tree, other.calls))

    def __hash__(self) -> int:
        """Agree with `__eq__`."""
        return hash((self.tree, self.calls))


def nodes_of(tree: Node, calls: tuple[Call, ...]) -> Iterator[Node]:
    """Give every node in preorder: the tree's, then those of each call's arguments; the order of `Expr.columns`."""
    yield from preorder(tree)
    for call in calls:
        for arg in (*call.args, *(arg for _, arg in call.kwargs)):
            yield from preorder(arg)


def const(value: Json) -> Expr:
    """Make the expression that is this value."""
    return Expr(const_node(value))


def const_node(value: Json) -> Node:
    """Make the node that is this value."""
    return ("json", encode(value)) if isinstance(value, list | dict) else ("const", value)


def preorder(node: Node) -> Iterator[Node]:
    """Give a node and all below it."""
    yield node
    for child in node[1:]:
        if isinstance(child, tuple):
            yield from preorder(child) if child and isinstance(child[0], str) else ()


def reads_of(expr: Expr) -> tuple[str, ...]:
    """List what an expression reads from outside, sorted."""
    found: set[str] = set()
    for node in (expr.tree, *(arg for call in expr.calls for arg in (*call.args, *(arg for _, arg in call.kwargs)))):
        _collect(node, found)
    return tuple(sorted(found))


def _collect(node: Node, found: set[str]) -> None:
    op = node[0]
    children = node[1:]
    if op == "name":
        name = cast(str, node[1])
        found.add(f"{name}[*]" if name in CONTAINERS else name)
        return
    if op == "secret":
        found.add(f"secrets.{node[1]}")
        return
    if op == "path" and cast(Node, node[1])[0] == "name":
        found.add(_dotted(node))
        children = node[2:]
    for child in children:
        if isinstance(child, tuple) and child and isinstance(child[0], str):
            _collect(child, found)


def _dotted(node: Node) -> str:
    root = cast(str, cast(Node, node[1])[1])
    keys: list[str] = []
    for step in node[2:]:
        if not isinstance(step, str):
            break
        keys.append(step)
    if not keys:
        return f"{root}[*]" if root in CONTAINERS else root
    return ".".join((root, *keys))
