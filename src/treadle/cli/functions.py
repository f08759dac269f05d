"""`treadle functions`: what workflows can call, read from source text; nothing is executed."""

from typing import Any

import click
from rich.text import Text

from treadle import functions as registered
from treadle.cli import screen
from treadle.cli.frame import Frame, command
from treadle.core.errors import RequestError
from treadle.core.nearest import nearest
from treadle.functions import Catalog, FunctionInfo


@command(
    examples="treadle functions\ntreadle functions generate_research_tasks\ntreadle functions --json",
    keys="functions [{name, version, pure, signature, parameters [{name, kind, required, annotation, schema}], returns, doc, about, origin, "
    "place, line, hidden}], built_in [{name, signature, doc, example, result}], problems [{code, message, place, line}]",
)
@click.argument("name", required=False)
def functions(frame: Frame, name: str | None) -> int:
    """List the functions that workflows can call, or show one.

    They are those of the project (`functions/*.py`), of installed packages (entry points `treadle.functions`) and of the library, and the
    ones of the language itself. Those that are pure may stand in expressions, the others in steps of type `function`.
    """
    # What expressions have: more than half of the time that this takes.
    from treadle.authoring.expression_reference import functions as of_the_language

    found = registered.catalog(frame.settings.project)
    built_in = [each for each in of_the_language() if name in {None, each.name}]
    wanted = [info for info in found.functions if name in {None, info.name}]
    if not wanted and not built_in:
        raise _unknown(str(name), [*found.visible(), *(each.name for each in of_the_language())])
    problems = found.problems if name is None else ()
    if frame.json:
        frame.print_json({
            "functions": [_as_json(found, info) for info in wanted],
            "built_in": [
                {"name": b.name, "signature": b.signature, "doc": b.sentence, "example": b.example, "result": b.result} for b in built_in
            ],
            "problems": [{"code": p.code, "message": p.message, "place": p.place, "line": p.line} for p in problems],
        })  # fmt: skip
        return 1 if problems else 0
    for info in wanted:
        _print(info, hidden=found.visible()[info.name] is not info, whole=name is not None)
    for each in built_in:
        screen.say(Text.assemble((each.signature, "bold")))
        screen.say(f"  built in, pure: {each.sentence}")
        if name is not None:
            screen.say(f"  {each.example}  →  {each.result}", style="bright_black")
    for problem in problems:
        screen.say(f"{problem.place}:{problem.line}: {screen.clean(problem.message)} [{problem.code}]", style="red")
    return 1 if problems else 0


def _unknown(name: str, known: list[str]) -> RequestError:
    meant = nearest(name, known)
    hint = (
        f"did you mean `{meant}`?" if meant else "`treadle functions` lists what there is; a function of your own stands in functions/*.py"
    )
    return RequestError(f"there is no function {name!r}", code="unknown_function", hint=hint)


def _as_json(found: Catalog, info: FunctionInfo) -> dict[str, Any]:
    return {
        "name": info.name, "version": info.version, "pure": info.pure, "signature": info.signature,
        "parameters": [
            {"name": p.name, "kind": p.kind, "required": p.required, "annotation": p.annotation or None, "schema": p.schema}
            for p in info.parameters
        ],
        "returns": info.returns, "doc": info.doc, "about": info.about, "origin": info.origin, "place": info.place, "line": info.line,
        "hidden": found.visible()[info.name] is not info,
    }  # fmt: skip


def _print(info: FunctionInfo, *, hidden: bool, whole: bool) -> None:
    kind = "pure" if info.pure else "steps only"
    about = f"{info.origin} {info.place}:{info.line}, version {info.version}, {kind}"
    screen.say(Text.assemble((info.signature, "bright_black" if hidden else "bold")))
    screen.say(f"  {about}" + (" (hidden by an earlier one)" if hidden else ""), style="bright_black")
    for line in (info.about if whole else info.doc).splitlines():
        screen.say(f"  {screen.clean(line)}".rstrip())
