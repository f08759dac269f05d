"""The walk of a schema check: one value against one schema, what it costs, and how a fault is written.

What each keyword asks is in `schema_rules`; the walk is given those rules.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import unquote

from treadle.core.values import BlobRef, Chunks, Holed, Json, Value, encode

MOVES_MAX: Final = 1_000_000
FAULTS_MAX: Final = 50
NESTING_MAX: Final = 150
SHOWN_MAX: Final = 60
Schema: TypeAlias = dict[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What does not fit, and where: `path` is `a.b[0]`, empty for the whole value; `rule` is the schema's keyword."""

    path: str
    rule: str
    message: str


class Exhausted(Exception):  # noqa: N818 - it is how a check ends early
    """Enough faults were found, or there are no moves left."""


def joined(path: str, key: str | int) -> str:
    """Write a path one step longer."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    if not (key.isascii() and key.replace("-", "_").isidentifier()):
        return f"{path}[{encode(key[:SHOWN_MAX])}]"
    return f"{path}.{key}" if path else key


def shown(value: Value) -> str:
    """Show a value in a message, cut short."""
    if isinstance(value, str):
        return encode(value if len(value) <= SHOWN_MAX else value[:SHOWN_MAX] + "…")
    if isinstance(value, list | Chunks):
        return f"a list of {len(value) if isinstance(value, list) else value.length}"
    return f"an object of {len(value)}" if isinstance(value, dict) else "text" if isinstance(value, BlobRef | Holed) else encode(value)


def type_of(value: Value) -> str:
    """Name a value's JSON type."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "integer" if value.is_integer() else "number"
        case str() | Holed() | BlobRef(kind="text"):
            return "string"
        case list() | Chunks() | BlobRef(kind="list"):
            return "array"
        case _:
            return "object"


def resolved(root: Json, reference: str) -> Json:
    """Follow a local reference. Raises KeyError where it leads nowhere; only `#` and `#/…` are local."""
    if not reference.startswith("#") or (len(reference) > 1 and reference[1] != "/"):
        raise KeyError(reference)
    found = root
    for part in unquote(reference[2:]).split("/") if len(reference) > 1 else ():
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict):
            found = found[key]
        elif isinstance(found, list) and key.isdecimal() and int(key[:9]) < len(found):
            found = found[int(key[:9])]
        else:
            raise KeyError(reference)
    return found


class Checker:
    """One check in progress."""

    def __init__(self, root: Json, rules: "Rules", moves: int) -> None:
        """Begin with no faults."""
        self.root = root
        self.rules = rules
        self.left = moves
        self.depth = 0
        self.faults: list[Fault] = []

    def charge(self, moves: int) -> None:
        """Count moves down; out of them, the check ends with a fault."""
        self.left -= moves
        if self.left < 0:
            message = f"the data is too large, or its schema nested too deeply, to be checked in {MOVES_MAX:,} moves"
            self.faults = [*self.faults[: FAULTS_MAX - 1], Fault(path="", rule="budget", message=message)]
            raise Exhausted

    def fault(self, path: str, rule: str, message: str) -> None:
        """Note a fault; with enough of them, the check ends."""
        self.faults.append(Fault(path=path, rule=rule, message=message))
        if len(self.faults) >= FAULTS_MAX:
            raise Exhausted

    def value(self, schema: Json, value: Value, path: str) -> None:
        """Check one value against one schema."""
        self.charge(1)
        if schema is True:
            return
        if not isinstance(schema, dict):
            self.fault(path, "false", "nothing may stand here")
            return
        self.depth += 1
        if self.depth > NESTING_MAX:
            self.left = 0
            self.charge(1)
        kind = type_of(value)
        set_aside = isinstance(value, BlobRef | Chunks | Holed)
        for rule, argument in schema.items():
            entry = self.rules.get(rule)
            if entry is None or (entry[0] and kind not in entry[0]):
                continue
            self.charge(1)
            if set_aside and rule != "type":
                self.fault(path, rule, "this value was set aside and cannot be checked unread")
                break
            entry[1](self, argument, value, path, schema)
        self.depth -= 1

    def fits(self, schema: Json, value: Value, path: str) -> list[Fault]:
        """Check on the side: gives the faults without noting them."""
        inner = Checker(self.root, self.rules, self.left)
        inner.depth = self.depth
        try:
            inner.value(schema, value, path)
        except Exhausted:
            if inner.left < 0:
                self.left = 0
                self.charge(1)
        self.left = inner.left
        return inner.faults


Work: TypeAlias = Callable[[Checker, Json, Value, str, Schema], None]
Rules: TypeAlias = Mapping[str, tuple[frozenset[str], Work]]
