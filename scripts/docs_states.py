"""The diagrams and tables of `docs/reference/states.md`: what each event does to an action, a run and a step.

Actions are drawn from the core's transition table and the cases that its tests check cell by cell. Runs and steps have no table of their own, so
they are drawn from what is seen of them when every shape of the tests is carried through the orders in which its work can be settled.
"""

import inspect
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from tests.core import play
from tests.core.build import By, call, condition, delegate, fail, prompt, wait, workflow
from tests.core.cells import CELLS, RUN_EVENTS, Case
from tests.core.play import Play
from tests.core.shapes import SHAPES, explore
from treadle.core import events, transitions
from treadle.core.definition import Definition
from treadle.core.state import ACTION_STATES, ENDED, RunState, StepNode

# Only these are named beside runs: whatever lets work go on can lead over the other edges.
_ASKED: Final = frozenset({"CancelRequested", "UndoRequested"})
# Enough for every edge to be met (1.2 s), far from every order.
STATES_MAX: Final = 40
NOWHERE: Final = ""
_FIELD: Final = re.compile(r"`?\{[a-z_.]+\}`?")
Edges = dict[tuple[str, str], set[str]]
ACTION_WORDS: Final = {
    "absent": "not there: it never was, or it has ended",
    "open": "handed out, and nobody holds it",
    "claimed": "somebody holds it",
    "verifying": "it was answered, and Treadle looks whether the answer holds",
    "backoff": "it failed, and is tried again after a while",
    "stopping": "its holder was asked to stop, and may still answer",
    "unknown": "nobody knows whether it was done",
}
RUN_WORDS: Final = {
    "running": "work is open, or waited for",
    "cancelling": "somebody asked it to end: what is open is stopped, then `finally` runs",
    "undoing": "it ends without success, and what it did is taken back",
    "completed": "it ended well",
    "completed_degraded": "it ended well, and something on the way did not",
    "goal_not_met": "it ended in order, and did not reach what it was for",
    "failed": "it ended with a failure",
    "cancelled": "it ended because somebody asked for it",
}
PHASE_WORDS: Final = {
    "gate": "it waits for the approval that it requires",
    "action": "it has been handed out",
    "worktree": "a git worktree of its own is being made for it, or what was changed there is being kept",
    "block": "steps in it are at work",
    "wait": "it waits for a time or a signal",
    "read_back": "it finds out whether a lost attempt was done",
    "handler": "steps of its `on_error`, or `on_reject`, are at work",
    "finally": "it has ended, and its own `finally` runs",
}


@dataclass
class _Seen:
    """What was seen: from what to what, by which events."""

    runs: Edges = field(default_factory=lambda: defaultdict(set))
    phases: Edges = field(default_factory=lambda: defaultdict(set))

    def add(self, before: RunState | None, after: RunState | None, event: str) -> None:
        if before is after or after is None:
            return
        was = before.status if before is not None else NOWHERE
        if was != after.status:
            self.runs[was, after.status].add(event)
        old, new = _phases(before), _phases(after)
        for path in {**old, **new}:
            if old.get(path) != new.get(path):
                self.phases[old.get(path, NOWHERE), new.get(path, NOWHERE)].add(event)


def _cleaning_up() -> Iterator[Definition]:
    """Give a step of every phase that ends in a handler, a `finally`, or both; shapes have only some of these."""
    after: tuple[dict[str, Any], ...] = (
        {"on_error": [prompt("h")]},
        {"final": [prompt("f")]},
        {"on_error": [prompt("h")], "final": [prompt("f")]},
    )
    for fields in after:
        yield workflow(delegate("a", **fields))
        yield workflow(call("a", requires=By(), **fields))
        yield workflow(call("a", read_back=[call("r", effect="read")], **fields))
        yield workflow(condition("a", "{{ true }}", then=[delegate("b")], **fields))
        yield workflow(wait("a", signal="go", within_ms=1_000, **fields))


def _phases(state: RunState | None) -> dict[str, str]:
    nodes = state.nodes.values() if state is not None else ()
    return {node.path: node.phase for node in nodes if isinstance(node, StepNode)}


@cache
def _seen() -> _Seen:
    seen = _Seen()

    def visit(before: Play, after: Play) -> None:
        seen.add(before.state if before is not after else None, after.state, type(after.log[-1]).__name__)

    # What tests of this process have kept in the world that is played would be found there.
    kept, files = dict(play.CACHE), dict(play.FILES)
    play.CACHE.clear()
    play.FILES.clear()
    for definition in (*SHAPES.values(), *_cleaning_up()):
        explore(definition, visit, states_max=STATES_MAX)
    play.CACHE.clear()
    play.CACHE.update(kept)
    play.FILES.update(files)
    failed = Play(workflow(delegate("a", undo=[prompt("u")]), fail("f"), undo_on=())).done("a")
    ended = failed.state
    seen.add(ended, failed.undo().state, "UndoRequested")
    return seen


def action_diagram() -> str:
    """Draw what events make of an action."""
    edges: Edges = defaultdict(set)
    for case in CELLS:
        if case.after != (None if case.state == "absent" else case.state):
            edges[case.state, case.after or NOWHERE].add(case.event)
    edges[NOWHERE, "open"].add("its step is reached")
    return _diagram(edges, ACTION_WORDS)


