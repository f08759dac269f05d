"""The shape of an expression where it stands: what names hold, what steps give, what operations make of it (language.md §2, §4, §9).

A state field is whatever any step or `initial_state` writes to it; a field that depends on itself is not known. Reads by a key that cannot
be there are faults, each told once at its place, unless the expression asks about them (`is defined`, `default`, a test of the kind).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple, cast

from treadle.authoring.constants import UNKNOWN, field_value
from treadle.authoring.problems import did_you_mean, listed
from treadle.authoring.scopes import Scope, Site
from treadle.authoring.shapes import (
    FLAG,
    LIST,
    MAP,
    NULL,
    NUMBER,
    TEXT,
    Known,
    Shape,
    below,
    joined,
    list_of,
    of_schema,
    of_value,
    one_of,
    or_null,
    record,
    without_values,
)
from treadle.authoring.tree import StepTree, Use
from treadle.core.expr import Expr
from treadle.core.expr.tree import Node, Tree, preorder
from treadle.core.schema_expected import expected_answer
from treadle.core.values import Json, Value, decode

_ERROR: Final = {"class": TEXT, "message": TEXT, "step": TEXT}
_STATUS: Final = one_of("completed", "skipped", "failed", "cancelled", "running", "pending")
_LOOP: Final = record(index=NUMBER, index0=NUMBER, first=FLAG, last=FLAG, length=NUMBER)
_RUN: Final = record(id=TEXT, started_at=TEXT, now=TEXT)
_WORKTREE: Final = record(path=TEXT, base=TEXT, ref=TEXT)
_FILTERS: Final[dict[str, Known]] = {
    **dict.fromkeys(("length", "int", "float", "round", "abs", "sum", "wordcount", "days_between"), NUMBER),
    **dict.fromkeys(
        ("upper", "lower", "title", "capitalize", "trim", "replace", "join", "string", "tojson", "toyaml", "truncate", "truncate_tokens",
         "indent", "center", "hash", "urlencode", "shell_quote", "regex_replace", "base64_encode", "wordwrap", "filesizeformat", "decimal",
         "round_money", "date", "instant", "add_days", "strftime"), TEXT,
    ),
    **dict.fromkeys(("split", "list", "sort", "unique", "dictsort", "groupby", "batch", "chunk", "slice", "items", "zip", "regex_findall"), LIST),
    "bool": FLAG, "merge": MAP,
}  # fmt: skip
_PROMPT_FIELDS: Final = ("options", "multiple", "fields")


class Fault(NamedTuple):
    """A read that finds nothing: the name and the keys up to the one that is not there, and why."""

    root: str
    keys: tuple[str, ...]
    message: str
    suggestion: str
    is_error: bool


@dataclass(slots=True)
class Shapes:
    """What the names of one scope hold."""

    scope: Scope
    _state: dict[str, Shape] = field(default_factory=dict[str, Shape])
    _open: set[str] = field(default_factory=set[str])
    _results: dict[int, Shape] = field(default_factory=dict[int, Shape])

    def of(self, use: Use, site: Site) -> Shape:
        """Give the shape of an expression."""
        return _Walk(self, site, []).shape(use.expr.tree)

    def look(self, use: Use, site: Site) -> tuple[list[Fault], list[Node]]:
        """Give the reads of an expression that find nothing, each once, and its comparisons."""
        walk = _Walk(self, site, [])
        walk.all(use.expr)
        if not walk.faults:
            return [], walk.compared
        asked = set(_asked(use.expr))
        faults = [
            fault for fault in dict.fromkeys(walk.faults) if not any((fault.root, *fault.keys)[: len(path)] == path for path in asked)
        ]
        return faults, walk.compared

    def walk(self, site: Site, node: Node) -> Shape:
        """Give the shape of a part of an expression."""
        return _Walk(self, site, []).shape(node)

    def root(self, name: str, site: Site) -> Shape:
        """Give what a name holds, of those whose keys are not computed."""
        if name == "loop":
            return _LOOP if "loop" in site.names else None
        if name == "worktree":
            return _WORKTREE if name in site.names else None
        if name == "error":
            return Known(kinds=frozenset({"object"}), keys=_ERROR, closed=True)
        return _RUN if name == "run" else None

    def input(self, name: str) -> Shape:
        """Give the shape of an input."""
        rule = self.scope.task.inputs.get(name)
        if rule is None:
            return None
        plain = {key: value for key, value in rule.items() if key not in {"required", "default"}}
        found = of_schema(cast(Json, plain))
        return found if rule.get("required") is True or "default" in rule else or_null(found)

    def state(self, name: str) -> Shape:
        """Give the shape of a state field: all that is ever written to it, within what `state_schema` lets pass."""
        if name in self._open or name not in self.scope.written:
            return None
        if name not in self._state:
            self._open.add(name)
            self._state[name] = joined(self._written(name))
            self._open.discard(name)
        return self._state[name]

    def _written(self, name: str) -> Iterator[Shape]:
        task = self.scope.task
        node = task.node.entries.get("initial_state")
        read = dict(task.exprs("initial_state"))
        initial = Site(step=None, chain=(), names=frozenset({"inputs", "state", "run"}))
        if name in read:
            yield self.walk(initial, read[name].tree)
        elif node is not None and name in getattr(node, "entries", ()):
            yield None
        for site in self.scope.sites:
            step = site.step
            if step is None:
                continue
            if step.broken and any(written == name for written, _ in Scope.writes_of(step)):
                yield None
            if step.fields.get("output_to") == name:
                yield self.result(step, site)
            updates = step.fields.get("updates")
            for key, expr in cast("list[tuple[str, Expr]]", updates) if isinstance(updates, list) else ():
                if key == name:
                    yield self.walk(site, expr.tree)

    def result(self, step: StepTree, site: Site) -> Shape:
        """Give the shape of a step's result, null where it may be missing."""
        if id(step) not in self._results:
            # While it is worked out it is not known: a step may lead back to itself.
            self._results[id(step)] = None
            self._results[id(step)] = self._worked_out(step, site)
        return self._results[id(step)]

    def _worked_out(self, step: StepTree, site: Site) -> Shape:
        found = None if step.broken or not step.type else self._result(step, site)
        if "when" in step.places or step.fields.get("on_error") == "continue":
            found = or_null(found)
        on_error = step.fields.get("on_error")
        if isinstance(on_error, dict):
            policy = cast("dict[str, object]", on_error)
            fallback = policy.get("fallback")
            found = joined([found, self.walk(site, fallback.tree)]) if isinstance(fallback, Expr) else or_null(found)
        return found

    def _result(self, step: StepTree, site: Site) -> Shape:
        fields = step.fields
        match step.type:
            case "prompt":
                return _answer(step)
            case "approve":
                return record(approved=FLAG, by=None, at=TEXT, note=None, digest=TEXT, assurance=TEXT)
            case "delegate":
                return of_schema(cast(Json, fields["output"])) if "output" in fields else TEXT
            case "http":
                return record(status=NUMBER, headers=MAP, json=None, text=TEXT)
            case "shell":
                also: dict[str, Shape] = {"value": None} if "parse" in step.node.entries else {}
                return record(stdout=TEXT, stderr=TEXT, exit_code=NUMBER, duration_ms=NUMBER, truncated=None, **also)
            case "foreach":
                return self._rounds(step, site)
            case "parallel":
                return _branches(step)
            case "while" | "repeat":
                return record(iterations=NUMBER)
            case "wait":
                signal = of_schema(cast(Json, fields.get("payload")))
                return signal if "signal" in step.places else record(waited_ms=NUMBER)
            case "run":
                return NULL if fields.get("detach") is True else None
            case "merge":
                return record(merged=None, conflicts=LIST)
            case "set_state" | "condition" | "switch":
                return NULL
            case _:
                return None

    def _rounds(self, step: StepTree, site: Site) -> Shape:
        if "task" in step.places or "do" not in step.places:
            return LIST
        output = next((use for use in step.uses if use.field == "output"), None)
        if output is None:
            return list_of(NULL)
        inner = self.of(output, self.scope.at(site, output))
        return list_of(or_null(inner) if step.fields.get("on_item_error") == "collect" else inner)

    def item(self, name: str, site: Site) -> Shape:
        """Give what `item`, or the name that a foreach gave it, holds."""
        for loop in reversed(site.chain):
            found = self.scope.steps.get(loop.replace("-", "_"))
            if found is None or found.step.type != "foreach":
                continue
            if name in {"item", found.step.fields.get("as")}:
                items = field_value(found.step, "items")
                return without_values(below(of_value(cast(Json, items)), 0)) if items is not UNKNOWN else None
        return None


