"""The positioned tree that a file is read into: every node knows its line, column, offset and path (language.md §6)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from treadle.authoring.places import Source
from treadle.authoring.problems import Problem
from treadle.core.values import Json

Style = Literal["plain", "single", "double", "literal", "folded"]
NODES_MAX: Final = 100_000
DEPTH_MAX: Final = 64
# Whoever makes more mistakes than this has sent something that is no workflow.
PROBLEMS_MAX: Final = 1_000
_PLAIN_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")


@dataclass(slots=True, eq=False)
class Node:
    """A value with its place. `start` and `end` are offsets into the source text; `path` names it from the top."""

    line: int
    column: int
    start: int
    path: str = ""
    end: int = 0


@dataclass(slots=True, eq=False)
class Scalar(Node):
    """A scalar: `value` as data, `text` as written between its quotes, after escapes."""

    value: Json = None
    text: str = ""
    style: Style = "plain"


@dataclass(slots=True, eq=False)
class Sequence(Node):
    """A list."""

    items: list[Node] = field(default_factory=list[Node])


@dataclass(slots=True, eq=False)
class Mapping(Node):
    """A map with text keys, in the order of the file; `keys` holds the key's own node, for its place."""

    entries: dict[str, Node] = field(default_factory=dict[str, Node])
    keys: dict[str, Scalar] = field(default_factory=dict[str, Scalar])


@dataclass(slots=True, eq=False)
class Alias(Node):
    target: Node | None = None


@dataclass(slots=True, kw_only=True)
class Document:
    """A file as read. `root` is None when it could not be read to its end."""

    source: Source
    root: Node | None
    problems: list[Problem]

    def problem(self, code: str, node: Node, message: str, suggestion: str = "") -> Problem:
        """Make an error at a node."""
        return Problem(
            code=code, severity="error", file=self.source.file, line=node.line, column=node.column, path=node.path,
            message=message, suggestion=suggestion, width=width_of(node),
        )  # fmt: skip


def width_of(node: Node) -> int:
    """Give how many characters a scalar takes that stands on one line; 0 for all else."""
    if not isinstance(node, Scalar) or node.style in {"literal", "folded"}:
        return 0
    return node.end - node.start if "\n" not in node.text else 0


def data_of(node: Node) -> Json:
    """Give the plain data of a node."""
    match node:
        case Mapping(entries=entries):
            return {key: data_of(child) for key, child in entries.items()}
        case Sequence(items=items):
            return [data_of(child) for child in items]
        case Scalar(value=value):
            return value
        case _:
            raise TypeError(type(node).__name__)


def node_at(node: Node, path: str) -> Node:
    """Follow a path of a checked value (`properties.a.items[2]`) as far as nodes go."""
    for part in re.findall(r"[^.\[\]/]+", path):
        if isinstance(node, Mapping) and part in node.entries:
            node = node.entries[part]
        elif isinstance(node, Sequence) and part.isdigit() and int(part) < len(node.items):
            node = node.items[int(part)]
        else:
            break
    return node


def scalars(node: Node) -> Iterator[Scalar]:
    """Give every scalar of a node that is a value, in reading order."""
    match node:
        case Scalar():
            yield node
        case Sequence(items=items):
            for child in items:
                yield from scalars(child)
        case Mapping(entries=entries):
            for child in entries.values():
                yield from scalars(child)
        case _:
            pass


def unfold(node: Node, path: str) -> Node:
    """Give every node its path, and every alias a copy of what it repeats; bounded by what was counted before."""
    if isinstance(node, Alias):
        assert node.target is not None
        return unfold(_copied(node.target), path)
    node.path = path
    match node:
        case Mapping(entries=entries, keys=keys):
            for key, child in entries.items():
                below = path_below(path, key)
                entries[key] = unfold(child, below)
                keys[key].path = below
        case Sequence(items=items):
            for index, child in enumerate(items):
                items[index] = unfold(child, f"{path}[{index}]")
        case _:
            pass
    return node


def _copied(node: Node) -> Node:
    match node:
        case Alias(target=Node() as target):
            return _copied(target)
        case Scalar():
            return Scalar(node.line, node.column, node.start, end=node.end, value=node.value, text=node.text, style=node.style)
        case Sequence():
            return Sequence(node.line, node.column, node.start, end=node.end, items=[_copied(c) for c in node.items])
        case Mapping():
            entries = {key: _copied(child) for key, child in node.entries.items()}
            keys = {name: Scalar(k.line, k.column, k.start, end=k.end, value=k.value, text=k.text) for name, k in node.keys.items()}
            return Mapping(node.line, node.column, node.start, end=node.end, entries=entries, keys=keys)
        case _:
            raise TypeError(type(node).__name__)


def path_below(path: str, key: str) -> str:
    name = key if _PLAIN_KEY.match(key) else f"[{key!r}]"
    return f"{path}.{name}" if path and not name.startswith("[") else f"{path}{name}"
