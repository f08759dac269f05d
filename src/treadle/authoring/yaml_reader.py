"""Bytes to a positioned tree: YAML 1.2 or JSON, hostile or not (language.md §6, ruling 52).

Built from libyaml's events, because they carry places and because its own composer recurses until the process dies. Every bound holds
while events arrive: size before anything is read, depth at each opening, expansion at each alias, so that a bomb costs what its fuse
costs. An alias is a reference while reading; only a tree that was accepted as a whole is unfolded, so every node in it has one path.
Faults that leave the rest readable (a repeated key, a tag) are collected; the others end the reading.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import yaml

from treadle.authoring.places import Source
from treadle.authoring.problems import Problem
from treadle.authoring.scalars import ScalarError, resolve
from treadle.core.values import RESERVED, Json

FILE_BYTES_MAX: Final = 4 << 20
NODES_MAX: Final = 100_000
EXPANDED_CHARACTERS_MAX: Final = 4 << 20
DEPTH_MAX: Final = 64
# Whoever makes more mistakes than this has sent something that is no workflow.
PROBLEMS_MAX: Final = 1_000
Style = Literal["plain", "single", "double", "literal", "folded"]
_STYLES: Final[dict[str | None, Style]] = {None: "plain", "": "plain", "'": "single", '"': "double", "|": "literal", ">": "folded"}
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
# What libyaml's reader would refuse without saying where in a way an author understands; NUL first of all.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
_SURROGATE_PAIR = re.compile(r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_OPEN_TEMPLATE = re.compile(r"(?:^|[:\-,\[]\s+|^\s+)(\{\{|\{%|\{#)")
_RESERVED_START = re.compile(r"(?:[:\-]\s+|^\s*)([@`%*&!])\S")


@dataclass(slots=True, eq=False)
class Node:
    """A value with its place. `start` and `end` are offsets into the source text; `path` names it from the top."""

    line: int
    column: int
    start: int
    path: str = ""
    end: int = 0


@dataclass(slots=True, eq=False)
class Scalar(Node):
    """A scalar: `value` as data, `text` as written between its quotes, after escapes."""

    value: Json = None
    text: str = ""
    style: Style = "plain"


@dataclass(slots=True, eq=False)
class Sequence(Node):
    """A list."""

    items: list[Node] = field(default_factory=list[Node])


@dataclass(slots=True, eq=False)
class Mapping(Node):
    """A map with text keys, in the order of the file; `keys` holds the key's own node, for its place."""

    entries: dict[str, Node] = field(default_factory=dict[str, Node])
    keys: dict[str, Scalar] = field(default_factory=dict[str, Scalar])


@dataclass(slots=True, eq=False)
class _Alias(Node):
    target: Node | None = None


@dataclass(slots=True, kw_only=True)
class Document:
    """A file as read. `root` is None when it could not be read to its end."""

    source: Source
    root: Node | None
    problems: list[Problem]

    def problem(self, code: str, node: Node, message: str, suggestion: str = "") -> Problem:
        """Make an error at a node."""
        return Problem(
            code=code, severity="error", file=self.source.file, line=node.line, column=node.column, path=node.path,
            message=message, suggestion=suggestion,
        )  # fmt: skip


def read_file(path: Path, shown: str) -> Document:
    """Read a file, named `shown` in problems; its size is asked before its content. Never raises for what the file holds."""
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= FILE_BYTES_MAX else b""
    except OSError as error:
        return _refused(Source(shown, ""), "unreadable", f"the file cannot be read: {error.strerror or error}")
    return read_bytes(data, shown) if size <= FILE_BYTES_MAX else _too_large(shown, size)


def read_bytes(data: bytes, shown: str) -> Document:
    """Read the bytes of a file."""
    if len(data) > FILE_BYTES_MAX:
        return _too_large(shown, len(data))
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"} or data[:4] == b"\x00\x00\xfe\xff":
        return _refused(Source(shown, ""), "not_utf8", "the file is UTF-16 or UTF-32; Treadle reads UTF-8", "save it as UTF-8")
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        message = f"byte 0x{data[error.start]:02x} is not UTF-8 ({error.reason})"
        return _refused(Source(shown, before), "not_utf8", message, "save it as UTF-8", at=len(before))
    return read_text(text, shown)


