"""A project in a folder with one workflow, and its tests as text."""

import asyncio
from pathlib import Path
from textwrap import dedent

from treadle.compose import locate
from treadle.testing.suite import Suite, Verdict

MARK = "«"
NOTES = """\
name: notes
inputs: {version: {type: string, default: "1"}}
initial_state: {draft: null, saved: null}
steps:
  - id: changes
    prompt: What changed?
  - id: draft
    delegate: "Write notes from this: {{ steps.changes.result }}"
    output: {type: object, properties: {text: {type: string}}, required: [text]}
    output_to: draft
  - id: publish
    approve: "{{ state.draft.text }}"
    within: 2d
  - id: save
    mcp_call: memory.save
    parameters: {key: "notes {{ inputs.version }}", value: "{{ state.draft }}"}
    repeatable: true
    timeout: 1m
    retry: {attempts: 3, backoff: 10s}
    output_to: saved
  - return: {saved: "{{ state.saved }}", at: "{{ now() }}"}
"""
ANSWERS = """\
answers:
  - {match: changes, answer: Dark mode.}
  - {match: draft, answer: {text: "Now dark."}}
  - {match: publish, approve: true}
  - {match: save, answer: {ok: true}}
"""


def written(folder: Path, text: str, workflow: str = NOTES, name: str = "notes") -> Path:
    """Write a workflow and its test; gives the test's path."""
    (folder / "workflows").mkdir(exist_ok=True)
    (folder / "treadle.toml").touch()
    (folder / "workflows" / f"{name}.yaml").write_text(dedent(workflow))
    path = folder / "workflows" / f"{name}.test.yaml"
    path.write_text(dedent(text))
    return path


def played(folder: Path, text: str, workflow: str = NOTES) -> list[Verdict]:
    """Run every case of a test; gives what became of each, passed or not."""
    path = written(folder, text, workflow)
    suite = Suite(locate(folder, {"HOME": str(folder)}))
    checked = suite.check(path)
    assert checked.problems == ()

    async def run() -> list[Verdict]:
        return [await suite.run(case, checked.names[case.name]) for case in checked.file.cases]

    return asyncio.run(run())


def missed(folder: Path, text: str, workflow: str = NOTES) -> list[tuple[str, int]]:
    """Run the only case of a test; gives code and line of each miss."""
    (verdict,) = played(folder, text, workflow)
    return [(miss.code, miss.place.line) for miss in verdict.misses]


def problems(folder: Path, text: str, workflow: str = NOTES) -> list[tuple[str, int, int, str]]:
    """Read a test that is not run; gives code, line, column and suggestion of each problem."""
    path = written(folder, text, workflow)
    checked = Suite(locate(folder, {"HOME": str(folder)})).check(path)
    assert not checked.file.cases or not checked.problems
    return [(p.code, p.line, p.column, p.suggestion) for p in checked.problems]
