"""Bytes to a positioned tree: YAML 1.2 or JSON, hostile or not (language.md §6, ruling 52).

Built from libyaml's events, because they carry places and because its own composer recurses until the process dies. Every bound holds
while events arrive: size before anything is read, depth at each opening, expansion at each alias, so that a bomb costs what its fuse
costs. An alias is a reference while reading; only a tree that was accepted as a whole is unfolded, so every node in it has one path.
Faults that leave the rest readable (a repeated key, a tag) are collected; the others end the reading.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import yaml

from treadle.authoring.blanks import Blanks, has_blanks
from treadle.authoring.json_reader import read_json
from treadle.authoring.nodes import (
    DEPTH_MAX,
    NODES_MAX,
    PROBLEMS_MAX,
    Alias,
    Document,
    Mapping,
    Node,
    Scalar,
    Sequence,
    Style,
    path_below,
    unfold,
)
from treadle.authoring.places import Source
from treadle.authoring.problems import Problem
from treadle.authoring.scalars import ScalarError, resolve
from treadle.core.values import RESERVED, Json

FILE_BYTES_MAX: Final = 4 << 20
EXPANDED_CHARACTERS_MAX: Final = 4 << 20
_STYLES: Final[dict[str | None, Style]] = {
    None: "plain",
    "": "plain",
    "'": "single",
    '"': "double",
    "|": "literal",
    ">": "folded",
}
# What libyaml's reader would refuse without saying where in a way an author understands; NUL first of all.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
_SURROGATE_PAIR = re.compile(r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_OPEN_TEMPLATE = re.compile(r"(?:^|[:\-,\[]\s+|^\s+)(\{\{|\{%|\{#)")
_RESERVED_START = re.compile(r"(?:[:\-]\s+|^\s*)([@`%*&!])\S")


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
    """Read a text that came from elsewhere than a file; one that is named `.json` is read strictly as that."""
    source = Source(shown, text)
    bad = _CONTROL.search(text)
    if bad is not None:
        name = "a NUL" if bad[0] == "\x00" else f"the control character U+{ord(bad[0]):04X}"
        return _refused(source, "control_character", f"{name} stands in the file", "delete it", at=bad.start())
    if shown.endswith(".json"):
        return read_json(source)
    reader = _Reader(source)
    root = reader.read()
    return Document(source=source, root=None if root is None else unfold(root, ""), problems=reader.problems)


class _StopReading(Exception):  # noqa: N818 - control flow within this module
    """The rest of the file cannot be read; the problem is recorded."""


@dataclass(slots=True)
class _Open:
    """A collection whose end has not come yet. `nodes` and `characters` are the reader's counts before it, `height` that of its content."""

    node: Mapping | Sequence
    anchor: str | None
    flow: bool
    nodes: int
    characters: int
    key: Scalar | None = None
    height: int = 0


class _Anchored(NamedTuple):
    """What an alias repeats, and what it unfolds to."""

    node: Node
    nodes: int
    characters: int
    height: int


