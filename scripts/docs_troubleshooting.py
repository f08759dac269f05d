"""Write the page on troubleshooting: every error code with what it means, a message as it is printed, and what to do.

Meanings of codes of workflow files come from `authoring/codes.py`, all others from `docs/codes.toml`. Messages are made by running Treadle on faulty files
and expressions (those of its own tests, and a few below); where none is at hand, the message is shown as the source has it, with `…` for what a call fills in.
"""

import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Final

from scripts.docs_codes import Use, codes
from tests.authoring import support
from treadle.authoring.codes import CODES
from treadle.authoring.expression_play import Playground
from treadle.authoring.problems import Problem, render
from treadle.core.values import Value
from treadle.functions import Catalog, Registry

ROOT: Final = Path(__file__).resolve().parent.parent
WORDS: Final = ROOT / "docs" / "codes.toml"
TITLES: Final = {
    "expressions": "In an expression",
    "runs": "About a run",
    "commands": "Of a command",
    "projects": "Of a project's files and settings",
    "tools": "When a tool is called",
    "requests": "When a request is sent",
    "store": "Of the store",
    "doctor": "From `treadle doctor`",
    "own-servers": "From Treadle's own servers",
    "secrets": "About secrets",
    "mending": "From `validate --fix`",
    "tests": "From tests",
    "worktrees": "About git worktrees and merges",
}
# Faults of YAML, which the corpus of the tests does not hold as files.
FILES: Final = {
    "duplicate_key": "name: a\nsteps:\n  - prompt: hi\nname: b\n",
    "empty_file": "# nothing yet\n",
    "key_not_text": "name: a\nsteps:\n  - switch: '{{ run.id }}'\n    cases:\n      true: [{prompt: hi}]\n",
    "merge_key": "name: a\nsteps:\n  - prompt: hi\n    <<: {id: b}\n",
    "not_a_workflow": "- prompt: hi\n",
    "several_documents": "name: a\nsteps: [{prompt: hi}]\n---\nname: b\n",
    "tab": "name: a\nsteps:\n\t- prompt: hi\n",
    "unknown_alias": "name: a\nsteps:\n  - prompt: *hi\n",
    "unquoted_template": "name: a\nsteps:\n  - return: {{ run.id }}\n",
    "yaml_syntax": "name: a\nsteps:\n  - prompt: 'hi\n",
    "yaml_tag": "name: a\nsteps:\n  - prompt: !secret hi\n",
}
EXPRESSIONS: Final = {
    "bad_arguments": "inputs.name | replace('a')",
    "bad_base64": "inputs.name | base64_decode",
    "bad_date": "'next week' | date",
    "bad_json": "inputs.name | fromjson",
    "bad_regex": "inputs.name is matching('(?<=a)b')",
    "budget": "range(300000) | sum",
    "division_by_zero": "10 / inputs.zero",
    "method_call": "inputs.name.upper()",
    "not_in_language": "inputs.name | safe",
    "not_literal": "[inputs] | map(attribute=inputs.name)",
    "step_id_dash": "steps.gather-facts.result",
    "syntax": "inputs.name |",
    "types": "'3' + 1",
    "undefined": "inputs.nam",
    "unknown_filter": "inputs.name | uper",
    "unknown_function": "rnge(3)",
    "unknown_test": "inputs.name is empti",
}
CONTEXT: Final[dict[str, Value]] = {"inputs": {"name": "Ada", "zero": 0}, "steps": {"gather_facts": {"result": 1}}}


@cache
def words() -> dict[str, dict[str, list[str]]]:
    """Read what is written by hand about codes, by group."""
    return tomllib.loads(WORDS.read_text(encoding="utf-8"))


def documented() -> set[str]:
    """Name every code that the page explains."""
    return set(CODES) | {code for group in TITLES for code in words()[group]}


def undocumented() -> dict[str, list[str]]:
    """Name the codes of the source that nobody has explained, with the files that give them."""
    known = documented()
    return {code: sorted({use.place for use in found}) for code, found in codes().items() if not _is_known(code, known)}


def not_given() -> list[str]:
    """Name the codes that are explained in `docs/codes.toml` and that the source does not give."""
    parts = [code.replace("*", "") for code in codes() if "*" in code]
    own = {code for group in TITLES for code in words()[group]}
    return sorted(code for code in own if code not in codes() and not any(code.startswith(part) for part in parts))


def _is_known(code: str, known: set[str]) -> bool:
    return any(name.startswith(code.split("*", maxsplit=1)[0]) for name in known) if "*" in code else code in known


def classes() -> str:
    """Write the table of classes of failure."""
    rows = "".join(f"| `{name}` | {means} | {do} |\n" for name, (means, do) in words()["classes"].items())
    return f"| class | what happened | what to do |\n| --- | --- | --- |\n{rows}"


def file_codes() -> str:
    """Write every code of a workflow file, with a faulty file's message."""
    made = dict(_of_corpus()) | {code: _of_file(code, text) for code, text in FILES.items()}
    return "\n".join(_entry(code, [meaning], made.get(code) or _as_written(code, of_files=True)) for code, meaning in sorted(CODES.items()))


def other_codes() -> str:
    """Write every other code, by group."""
    parts: list[str] = []
    for group, title in TITLES.items():
        parts.append(f"## {title}\n")
        parts += [
            _entry(code, entry[:2], entry[2] if len(entry) > 2 else _message(group, code)) for code, entry in sorted(words()[group].items())
        ]
    return "\n".join(parts)


def _message(group: str, code: str) -> str:
    return _of_expression(code) if group == "expressions" and code in EXPRESSIONS else _as_written(code, of_files=group == "expressions")


def _entry(code: str, texts: list[str], message: str) -> str:
    shown = f"\n```text\n{message}\n```\n" if message else ""
    return f"### `{code}`\n\n{' '.join(texts)}\n{shown}"


def _as_written(code: str, *, of_files: bool) -> str:
    """Show a message that the source has for a code, from the part of it that concerns files or from the other."""
    found = [use for use in codes().get(code, []) if use.message]
    found.sort(key=lambda use: use.place.startswith(("authoring/", "core/expr/")) != of_files)
    return _lines(found[0]) if found else ""


def _lines(use: Use) -> str:
    return use.message.strip() + (f"\n  what to do: {use.hint.strip()}" if use.hint else "")


def _of_corpus() -> Iterator[tuple[str, str]]:
    for path in sorted((Path(support.__file__).parent / "faulty").glob("*.txt"), reverse=True):
        for case in support.corpus(path.stem):
            text, _, _ = support.unmarked(case.bad)
            found = [p for p in support.load(text).problems if p.code == case.code]
            if found:
                yield case.code, _shown(found, text)


def _of_file(code: str, text: str) -> str:
    found = [p for p in support.load(text).problems if p.code == code]
    if not found:
        raise ValueError(f"the file for {code} does not give it")
    return _shown(found, text)


def _of_expression(code: str) -> str:
    play = Playground({}, Registry(Catalog(functions=())), now_ms=0, seed="docs")
    answer = play.answer(EXPRESSIONS[code], CONTEXT)
    found = [p for p in answer.problems if p.code == code]
    if not found:
        raise ValueError(f"the expression for {code} gives {[p.code for p in answer.problems] or answer.value}")
    return _shown(found, answer.source)


def _shown(found: list[Problem], text: str) -> str:
    first = found[0]
    return render([first], {first.file: text}).rstrip()


GENERATORS: Final[dict[str, Callable[[], str]]] = {"failure-classes": classes, "file-codes": file_codes, "other-codes": other_codes}
