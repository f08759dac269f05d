"""What of the language a definition uses: types of steps, modifiers, and each modifier on each type. To count what drawing reaches."""

from collections.abc import Iterator

from treadle.core.definition import Definition, Foreach, OnError, Step
from treadle.core.index import walk

FIELDS = {
    "when": "when", "output_to": "output_to", "within_ms": "within", "budget": "budget", "final_steps": "finally", "undo": "undo",
    "timeout_ms": "timeout", "retry": "retry", "repeatable": "repeatable", "key": "idempotency_key", "read_back": "read_back",
    "requires": "requires", "verify": "verify", "cache": "cache", "isolation": "isolation",
}  # fmt: skip


def types(definition: Definition) -> set[str]:
    return {_type(step) for step in every_step(definition)}


def modifiers(definition: Definition) -> set[tuple[str, str]]:
    """Give (type of step, modifier) wherever one stands."""
    return {(_type(step), name) for step in every_step(definition) for name in _modifiers(step)}


def every_step(definition: Definition) -> Iterator[Step]:
    yield from walk(definition.final_steps)
    for task in (definition.main, *definition.tasks.values()):
        yield from walk(task.steps)


def _type(step: Step) -> str:
    name = type(step.spec).__name__
    return {"McpCall": "mcp_call", "SetState": "set_state"}.get(name, name.lower())


def _modifiers(step: Step) -> Iterator[str]:
    yield from (name for field, name in FIELDS.items() if getattr(step, field))
    if step.on_error != OnError():
        yield "on_error"
    if step.effect == "read":
        yield "effect"
    if isinstance(step.spec, Foreach) and (step.spec.isolation if hasattr(step.spec, "isolation") else False):
        yield "isolation"
