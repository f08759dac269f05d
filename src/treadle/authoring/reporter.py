"""Where checks put what they find: problems at the nodes of one file."""

from collections.abc import Mapping as Map
from typing import Final

from treadle.authoring.nodes import Node, width_of
from treadle.authoring.problems import Problem, Severity
from treadle.authoring.reads import Read, place_of
from treadle.authoring.tree import FileTree, Use

# A file with more faults than this has other worries than their columns.
PLACES_MAX: Final = 200


class Reporter:
    """Takes the problems of one file. `tool_effects` are those that the configuration confirms, by `server.tool`."""

    def __init__(self, tree: FileTree, tool_effects: Map[str, str]) -> None:
        """Add to the problems of a tree."""
        self.tree = tree
        self.tool_effects = tool_effects
        self.source = tree.document.source
        self._looked_for = 0
        self._told: set[tuple[str, int]] = set()

    def error(self, code: str, node: Node, message: str, suggestion: str = "") -> None:
        """Record an error at a node."""
        self._add("error", code, node, message, suggestion)

    def warning(self, code: str, node: Node, message: str, suggestion: str = "") -> None:
        """Record a warning at a node."""
        self._add("warning", code, node, message, suggestion)

    def is_first(self, code: str, node: Node) -> bool:
        """Tell whether this was not asked before, of what several steps share."""
        key = code, id(node)
        if key in self._told:
            return False
        self._told.add(key)
        return True

    def read_error(self, code: str, read: Read, use: Use, message: str, suggestion: str = "") -> None:
        """Record an error where an expression reads something."""
        self._add("error", code, self.place_of(read, use), message, suggestion)

    def read_warning(self, code: str, read: Read, use: Use, message: str, suggestion: str = "") -> None:
        """Record a warning where an expression reads something."""
        self._add("warning", code, self.place_of(read, use), message, suggestion)

    def place_of(self, read: Read, use: Use) -> Node:
        """Find where a read stands; roughly, when so many have been looked for that it would take long."""
        self._looked_for += 1
        return place_of(read, use, self.source) if self._looked_for <= PLACES_MAX else use.node

    def _add(self, severity: Severity, code: str, node: Node, message: str, suggestion: str) -> None:
        self.tree.problems.append(
            Problem(
                code=code, severity=severity, file=self.source.file, line=node.line, column=node.column, path=node.path,
                message=message, suggestion=suggestion, width=width_of(node),
            )
        )  # fmt: skip
