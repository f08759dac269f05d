"""Reading one value by its kind: the typed value, or a problem at its place."""

import re
from abc import abstractmethod
from collections.abc import Mapping as Map
from decimal import Decimal, InvalidOperation
from typing import Final, TypeAlias

from treadle.authoring import kinds as k
from treadle.authoring import model
from treadle.authoring.blanks import has_invisible
from treadle.authoring.expressions import has_template
from treadle.authoring.nodes import Document, Mapping, Node, Scalar, Sequence, data_of, node_at
from treadle.authoring.old_names import INPUT_TYPES, field_meant
from treadle.authoring.problems import Problem, did_you_mean, listed, nearest
from treadle.authoring.templates import Templates, is_single
from treadle.authoring.tree import NotYet, StepTree, TaskTree, Use
from treadle.core.durations import parse_duration_ms
from treadle.core.expr import Expr, const
from treadle.core.schema import check, check_schema
from treadle.core.values import Json
from treadle.functions import FunctionInfo

Owner: TypeAlias = StepTree | TaskTree
_OTHER_FLAGS: Final = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}
_BARE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*\Z")


class Unread(Exception):  # noqa: N818 - control flow between here and `parse`
    """A value could not be read; the problem is recorded."""


class Reader:
    """Reads values; `parse` adds what is special about steps, ids and tasks."""

    def __init__(self, document: Document, functions: Map[str, FunctionInfo]) -> None:
        """Begin with what reading the file found."""
        self.document = document
        self.problems: list[Problem] = list(document.problems)
        self.not_yet: list[NotYet] = []
        self.templates = Templates(document.source, functions, self.problems)

    @abstractmethod
    def steps(self, node: Node, owner: Owner, name: str) -> object:
        """Read a list of steps into its owner's lists."""

    @abstractmethod
    def task(self, name: str, node: Mapping) -> TaskTree:
        """Read an entry of `tasks:`."""

    @abstractmethod
    def later(self, feature: str, node: Node) -> None:
        """Record a feature that nothing carries out yet."""

    def error(self, code: str, node: Node, message: str, suggestion: str = "") -> None:
        """Record an error at a node."""
        self.problems.append(self.document.problem(code, node, message, suggestion))

    def unread(self, code: str, node: Node, message: str, suggestion: str = "") -> Unread:
        """Record an error and give what to raise."""
        self.error(code, node, message, suggestion)
        return Unread()

    def read_fields(
        self,
        node: Mapping,
        table: dict[str, k.Field],
        owner: Owner,
        what: str,
        also: set[str] | frozenset[str] = frozenset(),
    ) -> None:
        """Read the fields of a step, task or file into its owner; unknown and missing ones are errors."""
        meant: set[str] = set()
        for name, child in node.entries.items():
            spec = table.get(name)
            if spec is None:
                if name not in also:
                    meant.add(self._unknown(name, node, table, what, owner))
                    self._break(owner)
                continue
            owner.places[name] = child
            try:
                owner.fields[name] = self.value(spec.kind, child, owner, name)
            except Unread:
                self._break(owner)
                continue
            if spec.later:
                self.later(f"`{name}`", node.keys[name])
        for name, spec in table.items():
            if spec.required and name not in node.entries and name not in meant:
                self.error("missing_field", node, f"{what} needs `{name}`: {spec.doc}", f"add `{name}:`")
                self._break(owner)

    def _break(self, owner: Owner) -> None:
        if isinstance(owner, StepTree):
            owner.broken = True

    def _unknown(self, name: str, node: Mapping, table: dict[str, k.Field], what: str, owner: Owner) -> str:
        meant = field_meant(name, owner.type if isinstance(owner, StepTree) else "", table) or nearest(name, table)
        hint = f"did you mean `{meant}`?" if meant else _elsewhere(name, owner) or f"fields: {listed(table, most=60)}"
        self.error("unknown_field", node.keys[name], f"{what} has no field `{name}`", hint)
        return meant

    def value(self, kind: k.Kind, node: Node, owner: Owner, name: str) -> object:
        """Read a value by its kind. Raises Unread after recording why not."""
        match kind:
            case k.Template() | k.Value() | k.Items() | k.Condition():
                return self._expression(kind, node, owner, name)
            case k.Exprs():
                return self._exprs(node, owner, name)
            case k.Steps():
                return self.steps(node, owner, name if not name.endswith(".do") or isinstance(owner, TaskTree) else name[:-3])
            case k.Text() | k.Words() | k.Duration() | k.Flag() | k.Whole() | k.Amount():
                return self._scalar(kind, node, name)
            case k.Schema():
                return self._schema(node)
            case k.Entries():
                return self._entries(node)
            case k.ListOf() | k.MapOf() | k.Record() | k.Either():
                return self._compound(kind, node, owner, name)
            case k.Anything():
                return data_of(node)

    # Expressions

    def _expression(self, kind: k.Template | k.Value | k.Items | k.Condition, node: Node, owner: Owner, name: str) -> Expr:
        if isinstance(kind, k.Condition):
            expr = self._condition(node, name)
        elif isinstance(kind, k.Template):
            expr = self._template(node, name)
        else:
            self._shape(kind, node, name)
            expr = self.templates.data(node)
        if expr is None:
            self._parts(node, owner, name)
            raise Unread
        owner.uses.append(Use(expr=expr, node=node, field=name))
        return expr

    def _parts(self, node: Node, owner: Owner, name: str) -> None:
        owner.uses += [Use(expr=expr, node=node, field=name, is_part=True) for expr in self.templates.parts(node)]

    def _condition(self, node: Node, name: str) -> Expr | None:
        if isinstance(node, Scalar) and isinstance(node.value, bool):
            return const(node.value)
        if isinstance(node, Scalar) and isinstance(node.value, str):
            return self.templates.condition(node)
        raise self.unread("wrong_type", node, f"`{name}` is one `{{{{ … }}}}`, not {k.form_of(data_of(node))}",
                          'write "{{ … }}" with what is asked')  # fmt: skip

    def _template(self, node: Node, name: str) -> Expr | None:
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            found = k.form_of(data_of(node))
            raise self.unread(
                "wrong_type",
                node,
                f"`{name}` is text, not {found}",
                "quote it"
                if isinstance(node, Scalar) and node.text
                else "write text, in quotes where it holds `: ` or begins with a bracket",
            )
        return self.templates.text(node)

    def _shape(self, kind: k.Value | k.Items, node: Node, name: str) -> None:
        wanted = "list" if isinstance(kind, k.Items) else kind.shape
        if wanted == "any" or isinstance(node, Mapping if wanted == "map" else Sequence):
            return
        if isinstance(node, Scalar) and isinstance(node.value, str) and is_single(node.text):
            return
        hint = f"write a {wanted}"
        if isinstance(node, Scalar) and _BARE_NAME.match(node.text):
            hint = f'to read it from the state: "{{{{ {node.text} }}}}"'
        raise self.unread(
            "wrong_type",
            node,
            f"`{name}` is a {wanted}, or one `{{{{ … }}}}` that gives one, not {k.form_of(data_of(node))}",
            hint,
        )

    def _exprs(self, node: Node, owner: Owner, name: str) -> list[tuple[str, Expr]]:
        if not isinstance(node, Mapping):
            raise self.unread("wrong_type", node, f"`{name}` is a map of names and values, not {k.form_of(data_of(node))}")
        if not node.entries and name == "updates":
            self._empty(node, "`updates` is empty; it names at least one field")
            raise Unread
        found: list[tuple[str, Expr]] = []
        failed = False
        for key, child in node.entries.items():
            self._state_key(key, node.keys[key], name)
            expr = self.templates.data(child)
            if expr is None:
                self._parts(child, owner, f"{name}.{key}")
                failed = True
                continue
            owner.uses.append(Use(expr=expr, node=child, field=f"{name}.{key}"))
            found.append((key, expr))
        if failed:
            raise Unread
        return found

    def _empty(self, node: Mapping, message: str) -> None:
        if self.document.source.text[node.start : node.end].split() in (["{}"], ["{", "}"]):
            self.error("wrong_type", node, message, "write at least one")

    def _state_key(self, key: str, node: Node, name: str) -> None:
        if (re.fullmatch(k.NAME, key) and len(key) <= k.NAME_CHARACTERS_MAX) or has_invisible(key):
            return
        if key.startswith("state."):
            self.error(
                "bad_name",
                node,
                f"the names under `{name}` stand without `state.`",
                f"write `{key.removeprefix('state.')}`",
            )
        elif "." in key:
            self.error(
                "bad_name",
                node,
                f"`{key}` is a path; only whole fields are written",
                f"write `{key.split('.', maxsplit=1)[0]}` with its new value",
            )
        else:
            self.error("bad_name", node, f"`{key}` is no name: letters, digits and `_`, at most 64", "rename it")

    # Scalars

    def _scalar(self, kind: k.Text | k.Words | k.Duration | k.Flag | k.Whole | k.Amount, node: Node, name: str) -> object:
        if not isinstance(node, Scalar):
            raise self.unread("wrong_type", node, f"`{name}` is {_wanted(kind)}, not {k.form_of(data_of(node))}")
        if isinstance(node.value, str) and has_template(node.text) and not (isinstance(kind, k.Text) and kind.braces):
            raise self.unread("template_not_allowed", node, f"`{name}` is {_wanted(kind)}; templates do not stand here",
                              "write it out; to choose between several, use `condition` or `switch`")  # fmt: skip
        match kind:
            case k.Text():
                return self._text(kind, node, name)
            case k.Words():
                return self._word(kind, node, name)
            case k.Duration():
                return self._duration(node, name)
            case k.Flag():
                return self._flag(node, name)
            case k.Whole():
                return self._whole(kind, node, name)
            case k.Amount():
                return self._amount(node, name)

    def _text(self, kind: k.Text, node: Scalar, name: str) -> str:
        if not isinstance(node.value, str):
            # Quoting is not enough where the text must have a form, as a version has.
            fits = [
                text for text in (node.text, f"{node.text}.0", f"{node.text}.0.0") if not kind.pattern or re.fullmatch(kind.pattern, text)
            ]
            hint = f'quote it: "{fits[0]}"' if node.value is not None and fits else f"write {kind.what}"
            raise self.unread("wrong_type", node, f"`{name}` is {kind.what}, not {k.form_of(node.value)}", hint)
        if kind.pattern and not re.fullmatch(kind.pattern, node.text):
            raise self.unread("bad_name", node, f"`{node.text[:80]}` is not {kind.what}", _name_hint(node.text, kind))
        if kind.characters_max and len(node.text) > kind.characters_max:
            message = f"`{name}` has {len(node.text)} characters; at most {kind.characters_max} are allowed"
            raise self.unread("bad_name", node, message, "shorten it")
        return node.text

    def _word(self, kind: k.Words, node: Scalar, name: str) -> str:
        if node.text not in kind.words or not isinstance(node.value, str):
            hint = did_you_mean(node.text, kind.words) or f"one of: {listed(kind.words)}"
            raise self.unread("bad_value", node, f"`{name}` cannot be {k.form_of(node.value)}", hint)
        if node.text in kind.later:
            self.later(f"`{name}: {node.text}`", node)
        return node.text

    def _duration(self, node: Scalar, name: str) -> int:
        if not isinstance(node.value, str):
            hint = f'write "{node.text}s" for seconds, "{node.text}ms" for milliseconds' if isinstance(node.value, int) else ""
            raise self.unread("bad_duration", node, f"`{name}` is a duration with its unit, not {k.form_of(node.value)}", hint)
        try:
            return parse_duration_ms(node.text)
        except ValueError as error:
            raise self.unread("bad_duration", node, f"`{name}`: {error}", "write it like 500ms, 30s, 1h30m, 2d") from error

    def _flag(self, node: Scalar, name: str) -> bool:
        if isinstance(node.value, bool):
            return node.value
        raise self.unread("wrong_type", node, f"`{name}` is `true` or `false`, not {k.form_of(node.value)}", _flag_hint(node))

    def _whole(self, kind: k.Whole, node: Scalar, name: str) -> int:
        if not isinstance(node.value, int) or isinstance(node.value, bool):
            hint = f"write {node.text}, without quotes" if node.text.isdigit() else ""
            raise self.unread("wrong_type", node, f"`{name}` is a whole number, not {k.form_of(node.value)}", hint)
        if node.value < kind.minimum or (kind.maximum is not None and node.value > kind.maximum):
            bounds = f"at least {kind.minimum:,}" + (f" and at most {kind.maximum:,}" if kind.maximum is not None else "")
            meant = kind.minimum if node.value < kind.minimum else kind.maximum
            raise self.unread("out_of_range", node, f"`{name}` is {bounds}, not {node.value:,}", f"write {meant}")
        return node.value

    def _amount(self, node: Scalar, name: str) -> str:
        try:
            amount = (
                Decimal(node.text) if isinstance(node.value, str | int | float) and not isinstance(node.value, bool) else Decimal("NaN")
            )
        except InvalidOperation:
            amount = Decimal("NaN")
        if not amount.is_finite() or amount < 0:
            raise self.unread("wrong_type", node, f"`{name}` is an amount such as 2.50, not {k.form_of(node.value)}")
        return str(amount)

    # Compounds

    def _compound(self, kind: k.ListOf | k.MapOf | k.Record | k.Either, node: Node, owner: Owner, name: str) -> object:
        match kind:
            case k.Either(kinds=kinds):
                chosen = next((one for one in kinds if _fits(one, node)), kinds[0] if isinstance(node, Scalar) else kinds[-1])
                return self.value(chosen, node, owner, name)
            case k.ListOf():
                return self._list(kind, node, owner, name)
            case k.MapOf():
                return self._map(kind, node, owner, name)
            case k.Record():
                return self._record(kind, node, owner, name)

    def _list(self, kind: k.ListOf, node: Node, owner: Owner, name: str) -> list[object]:
        if not isinstance(node, Sequence):
            if kind.alone:
                return [self.value(kind.kind, node, owner, name)]
            raise self.unread("wrong_type", node, f"`{name}` is a list, not {k.form_of(data_of(node))}", "write `[…]`")
        if len(node.items) < kind.count_min:
            raise self.unread("wrong_type", node, f"`{name}` is empty", "write at least one")
        return self._each([(kind.kind, child, name) for child in node.items], owner)

    def _each(self, parts: list[tuple[k.Kind, Node, str]], owner: Owner) -> list[object]:
        """Read all parts before giving up on one of them."""
        found: list[object] = []
        failed = False
        for kind, node, name in parts:
            try:
                found.append(self.value(kind, node, owner, name))
            except Unread:
                failed = True
        if failed:
            raise Unread
        return found

    def _map(self, kind: k.MapOf, node: Node, owner: Owner, name: str) -> dict[str, object]:
        if not isinstance(node, Mapping):
            raise self.unread("wrong_type", node, f"`{name}` is a map, not {k.form_of(data_of(node))}")
        if len(node.entries) < kind.count_min:
            # What had only keys that are none was told before.
            self._empty(node, f"`{name}` is empty")
            raise Unread
        for key, at in node.keys.items():
            if kind.key and not re.fullmatch(kind.key, key):
                self.error("bad_name", at, f"`{key}` under `{name}` is no name: letters, digits, `_` and `-`")
        if isinstance(kind.kind, k.Record) and name == "tasks":
            return self._tasks(node)
        parts = [(kind.kind, child, f"{name}.{key}") for key, child in node.entries.items()]
        return dict(zip(node.entries, self._each(parts, owner), strict=True))

    def _tasks(self, node: Mapping) -> dict[str, object]:
        found: dict[str, object] = {}
        for key, child in node.entries.items():
            if isinstance(child, Mapping):
                found[key] = self.task(key, child)
            else:
                self.error("wrong_type", child, f"the task `{key}` is a map with `steps`, not {k.form_of(data_of(child))}")
        return found

    def _record(self, kind: k.Record, node: Node, owner: Owner, name: str) -> dict[str, object]:
        if not isinstance(node, Mapping):
            raise self.unread(
                "wrong_type",
                node,
                f"`{name}` is a map with {listed(kind.fields, most=60)}, not {k.form_of(data_of(node))}",
            )
        found: dict[str, object] = {}
        failed = False
        for key, child in node.entries.items():
            spec = kind.fields.get(key)
            if spec is None:
                hint = did_you_mean(key, kind.fields) or f"fields: {listed(kind.fields, most=60)}"
                if key in {"fail", "continue"} and name in {"on_error", "on_reject"}:
                    hint = f"write `{name}: {key}`"
                self.error("unknown_field", node.keys[key], f"`{name}` has no field `{key}`", hint)
                failed = True
                continue
            try:
                found[key] = self.value(spec.kind, child, owner, f"{name}.{key}")
            except Unread:
                failed = True
                continue
            if spec.later:
                self.later(f"`{name}.{key}`", node.keys[key])
        for key, spec in kind.fields.items():
            if spec.required and key not in node.entries:
                self.error("missing_field", node, f"`{name}` needs `{key}`: {spec.doc}", f"add `{key}:`")
                failed = True
        chosen = [key for key in node.entries if key not in kind.beside]
        if kind.one_of and len(chosen) != 1 and not failed:
            names = [key for key in kind.fields if key not in kind.beside]
            self.error("bad_value", node, f"`{name}` has exactly one of: {listed(names, most=60)}", "keep one of them")
            failed = True
        for key in [key for key in node.entries if kind.beside.get(key, key) not in node.entries and not failed]:
            self.error("bad_value", node.keys[key], f"`{name}.{key}` belongs to `{kind.beside[key]}`", "delete it")
            failed = True
        if failed:
            raise Unread
        return found

    # Schemas

    def _schema(self, node: Node) -> Json:
        schema = data_of(node)
        if not isinstance(node, Mapping) and not isinstance(schema, bool):
            raise self.unread("wrong_type", node, f"a JSON Schema is a map, not {k.form_of(schema)}")
        self._check_schema(schema, node)
        return schema

    def _check_schema(self, schema: Json, node: Node) -> None:
        faults = list(check_schema(schema))
        for fault in faults:
            at = self.node_at(node, fault.path)
            meant = INPUT_TYPES.get(at.text, "") if isinstance(at, Scalar) else ""
            hint = f"did you mean `{meant}`?" if meant else "see JSON Schema, draft 2020-12"
            self.error("bad_schema", at, f"this is no JSON Schema: {fault.message}", hint)
        if faults:
            raise Unread

    def _entries(self, node: Node) -> dict[str, object]:
        if not isinstance(node, Mapping):
            raise self.unread("wrong_type", node, f"inputs and fields are a map of names, not {k.form_of(data_of(node))}")
        found: dict[str, object] = {}
        failed = False
        for key, child in node.entries.items():
            self._state_key(key, node.keys[key], "inputs")
            try:
                found[key] = self._entry(key, child)
            except Unread:
                failed = True
        if failed:
            raise Unread
        return found

    def _entry(self, name: str, node: Node) -> dict[str, Json]:
        data = data_of(node)
        if not isinstance(node, Mapping) or not isinstance(data, dict):
            hint = f"write `{{type: {data}}}`" if isinstance(data, str) else ""
            raise self.unread(
                "wrong_type",
                node,
                f"`{name}` is a map such as `{{type: string, required: true}}`, not {k.form_of(data)}",
                hint,
            )
        required = data.get("required")
        if required is not None and not isinstance(required, bool | list):
            written = node.entries["required"]
            raise self.unread("wrong_type", written, f"`required` of `{name}` is `true` or `false`", _flag_hint(written))
        plain = {key: value for key, value in data.items() if key != "default" and not (key == "required" and isinstance(value, bool))}
        for key in plain:
            if key in _OLD_RULES:
                raise self.unread(
                    "unknown_field",
                    node.keys[key],
                    f"inputs use JSON Schema's names; `{key}` is none",
                    f"did you mean `{_OLD_RULES[key]}`?" if _OLD_RULES[key] else "its rules stand beside `type`",
                )
        self._check_schema(plain, node)
        if "default" in data:
            for fault in check(plain, data["default"]):
                self.error(
                    "bad_default",
                    self.node_at(node.entries["default"], fault.path),
                    f"the default of `{name}`: {fault.message}",
                    "mend the default, or the rules",
                )
                raise Unread
            if required is True:
                self.error(
                    "required_with_default",
                    node.entries["default"],
                    f"`{name}` is required and has a default, which is never used",
                    "delete one of them",
                )
        if isinstance(required, list):
            # On an entry `required` is ours and says whether it must be given; of an object's keys it is said one level down.
            also = data.get("allOf")
            return {
                **{key: value for key, value in data.items() if key != "required"},
                "allOf": [*(also if isinstance(also, list) else []), {"required": required}],
            }
        return data

    def node_at(self, node: Node, path: str) -> Node:
        """Follow a path of a checked value (`properties.a.items[2]`) as far as nodes go."""
        return node_at(node, path)


