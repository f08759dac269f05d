"""`treadle functions`: what workflows can call, read from source text; nothing is executed."""

from rich.text import Text

from treadle import functions as registered
from treadle.cli import screen
from treadle.cli.frame import Frame, command


@command(
    examples="treadle functions\ntreadle functions --json",
    keys="functions [{name, version, pure, signature, doc, origin, place, line, hidden}], problems [{code, message, place, line}]",
)
def functions(frame: Frame) -> int:
    """List the functions that workflows can call: those of the project, of installed packages, and of the library."""
    found = registered.catalog(frame.settings.project)
    visible = found.visible()
    if frame.json:
        frame.print_json({
            "functions": [
                {"name": f.name, "version": f.version, "pure": f.pure, "signature": f.signature, "doc": f.doc, "origin": f.origin,
                 "place": f.place, "line": f.line, "hidden": visible[f.name] is not f}
                for f in found.functions
            ],
            "problems": [{"code": p.code, "message": p.message, "place": p.place, "line": p.line} for p in found.problems],
        })  # fmt: skip
        return 1 if found.problems else 0
    for info in found.functions:
        hidden = visible[info.name] is not info
        kind = "pure" if info.pure else "step only"
        about = f"version {info.version}, {kind}, {info.origin}: {info.place}:{info.line}" + (
            " (hidden by an earlier one)" if hidden else ""
        )
        screen.say(Text.assemble((info.signature, "bright_black" if hidden else "bold")))
        screen.say(f"  {about}", style="bright_black")
        if info.doc:
            screen.say(f"  {screen.clean(info.doc)}")
    for problem in found.problems:
        screen.say(f"{problem.place}:{problem.line}: {screen.clean(problem.message)} [{problem.code}]", style="red")
    return 1 if found.problems else 0
