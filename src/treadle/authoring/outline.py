"""The outline of a workflow: every step in reading order with its address, the list that holds it, and what that list is.

`describe`, the graph and the plan walk this, so that they call everything by one name. It stands on the tree of `parse`, where every step type
can be seen, also those that nothing carries out yet. Addresses are those of the core (`core.ids`): `research[]/search`, `triage.then/label`.
A task is entered where it is first used; where it is used again, the outline only says so.
"""

from collections.abc import Iterator
from collections.abc import Mapping as Map
from dataclasses import dataclass, field
from typing import Final, Literal

from treadle.authoring.check import effect_of
from treadle.authoring.find import Loaded
from treadle.authoring.freeze import Part
from treadle.authoring.nodes import Mapping, Node, Scalar, scalars
from treadle.authoring.tree import StepTree, walk
from treadle.core.ids import join, suffix_of

# branch: one of several is taken · together: all at once · round: again and again · aside: only when something else happened.
ListKind = Literal["branch", "together", "round", "aside"]
_ASIDE: Final = {
    "on_error": "on error", "on_reject": "on reject", "undo": "undo", "finally": "finally", "read_back": "read back",
}  # fmt: skip
DRIVER: Final = "the agent that drives the run"
SUB_AGENT: Final = "the branch's sub-agent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Below:
    """A list of steps below a step: `suffix` makes its address, `label` is how people call it. `task` names a task that is entered here."""

    suffix: str
    label: str
    kind: ListKind
    steps: tuple[StepTree, ...]
    part: Part
    task: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A step of the outline. `seen_at` is the address of the foreach under which its task was already shown; `agent` drives its list."""

    step: StepTree
    address: str
    part: Part
    depth: int
    label: str
    agent: str
    rounds: tuple[str, ...]
    seen_at: str = ""


@dataclass(slots=True)
class Outline:
    """Walks one workflow, once."""

    loaded: Loaded
    parts: Map[str, Part] = field(init=False)
    entered: dict[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        """Know the tasks by their keys."""
        self.parts = {part.key: part for part in self.loaded.parts}

    @property
    def main(self) -> Part:
        """Give the file's own part."""
        return self.loaded.parts[0]

    def rows(self) -> Iterator[Row]:
        """Give every step, a step before what is below it; the file's `finally` last."""
        main = self.main
        yield from self._rows(tuple(main.task.steps), main, "", 0, "", DRIVER, ())
        yield from self._rows(tuple(main.task.finally_steps), main, "finally", 0, "finally", DRIVER, ())

    def _rows(
        self, steps: tuple[StepTree, ...], part: Part, at: str, depth: int, label: str, agent: str, rounds: tuple[str, ...]
    ) -> Iterator[Row]:
        for step in steps:
            address = join(at, step.id)
            seen = self.seen(step, part)
            yield Row(step=step, address=address, part=part, depth=depth, label=label, agent=agent, rounds=rounds, seen_at=seen)
            for below in self.lists(step, part, address):
                inner = (*rounds, address) if below.kind == "round" else rounds
                own = SUB_AGENT if below.kind == "round" and "agent" in step.fields else agent
                yield from self._rows(below.steps, below.part, address + below.suffix, depth + 1, below.label, own, inner)

    def task_of(self, step: StepTree, part: Part) -> Part | None:
        """Give the task that a foreach names, where it was found."""
        if step.type != "foreach" or "task" not in step.fields:
            return None
        try:
            return self.parts.get(part.key_of(step))
        except KeyError:  # it names none that there is; a problem of the file says so
            return None

    def seen(self, step: StepTree, part: Part) -> str:
        """Give where the task of a foreach was entered before; empty where it was not."""
        task = self.task_of(step, part)
        return self.entered.get(task.key, "") if task is not None else ""

    def lists(self, step: StepTree, part: Part, address: str) -> Iterator[Below]:
        """Give the lists below a step, in reading order; a task is given once."""
        for name, steps in step.lists.items():
            suffix, label, kind = named(step, name)
            yield Below(suffix=suffix, label=label, kind=kind, steps=tuple(steps), part=part)
        task = self.task_of(step, part)
        if task is None or task.key in self.entered:
            return
        self.entered[task.key] = address
        label = f"each item ({task.key or task.file.name})"
        yield Below(suffix="[]", label=label, kind="round", steps=tuple(task.task.steps), part=task, task=task.key or task.file.name)

    def effect(self, step: StepTree) -> str:
        """Give what a step may do to the world (ruling 20); empty for blocks, whose steps say it."""
        return effect_of(step, self.loaded.tool_effects)


