"""From Jinja's syntax tree to ours: names, paths, operators, filters, tests and calls.

Jinja's nodes carry the offset of their token as `lineno` (see `expression_scan`). Faults are collected and a null stands where one was found,
so that one pass finds all. Names that an expression makes itself (`{% set %}`, loop targets, `it`) become slots; what is then left
as a name is read from outside. Calls of registered functions are lifted out in reading order (ruling 4).
"""

from collections.abc import Iterable, Mapping
from typing import Final, cast

from jinja2 import nodes

from treadle.authoring.expression_apply import FILTER_NAMES, NULL, Applier, described_only
from treadle.authoring.expression_names import FUNCTIONS_NOT_THERE, METHODS
from treadle.authoring.expression_scan import SourceFault
from treadle.authoring.expression_secrets import inside, no_name, secret_node
from treadle.core.expr.table import FILTER_ALIASES, FUNCTIONS, Entry, Required
from treadle.core.expr.tree import Call, Node, Scalar, Tree, preorder
from treadle.core.nearest import nearest
from treadle.core.values import INT_MAX, INT_MIN, RESERVED, Json, decode, encode

Functions = Mapping[str, tuple[str, bool]]
DEPTH: Final = 90
_COMPARISONS: Final = {
    "eq": "==", "ne": "!=", "lt": "<", "lteq": "<=", "gt": ">", "gteq": ">=", "in": "in", "notin": "not in",  # codespell:ignore notin
}  # fmt: skip
_OPERATORS: Final[dict[type[nodes.Node], str]] = {
    nodes.Add: "+", nodes.Sub: "-", nodes.Mul: "*", nodes.Div: "/", nodes.FloorDiv: "//", nodes.Mod: "%", nodes.Pow: "**",
}  # fmt: skip


class Scope:
    """Names that an expression has made: each with its slot, and whether it is certainly set here."""

    def __init__(self, outer: "Scope | None" = None) -> None:
        """Begin with no names of its own."""
        self.outer = outer
        self.slots: dict[str, int] = {}
        self.certain: set[str] = set()
        self.used: set[str] = set()

    def all_names(self) -> set[str]:
        """Give every name made here or further out."""
        return set(self.slots) | (self.outer.all_names() if self.outer else set())


