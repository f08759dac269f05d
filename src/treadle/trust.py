"""Trust: which code of a project this user has looked at and allowed (ruling 58).

A project's files can run code: `functions/*.py` is imported, servers named in `.mcp.json` and `treadle.toml` are started. `collect` lists
them without executing anything, each with the text a person should see and a digest of it. What a user accepted is kept outside the
project, where a checkout cannot reach it: one file per project, readable by that user alone, replaced atomically. Whoever is about to
execute asks `TrustStore.allows` with the digest of exactly what will be executed; anything changed since is pending again.

What a digest covers: the text shown, and every file inside the project that a server's command line names. What it cannot cover: modules
that those import, and packages that a package runner fetches. The text says which command runs; whether to run it is the user's decision.
"""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from treadle.config.project import Project
from treadle.config.servers import Catalog, ServerSpec
from treadle.core.codec import digest_of as digest_of_definition
from treadle.core.definition import Definition, Shell
from treadle.core.errors import RequestError

Kind = Literal["functions", "server", "commands"]
FILE_BYTES_MAX: Final = 4 << 20
_SENSITIVE = re.compile(r"TOKEN|KEY|SECRET|PASS|CREDENTIAL|AUTH", re.IGNORECASE)
_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustItem:
    """One thing that may run. `text` is what to show; `digest` binds it together with the contents of files that it names."""

    kind: Kind
    name: str
    text: str
    digest: str

    @property
    def key(self) -> str:
        """Give the name under which an acceptance is kept."""
        return _key(self.kind, self.name, self.digest)


def digest_of(*parts: str | bytes) -> str:
    """Digest texts and bytes so that no two lists of parts collide."""
    hasher = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        hasher.update(len(raw).to_bytes(8, "big") + raw)
    return f"sha256:{hasher.hexdigest()}"


def commands_item(definition: Definition, text: str) -> TrustItem:
    """Describe the commands of a workflow for trust, bound to the whole of it: what a command does may stand in any other step."""
    return TrustItem(kind="commands", name=definition.name, text=text, digest=digest_of_definition(definition))


def has_commands(definition: Definition) -> bool:
    """Tell whether Treadle itself would run commands for a workflow, not counting the workflows that it starts."""
    return any(
        (isinstance(step.spec, Shell) and step.performer == "server") or any(check.shell is not None for check in step.verify)
        for step in definition.index.steps.values()
    )


def function_digest(name: str, source: bytes) -> str:
    """Digest a file of functions; whoever imports it computes this from the very bytes it is about to execute."""
    return digest_of("functions", name, source)


def collect(project: Project, catalog: Catalog) -> list[TrustItem]:
    """List what this project could execute, in a stable order. Raises RequestError `unreadable` for a file that cannot be shown."""
    return [
        *_functions(project),
        *(server_item(catalog.specs[name], project.root) for name in sorted(_startable(catalog))),
    ]


def server_item(spec: ServerSpec, root: Path) -> TrustItem:
    """Describe a server for trust: its command line, environment, and what its entry claims about effects."""
    lines = [f"command: {' '.join(map(_quoted, spec.argv))}"]
    lines += [f"directory: {spec.cwd}"] if spec.cwd != "." else []
    for name, value in sorted(spec.env.items()):
        # A variable can change what runs (PYTHONPATH, NODE_OPTIONS), so it is shown; what looks like a credential is only named.
        lines.append(f"environment: {name}={'***' if _SENSITIVE.search(name) else value.reveal()}")
    lines += ["annotations: believed, the server says itself what its tools may do"] if spec.annotations_confirmed else []
    lines += [f"effect: {tool} = {effect}" for tool, effect in sorted(spec.effects.items())]
    hidden = json.dumps({name: value.reveal() for name, value in sorted(spec.env.items())})
    parts: list[str | bytes] = ["server", spec.name, "\n".join(lines), json.dumps(spec.argv), hidden]
    for path in _named_files(spec, root):
        content = _read(path, root)
        lines.append(f"file: {path.relative_to(root)} ({digest_of(content)[:19]})")
        parts += [str(path.relative_to(root)), content]
    lines.append(f"written in: {spec.file}:{spec.line}")
    return TrustItem(kind="server", name=spec.name, text="\n".join(lines), digest=digest_of(*parts))