def read_text(text: str, shown: str) -> Document:
    """Read a text that came from elsewhere than a file."""
    source = Source(shown, text)
    bad = _CONTROL.search(text)
    if bad is not None:
        name = "a NUL" if bad[0] == "\x00" else f"the control character U+{ord(bad[0]):04X}"
        return _refused(source, "control_character", f"{name} stands in the file", "delete it", at=bad.start())
    reader = _Reader(source)
    root = reader.read()
    return Document(source=source, root=None if root is None else _unfold(root, ""), problems=reader.problems)


def has_invisible(text: str) -> bool:
    """Tell whether a text holds characters that are not shown, which the reader reports."""
    return _INVISIBLE.search(text) is not None


def data_of(node: Node) -> Json:
    """Give the plain data of a node."""
    match node:
        case Mapping(entries=entries):
            return {key: data_of(child) for key, child in entries.items()}
        case Sequence(items=items):
            return [data_of(child) for child in items]
        case Scalar(value=value):
            return value
        case _:
            raise TypeError(type(node).__name__)


def scalars(node: Node) -> Iterator[Scalar]:
    """Give every scalar of a node that is a value, in reading order."""
    match node:
        case Scalar():
            yield node
        case Sequence(items=items):
            for child in items:
                yield from scalars(child)
        case Mapping(entries=entries):
            for child in entries.values():
                yield from scalars(child)
        case _:
            pass


class _StopReading(Exception):  # noqa: N818 - control flow within this module
    """The rest of the file cannot be read; the problem is recorded."""


class _Size(NamedTuple):
    """What a node unfolds to."""

    nodes: int
    characters: int
    height: int


@dataclass(slots=True)
class _Open:
    """A collection whose end has not come yet; `nodes`, `characters` and `height` are of what it unfolds to."""

    node: Mapping | Sequence
    anchor: str | None
    flow: bool
    key: Scalar | None = None
    nodes: int = 1
    characters: int = 0
    height: int = 1


