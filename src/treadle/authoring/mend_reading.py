"""Fixes of what keeps a file from being read: quotes that lack, tabs, keys that are no text.

Where the file could not be read there are no nodes, so these fixes look at the line that the problem is told at. A value is taken to end where
its line ends, or a remark begins; within brackets, where the next entry does.
"""

import re
from collections.abc import Callable
from typing import Final

from treadle.authoring.mend_ground import Edit, Ground, Mend, above, applied
from treadle.authoring.nodes import Mapping, Node, Scalar, Sequence, data_of
from treadle.authoring.problems import Problem
from treadle.authoring.yaml_reader import read_text
from treadle.core.values import Json

TAB_WIDTHS: Final = (2, 4, 8)
_PROMPT_FORMATS: Final = frozenset({"info", "text", "confirm", "choice", "form"})
_REMARK = re.compile(r"\s+#.*\Z|\s+\Z")
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]+")
_KEY = re.compile(r"(\s*(?:- +)*)([A-Za-z_][A-Za-z0-9_.-]*):[ \t]+(?=\S)")
_TYPE_KEY = re.compile(r"""type\s*:\s*(["']?)(\w+)\1(?=\s*(?:[,}#\r\n]|\Z))""")
_BLOCK_SCALAR = re.compile(r"(?:[:\-]|^)\s+[|>][+\-0-9]*\s*(?:#.*)?$|[:\-][ \t]+[|>][+\-0-9]*\s*(?:#.*)?$")
_ON_ITS_LINE: Final = frozenset[str]()


def unquoted_template(ground: Ground, problem: Problem) -> Mend | None:
    """Quote a value that begins with `{{`, to the end of its braces and what follows them."""
    at = ground.at(problem)
    end = _end_of_value(ground, at)
    return None if end is None else _quote(ground, at, end, None)


def yaml_syntax(ground: Ground, problem: Problem) -> Mend | None:
    """Quote a value that begins with a reserved character, or that holds a colon."""
    at = ground.at(problem)
    if "cannot begin with" in problem.message and ground.text[at : at + 1] in {"@", "%", "*", "`"}:
        return _quoted_to_end(ground, at)
    if "cannot start any token" in problem.message and ground.text[at : at + 1] in {"@", "%", "`"}:
        return _quoted_to_end(ground, at)
    if "scanning an alias" in problem.message:
        star = ground.text.rfind("*", 0, at + 1)
        return _quoted_to_end(ground, star) if star >= at - 1 and star >= 0 else None
    if "mapping values are not allowed" in problem.message:
        return _colon_in_text(ground, at)
    return None


def unknown_alias(ground: Ground, problem: Problem) -> Mend | None:
    """Quote what begins with `*` where the file has no anchors that could be meant."""
    if re.search(r"(?<!\S)&\w", ground.text):
        return None
    return _quoted_to_end(ground, ground.at(problem))


def _quoted_to_end(ground: Ground, at: int) -> Mend | None:
    end = _end_of_value(ground, at)
    return None if end is None else _quote(ground, at, end, _ON_ITS_LINE)


def _quote(ground: Ground, start: int, end: int, uncovers: frozenset[str] | None) -> Mend | None:
    value = ground.text[start:end]
    if not value.strip() or not value.isprintable():
        return None
    return Mend(edits=(Edit(start, end, ground.quoted(value)),), uncovers=uncovers)


def _end_of_value(ground: Ground, at: int) -> int | None:
    """Give where a plain value that begins at `at` ends on its line; None where quotes leave it open."""
    start, line = ground.line(at)
    text = line[at - start :]
    flow = _open_brackets(line[: at - start])
    depth, quote, end = 0, "", len(text)
    for index, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'" and depth:
            quote = char
        elif char in "{[(":
            depth += 1
        elif char in "}])":
            if depth == 0 and flow and char != ")":
                end = index
                break
            depth = max(depth - 1, 0)
        elif depth == 0 and ((char == "," and flow) or (char == "#" and text[:index][-1:].isspace())):
            end = index
            break
    if quote or depth:
        return None
    return at + len(text[:end].rstrip())


