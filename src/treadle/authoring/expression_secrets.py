"""Secrets in expressions: `secrets.NAME`, with a name that is written out, passed on or put into text and nothing else.

A secret is opaque: no filter, test, operator or function may meet it, also not through a name that `{% set %}` has made. All of that is known
when the expression is compiled; the evaluator refuses it a second time. Where in a file secrets may stand is `check`'s matter.
"""

import re
from collections.abc import Iterator
from typing import Final

from treadle.authoring.expression_apply import Applier
from treadle.core.expr.tree import Node, Tree

NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_PASSED_ON: Final[dict[str, frozenset[int]]] = {"if": frozenset({2, 3}), "for": frozenset({5, 6})}
_ALL_PASSED_ON: Final = frozenset({"text", "cat", "list"})


def secret_node(compiler: Applier, steps: list[Tree], offset: int) -> Node:
    """Compile `secrets` with what follows it."""
    name, *further = steps
    if not isinstance(name, str):
        return compiler.fault("secret_name", "the name of a secret is written out, not computed", offset, "write `secrets.NAME`")
    if NAME.fullmatch(name) is None:
        hint = "letters, digits and `_`, at most 64, no digit first"
        return compiler.fault("secret_name", f"no secret can be called `{name[:80]}`", offset, hint)
    if further:
        return compiler.fault("secret_inside", *_inside(f"`secrets.{name}`", offset))
    return ("secret", name)


def no_name(compiler: Applier, offset: int) -> Node:
    """Refuse `secrets` by itself."""
    return compiler.fault("secret_name", "`secrets` is no value of its own", offset, "name the one that is meant: `secrets.NAME`")


def inside(compiler: Applier, node: Node, offset: int) -> Node:
    """Refuse an expression that looks into a secret."""
    name = f"`secrets.{node[1]}`" if node[0] == "secret" else "a secret"
    return compiler.fault("secret_inside", *_inside(name, offset))


def _inside(what: str, offset: int) -> tuple[str, int, str]:
    hint = "pass it on as it is, or put it into text: `Bearer {{ secrets.NAME }}`"
    return f"{what} cannot be looked into, tested or changed", offset, hint


def check_secrets(compiler: Applier, tree: Node) -> None:
    """Note a fault for each place where a secret is met by what needs its value."""
    _Walk(compiler).visit(tree, passes=True)


class _Walk:
    """Follows secrets through a tree, in reading order; `tainted` are the slots that may hold one."""

    def __init__(self, compiler: Applier) -> None:
        self.compiler = compiler
        self.tainted: set[Tree] = set()

    def visit(self, node: Node, *, passes: bool) -> bool:
        """Tell whether the node's value may hold a secret; a fault where it does and may not."""
        op = node[0]
        if op == "secret" or (op in {"local", "maybe"} and node[1] in self.tainted):
            if not passes:
                inside(self.compiler, node, self.compiler.columns.get(id(node), 0))
            return True
        if op in {"set", "capture", "let"}:
            value = node[2]
            if isinstance(value, tuple) and self.visit(value, passes=True):
                self.tainted |= set(_slots(node[1]))
            return op == "let" and isinstance(node[3], tuple) and self.visit(node[3], passes=passes)
        held = [
            self.visit(child, passes=passes and _passed_on(node, index))
            for index, child in enumerate(node)
            if isinstance(child, tuple) and child and isinstance(child[0], str)
        ]
        return any(held)


def _passed_on(node: Node, index: int) -> bool:
    op = node[0]
    if op == "dict":
        return index % 2 == 0
    if op == "branch":
        return index % 2 == 0 or index == len(node) - 1
    return op in _ALL_PASSED_ON or index in _PASSED_ON.get(str(op), ())


def _slots(target: Tree) -> Iterator[Tree]:
    if isinstance(target, tuple):
        for item in target:
            yield from _slots(item)
    else:
        yield target