class TrustStore:
    """What one user has accepted, per project. Two processes may write at once: the later acceptance of one project wins whole."""

    def __init__(self, directory: Path) -> None:
        """Keep files below `directory`, the user's own data directory; it is made when something is first accepted."""
        self._directory = directory / "trust"

    def allows(self, project: Project, item: TrustItem) -> bool:
        """Tell whether exactly this was accepted."""
        return self._accepted(project).get(item.key) == item.digest

    def allows_digest(self, project: Project, kind: Kind, name: str, digest: str) -> bool:
        """Tell the same of something whose digest the caller computed from what it is about to execute."""
        return self._accepted(project).get(_key(kind, name, digest)) == digest

    def pending(self, project: Project, items: Iterable[TrustItem]) -> list[TrustItem]:
        """Give the items that were never accepted, or not as they are now."""
        accepted = self._accepted(project)
        return [item for item in items if accepted.get(item.key) != item.digest]

    def changed(self, project: Project, item: TrustItem) -> bool:
        """Tell whether an earlier form of this item was accepted."""
        accepted = self._accepted(project)
        if item.kind == "commands":
            return item.key not in accepted and any(key.startswith(f"{item.kind}:{item.name}@") for key in accepted)
        return accepted.get(item.key) not in {None, item.digest}

    def accept(self, project: Project, items: Iterable[TrustItem]) -> None:
        """Record what a person was shown and agreed to; durable when this returns. Other acceptances of the project stay."""
        self._write(project, {**self._accepted(project), **{item.key: item.digest for item in items}})

    def revoke(self, project: Project) -> bool:
        """Forget every acceptance of a project; False when there was none."""
        try:
            self._file(project).unlink()
        except FileNotFoundError:
            return False
        return True

    def _file(self, project: Project) -> Path:
        # All worktrees of a repository share acceptances: digests bind content, whichever branch it stands on.
        return self._directory / f"{hashlib.sha256(str(project.home).encode()).hexdigest()[:32]}.json"

    def _accepted(self, project: Project) -> Mapping[str, str]:
        path = self._file(project)
        try:
            data = json.loads(path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            raise _unusable(path, str(error)) from error
        accepted = data.get("accepted") if isinstance(data, dict) and data.get("version") == _VERSION else None
        if not isinstance(accepted, dict) or not all(isinstance(value, str) for value in accepted.values()):
            raise _unusable(path, "it is not of a form that this version of Treadle knows")
        return accepted if data.get("project") == str(project.home) else {}

    def _write(self, project: Project, accepted: Mapping[str, str]) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        data = {"version": _VERSION, "project": str(project.home), "accepted": dict(sorted(accepted.items()))}
        # mkstemp makes the file 0600 from its first byte on.
        handle, name = tempfile.mkstemp(dir=self._directory, suffix=".new")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(data, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self._file(project))
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise


def _key(kind: Kind, name: str, digest: str) -> str:
    # A run keeps the workflow it was started with: what was allowed for it stays allowed beside the newer one.
    return f"{kind}:{name}@{digest}" if kind == "commands" else f"{kind}:{name}"


def user_store() -> TrustStore:
    """Open the acceptances of the user who runs this process."""
    # Some milliseconds that only commands which run code should pay.
    from platformdirs import user_data_path

    return TrustStore(user_data_path("treadle", appauthor=False))


def gate(store: TrustStore, project: Project) -> Callable[[ServerSpec], None]:
    """Make the check that a server pool runs before each start. It raises RequestError `not_trusted`."""

    def check(spec: ServerSpec) -> None:
        item = server_item(spec, project.root)
        if not store.allows(project, item):
            what = "has changed since it was trusted" if store.changed(project, item) else "is not trusted yet"
            raise RequestError(
                f"the MCP server {spec.name!r} ({spec.file}) {what}; nothing of it was started",
                code="not_trusted",
                hint="look at it and allow it with `treadle trust`",
            )

    return check


def _startable(catalog: Catalog) -> Iterator[str]:
    for name, spec in catalog.specs.items():
        if spec.enabled and spec.transport == "stdio" and not spec.is_treadle_itself:
            yield name


def _functions(project: Project) -> Iterator[TrustItem]:
    folder = project.root / "functions"
    for path in sorted(path for path in folder.rglob("*.py") if path.is_file()):
        name = path.relative_to(project.root).as_posix()
        source = _read(path, project.root)
        yield TrustItem(kind="functions", name=name, text=source.decode("utf-8", "replace"), digest=function_digest(name, source))


def _named_files(spec: ServerSpec, root: Path) -> list[Path]:
    """Give the files inside the project that a command line names: a changed script is a changed server."""
    found: dict[Path, None] = {}
    base = root / spec.cwd
    for word in spec.argv:
        candidate = word.partition("=")[2] if word.startswith("--") and "=" in word else word
        try:
            path = Path(os.path.normpath(base / candidate))
            if path.is_relative_to(root) and path.is_file():
                found[path] = None
        except (OSError, ValueError):  # an argument that is no path at all
            continue
    return list(found)


def _read(path: Path, root: Path) -> bytes:
    try:
        if path.stat().st_size <= FILE_BYTES_MAX:
            return path.read_bytes()
        reason = f"it is larger than {FILE_BYTES_MAX} bytes"
    except OSError as error:
        reason = error.strerror or str(error)
    raise RequestError(
        f"{path.relative_to(root)} cannot be shown: {reason}",
        code="unreadable",
        hint="what cannot be shown is not trusted",
    )


def _quoted(word: str) -> str:
    return word if re.fullmatch(r"[\w@%+=:,./${}-]+", word) else json.dumps(word)


def _unusable(path: Path, reason: str) -> RequestError:
    return RequestError(
        f"the record of trust {path} cannot be used: {reason}",
        code="trust_unreadable",
        hint="delete it and trust again",
    )