def _open_brackets(before: str) -> bool:
    depth, quote = 0, ""
    for char in before:
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        else:
            depth += (char in "{[") - (char in "}]")
    return depth > 0


def _colon_in_text(ground: Ground, at: int) -> Mend | None:
    """Quote `Note: this` behind a key, unless what follows the second colon reads like a map on one line."""
    start, line = ground.line(at)
    found = _KEY.match(line)
    if found is None or start + found.end() >= at or line[found.end()] in "\"'|>[{&*!":
        return None
    end = start + len(_REMARK.sub("", line))
    inner = line[found.end() : at - start]
    # `retry: attempts: 3` may have been meant as a map, and what ends in a colon as the beginning of one.
    if re.fullmatch(r"[a-z][a-z0-9_]*", inner) or ground.text[end - 1] == ":":
        return None
    return _quote(ground, start + found.end(), end, _ON_ITS_LINE)


# Tabs


def tab(ground: Ground, problem: Problem) -> Mend | None:
    """Write spaces for tabs: in the indentation of the whole file at once, elsewhere one for those that were found."""
    at = ground.at(problem)
    start, line = ground.line(at)
    if line[: at - start].strip(" \t-"):
        run = re.compile(r"[ \t]+").match(ground.text, at)
        return Mend(edits=(Edit(at, run.end() if run else at + 1, " "),), uncovers=None)
    readings = {width: _indented(ground, width) for width in TAB_WIDTHS}
    readable = {width: data for width, edits in readings.items() if (data := _data(applied(ground.text, edits))) is not None}
    if not readable or any(data != next(iter(readable.values())) for data in readable.values()):
        return None
    return Mend(edits=tuple(readings[next(iter(readable))]), uncovers=None)


def _data(text: str) -> Json:
    """Give what a text holds, None where it cannot be read; faults that leave it readable do not matter here."""
    root = read_text(text, "").root
    return None if root is None else data_of(root)


def _indented(ground: Ground, width: int) -> list[Edit]:
    """Replace the tabs at the beginning of lines; of a block text only those that are its indentation."""
    edits: list[Edit] = []
    at, header, body = 0, None, None
    for line in ground.text.splitlines(keepends=True):
        blank = re.match(r"[ \t]*", line)
        lead = blank[0] if blank else ""
        if header is not None and line.strip():
            if _wide(lead) > header:
                body = lead if body is None else body
                lead = lead[: len(body)] if lead.startswith(body) else lead
            else:
                header = body = None
        if "\t" in lead and line.strip():
            edits.append(Edit(at, at + len(lead), lead.replace("\t", " " * width)))
        if header is None and _BLOCK_SCALAR.search(line.rstrip("\r\n")):
            header = _wide(lead)
        at += len(line)
    return edits


def _wide(lead: str) -> int:
    return len(lead.expandtabs(8))


# Keys


def key_not_text(ground: Ground, problem: Problem) -> Mend | None:
    """Quote a key that is a number or a boolean, as it is written."""
    at = ground.at(problem)
    found = re.compile(r"[^\s:#,{}\[\]\"'?&*!|>%@`]+(?=\s*:(?:\s|\Z))").match(ground.text, at)
    if found is None or found[0] in {"~", "null", "Null", "NULL"}:
        return None
    return Mend(edits=(Edit(at, found.end(), f'"{found[0]}"'),), uncovers=None)


def duplicate_key(ground: Ground, problem: Problem) -> Mend | None:
    """Tell the two `type` of an old prompt apart, and drop a line that says the same once more."""
    at = ground.at(problem)
    return _second_type(ground, problem, at) or _same_line(ground, problem, at)


