"""The reference of the language, written from its tables: every field of a file, every step type, what may stand where, and an example each.

The examples are files below `docs/examples/`; a test validates each and asks for one per step type and field.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from treadle.authoring import find, model
from treadle.authoring import kinds as k
from treadle.config.project import Project

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "docs" / "examples"
NOT_YET: Final = "*not yet*"
BESIDE_THE_LANGUAGE: Final = (
    (
        "For authors",
        "every check of the whole language, `describe` `graph` `plan` `run --dry-run` `eval` `test`, functions, secrets",
        "a visual editor",
    ),
    (
        "Who works",
        "your agent over MCP, you in the terminal, MCP servers that Treadle calls",
        "models and agents that Treadle starts itself",
    ),
    ("Approvals", "by any person, by name or role, by several, never by the starter, bound to what was shown", "by signature"),
    (
        "Where",
        "one machine, one SQLite file, many processes; Linux and macOS",
        "HTTP transport, web control room, schedules; Windows is untested",
    ),
)
NOT_YET_SENTENCE: Final = "*This version checks it and does not carry it out yet:*"
HEAD: Final = "| field | holds | `{{ }}` | left out | |\n| --- | --- | --- | --- | --- |\n"

# What `steps.<id>.result` is (language.md §2): the machinery makes it, so no table of fields can say it.
RESULTS: Final = {
    "prompt": "`info`: null · `text`: the text · `confirm`: `{confirmed}` · `choice`: the value, or a list with `multiple` · `form`: an object",
    "approve": "`{approved, by, at, note, digest, assurance}`; a rejection fails the step unless `on_reject` says otherwise",
    "delegate": "the value that fits `output`; without `output` the text",
    "mcp_call": "the tool's structured content; else its text; else the list of its content blocks",
    "http": "`{status, headers, json, text}`",
    "shell": "`{stdout, stderr, exit_code, duration_ms, truncated}`, with `parse` also `value`",
    "function": "what it returns",
    "set_state": "null",
    "condition": "null",
    "switch": "null",
    "foreach": "a list in the order of the items: what each task returned, or each round's `output`; null where an item failed, and `steps.<id>.errors` lists those",
    "parallel": "`{branch: result of its last step}`; with `any` or a number `{winners, results}`",
    "while": "`{iterations}`",
    "repeat": "`{iterations}`",
    "break": "none",
    "continue": "none",
    "goto": "none",
    "wait": "`{waited_ms}`, or what the signal carried",
    "run": "what the other run returned",
    "merge": "`{merged, conflicts}`",
    "return": "none: it ends the task or run that holds it, and what is open in there is cancelled",
    "fail": "none",
    "flow": "what the flow returned",
    "integration": "what the integration returned",
}


def file_fields() -> str:
    """Write the fields of a file, those of a task marked."""
    rows = "".join(row for name, field in model.FILE.items() for row in _rows(name, field, shared=model.COMMON))
    return f"{HEAD}{rows}\nA task has: {_names(model.TASK)}.\n"


def common_fields() -> str:
    """Write the fields that every step may have, with an example each."""
    table = HEAD + "".join(row for name, field in model.COMMON.items() for row in _rows(name, field))
    parts = [table, "`performer` is a field of some step types, and stands with them. An example each:"]
    parts += [f"`{name}`: {field.doc}{_later(field)}\n\n{example(f'fields/{name}')}" for name, field in model.COMMON.items()]
    return "\n".join(part if part.endswith("\n") else part + "\n" for part in parts)


def step_types() -> str:
    """Write a section per step type."""
    return "\n".join(_step_type(name, spec) for name, spec in model.TYPES.items())


def step_overview() -> str:
    """Write one line per step type."""
    rows = "".join(
        f"| [`{name}`](#{name}) | {spec.doc} | {f'`{spec.main}`' if spec.main else ''} | {'not yet' if spec.later else 'yes'} |\n"
        for name, spec in model.TYPES.items()
    )
    return f"| type | what it does | main field | carried out |\n| --- | --- | --- | --- |\n{rows}"


def not_yet() -> str:
    """Say what this version checks and does not carry out."""
    fields = [
        *_later_fields("", model.COMMON),
        *(f"{n}.{f}" for n, s in model.TYPES.items() if not s.later for f in _later_fields("", s.fields)),
    ]
    top = list(_later_fields("", model.FILE))
    lines = [
        f"Step types: {', '.join(f'`{name}`' for name, spec in model.TYPES.items() if spec.later)}.",
        f"Fields of steps: {', '.join(f'`{name}`' for name in fields)}.",
        f"Fields of the file: {', '.join(f'`{name}`' for name in top)}.",
    ]
    return "\n\n".join(lines) + "\n"


def what_is_there() -> str:
    """Write the README's table: what this version carries out, and what it does not; of the language from its tables."""
    later = [f"`{name}`" for name, spec in model.TYPES.items() if spec.later]
    there = [f"`{name}`" for name, spec in model.TYPES.items() if not spec.later]
    common = [f"`{name}`" for name, field in model.COMMON.items() if not field.later and name not in {"id", "description"}]
    fields = [f"`{name}`" for name, field in model.COMMON.items() if field.later]
    rows = [("Steps", " ".join(there), " ".join(later)), ("On a step", " ".join(common), " ".join(fields)), *BESIDE_THE_LANGUAGE]
    return "| | there | not yet |\n| --- | --- | --- |\n" + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def example(name: str) -> str:
    """Show an example file whole; of a workflow that this version does not carry out, say what it lacks."""
    text = (EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8")
    if name.endswith(".test"):
        return f"<!-- not run: the tests run it -->\n```yaml\n{text}```\n"
    return f"```yaml\n{text}```\n{_lacks(name, text)}"


def _lacks(name: str, text: str) -> str:
    nowhere = Project(root=Path("/nonexistent"), home=Path("/nonexistent"))
    rows = find.load_text(nowhere, text, name).not_yet if name.startswith("cookbook/") else ()
    features = ", ".join(dict.fromkeys(row.feature for row in rows))
    return f"\n{NOT_YET_SENTENCE} {features}.\n" if features else ""


def _later_fields(prefix: str, fields: dict[str, k.Field]) -> Iterator[str]:
    for name, field in fields.items():
        if field.later:
            yield prefix + name
        elif isinstance(field.kind, k.Words) and field.kind.later:
            yield from (f"{prefix}{name}: {word}" for word in field.kind.later)
        elif isinstance(field.kind, k.Record):
            yield from _later_fields(f"{prefix}{name}.", field.kind.fields)


def _step_type(name: str, spec: k.StepType) -> str:
    parts = [f"### `{name}`\n", f"{spec.doc}{_later(spec)}\n"]
    if spec.fields:
        parts += [HEAD + "".join(row for key, field in spec.fields.items() for row in _rows(key, field, main=spec.main)) + "\n"]
    parts += [f"**Result:** {RESULTS[name]}\n"]
    if spec.without:
        parts += [f"Not on this type: {_names(spec.without)}.\n"]
    return "\n".join(part.rstrip("\n") + "\n" for part in [*parts, example(f"steps/{name}")])


def _rows(name: str, field: k.Field, *, main: str = "", shared: dict[str, k.Field] | None = None) -> Iterator[str]:
    """Write a field, and below it those of the map it may hold."""
    kind = field.kind
    known = (shared or {}).get(name)
    record = _record(kind)
    elsewhere = _elsewhere(name, record) if known is None else "as on [every step](#on-every-step)"
    mark = f"`{name}`" + ("\\*" if name == main else "")
    left_out = "must be there" if field.required else default(field)
    yield f"| {mark} | {cell(elsewhere or holds(kind))} | {_templates(kind)} | {cell(left_out)} | {cell(field.doc)}{_later(field)} |\n"
    if record is not None and not elsewhere:
        for key, inner in record.fields.items():
            yield from _rows(f"{name}.{key}", inner)


def _elsewhere(name: str, record: k.Record | None) -> str:
    by = model.TYPES["approve"].fields["by"].kind
    return "as `by` of [`approve`](#approve)" if record is not None and record is by and name != "by" else ""


def _record(kind: k.Kind) -> k.Record | None:
    """Find the map with known fields that a kind may hold."""
    match kind:
        case k.Record():
            return kind
        case k.Either(kinds=kinds):
            return next((found for inner in kinds if (found := _record(inner)) is not None), None)
        case k.ListOf(kind=inner):
            return _record(inner)
        case _:
            return None


_SIMPLE: Final[dict[type, str]] = {
    k.Template: "text", k.Items: "a list, or one `{{ }}` that gives one", k.Condition: "one `{{ }}`, true or false", k.Flag: "`true`, `false`",
    k.Amount: 'number, or text such as `"2.50"`', k.Duration: "duration", k.Schema: "JSON Schema", k.Entries: "name → JSON Schema, `required`, `default`",
    k.Steps: "steps", k.Exprs: "name → value, in order", k.Anything: "data",
}  # fmt: skip


def holds(kind: k.Kind) -> str:
    """Say what a field of a kind holds."""
    match kind:
        case k.Text(what=what):
            return what
        case k.Value(shape=shape):
            return {"any": "any value", "map": "a map", "list": "a list"}[shape]
        case k.Whole(minimum=least, maximum=most):
            return f"whole number, {least} to {most:,}" if most is not None else f"whole number from {least}"
        case k.Words(words=words, later=later):
            shown = ", ".join(f"`{word}`" for word in words if word not in later)
            return shown + (f"; {NOT_YET}: " + ", ".join(f"`{word}`" for word in later) if later else "")
        case k.ListOf(kind=inner, alone=alone):
            return f"{holds(inner)}; or a list of such" if alone else f"list: {holds(inner)}"
        case k.MapOf(kind=inner):
            return f"name → {holds(inner)}"
        case k.Record(one_of=one_of):
            return "a map with one of" if one_of else "a map"
        case k.Either(kinds=kinds):
            return ", or ".join(dict.fromkeys(map(holds, kinds)))
        case _:
            return _SIMPLE[type(kind)]


def _templates(kind: k.Kind) -> str:
    if isinstance(kind, k.Value) and kind.secrets:
        return "yes, secrets too"
    return "yes" if _takes_templates(kind) else ""


def _takes_templates(kind: k.Kind) -> bool:
    match kind:
        case k.Template() | k.Value() | k.Items() | k.Condition() | k.Exprs():
            return True
        case k.ListOf(kind=inner) | k.MapOf(kind=inner):
            return _takes_templates(inner)
        case k.Either(kinds=kinds):
            return any(_takes_templates(inner) for inner in kinds)
        case _:
            return False


def default(field: k.Field) -> str:
    """Write what holds where a field is left out."""
    first = field.kind.kinds[0] if isinstance(field.kind, k.Either) else None
    if isinstance(first, k.Words) and first.first_is_default and field.default is None:
        return f'`"{first.words[0]}"`'
    return f"`{json.dumps(field.default_written, ensure_ascii=False)}`" if field.default_written is not None else ""


def _later(what: k.Field | k.StepType) -> str:
    return f" {NOT_YET}" if what.later else ""


def _names(names: object) -> str:
    return ", ".join(f"`{name}`" for name in names)  # type: ignore[attr-defined]


def cell(text: str) -> str:
    """Make text safe for a cell of a table."""
    return text.replace("|", "\\|").replace("\n", " ")


GENERATORS: Final[dict[str, Callable[[], str]]] = {
    "language-file": file_fields,
    "language-common": common_fields,
    "language-overview": step_overview,
    "language-steps": step_types,
    "language-not-yet": not_yet,
    "what-is-there": what_is_there,
}


def generators() -> dict[str, Callable[[], str]]:
    """Give the generators, one more for each example: `example-steps-prompt` shows `docs/examples/steps/prompt.yaml`."""

    def showing(name: str) -> Callable[[], str]:
        return lambda: example(name)

    files = (path.relative_to(EXAMPLES).with_suffix("").as_posix() for path in sorted(EXAMPLES.rglob("*.yaml")))
    return GENERATORS | {"example-" + name.replace("/", "-").replace(".", "-"): showing(name) for name in files}