_OLD_RULES: Final = {
    "min": "minimum", "max": "maximum", "min_length": "minLength", "max_length": "maxLength", "min_items": "minItems",
    "max_items": "maxItems", "item_type": "items", "required_keys": "required", "validation": "", "regex": "pattern", "choices": "enum",
}  # fmt: skip


def _wanted(kind: k.Text | k.Words | k.Duration | k.Flag | k.Whole | k.Amount) -> str:
    match kind:
        case k.Text(what=what):
            return what
        case k.Words(words=words):
            return "one of " + listed(words)
        case k.Duration():
            return "a duration such as 30s"
        case k.Flag():
            return "`true` or `false`"
        case k.Whole():
            return "a whole number"
        case k.Amount():
            return "an amount"


def _flag_hint(node: Node) -> str:
    text = node.text.lower() if isinstance(node, Scalar) else ""
    meant = _OTHER_FLAGS.get(text, text if text in {"true", "false"} else "")
    return f"write `{meant}`, without quotes" if meant else ""


def _elsewhere(name: str, owner: Owner) -> str:
    """Say where a field belongs that is right and stands in the wrong place."""
    types = [f"`{type_name}`" for type_name, spec in model.TYPES.items() if name in spec.fields]
    if name in model.FILE and name not in model.TASK and name not in model.COMMON:
        return f"`{name}` belongs at the top of the file"
    if name in model.COMMON and not isinstance(owner, StepTree):
        return f"`{name}` belongs on a step"
    return f"`{name}` belongs to {listed(types)}" if types else ""


