"""Rendering: a node's expressions, evaluated over what its frame sees.

A registered function cannot be called here (ruling 4). Rendering therefore stops at the first call whose result is not known yet and asks for
it; when the result has come, the node is rendered again from its first field. Calls are numbered over all fields of a node in reading order,
and expressions are pure, so the second rendering passes the same calls with the same arguments.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache

from treadle.core.commands import Evaluate
from treadle.core.draft import Draft
from treadle.core.errors import Failure
from treadle.core.expr import Env, Expr, ExprError, drawing, evaluate, evaluate_call_args, evaluate_condition
from treadle.core.records import replace
from treadle.core.state import Frame, Node
from treadle.core.values import Value
from treadle.core.worktrees import around


class NeedCallError(Exception):
    """Rendering waits for a registered function."""

    def __init__(self, command: Evaluate) -> None:
        """Keep what to ask for."""
        super().__init__(command.function)
        self.command = command


class RenderFailedError(Exception):
    """A field could not be evaluated; `failure` says why, as data of the run."""

    def __init__(self, failure: Failure) -> None:
        """Keep the failure."""
        super().__init__(failure.message)
        self.failure = failure


@lru_cache(maxsize=64)
def instant(at_ms: int) -> str:
    """Write an instant as ISO-8601 UTC text with milliseconds (ruling 5)."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at_ms % 1000:03d}Z"


class Renderer:
    """Evaluates the fields of one node."""

    def __init__(self, draft: Draft, node: Node) -> None:
        """Begin at the node's first field."""
        self.draft, self.node = draft, node
        self.ordinal = 0
        self.names = visible_names(draft, draft.frames[node.frame])
        if (tree := around(draft, node)) is not None:
            self.names["worktree"] = dict(tree)

    def value(self, expr: Expr, field: str) -> Value:
        """Evaluate one field. Raises NeedCallError, RenderFailedError, NeedBlobs."""
        try:
            return evaluate(expr, self._env(field, self._results(expr, field)))
        except ExprError as error:
            raise self._failed(error, field) from error

    def truth(self, expr: Expr, field: str) -> bool:
        """Evaluate a condition; a text is an error (language.md §4). Raises as `value`."""
        try:
            return evaluate_condition(expr, self._env(field, self._results(expr, field)))
        except ExprError as error:
            raise self._failed(error, field) from error

    def _env(self, field: str, results: Sequence[Value]) -> Env:
        draft = self.draft
        return Env(
            names=self.names, results=results, now_ms=draft.now_ms, env_vars=draft.base.env, blobs=draft.blobs,
            draw=drawing(draft.base.seed, self.node.path, field), moves_max=draft.definition.limits.expression_moves_max,
        )  # fmt: skip

    def _results(self, expr: Expr, field: str) -> Sequence[Value]:
        results: list[Value] = []
        for index, call in enumerate(expr.calls):
            if self.ordinal == len(self.node.results):
                args, kwargs = evaluate_call_args(expr, index, self._env(field, results))
                raise NeedCallError(
                    Evaluate(
                        node=self.node.path, ordinal=self.ordinal, function=call.function, version=call.version, args=args,
                        kwargs=kwargs,
                    )
                )  # fmt: skip
            results.append(self.node.results[self.ordinal])
            self.ordinal += 1
        return results

    def call(self, function: str, version: str, args: tuple[Value, ...]) -> Value:
        """Give the result of a function that a step itself needs. Raises NeedCallError."""
        if self.ordinal == len(self.node.results):
            command = Evaluate(node=self.node.path, ordinal=self.ordinal, function=function, version=version, args=args, kwargs={})
            raise NeedCallError(command)
        self.ordinal += 1
        return self.node.results[self.ordinal - 1]

    def _failed(self, error: ExprError, field: str) -> RenderFailedError:
        place = f"step `{self.node.path}`" if self.node.path else "the workflow"
        hint = f" ({error.suggestion})" if error.suggestion else ""
        error_class = "budget" if error.code == "budget" else "expression"
        message = f"`{field}` of {place}: {error.message}{hint}"
        return RenderFailedError(Failure(error_class=error_class, message=message, step=self.node.path))


def visible_names(draft: Draft, frame: Frame) -> dict[str, Value]:
    """Give the names that expressions see in a frame: the innermost round wins, nothing crosses a scope (language.md §3, §5)."""
    names: dict[str, Value] = {}
    steps: dict[str, Value] = {}
    inner: Frame | None = frame
    while inner is not None:
        steps = {**inner.steps, **steps} if steps and inner.steps else steps or inner.steps
        if inner.error is not None:
            names.setdefault("error", inner.error.shown())
        if inner.state is not None:
            names |= {"state": inner.state, "inputs": inner.inputs or {}}
            break
        if inner.index is not None and inner.count < 0:
            names.setdefault("loop", {"index": inner.index + 1, "index0": inner.index, "first": inner.index == 0})
        elif inner.index is not None:
            names.setdefault("item", inner.item)
            names.setdefault("loop", _loop(inner.index, inner.count))
            if inner.item_name is not None:
                names.setdefault(inner.item_name, inner.item)
        inner = draft.frames[inner.outer] if inner.outer is not None else None
    started = instant(draft.base.started_at_ms)
    names["run"] = {"id": draft.base.run_id, "started_at": started, "now": instant(draft.now_ms)}
    names["steps"] = steps
    return names


def _loop(index: int, count: int) -> Value:
    return {"index": index + 1, "index0": index, "first": index == 0, "last": index == count - 1, "length": count}


def with_result(node: Node, value: Value) -> Node:
    """Give a node with one more result of a registered function."""
    return replace(node, results=(*node.results, value))
