"""Applying filters and tests to compiled values: arguments are bound by the tables of the core, loops get slots, faults are collected."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NoReturn

from treadle.authoring.expression_names import FILTERS_NOT_THERE, TESTS_NOT_THERE
from treadle.authoring.expression_scan import SourceFault
from treadle.core.expr.table import FILTER_ALIASES, FILTERS, TEST_ALIASES, TESTS, Entry, Required
from treadle.core.expr.tree import Node, Tree
from treadle.core.nearest import nearest
from treadle.core.regex.matching import Regex
from treadle.core.regex.syntax import RegexError

NULL: Final[Node] = ("const", None)
_LOOPS: Final = frozenset({"map", "select", "reject", "selectattr", "rejectattr", "where", "pick", "to_object"})
FILTER_NAMES: Final = frozenset({*FILTERS, *FILTER_ALIASES, *_LOOPS, "default"})
TEST_NAMES: Final = frozenset({*TESTS, *TEST_ALIASES, "defined", "undefined"})
_TESTS_AS_COMPARISON: Final = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "in": "in"}
_PATTERN_FILTERS: Final = frozenset({"regex_search", "regex_findall", "regex_replace", "matching"})


class Applier:
    """Builds nodes out of nodes, notes faults and places, gives out slots."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.faults: list[SourceFault] = []
        self.columns: dict[int, int] = {}
        # A node that is dropped must not leave its identity, and so its place, to another.
        self.kept: list[Node] = []
        self.slots = 0

    def fault(self, code: str, message: str, offset: int, suggestion: str = "") -> Node:
        """Note a fault; gives what stands in its place."""
        self.faults.append(SourceFault(code, message, offset, suggestion))
        return NULL

    def slot(self) -> int:
        """Give a slot that nothing else uses."""
        self.slots += 1
        return self.slots - 1

    def placed(self, node: Node, offset: int) -> Node:
        """Remember where a node stands."""
        self.columns.setdefault(id(node), offset)
        self.kept.append(node)
        return node

    def bound(self, who: str, entry: Entry, args: Sequence[Node], named: Sequence[tuple[str, Node]], offset: int) -> list[Tree]:
        """Put arguments in the order of the parameters; null where none was given. Trailing ones are left out."""
        names = [name for name, _ in entry.parameters]
        bound: dict[str, Node] = dict(zip(names, args, strict=False))
        if len(args) > len(names):
            takes = f"takes {', '.join(f'`{name}`' for name in names)}" if names else "takes no arguments"
            self.fault("bad_arguments", f"`{who}` {takes}, and gets {len(args)}", offset)
        for name, value in named:
            if name not in names:
                meant = nearest(name, names)
                there = ", ".join(f"`{known}`" for known in names) or "none"
                self.fault(
                    "bad_arguments",
                    f"`{who}` has no argument `{name}`; it has {there}",
                    offset,
                    f"did you mean `{meant}`?" if meant else "",
                )
            elif name in bound:
                self.fault("bad_arguments", f"`{who}` gets `{name}` twice", offset)
            else:
                bound[name] = value
        lacking = [name for name, default in entry.parameters if isinstance(default, Required) and name not in bound]
        if lacking:
            self.fault("bad_arguments", f"`{who}` needs {', '.join(f'`{name}`' for name in lacking)}", offset)
        self._checkbound(who, bound, offset)
        given: list[Tree] = [bound.get(name) for name in names]
        while given and given[-1] is None:
            given.pop()
        return given

    def _checkbound(self, who: str, bound: Mapping[str, Node], offset: int) -> None:
        attribute = bound.get("attribute")
        if attribute is not None and attribute[0] != "const":
            self.fault(
                "not_literal",
                f"`attribute` of `{who}` is written out, not computed",
                offset,
                f"compute with `| {who}` over `pick(it[…])`",
            )
        pattern = bound.get("pattern")
        if who in _PATTERN_FILTERS and pattern is not None and pattern[0] == "const" and isinstance(pattern[1], str):
            try:
                Regex(pattern[1])
            except RegexError as error:
                self.fault(
                    "bad_regex",
                    f"`{who}` cannot use this pattern: {error}",
                    offset,
                    "the syntax is in the language reference",
                )

    def apply_filter(self, name: str, base: Node, args: list[Node], named: list[tuple[str, Node]], offset: int) -> Node:
        """Apply a filter whose arguments are compiled; also to the items of `map`."""
        name = FILTER_ALIASES.get(name, name)
        if name == "default":
            entry = Entry(described_only, (("default_value", ""), ("boolean", False)))
            given = self.bound(name, entry, args, named, offset)
            fallback, boolean = (*given, *(None, None))[:2]
            return ("default", base, fallback or ("const", ""), boolean or ("const", False))
        if name == "map":
            return self._map(base, args, named, offset)
        if name in _LOOPS:
            return self._select(name, base, args, named, offset)
        if name not in FILTERS:
            return self._unknown(name, "filter", FILTER_NAMES, FILTERS_NOT_THERE, offset)
        return ("filter", name, base, *self.bound(name, FILTERS[name], args, named, offset))

    def _unknown(self, name: str, kind: str, names: Iterable[str], hints: Mapping[str, str], offset: int) -> Node:
        meant = nearest(name, sorted(names))
        hint = hints.get(name) or (f"did you mean `{meant}`?" if meant else f"the {kind}s are in the language reference")
        code = "not_in_language" if name in hints and not meant else f"unknown_{kind}"
        return self.fault(code, f"there is no {kind} `{name}`", offset, hint)

    def _literal_name(self, who: str, kind: str, args: list[Node], offset: int) -> str | None:
        if args and args[0][0] == "const" and isinstance(args[0][1], str):
            return args[0][1]
        self.fault(
            "not_literal",
            f"`{who}` wants the name of a {kind} in quotes first",
            offset,
            f"for example `{who}('{'upper' if kind == 'filter' else 'defined'}')`",
        )
        return None

    def _hoisted(
        self, args: list[Node], named: list[tuple[str, Node]]
    ) -> tuple[list[tuple[int, Node]], list[Node], list[tuple[str, Node]]]:
        """Put arguments that are computed into slots, so that they are computed once and not per item."""
        kept: list[tuple[int, Node]] = []

        def once(node: Node) -> Node:
            if node[0] in {"const", "json", "local"}:
                return node
            kept.append((self.slot(), node))
            return ("local", kept[-1][0])

        return kept, [once(arg) for arg in args], [(key, once(arg)) for key, arg in named]

    def _wrapped(self, kept: list[tuple[int, Node]], node: Node) -> Node:
        for slot, value in reversed(kept):
            node = ("let", slot, value, node)
        return node

    def _map(self, base: Node, args: list[Node], named: list[tuple[str, Node]], offset: int) -> Node:
        keywords = dict(named)
        slot = self.slot()
        item: Node = ("local", slot)
        if not args and "attribute" in keywords:
            body = self._attribute("map", keywords.pop("attribute"), item, offset)
            if "default" in keywords:
                body = ("default", body, keywords.pop("default"), ("const", False))
            if keywords:
                self.fault(
                    "bad_arguments",
                    f"`map` has no argument `{next(iter(keywords))}`; it has `attribute` and `default`",
                    offset,
                )
            return ("map", slot, base, self.placed(body, offset))
        name = self._literal_name("map", "filter", args, offset)
        if name is None:
            return NULL
        kept, rest, rest_named = self._hoisted(args[1:], named)
        body = self.apply_filter(name, item, rest, rest_named, offset)
        return self._wrapped(kept, ("map", slot, base, self.placed(body, offset)))

    def _attribute(self, who: str, attribute: Node, item: Node, offset: int) -> Node:
        key = attribute[1]
        if attribute[0] != "const" or not isinstance(key, str | int) or isinstance(key, bool):
            return self.fault(
                "not_literal",
                f"`{who}` wants the name of an attribute in quotes",
                offset,
                f"`pick(it[…])` takes a computed one, `{who}` does not",
            )
        parts: list[str | int] = (
            [key] if isinstance(key, int) else [int(part) if part.isascii() and part.isdigit() else part for part in key.split(".")]
        )
        return self.placed(("path", item, *parts), offset)

    def _select(self, name: str, base: Node, args: list[Node], named: list[tuple[str, Node]], offset: int) -> Node:
        slot = self.slot()
        item: Node = ("local", slot)
        if name.endswith("attr"):
            if not args:
                return self.fault("bad_arguments", f"`{name}` needs the name of an attribute", offset)
            item = self._attribute(name, args[0], item, offset)
            args = args[1:]
        kept: list[tuple[int, Node]] = []
        body = item
        if args:
            test = self._literal_name(name, "test", args, offset)
            if test is None:
                return NULL
            kept, rest, rest_named = self._hoisted(args[1:], named)
            body = self.placed(self.apply_test(test, item, rest, rest_named, offset), offset)
        elif named:
            self.fault("bad_arguments", f"`{name}` has no argument `{named[0][0]}`", offset)
        return self._wrapped(kept, ("keep", slot, base, body, name.startswith("select")))

    def apply_test(self, name: str, base: Node, args: list[Node], named: list[tuple[str, Node]], offset: int) -> Node:
        """Apply a test whose arguments are compiled; also to the items of `select`."""
        name = {"None": "none"}.get(name, TEST_ALIASES.get(name, name))
        if name in {"defined", "undefined"}:
            self.bound(name, Entry(described_only), args, named, offset)
            defined: Node = ("defined", base)
            return defined if name == "defined" else ("not", defined)
        if name not in TESTS:
            return self._unknown(name, "test", TEST_NAMES, TESTS_NOT_THERE, offset)
        given = self.bound(name, TESTS[name], args, named, offset)
        if name in _TESTS_AS_COMPARISON and len(given) == 1:
            return ("cmp", base, _TESTS_AS_COMPARISON[name], given[0])
        return ("test", name, base, *given)


def described_only(*_: object) -> NoReturn:
    raise AssertionError("an entry that only describes parameters is never run")