def _name_hint(text: str, kind: k.Text) -> str:
    if kind.what == "`server.tool`" and "." not in text:
        return f"name the server too: `server.{text}`" if re.fullmatch(r"[A-Za-z0-9_-]+", text) else "write `server.tool`"
    version = re.fullmatch(r"v?(\d+)(?:\.(\d+))?(?:\.(\d+))?", text)
    if version is not None and kind.what.endswith("three parts"):
        return f"write `{'.'.join(part or '0' for part in version.groups())}`"
    if text.startswith("state.") and re.fullmatch(kind.pattern, text.removeprefix("state.")):
        return f"write `{text.removeprefix('state.')}`"
    folded = re.sub(r"[^A-Za-z0-9_]+", "_", text).strip("_")
    lowered = folded.lower().replace("_", "-")
    for candidate in (folded, lowered, f"_{folded}"):
        if candidate != text and re.fullmatch(kind.pattern, candidate):
            return f"for example `{candidate}`"
    return ""


def _fits(kind: k.Kind, node: Node) -> bool:
    """Tell whether the form of a node fits a kind, for choosing among several."""
    match kind:
        case k.ListOf():
            return isinstance(node, Sequence)
        case k.Record() | k.MapOf() | k.Schema():
            return isinstance(node, Mapping)
        case k.Flag():
            return isinstance(node, Scalar) and isinstance(node.value, bool)
        case k.Whole():
            return isinstance(node, Scalar) and isinstance(node.value, int) and not isinstance(node.value, bool)
        case k.Words() | k.Text() | k.Template():
            return isinstance(node, Scalar) and isinstance(node.value, str)
        case _:
            return True
