"""`Settings`: everything that can be configured, merged once from `treadle.toml` < environment < flags.

One table, `KEYS`, says which keys there are; reading, `treadle config show` and the reference page walk it. An unknown key of the file
is an error with its line and the nearest name. An unknown `TREADLE_…` variable is a warning only: the environment is shared with other
programs and other versions.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from treadle.config import forms, people, secrets, servers, tables
from treadle.config.forms import Form
from treadle.config.origin import ConfigError, Origin, Problem, did_you_mean
from treadle.config.people import People
from treadle.config.project import Project
from treadle.config.tables import TableKind
from treadle.config.toml_lines import key_lines, line_of
from treadle.net.guard import Allowed

FILE_BYTES_MAX: Final = 1 << 20
# Read elsewhere: by ./dev, by tests, by `treadle mcp` itself.
_OTHER_VARIABLES: Final = frozenset(
    {
        "TREADLE_VENV",
        "TREADLE_PYTHON",
        "TREADLE_TEMPORAL_CLI",
        "TREADLE_PROJECT",
        "TREADLE_RUN",
        "TREADLE_IDEMPOTENCY_KEY",
        servers.STARTED_BY,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One setting: its name in the file, field of `Settings`, default, form, variables (the first set one wins), meaning, an example."""

    name: str
    field: str
    default: Any
    form: Form
    doc: str
    example: str
    variables: tuple[str, ...] = ()


def _key(name: str, default: Any, form: Form, doc: str, example: str, *aliases: str, field: str = "") -> Key:
    flat = name.replace(".", "_")
    variables = (f"TREADLE_{flat.upper()}", *aliases)
    return Key(name=name, field=field or flat, default=default, form=form, doc=doc, example=example, variables=variables)


