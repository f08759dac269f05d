"""The tasks and child workflows that a workflow leads to: entries of its own file and other files, each read once, never in a circle.

A task of the main file keeps its name as its key in the definition, another file has its declared name, and a task of such a file has both,
joined by `/` (rulings 16, 17). A workflow that a `run` step names is followed too, to find circles and what it is given, but is no part of
the definition. What is wrong in a file that is not shown is told at the step of the main file that leads there.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from treadle.authoring import closure_inputs
from treadle.authoring.freeze import Part
from treadle.authoring.nodes import Mapping, Node
from treadle.authoring.problems import Problem, did_you_mean, has_errors, listed
from treadle.authoring.scopes import Scope
from treadle.authoring.tree import FileTree, StepTree, TaskTree

RUN_DEPTH_MAX: Final = 10


class Files(Protocol):
    """Finds and reads other workflow files."""

    def candidates(self, name: str) -> list[str]:
        """Give the shown names of the files that a name could mean, in one place; more than one is a fault."""
        ...

    def tree(self, shown: str) -> FileTree:
        """Read a file that `candidates` named."""
        ...

    def names(self) -> Iterable[str]:
        """Give every name of every file, for suggestions."""
        ...

    def is_own(self, shown: str) -> bool:
        """Tell whether a file belongs to the project."""
        ...


@dataclass(frozen=True, slots=True)
class _Target:
    file: FileTree
    task: TaskTree
    key: str

    @property
    def shown(self) -> str:
        """Name it in a circle."""
        return self.key or self.file.name or self.file.document.source.file


@dataclass(slots=True)
class Closure:
    """Resolves every `task:` and `run:` of a file and of the files it leads to. Problems of the main file go into its tree."""

    main: FileTree
    files: Files
    parts: dict[str, Part] = field(default_factory=dict[str, Part])
    targets: dict[int, _Target] = field(default_factory=dict[int, _Target])
    path: list[str] = field(default_factory=list[str])
    named: set[int] = field(default_factory=set[int])
    followed: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    # The step of the main file below which other files are followed that are not shown; how many `run` steps lead to here.
    through: Node | None = None
    depth: int = 0
    children: dict[str, _Target] = field(default_factory=dict[str, _Target])
    # A closure of a child: what is wrong there has been told.
    quiet: bool = False

    def resolve(self) -> tuple[Part, list[Part]]:
        """Give the main part and all others, in the order in which they are first named."""
        main = _Target(self.main, self.main.main, "")
        self._follow(main)
        for name, task in self.main.tasks.items():
            if id(task) not in self.named:
                self.main.problems.append(_unused(self.main, name))
                self._follow(_Target(self.main, task, name), keep=False)
        return self._part(main), list(self.parts.values())

    def resolve_child(self, target: "_Target") -> tuple[Part, list[Part]]:
        """Give the parts of a task or file that a `run` starts, as a workflow of its own."""
        main = _Target(target.file, target.task, "")
        self.quiet = True
        self._follow(main)
        return self._part(main), list(self.parts.values())

    def _part(self, target: _Target) -> Part:
        return Part(key=target.key, task=target.task, file=target.file, key_of=self._key_of)

    def _key_of(self, step: StepTree) -> str:
        target = self.targets[id(step)]
        return target.key if step.type == "foreach" else target.key or target.shown

    def _follow(self, target: _Target, *, keep: bool = True) -> None:
        self.path.append(target.shown)
        for step in Scope.steps_of(target.task):
            if step.type == "foreach":
                self._task(step, target, keep=keep)
            elif step.type == "run":
                self._run(step, target)
        self.path.pop()

    def _task(self, step: StepTree, inside: _Target, *, keep: bool) -> None:
        name = step.fields.get("task")
        found = self._find(name, step.place("task"), inside) if isinstance(name, str) else None
        if found is None:
            return
        self.targets[id(step)] = found
        self._check_inputs(step, "task", found, inside)
        if self._is_circle(found, step.place("task"), inside):
            return
        if keep and found.key not in self.parts:
            self.parts[found.key] = self._part(found)
            self._follow(found)
        elif not keep and self._is_new(found):
            self._follow(found, keep=False)

    def _run(self, step: StepTree, inside: _Target) -> None:
        name, place = step.fields.get("workflow"), step.place("workflow")
        found = self._find(name, place, inside) if isinstance(name, str) else None
        if found is None:
            return
        if self.depth == 0:
            self.targets[id(step)] = found
            self.children.setdefault(found.key or found.shown, found)
        self._check_version(str(name), step, found, inside)
        self._check_inputs(step, "workflow", found, inside)
        if self._is_circle(found, place, inside):
            return
        if self.depth >= RUN_DEPTH_MAX:
            self._error(
                inside, "too_deep", place, f"child runs are nested deeper than {RUN_DEPTH_MAX}", "run some of them one after the other"
            )
        elif self._is_new(found):
            began = self.through
            self.through = self.through or (place if inside.file is self.main else None)
            self.depth += 1
            self._follow(found, keep=False)
            self.depth -= 1
            self.through = began

    def _is_new(self, target: _Target) -> bool:
        key = (target.file.document.source.file, target.task.name)
        if key in self.followed:
            return False
        self.followed.add(key)
        return True

    def _is_circle(self, found: _Target, place: Node, inside: _Target) -> bool:
        if found.shown not in self.path:
            return False
        circle = " → ".join([*self.path[self.path.index(found.shown) :], found.shown])
        self._error(
            inside, "cyclic_tasks", place, f"the tasks lead back to themselves: {circle}", "to repeat steps, write `while` or `repeat`"
        )
        return True

    def _check_version(self, name: str, step: StepTree, found: _Target, inside: _Target) -> None:
        file = found.file.document.source.file
        version = found.file.fields.get("version", "0.0.0")
        wanted = step.fields.get("version")
        if isinstance(wanted, str) and wanted != version:
            message = f"there is no `{name}` of version {wanted}; the one in {file} is {version}"
            self._error(inside, "undefined_reference", step.place("version"), message, f"write `version: {version}`")
        elif "version" not in step.node.entries and found.file is not self.main and not self.files.is_own(file):
            message = f"`{name}` comes from outside the project ({file}), where it may change"
            self._error(inside, "version_needed", step.place("workflow"), message, f"write `version: {version}`")

    def _find(self, name: str, place: Node, inside: _Target) -> _Target | None:
        file = inside.file
        own = file.tasks.get(name)
        others = self.files.candidates(name)
        if own is not None:
            self.named.add(id(own))
        if len(others) + (own is not None) > 1:
            rows = ([f"`tasks: {name}` of this file"] if own is not None else []) + others
            self._error(inside, "ambiguous_name", place, f"`{name}` could be: {listed(rows)}", "rename one of them")
            return None
        if own is not None:
            return _Target(file, own, name if file is self.main else f"{file.name}/{name}")
        if not others:
            known = [*file.tasks, *self.files.names()]
            hint = did_you_mean(name, known) or f"there are: {listed(known)}"
            self._error(inside, "undefined_reference", place, f"there is no task or workflow `{name}`", hint)
            return None
        return self._other_file(others[0], place, inside)

    def _other_file(self, shown: str, place: Node, inside: _Target) -> _Target | None:
        if shown == self.main.document.source.file:
            return _Target(self.main, self.main.main, "")
        child = self.files.tree(shown)
        if has_errors(child.problems):
            first = next(p for p in child.problems if p.severity == "error")
            message = f"{shown} has errors; the first: line {first.line}: {first.message}"
            self._error(inside, "broken_task", place, message, f"`treadle validate {shown}` lists them")
            return None
        return _Target(child, child.main, child.name)

    def _check_inputs(self, step: StepTree, name: str, target: _Target, inside: _Target) -> None:
        """Compare what a task or child is given with what it takes (ruling 13)."""
        for code, node, message, hint in closure_inputs.faults(step, name, target.task, inside.task, inside.file):
            self._error(inside, code, node, message, hint)

    def _error(self, inside: _Target, code: str, node: Node, message: str, suggestion: str = "") -> None:
        if self.quiet:
            return
        file = inside.file
        is_shown = file is self.main or any(part.file is file for part in self.parts.values())
        if is_shown or self.through is None:
            file.problems.append(file.document.problem(code, node, message, suggestion))
        else:
            place = f"{file.document.source.file}, line {node.line}"
            self.main.problems.append(self.main.document.problem(code, self.through, f"{message} ({place})", suggestion))


def _unused(file: FileTree, name: str) -> Problem:
    tasks = file.places["tasks"]
    node = tasks.keys[name] if isinstance(tasks, Mapping) else tasks
    found = file.document.problem("unused_task", node, f"nothing uses the task `{name}`", "delete it, or use it in a foreach")
    return replace(found, severity="warning")
