"""Checking data against JSON Schema, draft 2020-12: inputs, outputs, state, arguments and results of tools.

`check` gives all faults of a value, at most 50, and never takes long: every look at an element is a move, and out of moves is a fault
of its own, so that what was not looked at is never taken for sound. A boolean is no number, 3.0 is an integer, patterns run on our own
automaton. `check_schema` finds what is wrong with a schema itself; `check` expects one that has passed. Formats are assertions here.
"""

from treadle.core.schema_form import KEYWORDS, check_schema
from treadle.core.schema_formats import FORMATS
from treadle.core.schema_rules import RULES
from treadle.core.schema_walk import MOVES_MAX, Checker, Exhausted, Fault
from treadle.core.values import Json, Value

__all__ = ["FORMATS", "KEYWORDS", "Fault", "check", "check_schema"]


def check(schema: Json, value: Value, *, moves_max: int = MOVES_MAX) -> tuple[Fault, ...]:
    """Check a value; gives every fault, none where it fits."""
    checker = Checker(schema, RULES, moves_max)
    try:
        checker.value(schema, value, "")
    except Exhausted:
        pass
    except RecursionError:
        checker.faults.append(Fault(path="", rule="budget", message="the data or its schema is nested too deeply to be checked"))
    return tuple(checker.faults)
