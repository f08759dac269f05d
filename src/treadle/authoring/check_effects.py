"""Doing things twice, and people who allow them: effects, retries, approvals (language.md §2, rulings 19, 20, 26)."""

from collections.abc import Iterable
from collections.abc import Mapping as Map
from typing import Final

from treadle.authoring.nodes import Mapping, Node, Sequence
from treadle.authoring.problems import did_you_mean, listed
from treadle.authoring.reporter import Reporter
from treadle.authoring.scopes import Scope
from treadle.authoring.tree import StepTree
from treadle.core.errors import CLASSES

IRREVOCABLE: Final = frozenset({"send", "pay", "destroy"})


def effect_of(step: StepTree, tool_effects: Map[str, str]) -> str:
    """Give the effect of a step: as written, else as the configuration confirms it of a tool, else of its type (ruling 20)."""
    written = step.fields.get("effect")
    if isinstance(written, str):
        return written
    if step.type == "mcp_call":
        return tool_effects.get(str(step.fields.get("tool")), "write")
    if step.type == "http":
        return "read" if step.fields.get("method", "GET") in {"GET", "HEAD"} else "write"
    return "write" if step.type in {"delegate", "shell", "integration", "flow", "run", "merge"} else "none"


def is_repeatable(step: StepTree, tool_effects: Map[str, str]) -> bool:
    """Tell whether doing a step again at worst wastes work: as written, else of delegates, child runs and merges alone (ruling 20).

    A child run is started once, and what it does has effects of its own, each with its own rules. A merge goes on where it was.
    """
    written = step.fields.get("repeatable")
    return (
        written
        if isinstance(written, bool)
        else step.type in {"delegate", "run", "merge"} and effect_of(step, tool_effects) not in IRREVOCABLE
    )


def check_step(step: StepTree, to: Reporter) -> None:
    """Check what would be done twice."""
    effect = effect_of(step, to.tool_effects)
    if step.fields.get("repeatable") is True and effect in IRREVOCABLE:
        message = f"what has the effect `{effect}` is never repeatable"
        to.error("not_repeatable", step.place("repeatable"), message, "use `idempotency_key` or `read_back`")
    retry = step.fields.get("retry")
    if isinstance(retry, dict):
        _retry(step, retry, effect, to)


def _retry(step: StepTree, retry: dict[str, object], effect: str, to: Reporter) -> None:
    place = step.place("retry")
    _classes(retry, place, to)
    if "effect" in step.places and "effect" not in step.fields:
        return
    safe = ["idempotency_key", "read_back"] + ([] if effect in IRREVOCABLE else ["repeatable"])
    said = any(name in step.places and step.fields.get(name, True) for name in safe)
    # Of `defaults` it is told once, of the first step that has it from there.
    if (
        effect in {"write", *IRREVOCABLE}
        and not said
        and not is_repeatable(step, to.tool_effects)
        and to.is_first("retry_may_repeat", place)
    ):
        names = ", ".join(f"`{name}`" for name in safe[:-1]) + f" or `{safe[-1]}`"
        message = f"a second try of `{step.id}`, whose effect is `{effect}`, could do it twice"
        to.error("retry_may_repeat", step.node.keys.get("retry", place), message, f"say {names}, or the true `effect`")


def _classes(retry: dict[str, object], place: Node, to: Reporter) -> None:
    classes = retry.get("on")
    written = place.entries.get("on") if isinstance(place, Mapping) else None
    nodes: Iterable[Node] = written.items if isinstance(written, Sequence) else [written] if written is not None else []
    for name, node in zip(classes if isinstance(classes, list) else [], nodes, strict=False):
        hint = did_you_mean(name, CLASSES)
        if name == "budget":
            to.warning("no_effect", node, "a spent budget stops what it belongs to; nothing below it is tried again", "delete it here")
        if name not in CLASSES and (hint or not _own_classes(to)):
            message = f"there is no class of failure `{name}`"
            to.error("unknown_class", node, message, hint or f"classes: {listed(CLASSES, most=30)}")


def _own_classes(to: Reporter) -> bool:
    return any(step.type == "fail" and "class" in step.fields for scope in to.tree.scopes() for step in Scope.steps_of(scope))
