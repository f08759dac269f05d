"""What checking a file costs: 300 steps read, checked and frozen, as a ratio to libyaml's plain events of the same file in the same run.

Two files: an ordinary one with an expression or two per step, and a dense one with four per step. Each round has expressions of its own, as
a process that starts meets none twice.
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import yaml

from treadle.authoring import expressions, find
from treadle.authoring.problems import has_errors
from treadle.config.project import Project

STEPS = 300
_NOWHERE = Project(root=Path("/nonexistent"), home=Path("/nonexistent"))
_HEAD = "name: large\ninitial_state: {n: 1, found: null}\ninputs: {topic: {type: string, required: true}}\nsteps:\n"
_END = '  - return: "{{ [state.n, state.found] }}"\n'


class Checking(NamedTuple):
    """Times of one file in one round."""

    events_ms: float
    checked_ms: float


def ordinary(first: int) -> str:
    """Give a file as people write them: five kinds of step in turn."""
    kinds = (
        (
            "  - id: s{n}\n    type: delegate\n    instructions: Look into {{{{ inputs.topic }}}}, part {n}\n    output: {{type: object}}\n"
            "    output_to: found\n"
        ),
        '  - id: s{n}\n    type: mcp_call\n    tool: memory.save\n    parameters:\n      key: k{n}\n      value: "{{{{ state.found }}}}"\n',
        '  - id: s{n}\n    type: condition\n    if: "{{{{ state.n > {n} }}}}"\n    then:\n      - set_state: {{n: "{{{{ state.n + 1 }}}}"}}\n',
        "  - id: s{n}\n    type: prompt\n    message: What about {n}?\n    format: confirm\n    output_to: found\n",
        '  - id: s{n}\n    type: approve\n    show: "{{{{ state.found }}}}"\n    within: 2d\n',
    )
    return _HEAD + "".join(kinds[n % len(kinds)].format(n=n) for n in range(first, first + STEPS)) + _END


def dense(first: int) -> str:
    """Give a file with four expressions in each step, no two alike."""
    step = (
        "  - id: s{n}\n    type: delegate\n    when: \"{{{{ state.n > {n} and inputs.topic != 't{n}' }}}}\"\n"
        "    instructions: Look into {{{{ inputs.topic | upper }}}}, part {n}, with {{{{ state.n + {n} }}}} of {{{{ state.found | tojson }}}}\n"
        "    output_to: found\n"
    )
    return _HEAD + "".join(step.format(n=n) for n in range(first, first + STEPS)) + _END


def measure(text: str) -> Checking:
    """Measure one file once, the floor first."""
    events_ms = _took_ms(lambda: _events(text))
    checked_ms = _took_ms(lambda: _check(text))
    return Checking(events_ms, checked_ms)


def table(rounds: int) -> None:
    """Print the medians over some rounds."""
    print(f"\nchecking a file of {STEPS} steps; medians in ms over {rounds} rounds")
    print(f"{'':14}{'libyaml':>10}{'checked':>10}{'ratio':>7}")
    for name, made in (("ordinary", ordinary), ("dense", dense)):
        _check(made(0))
        measured = [measure(made(number * STEPS)) for number in range(1, rounds + 1)]
        events_ms, checked_ms = (statistics.median(column) for column in zip(*measured, strict=True))
        print(f"{name:14}{events_ms:10.2f}{checked_ms:10.1f}{checked_ms / events_ms:7.1f}")


def _events(text: str) -> None:
    parser = yaml.CLoader(text)
    while not isinstance(parser.get_event(), yaml.StreamEndEvent):
        pass


def _check(text: str) -> None:
    expressions.kept.cache_clear()  # as in a process that reads the file for the first time
    loaded = find.load_text(_NOWHERE, text, "large.yaml")
    if has_errors(loaded.problems):
        raise SystemExit("\n".join(map(str, loaded.problems[:5])))


def _took_ms(act: Callable[[], None]) -> float:
    began = time.perf_counter()
    act()
    return (time.perf_counter() - began) * 1000
