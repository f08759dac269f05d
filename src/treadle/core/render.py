"""Rendering: a node's expressions, evaluated over what its frame sees.

A registered function cannot be called here (ruling 4). Rendering therefore stops at the first call whose result is not known yet and asks for
it; when the result has come, the node is rendered again from its first field. Calls are numbered over all fields of a node in reading order,
and expressions are pure, so the second rendering passes the same calls with the same arguments.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from treadle.core.commands import Evaluate
from treadle.core.draft import Draft
from treadle.core.errors import Failure
from treadle.core.expr import Env, Expr, ExprError, drawing, evaluate, evaluate_call_args
from treadle.core.state import Frame, Node
from treadle.core.values import Value, normalise


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


def instant(at_ms: int) -> str:
    """Write an instant as ISO-8601 UTC text with milliseconds (ruling 5)."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at_ms % 1000:03d}Z"


class Renderer:
    """Evaluates the fields of one node."""

    def __init__(self, draft: Draft, node: Node) -> None:
        """Begin at the node's first field."""
        self.draft, self.node = draft, node
        self.ordinal = 0
        self.names = visible_names(draft, draft.frames[node.frame])

    def value(self, expr: Expr, field: str) -> Value:
        """Evaluate one field. Raises NeedCallError, RenderFailedError, NeedBlobs."""
        env = Env(
            names=self.names,
            results=self._results(expr, field),
            now_ms=self.draft.now_ms,
            draw=drawing(self.draft.base.seed, self.node.path, field),
            env_vars=self.draft.base.env,
            blobs=self.draft.blobs,
        )
        try:
            return normalise(evaluate(expr, env), refs=True)
        except ExprError as error:
            raise self._failed(error, field) from error

    def truth(self, expr: Expr, field: str) -> bool:
        """Evaluate a condition; a text is an error (language.md §4)."""
        found = self.value(expr, field)
        if isinstance(found, str):
            message = f"`{field}` of {self._place()} gave the text {found[:40]!r}; a condition must give a value that is no text"
            raise RenderFailedError(Failure(error_class="expression", message=message, step=self.node.path))
        return bool(found)

    def _results(self, expr: Expr, field: str) -> Sequence[Value]:
        results: list[Value] = []
        for index, call in enumerate(expr.calls):
            known = self.node.results
            if self.ordinal >= len(known):
                env = Env(
                    names=self.names, results=results, now_ms=self.draft.now_ms, env_vars=self.draft.base.env,
                    draw=drawing(self.draft.base.seed, self.node.path, field), blobs=self.draft.blobs,
                )  # fmt: skip
                try:
                    args, kwargs = evaluate_call_args(expr, index, env)
                except ExprError as error:
                    raise self._failed(error, field) from error
                raise NeedCallError(
                    Evaluate(
                        node=self.node.path, ordinal=self.ordinal, function=call.function, version=call.version,
                        args=tuple(args), kwargs=dict(kwargs),
                    )
                )  # fmt: skip
            results.append(known[self.ordinal])
            self.ordinal += 1
        return results

    def _place(self) -> str:
        return f"step `{self.node.path}`" if self.node.path else "the workflow"

    def _failed(self, error: ExprError, field: str) -> RenderFailedError:
        hint = f" ({error.suggestion})" if error.suggestion else ""
        message = f"`{field}` of {self._place()}: {error.message}{hint}"
        error_class = "budget" if error.code == "budget" else "expression"
        return RenderFailedError(Failure(error_class=error_class, message=message, step=self.node.path))


def visible_names(draft: Draft, frame: Frame) -> dict[str, Value]:
    """Give the names that expressions see in a frame: the innermost round wins, nothing crosses a scope (language.md §3, §5)."""
    run: dict[str, Value] = {
        "id": draft.base.run_id,
        "started_at": instant(draft.base.started_at_ms),
        "now": instant(draft.now_ms),
    }
    names: dict[str, Value] = {"run": run}
    steps: dict[str, Value] = {}
    inner: Frame | None = frame
    while inner is not None:
        if steps and inner.steps:
            steps = {**inner.steps, **steps}
        elif inner.steps:
            steps = inner.steps
        if inner.index is not None and "item" not in names and (inner.state is None or inner.item is not None):
            names["item"] = inner.item
            names[inner.item_name or "item"] = inner.item
            names["loop"] = _loop(inner.index, inner.count)
        if inner.error is not None and "error" not in names:
            names["error"] = inner.error.shown()
        if inner.state is not None:
            names["state"], names["inputs"] = inner.state, inner.inputs or {}
            break
        inner = draft.frames[inner.outer] if inner.outer is not None else None
    names["steps"] = steps
    return names


def _loop(index: int, count: int) -> Value:
    return {"index": index + 1, "index0": index, "first": index == 0, "last": index == count - 1, "length": count}


def with_result(node: Node, value: Value) -> Node:
    """Give a node with one more result of a registered function."""
    return replace(node, results=(*node.results, value))
