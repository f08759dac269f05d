"""The tasks a workflow leads to: entries of its own file and other files, each read once, never in a circle (rulings 16, 17).

A task of the main file keeps its name as its key in the definition, another file has its declared name, and a task of such a file has both,
joined by `/`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Protocol

from treadle.authoring.freeze import Part
from treadle.authoring.nodes import Mapping, Node
from treadle.authoring.problems import Problem, did_you_mean, has_errors, listed
from treadle.authoring.scopes import Scope
from treadle.authoring.tree import FileTree, StepTree, TaskTree


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


@dataclass(frozen=True, slots=True)
class _Target:
    file: FileTree
    task: TaskTree
    key: str


@dataclass(slots=True)
class Closure:
    """Resolves every `task:` of a file and of the files it leads to. Problems of the main file go into its tree."""

    main: FileTree
    files: Files
    parts: dict[str, Part] = field(default_factory=dict[str, Part])
    targets: dict[int, _Target] = field(default_factory=dict[int, _Target])
    path: list[str] = field(default_factory=list[str])
    named: set[int] = field(default_factory=set[int])

    def resolve(self) -> tuple[Part, list[Part]]:
        """Give the main part and all others, in the order in which they are first named."""
        main = _Target(self.main, self.main.main, "")
        self._follow(main)
        for name, task in self.main.tasks.items():
            if id(task) not in self.named:
                self.main.problems.append(_unused(self.main, name))
                self._follow(_Target(self.main, task, name), keep=False)
        return self._part(main), list(self.parts.values())

    def _part(self, target: _Target) -> Part:
        return Part(key=target.key, task=target.task, file=target.file, key_of=self._key_of)

    def _key_of(self, step: StepTree) -> str:
        return self.targets[id(step)].key

    def _follow(self, target: _Target, *, keep: bool = True) -> None:
        shown = target.key or target.file.name or target.file.document.source.file
        self.path.append(shown)
        for step in Scope.steps_of(target.task):
            name = step.fields.get("task") if step.type == "foreach" else None
            if not isinstance(name, str):
                continue
            found = self._find(name, step, target)
            if found is None:
                continue
            self.targets[id(step)] = found
            self._check_inputs(step, found, target.file)
            below = found.key or found.file.name
            if below in self.path:
                circle = " → ".join([*self.path[self.path.index(below) :], below])
                _error(target.file, "cyclic_tasks", step.place("task"), f"the tasks lead back to themselves: {circle}")
            elif found.key not in self.parts:
                if keep:
                    self.parts[found.key] = self._part(found)
                self._follow(found, keep=keep)
        self.path.pop()

    def _find(self, name: str, step: StepTree, inside: _Target) -> _Target | None:
        place, file = step.place("task"), inside.file
        own = file.tasks.get(name)
        others = self.files.candidates(name)
        if own is not None:
            self.named.add(id(own))
        if len(others) + (own is not None) > 1:
            rows = ([f"`tasks: {name}` of this file"] if own is not None else []) + others
            _error(file, "ambiguous_name", place, f"`{name}` could be: {listed(rows)}", "rename one of them")
            return None
        if own is not None:
            return _Target(file, own, name if file is self.main else f"{file.name}/{name}")
        if not others:
            known = [*file.tasks, *self.files.names()]
            _error(
                file,
                "undefined_reference",
                place,
                f"there is no task or workflow `{name}`",
                did_you_mean(name, known) or f"there are: {listed(known)}",
            )
            return None
        return self._other_file(others[0], place, inside)

    def _other_file(self, shown: str, place: Node, inside: _Target) -> _Target | None:
        if shown == self.main.document.source.file:
            return _Target(self.main, self.main.main, "")
        child = self.files.tree(shown)
        if has_errors(child.problems):
            first = next(p for p in child.problems if p.severity == "error")
            _error(
                inside.file,
                "broken_task",
                place,
                f"{shown} has errors; the first: line {first.line}: {first.message}",
                f"`treadle validate {shown}` lists them",
            )
            return None
        return _Target(child, child.main, child.name)

    def _check_inputs(self, step: StepTree, target: _Target, file: FileTree) -> None:
        """Compare what a foreach hands over with what its task takes (ruling 13)."""
        if target.task.fields.get("inputs") is None and "inputs" in target.task.node.entries:
            return
        rules = target.task.inputs
        place = step.place("inputs")
        required = [name for name, rule in rules.items() if rule.get("required") is True]
        if "inputs" not in step.node.entries:
            if rules and len(required) != 1 and len(rules) != 1:
                rows = f"the required inputs {listed(required)}" if required else "no required input"
                _error(
                    file,
                    "item_not_mapped",
                    step.place("task"),
                    f"the task has {rows}, so nothing says which one takes the item",
                    "write `inputs:` on the foreach",
                )
            return
        given = place.entries if isinstance(place, Mapping) else {}
        for name in given:
            if name not in rules:
                node = place.keys[name] if isinstance(place, Mapping) else place
                _error(
                    file,
                    "unknown_input",
                    node,
                    f"the task has no input `{name}`",
                    did_you_mean(name, rules) or f"inputs: {listed(rules)}",
                )
        for name in required:
            if name not in given:
                _error(
                    file,
                    "missing_input",
                    place,
                    f"the task requires the input `{name}`, which is not given",
                    f"add `{name}:` to `inputs`",
                )


def _error(file: FileTree, code: str, node: Node, message: str, suggestion: str = "") -> None:
    file.problems.append(file.document.problem(code, node, message, suggestion))


def _unused(file: FileTree, name: str) -> Problem:
    tasks = file.places["tasks"]
    node = tasks.keys[name] if isinstance(tasks, Mapping) else tasks
    found = file.document.problem("unused_task", node, f"no foreach uses the task `{name}`", "delete it, or use it")
    return replace(found, severity="warning")
