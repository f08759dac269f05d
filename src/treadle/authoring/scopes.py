"""What is visible where: a scope is a file's main part or a task, a site is the place of one step in it (language.md §3, ruling 13).

Names that others refer to (ids, written fields, inputs) are taken from the nodes as written, not from what could be read of them: a fault in
a field must not make everything that refers to it a fault too.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from treadle.authoring.nodes import Mapping, Node, Scalar
from treadle.authoring.tree import FileTree, StepTree, TaskTree, Use, walk

BASE: Final = frozenset({"inputs", "state", "steps", "run", "secrets"})
_ROUND: Final = frozenset({"item", "loop"})
# Of these not the step itself has a worktree, but each item or branch.
_EACH: Final = frozenset({"foreach", "parallel"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The place of a step. `chain` are the ids of the loops around it, `targets` where a goto may lead from here.

    `loop` is the innermost loop that `break` could leave, `parallel_loop` the one whose rounds run at once; `parallel_inside` tells of a
    `parallel` between step and innermost loop. `after` names the list around it that runs when all else is over (`finally`, `undo`, `read_back`).
    """

    step: StepTree | None
    chain: tuple[str, ...]
    names: frozenset[str]
    targets: tuple[str, ...] = ()
    loop: str = ""
    parallel_loop: str = ""
    parallel_inside: bool = False
    after: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A step of a scope, where it is, and the loops around it."""

    step: StepTree
    site: Site
    chain: tuple[str, ...]


class Scope:
    """A list of steps with its own inputs and state. Names of steps are folded: `-` is `_`."""

    def __init__(self, task: TaskTree, *, is_main: bool, file: FileTree) -> None:
        """Walk the scope once."""
        self.task, self.is_main, self.file = task, is_main, file
        main, over = Site(step=None, chain=(), names=BASE), Site(step=None, chain=(), names=BASE | {"error"}, after="finally")
        self.sites = [*_sites(task.steps, main), *_sites(task.finally_steps, over)]
        self.has_initial_state = "initial_state" in task.node.entries
        self.declared = _keys(task.node, "initial_state")
        schema = task.fields.get("state_schema")
        properties = schema.get("properties") if isinstance(schema, dict) else None
        self.declared += [name for name in properties or () if name not in self.declared] if isinstance(properties, dict) else []
        self.first_writer: dict[str, Node] = {}
        for site in self.sites:
            for name, node in self.writes_of(site.step) if site.step is not None else ():
                self.first_writer.setdefault(name, node)
        self.written = list(dict.fromkeys([*self.declared, *self.first_writer]))
        self.inputs = _keys(task.node, "inputs")
        self.steps: dict[str, Found] = {}
        for site in self.sites:
            if site.step is not None and site.step.id:
                self.steps.setdefault(site.step.id.replace("-", "_"), Found(step=site.step, site=site, chain=site.chain))

    @staticmethod
    def steps_of(task: TaskTree) -> Iterator[StepTree]:
        """Give every step of a task, in reading order."""
        yield from walk(task.steps)
        yield from walk(task.finally_steps)

    @staticmethod
    def ids_of(task: TaskTree) -> set[str]:
        """Give the folded ids of a task's steps."""
        return {step.id.replace("-", "_") for step in Scope.steps_of(task)}

    @staticmethod
    def writes_of(step: StepTree) -> list[tuple[str, Node]]:
        """Give the fields that a step writes, with the place where each is named."""
        found: list[tuple[str, Node]] = []
        for key in ("updates", "set_state"):
            updates = step.node.entries.get(key)
            if isinstance(updates, Mapping) and (key == "updates" or "type" not in step.node.entries):
                found += updates.keys.items()
        target = step.node.entries.get("output_to")
        if isinstance(target, Scalar) and isinstance(target.value, str):
            found.append((target.text, target))
        return found

    def at(self, site: Site, use: Use) -> Site:
        """Give the site with what the field of an expression sees besides."""
        step = site.step
        assert step is not None
        if _is_isolated(step) and (use.key in {"inputs", "output"} if step.type in _EACH else use.key != "when"):
            site = replace(site, names=site.names | {"worktree"})
        if step.type == "foreach" and use.key in {"inputs", "output"}:
            chain = (*site.chain, step.id) if use.key == "output" else site.chain
            return replace(site, names=site.names | _round_names(step), chain=chain)
        if step.type == "repeat" and use.key == "until":
            return replace(site, chain=(*site.chain, step.id), names=site.names | {"loop"})
        if use.field == "on_error.fallback":
            return replace(site, names=site.names | {"error"})
        # The path of a file that must have changed is read when the step opens, before there is an answer.
        if use.key == "verify" and not use.field.endswith("path"):
            return replace(site, names=site.names | {"result"})
        if step.type == "set_state" and use.key in {"let", "updates"}:
            names = _keys(step.node, "let")
            name = use.field.split(".", 1)[1]
            seen = names[: names.index(name)] if use.key == "let" and name in names else names
            return replace(site, names=site.names | set(seen))
        return site


def _sites(steps: list[StepTree], around: Site) -> Iterator[Site]:
    targets = tuple(step.id for step in steps if step.id and not step.implicit) + around.targets
    for step in steps:
        site = replace(around, step=step, targets=targets)
        yield site
        for name, below in step.lists.items():
            yield from _sites(below, _inside(site, step, name))


def _inside(site: Site, step: StepTree, name: str) -> Site:
    """Give what a list below a step sees."""
    if name == "undo":  # it runs when every worktree is gone
        site = replace(site, names=site.names - {"worktree"})
    elif _is_isolated(step) and (name == "do" or name.startswith("branches.") or step.type not in _EACH):
        site = replace(site, names=site.names | {"worktree"})
    if name == "do" and step.type in {"foreach", "while", "repeat"}:
        names = site.names | (_round_names(step) if step.type == "foreach" else {"loop"})
        at_once = step.type == "foreach" and step.fields.get("sequential") is not True
        return replace(
            site, chain=(*site.chain, step.id), names=names, targets=(), parallel_inside=False, loop=step.id,
            parallel_loop=step.id if at_once else site.parallel_loop,
        )  # fmt: skip
    if name.startswith("branches."):
        return replace(site, targets=(), parallel_inside=True)
    if name in {"on_error", "on_reject"}:
        return replace(site, names=site.names | {"error"} if name == "on_error" else site.names)
    if name in {"finally", "undo", "read_back"}:
        return replace(site, targets=(), loop="", after=name, names=site.names | {"error"} if name == "finally" else site.names)
    return site


def _is_isolated(step: StepTree) -> bool:
    return step.fields.get("isolation") == "worktree"


def _round_names(step: StepTree) -> frozenset[str]:
    alias = step.fields.get("as")
    return _ROUND | {alias} if isinstance(alias, str) else _ROUND


def _keys(node: Mapping, name: str) -> list[str]:
    found = node.entries.get(name)
    return list(found.entries) if isinstance(found, Mapping) else []
