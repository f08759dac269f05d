"""Fixes inside `{{ }}`: names one slip away, methods and functions that are filters here, ids with dashes, operators of other languages.

They work on the expression as it stands in the file, with its YAML escapes, and touch nothing outside of braces.
"""

import re
from collections.abc import Callable, Iterable
from typing import Final

from treadle.authoring.expression_names import FILTERS_NOT_THERE, FUNCTIONS_NOT_THERE
from treadle.authoring.mend_fields import NOTHING, OF_NAMES, is_slip, meant, value_meant
from treadle.authoring.mend_ground import Edit, Ground, Mend
from treadle.authoring.nodes import Node, scalars
from treadle.authoring.problems import Problem
from treadle.authoring.scopes import Scope
from treadle.authoring.tree import TaskTree

# What a method is as a filter that does exactly the same; `lstrip` and others have none.
_METHODS: Final = {
    "upper": "upper", "lower": "lower", "title": "title", "capitalize": "capitalize", "strip": "trim", "trim": "trim", "items": "items",
    "keys": "list", "date": "date", "reverse": "reverse", "sort": "sort", "first": "first", "last": "last", "length": "length",
    "toLowerCase": "lower", "toUpperCase": "upper",
}  # fmt: skip
_METHODS_WITH_ARGUMENTS: Final = {"split": "split", "replace": "replace", "strftime": "strftime"}
_DROPPED_METHODS: Final = frozenset({"isoformat", "copy"})
_OPERAND: Final = r"(?:[A-Za-z_][A-Za-z0-9_]*(?:\(\))?|\((?:[^(){}]*)\))(?:\.[A-Za-z_][A-Za-z0-9_]*(?:\([^(){}]*\))?|\[[^\[\]{}]*\])*"
_FUNCTION_CALL = re.compile(r"(?P<name>[a-z]+)\((?P<given>[^(){},]*)\)")
_OLD_RESULT_KEYS: Final = frozenset({"input", "response", "selected"})
_ALONE_BEFORE = re.compile(r"(?:\{\{-?|[(,\[~=<>]|\b(?:if|and|or|in|else|elif))\s*\Z")
_FILTER = re.compile(r"write `\| ([a-z0-9_]+)`\Z")
_FUNCTION_FILTER = re.compile(r"(?:write|it is a filter:) `x \| ([a-z0-9_]+)`\Z")


def step_id_dash(ground: Ground, problem: Problem) -> Mend | None:
    """Write `steps.a_b` for `steps.a-b`, where `a-b` is a step's id."""
    at = ground.at(problem)
    span = _expression_at(ground, at)
    written = re.compile(r"(?<![\w.'\"])steps\s*\.\s*([A-Za-z_]\w*(?:-\w+)+)").finditer(ground.text, *(span or (0, 0)))
    found = next((found for found in written if found.start() <= at < found.end()), None)
    if found is None or ground.tree is None:
        return None
    ids = {name for scope in ground.tree.scopes() for name in Scope.ids_of(scope)}
    if found[1].replace("-", "_") not in ids:
        return None
    return Mend(edits=(Edit(*found.span(1), found[1].replace("-", "_")),), uncovers=OF_NAMES)


def method_call(ground: Ground, problem: Problem) -> Mend | None:
    """Write the filter that does what the method did."""
    span = _expression_at(ground, ground.at(problem))
    name = re.search(r"\.(\w+)\(\)`", f"{problem.message}`")
    if span is None or name is None:
        return None
    pattern = re.compile(rf"(?P<owner>{_OPERAND})\.(?P<name>{name[1]})\((?P<given>[^(){{}}]*)\)")
    for call in pattern.finditer(ground.text, *span):
        new = _as_filter(call)
        if new is not None and call.start() <= ground.at(problem) < call.end():
            return Mend(edits=(Edit(*call.span(), _in_place(ground, call, new)),), uncovers=None)
    return None


def _as_filter(call: re.Match[str]) -> str | None:
    name, owner, given = call["name"], call["owner"], call["given"].strip()
    if not given and name in _METHODS:
        return f"{owner} | {_METHODS[name]}"
    if given and name in _METHODS_WITH_ARGUMENTS:
        return f"{owner} | {_METHODS_WITH_ARGUMENTS[name]}({given})"
    if not given and name in _DROPPED_METHODS and (name != "isoformat" or owner == "now()"):
        return owner
    if name == "get" and re.fullmatch(r"\\?(['\"])\w+\\?\1(?:\s*,.+)?", given):
        key, _, fallback = given.partition(",")
        return f"{owner}[{key.strip()}] | default({fallback.strip() or 'none'})"
    return None


def _in_place(ground: Ground, found: re.Match[str], new: str) -> str:
    """Put brackets around an expression unless it stands where a filter ends by itself."""
    after = ground.text[found.end() : found.end() + 1]
    alone = " | " not in new or (_ALONE_BEFORE.search(ground.text[: found.start()][-12:]) is not None and after not in {".", "[", "("})
    return new if alone else f"({new})"


