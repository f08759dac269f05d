"""What is known before a run: expressions evaluated as far as inputs alone decide them, with named holes for the rest.

A hole stands in a text as `⟨state.plan⟩`. Registered functions, time, chance, the environment and secrets are holes always: a plan calls nothing
and gives the same for the same inputs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, cast

from treadle.core.errors import RequestError
from treadle.core.expr import Env, Expr, ExprError, NeedBlobs, Node, evaluate, evaluate_condition
from treadle.core.expr.tree import preorder
from treadle.core.values import Json

_NOT_KNOWN_BEFORE: Final = frozenset({"now", "uuid", "random", "env"})
_BINDS: Final = frozenset({"set", "capture"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Partial:
    """A value as far as it is known; `holes` names what it still needs, in order. Without holes it is the value."""

    value: Json
    holes: tuple[str, ...] = ()
    fault: str = ""

    @property
    def is_known(self) -> bool:
        """Tell whether nothing is missing."""
        return not self.holes and not self.fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What an expression can see that is known: fields that are missing here are not known yet.

    `declared` counts the inputs, and `written` names every state field, so that it can be told whether all are known. `stands_for` says what
    a local name that is not known waits for.
    """

    inputs: Mapping[str, Json] = field(default_factory=dict[str, Json])
    state: Mapping[str, Json] = field(default_factory=dict[str, Json])
    names: Mapping[str, Json] = field(default_factory=dict[str, Json])
    declared: int = 0
    written: frozenset[str] = frozenset()
    stands_for: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])

    def with_state(self, **fields: Json) -> "Known":
        """Give what is known after fields were written."""
        return replace(self, state={**self.state, **fields})

    def without(self, *fields: str) -> "Known":
        """Give what is known after fields were written with something that is not known."""
        return replace(self, state={name: value for name, value in self.state.items() if name not in fields})

    def with_names(self, **names: Json) -> "Known":
        """Give what is known where further names are visible."""
        return replace(self, names={**self.names, **names})

    def without_names(self, *names: str) -> "Known":
        """Give what is known where names stand for something that is not."""
        return replace(self, names={name: value for name, value in self.names.items() if name not in names})

    def common(self, other: "Known") -> "Known":
        """Give what is known whichever of two ways was taken."""
        return replace(
            self, state={name: value for name, value in self.state.items() if name in other.state and other.state[name] == value}
        )


def partially(expr: Expr, known: Known) -> Partial:
    """Evaluate an expression as far as it goes."""
    holes = _holes(expr, known)
    if not holes:
        return _evaluated(expr, known)
    op, parts = expr.tree[0], expr.tree[1:]
    if op == "dict":
        return _dict(expr, cast(tuple[Node, ...], parts), known)
    if op == "list":
        return joined([partially(_part(expr, cast(Node, part)), known) for part in parts])
    if op == "text" and not any(isinstance(part, tuple) and part[0] in _BINDS for part in parts):
        return _text(expr, cast(tuple[str | Node, ...], parts), known)
    return Partial(value=hole(holes), holes=holes)


def decided(expr: Expr, known: Known) -> bool | Partial:
    """Decide a condition, or say what it waits for."""
    holes = _holes(expr, known)
    if holes:
        return Partial(value=hole(holes), holes=holes)
    try:
        return evaluate_condition(expr, _env(known))
    except ExprError as error:
        return Partial(value=None, fault=error.message)


def hole(names: tuple[str, ...]) -> str:
    """Write what is missing."""
    return f"⟨{', '.join(names)}⟩"


def _holes(expr: Expr, known: Known) -> tuple[str, ...]:
    """Name what an expression needs and is not known, each once."""
    found = [f"{expr.calls[cast(int, node[1])].function}(…)" for node in preorder(expr.tree) if node[0] == "call"]
    found += [f"{node[1]}()" for node in preorder(expr.tree) if node[0] == "fn" and node[1] in _NOT_KNOWN_BEFORE]
    found += ["random" for node in preorder(expr.tree) if node[0] == "filter" and node[1] == "random"]
    # What a lifted call reads is not evaluated here.
    reads = Expr(expr.tree).reads if expr.calls else expr.reads
    for read in reads:
        if not _is_known(read, known):
            found += known.stands_for.get(read.partition(".")[0], (read.removesuffix("[*]"),))
    return tuple(dict.fromkeys(found))


def _is_known(read: str, known: Known) -> bool:
    is_open = read.endswith("[*]")
    root, *keys = read.removesuffix("[*]").split(".")
    if root == "inputs":
        return keys[0] in known.inputs if keys else len(known.inputs) >= known.declared
    if root == "state":
        return keys[0] in known.state if keys else known.written <= set(known.state)
    return root in known.names and not (is_open and root in {"steps", "run"})


def _env(known: Known) -> Env:
    return Env(names={"inputs": dict(known.inputs), "state": dict(known.state), **known.names})


def _evaluated(expr: Expr, known: Known) -> Partial:
    try:
        return Partial(value=cast(Json, evaluate(expr, _env(known))))
    except ExprError as error:
        return Partial(value=None, fault=error.message)
    except NeedBlobs as error:
        raise RequestError("a plan holds no values that were set aside", code="bug") from error


def _part(expr: Expr, node: Node) -> Expr:
    return Expr(node, expr.calls)


def _dict(expr: Expr, parts: tuple[Node, ...], known: Known) -> Partial:
    values: dict[str, Json] = {}
    found: list[Partial] = []
    for key_node, value_node in zip(parts[::2], parts[1::2], strict=True):
        key, value = partially(_part(expr, key_node), known), partially(_part(expr, value_node), known)
        values[str(key.value)] = value.value
        found += [key, value]
    whole = joined(found)
    return Partial(value=values, holes=whole.holes, fault=whole.fault)


def _text(expr: Expr, parts: tuple[str | Node, ...], known: Known) -> Partial:
    found: list[Partial] = []
    for part in parts:
        if isinstance(part, str):
            found.append(Partial(value=part))
            continue
        # As a text of its own what is known reads as it does in the whole.
        alone = Expr(("text", part), expr.calls)
        holes = _holes(alone, known)
        found.append(Partial(value=hole(holes), holes=holes) if holes else _evaluated(alone, known))
    whole = joined(found)
    return Partial(value="".join(str(part.value) for part in found), holes=whole.holes, fault=whole.fault)


def joined(found: list[Partial]) -> Partial:
    """Make a list of parts."""
    holes = tuple(dict.fromkeys(name for part in found for name in part.holes))
    return Partial(value=[part.value for part in found], holes=holes, fault=next((part.fault for part in found if part.fault), ""))
