"""The pages of the shipped workflows, written from their files: what each is for, its inputs, what it asks of whom, and its graph."""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from scripts.docs_language import cell
from treadle.authoring import find, graph_mermaid
from treadle.authoring.graph import graph_of
from treadle.config.project import Project
from treadle.core.definition import Approve, By, Definition, Delegate, Prompt, Step, Wait
from treadle.core.values import Json, as_text

STEMS: Final = tuple(sorted(path.stem for path in find.LIBRARY_DIR.glob("*.yaml")))


@functools.cache
def _loaded(stem: str) -> find.Loaded:
    nowhere = Path("/nonexistent")
    return find.load(Project(root=nowhere, home=nowhere), find.LIBRARY_DIR / f"{stem}.yaml")


def _definition(stem: str) -> Definition:
    return _loaded(stem).require()


def listed() -> str:
    """List every workflow with what it is for; each has a page, but what another one runs."""
    rows = "".join(f"| {_named(stem)} | {cell(_definition(stem).description)} |\n" for stem in STEMS)
    return f"| workflow | what it does |\n| --- | --- |\n{rows}"


def _named(stem: str) -> str:
    return f"[`{_definition(stem).name}`](library/{stem}.md)"


def workflow(stem: str) -> str:
    """Write what is known of one workflow from its file."""
    definition = _definition(stem)
    asked = [row for address, step in definition.index.steps.items() for row in _asked(address, step)]
    parts = [
        f"{definition.description}.\n",
        "## Inputs\n\n| input | holds | left out | |\n| --- | --- | --- | --- |\n" + "".join(_inputs(definition)),
        "## What it asks\n\n| action | of whom | what for | the answer |\n| --- | --- | --- | --- |\n" + "".join(asked),
        f"## Its steps\n\n```mermaid\n{graph_mermaid.mermaid_of(graph_of(_loaded(stem))).rstrip()}\n```\n",
    ]
    return "\n".join(parts)


def _inputs(definition: Definition) -> Iterator[str]:
    for name, schema in definition.main.inputs.items():
        default = (
            "must be there"
            if schema.get("required")
            else f"`{as_text(schema['default'])}`"
            if schema.get("default") not in (None, "")
            else ""
        )
        yield f"| `{name}` | {_type(schema)} | {cell(default)} | {cell(str(schema.get('description', '')))} |\n"


def _type(schema: dict[str, Json]) -> str:
    return str(schema.get("type", "any value")) + (
        f" of {items['type']}" if isinstance(items := schema.get("items"), dict) and "type" in items else ""
    )


def _asked(address: str, step: Step) -> Iterator[str]:
    match step.spec:
        case Delegate(output=output):
            yield _row(address, step, "an agent", _answer(output))
        case Prompt():
            yield _row(address, step, "a person", "the answer")
        case Approve(by=by):
            yield _row(address, step, _who(by), "approve or reject")
        case Wait(signal=str(signal), payload=payload):
            yield _row(address, step, "whoever knows", f"the signal `{signal}`: {_answer(payload)}")
        case _:
            pass


def _row(address: str, step: Step, who: str, answer: str) -> str:
    return f"| `{address.replace('[]', '[*]')}` | {who} | {cell(step.description)} | {cell(answer)} |\n"


def _who(by: By) -> str:
    roles = f"somebody who is {' or '.join(by.roles)}" if by.roles else "a person"
    return roles + (f", not who decided {', '.join(f'`{gate}`' for gate in by.distinct_from)}" if by.distinct_from else "")


def _answer(schema: Json) -> str:
    if not isinstance(schema, dict):
        return "text"
    items, properties = schema.get("items"), schema.get("properties")
    if isinstance(properties, dict):
        return "`{" + ", ".join(properties) + "}`"
    return (
        f"a list of {_answer(items)}"
        if items is not None
        else "text"
        if schema.get("type") == "string"
        else f"`{schema.get('type', 'data')}`"
    )


GENERATORS: Final[dict[str, Callable[[], str]]] = {
    "library-list": listed, **{f"library-{stem}": functools.partial(workflow, stem) for stem in STEMS},
}  # fmt: skip
