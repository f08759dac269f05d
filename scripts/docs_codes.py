"""Find every error code that the source can give, and write the page on troubleshooting from them.

A code is a literal: the keyword `code=`, the parameter `code` of a function of ours given by position, a class's or a variable's own `code = "…"`.
So a new code is found without being listed anywhere, and a test asks for its words in `docs/codes.toml` (codes of workflow files have them in
`authoring/codes.py`).
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "treadle"
CODE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
# What a developer calls to test an engine of their own: nobody else sees these.
NOT_SHOWN = ("testing/conformance/", "testing/world.py", "testing/differential.py")


@dataclass(frozen=True, order=True, slots=True)
class Use:
    """One place that gives a code. A code that is put together from parts ends in `*` where the part stands."""

    code: str
    place: str
    message: str = ""
    hint: str = ""


@cache
def uses() -> tuple[Use, ...]:
    """List every place of the source that gives a code."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(SOURCE.rglob("*.py"))}
    by_name: dict[str, set[int]] = defaultdict(set)
    by_class: dict[str, str] = {}
    for tree in trees.values():
        by_class.update(codes_of_classes(tree))
        for name, position in parameters(tree):
            by_name[name].add(position)
    return tuple(
        use
        for path, tree in trees.items()
        if not (place := path.relative_to(SOURCE).as_posix()).startswith(NOT_SHOWN)
        for use in Reader(place, by_name, by_class).uses(tree)
    )


def codes() -> dict[str, list[Use]]:
    """Group the uses by code."""
    found: dict[str, list[Use]] = defaultdict(list)
    for use in uses():
        found[use.code].append(use)
    return dict(sorted(found.items()))


def parameters(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Name the functions with a parameter `code`, and the position at which a call gives it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for method in node.body:
                if isinstance(method, ast.FunctionDef) and method.name == "__init__":
                    yield from ((node.name, position) for _, position in _parameters_of(method))
            # A dataclass or named tuple takes its fields in order.
            fields = [part.target.id for part in node.body if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)]
            if "code" in fields:
                yield node.name, fields.index("code")
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _parameters_of(node)


def _parameters_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[tuple[str, int]]:
    names = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
    if "code" in names:
        yield function.name, names.index("code") - (names[0] in {"self", "cls"})


def codes_of_classes(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Name the classes that have a code of their own."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for part in node.body:
                if isinstance(part, ast.Assign) and any(isinstance(target, ast.Name) and target.id == "code" for target in part.targets):
                    yield from ((node.name, code) for code in _literals(part.value))


class Reader:
    """Reads one file. `by_name` says at which position a function takes a code, `by_class` which code a class has."""

    def __init__(self, place: str, by_name: dict[str, set[int]], by_class: dict[str, str] | None = None) -> None:
        self.place, self.by_name, self.by_class = place, by_name, by_class or {}
        # What the local names stand for, in the function around each call.
        self.around: dict[ast.AST, list[ast.Assign]] = {}

    def uses(self, tree: ast.AST) -> Iterator[Use]:
        """Give every use in a tree."""
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assigned = [inner for inner in ast.walk(node) if isinstance(inner, ast.Assign)]
                self.around.update((inner, assigned) for inner in ast.walk(node) if isinstance(inner, ast.Call))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                yield from self._call(node)
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                yield from self._assigned(node)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield from (Use(code, self.place) for code in _defaults(node))

    def _assigned(self, node: ast.Assign | ast.AnnAssign) -> Iterator[Use]:
        """Read `code = "…"` and `code, message = "…", "…"`."""
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            together = isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple)
            names = target.elts if together and isinstance(target, ast.Tuple) else [target]
            values = node.value.elts if together and isinstance(node.value, ast.Tuple) else [node.value]
            given = {name.id: value for name, value in zip(names, values, strict=False) if isinstance(name, ast.Name)}
            said = given.get("message")
            message = _shown(said) if said is not None else ""
            yield from (Use(code, self.place, message) for code in _literals(given.get("code")))
            # A table that gives a code for another: `_CODES = {"no_answer": "missing_stub"}`.
            if isinstance(target, ast.Name) and target.id.endswith("CODES") and isinstance(node.value, ast.Dict):
                yield from (Use(code, self.place) for value in node.value.values for code in _literals(value))

    def _call(self, node: ast.Call) -> Iterator[Use]:
        given = next((k.value for k in node.keywords if k.arg == "code"), None)
        name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id if isinstance(node.func, ast.Name) else ""
        if given is None and name != "_directive":
            for position in sorted(self.by_name.get(name, ())):
                if position < len(node.args) and list(_literals(node.args[position])):
                    given = node.args[position]
                    break
        if given is None and name not in self.by_class:
            return
        local = dict(_local(self.around.get(node, []), node.lineno))
        texts = [_shown(value, local) for value in node.args if value is not given]
        words = {k.arg: _shown(k.value, local) for k in node.keywords}
        message = words.get("message") or next((text for text in texts if " " in text), "")
        later = texts[texts.index(message) + 1 :] if message in texts else []
        hint = words.get("hint") or words.get("suggestion") or next((text for text in later if " " in text), "")
        if given is not None:
            yield from (Use(code, self.place, message, hint) for code in _literals(given))
        elif message:
            yield Use(self.by_class[name], self.place, message, hint)


def _local(assigned: list[ast.Assign], line: int) -> Iterator[tuple[str, ast.expr]]:
    """Give what names stand for at a line: the assignment nearest above it."""
    for node in sorted(assigned, key=lambda node: node.lineno):
        if node.lineno < line and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, node.value


def _defaults(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    arguments = function.args
    pairs = [
        *zip(arguments.args[::-1], arguments.defaults[::-1], strict=False),
        *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
    ]
    for argument, default in pairs:
        if argument.arg == "code":
            yield from _literals(default)


def _literals(node: ast.expr | None) -> Iterator[str]:
    match node:
        case ast.Constant(value=str(text)) if CODE.fullmatch(text):
            yield text
        case ast.IfExp(body=body, orelse=orelse):
            yield from _literals(body)
            yield from _literals(orelse)
        case ast.BoolOp(values=values):
            for value in values:
                yield from _literals(value)
        case ast.JoinedStr(values=values):
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in values)
            if CODE.fullmatch(text.replace("*", "x")) and text != "*":
                yield text
        case _:
            return


def _shown(node: ast.expr, local: dict[str, ast.expr] | None = None) -> str:
    """Write a message as it stands in the source, with the name in `<>` of what a call fills in."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(_shown(value) for value in values)
        case ast.FormattedValue(value=value):
            return f"<{name.replace('_', ' ')}>" if (name := _named(value)) else "…"
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _shown(left, local) + _shown(right, local)
        case ast.IfExp(body=body):
            return _shown(body, local)
        case ast.Name(id=name) if local and name in local:
            return _shown(local[name])
        case _:
            return ""


def _named(value: ast.expr) -> str:
    """Name what a hole of a message holds, where that is plain."""
    match value:
        case ast.Name(id=name):
            return "" if name.isupper() else name.strip("_")
        case ast.Attribute(attr=name):
            return name.strip("_")
        case ast.Call(func=ast.Name(id="str" | "listed" | "len" | "repr"), args=[only, *_]):
            return _named(only)
        case _:
            return ""
