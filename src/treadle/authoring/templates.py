"""Compiling what stands between braces, and putting its faults at their line and column."""

import re
from collections.abc import Mapping as Map
from typing import Final

from treadle.authoring.expressions import (
    ExpressionProblem,
    ExpressionProblemsError,
    compile_condition,
    compile_data,
    compile_text,
)  # fmt: skip
from treadle.authoring.nodes import Mapping, Node, Scalar, Sequence, data_of, scalars
from treadle.authoring.places import Source
from treadle.authoring.problems import Problem
from treadle.core.expr import Expr
from treadle.functions import FunctionInfo

PARTS_CHARACTERS_MAX: Final = 20_000
_PART: Final = re.compile(r"\{\{.*?\}\}", re.DOTALL)


def is_single(text: str) -> bool:
    """Tell whether a text may be one `{{ }}` that gives a value of any type; compiling it tells for sure."""
    bare = text.strip()
    return bare.startswith("{{") and bare.endswith("}}")


class Templates:
    """Compiles the expressions of one file; `functions` are those that it can see."""

    def __init__(self, source: Source, functions: Map[str, FunctionInfo], problems: list[Problem]) -> None:
        """Report into `problems`."""
        self.source = source
        self.infos = functions
        self.functions = {name: (info.version, info.pure) for name, info in functions.items()}
        self.problems = problems
        # Files repeat themselves: the same field is read again and again. Faults are not kept, each is told where it stands.
        self.compiled: dict[str, Expr] = {}

    def text(self, node: Scalar) -> Expr | None:
        """Compile a text; None after reporting why not."""
        found = self.compiled.get(node.text)
        if found is None:
            try:
                found = compile_text(node.text, functions=self.functions)
            except ExpressionProblemsError as error:
                return self._report(error, node)
            self.compiled[node.text] = found
        return found

    def condition(self, node: Scalar) -> Expr | None:
        """Compile exactly one `{{ }}`; None after reporting why not."""
        try:
            return compile_condition(node.text, functions=self.functions)
        except ExpressionProblemsError as error:
            return self._report(error, node)

    def data(self, node: Node) -> Expr | None:
        """Compile data with templates in its texts; None after reporting every one that cannot be."""
        if isinstance(node, Scalar) and isinstance(node.value, str):
            return self.text(node)
        try:
            return compile_data(data_of(node), functions=self.functions)
        except ExpressionProblemsError as error:
            return self._report(error, node)

    def parts(self, node: Node) -> list[Expr]:
        """Compile what can be of a text that cannot be as a whole, so that what its other expressions read is checked too."""
        found: list[Expr] = []
        for scalar in scalars(node):
            # Names that a block makes would be unknown outside of it.
            if "{%" in scalar.text or len(scalar.text) > PARTS_CHARACTERS_MAX:
                continue
            for part in _PART.findall(scalar.text):
                try:
                    found.append(compile_text(part, functions=self.functions))
                except ExpressionProblemsError:
                    continue
        return found

    def _report(self, error: ExpressionProblemsError, node: Node) -> None:
        for problem in error.problems:
            self.problems.append(self._problem(problem, _followed(node, problem.path)))

    def _problem(self, problem: ExpressionProblem, node: Node) -> Problem:
        line, column = node.line, node.column
        if isinstance(node, Scalar):
            line, column = self.source.inside(node.start, node.end, node.style, node.text, problem.offset)
        return Problem(
            code=problem.code, severity="error", file=self.source.file, line=line, column=column, path=node.path,
            message=problem.message, suggestion=problem.suggestion,
        )  # fmt: skip


def _followed(node: Node, path: tuple[str | int, ...]) -> Node:
    for key in path:
        if isinstance(node, Mapping) and isinstance(key, str):
            node = node.entries[key]
        elif isinstance(node, Sequence) and isinstance(key, int):
            node = node.items[key]
    return node
