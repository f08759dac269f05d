"""The MCP servers that a project names: entries of `.mcp.json`, tables `[servers.NAME]` of `treadle.toml`, or both.

A table with `command` defines a server; one without configures the entry of that name in `.mcp.json` (time-out, effects, who performs).
Values stay as they are written, `${VAR}` included, because that is what a person is shown and trusts; `launch` expands them at the
last moment. What is wrong with one server is kept beside the list and reported when that server is wanted: the others still work.
"""

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from treadle.config.origin import Problem, did_you_mean
from treadle.config.quantities import duration_ms, size_bytes
from treadle.config.secret import Secret
from treadle.config.toml_lines import line_of
from treadle.core.definition import EFFECTS, Effect
from treadle.core.errors import RequestError

MCP_FILE = ".mcp.json"
MCP_FILE_BYTES_MAX = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
# What a server may see of our own environment; all else must be named under `env`. Keys of providers are not for everybody.
_INHERITED = (
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
    """One server as it is written. Times and sizes of None mean the project's general ones."""

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

        env = {name: environ[name] for name in _INHERITED if name in environ}
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


def _text(value: object) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError(f"must be text, not {value!r}")
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) and "\0" not in item for item in value):
        raise ValueError(f"must be a list of texts, not {value!r}")
    return tuple(value)


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {value!r}")  # noqa: TRY004 - one error family for authors
    return value


def _env(value: object) -> dict[str, Secret]:
    if not isinstance(value, dict) or not all(isinstance(item, str | int | float | bool) for item in value.values()):
        raise ValueError("must be a table of texts")
    return {name: Secret(item if isinstance(item, str) else json.dumps(item)) for name, item in value.items()}


def _performer(value: object) -> str:
    if value not in {"server", "agent"}:
        raise ValueError(f"must be 'server' or 'agent', not {value!r}")
    return str(value)


def _effects(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError("must be a table of tool = effect")  # noqa: TRY004 - as above
    for tool, effect in value.items():
        if effect not in EFFECTS:
            raise ValueError(f"{tool} = {effect!r}: an effect is one of {', '.join(EFFECTS)}")
    return dict(value)


def _fields(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(item, str) and item for item in value.values()):
        raise ValueError("must be a table of tool = the name of the argument that takes the key")
    return dict(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableKey:
    """One key of a `[servers.NAME]` table: the field it sets, how it is read, what it means."""

    field: str
    read: Callable[[object], object]
    doc: str


TABLE_KEYS: dict[str, TableKey] = {
    "command": TableKey(field="command", read=_text, doc="program to start; without it the entry of .mcp.json is configured"),
    "args": TableKey(field="args", read=_texts, doc="its arguments"),
    "env": TableKey(field="env", read=_env, doc="further environment variables; ${VAR} and ${VAR:-default} are expanded"),
    "cwd": TableKey(field="cwd", read=_text, doc="directory it starts in, relative to the project"),
    "enabled": TableKey(field="enabled", read=_boolean, doc="false: never started"),
    "timeout": TableKey(field="timeout_ms", read=duration_ms, doc="longest call of a step that names no time-out"),
    "start_timeout": TableKey(field="start_timeout_ms", read=duration_ms, doc="longest wait for its first answer"),
    "max_line": TableKey(field="line_bytes_max", read=size_bytes, doc="longest message that is read"),
    "max_output": TableKey(field="output_bytes_max", read=size_bytes, doc="largest result of a call"),
    "performer": TableKey(field="performer", read=_performer, doc="who makes the calls by default: server, or agent"),
    "effects": TableKey(field="effects", read=_effects, doc="what each tool may do to the world; the others count as write"),
    "trust_annotations": TableKey(
        field="annotations_confirmed", read=_boolean, doc="true: believe what the server says about its tools' effects"
    ),
    "idempotency_key": TableKey(field="idempotency_key", read=_fields, doc="per tool, the argument that takes the idempotency key"),
}


def read_tables(
    tables: Mapping[str, Any], file: str, lines: Mapping[tuple[str, ...], int]
) -> tuple[dict[str, dict[str, Any]], list[Problem]]:
    """Check the `[servers.*]` tables; give the values by server and field, and every fault."""
    read: dict[str, dict[str, Any]] = {}
    problems: list[Problem] = []
    for name, table in tables.items():
        here = ("servers", name)

        def fault(code: str, message: str, key: str = "", suggestion: str = "", here: tuple[str, ...] = here) -> None:
            line = line_of(dict(lines), (*here, key) if key else here)
            problems.append(Problem(code=code, message=message, file=file, line=line, suggestion=suggestion))

        if not isinstance(table, dict) or not _NAME.fullmatch(name):
            fault("bad_server", f"[servers.{name}] must be a table, its name of letters, digits, `_` and `-` (at most 64)")
            continue
        values: dict[str, Any] = {"line": line_of(dict(lines), here)}
        for key, value in table.items():
            if key not in TABLE_KEYS:
                fault("unknown_key", f"[servers.{name}] has no key {key!r}", key, did_you_mean(key, TABLE_KEYS))
                continue
            try:
                values[TABLE_KEYS[key].field] = TABLE_KEYS[key].read(value)
            except ValueError as error:
                fault("bad_value", f"servers.{name}.{key} {error}", key)
        read[name] = values
    return read, problems


# ---- .mcp.json


def load(root: Path, tables: Mapping[str, Mapping[str, Any]], toml_file: str = "treadle.toml") -> Catalog:
    """List the servers of a project from its `.mcp.json` and the tables that `read_tables` gave. Starts and executes nothing."""
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
            url=_text(entry.get("url")),
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
        command=_text(entry["command"]),
        args=_texts(entry.get("args", [])),
        env=_env(entry.get("env", {})),
        cwd=_text(entry.get("cwd", ".")),
        enabled=enabled,
        timeout_ms=timeout,
    )