def named(step: StepTree, name: str) -> tuple[str, str, ListKind]:
    """Give suffix, label and kind of one of a step's lists (language.md §3, §9)."""
    if name in _ASIDE:
        return f".{name}", _ASIDE[name], "aside"
    if name == "do":
        return "[]", "each item" if step.type == "foreach" else "each round", "round"
    group, _, own = name.partition(".")
    if group == "branches":
        return f".{suffix_of(own)}", own, "together"
    if group == "cases":
        return f".{suffix_of(own)}", own, "branch"
    return f".{name}", name, "branch"


def text_of(step: StepTree, name: str) -> str:
    """Give the text of a field as it was written; empty where it is no text."""
    node = step.places.get(name)
    return node.text if isinstance(node, Scalar) else ""


def condition_of(step: StepTree, name: str) -> str:
    """Give a condition without its braces."""
    text = text_of(step, name).strip()
    return text.removeprefix("{{").removesuffix("}}").strip("- \n") if text.startswith("{{") else text


def written(step: StepTree) -> list[str]:
    """Name the state fields that a step writes."""
    names: list[str] = []
    updates = step.fields.get("updates")
    if isinstance(updates, list):
        names += [name for name, _ in updates]
    target = step.fields.get("output_to")
    return [*names, target] if isinstance(target, str) and target not in names else names


def list_of(step: StepTree, name: str) -> list[str]:
    """Give a field that is a list of names; empty where it is none."""
    found = step.fields.get(name)
    return [str(item) for item in found] if isinstance(found, list) else []


def scalars_of(node: Node) -> list[Scalar]:
    """Give the scalars of a field as written."""
    return list(scalars(node))


def steps_of(part: Part) -> Iterator[StepTree]:
    """Give every step of a task or file, without the tasks that they lead to."""
    yield from walk(part.task.steps)
    yield from walk(part.task.finally_steps)


def keys_of(step: StepTree, name: str) -> list[str]:
    """Give the keys of a field that is a map as written."""
    node = step.places.get(name)
    return list(node.entries) if isinstance(node, Mapping) else []


def performer_of(step: StepTree) -> str:
    """Give who does a step: human, agent, headless or server."""
    word = step.fields.get("performer")
    if isinstance(word, str):
        return word
    return {"prompt": "human", "approve": "human", "delegate": "agent"}.get(step.type, "server")


def who(row: Row) -> str:
    """Say in words who does a step."""
    step, performer = row.step, performer_of(row.step)
    agent = step.fields.get("agent")
    if step.type == "approve":
        return f"{_people(step)}, never an agent"
    if step.type == "prompt":
        return "a person" if performer == "human" else row.agent
    if step.type in {"delegate", "foreach"} and isinstance(agent, str):
        return "a fresh sub-agent" if agent == "@task" else f"the agent {agent.removeprefix('@')}"
    if step.type == "delegate":
        return row.agent if performer == "agent" else "a model that Treadle starts"
    if performer == "agent":
        return f"{row.agent}, with a tool of its own"
    return "treadle"


def _people(step: StepTree) -> str:
    by = step.fields.get("by")
    return people(by) if isinstance(by, dict) else "a person"


def people(by: Map[str, object]) -> str:
    """Say who may decide, as `by` has it."""
    names = _words(by.get("user")) + [f"somebody with the role {name}" for name in _words(by.get("role"))]
    for other in _maps(by.get("any_of")):
        names += _words(other.get("user")) + [f"somebody with the role {name}" for name in _words(other.get("role"))]
    said = " or ".join(names) if names else "a person"
    count = by.get("count")
    said = f"{count} people of: {said}" if isinstance(count, int) and count > 1 and names else said
    said = f"{count} people" if isinstance(count, int) and count > 1 and not names else said
    never = ["whoever started it" if name == "starter" else name for name in _words(by.get("never"))]
    never += [f"who decided `{name}`" for name in _words(by.get("distinct_from"))]
    return f"{said}, but not {' or '.join(never)}" if never else said


def _words(value: object) -> list[str]:
    return [value] if isinstance(value, str) else [str(item) for item in value] if isinstance(value, list) else []


def _maps(value: object) -> list[dict[str, object]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