def action_table() -> str:
    """Write the transition table: a heading per event, a row per state."""
    cases: dict[tuple[str, str], list[Case]] = defaultdict(list)
    for case in CELLS:
        cases[case.event, case.state].append(case)
    return "\n".join(_event(name, row, cases) for name, row in {**transitions.ACTION_EVENTS, **RUN_EVENTS}.items())


def run_diagram() -> str:
    """Draw how a run comes to its end."""
    return _diagram(_named(_seen().runs), RUN_WORDS, ends=ENDED)


def run_table() -> str:
    """Say what each status of a run means, and what follows it."""
    return _follows(_named(_seen().runs), RUN_WORDS)


def step_diagram() -> str:
    """Draw what a step goes through."""
    return _diagram(_bare(_seen().phases), PHASE_WORDS)


def step_table() -> str:
    """Say what each phase of a step means, and what follows it."""
    return _follows(_bare(_seen().phases), PHASE_WORDS)


def _named(edges: Edges) -> Edges:
    """Keep events beside an edge only where nothing but these leads over it."""
    return {edge: names if names <= _ASKED else set() for edge, names in edges.items()}


def _bare(edges: Edges) -> Edges:
    return {edge: set() for edge in edges}


def _event(name: str, row: Mapping[str, Callable[..., None] | str], cases: Mapping[tuple[str, str], list[Case]]) -> str:
    about = _sentence(next(kind for kind in events.EVENT_TYPES if kind.__name__ == name))
    lines = [f"### `{name}`\n", f"{about}\n", "| the action is | what happens | and then it is |", "| --- | --- | --- |"]
    told: dict[tuple[str, str], list[str]] = defaultdict(list)
    for state in ACTION_STATES:
        cell = row[state]
        what = cell if isinstance(cell, str) else _does(cell)
        told[what, "; ".join(_came(case) for case in cases[name, state])].append(state)
    lines += [
        f"| {'any' if len(states) == len(ACTION_STATES) else ', '.join(states)} | {what} | {came} |"
        for (what, came), states in told.items()
    ]
    return "\n".join(lines) + "\n"


def _does(cell: Callable[..., None]) -> str:
    """Say what a cell does; one that only refuses says it in its message."""
    if cell.__doc__:
        return _sentence(cell).rstrip(".")
    message = str(inspect.getclosurevars(cell).nonlocals["message"])
    return "Refuse: " + _FIELD.sub(
        "it", message.replace("`{action.id}` is {action.status}: ", "").replace("attempt {event.attempt} of", "that attempt of")
    )


def _came(case: Case) -> str:
    """Say what came of a case: the state behind it, the refusal, how the run stands if that is another."""
    said = [f"refused: `{case.refusal}`"] if case.refusal is not None else []
    said += [f"the run: {case.run}"] if case.run != "running" and case.state != "stopping" else []
    now = case.after or "absent"
    words = ("as it was" if now == case.state else now) + (f" ({', '.join(said)})" if said else "")
    return f"{case.label}: {words}" if case.label else words


def _diagram(edges: Edges, words: Mapping[str, str], ends: Iterable[str] = ()) -> str:
    _all_named(edges, words)

    def place(state: str) -> str:
        return "[*]" if state in {NOWHERE, "absent"} else state

    def lines() -> Iterator[str]:
        for (was, now), names in sorted(edges.items(), key=lambda row: _order(row[0], words)):
            label = f": {', '.join(sorted(names))}" if names else ""
            yield f"    {place(was)} --> {place(now)}{label}"
        for state in words:
            if state in ends:
                yield f"    {state} --> [*]"

    return "```mermaid\nstateDiagram-v2\n" + "\n".join(lines()) + "\n```\n"


def _follows(edges: Edges, words: Mapping[str, str]) -> str:
    _all_named(edges, words)
    rows = ["| | what it means | what follows |", "| --- | --- | --- |"]
    for state, meaning in words.items():
        after = sorted(
            ((now, names) for (was, now), names in edges.items() if was == state), key=lambda row: [*words, NOWHERE].index(row[0])
        )
        said = ", ".join((now or "gone") + (f" ({', '.join(sorted(names))})" if names else "") for now, names in after)
        rows.append(f"| `{state}` | {meaning} | {said} |")
    return "\n".join(rows) + "\n"


def _all_named(edges: Edges, words: Mapping[str, str]) -> None:
    unknown = {state for edge in edges for state in edge} - set(words) - {NOWHERE}
    if unknown:
        raise ValueError(f"scripts/docs_states.py does not say what these mean: {', '.join(sorted(unknown))}")


def _order(edge: tuple[str, str], words: Mapping[str, str]) -> tuple[int, int]:
    places = [NOWHERE, *words]
    return places.index(edge[0]), places.index(edge[1]) if edge[1] else len(places)


def _sentence(documented: object) -> str:
    return " ".join((documented.__doc__ or "").split("\n\n")[0].split()).split(". ")[0].rstrip(".") + "."


GENERATORS: Final[dict[str, Callable[[], str]]] = {
    "states-action-diagram": action_diagram,
    "states-action-table": action_table,
    "states-run-diagram": run_diagram,
    "states-run-table": run_table,
    "states-step-diagram": step_diagram,
    "states-step-table": step_table,
}
