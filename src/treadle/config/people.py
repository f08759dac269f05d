"""People: who may decide what, by tables `[people.NAME]` of `treadle.toml`.

A person is known by the account that the operating system names. With no such table every account of this machine is a person called as
the account is, and nobody has a role. With one, those listed are all the people there are: another account can start runs and answer
what a run asks, and cannot approve. Whether enough people could pass a gate is decided by `why_impossible`, for checks of workflows and
for starting runs alike; it works on what `by:` says (ruling 26) and knows nothing of either.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from treadle.config import forms
from treadle.config.forms import Form
from treadle.config.origin import Problem
from treadle.config.tables import TableKind, table_key

# In `never`, whoever started the run.
STARTER: Final = "starter"
_NAME: Final = re.compile(r"(?!starter\Z)[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_ROLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


def _roles(value: object) -> tuple[str, ...]:
    found = forms.TEXTS.read(value)
    for role in found:
        if not _ROLE.fullmatch(role):
            raise ValueError(f"{role!r} is no name of a role: letters, digits, `_` and `-`, at most 64")
        if found.count(role) > 1:
            raise ValueError(f"names {role!r} twice")
    return found


TABLES: Final = TableKind(
    name="people",
    doc="a person who may decide what a gate asks; with one such table, those listed are all the people there are",
    keys={
        "name": table_key("full_name", forms.WORD, "how the person is shown", '"Alice Miller"'),
        "user": table_key("account", forms.WORD, "account that the operating system names; by default the name of the table", '"amiller"'),
        "roles": table_key("roles", Form(words="list of names", read=_roles), "what `by: {role: …}` of a gate can ask for", '["reviewer"]'),
    },
    code="bad_person",
    names=_NAME,
    names_are="the name of a person has letters, digits, `_`, `-` and `.` (at most 64), and is not `starter`",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One person: `name` stands in workflows, `account` is what the operating system says. `places` says where each field was written."""

    name: str
    account: str
    full_name: str = ""
    roles: tuple[str, ...] = ()
    line: int = 0
    places: Mapping[str, str] = field(default_factory=dict[str, str], compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """Everybody who is configured, by name."""

    by_name: Mapping[str, Person] = field(default_factory=dict[str, Person])

    def __bool__(self) -> bool:
        """Tell whether anybody is configured."""
        return bool(self.by_name)

    @property
    def roles(self) -> tuple[str, ...]:
        """Give every role that somebody has."""
        return tuple(dict.fromkeys(role for person in self.by_name.values() for role in person.roles))

    def of_account(self, account: str) -> Person | None:
        """Give the person of an account. With nobody configured that is a person called like it."""
        if not self.by_name:
            return Person(name=account, account=account)
        return next((person for person in self.by_name.values() if person.account == account), None)

    def caller_name(self, account: str) -> str:
        """Say what to call whoever sits at an account: a person's name, else a word that is no person's name."""
        found = self.of_account(account)
        return found.name if found is not None else f"account:{account}"

    def with_role(self, roles: Iterable[str]) -> set[str]:
        """Give the names of those who have one of some roles."""
        wanted = set(roles)
        return {person.name for person in self.by_name.values() if wanted & set(person.roles)}


def read(tables: Mapping[str, Mapping[str, Any]], file: str) -> tuple[People, list[Problem]]:
    """Make people of what `tables.read` gave. An account that stands for two is an error: nobody could tell which of them decided."""
    found: dict[str, Person] = {}
    problems: list[Problem] = []
    accounts: dict[str, Person] = {}
    for name, values in tables.items():
        person = Person(name=name, **{"account": name, **values})
        first = accounts.setdefault(person.account, person)
        if first is not person:
            message = f"the account {person.account!r} of {name!r} is the account of {first.name!r} too (line {first.line})"
            hint = "give one of them its own `user`"
            problems.append(Problem(code="account_twice", message=message, file=file, line=person.line, suggestion=hint))
        found[name] = person
    return People(by_name=found), problems


# ---- gates


class Needs(Protocol):
    """What a gate needs: any of `users` and `roles`, without either any person; `count` of them, each once; not those in `never`."""

    @property
    def users(self) -> tuple[str, ...]: ...
    @property
    def roles(self) -> tuple[str, ...]: ...
    @property
    def never(self) -> tuple[str, ...]: ...
    @property
    def count(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GateNeeds:
    """What `by:` says, flattened: `any_of` is in `users` and `roles`. Fits `Needs`."""

    users: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    distinct_from: tuple[str, ...] = ()
    count: int = 1


def deciders(needs: Needs, people: People, starter: str | None = None) -> set[str] | None:
    """Give the names of those who may decide; None where that is any person and nobody is configured."""
    excluded = {starter if name == STARTER and starter is not None else name for name in needs.never}
    if needs.users or needs.roles:
        named = {name for name in needs.users if not people or name in people.by_name}
        return (named | people.with_role(needs.roles)) - excluded
    return set(people.by_name) - excluded if people else None


def why_impossible(needs: Needs, people: People, starter: str | None = None) -> str:
    """Say why nobody, or too few, could pass a gate; empty text when it can be passed.

    Without `starter` (the name of whoever starts the run) `never: starter` excludes nobody yet.
    """
    able = deciders(needs, people, starter)
    if able is None or len(able) >= needs.count:
        return ""
    if able:
        return f"it needs {needs.count} people, and only {_counted(able)} may decide"
    if not deciders(_unrestricted(needs), people):
        who = [*(f"nobody has the role {role!r}" for role in needs.roles)]
        who += [f"{user!r} is not among the people of treadle.toml" for user in needs.users]
        return " and ".join(who) or "nobody is there"
    by_starting = starter is not None and STARTER in needs.never and bool(deciders(needs, people))
    return f"{starter!r} alone could, and whoever starts the run may not" if by_starting else "everybody who may is excluded by `never`"


def why_pair_impossible(gate: Needs, earlier: Needs, people: People, starter: str | None = None) -> str:
    """Say why a gate that is `distinct_from` an earlier one cannot be passed once that has been; empty text when it can.

    Both alone are taken to be possible.
    """
    one, other = deciders(gate, people, starter), deciders(earlier, people, starter)
    if one is None or other is None:
        return ""
    wanted = gate.count + earlier.count
    return "" if len(one | other) >= wanted else f"the two need {wanted} different people, and only {_counted(one | other)} may decide"


def _unrestricted(needs: Needs) -> GateNeeds:
    return replace(GateNeeds(), users=needs.users, roles=needs.roles, count=needs.count)


def _counted(names: set[str]) -> str:
    return f"{len(names)} ({', '.join(sorted(names))})"
