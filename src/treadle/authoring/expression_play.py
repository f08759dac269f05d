"""A playground: one expression or text over data that is at hand, for `treadle eval`; the compiler and the evaluator that a run uses.

Functions are called where the expression calls them, under the same conditions as in a run: only pure ones, files of a project only when
they are trusted (ruling 58). Nothing is stored.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from treadle.authoring.expressions import ExpressionProblemsError, Functions, compile_text, has_template
from treadle.authoring.problems import Problem
from treadle.core.aside import named
from treadle.core.expr import Env, Expr, ExprError, drawing, evaluate_call_args, evaluate_counted
from treadle.core.values import Value
from treadle.ports import FunctionFailedError
from treadle.ports import Functions as Caller

FILE = "expression"
_OPEN, _CLOSE = "{{ ", " }}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came out: a value, or problems placed in `source`. `is_text` tells that it was a text with templates, and no expression alone."""

    source: str
    value: Value = None
    problems: tuple[Problem, ...] = ()
    is_text: bool = False
    moves: int = 0


class Playground:
    """Evaluates what it is given. `functions` are the names that expressions may call, `caller` calls them."""

    def __init__(self, functions: Functions, caller: Caller, *, now_ms: int, seed: str) -> None:
        """Fix the instant of `now()` and where `random()` begins."""
        self._functions, self._caller = functions, caller
        self._now_ms, self._seed = now_ms, seed

    def answer(self, source: str, context: Mapping[str, Value]) -> Answer:
        """Evaluate an expression, with or without its braces, or a text with templates. Never raises for what the author wrote."""
        bare = not has_template(source)
        written = f"{_OPEN}{source}{_CLOSE}" if bare else source
        shift = len(_OPEN) if bare else 0
        try:
            expr = compile_text(written, functions=self._functions, known=context)
        except ExpressionProblemsError as error:
            faults = ((p.code, p.message, p.offset - shift, p.suggestion) for p in error.problems)
            return Answer(source=source, problems=tuple(_problem(source, *fault) for fault in faults))
        try:
            value, moves = self._evaluated(expr, context)
        except ExprError as error:
            offset = (error.column or 1) - 1 - shift
            return Answer(source=source, problems=(_problem(source, error.code, error.message, offset, error.suggestion),))
        except FunctionFailedError as error:
            return Answer(source=source, problems=(_problem(source, "function", str(error), 0, "`treadle functions` lists them"),))
        is_text = expr.tree[0] == "text" or not written.lstrip().startswith("{{")
        return Answer(source=source, value=named(value), is_text=is_text, moves=moves)

    def _evaluated(self, expr: Expr, context: Mapping[str, Value]) -> tuple[Value, int]:
        results: list[Value] = []
        env = Env(
            names=with_step_names(context),
            results=results,
            now_ms=self._now_ms,
            draw=drawing(self._seed, "", ""),
        )
        for index, call in enumerate(expr.calls):
            args, kwargs = evaluate_call_args(expr, index, env)
            results.append(self._caller.call(call.function, call.version, args, kwargs))
        return evaluate_counted(expr, env)


def with_step_names(context: Mapping[str, Value]) -> Mapping[str, Value]:
    """Give the names with the ids of `steps` as expressions know them: `-` is written `_` there (ruling 9)."""
    steps = context.get("steps")
    if not isinstance(steps, dict):
        return context
    return {**context, "steps": {name.replace("-", "_"): record for name, record in cast("dict[str, Value]", steps).items()}}


def _problem(source: str, code: str, message: str, offset: int, suggestion: str) -> Problem:
    before = source[: max(0, min(offset, len(source)))]
    line = before.count("\n") + 1
    column = len(before) - (before.rfind("\n") + 1) + 1
    return Problem(code=code, severity="error", file=FILE, line=line, column=column, path="", message=message, suggestion=suggestion)
