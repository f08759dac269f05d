"""A workflow as read by the tables of `model`: typed values, each with its node. Checking and freezing work on this.

Unlike a Definition it can hold every step type, also those that nothing carries out yet, and it knows where everything stands.
"""

from collections.abc import Iterator
from collections.abc import Mapping as Map
from dataclasses import dataclass, field
from typing import NamedTuple

from treadle.authoring.nodes import Document, Mapping, Node
from treadle.authoring.problems import Problem
from treadle.core.expr import Expr
from treadle.functions import FunctionInfo


class Read(NamedTuple):
    """One read of an expression: the name it starts from, and the keys that are known at load. `is_open`: any field may be meant."""

    root: str
    keys: tuple[str, ...]
    is_open: bool

    def __str__(self) -> str:
        """Write it as an author does."""
        return ".".join((self.root, *self.keys)) + ("[…]" if self.is_open else "")


@dataclass(slots=True, kw_only=True)
class Use:
    """An expression where it stands: `field` names it within its step (`updates.plan`), `key` the outermost field alone.

    `is_part` marks one of several in a text of which another could not be compiled: what it reads counts, what it gives is not known.
    """

    expr: Expr
    node: Node
    field: str
    is_part: bool = False
    # What it reads, once somebody asked (`reads.reads_of`).
    reads: tuple["Read", ...] | None = None

    @property
    def key(self) -> str:
        """Give the field of the step that holds it."""
        return self.field.split(".", 1)[0]


@dataclass(slots=True, kw_only=True)
class StepTree:
    """A step. `fields` holds what was read, `places` its nodes, `lists` the lists of steps below it by name (`then`, `cases.red`)."""

    id: str
    type: str
    node: Mapping
    implicit: bool = False
    fields: dict[str, object] = field(default_factory=dict[str, object])
    places: dict[str, Node] = field(default_factory=dict[str, Node])
    uses: list[Use] = field(default_factory=list[Use])
    lists: dict[str, list["StepTree"]] = field(default_factory=dict[str, list["StepTree"]])
    # What the author may have meant to say here and was not understood: nothing is concluded from its absence.
    broken: bool = False

    def place(self, name: str) -> Node:
        """Give the node of a field, else of the step."""
        return self.places.get(name, self.node)


@dataclass(slots=True, kw_only=True)
class TaskTree:
    """A workflow's main part, or an entry under `tasks:`."""

    name: str
    node: Mapping
    fields: dict[str, object] = field(default_factory=dict[str, object])
    places: dict[str, Node] = field(default_factory=dict[str, Node])
    uses: list[Use] = field(default_factory=list[Use])
    steps: list[StepTree] = field(default_factory=list[StepTree])
    finally_steps: list[StepTree] = field(default_factory=list[StepTree])

    @property
    def inputs(self) -> dict[str, dict[str, object]]:
        """Give the declared inputs."""
        found = self.fields.get("inputs")
        return found if isinstance(found, dict) else {}

    @property
    def state_names(self) -> list[str]:
        """Give the names that `initial_state` declares, in order."""
        return [name for name, _ in self.exprs("initial_state")]

    def exprs(self, name: str) -> list[tuple[str, Expr]]:
        """Give a field of named values; empty where it is absent or could not be read."""
        found = self.fields.get(name)
        return found if isinstance(found, list) else []


@dataclass(frozen=True, slots=True, kw_only=True)
class NotYet:
    """A feature that this file uses and nothing carries out yet (ruling 62)."""

    feature: str
    path: str
    line: int
    file: str = ""


@dataclass(slots=True, kw_only=True)
class FileTree:
    """A whole file. `functions` maps the registered functions it calls to their versions, `visible` are those that it could call."""

    document: Document
    name: str
    main: TaskTree
    tasks: dict[str, TaskTree] = field(default_factory=dict[str, TaskTree])
    fields: dict[str, object] = field(default_factory=dict[str, object])
    places: dict[str, Node] = field(default_factory=dict[str, Node])
    functions: dict[str, str] = field(default_factory=dict[str, str])
    visible: Map[str, FunctionInfo] = field(default_factory=dict[str, FunctionInfo])
    problems: list[Problem] = field(default_factory=list[Problem])
    not_yet: list[NotYet] = field(default_factory=list[NotYet])

    def scopes(self) -> Iterator[TaskTree]:
        """Give the main part and every task of this file."""
        yield self.main
        yield from self.tasks.values()


def walk(steps: list[StepTree]) -> Iterator[StepTree]:
    """Give every step of a list and of all lists below it, in reading order."""
    for step in steps:
        yield step
        for below in step.lists.values():
            yield from walk(below)
