"""Generated blocks of docs/reference/expressions.md, from the tables of the language."""

import inspect
import json
import textwrap
from collections.abc import Callable, Iterable

from treadle.authoring import expression_names as names
from treadle.authoring import expression_reference as reference
from treadle.authoring.expression_differences import ARGUMENTS_DIFFERENT, DIFFERENCES, SYNTAX_NOT_THERE
from treadle.core.expr.library.dates import DIRECTIVES
from treadle.core.regex import syntax


def cell(text: str) -> str:
    """Code in a cell of a table: a bar would end the cell, a line feed the table."""
    shown = text.replace("|", "\\|").replace("\n", "⏎")
    fence = "``" if "`" in shown else "`"
    return f"{fence}{shown}{fence}" if text else ""


def prose(text: str) -> str:
    return text.replace("|", "\\|")


def table(*rows: tuple[str, ...]) -> str:
    head, *others = rows
    lines = [head, tuple("---" for _ in head), *others]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def described(entries: Iterable[reference.Described]) -> str:
    rows = ((cell(one.signature), prose(one.sentence), cell(one.example), cell(one.result)) for one in entries)
    return table(("written", "what it does", "example", "gives"), *rows)


def context() -> str:
    return f"```json\n{json.dumps(reference.CONTEXT, indent=2)}\n```\n"


def differences() -> str:
    rows = ((cell(row.example), cell(row.jinja), cell(row.ours), prose(row.why)) for row in DIFFERENCES)
    return table(("expression", "Jinja (Python)", "here (JSON)", "why"), *rows)


def not_there() -> str:
    parts = {
        "Filters": {f"| {name}": why for name, why in names.FILTERS_NOT_THERE.items()},
        "Tests": {f"is {name}": why for name, why in names.TESTS_NOT_THERE.items()},
        "Functions": {f"{name}()": why for name, why in names.FUNCTIONS_NOT_THERE.items()},
        "Methods": {f".{name}()": f"write {why}" for name, why in names.METHODS.items()},
        "Blocks": {f"{{% {name} %}}": why for name, why in names.BLOCK_HINTS.items()},
        "Other syntax": {name: why for name, (_, why) in SYNTAX_NOT_THERE.items()},
        "Arguments of filters": {f"{owner}({name})": why for (owner, name), why in ARGUMENTS_DIFFERENT.items()},
    }
    tables = (
        f"### {title}\n\n{table(('not here', 'instead'), *((cell(name), prose(why)) for name, why in rows.items()))}"
        for title, rows in parts.items()
    )
    return "\n".join(tables)


def patterns() -> str:
    """The syntax of regular expressions, from the module that reads them."""
    _, published, rest = (inspect.getdoc(syntax) or "").split("\n\n", 2)
    return f"```text\n{textwrap.dedent(published)}\n```\n\n{rest}\n"


GENERATORS: dict[str, Callable[[], str]] = {
    "expression-context": context,
    "expression-operators": lambda: described(reference.OPERATORS),
    "expression-statements": lambda: described(reference.STATEMENTS),
    "expression-loop": lambda: described(reference.LOOP),
    "expression-filters": lambda: described(reference.filters()),
    "expression-tests": lambda: described(reference.tests()),
    "expression-functions": lambda: described(reference.functions()),
    "expression-dates": lambda: f"```text\n{DIRECTIVES}\n```\n",
    "expression-patterns": patterns,
    "expression-differences": differences,
    "expression-not-there": not_there,
}
