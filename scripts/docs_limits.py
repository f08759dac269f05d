"""The table of limits: every figure of `core/limits.py` that an author can meet, and those of reading a file and evaluating an expression.

A figure of `core/limits.py` that is neither explained nor named as internal stops the generator.
"""

from collections.abc import Callable
from typing import Final

from treadle.authoring import check_blocks, expression_scan, kinds, yaml_reader
from treadle.core import limits
from treadle.core.expr import evaluation
from treadle.core.ids import ACTION_ID_CHARACTERS_MAX
from treadle.core.regex import syntax

# What no author can notice: how the core divides its own work.
INTERNAL: Final = frozenset({"SPILL_BYTES_MIN", "ENTRY_BYTES", "PIECES_AHEAD"})
OF_A_RUN: Final = {
    "STATE_BYTES_MAX": "state of a run, values set aside not counted; beyond that the largest values are set aside",
    "BLOB_BYTES_MIN": "a value from this size on is kept in a file beside the database",
    "OPEN_ITEMS_MAX": "items of all `foreach` of a run open at once; the others wait",
    "RUN_MOVES_MAX": "moves that a run makes by itself; then it is set aside: a loop may have no end",
    "SETTLE_MOVES_MAX": "such moves in one commit; then it commits and goes on",
    "LAPSES_MAX": "times that an action's performer may fall silent; then the action fails, class `performer_lost`",
    "LEASE_MS": "time for which an action is held; whoever works longer renews it (`heartbeat`)",
    "CANCEL_GRACE_MS": "time in which open actions may still answer when a run is cancelled",
    "MESSAGE_CHARACTERS_MAX": "characters of a failure's message in `error.message`; the log has the whole",
    "DEFINITION_STEPS_MAX": "steps of a workflow, its tasks unfolded wherever they are used",
    "TASK_DEPTH_MAX": "tasks within tasks",
    "CHILD_DEPTH_MAX": "child runs within child runs",
    "MAILBOX_MAX": "signals that wait to be read; further ones are refused",
    "FINALLY_MS": "time that the steps under `finally` have",
}


def limits_table() -> str:
    """Write the table."""
    own = {name: value for name, value in vars(limits).items() if name.isupper()}
    unexplained = set(own) - INTERNAL - set(OF_A_RUN)
    if unexplained:
        raise ValueError(f"scripts/docs_limits.py does not say what these mean: {', '.join(sorted(unexplained))}")
    rows = [
        *(("a run", name, own[name], words) for name, words in OF_A_RUN.items()),
        ("a run", "", check_blocks.ITEMS_MAX, "items of one `foreach`"),
        ("a run", "", ACTION_ID_CHARACTERS_MAX, "characters of an action's id"),
        ("an expression", "", evaluation.MOVES_DEFAULT, "moves of one evaluation: an element, a node or 64 bytes touched is a move"),
        ("an expression", "_BYTES", evaluation.OUTPUT_BYTES_DEFAULT, "what one evaluation may give"),
        ("an expression", "", expression_scan.EXPRESSION_MAX, "characters between `{{` and `}}`"),
        ("an expression", "", expression_scan.EXPRESSION_TOKENS_MAX, "parts of it (names, numbers, operators)"),
        ("an expression", "", expression_scan.NESTING_MAX, "brackets within brackets"),
        ("an expression", "", expression_scan.SOURCE_MAX, "characters of a text with templates"),
        ("an expression", "", syntax.PATTERN_MAX, "characters of a regular expression"),
        ("a file", "_BYTES", yaml_reader.FILE_BYTES_MAX, "size"),
        ("a file", "", yaml_reader.NODES_MAX, "values, aliases unfolded"),
        ("a file", "", yaml_reader.DEPTH_MAX, "levels of data; steps may be nested half as deep"),
        ("a file", "", kinds.NAME_CHARACTERS_MAX, "characters of a name or id"),
        ("a file", "", kinds.TOOL_CHARACTERS_MAX, "characters of a tool's name"),
    ]
    lines = (f"| {of} | {_shown(name, value)} | {words} |\n" for of, name, value, words in rows)
    return "| of | figure | what |\n| --- | --- | --- |\n" + "".join(lines)


def _shown(name: str, value: int) -> str:
    if "_BYTES" in name:
        return f"{value >> 20:,} MiB" if value >= 1 << 20 else f"{value >> 10:,} KiB"
    if name.endswith("_MS"):
        return f"{value // 60_000} min" if value >= 60_000 else f"{value // 1000} s"
    return f"{value:,}"


GENERATORS: Final[dict[str, Callable[[], str]]] = {"limits": limits_table}