class _Reader:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.problems: list[Problem] = []
        self.stack: list[_Open] = []
        self.anchors: dict[str, tuple[Node, _Size]] = {}
        self.open_anchors: set[str] = set()
        self.root: Node | None = None
        self.nodes = 0
        self.characters = 0
        # Only a file with tabs or invisible characters pays for looking where they stand.
        self.spans: list[tuple[int, int, str]] | None = [] if "\t" in source.text or _INVISIBLE.search(source.text) else None

    def read(self) -> Node | None:
        parser = yaml.CLoader(_joined_surrogates(self.source))
        try:
            while True:
                event = parser.get_event()
                if isinstance(event, yaml.StreamEndEvent):
                    break
                self._event(event)
            self._after()
        except yaml.MarkedYAMLError as error:
            self._syntax(error)
            return None
        except yaml.YAMLError as error:  # the reader's own, for characters
            self._fault("yaml_syntax", 0, f"this is not YAML: {error}")
            return None
        except _StopReading:
            return None
        finally:
            parser.dispose()
        if self.root is None:
            self._fault("empty_file", 0, "the file is empty")
        return self.root

    def _event(self, event: Any) -> None:
        match event:
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._open(event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._close(event)
            case yaml.AliasEvent():
                self._alias(event)
            case yaml.DocumentStartEvent():
                self._document(event)
            case _:
                pass

    def _document(self, event: Any) -> None:
        at = self._place(event.start_mark)[2]
        if self.root is not None:
            self._fault("several_documents", at, "a file holds one document; here a second one begins", "put it into a file of its own")
            raise _StopReading
        if event.version not in {None, (1, 2)}:
            self._fault("yaml_directive", at, f"`%YAML {event.version[0]}.{event.version[1]}` is not understood; files are YAML 1.2")
        if event.tags:
            self._fault("yaml_directive", at, "`%TAG` is not allowed; there are no tags here", "delete the line")

    def _scalar(self, event: Any) -> None:
        style = _STYLES[event.style]
        line, column, start = self._place(event.start_mark)
        node = Scalar(line, column, start, end=self.source.original(event.end_mark.index), text=event.value, style=style)
        if event.tag is not None:
            self._tag(event)
        if style == "plain" and event.tag is None:
            try:
                node.value = resolve(event.value)
            except ScalarError as error:
                self._fault(error.code, start, error.message)
        else:
            node.value = event.value
        if self.spans is not None:
            self.spans.append((node.start, node.end, "key" if self._wants_key() else "text"))
        self._count(start, 1, len(event.value))
        self._put(node, event.anchor, _Size(1, len(event.value), 0))

    def _open(self, event: Any) -> None:
        line, column, start = self._place(event.start_mark)
        self._deep(start, 1)
        self._count(start, 1, 0)
        if event.tag is not None:
            self._tag(event)
        is_map = isinstance(event, yaml.MappingStartEvent)
        if is_map and event.flow_style and self.source.text.startswith("{{", start):
            self._unquoted(start)
        if self._wants_key():
            self._fault("key_not_text", start, "a key must be text; here it is a list or a map")
            raise _StopReading
        if event.anchor is not None:
            self.open_anchors.add(event.anchor)
        kind = Mapping if is_map else Sequence
        self.stack.append(_Open(kind(line, column, start), event.anchor, bool(event.flow_style)))

    def _close(self, event: Any) -> None:
        done = self.stack.pop()
        done.node.end = self.source.original(event.end_mark.index)
        if done.anchor is not None:
            self.open_anchors.discard(done.anchor)
        if self.spans is not None and done.flow:
            self.spans.append((done.node.start, done.node.end, "flow"))
        self._put(done.node, done.anchor, _Size(done.nodes, done.characters, done.height))

    def _alias(self, event: Any) -> None:
        line, column, at = self._place(event.start_mark)
        if event.anchor in self.open_anchors:
            self._fault("recursive_alias", at, f"`*{event.anchor}` stands inside what it repeats")
            raise _StopReading
        if event.anchor not in self.anchors:
            known = ", ".join(self.anchors) or "none"
            self._fault("unknown_alias", at, f"there is no anchor `&{event.anchor}` before this place; anchors: {known}",
                        "to write text that begins with `*`, quote it")  # fmt: skip
            raise _StopReading
        target, size = self.anchors[event.anchor]
        self._deep(at, size.height)
        self._count(at, size.nodes, size.characters)
        if self._wants_key() and isinstance(target, Scalar):
            self._put(target, None, size)
            return
        self._put(_Alias(line, column, at, target=target), None, size)

    def _place(self, mark: Any) -> tuple[int, int, int]:
        if not self.source.shifts:
            return mark.line + 1, mark.column + 1, mark.index
        at = self.source.original(mark.index)
        return *self.source.place(at), at

    def _deep(self, at: int, height: int) -> None:
        if len(self.stack) + height > DEPTH_MAX:
            self._fault("too_deep", at, f"data is nested deeper than {DEPTH_MAX} levels")
            raise _StopReading

    def _count(self, at: int, nodes: int, characters: int) -> None:
        self.nodes += nodes
        self.characters += characters
        if self.nodes > NODES_MAX or self.characters > EXPANDED_CHARACTERS_MAX:
            size = f"{NODES_MAX:,} values or {EXPANDED_CHARACTERS_MAX >> 20} MiB"
            self._fault("too_many_values", at, f"the file unfolds to more than {size}", "divide it; aliases count as what they repeat")
            raise _StopReading

    def _wants_key(self) -> bool:
        return bool(self.stack) and isinstance(self.stack[-1].node, Mapping) and self.stack[-1].key is None

    def _put(self, node: Node, anchor: str | None, size: _Size) -> None:
        if anchor is not None:
            self.anchors[anchor] = (node, size)
        if not self.stack:
            self.root = node
            return
        top = self.stack[-1]
        top.nodes += size.nodes
        top.characters += size.characters
        top.height = max(top.height, size.height + 1)
        match top:
            case _Open(node=Sequence(items=items)):
                items.append(node)
            case _Open(node=Mapping(), key=None):
                self._key(top, node)
            case _Open(node=Mapping(entries=entries, keys=keys), key=Scalar() as key):
                # Of a repeated key the first stands; a key that is no text is told once and names nothing.
                if key.text not in entries and isinstance(key.value, str):
                    entries[key.text] = node
                    keys[key.text] = key
                top.key = None
            case _:
                pass

    def _key(self, top: _Open, node: Node) -> None:
        if not isinstance(node, Scalar):
            self._fault("key_not_text", node.start, "a key must be text; here it is a list or a map")
            raise _StopReading
        top.key = node
        assert isinstance(top.node, Mapping)
        if node.text == "<<" and node.style == "plain":
            self._fault("merge_key", node.start, "`<<` does not merge here", "repeat the fields, or use `defaults:`")
        elif not isinstance(node.value, str):
            shown = node.text or "an empty key"
            self._fault("key_not_text", node.start, f"a key must be text; `{shown}` is {_kind(node.value)}", f'quote it: "{node.text}"')
        elif node.text.startswith(RESERVED):
            self._fault("reserved_key", node.start, f"the key `{node.text}` is reserved: no key may start with `{RESERVED}`", "rename it")
        elif node.text in top.node.keys:
            first = top.node.keys[node.text]
            self._fault(
                "duplicate_key", node.start,
                f"the key `{node.text}` stands twice: first at line {first.line}, column {first.column}", "keep one of them",
            )  # fmt: skip

    def _tag(self, event: Any) -> None:
        tag = event.tag.replace("tag:yaml.org,2002:", "!!")
        self._fault("yaml_tag", self._place(event.start_mark)[2], f"the tag `{tag[:60]}` is not allowed; there are no tags here",
                    "delete it; quote the value to make it text")  # fmt: skip

    def _unquoted(self, at: int) -> None:
        self._fault("unquoted_template", at, "a value that begins with `{{` must be quoted, or YAML reads it as a map",
                    'write "{{ … }}" in double quotes')  # fmt: skip
        raise _StopReading

    def _fault(self, code: str, at: int, message: str, suggestion: str = "", severity: Literal["error", "warning"] = "error") -> None:
        if len(self.problems) >= PROBLEMS_MAX:
            raise _StopReading
        line, column = self.source.place(at)
        path = self._path()
        self.problems.append(
            Problem(code=code, severity=severity, file=self.source.file, line=line, column=column, path=path,
                    message=message, suggestion=suggestion)
        )  # fmt: skip

    def _path(self) -> str:
        path = ""
        for level in self.stack:
            if isinstance(level.node, Sequence):
                path += f"[{len(level.node.items)}]"
            elif level.key is not None:
                path = _below(path, level.key.text)
        return path

    def _syntax(self, error: yaml.MarkedYAMLError) -> None:
        mark: Any = error.problem_mark or error.context_mark
        at = self.source.original(mark.index) if mark is not None else 0
        line_start, line = self.source.line_around(at)
        found = _OPEN_TEMPLATE.search(line)
        if found is not None and line_start + found.start(1) <= at:
            opening = found[1]
            self._fault("unquoted_template", line_start + found.start(1),
                        f"a value that begins with `{opening}` must be quoted, or YAML reads it as a map", 'write it in double quotes: "{{ … }}"')  # fmt: skip
            return
        problem = (error.problem or "it cannot be read").replace("\t", "tab")
        if self.source.text[at : at + 1] == "\t" or "found a tab" in problem:
            self._fault("tab", at, "a tab stands where YAML wants spaces", "indent with spaces")
            return
        reserved = _RESERVED_START.search(line)
        if reserved is not None and line_start + reserved.start(1) <= at <= line_start + reserved.start(1) + 1:
            self._fault("yaml_syntax", line_start + reserved.start(1), f"a value cannot begin with `{reserved[1]}` unless it is quoted",
                        "put the value into double quotes")  # fmt: skip
            return
        hint = "quote the text if it holds `: `" if "mapping values are not allowed" in problem else ""
        context = f" {error.context}" if error.context else ""
        self._fault("yaml_syntax", at, f"this is not YAML: {problem}{context}", hint)

    def _after(self) -> None:
        """Look where tabs and invisible characters stand, once all scalars are known."""
        if self.spans is None:
            return
        self.spans.sort()
        for found in _INVISIBLE.finditer(self.source.text):
            kind = self._span_of(found.start())
            name = f"the invisible character U+{ord(found[0]):04X}"
            if kind == "key":
                self._fault("invisible_character", found.start(), f"{name} stands in a name", "delete it")
            else:
                self._fault("invisible_text", found.start(), f"{name} stands in text: what is read may not be what is shown", severity="warning")
        for found in re.finditer("\t+", self.source.text):
            if not self._span_of(found.start()) and not self._in_comment(found.start()):
                self._fault("tab", found.start(), "a tab stands where YAML wants spaces", "use spaces")

    def _span_of(self, at: int) -> str:
        # Innermost last: a scalar inside a flow collection starts later than the collection.
        return next((kind for start, end, kind in reversed(self.spans or []) if start <= at < end), "")

    def _in_comment(self, at: int) -> bool:
        start = self.source.text.rfind("\n", 0, at) + 1
        marks = (i for i in range(start, at) if self.source.text[i] == "#" and not self._span_of(i))
        return any(i == start or self.source.text[i - 1] in " \t" for i in marks) or self._rest_is_comment(at)

    def _rest_is_comment(self, at: int) -> bool:
        rest = self.source.text[at : self.source.text.find("\n", at) if "\n" in self.source.text[at:] else None].strip()
        return not rest or rest.startswith("#")


def _unfold(node: Node, path: str) -> Node:
    """Give every node its path, and every alias a copy of what it repeats; bounded by what was counted before."""
    if isinstance(node, _Alias):
        assert node.target is not None
        return _unfold(_copied(node.target), path)
    node.path = path
    match node:
        case Mapping(entries=entries, keys=keys):
            for key, child in entries.items():
                below = _below(path, key)
                entries[key] = _unfold(child, below)
                keys[key].path = below
        case Sequence(items=items):
            for index, child in enumerate(items):
                items[index] = _unfold(child, f"{path}[{index}]")
        case _:
            pass
    return node


def _copied(node: Node) -> Node:
    match node:
        case _Alias(target=Node() as target):
            return _copied(target)
        case Scalar():
            return Scalar(node.line, node.column, node.start, end=node.end, value=node.value, text=node.text, style=node.style)
        case Sequence():
            return Sequence(node.line, node.column, node.start, end=node.end, items=[_copied(c) for c in node.items])
        case Mapping():
            entries = {key: _copied(child) for key, child in node.entries.items()}
            keys = {name: Scalar(k.line, k.column, k.start, end=k.end, value=k.value, text=k.text) for name, k in node.keys.items()}
            return Mapping(node.line, node.column, node.start, end=node.end, entries=entries, keys=keys)
        case _:
            raise TypeError(type(node).__name__)


def _below(path: str, key: str) -> str:
    name = key if _PLAIN_KEY.match(key) else f"[{key!r}]"
    return f"{path}.{name}" if path and not name.startswith("[") else f"{path}{name}"


def _kind(value: Json) -> str:
    return "null" if value is None else "a boolean" if isinstance(value, bool) else "a number"


def _joined_surrogates(source: Source) -> str:
    """Write JSON's pairs of escapes as one escape, which is all that YAML knows; `source` keeps what that moves."""

    def join(found: re.Match[str]) -> str:
        high, low = int(found[2], 16), int(found[3], 16)
        written = f"{found[1]}\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08X}"
        removed = len(found[0]) - len(written)
        source.shifts.append((found.end() - sum(by for _, by in source.shifts) - removed, removed))
        return written

    return _SURROGATE_PAIR.sub(join, source.text) if "\\u" in source.text else source.text


def _refused(source: Source, code: str, message: str, suggestion: str = "", at: int = 0) -> Document:
    line, column = source.place(at)
    problem = Problem(code=code, severity="error", file=source.file, line=line, column=column, path="", message=message, suggestion=suggestion)
    return Document(source=source, root=None, problems=[problem])


def _too_large(shown: str, size: int) -> Document:
    message = f"the file has {size:,} bytes; at most {FILE_BYTES_MAX:,} are read"
    return _refused(Source(shown, ""), "file_too_large", message)
