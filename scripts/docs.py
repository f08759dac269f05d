"""Rebuild the generated blocks of the documentation.

usage: python -m scripts.docs [--check]

A block stands between `<!-- generated: NAME -->` and `<!-- end generated -->` in README.md, AGENTS.md, CONTRIBUTING.md or
docs/**/*.md; NAME is a key of GENERATORS. With --check nothing is written and a stale block is an error.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

from scripts import (
    docs_configuration,
    docs_expressions,
    docs_language,
    docs_library,
    docs_limits,
    docs_states,
    docs_test_files,
    docs_troubleshooting,
)

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"(?P<open><!-- generated: (?P<name>[\w-]+) -->\n).*?(?P<close><!-- end generated -->)", re.DOTALL)
COMMAND_LINE = re.compile(r"^ {2}([a-z][\w-]*)(?: {2,}|$)", re.MULTILINE)


def printed(*command: str) -> str:
    # A fixed width and no colours: the page must not depend on who rebuilds it.
    environment = {
        "COLUMNS": "100",
        "NO_COLOR": "1",
        "TERM": "dumb",
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
    }
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout


def fenced(text: str) -> str:
    return f"```text\n{text.rstrip()}\n```\n"


def dev_help() -> str:
    return fenced(printed("./dev", "help"))


def command_help() -> str:
    """Help of `treadle` and of every command below it, in the order the help itself lists them."""

    def pages(*path: str) -> Iterator[str]:
        text = printed("treadle", *path, "--help")
        yield f"## `{' '.join(['treadle', *path])}`\n\n{fenced(text)}"
        _, _, commands = text.partition("\nCommands:\n")
        for name in COMMAND_LINE.findall(commands):
            yield from pages(*path, name)

    return "\n".join(pages())


def layers() -> str:
    """The layers of the package, from the contract that enforces them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contract = project["tool"]["importlinter"]["contracts"][0]
    return fenced("\n  ↓\n".join(re.sub(r"[()]", "", layer) for layer in contract["layers"]))


GENERATORS: dict[str, Callable[[], str]] = {
    "dev-help": dev_help,
    "command-help": command_help,
    "layers": layers,
    **docs_expressions.GENERATORS,
    **docs_configuration.GENERATORS,
}
GENERATORS |= docs_language.generators() | docs_limits.GENERATORS | docs_states.GENERATORS
GENERATORS |= docs_library.GENERATORS | docs_test_files.GENERATORS | docs_troubleshooting.GENERATORS


def pages() -> list[Path]:
    top = (ROOT / name for name in ("README.md", "AGENTS.md", "CONTRIBUTING.md"))
    return [*(path for path in top if path.exists()), *sorted((ROOT / "docs").rglob("*.md"))]


def rebuilt(text: str, where: str) -> str:
    def fill(block: re.Match[str]) -> str:
        generator = GENERATORS.get(block["name"])
        if generator is None:
            sys.exit(
                f"docs: {where} asks for {block['name']!r}; known are {', '.join(sorted(n for n in GENERATORS if not n.startswith('example-')))}, example-…"
            )
        return f"{block['open']}{generator()}{block['close']}"

    return BLOCK.sub(fill, text)


def stale_pages() -> Iterator[tuple[Path, str]]:
    for path in pages():
        text = path.read_text(encoding="utf-8")
        fresh = rebuilt(text, path.name)
        if fresh != text:
            yield path, fresh


def main() -> int:
    check = "--check" in sys.argv[1:]
    stale = list(stale_pages())
    for path, fresh in stale:
        name = path.relative_to(ROOT)
        if check:
            print(f"docs: {name} is stale; run ./dev docs")
        else:
            path.write_text(fresh, encoding="utf-8")
            print(f"docs: rebuilt {name}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
