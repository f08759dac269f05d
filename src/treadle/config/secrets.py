"""Secrets of a project: what names mean, on this account and by `[secrets]` of `treadle.toml`, and getting a value when it is used.

`treadle.toml` says where a value is found (a variable, a file, the keyring) and never holds one: it is committed. `treadle secrets set` keeps a
value, or where it is, for this account and goes before the file. A value is read anew each time, in the process that uses it, and is known
nowhere else; `Redactor` learns of it at that moment. Values are text of 6 to 32,768 bytes: shorter ones cannot be told from other text when
they are to be taken out of logs. One line end at the end belongs to the file or the typing, not to the value.
"""

import contextlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from treadle.config import secret_file, secret_keyring
from treadle.config.forms import Form
from treadle.config.origin import Problem, did_you_mean
from treadle.config.project import Project
from treadle.config.redact import Redactor
from treadle.config.secret import Secret
from treadle.config.secret_store import KINDS, Entry, SecretStore
from treadle.config.tables import TableKind, table_key
from treadle.core.errors import RequestError

NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
CHARS_MIN: Final = 6
BYTES_MAX: Final = 32 << 10
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,255}")
_KEYRING: Final = re.compile(r"[^\0\n]{1,512}/[^\0\n/]{1,256}")


def _place(pattern: re.Pattern[str], what: str) -> Form:
    def read(value: object) -> str:
        # What stands here by mistake may be the value itself: it is not shown.
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise ValueError(f"must be {what}")
        return value

    return Form(words=what, read=read)