class _Reader:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.problems: list[Problem] = []
        self.stack: list[_Open] = []
        self.anchors: dict[str, _Anchored] = {}
        self.open_anchors: set[str] = set()
        self.root: Node | None = None
        self.nodes = 0
        self.characters = 0
        # Only a file with tabs or invisible characters pays for looking where they stand.
        self.blanks = Blanks(source.text) if has_blanks(source.text) else None

    def read(self) -> Node | None:
        parser = yaml.CLoader(_joined_surrogates(self.source))
        handlers: dict[type, Callable[[Any], None]] = {
            yaml.ScalarEvent: self._scalar, yaml.AliasEvent: self._alias, yaml.DocumentStartEvent: self._document,
            yaml.MappingStartEvent: self._open, yaml.SequenceStartEvent: self._open,
            yaml.MappingEndEvent: self._close, yaml.SequenceEndEvent: self._close,
        }  # fmt: skip
        try:
            while not isinstance(event := parser.get_event(), yaml.StreamEndEvent):
                handler = handlers.get(type(event))
                if handler is not None:
                    handler(event)
            for found in self.blanks.findings() if self.blanks is not None else ():
                self._fault(found.code, found.at, found.message, found.suggestion, "error" if found.is_error else "warning")
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
            self._fault("empty_file", 0, "the file is empty", "begin with `name: …` and `steps:`; `treadle init` writes a first one")
        return self.root

    def _document(self, event: Any) -> None:
        at = self._place(event.start_mark)[2]
        if self.root is not None:
            self._fault(
                "several_documents",
                at,
                "a file holds one document; here a second one begins",
                "put it into a file of its own",
            )
            raise _StopReading
        if event.version not in {None, (1, 2)}:
            self._fault(
                "yaml_directive",
                at,
                f"`%YAML {event.version[0]}.{event.version[1]}` is not understood; files are YAML 1.2",
                "delete the line",
            )
        if event.tags:
            self._fault("yaml_directive", at, "`%TAG` is not allowed; there are no tags here", "delete the line")

    def _scalar(self, event: Any) -> None:
        text = event.value
        line, column, start = self._place(event.start_mark)
        end = event.end_mark.index if not self.source.shifts else self.source.original(event.end_mark.index)
        self._count(start, 1, len(text))
        style = _STYLES[event.style]
        value: Json = text
        if event.tag is not None:
            self._tag(event)
        elif style == "plain":
            try:
                value = resolve(text)
            except ScalarError as error:
                self._fault(
                    error.code, start, error.message, f'to keep it as text, quote it: "{text[:40]}"' if len(text) <= 40 else "quote it"
                )
        if self.blanks is not None:
            self.blanks.scalars.append((start, end, self._wants_key()))
        self._put(Scalar(line, column, start, "", end, value, text, style), event.anchor, 1, len(text), 0)

    def _open(self, event: Any) -> None:
        line, column, start = self._place(event.start_mark)
        self._deep(start, 1)
        if event.tag is not None:
            self._tag(event)
        is_map = isinstance(event, yaml.MappingStartEvent)
        if is_map and event.flow_style and self.source.text.startswith("{{", start):
            self._unquoted(start)
        if self._wants_key():
            self._fault("key_not_text", start, "a key must be text; here it is a list or a map", "write a name before the `:`")
            raise _StopReading
        if event.anchor is not None:
            self.open_anchors.add(event.anchor)
        node = (Mapping if is_map else Sequence)(line, column, start)
        self.stack.append(_Open(node, event.anchor, bool(event.flow_style), self.nodes, self.characters))
        self._count(start, 1, 0)

    def _close(self, event: Any) -> None:
        done = self.stack.pop()
        done.node.end = self.source.original(event.end_mark.index)
        if done.anchor is not None:
            self.open_anchors.discard(done.anchor)
        if self.blanks is not None and done.flow and not any(level.flow for level in self.stack):
            self.blanks.flows.append((done.node.start, done.node.end))
        self._put(done.node, done.anchor, self.nodes - done.nodes, self.characters - done.characters, done.height + 1)

    def _alias(self, event: Any) -> None:
        line, column, at = self._place(event.start_mark)
        if event.anchor in self.open_anchors:
            self._fault("recursive_alias", at, f"`*{event.anchor}` stands inside what it repeats", "write it out once, without the alias")
            raise _StopReading
        if event.anchor not in self.anchors:
            known = ", ".join(self.anchors) or "none"
            self._fault("unknown_alias", at, f"there is no anchor `&{event.anchor}` before this place; anchors: {known}",
                        "to write text that begins with `*`, quote it")  # fmt: skip
            raise _StopReading
        target, nodes, characters, height = self.anchors[event.anchor]
        self._deep(at, height)
        self._count(at, nodes, characters)
        node = target if self._wants_key() and isinstance(target, Scalar) else Alias(line, column, at, target=target)
        self._put(node, None, nodes, characters, height)

    def _place(self, mark: Any) -> tuple[int, int, int]:
        if not self.source.shifts:
            return mark.line + 1, mark.column + 1, mark.index
        at = self.source.original(mark.index)
        return *self.source.place(at), at

    def _deep(self, at: int, height: int) -> None:
        if len(self.stack) + height > DEPTH_MAX:
            self._fault(
                "too_deep", at, f"data is nested deeper than {DEPTH_MAX} levels", "move what is inside to a task, or to a file of its own"
            )
            raise _StopReading

    def _count(self, at: int, nodes: int, characters: int) -> None:
        self.nodes += nodes
        self.characters += characters
        if self.nodes > NODES_MAX or self.characters > EXPANDED_CHARACTERS_MAX:
            size = f"{NODES_MAX:,} values or {EXPANDED_CHARACTERS_MAX >> 20} MiB"
            self._fault(
                "too_many_values",
                at,
                f"the file unfolds to more than {size}",
                "divide it; aliases count as what they repeat",
            )
            raise _StopReading

    def _wants_key(self) -> bool:
        return bool(self.stack) and isinstance(self.stack[-1].node, Mapping) and self.stack[-1].key is None

    def _put(self, node: Node, anchor: str | None, nodes: int, characters: int, height: int) -> None:
        if anchor is not None:
            self.anchors[anchor] = _Anchored(node, nodes, characters, height)
        if not self.stack:
            self.root = node
            return
        top = self.stack[-1]
        top.height = max(top.height, height)
        holder = top.node
        if isinstance(holder, Sequence):
            holder.items.append(node)
        elif top.key is None:
            self._key(top, node)
        else:
            key = top.key
            # Of a repeated key the first stands; a key that is no text is told once and names nothing.
            if isinstance(key.value, str) and key.text not in holder.entries:
                holder.entries[key.text] = node
                holder.keys[key.text] = key
            top.key = None

    def _key(self, top: _Open, node: Node) -> None:
        if not isinstance(node, Scalar):
            self._fault("key_not_text", node.start, "a key must be text; here it is a list or a map", "write a name before the `:`")
            raise _StopReading
        top.key = node
        assert isinstance(top.node, Mapping)
        if node.text == "<<" and node.style == "plain":
            self._fault("merge_key", node.start, "`<<` does not merge here", "repeat the fields, or use `defaults:`")
        elif not isinstance(node.value, str):
            shown = node.text or "an empty key"
            self._fault(
                "key_not_text",
                node.start,
                f"a key must be text; `{shown}` is {_kind(node.value)}",
                f'quote it: "{node.text}"',
            )
        elif node.text.startswith(RESERVED):
            self._fault(
                "reserved_key",
                node.start,
                f"the key `{node.text}` is reserved: no key may start with `{RESERVED}`",
                "rename it",
            )
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
                path = path_below(path, level.key.text)
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
        hint = _syntax_hint(problem)
        context = f" {error.context}" if error.context else ""
        self._fault("yaml_syntax", at, f"this is not YAML: {problem}{context}", hint)


def _syntax_hint(problem: str) -> str:
    if "mapping values are not allowed" in problem:
        return "quote the text if it holds `: `"
    if "',' or" in problem:
        return "a bracket is not closed, or a comma is missing"
    if "unexpected end of stream" in problem:
        return "a quote is not closed"
    if "expected" in problem and ("block end" in problem or "<block" in problem or "key" in problem):
        return "look at the indentation of this line and of the one above"
    return "look at this line and the one above: indentation, quotes, brackets"


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
    problem = Problem(
        code=code,
        severity="error",
        file=source.file,
        line=line,
        column=column,
        path="",
        message=message,
        suggestion=suggestion,
    )
    return Document(source=source, root=None, problems=[problem])


def _too_large(shown: str, size: int) -> Document:
    message = f"the file has {size:,} bytes; at most {FILE_BYTES_MAX:,} are read"
    return _refused(Source(shown, ""), "file_too_large", message)
