"""The table of the language agrees with the core, with the JSON Schema made from it, and with the list of codes."""

import ast
import re
import time
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import get_args

from tests.authoring.support import Case, corpora, corpus, load, unmarked
from tests.authoring.test_faults_of_reading import CASES as READING
from treadle.authoring import expressions, model
from treadle.authoring.codes import CODES
from treadle.core import definition
from treadle.core.durations import parse_duration_ms

AUTHORING = Path(model.__file__).parent
FIELDS = corpus("fields")
CASES: list[Case] = [*corpora(), *READING]
# Codes whose faults need more than one text in memory, and where they are tested.
ELSEWHERE = {
    "file_too_large": "test_hostile_files",
    "not_utf8": "test_hostile_files",
    "unreadable": "test_hostile_files",
    "too_many_values": "test_hostile_files",
    "ambiguous_name": "test_find",
    "broken_task": "test_find",
    "unknown_person": "test_people_check",
    "unknown_role": "test_people_check",
    "json_syntax": "test_json_reader",
    "not_pure": "test_many_faults",
}
# Made of a word and what it is about.
BUILT = {"unknown_filter", "unknown_test"}


def own_sources() -> Iterator[str]:
    for path in AUTHORING.glob("*.py"):
        if not path.name.startswith("expression") and path.name != "codes.py":
            yield path.read_text(encoding="utf-8")


def codes_of_expressions() -> set[str]:
    """Give the codes that the compiler of expressions gives to faults."""
    calls = (
        node
        for path in AUTHORING.glob("expression*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)
    )
    named = ((getattr(call.func, "attr", getattr(call.func, "id", "")), call.args[0].value) for call in calls)  # type: ignore[attr-defined]
    return BUILT | {code for name, code in named if name in {"fault", "SourceFault"} and isinstance(code, str)}


def test_every_code_is_listed_and_is_used() -> None:
    literals = (node.value for source in own_sources() for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant))
    used = {value for value in literals if isinstance(value, str)} & set(CODES)
    assert set(CODES) - used == set()


def test_every_code_has_a_faulty_file_and_a_near_miss() -> None:
    shown = {case.code for case in CASES} | set(ELSEWHERE)
    assert len(codes_of_expressions()) >= 20
    assert (set(CODES) | codes_of_expressions()) - shown == set()
    for code, module in ELSEWHERE.items():
        assert f'"{code}"' in Path(__file__).with_name(f"{module}.py").read_text(encoding="utf-8"), code


def test_every_problem_says_what_to_do() -> None:
    problems = (p for case in CASES if case.code in CODES for p in load(unmarked(case.bad)[0]).problems)
    silent = [str(p) for p in problems if not p.suggestion]
    assert silent == []


def test_every_step_type_that_is_not_marked_later_is_one_of_the_core() -> None:
    built = {re.sub(r"(?<!^)([A-Z])", r"_\1", spec.__name__).lower() for spec in get_args(definition.Spec)}
    assert {name for name, spec in model.TYPES.items() if not spec.later} == built


def test_what_a_step_of_the_core_can_say_is_in_the_table() -> None:
    ours = {
        "timeout_ms": "timeout", "within_ms": "within", "spec": "type", "performer": "performer", "key": "idempotency_key",
        "final_steps": "finally", "repair": "type",
    }  # fmt: skip
    names = {ours.get(field.name, field.name) for field in fields(definition.Step)}
    assert names - {"type", "performer"} <= set(model.COMMON)
    assert not any(model.COMMON[name].later for name in names - {"type", "performer", "verify", "cache"})


def test_the_words_of_the_core_are_the_words_of_the_table() -> None:
    assert model.COMMON["effect"].kind.words == definition.EFFECTS  # type: ignore[union-attr]
    assert set(model.TYPES["prompt"].fields["format"].kind.words) == set(get_args(definition.PromptFormat))  # type: ignore[union-attr]


def test_the_defaults_of_the_table_are_those_of_the_core() -> None:
    ours = {
        (step, name): field.default_written for step, spec in model.TYPES.items() for name, field in spec.fields.items() if not spec.later
    }
    specs = {
        "prompt": definition.Prompt,
        "delegate": definition.Delegate,
        "foreach": definition.Foreach,
        "approve": definition.Approve,
    }
    for step, spec in specs.items():
        theirs = {field.name: field.default for field in fields(spec) if isinstance(field.default, str | int)}
        for name, default in theirs.items():
            if (step, name) in ours and ours[step, name] is not None:
                assert ours[step, name] == default, f"{step}.{name}"
    retry = definition.Retry(attempts=1)
    record = model.COMMON["retry"].kind.fields  # type: ignore[union-attr]
    assert parse_duration_ms(record["backoff"].default) == retry.backoff_ms
    assert parse_duration_ms(record["max_backoff"].default) == retry.max_backoff_ms
    assert tuple(record["on"].default) == retry.on


def test_a_file_of_300_steps_is_checked_in_well_under_100_ms() -> None:
    steps = "".join(
        f"""
  - id: step-{n}
    type: mcp_call
    tool: server.tool
    needs_state: [value_{n % 7}]
    when: "{{{{ inputs.deep and state.value_{n % 7} is not none }}}}"
    parameters:
      query: "{{{{ state.value_{n % 7} | default('x') | upper }}}}"
      text: Step {n} of {{{{ inputs.topic }}}}
    effect: read
    timeout: 30s
    retry: {{attempts: 3, backoff: 1s}}
    output_to: value_{(n + 1) % 7}
"""
        for n in range(300)
    )
    state = ", ".join(f"value_{n}: null" for n in range(7))
    text = f"name: a\ninputs: {{deep: {{type: boolean}}, topic: {{type: string}}}}\ninitial_state: {{{state}}}\nsteps:{steps}\n"
    load(text)  # the first load pays for imports
    seconds = []
    for _ in range(5):
        expressions.kept.cache_clear()
        began = time.process_time()
        loaded = load(text)
        seconds.append(time.process_time() - began)
    assert loaded.problems == ()
    assert len(loaded.require().main.steps) == 300
    print(f"300 steps: {min(seconds) * 1000:.1f} ms")
    assert min(seconds) < 0.3