VARIABLE: Final = _place(_VARIABLE, "the name of a variable: letters, digits and `_`")
FILE: Final = _place(re.compile(r"[^\0\n]{1,4096}"), "a path")
KEYRING: Final = _place(_KEYRING, "`service/name`, as the keyring has it")
TABLES: Final = TableKind(
    name="secrets",
    doc="where the value of a secret is found: one of the keys; never the value",
    keys={
        "env": table_key("env", VARIABLE, "variable of the environment of the process that performs", '"MY_TOKEN"'),
        "file": table_key("file", FILE, "file that holds nothing else, private (0600) and never committed", '"~/.config/token"'),
        "keyring": table_key("keyring", KEYRING, "entry of the account's keyring (extra `keyring`)", '"service/name"'),
    },
    code="bad_secret",
    names=NAME,
    names_are="the name of a secret has letters, digits and `_`, at most 64, and begins with no digit",
    no_table='a secret\'s value never stands here: the file is committed and shown. Say where it is: `{env = "…"}`, `{file = "…"}`, `{keyring = "…"}`',
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a secret's value is found. `origin` names who says so: `this account`, or a line of `treadle.toml`."""

    name: str
    kind: str
    where: str = ""
    origin: str = ""
    hides: str = ""
    entry: Entry | None = None

    def __str__(self) -> str:
        """Say it in a few words."""
        if self.kind == "value":
            return "kept for this account"
        return {"env": f"variable {self.where}", "file": f"file {self.where}", "keyring": f"keyring {self.where}"}[self.kind]


def declared(tables: Mapping[str, Mapping[str, Any]], file: str, told: Iterable[Problem]) -> tuple[dict[str, Source], list[Problem]]:
    """Take what `[secrets]` says, by name; every fault with its line, but of those that are `told` already."""
    found: dict[str, Source] = {}
    problems: list[Problem] = []
    faulty = {(problem.file, problem.line) for problem in told}
    for name, values in tables.items():
        kinds = [kind for kind in KINDS if kind in values]
        if len(kinds) == 1:
            found[name] = Source(name=name, kind=kinds[0], where=values[kinds[0]], origin=f"{file}:{values['line']}")
        elif (file, values["line"]) not in faulty:
            said = f"has {' and '.join(kinds)}" if kinds else "says nothing"
            message = f"secrets.{name} {said}; it has one of env, file, keyring"
            problems.append(Problem(code="bad_secret", message=message, file=file, line=values["line"]))
    return found, problems


class Secrets:
    """The secrets of one project, as one process sees them."""

    def __init__(self, project: Project, in_file: Mapping[str, Source], store: SecretStore, environ: Mapping[str, str]) -> None:
        """Read nothing yet."""
        self._project, self._in_file, self.store, self._environ = project, in_file, store, environ
        self.redactor = Redactor()

    def names(self) -> list[str]:
        """Give the name of every secret that is set, here or in the file."""
        return sorted({*self._in_file, *self.store.names()})

    def source(self, name: str) -> Source | None:
        """Say where a secret is found; None where nobody said. Raises RequestError for an entry that cannot be read."""
        in_file, entry = self._in_file.get(name), self.store.entry(name) if NAME.fullmatch(name) else None
        if entry is None:
            return in_file
        hides = in_file.origin if in_file is not None else ""
        return Source(name=name, kind=entry.kind, where=entry.where, origin="this account", hides=hides, entry=entry)

    def get(self, name: str) -> Secret:
        """Give a value, which is taken out of all that comes back from now on. Raises RequestError; nothing of the value is in it."""
        source = self.source(name)
        if source is None:
            raise RequestError(f"the secret {name} is not set here", code="secret_missing", hint=self._hint(name))
        secret = sound(self._raw(source), f"the secret {name} ({source})")
        self.redactor.add(name, secret)
        return secret

    def check(self, names: Iterable[str]) -> None:
        """Raise RequestError that names every secret without a value, and how to set it."""
        problems: list[RequestError] = []
        for name in names:
            try:
                self.get(name)
            except RequestError as error:
                problems.append(error)
        if len(problems) == 1:
            raise problems[0]
        if problems:
            message = "; ".join(error.message for error in problems)
            hints = list(dict.fromkeys(error.hint for error in problems))
            raise RequestError(message, code=problems[0].code, hint="; ".join(hints))

    def expect_in_logs(self) -> None:
        """Learn the values that can be read without asking anybody, before a server is started that may have them too."""
        for name in self.names():
            with contextlib.suppress(RequestError):  # told when it is used
                source = self.source(name)
                if source is not None and source.kind in {"value", "env"}:
                    self.get(name)

    def _raw(self, source: Source) -> str | bytes:
        match source.kind:
            case "value" if source.entry is not None and source.entry.secret is not None:
                return source.entry.secret.reveal()
            case "env":
                value = self._environ.get(source.where)
                if not value:
                    message = f"the secret {source.name} is in the variable {source.where} ({source.origin}), which is not set"
                    raise RequestError(message, code="secret_missing", hint=f"set {source.where}, or {self._hint(source.name)}")
                return value
            case "file":
                path = (self._project.root / Path(source.where).expanduser()).absolute()
                return secret_file.read(path, self._project.root, BYTES_MAX + 2)
            case _:
                service, _, account = source.where.rpartition("/")
                found = secret_keyring.get(service, account)
                if found is None:
                    message = f"the secret {source.name} is in the keyring at {source.where} ({source.origin}), which has no such entry"
                    raise RequestError(message, code="secret_missing", hint=self._hint(source.name))
                return found

    def _hint(self, name: str) -> str:
        meant = did_you_mean(name, self._in_file)
        return f"`treadle secrets set {name}`" + (f"; {meant}" if meant else "")


def sound(raw: str | bytes, what: str) -> Secret:
    """Make a secret of what was typed or read. Raises RequestError that says what is wrong, and not with which value."""
    try:
        text = raw.decode() if isinstance(raw, bytes) else raw
        data = text.encode()
    except UnicodeError:
        raise RequestError(f"{what} is not UTF-8 text", code="bad_secret", hint="encode it, for example as base64") from None
    text = text[:-2] if text.endswith("\r\n") else text.removesuffix("\n")
    if "\0" in text:
        raise RequestError(f"{what} holds a NUL", code="bad_secret", hint="encode it, for example as base64")
    if len(data) > BYTES_MAX:
        raise RequestError(f"{what} is larger than {BYTES_MAX:,} bytes", code="secret_too_long", hint="a secret is one value, not a store")
    if not text.strip():
        raise RequestError(f"{what} is empty", code="secret_missing", hint="type it when asked, or pipe it in")
    if len(text) < CHARS_MIN:
        message = f"{what} has fewer than {CHARS_MIN} characters: it could not be told from other text where it is to be taken out of logs"
        raise RequestError(message, code="secret_too_short", hint="use a longer value; what is so short protects nothing")
    return Secret(text)


def user_store(project: Project) -> SecretStore:
    """Open what the user who runs this process keeps for a project."""
    # Some milliseconds that only commands which use secrets should pay.
    from platformdirs import user_data_path

    return SecretStore(user_data_path("treadle", appauthor=False), project)
