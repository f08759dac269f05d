"""Compiling what stands between braces, and putting its faults at their line and column."""

import re
from collections.abc import Mapping as Map
from typing import Final

from treadle.authoring.expressions import ExpressionProblem, compile_condition, compile_text
from treadle.authoring.places import Source
from treadle.authoring.problems import Problem
from treadle.authoring.yaml_reader import Mapping, Node, Scalar, Sequence, data_of, scalars
from treadle.core.expr import Expr, const
from treadle.functions import FunctionInfo

_OPENING = re.compile(r"\{\{|\{%|\{#")
_SINGLE: Final = re.compile(r"\s*\{\{(?:(?!\}\}).)*\}\}\s*\Z", re.DOTALL)


def has_template(text: str) -> bool:
    """Tell whether a text holds anything that is evaluated."""
    return _OPENING.search(text) is not None


class Templates:
    """Compiles the expressions of one file; `functions` are those that may be called."""

    def __init__(self, source: Source, functions: Map[str, FunctionInfo], problems: list[Problem]) -> None:
        """Report into `problems`."""
        self.source = source
        self.functions = {name: info.version for name, info in functions.items() if info.pure}
        self.problems = problems

    def is_single(self, text: str) -> bool:
        """Tell whether a text is exactly one `{{ }}`, which keeps its value's type."""
        return _SINGLE.match(text) is not None

    def text(self, node: Scalar) -> Expr | None:
        """Compile a text; None after reporting why not."""
        if not has_template(node.text):
            return const(node.text)
        try:
            return compile_text(node.text, self.functions)
        except ExpressionProblem as problem:
            return self._report(problem, node)

    def condition(self, node: Scalar) -> Expr | None:
        """Compile exactly one `{{ }}`; None after reporting why not."""
        try:
            return compile_condition(node.text, self.functions)
        except ExpressionProblem as problem:
            return self._report(problem, node)

    def data(self, node: Node) -> Expr | None:
        """Compile data with templates in its texts; None after reporting every one that cannot be."""
        if isinstance(node, Scalar) and isinstance(node.value, str):
            return self.text(node)
        if not any(isinstance(scalar.value, str) and has_template(scalar.text) for scalar in scalars(node)):
            return const(data_of(node))
        calls = []
        tree = self._node(node, calls)
        return Expr(tree, tuple(calls)) if tree is not None else None

    def _node(self, node, calls):
        if isinstance(node, Mapping):
            parts = [(("const", k), self._node(v, calls)) for k, v in node.entries.items()]
            return None if any(p[1] is None for p in parts) else ("dict", *(x for p in parts for x in p))
        if isinstance(node, Sequence):
            parts = [self._node(v, calls) for v in node.items]
            return None if any(p is None for p in parts) else ("list", *parts)
        if isinstance(node.value, str):
            e = self.text(node)
            if e is None:
                return None
            calls += e.calls
            return e.tree
        return const(node.value).tree

    def _report(self, problem: ExpressionProblem, node: Scalar) -> None:
        line, column = self.source.inside(node.start, node.end, node.style, node.text, problem.offset)
        self.problems.append(
            Problem(
                code=problem.code, severity="error", file=self.source.file, line=line, column=column, path=node.path,
                message=problem.message, suggestion=problem.suggestion or "",
            )
        )  # fmt: skip
