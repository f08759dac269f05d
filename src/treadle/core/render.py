"""Rendering: a node's expressions, evaluated over what its frame sees.

A registered function cannot be called here (ruling 4). Rendering therefore stops at the first call whose result is not known yet and asks for
it; when the result has come, the node is rendered again from its first field. Calls are numbered over all fields of a node in reading order,
and expressions are pure, so the second rendering passes the same calls with the same arguments.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from typing import TypeVar

from treadle.core.commands import Evaluate
from treadle.core.draft import Draft
from treadle.core.errors import StepFailedError, failure_at
from treadle.core.expr import Env, Expr, ExprError, drawing, evaluate, evaluate_call_args, evaluate_condition
from treadle.core.records import replace
from treadle.core.state import Frame, Node, frames_from
from treadle.core.values import Value
from treadle.core.worktrees import around

Result = TypeVar("Result")


class NeedCallError(Exception):
    """Rendering waits for a registered function."""

    def __init__(self, command: Evaluate) -> None:
        """Keep what to ask for."""
        super().__init__(command.function)
        self.command = command


@lru_cache(maxsize=64)
def instant(at_ms: int) -> str:
    """Write an instant as ISO-8601 UTC text with milliseconds (ruling 5)."""
    return f"{datetime.fromtimestamp(at_ms // 1000, UTC).isoformat()[:19]}.{at_ms % 1000:03d}Z"


class Renderer:
    """Evaluates the fields of one node."""

    def __init__(self, draft: Draft, node: Node) -> None:
        """Begin at the node's first field."""
        self.draft, self.node = draft, node
        self.ordinal = 0

    @cached_property
    def names(self) -> dict[str, Value]:
        """What the fields see; found out when the first of them asks."""
        names, tree = visible_names(self.draft, self.draft.frames[self.node.frame]), around(self.draft, self.node)
        return names if tree is None else {**names, "worktree": dict(tree)}

    def value(self, expr: Expr, field: str) -> Value:
        """Evaluate one field. Raises NeedCallError, StepFailedError, NeedBlobs."""
        if expr.tree[0] == "const" and isinstance(text := expr.tree[1], str):
            return text
        return self._evaluate(evaluate, expr, field)

    def truth(self, expr: Expr, field: str) -> bool:
        """Evaluate a condition; a text is an error (language.md §4). Raises as `value`."""
        return self._evaluate(evaluate_condition, expr, field)

    def call(self, function: str, version: str, args: tuple[Value, ...], kwargs: dict[str, Value] | None = None) -> Value:
        """Give the result of a registered function. Raises NeedCallError."""
        ordinal, results = self.ordinal, self.node.results
        if ordinal == len(results):
            raise NeedCallError(
                Evaluate(node=self.node.path, ordinal=ordinal, function=function, version=version, args=args, kwargs=kwargs or {})
            )
        self.ordinal += 1
        return results[ordinal]

    def _evaluate(self, how: Callable[[Expr, Env], Result], expr: Expr, field: str) -> Result:
        results: list[Value] = []
        try:
            for index, call in enumerate(expr.calls):
                known = self.ordinal < len(self.node.results)
                args, kwargs = ((), {}) if known else evaluate_call_args(expr, index, self._env(field, results))
                results.append(self.call(call.function, call.version, args, kwargs))
            return how(expr, self._env(field, results))
        except ExprError as error:
            place = f"step `{self.node.path}`" if self.node.path else "the workflow"
            hint = f" ({error.suggestion})" if error.suggestion else ""
            error_class = "budget" if error.code == "budget" else "expression"
            raise StepFailedError(failure_at(self.node.path, error_class, f"`{field}` of {place}: {error.message}{hint}")) from error

    def _env(self, field: str, results: Sequence[Value]) -> Env:
        draft = self.draft
        return Env(
            names=self.names, results=results, now_ms=draft.now_ms, env_vars=draft.base.env, blobs=draft.blobs,
            draw=drawing(draft.base.seed, self.node.path, field), moves_max=draft.definition.limits.expression_moves_max,
        )  # fmt: skip


def visible_names(draft: Draft, frame: Frame) -> dict[str, Value]:
    """Give the names that expressions see in a frame: the innermost round wins, nothing crosses a scope (language.md §3, §5)."""
    names: dict[str, Value] = {}
    steps: dict[str, Value] = {}
    for inner in frames_from(draft.frames, frame):
        steps = {**inner.steps, **steps} if steps and inner.steps else steps or inner.steps
        if inner.error is not None:
            names.setdefault("error", inner.error.shown())
        if inner.state is not None:
            names |= {"state": inner.state, "inputs": inner.inputs or {}}
        elif inner.index is not None:
            loop: dict[str, Value] = {"index": inner.index + 1, "index0": inner.index, "first": inner.index == 0}
            if inner.count >= 0:
                loop |= {"last": inner.index == inner.count - 1, "length": inner.count}
                names.setdefault("item", inner.item)
            names.setdefault("loop", loop)
            if inner.item_name is not None:
                names.setdefault(inner.item_name, inner.item)
    started = instant(draft.base.started_at_ms)
    names["run"] = {"id": draft.base.run_id, "started_at": started, "now": instant(draft.now_ms)}
    names["steps"] = steps
    return names


def with_result(node: Node, value: Value) -> Node:
    """Give a node with one more result of a registered function."""
    return replace(node, results=(*node.results, value))
