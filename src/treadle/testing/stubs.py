"""Stubs for a dry run, written from a definition: an entry for each action, made up from the schema of its answer, and said to be so."""

from collections.abc import Iterator
from typing import Any, Final

from treadle.core.definition import Definition, Step
from treadle.core.expr import Env, Expr, ExprError, evaluate
from treadle.core.schema_expected import expected_answer
from treadle.core.values import Json, Value
from treadle.testing.fields import KINDS
from treadle.testing.fitting import type_of
from treadle.testing.made_up import FILLER, made_up
from treadle.testing.snippet import entry_lines

_SHAPES: Final[dict[str, Json]] = {
    "merge": {"merged": [], "conflicts": []},
    "http": {"status": 200, "headers": {}, "json": None, "text": ""},
    "shell": {"stdout": "", "stderr": "", "exit_code": 0, "duration_ms": 0, "truncated": False},
}
_READS: Final = frozenset({"none", "read"})


def stubs_of(definition: Definition) -> str:
    """Write the stubs of a workflow as a script."""
    lines = [
        f"# Stubs for a dry run of {definition.name}: treadle run {definition.name} --dry-run --stubs THIS_FILE",
        "# Every answer below is made up from a schema, or from nothing where there is none: put in what you want to see happen.",
        "# The first entry that matches is used. What only reads and Treadle does itself is called for real where no entry stands for it.",
    ]
    written = [lines for address, step in definition.index.steps.items() for lines in _entry(address, step)]
    return "\n".join([*lines, "", *(written or ["[]"])]) + "\n"


def _entry(address: str, step: Step) -> Iterator[str]:
    kind = type_of(step)
    if kind not in KINDS:
        return
    tool = getattr(step.spec, "tool", "")
    about = f"{kind} {tool}".strip() + (f" [{step.effect}]" if step.effect != "none" else "")
    verb, said = _answer(kind, step)
    is_called = step.performer == "server" and step.effect in _READS
    if is_called:
        said = "it is called for real unless this entry stands"
    yield f"# {about}: {said}"
    entry = entry_lines({"match": address.replace("[]", "[*]"), **verb})
    yield from (f"# {line}" for line in entry) if is_called else entry


def _answer(kind: str, step: Step) -> tuple[dict[str, Value], str]:
    if kind == "approve":
        return {"approve": True}, "made up; a person decides"
    if kind in _SHAPES:
        return {"answer": _SHAPES[kind]}, "made up from the shape of its result"
    if kind not in {"prompt", "delegate"}:
        return {"answer": None}, "nothing says what it answers; made up"
    params, is_known = _params(step.spec)
    schema = expected_answer(kind, params)
    if not is_known:
        return {"answer": None}, "what can be chosen is only known in a run; put in one of it"
    if not schema:
        is_info = params.get("format") == "info"
        return {"answer": None if is_info else FILLER}, "any answer is taken; made up"
    value, fault = made_up(schema)
    return {"answer": value}, f"made up from its schema, and does not fit yet: {fault}" if fault else "made up from its schema"


def _params(spec: Any) -> tuple[dict[str, Value], bool]:
    """Give what decides about the answer to a step, as far as it is known before a run."""
    found: dict[str, Value] = {}
    for name in ("format", "options", "multiple", "fields", "pattern", "min_length", "max_length", "output"):
        value = getattr(spec, name, None)
        if isinstance(value, Expr):
            try:
                found[name] = evaluate(value, Env())
            except ExprError:
                return found, False
        elif value is not None:
            found[name] = value
    return found, True
