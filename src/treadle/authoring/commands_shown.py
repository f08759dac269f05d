"""The commands of a workflow as its author wrote them: what `treadle trust` shows before any of them runs (ruling 58)."""

import shlex
from collections.abc import Iterable, Iterator

from treadle.authoring.freeze import Part
from treadle.authoring.nodes import Mapping, Node, Sequence, data_of
from treadle.authoring.tree import StepTree
from treadle.core.values import as_text


def commands_of(parts: Iterable[Part]) -> str:
    """Give every command that Treadle itself would run for these, a line each with its place; empty where there is none."""
    lines: list[str] = []
    for part in parts:
        file = part.file.document.source.file
        for step in _steps([*part.task.steps, *part.task.finally_steps]):
            for node, text in _of_step(step):
                lines.append(f"{file}:{node.line} {text}")
    return "\n".join(lines)


def _steps(steps: list[StepTree]) -> Iterator[StepTree]:
    for step in steps:
        yield step
        for below in step.lists.values():
            yield from _steps(below)


def _of_step(step: StepTree) -> Iterator[tuple[Node, str]]:
    command = step.places.get("command")
    if step.type == "shell" and command is not None and step.fields.get("performer") != "agent":
        yield command, f"{step.id}: {_written(command)}{_with(step)}"
    verify = step.places.get("verify")
    for check in verify.items if isinstance(verify, Sequence) else [verify]:
        if isinstance(check, Mapping) and "shell" in check.entries:
            yield check, f"{step.id}, to verify: {_written(check.entries['shell'])}"


def _with(step: StepTree) -> str:
    """Say where it runs and what it is given: a variable can change what a command does."""
    env, place = step.places.get("env"), step.places.get("working_dir")
    told = f"  in {_written(place)}" if place is not None else ""
    return told + "".join(f"  {name}={_written(node)}" for name, node in (env.entries if isinstance(env, Mapping) else {}).items())


def _written(node: Node) -> str:
    value = data_of(node)
    text = shlex.join(map(as_text, value)) if isinstance(value, list) else as_text(value)
    return text.strip().replace("\n", "\n    ")