@dataclass(slots=True)
class _Walk:
    shapes: Shapes
    site: Site
    faults: list[Fault]
    compared: list[Node] = field(default_factory=list[Node])

    def all(self, expr: Expr) -> None:
        """Walk a whole expression, for its faults."""
        self.shape(expr.tree)
        for call in expr.calls:
            for arg in (*call.args, *(arg for _, arg in call.kwargs)):
                self.shape(arg)

    def shape(self, node: Tree) -> Shape:
        if not isinstance(node, tuple) or not node or not isinstance(node[0], str):
            return None
        if node[0] in {"default", "defined"}:
            # What is asked for may be missing; what leads there may not.
            inner = _Walk(self.shapes, self.site, [], self.compared).shape(node[1])
            rest = [self.shape(part) for part in node[2:]]
            return FLAG if node[0] == "defined" else joined([inner, rest[0]])
        op = node[0]
        if op == "path":
            return self._path(node)
        if op == "cmp":
            self.compared.append(node)
        return self._made(node, [self.shape(part) for part in node[1:]])

    def _made(self, node: Node, parts: list[Shape]) -> Shape:
        match node[0]:
            case "const":
                return of_value(cast(Json, node[1]))
            case "json":
                return of_value(cast(Json, decode(cast(str, node[1]))))
            case "list":
                return list_of(joined(parts) if parts else None)
            case "dict":
                return self._dict(node, parts)
            case "name":
                return self._name(cast(str, node[1]))
            case "and" | "or":
                return joined(parts)
            case "if":
                return joined(parts[1:]) if node[3] is not None else None
            case "not" | "cmp" | "test":
                return FLAG
            case "text" | "cat":
                return TEXT
            case "neg" | "pos":
                return NUMBER
            case "arith":
                return NUMBER if all(part == NUMBER or (part is not None and part.kinds == {"number"}) for part in parts[::2]) else None
            case "filter":
                return _FILTERS.get(cast(str, node[1]))
            case "fn":
                return TEXT if node[1] in {"now", "uuid"} else LIST if node[1] == "range" else None
            case "map":
                return LIST
            case _:
                return None

    def _dict(self, node: Node, parts: list[Shape]) -> Shape:
        keys = [key[1] if isinstance(key, tuple) and key[0] == "const" else None for key in node[1::2]]
        if not all(isinstance(key, str) for key in keys):
            return MAP
        return record(**dict(zip(cast("list[str]", keys), parts[1::2], strict=True)))

    def _name(self, name: str) -> Shape:
        site, shapes = self.site, self.shapes
        if name == "item" or (
            site.step is not None and name not in {"inputs", "state", "steps", "run", "loop", "error", "secrets", "worktree"}
        ):
            let = dict(cast("list[tuple[str, Expr]]", site.step.fields.get("let") or [])) if site.step is not None else {}
            if name in let:
                return None
            return shapes.item(name, site)
        return shapes.root(name, site)

    def _path(self, node: Node) -> Shape:
        base = node[1]
        keys = list(node[2:])
        for key in keys:
            self.shape(key)
        if not isinstance(base, tuple) or base[0] != "name":
            found = self.shape(base)
            for key in keys:
                found = below(found, key) if isinstance(key, str | int) and not isinstance(key, bool) else None
            return found
        root, used = cast(str, base[1]), 0
        first = keys[0] if keys and isinstance(keys[0], str) else ""
        if root in {"inputs", "state", "steps"}:
            if not first:
                return None
            found, used = (
                (self.shapes.input(first) if root == "inputs" else self.shapes.state(first) if root == "state" else self._step(first)),
                1,
            )
        else:
            found = self._name(root)
        return self._keys(root, keys, used, found)

    def _keys(self, root: str, keys: list[Tree], used: int, found: Shape) -> Shape:
        done = [key for key in keys[:used] if isinstance(key, str)]
        for key in keys[used:]:
            if found is None or not isinstance(key, str | int) or isinstance(key, bool):
                return None
            if isinstance(key, str):
                done.append(key)
                fault = _fault(root, tuple(done), key, found)
                if fault is not None:
                    self.faults.append(fault)
                    return None
            found = below(found, key)
        return found

    def _step(self, name: str) -> Shape:
        found = self.shapes.scope.steps.get(name)
        if found is None or found.step.implicit or found.chain != self.site.chain[: len(found.chain)]:
            return None
        result = self.shapes.result(found.step, found.site)
        error = Known(kinds=frozenset({"object", "null"}), keys=_ERROR, closed=True)
        errors = list_of(Known(kinds=frozenset({"object"}), keys={**_ERROR, "index": NUMBER}, closed=True))
        keys = {"status": _STATUS, "result": result, "error": error, "errors": errors, "visits": NUMBER, "worktree": None}
        # Which keys a step has is told with its name.
        return Known(kinds=frozenset({"object"}), keys=keys)


