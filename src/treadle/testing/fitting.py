"""Fitting a test to its workflow: names that are in the case and not in the workflow, each at its line with the nearest one there is.

A pattern that could match no action would go unnoticed until the run, and there say only that nothing used it.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from treadle.authoring.nodes import Mapping, Node, Scalar, Sequence
from treadle.authoring.problems import Problem, did_you_mean, listed
from treadle.core.definition import Definition, McpCall, SetState, Step, Wait
from treadle.core.index import walk
from treadle.core.verify import VERIFY
from treadle.testing.fields import KINDS
from treadle.testing.reading import Case
from treadle.testing.script import matches

_INDEX: Final = re.compile(r"\[\d+\]")
_VISIT: Final = re.compile(r"~\d+")
_PLURAL: Final = {
    "unknown_input": "inputs",
    "unknown_state": "state fields",
    "unknown_tool": "tools",
    "unknown_action": "actions",
    "unknown_signal": "signals",
}


@dataclass(frozen=True, kw_only=True)
class Names:
    """What a workflow has names for."""

    definition: Definition

    @cached_property
    def steps(self) -> dict[str, str]:
        """Map the path of every step, with `[0]` for each index, to its type."""
        return {address.replace("[]", "[0]"): type_of(step) for address, step in self.definition.index.steps.items()}

    @cached_property
    def actions(self) -> list[str]:
        """List the paths of the steps that somebody is asked for."""
        checked = [at for at, step in self.definition.index.steps.items() if any(check.shell or check.files for check in step.verify)]
        return [
            *(path for path, kind in self.steps.items() if kind in KINDS), *(at.replace("[]", "[0]") + VERIFY for at in checked),
        ]  # fmt: skip

    @cached_property
    def tools(self) -> list[str]:
        """List the tools that are called."""
        specs = (step.spec for step in self.definition.index.steps.values())
        return list(dict.fromkeys(spec.tool for spec in specs if isinstance(spec, McpCall)))

    @cached_property
    def signals(self) -> list[str]:
        """List the signals that steps wait for."""
        specs = (step.spec for step in self.definition.index.steps.values())
        return list(dict.fromkeys(spec.signal for spec in specs if isinstance(spec, Wait) and spec.signal is not None))

    @cached_property
    def state(self) -> list[str]:
        """List the state fields of the run."""
        main = self.definition.main
        names = [name for name, _ in main.initial_state]
        for step in walk(main.steps):
            names += [step.output_to] if step.output_to else []
            names += [name for name, _ in step.spec.updates] if isinstance(step.spec, SetState) else []
        return list(dict.fromkeys(names))


def type_of(step: Step) -> str:
    """Give the language's word for the type of a step."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(step.spec).__name__).lower()


def fit(case: Case, names: Names) -> list[Problem]:
    """Find what a case names and its workflow has not."""
    return list(_Fit(case, names).problems())


class _Fit:
    def __init__(self, case: Case, names: Names) -> None:
        self.case, self.names = case, names

    def problems(self) -> Iterator[Problem]:
        for root in self.case.nodes:
            inputs, expect = root.entries.get("inputs"), root.entries.get("expect")
            yield from self._keys(inputs, self.names.definition.main.inputs, "unknown_input", "the workflow has no input `{}`")
            yield from self._answers(root.entries.get("answers"))
            yield from self._signals(root.entries.get("signals"))
            if isinstance(expect, Mapping):
                yield from self._expected(expect)

    def _signals(self, node: Node | None) -> Iterator[Problem]:
        for entry in _rows(node):
            name = entry.entries.get("name")
            if isinstance(name, Scalar) and name.text not in self.names.signals:
                message = f"no step of the workflow waits for a signal `{name.text}`"
                yield self._unknown("unknown_signal", name, name.text, message, self.names.signals)

    def _answers(self, node: Node | None) -> Iterator[Problem]:
        if isinstance(node, Mapping):
            for key in node.keys.values():
                yield from self._action(key)
        for entry in node.items if isinstance(node, Sequence) else ():
            if isinstance(entry, Mapping) and isinstance(match := entry.entries.get("match"), Scalar):
                yield from self._action(match)

    def _expected(self, expect: Mapping) -> Iterator[Problem]:
        yield from self._keys(expect.entries.get("state"), self.names.state, "unknown_state", "the workflow has no state field `{}`")
        order, failure = expect.entries.get("order"), expect.entries.get("failure")
        for item in order.items if isinstance(order, Sequence) else ():
            yield from self._action(item)
        if isinstance(failure, Mapping):
            yield from self._action(failure.entries.get("step"), of=self.names.steps)
        for row in _rows(expect.entries.get("failures")):
            yield from self._action(row.entries.get("match"), of=self.names.steps)
        for row in (*_rows(expect.entries.get("shown")), *_rows(expect.entries.get("calls"))):
            yield from self._action(row.entries.get("match"))
        for row in _rows(expect.entries.get("calls")):
            tool = row.entries.get("tool")
            if isinstance(tool, Scalar) and tool.text not in self.names.tools:
                yield self._unknown("unknown_tool", tool, tool.text, f"the workflow calls no tool `{tool.text}`", self.names.tools)

    def _keys(self, node: Node | None, known: Iterable[str], code: str, message: str) -> Iterator[Problem]:
        for key, at in node.keys.items() if isinstance(node, Mapping) else ():
            if key not in known:
                yield self._unknown(code, at, key, message.format(key), known)

    def _action(self, node: Node | None, of: Iterable[str] | None = None) -> Iterator[Problem]:
        if not isinstance(node, Scalar) or node.text in KINDS:
            return
        pattern = _VISIT.sub("", _INDEX.sub("[0]", node.text))
        known = list(of if of is not None else self.names.actions)
        if any(matches(pattern, path) for path in known):
            return
        other = next((kind for path, kind in self.names.steps.items() if matches(pattern, path)), "")
        if other:
            yield self._problem(
                "unknown_action", node, f"`{node.text}` is a step of type {other}: nobody is asked for it", "name an action"
            )
            return
        shown = [path.replace("[0]", "[*]") for path in known]
        deeper = [path for path in shown if path.rsplit("/", 1)[-1] == node.text.rsplit("/", 1)[-1]]
        hint = f"did you mean `{deeper[0]}`?" if len(deeper) == 1 else f"there are: {listed(deeper)}" if deeper else ""
        message = f"no action of the workflow can match `{node.text}`"
        yield self._unknown("unknown_action", node, node.text.replace("[0]", "[*]"), message, shown, hint)

    def _unknown(self, code: str, node: Node, name: str, message: str, known: Iterable[str], hint: str = "") -> Problem:
        rows = list(known)
        hint = hint or did_you_mean(name, rows) or (f"{_PLURAL[code]}: {listed(rows)}" if rows else f"it has no {_PLURAL[code]}")
        return self._problem(code, node, message, hint)

    def _problem(self, code: str, node: Node, message: str, suggestion: str) -> Problem:
        return Problem(
            code=code, severity="error", file=self.case.shown, line=node.line, column=node.column, path=node.path, message=message,
            suggestion=suggestion,
        )  # fmt: skip


def _rows(node: Node | None) -> list[Mapping]:
    """Give the maps of a list, or of a single one that stands without it."""
    if isinstance(node, Mapping):
        return [node]
    return [item for item in node.items if isinstance(item, Mapping)] if isinstance(node, Sequence) else []
