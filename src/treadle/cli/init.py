"""`treadle init`: make a directory a project, by additions alone, each shown before it is made.

`treadle.toml` is written where there is none. `.mcp.json` gets the entries that it lacks, by inserting text: whatever stands there keeps its form.
An entry of the same name with another content is left as it is, and that is said.
"""

import difflib
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
from rich.text import Text

from treadle.cli import screen
from treadle.cli.frame import Frame, command
from treadle.core.errors import RequestError

SERVERS: Final[dict[str, dict[str, object]]] = {
    "treadle": {"command": "treadle", "args": ["mcp"]},
    "memory": {"command": "treadle", "args": ["server", "memory"]},
    "web": {"command": "treadle", "args": ["server", "web"]},
}
TOML: Final = """\
# Settings of Treadle for this project. `treadle config show` says what is in force, and where it comes from.

# Who answers the tool `web.search`. `files` searches a folder of this project; `searxng` asks an instance (with `url`).
# [web_search]
# provider = "files"
# folder = "docs"

# What tools may do to the world. Without a word here a tool counts as `write`: it is then never begun twice without asking.
[servers.web.effects]
search = "read"

[servers.memory.effects]
get = "read"
search = "read"
list = "read"
"""
HELLO: Final = """\
# yaml-language-server: $schema=../.treadle/workflow.schema.json
name: hello
steps:
  - id: name
    prompt: What is your name?
  - return: "Hello, {{ steps.name.result }}."
"""
_IGNORED: Final = ".treadle/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One file that would change; `before` of None is a new one."""

    path: Path
    before: str | None
    after: str


@command(
    examples="treadle init\ntreadle init --yes\ntreadle init --project ../other",
    keys="directory, changed [files], kept [what was left as it is, and why], written",
)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
def init(frame: Frame, *, yes: bool, dry_run: bool) -> int:
    """Make this directory a project: treadle.toml, .treadle/, a line in .gitignore, servers in .mcp.json for agents, a first workflow.

    Shows the difference first, adds only, and never replaces what is there. A second time it changes nothing; with a newer Treadle it
    renews the schemas for editors in .treadle/.
    """
    root = frame.directory.resolve()
    kept: list[str] = []
    changes = [change for change in (_toml(root, kept), _ignore(root), _servers(root, kept), _workflow(root)) if change is not None]
    schemas = [file for file, text in _schemas(root).items() if _text(file) != text]
    if not frame.json:
        _show(root, changes, schemas, kept)
    wanted = bool(changes or schemas)
    written = wanted and not dry_run and (yes or _agreed(frame))
    if written:
        (root / ".treadle").mkdir(mode=0o700, exist_ok=True)
        for path, text in [*((change.path, change.after) for change in changes), *((file, _schemas(root)[file]) for file in schemas)]:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if frame.json:
        frame.print_json({
            "directory": str(root), "changed": [path.relative_to(root).as_posix() for path in (*(change.path for change in changes), *schemas)],
            "kept": kept, "written": written,
        })  # fmt: skip
    elif written:
        screen.say(
            Text.assemble(
                screen.mark("completed"),
                " done. `treadle trust` shows what may run; `treadle list` what you can start"
                + (", `treadle run hello` for one." if any(change.after == HELLO for change in changes) else "."),
            )
        )
    elif not wanted:
        screen.say("Nothing to change: this is a project already.")
    return 0 if written or not wanted or dry_run else 1


def _agreed(frame: Frame) -> bool:
    if frame.json or not screen.is_terminal():
        raise RequestError(
            "nobody is there to be asked",
            code="not_confirmed",
            hint="`treadle init --yes` writes it, `--dry-run` only shows it",
        )
    return click.confirm("Write this?", default=True)


def _show(root: Path, changes: list[Change], schemas: list[Path], kept: list[str]) -> None:
    for change in changes:
        name = change.path.relative_to(root).as_posix()
        before = (change.before or "").splitlines()
        rows = difflib.unified_diff(
            before,
            change.after.splitlines(),
            f"a/{name}" if change.before is not None else "/dev/null",
            f"b/{name}",
            lineterm="",
            n=2,
        )
        for row in rows:
            screen.say(screen.clean(row), style={"+": "green", "-": "red", "@": "cyan"}.get(row[:1], ""))
        screen.say()
    if not (root / ".treadle").is_dir():
        screen.say("new folder .treadle/ (history, logs, memory; not for version control)")
    for path in schemas:
        screen.say(f"{'anew' if path.exists() else 'new file'} {path.relative_to(root).as_posix()} (how files are written, for editors)")
    if shutil.which("treadle") is None:
        screen.say(
            "`treadle` is not on PATH, so agents could not start these servers; install it, e.g. `uv tool install treadle`",
            style="yellow",
        )
    for line in kept:
        screen.say(f"left as it is: {screen.clean(line)}", style="yellow")