def _second_type(ground: Ground, problem: Problem, at: int) -> Mend | None:
    """The form of an answer is called `format`; old files called it `type`, like the type of the step."""
    second = _TYPE_KEY.match(ground.text, at)
    step = ground.paths.get(ground.step(problem.path))
    if second is None or step is None or not isinstance(step.node, Mapping) or "format" in step.node.entries:
        return None
    key, first = step.node.keys.get("type"), step.node.entries.get("type")
    if key is None or not isinstance(first, Scalar) or problem.path.removesuffix(".type") != step.node.path:
        return None
    if first.text == "prompt" and second[2] in _PROMPT_FORMATS:
        return Mend(edits=(Edit(at, at + len("type"), "format"),), uncovers=None)
    if first.text in _PROMPT_FORMATS and second[2] == "prompt":
        return Mend(edits=(ground.replaced(key, "format"),), uncovers=None)
    return None


def _same_line(ground: Ground, problem: Problem, at: int) -> Mend | None:
    parent = ground.paths.get(above(problem.path))
    found = re.compile(r"[^\s:]+").match(ground.text, at)
    if parent is None or found is None or not isinstance(parent.node, Mapping):
        return None
    key = parent.node.keys.get(found[0].strip("\"'"))
    if key is None:
        return None
    (start, line), (first_start, first) = ground.line(at), ground.line(key.start)
    whole = ground.text[start : start + len(line) + 1]
    value = parent.node.entries[key.text]
    alone = value.end <= first_start + len(first) and not isinstance(value, Mapping | Sequence)
    if not alone or line[: at - start].strip() or line.strip() != first[key.start - first_start :].strip() or "#" in line:
        return None
    if not whole.endswith(("\n", "\r")):
        return None
    breaks = 2 if ground.text.startswith("\r\n", start + len(line)) else 1
    return Mend(edits=(Edit(start, start + len(line) + breaks, ""),), uncovers=None)


def merge_key(ground: Ground, problem: Problem) -> Mend | None:
    """Write out what `<<: *name` would merge, where each field fits on its line."""
    spot = ground.keys.get(ground.at(problem))
    if spot is None or spot.key is None or not isinstance(spot.parent, Mapping) or not isinstance(spot.node, Mapping):
        return None
    parent, merged = spot.parent, spot.node
    if ground.is_flow(parent) or ground.text[spot.key.start : spot.key.start + 2] != "<<":
        return None
    start, line = ground.line(spot.key.start)
    alias = re.fullmatch(r"<<\s*:\s*\*[\w-]+\s*", line[spot.key.start - start :])
    if alias is None:
        return None
    rows = [_row(ground, merged.keys[name], merged.entries[name]) for name in merged.entries if name not in parent.entries]
    if not rows or any(row is None for row in rows):
        return None
    written = f"{ground.newline}{' ' * (spot.key.column - 1)}".join(row for row in rows if row is not None)
    return Mend(edits=(Edit(spot.key.start, start + len(line), written),), uncovers=None)


def _row(ground: Ground, key: Scalar, value: Node) -> str | None:
    written = ground.text[key.start : value.end]
    whole = isinstance(value, Scalar) or ground.is_flow(value)
    return written if whole and "\n" not in written and "&" not in written else None


def invisible_character(ground: Ground, problem: Problem) -> Mend | None:
    """Delete characters that are not shown from a name."""
    found = _INVISIBLE.match(ground.text, ground.at(problem))
    return None if found is None else Mend(edits=(Edit(*found.span(), ""),), uncovers=frozenset())


FIXES: Final[dict[str, Callable[[Ground, Problem], Mend | None]]] = {
    "unquoted_template": unquoted_template, "yaml_syntax": yaml_syntax, "unknown_alias": unknown_alias, "tab": tab,
    "key_not_text": key_not_text, "duplicate_key": duplicate_key, "merge_key": merge_key, "invisible_character": invisible_character,
}  # fmt: skip
