"""The ground that fixes stand on: a file's text, what stands where in it, and edits of it (issue 4 §2).

A fix never writes a document anew: it replaces ranges of the text, so comments, order, quoting, indentation, line ends and a byte order
mark stay as they are wherever nothing was wrong.
"""

import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from treadle.authoring.nodes import Mapping, Node, Scalar, Sequence
from treadle.authoring.problems import Problem
from treadle.authoring.scalars import resolve
from treadle.authoring.tree import FileTree
from treadle.authoring.yaml_reader import read_text

_EXPRESSION: Final = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_PLAIN: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.:/-]*[A-Za-z0-9_])?\Z")


@dataclass(frozen=True, slots=True, order=True)
class Edit:
    """Replaces the characters from `start` up to `end`."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mend:
    """What mends one problem. `uncovers` are codes that may come to light where it stood, None meaning any: the fault hid them."""

    edits: tuple[Edit, ...]
    uncovers: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A node and what holds it: `key` is the node of its key where `parent` is a map."""

    node: Node
    parent: Node | None
    key: Scalar | None = None


class Ground:
    """A file as it stands. `tree` is None where it could not be read to its end."""

    def __init__(self, text: str, tree: FileTree, problems: Iterable[Problem]) -> None:
        """Note where everything stands."""
        # Read afresh: parsing takes fields away that may not stand where they do.
        document = read_text(text, tree.document.source.file)
        self.root = document.root
        self.tree = tree if document.root is not None else None
        self.source, self.text = document.source, text
        self.problems = tuple(problems)
        self.is_json = self.text.lstrip()[:1] in {"{", "["}
        self.newline = "\r\n" if "\r\n" in self.text else "\n"
        self.keys: dict[int, Spot] = {}
        self.values: dict[int, Spot] = {}
        self.paths: dict[str, Spot] = {}
        if document.root is not None:
            self._note(document.root, None, None)
        self.steps = frozenset(_step_paths(document.root))
        self._scalars = sorted((n.node.start, n.node.end) for n in self.values.values() if isinstance(n.node, Scalar))

    def _note(self, node: Node, parent: Node | None, key: Scalar | None) -> None:
        spot = Spot(node=node, parent=parent, key=key)
        if key is not None:
            self.keys.setdefault(key.start, spot)
        self.values.setdefault(node.start, spot)
        self.paths.setdefault(node.path, spot)
        if isinstance(node, Mapping):
            for name, child in node.entries.items():
                self._note(child, node, node.keys[name])
        elif isinstance(node, Sequence):
            for child in node.items:
                self._note(child, node, None)

    def at(self, problem: Problem) -> int:
        """Give the offset of a problem."""
        return self.source.offset(problem.line, problem.column)

    def key(self, problem: Problem) -> Spot | None:
        """Give what stands under the key that a problem is told at."""
        found = self.keys.get(self.at(problem))
        return found if found is not None and found.key is not None and self._is_written(found.key) else None

    def value(self, problem: Problem) -> Scalar | None:
        """Give the scalar that a problem is told at."""
        found = self.values.get(self.at(problem))
        return found.node if found is not None and isinstance(found.node, Scalar) and self._is_written(found.node) else None

    def inside(self, problem: Problem) -> Scalar | None:
        """Give the scalar in whose text a problem is told."""
        return self.scalar_around(self.at(problem))

    def scalar_around(self, at: int) -> Scalar | None:
        """Give the scalar in which an offset lies."""
        place = bisect_right(self._scalars, (at, len(self.text))) - 1
        if place < 0 or not self._scalars[place][0] <= at <= self._scalars[place][1]:
            return None
        found = self.values[self._scalars[place][0]].node
        return found if isinstance(found, Scalar) else None

    def _is_written(self, node: Scalar) -> bool:
        """Tell whether the source shows the scalar's text as it is, so that it can be replaced."""
        return node.style in {"plain", "single", "double"} and node.text in self.text[node.start : node.end]

    def written(self, node: Node) -> str:
        """Give a node as it stands in the file."""
        return self.text[node.start : node.end]

    def line(self, at: int) -> tuple[int, str]:
        """Give where the line of an offset begins, and the line."""
        return self.source.line_around(at)

    def end(self, node: Node) -> int:
        """Give where a node's last visible character ends: the parser takes what follows a block into it."""
        children = [*node.entries.values()] if isinstance(node, Mapping) else node.items if isinstance(node, Sequence) else []
        if children and not self.is_flow(node):
            return max(self.end(child) for child in children)
        return node.start + len(self.text[node.start : node.end].rstrip())

    # Making edits

    def replaced(self, node: Scalar, new: str) -> Edit:
        """Write another text between the quotes that a scalar has, or plain where it has none."""
        if node.style == "plain" and _PLAIN.match(new) and resolve(new) == new:
            return Edit(node.start, node.end, json.dumps(new) if self.is_json else new)
        if node.style in {"single", "double"} and new.isascii() and new.isprintable() and not set(new) & set("'\"\\"):
            return Edit(node.start + 1, node.end - 1, new)
        return Edit(node.start, node.end, self.quoted(new))

    def quoted(self, text: str) -> str:
        """Quote a text of one line, in the quotes that need the fewest changes."""
        if self.is_json or not text.isprintable():
            return json.dumps(text, ensure_ascii=False)
        if '"' not in text and "\\" not in text:
            return f'"{text}"'
        return "'" + text.replace("'", "''") + "'"

    def is_flow(self, node: Node) -> bool:
        """Tell whether a collection is written with brackets."""
        return self.text[node.start : node.start + 1] in {"{", "["}

    def removed(self, parent: Mapping, name: str) -> tuple[Edit, ...] | None:
        """Take an entry out of a map; None where a remark beside it would be lost or it fills several lines."""
        key, value = parent.keys[name], parent.entries[name]
        if self.is_flow(parent):
            return (self._removed_from_flow(parent, key.start, value.end),)
        start, line = self.line(key.start)
        end = start + len(line)
        if value.end > end or self.text[value.end : end].strip() or len(parent.entries) == 1:
            return None
        if not self.text[start : key.start].strip():
            breaks = 2 if self.text.startswith("\r\n", end) else 1 if end < len(self.text) else 0
            return (Edit(start, end + breaks, ""),)
        following = min((k.start for k in parent.keys.values() if k.start > key.start), default=None)
        if following is None or self.text[end:following].strip():
            return None
        return (Edit(key.start, following, ""),)

    def _removed_from_flow(self, parent: Mapping, start: int, end: int) -> Edit:
        after = re.compile(r"\s*,\s*").match(self.text, end, parent.end)
        if after is not None:
            return Edit(start, after.end(), "")
        before = re.search(r",\s*\Z", self.text[parent.start : start])
        return Edit(parent.start + before.start() if before else start, end, "")

    def inserted(self, parent: Mapping, before: str, written: str) -> Edit:
        """Put an entry, as written, before the entry `before` of a map."""
        key = parent.keys[before]
        if self.is_flow(parent):
            return Edit(key.start, key.start, f"{written}, ")
        return Edit(key.start, key.start, f"{written}{self.newline}{' ' * (key.column - 1)}")

    # Expressions

    def expressions(self, node: Node) -> Iterator[tuple[int, int]]:
        """Give where `{{ }}` and `{% %}` stand in the scalars of a node."""
        for found in _EXPRESSION.finditer(self.text, node.start, node.end):
            yield found.span()

    def step(self, path: str) -> str:
        """Give the path of the innermost step around a path; empty where there is none."""
        while path and path not in self.steps:
            path = above(path)
        return path


