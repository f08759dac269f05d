"""What expressions read, and where in the file it stands.

`Expr.reads` names reads (`state.user.email`, `steps.a_b.result`, `item`) without a place. When one of them turns out to be a fault, its place
is found by looking for the name in the text: cheap, because it only happens for faults.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from treadle.authoring.nodes import Node, Scalar, scalars
from treadle.authoring.places import Source
from treadle.authoring.tree import Use


class Read(NamedTuple):
    """One read of an expression: the name it starts from, and the keys that are known at load. `is_open`: any field may be meant."""

    root: str
    keys: tuple[str, ...]
    is_open: bool

    def __str__(self) -> str:
        """Write it as an author does."""
        return ".".join((self.root, *self.keys)) + ("[…]" if self.is_open else "")


def reads_of(use: Use) -> Iterator[Read]:
    """Give the reads of an expression, each once."""
    for text in use.expr.reads:
        is_open = text.endswith("[*]")
        root, *keys = text.removesuffix("[*]").split(".")
        yield Read(root, tuple(keys), is_open)


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
