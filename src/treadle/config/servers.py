"""The MCP servers that a project names: entries of `.mcp.json`, tables `[servers.NAME]` of `treadle.toml`, or both.

A table with `command` defines a server; one without configures the entry of that name in `.mcp.json` (time-out, effects, who performs).
Values stay as they are written, `${VAR}` included, because that is what a person is shown and trusts; `launch` expands them at the
last moment. What is wrong with one server is kept beside the list and reported when that server is wanted: the others still work.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

from treadle.config import forms
from treadle.config.origin import Problem, did_you_mean
from treadle.config.secret import Secret
from treadle.config.tables import TableKey, TableKind, table_key
from treadle.core.definition import Effect
from treadle.core.errors import RequestError

MCP_FILE = ".mcp.json"
MCP_FILE_BYTES_MAX = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
# What a server or a command may see of our own environment; all else must be named under `env`. Keys of providers are not for everybody.
INHERITED = (
    "HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER",
    "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR",
    "APPDATA", "LOCALAPPDATA", "PATHEXT", "SYSTEMDRIVE", "SYSTEMROOT", "TEMP", "USERNAME", "USERPROFILE",
)  # fmt: skip
STARTED_BY = "TREADLE_STARTED_BY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What is really started: everything expanded. The environment's values are not for showing."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    cwd: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSpec:
    """One server as it is written. Times and sizes of None mean the project's general ones.

    `places` says where a field was written, if elsewhere than at `file` and `line`.
    """

    name: str
    file: str
    line: int = 0
    transport: Literal["stdio", "http"] = "stdio"
    command: str = ""
    args: tuple[str, ...] = ()
    env: Mapping[str, Secret] = field(default_factory=dict[str, Secret])
    cwd: str = "."
    url: str = ""
    enabled: bool = True
    timeout_ms: int | None = None
    start_timeout_ms: int | None = None
    line_bytes_max: int | None = None
    output_bytes_max: int | None = None
    performer: Literal["server", "agent"] = "server"
    effects: Mapping[str, Effect] = field(default_factory=dict[str, Effect])
    annotations_confirmed: bool = False
    idempotency_key: Mapping[str, str] = field(default_factory=dict[str, str])
    places: Mapping[str, str] = field(default_factory=dict[str, str], compare=False)

    @property
    def argv(self) -> tuple[str, ...]:
        """Give command and arguments as they are written."""
        return (self.command, *self.args)

    @property
    def is_treadle_itself(self) -> bool:
        """Tell whether this entry would start `treadle mcp`: the entry for agents, never started by Treadle (ruling 58)."""
        names = [Path(word).name.removesuffix(".exe") for word in self.argv]
        if "treadle" not in names:
            return False
        words = [word for word in names[names.index("treadle") + 1 :] if not word.startswith("-")]
        return "mcp" in words and "server" not in words[: words.index("mcp")]

    def launch(self, environ: Mapping[str, str], root: Path) -> Launch:
        """Expand `${VAR}` and `${VAR:-default}`. Raises RequestError `variable_missing`."""

        def expand(text: str) -> str:
            return _VARIABLE.sub(lambda found: self._variable(found, environ), text)

        env = {name: environ[name] for name in INHERITED if name in environ}
        env |= {name: expand(value.reveal()) for name, value in self.env.items()}
        # Tells a `treadle mcp` behind a wrapper script that starting would be a circle.
        env[STARTED_BY] = str(os.getpid())
        return Launch(argv=tuple(map(expand, self.argv)), env=env, cwd=(root / expand(self.cwd)).resolve())

    def _variable(self, found: re.Match[str], environ: Mapping[str, str]) -> str:
        name, default = found.groups()
        value = environ.get(name) or default
        if value is None:
            raise RequestError(
                f"server {self.name!r} uses ${{{name}}} ({self.file}), which is not set",
                code="variable_missing",
                hint=f"set {name} in the environment, or write ${{{name}:-default}}",
            )
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """All servers of a project by name; `problems` are what is wrong with files or single entries."""

    specs: Mapping[str, ServerSpec] = field(default_factory=dict[str, ServerSpec])
    problems: tuple[Problem, ...] = ()

    def get(self, name: str) -> ServerSpec:
        """Give a server. Raises RequestError `unknown_server` with the nearest name, or what is wrong with its entry."""
        if name in self.specs:
            return self.specs[name]
        faults = [str(problem) for problem in self.problems]
        hint = did_you_mean(name, self.specs) or f"configured: {', '.join(sorted(self.specs)) or 'none'}"
        message = f"no MCP server {name!r} is configured" + (f"; {'; '.join(faults)}" if faults else "")
        raise RequestError(message, code="unknown_server", hint=f"{hint}; servers stand in {MCP_FILE} or treadle.toml [servers.{name}]")


# ---- treadle.toml


TABLE_KEYS: dict[str, TableKey] = {
    "command": table_key("command", forms.WORD, "program to start; without it the entry of `.mcp.json` is configured", '"npx"'),
    "args": table_key("args", forms.TEXTS, "its arguments", '["-y", "some-server"]'),
    "env": table_key("env", forms.VARIABLES, "further environment variables; `${VAR}` and `${VAR:-default}` are expanded", '{ TOKEN = "${TOKEN}" }'),
    "cwd": table_key("cwd", forms.WORD, "directory it starts in, relative to the project", '"tools"'),
    "enabled": table_key("enabled", forms.FLAG, "false: never started", "false"),
    "timeout": table_key("timeout_ms", forms.DURATION, "longest call of a step that names no time-out", '"90s"'),
    "start_timeout": table_key("start_timeout_ms", forms.DURATION, "longest wait for its first answer", '"1m"'),
    "max_line": table_key("line_bytes_max", forms.SIZE, "longest message that is read", '"8 MiB"'),
    "max_output": table_key("output_bytes_max", forms.SIZE, "largest result of a call", '"20 MiB"'),
    "performer": table_key("performer", forms.choice("server", "agent"), "who makes the calls by default", '"agent"'),
    "effects": table_key("effects", forms.TOOL_EFFECTS, "what each tool may do to the world; the others count as `write`", '{ search = "read" }'),
    "trust_annotations": table_key("annotations_confirmed", forms.FLAG, "true: believe what the server says about its tools' effects", "true"),
    "idempotency_key": table_key("idempotency_key", forms.TOOL_ARGUMENTS, "per tool, the argument that takes the idempotency key", '{ pay = "request_id" }'),
}  # fmt: skip


TABLES: Final = TableKind(
    name="servers",
    doc="an MCP server, or more about an entry of `.mcp.json`",
    keys=TABLE_KEYS,
    code="bad_server",
    names=_NAME,
    names_are="the name of a server has letters, digits, `_` and `-` (at most 64)",
)


# ---- .mcp.json


def load(root: Path, tables: Mapping[str, Mapping[str, Any]], toml_file: str = "treadle.toml") -> Catalog:
    """List the servers of a project from its `.mcp.json` and the tables that `tables.read` gave. Starts and executes nothing."""
    specs, problems = _from_json(root / MCP_FILE)
    for name, values in tables.items():
        if name in specs and "command" in values:
            first = specs.pop(name)
            message = f"server {name!r} is defined twice, in {first.file}:{first.line} and in {toml_file}"
            problems.append(Problem(code="server_defined_twice", message=message, file=toml_file, line=values["line"]))
        elif name in specs:
            specs[name] = replace(specs[name], **{key: value for key, value in values.items() if key != "line"})
        elif "command" in values:
            specs[name] = ServerSpec(name=name, file=toml_file, **values)
        else:
            message = f"[servers.{name}] has no `command`, and {MCP_FILE} has no server of that name"
            problems.append(Problem(code="server_without_command", message=message, file=toml_file, line=values["line"]))
    return Catalog(specs=specs, problems=tuple(problems))


def _from_json(path: Path) -> tuple[dict[str, ServerSpec], list[Problem]]:
    def only(message: str, line: int = 0) -> tuple[dict[str, ServerSpec], list[Problem]]:
        return {}, [Problem(code="bad_mcp_file", message=message, file=MCP_FILE, line=line)]

    try:
        if path.stat().st_size > MCP_FILE_BYTES_MAX:
            return only(f"larger than {MCP_FILE_BYTES_MAX} bytes")
        text = path.read_text(encoding="utf-8-sig")
        data = json.loads(text)
    except FileNotFoundError:
        return {}, []
    except json.JSONDecodeError as error:
        return only(f"not JSON: {error.msg}", error.lineno)
    except (OSError, ValueError, RecursionError) as error:
        return only(f"cannot be read: {error}")
    entries = data.get("mcpServers", {}) if isinstance(data, dict) else None
    if not isinstance(entries, dict):
        return only("must be an object with `mcpServers`, an object of servers by name")
    specs: dict[str, ServerSpec] = {}
    problems: list[Problem] = []
    for name, entry in entries.items():
        found = re.search(rf"{re.escape(json.dumps(name))}\s*:", text)
        line = text.count("\n", 0, found.start()) + 1 if found else 0
        try:
            specs[name] = _entry(name, entry, line)
        except ValueError as error:
            problems.append(Problem(code="bad_server", message=f"server {name!r}: {error}", file=MCP_FILE, line=line))
    return specs, problems


def _entry(name: str, entry: object, line: int) -> ServerSpec:
    """Read one entry. Keys of other clients (`alwaysLoad`, `oauth`…) are theirs and pass unread."""
    if not _NAME.fullmatch(name):
        raise ValueError("a name has letters, digits, `_` and `-` (at most 64)")
    if not isinstance(entry, dict):
        raise ValueError("must be an object")  # noqa: TRY004 - one error family for authors
    enabled = not entry.get("disabled", False)
    timeout = entry.get("timeout")
    if timeout is not None and (not isinstance(timeout, int) or isinstance(timeout, bool) or timeout <= 0):
        raise ValueError(f"`timeout` is a number of milliseconds, not {timeout!r}")
    kind = entry.get("type", "http" if "url" in entry and "command" not in entry else "stdio")
    if kind in {"http", "sse", "streamable-http"}:
        return ServerSpec(
            name=name,
            file=MCP_FILE,
            line=line,
            transport="http",
            url=forms.WORD.read(entry.get("url")),
            enabled=enabled,
            timeout_ms=timeout,
        )
    if kind != "stdio":
        raise ValueError(f"`type` {kind!r} is not known; it is stdio or http")
    if "command" not in entry:
        raise ValueError("has no `command`")
    return ServerSpec(
        name=name,
        file=MCP_FILE,
        line=line,
        command=forms.WORD.read(entry["command"]),
        args=forms.TEXTS.read(entry.get("args", [])),
        env=forms.VARIABLES.read(entry.get("env", {})),
        cwd=forms.WORD.read(entry.get("cwd", ".")),
        enabled=enabled,
        timeout_ms=timeout,
    )
