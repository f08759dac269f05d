"""Kinds of value that a field of a workflow file may hold: plain data, from which reading, JSON Schema and reference pages are made.

`Template`, `Value`, `Items` and `Condition` are the only kinds in which `{{ … }}` may stand; in every other kind it is an error.
"""

from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from treadle.core.values import Json

ID: Final = r"[A-Za-z_][A-Za-z0-9_-]*"
# A state field and a name in an expression: no `-`, which would be a subtraction there.
NAME: Final = r"[A-Za-z_][A-Za-z0-9_]*"
WORKFLOW_NAME: Final = r"[a-z][a-z0-9_-]*(:[a-z][a-z0-9_-]*)*"
NAME_CHARACTERS_MAX: Final = 64
TOOL_CHARACTERS_MAX: Final = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """Literal text. `what` says in a message what it must be; `pattern` is matched against all of it."""

    what: str = "text"
    pattern: str = ""
    characters_max: int = 0
    # Braces are ordinary characters in what only people read, and in a regular expression.
    braces: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """Text with `{{ }}` and `{% %}`; a single `{{ }}` keeps its type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """Any data, with templates in every text below it."""

    shape: Literal["any", "map", "list"] = "any"
    # May a secret stand here (language.md §4)?
    secrets: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """A list, or one `{{ }}` that gives one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Exactly one `{{ }}`, whose value is true or false."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """`true` or `false`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A whole number."""

    minimum: int = 0
    maximum: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """Money or another exact decimal: a number, or text such as `"2.50"`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Duration:
    """Text such as `500ms`, `30s`, `1h30m`, `2d`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """One of a few words; those in `later` are understood and not carried out yet."""

    words: tuple[str, ...]
    later: tuple[str, ...] = ()
    # False where leaving it out means none of them, or what the step's type says.
    first_is_default: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """A JSON Schema (draft 2020-12)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entries:
    """Names with a JSON Schema each, plus `required` and `default`: a workflow's inputs, a form's fields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """A list of steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exprs:
    """Names with a value each, in order: state fields, inputs of a task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOf:
    """A list of one kind; `alone` takes a single one without the list."""

    kind: "Kind"
    alone: bool = False
    count_min: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MapOf:
    """A map of one kind."""

    kind: "Kind"
    key: str = ""
    count_min: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A map with known fields; `one_of` asks for exactly one of them. `beside` names fields that do not count, each with the one it belongs to."""

    fields: dict[str, "Field"]
    one_of: bool = False
    beside: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Either:
    """The first kind whose form (text, number, list, map…) fits; the last where none does."""

    kinds: tuple["Kind", ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Anything:
    """Plain data without templates."""


Kind: TypeAlias = (
    Text | Template | Value | Items | Condition | Flag | Whole | Amount | Duration | Words | Schema | Entries | Steps | Exprs
    | ListOf | MapOf | Record | Either | Anything
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A field: what it holds, whether it must be there, and whether carrying it out is still to be built (ruling 62)."""

    kind: Kind
    doc: str
    required: bool = False
    later: bool = False
    # What holds where it is left out, as it would be written; None where nothing does. Of words, the first is the default.
    default: Json = None

    @property
    def default_written(self) -> Json:
        """Give what holds where the field is left out."""
        words = self.kind if isinstance(self.kind, Words) else None
        if words is not None and words.first_is_default and self.default is None and not self.required:
            return words.words[0]
        return self.default


@dataclass(frozen=True, slots=True, kw_only=True)
class StepType:
    """A step type: its own fields, the one that a shorthand key fills, and which common fields make no sense on it."""

    doc: str
    fields: dict[str, Field]
    main: str = ""
    without: dict[str, str]
    later: bool = False


def form_of(value: object) -> str:
    """Name the form of plain data for a message."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, bool):
        return f"the boolean `{'true' if value else 'false'}`"
    if isinstance(value, int | float):
        return f"the number `{value}`"
    if isinstance(value, str):
        shown = value if len(value) <= 40 else value[:37] + "…"
        return f"the text {shown!r}"
    return "a list" if isinstance(value, list) else "a map"
