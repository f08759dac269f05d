"""Checking gates against the people of a project: names and roles that are nobody's, and gates that too few could pass (ruling 26).

A gate is an `approve`, or `requires: {by: …}` on another step. All of it is a warning, because people come and go while a file stays; a
gate that cannot be passed keeps its workflow from being started nevertheless. What is told of one gate is told once: where a name is
nobody's, that is why nobody could pass.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from treadle.authoring.nodes import Mapping, Node, Scalar, Sequence
from treadle.authoring.problems import Problem, did_you_mean, listed
from treadle.authoring.tree import FileTree, StepTree, TaskTree
from treadle.config.people import STARTER, GateNeeds, People, why_impossible, why_pair_impossible


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gate:
    """A gate where it stands: `lists` are the lists around it, outermost first; `sure` when it is passed by all that comes behind it.

    `chosen` when it is not in every run: whether a run comes to it is known at the start (`config/gates.py`), and looked at there.
    """

    id: str
    needs: GateNeeds
    node: Node
    lists: tuple[int, ...]
    sure: bool
    chosen: bool
    what: str


def check_people(tree: FileTree, people: People) -> tuple[Problem, ...]:
    """Add warnings to a tree's problems; give one for each gate that nobody could pass, among those added or not."""
    checker = _Checker(tree, people)
    for scope in tree.scopes():
        checker.scope(scope)
    return tuple(checker.impossible)


class _Checker:
    def __init__(self, tree: FileTree, people: People) -> None:
        self.tree, self.people = tree, people
        self.impossible = [p for p in tree.problems if p.code == "impossible_gate"]
        self.told_at = {(p.line, p.column) for p in self.impossible}

    def scope(self, scope: TaskTree) -> None:
        earlier: dict[str, _Gate] = {}
        for gate in (*_gates(scope.steps, (), chosen=False), *_gates(scope.finally_steps, (), chosen=False)):
            known = self._names(gate)
            if (gate.node.line, gate.node.column) not in self.told_at:
                self._passable(gate, earlier, known=known)
            earlier.setdefault(gate.id, gate)

    def _names(self, gate: _Gate) -> bool:
        """Warn of names that are nobody's; False where there are any."""
        if not isinstance(gate.node, Mapping):
            return True
        before = len(self.tree.problems)
        for name, node in (*_named(gate.node, "role"), *_below_any_of(gate.node, "role")):
            if name not in self.people.roles:
                hint = did_you_mean(name, self.people.roles) or f'write `roles = ["{name}"]` under [people.NAME] of treadle.toml'
                self._warn("unknown_role", node, f"nobody has the role `{name}`", hint)
        for name, node in (*_named(gate.node, "user"), *_below_any_of(gate.node, "user"), *_named(gate.node, "never")):
            if self.people and name != STARTER and name not in self.people.by_name:
                self._warn("unknown_person", node, f"`{name}` is not among the people of treadle.toml", self._meant(name))
        return len(self.tree.problems) == before

    def _meant(self, name: str) -> str:
        owner = self.people.of_account(name)
        if owner is not None:
            return f"that is the account of `{owner.name}`: write the name"
        return did_you_mean(name, self.people.by_name) or f"people: {listed(self.people.by_name)}"

    def _passable(self, gate: _Gate, earlier: dict[str, _Gate], *, known: bool) -> None:
        why = why_impossible(gate.needs, self.people)
        for name in gate.needs.distinct_from:
            other = earlier.get(name)
            # A gate that may be skipped, or that stands in another branch, excludes nobody then.
            if not why and other is not None and other.sure and other.lists == gate.lists[: len(other.lists)]:
                pair = why_pair_impossible(gate.needs, other.needs, self.people)
                why = f"it is `distinct_from` `{name}`: {pair}" if pair else ""
        if not why:
            return
        problem = self._problem(
            "impossible_gate", gate.node, f"nobody could pass {gate.what}: {why}",
            "name somebody else, or add people to treadle.toml; as it is, the workflow cannot be started",
        )  # fmt: skip
        if not gate.chosen:
            self.impossible.append(problem)
        if known:
            self.tree.problems.append(problem)

    def _warn(self, code: str, node: Node, message: str, suggestion: str) -> None:
        self.tree.problems.append(self._problem(code, node, message, suggestion))

    def _problem(self, code: str, node: Node, message: str, suggestion: str) -> Problem:
        file = self.tree.document.source.file
        return Problem(
            code=code, severity="warning", file=file, line=node.line, column=node.column, path=node.path, message=message,
            suggestion=suggestion,
        )  # fmt: skip


def _gates(steps: list[StepTree], lists: tuple[int, ...], *, chosen: bool) -> Iterator[_Gate]:
    here = (*lists, id(steps))
    for step in steps:
        may_skip = chosen or "when" in step.places
        found = _gate(step, here, chosen=may_skip)
        if found is not None:
            yield found
        for below in step.lists.values():
            yield from _gates(below, here, chosen=may_skip or step.type == "condition")


def _gate(step: StepTree, lists: tuple[int, ...], *, chosen: bool) -> _Gate | None:
    if step.type == "approve":
        by, node = step.fields.get("by", {}), step.place("by")
        readable, what = "by" in step.fields or "by" not in step.places, f"the gate `{step.id}`"
    else:
        requires, place = step.fields.get("requires"), step.places.get("requires")
        by = requires.get("by") if isinstance(requires, dict) else None
        node = place.entries.get("by", place) if isinstance(place, Mapping) else step.node
        readable, what = by is not None, f"what `{step.id}` requires"
    if not readable or not isinstance(by, dict):
        return None
    sure = step.type == "approve" and "when" not in step.places and step.fields.get("on_reject", "fail") == "fail"
    return _Gate(id=step.id, needs=needs_of(by), node=node, lists=lists, sure=sure, chosen=chosen, what=what)


def needs_of(by: dict[str, object]) -> GateNeeds:
    """Flatten what `by:` says: one of `any_of` is one of `user` or `role`."""
    some = [one for one in _list(by.get("any_of")) if isinstance(one, dict)]
    count = by.get("count", 1)
    return GateNeeds(
        users=(*_texts(by.get("user")), *(str(one["user"]) for one in some if "user" in one)),
        roles=(*_texts(by.get("role")), *(str(one["role"]) for one in some if "role" in one)),
        never=_texts(by.get("never")),
        distinct_from=_texts(by.get("distinct_from")),
        count=count if isinstance(count, int) else 1,
    )


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _texts(value: object) -> tuple[str, ...]:
    return tuple(str(item) for item in _list(value))


def _named(node: Mapping, key: str) -> Iterator[tuple[str, Scalar]]:
    child = node.entries.get(key)
    for item in child.items if isinstance(child, Sequence) else [child]:
        if isinstance(item, Scalar):
            yield item.text, item


def _below_any_of(node: Mapping, key: str) -> Iterator[tuple[str, Scalar]]:
    child = node.entries.get("any_of")
    for item in child.items if isinstance(child, Sequence) else []:
        if isinstance(item, Mapping):
            yield from _named(item, key)
