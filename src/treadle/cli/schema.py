"""`treadle schema`: the JSON Schema that editors check workflow files by, as this version of Treadle has it."""

from pathlib import Path

import click
import orjson

from treadle.authoring import json_schema, model
from treadle.cli import screen
from treadle.cli.frame import Frame, command
from treadle.core.errors import RequestError
from treadle.core.nearest import nearest
from treadle.core.values import Json
from treadle.testing.fields import test_file_schema as file_schema_of_tests

MORE = f"""In an editor
`treadle init` keeps a copy in .treadle/{json_schema.FILE_NAME}. A comment at the top of
a workflow names it, seen from that file:

    # yaml-language-server: $schema=../.treadle/{json_schema.FILE_NAME}

Editors with a YAML language server then complete fields, show what they mean, and
underline what does not fit. What only the whole file can tell, `treadle validate` says."""


@command(
    examples="treadle schema\ntreadle schema --step foreach\ntreadle schema --tests --out test.schema.json",
    keys="the schema itself; with --out: file",
    more=MORE,
)
@click.option("--step", metavar="TYPE", help="The schema of the steps of one type.")
@click.option("--tests", is_flag=True, help="The schema of *.test.yaml files.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write it to a file.")
def schema(frame: Frame, *, step: str | None, tests: bool, out: Path | None) -> None:
    """Print the JSON Schema of workflow files (draft 2020-12), for editors and other tools."""
    data = orjson.dumps(_schema(step, tests=tests), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    if out is None:
        frame.print_json(orjson.Fragment(data.rstrip()))
        return
    try:
        out.write_bytes(data)
    except OSError as error:
        raise RequestError(f"{out} cannot be written: {error.strerror or error}", code="unwritable", hint="name another file") from error
    if frame.json:
        frame.print_json({"file": str(out)})
    else:
        screen.say(f"written: {out}")


def _schema(step: str | None, *, tests: bool) -> dict[str, Json]:
    if step is None:
        return file_schema_of_tests() if tests else json_schema.file_schema()
    if tests:
        raise RequestError("--step and --tests exclude each other", code="usage", hint="give one of them")
    if step not in model.TYPES:
        meant = model.OTHER_NAMES.get(step) or nearest(step, model.TYPES)
        hint = f"did you mean `{meant}`?" if meant else f"types: {', '.join(model.TYPES)}"
        raise RequestError(f"there is no step type {step!r}", code="unknown_step_type", hint=hint)
    return json_schema.step_schema(step)
