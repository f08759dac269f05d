"""`treadle version`: what exactly is installed, for a report."""

import platform
from importlib import metadata

from treadle import __version__
from treadle.cli import screen
from treadle.cli.frame import Frame, command
from treadle.core.definition import LANGUAGE
from treadle.core.semantics import SUPPORTED
from treadle.engine.embedded.schema import SCHEMA


@command(
    examples="treadle version\ntreadle version --json",
    keys="treadle, python, platform, apsw, mcp, language, semantics (a list), schema",
)
def version(frame: Frame) -> None:
    """Show the versions of Treadle and of what it stands on."""
    found = {
        "treadle": __version__, "python": platform.python_version(), "platform": platform.platform(terse=True),
        "apsw": metadata.version("apsw"), "mcp": metadata.version("mcp"), "language": LANGUAGE, "semantics": sorted(SUPPORTED),
        "schema": SCHEMA,
    }  # fmt: skip
    if frame.json:
        frame.print_json(found)
        return
    for name, value in found.items():
        screen.say(f"{name.ljust(10)} {', '.join(map(str, value)) if isinstance(value, list) else value}")