def unknown_filter(ground: Ground, problem: Problem) -> Mend | None:
    """Write the filter that was meant, or the test that it is."""
    name = re.search(r"`([A-Za-z0-9_]+)`", problem.message)
    span = _expression_at(ground, ground.at(problem))
    if name is None or span is None:
        return None
    known = _FILTER.match(FILTERS_NOT_THERE.get(name[1], ""))
    new = known[1] if known else meant(problem)
    if name[1] in {"equalto", "greaterthan", "lessthan"}:
        return _all(ground, [span], rf"\s*\|\s*{name[1]}(?=\s*\()", f" is {name[1]}", OF_NAMES)
    if name[1] == "safe":
        return _all(ground, [span], r"\s*\|\s*safe\b(?!\s*\()", "", OF_NAMES)
    if not new or not (known or is_slip(name[1], new)):
        return None
    return _all(ground, [span], rf"(?<=\|)(\s*){name[1]}\b", rf"\g<1>{new}", OF_NAMES)


def unknown_test(ground: Ground, problem: Problem) -> Mend | None:
    """Write the test that was meant."""
    name, new = re.search(r"`([A-Za-z0-9_]+)`", problem.message), meant(problem)
    span = _expression_at(ground, ground.at(problem))
    if name is None or span is None or not new or not is_slip(name[1], new):
        return None
    return _all(ground, [span], rf"(\bis\s+(?:not\s+)?){name[1]}\b", rf"\g<1>{new}", OF_NAMES)


def unknown_function(ground: Ground, problem: Problem) -> Mend | None:
    """Write `x | length` for `len(x)`; a misspelled function as it is called."""
    at = ground.at(problem)
    call, new = _FUNCTION_CALL.match(ground.text, at), meant(problem)
    name = re.compile(r"[A-Za-z_]\w*").match(ground.text, at)
    if name is None:
        return None
    if new and is_slip(name[0], new):
        return Mend(edits=(Edit(*name.span(), new),), uncovers=OF_NAMES | {"bad_arguments"})
    hint = FUNCTIONS_NOT_THERE.get(name[0]) or problem.suggestion
    found = _FUNCTION_FILTER.match(hint.replace("round(n)", "round"))
    if call is None or found is None or not call["given"].strip():
        return None
    given = call["given"].strip()
    inner = given if re.fullmatch(_OPERAND, given) else f"({given})"
    return Mend(edits=(Edit(*call.span(), _in_place(ground, call, f"{inner} | {found[1]}")),), uncovers=OF_NAMES)


def syntax(ground: Ground, problem: Problem) -> Mend | None:
    """Write operators as they are called here: `and`, `or`, `==`."""
    at = ground.at(problem)
    around = ground.text[max(at - 2, 0) : at + 3]
    if problem.suggestion == "write `and`" and ground.text.startswith("&&", at):
        return _operator(ground, at, at + 2, "and")
    if problem.suggestion == "write `or`":
        start = at if ground.text.startswith("||", at) else at - 1
        return _operator(ground, start, start + 2, "or") if ground.text.startswith("||", max(start, 0)) else None
    for wrong, right in (("===", "=="), ("!==", "!=")):
        start = ground.text.find(wrong, max(at - 2, 0), at + 3)
        if wrong in around and start >= 0:
            return Mend(edits=(Edit(start, start + 3, right),), uncovers=None)
    if problem.suggestion == "compare with `==`" and re.match(r"(?<![=!<>])=(?!=)", ground.text[at:]):
        return Mend(edits=(Edit(at, at + 1, "=="),), uncovers=None)
    return None


def _operator(ground: Ground, start: int, end: int, word: str) -> Mend:
    before = "" if ground.text[start - 1].isspace() else " "
    after = "" if ground.text[end : end + 1].isspace() else " "
    return Mend(edits=(Edit(start, end, f"{before}{word}{after}"),), uncovers=None)


# Names that are read


def unknown_read(ground: Ground, problem: Problem) -> Mend | None:
    """Write the name of a field, input or step that is one slip away, wherever the field of the step reads it."""
    direct = value_meant(ground, problem)
    if direct is not None:
        return direct
    spot = ground.key(problem)
    new = meant(problem)
    if spot is not None and spot.key is not None and new and is_slip(spot.key.text, new) and "read" not in problem.message:
        if problem.code == "unknown_input" and "the task has no input" in problem.message:
            return Mend(edits=(ground.replaced(spot.key, new),), uncovers=NOTHING)
        return None
    root = {"unknown_state": "state", "unknown_input": "inputs", "unknown_step": "steps"}[problem.code]
    word = re.search(r"`(?:state\.)?([A-Za-z_][\w-]*)`", problem.message)
    if word is None or not new or not is_slip(word[1], new):
        return None
    name = re.escape(word[1]).replace("_", "[-_]") if root == "steps" else re.escape(word[1])
    return _everywhere(ground, problem, rf"(?<![\w.'\"])({root}(?:\s*\.\s*|\s*\[\s*\\?['\"])){name}(?![\w-])", rf"\g<1>{new}", OF_NAMES)


