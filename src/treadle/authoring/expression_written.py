"""Writes a compiled expression the way an author would, for people who compare definitions whose files are gone.

What was lost in compiling stays lost: names of `{% set %}` and of loops (they are `v0`, `v1` ...), brackets, white space. It is for reading, never
compiled again.
"""

from collections.abc import Callable
from typing import Final, cast

from treadle.core.expr import Expr
from treadle.core.values import Json, decode, encode

_Node = tuple[object, ...]


def written(expr: Expr) -> Json:
    """Give the value of a constant, else a text with `{{ }}` in it; of a map or list with expressions in it, that."""
    return _Writer(expr).value(expr.tree)


class _Writer:
    def __init__(self, expr: Expr) -> None:
        self._calls = expr.calls

    def value(self, tree: _Node) -> Json:
        match tree:
            case ("const", value):
                return cast(Json, value)
            case ("json", body):
                return cast(Json, decode(str(body)))
            case ("text", *parts):
                return "".join(self._part(part) for part in parts)
            case ("list", *items):
                return [self.value(cast(_Node, item)) for item in items]
            case ("dict", *items):
                pairs = zip(items[::2], items[1::2], strict=True)
                return {str(self.value(cast(_Node, key))): self.value(cast(_Node, item)) for key, item in pairs}
            case _:
                return f"{{{{ {self.text(tree)} }}}}"

    def _part(self, part: object) -> str:
        if not isinstance(part, tuple):
            return str(part)
        match cast(_Node, part):
            case ("branch", *rest):
                tests = "".join(f"{{% {'el' * (n > 0)}if {self.text(t)} %}}{self._part(b)}" for n, (t, b) in enumerate(_pairs(rest)))
                other = f"{{% else %}}{self._part(rest[-1])}" if len(rest) % 2 and rest[-1] is not None else ""
                return f"{tests}{other}{{% endif %}}"
            case ("for", target, _, items, test, body, *_):
                only = f" if {self.text(test)}" if test is not None else ""
                return f"{{% for v{target} in {self.text(items)}{only} %}}{self._part(body)}{{% endfor %}}"
            case ("set", target, value):
                return f"{{% set v{target} = {self.text(value)} %}}"
            case ("text", *parts):
                return "".join(map(self._part, parts))
            case tree:
                return f"{{{{ {self.text(tree)} }}}}"

    def text(self, tree: object) -> str:
        """Write one expression; what is not known here is `…`."""
        node = cast(_Node, tree)
        rule = _RULES.get(str(node[0])) if isinstance(tree, tuple) else None
        return rule(self, node[1:]) if rule is not None else "…"

    def args(self, nodes: tuple[object, ...]) -> str:
        given = [self.text(node) for node in nodes if node is not None]
        return f"({', '.join(given)})" if given else ""

    def path(self, steps: tuple[object, ...]) -> str:
        return "".join(self._step(step) for step in steps)

    def _step(self, step: object) -> str:
        if isinstance(step, str):
            return f".{step}" if step.isidentifier() else f"[{step!r}]"
        if isinstance(step, tuple):
            node = cast(_Node, step)
            if node[0] == "slice":
                return f"[{':'.join(self.text(n) if n is not None else '' for n in node[1:3])}]"
            return f"[{self.text(node)}]"
        return f"[{step}]"

    def call(self, number: object) -> str:
        call = self._calls[cast(int, number)]
        named = [f"{name}={self.text(node)}" for name, node in call.kwargs]
        return f"{call.function}({', '.join([*map(self.text, call.args), *named])})"

    def compared(self, rest: tuple[object, ...]) -> str:
        return self.text(rest[0]) + "".join(f" {op} {self.text(node)}" for op, node in _pairs(rest[1:]))


def _pairs(items: tuple[object, ...] | list[object]) -> list[tuple[object, object]]:
    return list(zip(items[::2], items[1::2], strict=False))


def _constant(body: Json) -> str:
    return repr(body) if isinstance(body, str) else encode(body)


_Rule = Callable[[_Writer, tuple[object, ...]], str]
_RULES: Final[dict[str, _Rule]] = {
    "const": lambda _, r: _constant(cast(Json, r[0])), "json": lambda _, r: str(r[0]),
    "name": lambda _, r: str(r[0]), "local": lambda _, r: f"v{r[0]}", "maybe": lambda _, r: f"v{r[0]}", "secret": lambda _, r: f"secrets.{r[0]}",
    "path": lambda w, r: w.text(r[0]) + w.path(r[1:]), "call": lambda w, r: w.call(r[0]),
    "list": lambda w, r: f"[{', '.join(map(w.text, r))}]",
    "dict": lambda w, r: "{" + ", ".join(f"{w.text(key)}: {w.text(item)}" for key, item in _pairs(r)) + "}",
    "and": lambda w, r: " and ".join(map(w.text, r)), "or": lambda w, r: " or ".join(map(w.text, r)), "not": lambda w, r: f"not {w.text(r[0])}",
    "if": lambda w, r: f"{w.text(r[1])} if {w.text(r[0])}" + (f" else {w.text(r[2])}" if r[2] is not None else ""),
    "cmp": lambda w, r: w.compared(r), "arith": lambda w, r: w.compared(r), "neg": lambda w, r: f"-{w.text(r[0])}",
    "pos": lambda w, r: w.text(r[0]), "cat": lambda w, r: " ~ ".join(map(w.text, r)),
    "filter": lambda w, r: f"{w.text(r[1])} | {r[0]}{w.args(r[2:])}", "test": lambda w, r: f"{w.text(r[1])} is {r[0]}{w.args(r[2:])}",
    "fn": lambda w, r: f"{r[0]}{w.args(r[1:]) or '()'}", "defined": lambda w, r: f"{w.text(r[0])} is defined",
    "default": lambda w, r: f"{w.text(r[0])} | default({w.text(r[1])})", "let": lambda w, r: w.text(r[2]),
    "map": lambda w, r: f"{w.text(r[1])} | map({w.text(r[2])})", "keep": lambda w, r: f"{w.text(r[1])} | where({w.text(r[2])})",
    "object": lambda w, r: f"{w.text(r[1])} | to_object({w.text(r[2])}, {w.text(r[3])})",
}  # fmt: skip
