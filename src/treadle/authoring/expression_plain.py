"""A short way for what most templates are: text around plain reads as `{{ state.a.b }}`, compiled without Jinja's parser.

It gives exactly what the long way gives, tree and places, or None: whatever is not plainly a read goes the long way, faults included. A test
compares the two over drawn sources.
"""

import re
from typing import Final

from treadle.core.expr.tree import Node, Tree

_SOURCE_MAX: Final = 4_096
_READ: Final = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)((?:\.[A-Za-z_][A-Za-z0-9_]*)*)\s*\}\}")
# Words with a meaning of their own, and names that are checked when they are compiled.
_NOT_READ: Final = frozenset({
    "true", "false", "none", "True", "False", "None", "not", "and", "or", "if", "else", "in", "is", "secrets",
})  # fmt: skip


def plain_reads(source: str) -> tuple[Node, tuple[int, ...], bool] | None:
    """Compile text around plain reads: tree, the column of each node in preorder, and whether it is one read alone."""
    if len(source) > _SOURCE_MAX or "{%" in source or "{#" in source or "\r" in source:
        return None
    parts: list[Tree] = []
    columns = [0]
    end = 0
    for found in _READ.finditer(source):
        before = source[end : found.start()]
        # `{{{` is the beginning of an object.
        if found[1] in _NOT_READ or before.endswith("{") or "{{" in before:
            return None
        parts += [before, _read(found)] if before else [_read(found)]
        columns += [found.start(1)] * (2 if found[2] else 1)
        end = found.end()
    rest = source[end:]
    if "{{" in rest or not end:
        return None
    reads = [part for part in parts if isinstance(part, tuple)]
    if len(reads) == 1 and source.strip().startswith("{{") and not rest.strip():
        return reads[0], tuple(columns[1:]), True
    return ("text", *parts, rest) if rest else ("text", *parts), tuple(columns), False


def _read(found: re.Match[str]) -> Node:
    name: Node = ("name", found[1])
    return ("path", name, *found[2][1:].split(".")) if found[2] else name