# One row per setting reads better than one line per argument.
# fmt: off
KEYS: Final[tuple[Key, ...]] = (
    _key("workflows.paths", (), forms.PATHS, "further directories with workflows", '["../shared/workflows"]', "WORKFLOW_DEFINITIONS_PATH"),
    _key("files.root", ".", forms.TEXT, "directory that file checks are held to; relative to the project", '"src"', "MCP_FILE_ROOT"),
    _key("log.level", "info", forms.choice("debug", "info", "warning", "error"), "least severe line that is logged", '"debug"', "LOG_LEVEL"),
    _key("log.format", "json", forms.choice("json", "text"), "one JSON object a line, or text for people", '"text"', "LOG_FORMAT"),
    _key("mcp.timeout", 60_000, forms.DURATION, "longest tool call where neither step nor server names one", '"2m"', field="mcp_timeout_ms"),
    _key("mcp.start_timeout", 30_000, forms.DURATION, "longest wait for a server's first answer", '"1m"', field="mcp_start_timeout_ms"),
    _key("mcp.idle_stop", 600_000, forms.DURATION, "a server unused for so long is stopped", '"1h"', field="mcp_idle_stop_ms"),
    _key("mcp.max_line", 4 << 20, forms.SIZE, "longest message that is read from a server", '"8 MiB"', field="mcp_line_bytes_max"),
    _key("mcp.max_output", 10 << 20, forms.SIZE, "largest result of a tool call", '"20 MiB"', field="mcp_output_bytes_max"),
    _key("shell.max_output", 256 << 10, forms.SIZE, "how much of each stream of a command is kept: its beginning and its end", '"1 MiB"', field="shell_output_bytes_max"),
    _key("http.allow", (), forms.HOSTS, "addresses, networks and hosts that requests may go to although they are not on the public internet", '["127.0.0.1:8080", "10.0.0.0/8", "host.example:443"]'),
    _key("http.timeout", 60_000, forms.DURATION, "longest request where the step names no `timeout`", '"2m"', field="http_timeout_ms"),
    _key("http.max_output", 10 << 20, forms.SIZE, "largest answer to a request, unpacked", '"20 MiB"', field="http_output_bytes_max"),
    _key("expressions.env", (), forms.TEXTS, "variables of the environment that `env()` may read; each is kept in the run's history as it was at the start", '["CI", "REGION"]'),
    _key("web_search.provider", "", forms.choice("", "searxng", "files"), "who answers `treadle server web`", '"files"'),
    _key("web_search.url", "", forms.URL, "address of the SearXNG instance", '"http://localhost:8080"'),
    _key("web_search.folder", "", forms.TEXT, "folder that the provider `files` searches; relative to the project", '"docs"'),
    _key("web_search.site", "", forms.URL, "address under which that folder is published; without it results name files", '"https://docs.example.org"'),
)
# fmt: on
# Tables of a kind, one per name.
TABLE_KINDS: Final[dict[str, TableKind]] = {kind.name: kind for kind in (servers.TABLES, people.TABLES, secrets.TABLES)}
_BY_NAME: Final = {key.name: key for key in KEYS}
_TABLES: Final = tuple(dict.fromkeys(key.name.split(".")[0] for key in KEYS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is in force. `origins` has an entry per key of `KEYS`; `server_tables` is what `servers.load` wants."""

    project: Project
    workflows_paths: tuple[str, ...]
    files_root: str
    log_level: Literal["debug", "info", "warning", "error"]
    log_format: Literal["json", "text"]
    mcp_timeout_ms: int
    mcp_start_timeout_ms: int
    mcp_idle_stop_ms: int
    mcp_line_bytes_max: int
    mcp_output_bytes_max: int
    shell_output_bytes_max: int
    http_allow: tuple[Allowed, ...]
    http_timeout_ms: int
    http_output_bytes_max: int
    expressions_env: tuple[str, ...]
    web_search_provider: Literal["", "searxng", "files"]
    web_search_url: str
    web_search_folder: str
    web_search_site: str
    server_tables: Mapping[str, Mapping[str, Any]] = field(repr=False)
    people: People
    secrets: Mapping[str, secrets.Source]
    origins: Mapping[str, Origin]
    warnings: tuple[str, ...] = ()

    def path(self, text: str) -> Path:
        """Resolve a configured path: relative ones start at the project's root, `~` is the user's home."""
        return (self.project.root / Path(text).expanduser()).resolve()

    def servers(self) -> servers.Catalog:
        """List the project's MCP servers; reads `.mcp.json` anew, starts nothing."""
        return servers.load(self.project.root, self.server_tables)

    def shown(self) -> list[tuple[str, object, Origin]]:
        """Give name, value as it would be written, and origin of every setting, as `treadle config show` prints them."""
        return [(key.name, key.form.write(getattr(self, key.field)), self.origins[key.name]) for key in KEYS]


def load(project: Project, *, environ: Mapping[str, str], flags: Mapping[str, object] | None = None) -> Settings:
    """Merge file, environment and flags (by key name, None meaning not given). Raises ConfigError that lists every fault."""
    problems: list[Problem] = []
    values: dict[str, Any] = {key.field: key.default for key in KEYS}
    origins: dict[str, Origin] = {key.name: Origin(kind="default") for key in KEYS}

    def take(key: Key, value: object, origin: Origin, file: str, line: int = 0) -> None:
        try:
            values[key.field] = key.form.read(value)
            origins[key.name] = origin
        except ValueError as error:
            problems.append(Problem(code="bad_value", message=f"{key.name} {error}", file=file, line=line))

    named = _from_file(project, take, problems)
    everybody, faults = people.read(named["people"], project.config_file.name)
    problems += faults
    in_file, faults = secrets.declared(named["secrets"], project.config_file.name, problems)
    problems += faults
    for key in KEYS:
        variable = next((name for name in key.variables if environ.get(name)), None)
        if variable is not None:
            take(key, environ[variable], Origin(kind="environment", where=variable), variable)
    for name, value in (flags or {}).items():
        if value is not None:
            flag = f"--{name.split('.')[-1].replace('_', '-')}"
            take(_BY_NAME[name], value, Origin(kind="flag", where=flag), flag)
    if problems:
        raise ConfigError(problems)
    return Settings(
        project=project, server_tables=named["servers"], people=everybody, secrets=in_file, origins=origins,
        warnings=_strays(environ), **values,
    )  # fmt: skip


def _from_file(
    project: Project, take: Callable[[Key, object, Origin, str, int], None], problems: list[Problem]
) -> dict[str, dict[str, dict[str, Any]]]:
    """Hand over every setting of the file, and give the tables of each kind by name."""
    named: dict[str, dict[str, dict[str, Any]]] = {kind: {} for kind in TABLE_KINDS}
    if not project.config_file.is_file():
        return named
    name = project.config_file.name
    text, data = _read_file(project.config_file)
    lines = key_lines(text)
    for path, value in _leaves(data, lines, name, problems):
        line = line_of(lines, path)
        take(_BY_NAME[".".join(path)], value, Origin(kind="file", where=f"{name}:{line}"), name, line)
    for kind in TABLE_KINDS.values():
        named[kind.name], faults = tables.read(kind, _table(data.get(kind.name, {})), name, lines)
        problems += faults
    return named


def _read_file(path: Path) -> tuple[str, dict[str, Any]]:
    def fail(message: str, line: int = 0) -> ConfigError:
        return ConfigError([Problem(code="bad_config_file", message=message, file=path.name, line=line)])

    try:
        raw = path.read_bytes()
        if len(raw) > FILE_BYTES_MAX:
            raise fail(f"larger than {FILE_BYTES_MAX} bytes")
        text = raw.decode("utf-8")
        return text, tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        raise fail(f"not TOML: {error}", int(line[1]) if line else 0) from error
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise fail(f"cannot be read: {error}") from error


def _leaves(
    data: dict[str, Any], lines: dict[tuple[str, ...], int], file: str, problems: list[Problem]
) -> list[tuple[tuple[str, ...], Any]]:
    """Give the known settings of the file; report unknown tables and keys."""
    found: list[tuple[tuple[str, ...], Any]] = []
    known = (*_TABLES, *TABLE_KINDS)
    for table, content in data.items():
        line = line_of(lines, (table,))
        if table not in known or not isinstance(content, dict):
            message = f"there is no table [{table}]" if table not in known else f"{table} must be a table"
            hint = "" if table in known else did_you_mean(table, known) or f"tables: {', '.join(known)}"
            problems.append(Problem(code="unknown_key", message=message, file=file, line=line, suggestion=hint))
            continue
        for key, value in content.items() if table not in TABLE_KINDS else ():
            if f"{table}.{key}" in _BY_NAME:
                found.append(((table, key), value))
                continue
            siblings = [name.split(".")[1] for name in _BY_NAME if name.startswith(f"{table}.")]
            at = line_of(lines, (table, key))
            problems.append(
                Problem(
                    code="unknown_key",
                    message=f"[{table}] has no key {key!r}",
                    file=file,
                    line=at,
                    suggestion=did_you_mean(key, siblings) or f"keys: {', '.join(siblings)}",
                )
            )
    return found


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _strays(environ: Mapping[str, str]) -> tuple[str, ...]:
    known = {name for key in KEYS for name in key.variables} | _OTHER_VARIABLES
    strays = sorted(name for name in environ if name.startswith("TREADLE_") and name not in known)
    return tuple(f"the environment variable {name} is not known; {did_you_mean(name, known)}".rstrip("; ") for name in strays)