def _toml(root: Path, kept: list[str]) -> Change | None:
    path = root / "treadle.toml"
    if path.exists():
        kept.append("treadle.toml is there")
        return None
    return Change(path=path, before=None, after=TOML)


def _workflow(root: Path) -> Change | None:
    """Give a first workflow where there is none yet; the comment at its top is what editors go by."""
    if any((root / folder).is_dir() for folder in ("workflows", ".treadle/workflows", ".claude/workflows", ".claude/pipelines")):
        return None
    return Change(path=root / "workflows" / "hello.yaml", before=None, after=HELLO)


def _schemas(root: Path) -> dict[Path, str]:
    """Give the schemas that editors check files by, as this version has them."""
    # The whole table of the language: only this command and `schema` want it.
    from treadle.authoring.json_schema import FILE_NAME, file_schema

    # As above.
    from treadle.testing.fields import test_file_schema

    schemas = {FILE_NAME: file_schema(), "test.schema.json": test_file_schema()}
    return {root / ".treadle" / name: json.dumps(schema, indent=1, ensure_ascii=False) + "\n" for name, schema in schemas.items()}


def _ignore(root: Path) -> Change | None:
    path = root / ".gitignore"
    before = _text(path)
    lines = {line.strip().strip("/") for line in (before or "").splitlines()}
    if _IGNORED.strip("/") in lines:
        return None
    start = before or ""
    gap = "" if not start or start.endswith("\n") else "\n"
    return Change(path=path, before=before, after=f"{start}{gap}{_IGNORED}\n")


def _servers(root: Path, kept: list[str]) -> Change | None:
    path = root / ".mcp.json"
    before = _text(path)
    if before is None:
        return Change(path=path, before=None, after=f'{{\n  "mcpServers": {{\n{_rows(SERVERS, "  ")}\n  }}\n}}\n')
    try:
        data = json.loads(before)
    except ValueError as error:
        raise RequestError(f".mcp.json is not JSON: {error}", code="bad_mcp_file", hint="mend it first; nothing was changed") from error
    there = data.get("mcpServers") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not (there is None or isinstance(there, dict)):
        raise RequestError(
            ".mcp.json has not the form that clients read",
            code="bad_mcp_file",
            hint="it is an object with `mcpServers`",
        )
    missing: dict[str, dict[str, object]] = {}
    for name, entry in SERVERS.items():
        found = (there or {}).get(name)
        if found is None:
            missing[name] = entry
        elif found != entry:
            kept.append(f".mcp.json has an entry {name!r} of its own")
    if not missing:
        return None
    wanted = {**data, "mcpServers": {**missing, **(there or {})}}
    return Change(path=path, before=before, after=_inserted(before, there, missing, wanted))


def _inserted(before: str, there: dict[str, object] | None, missing: dict[str, dict[str, object]], wanted: dict[str, object]) -> str:
    """Insert the entries as text where that gives exactly what is wanted; else write the whole anew, in the indent that it has."""
    found = re.search(r"^([ \t]+)\S", before, re.MULTILINE)
    indent = found[1] if found else "  "
    for text in _tries(before, there, missing, indent):
        try:
            if json.loads(text) == wanted:
                return text
        except ValueError:
            continue
    return json.dumps(wanted, indent=indent, ensure_ascii=False) + "\n"


def _tries(before: str, there: dict[str, object] | None, missing: dict[str, dict[str, object]], indent: str) -> Iterator[str]:
    rows = _rows(missing, indent)
    if there is not None:
        for found in re.finditer(r'"mcpServers"\s*:\s*\{', before):
            comma = "," if there else f"\n{indent}"
            yield before[: found.end()] + "\n" + rows + comma + before[found.end() :]
        return
    brace = before.find("{")
    rest = before[brace + 1 :]
    comma = "" if rest.strip().startswith("}") else ","
    yield f'{before[: brace + 1]}\n{indent}"mcpServers": {{\n{rows}\n{indent}}}{comma}{rest}'


def _rows(entries: dict[str, dict[str, object]], indent: str) -> str:
    return ",\n".join(f"{indent * 2}{json.dumps(name)}: {json.dumps(entry)}" for name, entry in entries.items())


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"{path.name} cannot be read: {error}", code="unreadable", hint="mend it first; nothing was changed") from error