def _step_paths(root: Node | None) -> Iterator[str]:
    """Give the path of every map that may be a step: an item of a list under a key that holds steps."""
    if isinstance(root, Mapping):
        for name, child in root.entries.items():
            if isinstance(child, Sequence) and name not in {"any_of", "files", "verify", "enum", "allOf", "anyOf", "oneOf"}:
                yield from (item.path for item in child.items if isinstance(item, Mapping))
            yield from _step_paths(child)
    elif isinstance(root, Sequence):
        for child in root.items:
            yield from _step_paths(child)


def above(path: str) -> str:
    """Take the last part off a path; a key that holds dots or brackets goes in several turns."""
    return path[: max(path.rfind("."), path.rfind("["), 0)]


def applied(text: str, edits: Iterable[Edit]) -> str:
    """Carry out edits that do not overlap."""
    parts: list[str] = []
    at = 0
    for edit in sorted(set(edits)):
        parts += [text[at : edit.start], edit.text]
        at = edit.end
    return "".join([*parts, text[at:]])


def back(at: int, edits: Iterable[Edit]) -> int:
    """Give where an offset into the edited text was before."""
    moved = 0
    for edit in sorted(set(edits)):
        start = edit.start + moved
        if at < start:
            break
        if at < start + len(edit.text):
            return min(edit.start + at - start, max(edit.end - 1, edit.start))
        moved += len(edit.text) - (edit.end - edit.start)
    return at - moved