class Compiler(Applier):
    """Compiles the expressions of one Expr; shared by all scalars of a piece of data, so that slots and calls are numbered through."""

    def __init__(self, functions: Functions, known: Iterable[str] | None) -> None:
        """Begin empty; `known` are the names that may be read, None if that is not known here."""
        super().__init__()
        self.functions = functions
        self.known = None if known is None else frozenset(known)
        self.calls: list[Call] = []
        self.depth = 0
        self.holds_secret = False

    def expr(self, node: nodes.Node | None, scope: Scope, *, soft: bool = False) -> Node:
        """Compile one expression; `soft` where a name that is not there is what is asked about."""
        if node is None:
            return NULL
        self.depth += 1
        try:
            if self.depth > DEPTH:
                raise SourceFault(
                    "budget",
                    f"an expression is built deeper than {DEPTH}",
                    node.lineno,
                    "use `{% set %}`, or several steps",
                )
            found = self._name(node, scope, soft=soft) if isinstance(node, nodes.Name) else self._compiled(node, scope)
        finally:
            self.depth -= 1
        return self.placed(found, node.lineno)

    def _compiled(self, node: nodes.Node, scope: Scope) -> Node:
        match node:
            case nodes.Const():
                return self._constant(cast(Scalar, node.value), node.lineno)
            case nodes.TemplateData():
                return ("const", node.data)
            case nodes.List() | nodes.Tuple():
                return _folded(("list", *(self.expr(item, scope) for item in node.items)))
            case nodes.Dict():
                return self._dict(node, scope)
            case nodes.Getattr() | nodes.Getitem():
                return self._path(node, scope)
            case nodes.Call():
                return self._call(node, scope)
            case nodes.Filter():
                return self._filter(node, scope)
            case nodes.Test():
                return self._test(node, scope)
            case nodes.CondExpr():
                then, test = self.expr(node.expr1, scope), self.expr(node.test, scope)
                return ("if", test, then, None if node.expr2 is None else self.expr(node.expr2, scope))
            case nodes.And() | nodes.Or():
                op = "and" if isinstance(node, nodes.And) else "or"
                return (op, *(self.expr(part, scope) for part in _spine(node, type(node))))
            case nodes.Not():
                return ("not", self.expr(node.node, scope))
            case nodes.Compare():
                return self._compare(node, scope)
            case nodes.Concat():
                return ("cat", *(self.expr(part, scope) for part in node.nodes))
            case nodes.Neg() | nodes.Pos():
                return self._signed(node, scope)
            case nodes.BinExpr():
                return self._arithmetic(node, scope)
            case nodes.NSRef():
                return self.fault("not_in_language", "values cannot be changed", node.lineno, FUNCTIONS_NOT_THERE["namespace"])
            case _:
                return self.fault("syntax", f"{type(node).__name__.lower()} cannot stand here", node.lineno)

    def _constant(self, value: Scalar, offset: int) -> Node:
        if isinstance(value, int) and not isinstance(value, bool) and not INT_MIN <= value <= INT_MAX:
            return self.fault(
                "number_range",
                "a whole number lies beyond 64 bits",
                offset,
                "write it as text, and `| decimal` to compute with it",
            )
        return ("const", value)

    def _signed(self, node: nodes.UnaryExpr, scope: Scope) -> Node:
        op = "neg" if isinstance(node, nodes.Neg) else "pos"
        inner = node.node
        if isinstance(inner, nodes.Const) and isinstance(inner.value, int | float) and not isinstance(inner.value, bool):
            return self._constant(-inner.value if op == "neg" else inner.value, node.lineno)
        return (op, self.expr(inner, scope))

    def _dict(self, node: nodes.Dict, scope: Scope) -> Node:
        parts: list[Node] = []
        seen: set[object] = set()
        for pair in node.items:
            key = self.expr(pair.key, scope)
            if key[0] == "const":
                self._check_key(key[1], seen, pair.lineno)
            parts += [key, self.expr(pair.value, scope)]
        return _folded(("dict", *parts))

    def _check_key(self, key: Tree, seen: set[object], offset: int) -> None:
        if not isinstance(key, str):
            self.fault("key_type", f"keys are text, not {encode(cast(Json, key))}", offset, "put it in quotes")
        elif key in seen:
            self.fault("duplicate_key", f"the key `{key}` stands twice", offset)
        elif key.startswith(RESERVED):
            self.fault("reserved_key", f"no key may start with `{RESERVED}`", offset)
        seen.add(key)

    def _compare(self, node: nodes.Compare, scope: Scope) -> Node:
        first = self.expr(node.expr, scope)
        rest = [part for operand in node.ops for part in (_COMPARISONS[operand.op], self.expr(operand.expr, scope))]
        # Jinja places a comparison behind its end.
        return self.placed(("cmp", first, *rest), self.columns[id(first)])

    def _arithmetic(self, node: nodes.BinExpr, scope: Scope) -> Node:
        parts: list[tuple[str, nodes.Node, int]] = []
        left: nodes.Node = node
        while isinstance(left, nodes.BinExpr) and type(left) in _OPERATORS:
            if isinstance(left, nodes.Sub) and _is_step_record(left.left):
                return self._dashed(left)
            parts.append((_OPERATORS[type(left)], left.right, left.lineno))
            left = left.left
        first = self.expr(left, scope)
        out: list[Tree] = ["arith", first]
        for op, right, _ in reversed(parts):
            out += [op, self.expr(right, scope)]
        return self.placed(tuple(out), self.columns[id(first)])

    def _dashed(self, node: nodes.Sub) -> Node:
        """Explain `steps.a-b`, which is a subtraction (language.md §3)."""
        first = cast(nodes.Getattr, node.left).attr
        second = node.right
        while isinstance(second, nodes.Getattr | nodes.Getitem | nodes.Filter | nodes.Call):
            second = cast(nodes.Node, second.node)
        name = second.name if isinstance(second, nodes.Name) else "…"
        message = f"`steps.{first}-{name}` is read as a subtraction"
        return self.fault("step_id_dash", message, node.left.lineno, f"write `steps.{first}_{name}` or `steps['{first}-{name}']`")

    def _name(self, node: nodes.Name, scope: Scope, *, soft: bool) -> Node:
        name = node.name
        local = self.local(name, scope, soft=soft, offset=node.lineno)
        return local if local is not None else self._outer_name(name, scope, node.lineno, soft=soft)

    def local(self, name: str, scope: Scope | None, *, soft: bool, offset: int) -> Node | None:
        """Give the slot of a name that the expression has made, if it has."""
        while scope is not None:
            if name in scope.slots:
                scope.used.add(name)
                slot = scope.slots[name]
                if name in scope.certain:
                    return ("local", slot)
                further = self.local(name, scope.outer, soft=soft, offset=offset)
                return ("maybe", slot, further or self._outer_name(name, scope, offset, soft=soft, made=True))
            scope = scope.outer
        return None

    def _outer_name(self, name: str, scope: Scope, offset: int, *, soft: bool, made: bool = False) -> Node:
        if name == "secrets":
            return no_name(self, offset)
        if self.known is not None and name not in self.known and not soft:
            if made:
                return self.fault(
                    "unknown_name",
                    f"`{name}` is set in a branch only",
                    offset,
                    "set it before the `if`, or in every branch",
                )
            return self._unknown_name(name, scope, offset)
        return ("name", name)

    def _unknown_name(self, name: str, scope: Scope, offset: int) -> Node:
        here = sorted((self.known or frozenset()) | scope.all_names())
        meant = nearest(name, here)
        if name in FUNCTIONS or name in self.functions:
            hint = f"call it: `{name}()`"
        elif name in FUNCTIONS_NOT_THERE:
            hint = FUNCTIONS_NOT_THERE[name]
        else:
            hint = f"did you mean `{meant}`?" if meant else "a text stands in quotes"
        return self.fault(
            "unknown_name",
            f"there is no name `{name}` here; there is {', '.join(f'`{n}`' for n in here) or 'none'}",
            offset,
            hint,
        )

    def _path(self, node: nodes.Getattr | nodes.Getitem, scope: Scope) -> Node:
        steps: list[Tree] = []
        base: nodes.Node = node
        while isinstance(base, nodes.Getattr | nodes.Getitem):
            steps.append(base.attr if isinstance(base, nodes.Getattr) else self._key(base.arg, scope))
            base = base.node
        steps.reverse()
        if isinstance(base, nodes.Name) and base.name == "secrets" and self.local("secrets", scope, soft=True, offset=0) is None:
            self.holds_secret = True
            return self.placed(secret_node(self, steps, base.lineno), base.lineno)
        if isinstance(base, nodes.Name) and base.name == "steps" and isinstance(steps[0], str):
            steps[0] = steps[0].replace("-", "_")  # ruling 9: the two ways to write an id are one
        root = self.expr(base, scope)
        self.placed(root, base.lineno)
        found: Node = ("path", root, *steps)
        return self.placed(found, base.lineno)

    def _key(self, arg: nodes.Node, scope: Scope) -> Tree:
        if isinstance(arg, nodes.Slice):
            bounds = (None if part is None else self.expr(part, scope) for part in (arg.start, arg.stop, arg.step))
            return ("slice", *bounds)
        if isinstance(arg, nodes.Tuple):
            return self.fault("syntax", "a value is looked up by one key at a time", arg.lineno, "write x[a][b]")
        key = self.expr(arg, scope)
        if key[0] == "const" and not isinstance(key[1], bool):
            if isinstance(key[1], str | int):
                return key[1]
            return self.fault(
                "key_type",
                f"{encode(cast(Json, key[1]))} can be neither key nor index",
                arg.lineno,
                "keys are text, indexes whole numbers",
            )
        return key

    # Calls

    def _call(self, node: nodes.Call, scope: Scope) -> Node:
        target = node.node
        if isinstance(target, nodes.Getattr):
            return self._method(node, target, scope)
        if not isinstance(target, nodes.Name):
            return self.fault("method_call", "only functions can be called", node.lineno, "values have no methods; use filters")
        if self._has_stars(node):
            return NULL
        name, offset = target.name, target.lineno
        if name in FUNCTIONS:
            return self._builtin(node, name, scope)
        if name not in self.functions:
            return self._unknown_function(name, offset)
        version, pure = self.functions[name]
        if not pure:
            message = f"`{name}` is not declared pure, so it cannot be called in an expression"
            return self.fault("not_pure", message, offset, f"use a step: `function: {name}`")
        args = tuple(self.expr(arg, scope) for arg in node.args)
        kwargs = tuple((pair.key, self.expr(pair.value, scope)) for pair in node.kwargs)
        if len({key for key, _ in kwargs}) < len(kwargs):
            return self.fault("bad_arguments", f"`{name}` gets an argument twice", offset)
        secret = next((part for arg in (*args, *(arg for _, arg in kwargs)) for part in preorder(arg) if part[0] == "secret"), None)
        if secret is not None:
            return inside(self, secret, self.columns[id(secret)])
        if any(part[0] in {"local", "maybe"} for arg in (*args, *(arg for _, arg in kwargs)) for part in preorder(arg)):
            message = f"`{name}` is called with a name that is made inside the expression"
            hint = "registered functions are called before the expression; compute the list in a step of its own, or let the function take it whole"
            return self.fault("function_in_loop", message, offset, hint)
        self.calls.append(Call(function=name, version=version, args=args, kwargs=kwargs))
        return ("call", len(self.calls) - 1)

    def _has_stars(self, node: nodes.Call | nodes.Filter | nodes.Test) -> bool:
        if node.dyn_args is None and node.dyn_kwargs is None:
            return False
        self.fault("bad_arguments", "arguments are written out; there is no `*` or `**`", node.lineno)
        return True

    def _builtin(self, node: nodes.Call, name: str, scope: Scope) -> Node:
        if name == "dict":
            return self._dict_call(node, scope)
        args, named = self._given(node, scope)
        return ("fn", name, *self.bound(name, FUNCTIONS[name], args, named, node.lineno))

    def _dict_call(self, node: nodes.Call, scope: Scope) -> Node:
        args, named = self._given(node, scope)
        if len(args) > 1:
            return self.fault("bad_arguments", "`dict` takes one object or list of pairs, and names", node.lineno)
        literal: Node = ("dict", *(part for key, value in named for part in (("const", key), value)))
        if not args:
            return literal
        pairs: Node = ("fn", "dict", args[0])
        return ("filter", "merge", pairs, literal) if named else pairs

    def _unknown_function(self, name: str, offset: int) -> Node:
        meant = nearest(name, sorted({*FUNCTIONS, *self.functions}))
        hint = FUNCTIONS_NOT_THERE.get(name) or (f"did you mean `{meant}`?" if meant else "")
        if not hint and name in FILTER_NAMES:
            hint = f"it is a filter: `x | {name}`"
        there = ", ".join(f"`{known}`" for known in sorted({*FUNCTIONS, *self.functions}))
        return self.fault(
            "unknown_function",
            f"there is no function `{name}`; there is {there}",
            offset,
            hint or "register it in `functions/`",
        )

    def _method(self, node: nodes.Call, target: nodes.Getattr, scope: Scope) -> Node:
        owner = target.node
        if (
            isinstance(owner, nodes.Name)
            and owner.name == "loop"
            and target.attr == "cycle"
            and node.args
            and self.local("loop", scope, soft=True, offset=0)
        ):
            index: Node = ("path", self.expr(owner, scope), "index0")
            turn: Node = ("arith", index, "%", ("const", len(node.args)))
            return ("path", ("list", *(self.expr(arg, scope) for arg in node.args)), turn)
        instead = METHODS.get(target.attr)
        filter_name = FILTER_ALIASES.get(target.attr, target.attr)
        hint = (
            f"write {instead}" if instead else f"write `| {filter_name}`" if filter_name in FILTER_NAMES else "use a filter or a function"
        )
        return self.fault("method_call", f"values have no methods: `.{target.attr}()`", target.lineno, hint)

    def _given(self, node: nodes.Call | nodes.Filter | nodes.Test, scope: Scope) -> tuple[list[Node], list[tuple[str, Node]]]:
        return [self.expr(arg, scope) for arg in node.args or ()], [
            (str(pair.key), self.expr(pair.value, scope)) for pair in node.kwargs or ()
        ]

    def _filter(self, node: nodes.Filter, scope: Scope) -> Node:
        soft = FILTER_ALIASES.get(node.name, node.name) == "default"
        base = self.expr(cast(nodes.Node, node.node), scope, soft=soft)
        if self._has_stars(node):
            return NULL
        name = FILTER_ALIASES.get(node.name, node.name)
        if name in {"where", "pick", "to_object"}:
            return self._over_it(node, name, base, scope)
        args, named = self._given(node, scope)
        return self.apply_filter(name, base, args, named, node.lineno)

    def _over_it(self, node: nodes.Filter, name: str, base: Node, scope: Scope) -> Node:
        inner = Scope(scope)
        slot = inner.slots["it"] = self.slot()
        inner.certain.add("it")
        args, named = self._given(node, inner)
        wanted = (("key", Required()), ("value", Required())) if name == "to_object" else (("expr", Required()),)
        before = len(self.faults)
        bodies = self.bound(name, Entry(described_only, wanted), args, named, node.lineno)
        if len(self.faults) > before:
            return NULL
        if name == "to_object":
            return ("object", slot, base, *bodies)
        return ("map", slot, base, bodies[0]) if name == "pick" else ("keep", slot, base, bodies[0], True)

    def _test(self, node: nodes.Test, scope: Scope) -> Node:
        base = self.expr(node.node, scope, soft=node.name in {"defined", "undefined"})
        if self._has_stars(node):
            return NULL
        args, named = self._given(node, scope)
        return self.apply_test(node.name, base, args, named, node.lineno)


def _spine(node: nodes.BinExpr, kind: type[nodes.BinExpr]) -> list[nodes.Node]:
    """Give the operands of `a and b and c`, which Jinja nests to the left."""
    parts: list[nodes.Node] = []
    left: nodes.Node = node
    while type(left) is kind:
        parts.append(left.right)
        left = left.left
    return [left, *reversed(parts)]


def _is_step_record(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name) and node.node.name == "steps"


def _folded(node: Node) -> Node:
    """Make one constant of a list or object of constants."""
    parts = cast("tuple[Node, ...]", node[1:])
    if not all(part[0] in {"const", "json"} for part in parts):
        return node
    values = [cast(Json, part[1]) if part[0] == "const" else cast(Json, decode(cast(str, part[1]))) for part in parts]
    if node[0] == "list":
        return ("json", encode(values))
    if not all(isinstance(key, str) for key in values[::2]):
        return node
    return ("json", encode(dict(zip(cast("list[str]", values[::2]), values[1::2], strict=True))))
