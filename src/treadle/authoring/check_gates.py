"""People who allow something: `approve`, `requires`, and who may decide (language.md §2, §8, ruling 26)."""

from collections.abc import Mapping as Map
from typing import cast

from treadle.authoring.check_effects import effect_of
from treadle.authoring.constants import entry_node, item_nodes, key_node
from treadle.authoring.nodes import Node
from treadle.authoring.problems import did_you_mean, listed
from treadle.authoring.reporter import Reporter
from treadle.authoring.scopes import Scope
from treadle.authoring.tree import StepTree


def check_step(step: StepTree, scope: Scope, to: Reporter) -> None:
    """Check the gates that a step is, has or names."""
    if step.type == "approve":
        _approve(step, scope, to)
    requires = step.fields.get("requires")
    if isinstance(requires, dict):
        by = cast("Map[str, object]", requires).get("by")
        place = entry_node(step.place("requires"), "by")
        if isinstance(by, dict):
            _people(cast("dict[str, object]", by), place, f"the call of `{step.id}`", scope, to)
            _starter(step, cast("dict[str, object]", by), place, to)
    elif isinstance(requires, list):
        gates = _gates(cast("list[str]", requires), step.place("requires"), "requires", scope, to)
        if gates and all("starter" not in _names(_by(gate), "never") for gate in gates):
            _starter(step, {}, step.place("requires"), to)


def _approve(step: StepTree, scope: Scope, to: Reporter) -> None:
    _people(_by(step), step.place("by"), f"`{step.id}`", scope, to)
    if "on_timeout" in step.places and "within" not in step.places:
        message = "`on_timeout` says what happens when time is up, and no time is set"
        to.warning("no_effect", key_node(step, "on_timeout"), message, "write `within`, or delete `on_timeout`")


def _by(step: StepTree) -> dict[str, object]:
    by = step.fields.get("by")
    return cast("dict[str, object]", by) if isinstance(by, dict) else {}


def _names(by: Map[str, object], key: str) -> list[str]:
    found = by.get(key)
    return cast("list[str]", found) if isinstance(found, list) else []


def _people(by: dict[str, object], place: Node, what: str, scope: Scope, to: Reporter) -> None:
    users, never = _names(by, "user"), _names(by, "never")
    hint = "name somebody else; as it is, the workflow cannot be started"
    left = set(users) - set(never)
    count = by.get("count", 1)
    if users and not left:
        to.warning("impossible_gate", place, f"nobody can approve {what}: everybody under `user` stands under `never` too", hint)
    elif users and isinstance(count, int) and not ({"role", "any_of"} & by.keys()) and count > len(left):
        message = f"nobody can approve {what}: `count` asks for {count} people, and there {'is' if len(left) == 1 else 'are'} {len(left)}"
        to.warning("impossible_gate", place, message, "name more people, or ask for fewer")
    _gates(_names(by, "distinct_from"), entry_node(place, "distinct_from"), "distinct_from", scope, to)


def _gates(names: list[str], place: Node, field: str, scope: Scope, to: Reporter) -> list[StepTree]:
    """Find the gates that a field names; what is none is told."""
    found: list[StepTree] = []
    if not names:
        return found
    gates = [name for name, at in scope.steps.items() if at.step.type == "approve" and not at.step.implicit]
    for name, node in zip(names, item_nodes(place) or [place], strict=False):
        step = scope.steps.get(name.replace("-", "_"))
        if step is None:
            hint = did_you_mean(name.replace("-", "_"), gates) or f"gates: {listed(gates)}"
            to.error("unknown_step", node, f"there is no step `{name}`", hint)
        elif step.step.type and step.step.type != "approve":
            message = f"`{field}` names gates, and `{name}` is a step of type `{step.step.type}`"
            to.error("not_a_gate", node, message, did_you_mean(name, gates) or f"gates: {listed(gates)}")
        elif step.step.type:
            found.append(step.step)
    return found


def _starter(step: StepTree, by: Map[str, object], place: Node, to: Reporter) -> None:
    effect = effect_of(step, to.tool_effects)
    if effect in {"pay", "destroy"} and "starter" not in _names(by, "never"):
        message = f"whoever starts the run may approve it too, and the effect is `{effect}`"
        to.warning("starter_may_approve", place, message, "write `never: [starter]` under `by`, to let a second person decide")