def unknown_name(ground: Ground, problem: Problem) -> Mend | None:
    """Write where a name belongs: `state.plan` for `plan`, `steps.x.result.plan` for `steps.x.plan`."""
    nested = re.fullmatch(r"write `(steps\.\w+)\.result\.(\w+)`", problem.suggestion)
    if nested is not None:
        step = re.escape(nested[1].removeprefix("steps.")).replace("_", "[-_]")
        pattern = rf"(?<![\w.'\"])(steps(?:\s*\.\s*{step}|\s*\[\s*\\?['\"]{step}\\?['\"]\s*\])\s*\.\s*)({nested[2]})(?!\w)"
        return _everywhere(ground, problem, pattern, r"\g<1>result.\g<2>", NOTHING)
    word = re.match(r"there is no name `([A-Za-z_]\w*)` here", problem.message)
    if word is None:
        return None
    roots = _roots(ground, problem, word[1])
    new = f"{roots[0]}.{word[1]}" if len(roots) == 1 else meant(problem) if not roots else ""
    if not new or (not roots and not is_slip(word[1], new)):
        return None
    return _everywhere(ground, problem, rf"(?<![\w.'\"]){word[1]}(?!\w|\s*\()", new, OF_NAMES)


def unknown_key(ground: Ground, problem: Problem) -> Mend | None:
    """Read the text of an answer itself: old files had it in an object, under one of a few names."""
    found = re.search(r"\(?the value itself is what is asked for: write `([^`]+)`", problem.suggestion)
    key = re.search(r"has no `(\w+)`", problem.message)
    if found is None or key is None or key[1] not in _OLD_RESULT_KEYS:
        return None
    return _everywhere(ground, problem, rf"(?<![\w.'\"])({_loosely(found[1])})\s*\.\s*{key[1]}(?!\w)", r"\g<1>", OF_NAMES)


def _loosely(path: str) -> str:
    """Give a pattern for a path that also takes a step's id as it is written."""
    root, *keys = path.split(".")
    return r"\s*\.\s*".join([root, *(re.escape(key).replace("_", "[-_]") if root == "steps" else re.escape(key) for key in keys)])


def _roots(ground: Ground, problem: Problem, name: str) -> list[str]:
    """Give every root below which a scope has a name."""
    if ground.tree is None:
        return []
    task = next(
        (t for t in ground.tree.tasks.values() if problem.path.startswith((f"{t.node.path}.", f"{t.node.path}["))), ground.tree.main
    )
    scope = _scope(ground, task)
    return [root for root, names in (("state", scope.written), ("inputs", scope.inputs), ("steps", scope.steps)) if name in names]


def _scope(ground: Ground, task: TaskTree) -> Scope:
    assert ground.tree is not None
    return Scope(task, is_main=task is ground.tree.main, file=ground.tree)


def _everywhere(ground: Ground, problem: Problem, pattern: str, new: str, uncovers: frozenset[str]) -> Mend | None:
    """Replace in every expression of the field that a problem is told in: it is told once however often it is there."""
    spans = [span for scalar in scalars(_field(ground, problem)) for span in ground.expressions(scalar)]
    return _all(ground, spans, pattern, new, uncovers)


def _field(ground: Ground, problem: Problem) -> Node:
    step = ground.step(problem.path)
    key = re.match(r"\.?([A-Za-z_][\w-]*)", problem.path[len(step) :]) if step else None
    spot = ground.paths.get(f"{step}.{key[1]}") if key else ground.paths.get(problem.path)
    return spot.node if spot is not None else Node(1, 1, 0)


def _all(ground: Ground, spans: Iterable[tuple[int, int]], pattern: str, new: str, uncovers: frozenset[str]) -> Mend | None:
    edits = tuple(Edit(*found.span(), found.expand(new)) for span in spans for found in re.compile(pattern).finditer(ground.text, *span))
    return Mend(edits=tuple(dict.fromkeys(edits)), uncovers=uncovers) if edits else None


def _expression_at(ground: Ground, at: int) -> tuple[int, int] | None:
    node = ground.scalar_around(at)
    return None if node is None else next((span for span in ground.expressions(node) if span[0] <= at < span[1]), None)


FIXES: Final[dict[str, Callable[[Ground, Problem], Mend | None]]] = {
    "step_id_dash": step_id_dash, "method_call": method_call, "unknown_filter": unknown_filter, "not_in_language": unknown_filter,
    "unknown_test": unknown_test, "unknown_function": unknown_function, "syntax": syntax, "unknown_state": unknown_read,
    "unknown_input": unknown_read, "unknown_step": unknown_read, "unknown_name": unknown_name, "unknown_key": unknown_key,
}  # fmt: skip
