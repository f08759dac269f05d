"""Checking calls of registered functions against their signatures: names and number of arguments, and types where a value is written out.

A signature is what its source says; nothing is imported. An annotation whose meaning its text does not tell takes anything here, and is
checked when the function is called. The names that a step of type `function` gives are the business of `check_steps`; what they hold is told
here.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, cast

from treadle.authoring.constants import UNKNOWN, Unknown, constant_of
from treadle.authoring.expressions import has_template
from treadle.authoring.nodes import Mapping as MappingNode
from treadle.authoring.nodes import Node, Scalar, data_of, scalars
from treadle.authoring.problems import did_you_mean, listed
from treadle.authoring.reporter import Reporter
from treadle.authoring.tree import FileTree, StepTree, Use, walk
from treadle.core.expr.tree import Call
from treadle.core.schema import check
from treadle.core.values import Json, Value
from treadle.functions import FunctionInfo, Parameter


class Fault(NamedTuple):
    """What is wrong with a call."""

    message: str
    suggestion: str


def check_functions(tree: FileTree) -> None:
    """Add to a tree's problems what is wrong with its calls of registered functions."""
    to = Reporter(tree, {})
    for scope in tree.scopes():
        steps = [step for steps in (scope.steps, scope.finally_steps) for step in walk(steps)]
        for use in (*scope.uses, *(use for step in steps for use in step.uses)):
            _calls_in(use, to)
        for step in steps:
            _step(step, to)


def _calls_in(use: Use, to: Reporter) -> None:
    seen: dict[str, int] = {}
    for call in use.expr.calls:
        number = seen[call.function] = seen.get(call.function, -1) + 1
        info = to.tree.visible.get(call.function)
        if info is None:
            continue
        kwargs = {name: constant_of(arg) for name, arg in call.kwargs}
        for fault in faults_of(info, [constant_of(arg) for arg in call.args], kwargs):
            to.error("bad_arguments", _place(call, number, use, to), fault.message, fault.suggestion)


def _step(step: StepTree, to: Reporter) -> None:
    info = to.tree.visible.get(str(step.fields.get("function"))) if step.type == "function" else None
    given = step.places.get("parameters")
    if info is None or not isinstance(given, MappingNode):
        return
    parameters = {parameter.name: parameter for parameter in info.parameters}
    for name, node in given.entries.items():
        if name not in parameters or any(has_template(scalar.text) for scalar in scalars(node)):
            continue
        for fault in _unfit(info, parameters[name], data_of(node)):
            to.error("bad_input", node, fault.message, fault.suggestion)


def faults_of(info: FunctionInfo, args: Sequence[Json | Unknown], kwargs: Mapping[str, Json | Unknown]) -> Iterator[Fault]:
    """Hold the arguments of a call against a signature, as far as they are known."""
    by_place = [parameter for parameter in info.parameters if parameter.kind in {"positional_only", "plain"}]
    by_name = {parameter.name: parameter for parameter in info.parameters if parameter.kind in {"plain", "named_only"}}
    rest = next((parameter for parameter in info.parameters if parameter.kind == "rest"), None)
    others = next((parameter for parameter in info.parameters if parameter.kind == "other_names"), None)
    if len(args) > len(by_place) and rest is None:
        yield Fault(f"`{info.signature}` takes at most {len(by_place)} arguments by place, and gets {len(args)}", "")
    given: set[str] = set()
    places = [*by_place, *([rest] * len(args) if rest is not None else [])]
    for parameter, value in zip(places, args, strict=False):
        given.add(parameter.name)
        yield from _unfit(info, parameter, value)
    for name, value in kwargs.items():
        parameter = by_name.get(name, others)
        if parameter is None:
            yield Fault(f"`{info.signature}` has no argument `{name}`", did_you_mean(name, by_name) or f"arguments: {listed(by_name)}")
        elif name in given:
            yield Fault(f"`{info.name}` gets `{name}` twice, by place and by name", "")
        else:
            given.add(name)
            yield from _unfit(info, parameter, value)
    missing = [parameter.name for parameter in info.parameters if parameter.required and parameter.name not in given]
    if missing:
        yield Fault(f"`{info.signature}` needs {listed(f'`{name}`' for name in missing)}", "")


def _unfit(info: FunctionInfo, parameter: Parameter, value: Json | Unknown) -> Iterator[Fault]:
    if value is UNKNOWN or parameter.schema is True:
        return
    for fault in check(parameter.schema, cast(Value, value)):
        at = f" at `{fault.path}`" if fault.path else ""
        message = f"`{parameter.name}` of `{info.name}` is declared as `{parameter.annotation}`{at}: {fault.message}"
        yield Fault(message, f"see `treadle functions {info.name}`")
        return


def _place(call: Call, number: int, use: Use, to: Reporter) -> Node:
    """Find where a function is called for the nth time in an expression; the node of the expression where the text does not show it."""
    pattern = re.compile(rf"(?<![\w.]){re.escape(call.function)}\s*\(")
    found = [(scalar, match) for scalar in scalars(use.node) for match in pattern.finditer(scalar.text)]
    if number >= len(found):
        return use.node
    scalar, match = found[number]
    line, column = to.source.inside(scalar.start, scalar.end, scalar.style, scalar.text, match.start())
    return Scalar(line, column, scalar.start, scalar.path, end=scalar.start + len(call.function), text=call.function)
