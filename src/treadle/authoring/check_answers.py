"""Answers that decide nothing: a person is asked yes or no, and what changes the world afterwards is done either way.

A confirmation is heeded where a condition reads it, or a field made from it, and where it is passed to whoever may decide by it: an agent, a
person, a task, a function. Passed to a tool or returned it is a record; so much may be meant, hence a warning.
"""

from typing import Final

from treadle.authoring.check_effects import effect_of
from treadle.authoring.reads import reads_of
from treadle.authoring.reporter import Reporter
from treadle.authoring.scopes import Scope
from treadle.authoring.tree import StepTree, Use

_DECIDING: Final = frozenset({"if", "when", "condition", "until", "items", "verify", "on_error", "requires"})
_DECIDERS: Final = frozenset({"delegate", "prompt", "approve", "switch", "foreach", "function", "run", "flow", "integration", "fail"})
_CHANGING: Final = frozenset({"write", "send", "pay", "destroy"})


def check_scope(scope: Scope, to: Reporter) -> None:
    """Warn of confirmations that nothing heeds, where something is done after them."""
    steps = [site.step for site in scope.sites if site.step is not None]
    if any(step.broken for step in steps):
        return
    for number, step in enumerate(steps):
        if step.type != "prompt" or step.fields.get("format") != "confirm":
            continue
        later = steps[number + 1 :]
        act = next((s for s in later if s.type != "delegate" and effect_of(s, to.tool_effects) in _CHANGING), None)
        if act is None or _is_heeded(step, later):
            continue
        to.warning(
            "unheeded_answer",
            step.place("format"),
            f"the answer decides nothing: `{act.id}` is done whatever it is",
            f"write `when` on `{act.id}`, or ask with `approve`, which fails the run at a rejection",
        )


def _is_heeded(asked: StepTree, later: list[StepTree]) -> bool:
    fields: set[str] = set()
    if isinstance(asked.fields.get("output_to"), str):
        fields.add(str(asked.fields["output_to"]))
    for step in later:
        for use in step.uses:
            if not _reads(use, asked, fields):
                continue
            if use.key in _DECIDING or step.type in _DECIDERS:
                return True
            if step.type == "set_state":
                fields.add(use.field.split(".", 1)[-1])
    return False


def _reads(use: Use, asked: StepTree, fields: set[str]) -> bool:
    name = asked.id.replace("-", "_")
    for read in reads_of(use):
        if read.root == "state" and (not read.keys or read.keys[0] in fields):
            return True
        if read.root == "steps" and (not read.keys or read.keys[0].replace("-", "_") == name):
            return True
        # Names of `let`.
        if read.root in fields:
            return True
    return False
