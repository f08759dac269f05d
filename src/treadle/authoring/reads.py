"""What expressions read, and where in the file it stands.

`Expr.reads` names reads (`state.user.email`, `steps.a_b.result`, `item`) without a place. When one of them turns out to be a fault, its place
is found by looking for the name in the text: cheap, because it only happens for faults.
"""

import re

from treadle.authoring.nodes import Node, Scalar, scalars
from treadle.authoring.places import Source
from treadle.authoring.tree import FileTree, Read, Use, walk
from treadle.core.expr.tree import preorder


def reads_of(use: Use) -> tuple[Read, ...]:
    """Give the reads of an expression, each once."""
    if use.reads is None:
        use.reads = tuple(map(_read, use.expr.reads))
    return use.reads


def _read(text: str) -> Read:
    is_open = text.endswith("[*]")
    root, *keys = (text[:-3] if is_open else text).split(".")
    return Read(root, tuple(keys), is_open)


def secrets_read(tree: FileTree) -> list[str]:
    """Give the names of the secrets that the steps of a file are given, sorted."""
    uses = (use for scope in tree.scopes() for steps in (scope.steps, scope.finally_steps) for step in walk(steps) for use in step.uses)
    return sorted({read.keys[0] for use in uses for read in reads_of(use) if read.root == "secrets" and read.keys})


def asks_for(use: Use, read: Read) -> bool:
    """Tell whether an expression asks if what it reads is there: `is defined`, or `default` wherever it reads it."""
    wanted = (read.root, read.keys[0])
    tested = any(node[0] == "defined" and _begins(node[1], wanted, exactly=True) for node in preorder(use.expr.tree))
    return tested or not _reads_hard(use.expr.tree, wanted)


def _reads_hard(node: object, wanted: tuple[str, str]) -> bool:
    if not isinstance(node, tuple) or not node:
        return False
    if node[0] == "default" and _begins(node[1], wanted, exactly=True):
        return any(_reads_hard(part, wanted) for part in node[2:])
    return _begins(node, wanted) or any(_reads_hard(part, wanted) for part in node[1:])


def _begins(node: object, wanted: tuple[str, str], *, exactly: bool = False) -> bool:
    if not isinstance(node, tuple) or node[:1] != ("path",) or node[1] != ("name", wanted[0]):
        return False
    return node[2:3] == wanted[1:] and (len(node) == 3 or not exactly)


def place_of(read: Read, use: Use, source: Source) -> Node:
    """Find where a read stands; the node of the expression where the text does not show it."""
    for depth in range(len(read.keys), -1, -1):
        pattern = _pattern(read.root, read.keys[:depth])
        for scalar in scalars(use.node):
            found = pattern.search(scalar.text)
            if found is not None:
                line, column = source.inside(scalar.start, scalar.end, scalar.style, scalar.text, found.start())
                return Node(line, column, scalar.start, scalar.path)
    first = next(scalars(use.node), use.node)
    return first if isinstance(first, Scalar) and first.text else use.node


def _pattern(root: str, keys: tuple[str, ...]) -> re.Pattern[str]:
    text = rf"(?<![\w.]){re.escape(root)}"
    for key in keys:
        name = re.escape(key).replace("_", "[-_]") if root == "steps" else re.escape(key)
        text += rf"\s*(?:\.\s*{name}(?!\w)|\[\s*['\"]{name}['\"]\s*\])"
    return re.compile(text + (r"(?!\w)" if not keys else ""))
