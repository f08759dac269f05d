"""Short ways past Jinja's parser: a text is taken apart into its `{{ … }}`, and a plain read as `{{ state.a.b }}` is compiled at sight.

Both give exactly what the long way gives, tree and places. Whatever is not plain is left to it: blocks, remarks, braces within braces, white
space control, and all faults. A test compares the two over drawn sources.
"""

import re
from typing import Final, NamedTuple

from treadle.core.expr.tree import Node

SOURCE_MAX: Final = 4_096
_HOLE: Final = re.compile(r"\{\{(?![-+{])[^{}]*(?<!-)\}\}")
_READ: Final = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)((?:\.[A-Za-z_][A-Za-z0-9_]*)*)\s*\}\}\Z")
# Words with a meaning of their own, and names that are checked when they are compiled.
_NOT_READ: Final = frozenset({
    "true", "false", "none", "True", "False", "None", "not", "and", "or", "if", "else", "in", "is", "secrets",
})  # fmt: skip


class Hole(NamedTuple):
    """One `{{ … }}` of a text, and where it begins."""

    text: str
    offset: int


def taken_apart(source: str) -> list[str | Hole] | None:
    """Give a text's pieces in order; None where that is not plain. White space around a single hole is no text (language.md §4)."""
    if len(source) > SOURCE_MAX or "{%" in source or "{#" in source or "\r" in source:
        return None
    pieces: list[str | Hole] = []
    end = 0
    for found in _HOLE.finditer(source):
        pieces += [source[end : found.start()], Hole(found[0], found.start())]
        end = found.end()
    pieces.append(source[end:])
    # `{{{` is the beginning of an object, and what is left of `{{` is a fault or was not plain.
    if any(isinstance(piece, str) and ("{{" in piece or piece.endswith("{")) for piece in pieces):
        return None
    holes = [piece for piece in pieces if isinstance(piece, Hole)]
    if len(holes) == 1 and not any(piece.strip() for piece in pieces if isinstance(piece, str)):
        return list(holes)
    return [piece for piece in pieces if piece]


def plain_read(hole: str) -> tuple[Node, int] | None:
    """Compile a hole that is a plain read: its node, and where in the hole the name stands; None where it is more."""
    found = _READ.match(hole)
    if found is None or found[1] in _NOT_READ:
        return None
    name: Node = ("name", found[1])
    return (("path", name, *found[2][1:].split(".")) if found[2] else name), found.start(1)