def _fault(root: str, keys: tuple[str, ...], key: str, found: Known) -> Fault | None:
    before = ".".join((root, *keys[:-1]))
    if root == "steps" and len(keys) == 2:
        return None
    if "object" not in found.kinds:
        hint = (
            f"the value itself is what is asked for: write `{before}`"
            if "string" in found.kinds <= {"string", "number", "boolean", "null"}
            else ""
        )
        if "array" in found.kinds:
            hint = f"of one item: `{before}[0].{key}`; of each: `{before} | map(attribute='{key}')`"
        return Fault(root, keys, f"`{before}` is {found} and has no `{key}`", hint, is_error=True)
    if key in found.keys or not (found.closed or found.keys):
        return None
    if root in {"loop", "run", "error", "worktree"} and len(keys) == 1:
        return None
    near = did_you_mean(key, found.keys)
    hint = near or f"there {'is' if len(found.keys) == 1 else 'are'}: {listed(found.keys)}"
    if found.closed:
        return Fault(root, keys, f"`{before}` has no `{key}`", hint, is_error=True)
    return Fault(root, keys, f"nothing says that `{before}` has a `{key}`", hint, is_error=False)


def _asked(expr: Expr) -> Iterator[tuple[str, ...]]:
    """Give the paths of which an expression asks what they are."""
    for node in preorder(expr.tree):
        if node[0] in {"defined", "default", "test"}:
            base = node[2] if node[0] == "test" else node[1]
            if isinstance(base, tuple) and base[0] == "path" and isinstance(base[1], tuple) and base[1][0] == "name":
                yield (cast(str, base[1][1]), *(key for key in base[2:] if isinstance(key, str)))


def _answer(step: StepTree) -> Shape:
    form = step.fields.get("format", "text")
    if form == "info":
        return NULL
    params: dict[str, object] = {"format": form}
    for name in _PROMPT_FIELDS:
        if name in step.places:
            value = field_value(step, name) if name == "options" else step.fields.get(name)
            if value is UNKNOWN or value is None:
                return None if form != "choice" or name != "options" else LIST if step.fields.get("multiple") is True else None
            params[name] = value
    return of_schema(cast(Json, expected_answer("prompt", cast("dict[str, Value]", params))))


def _branches(step: StepTree) -> Shape:
    names = [name.removeprefix("branches.") for name in step.lists if name.startswith("branches.")]
    results = record(**dict.fromkeys(names))
    if step.fields.get("join", "all") == "all":
        return results
    return record(winners=LIST, results=results)
