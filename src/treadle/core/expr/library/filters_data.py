"""Filters between data and text: JSON, YAML, digests, base64."""

import base64
import hashlib
import json
import re
from typing import Final, cast

from treadle.core.expr.evaluation import Evaluation, ExprError, V
from treadle.core.expr.given import int_given, text_given, word_given
from treadle.core.expr.look import MOVE_BITS, Plain, json_text, opened
from treadle.core.values import BlobRef, Holed, Value, ValueProblem, as_text, canonical, parse_json

_DIGESTS: Final = ("sha256", "sha512", "sha1", "md5")
# Text that reads as itself in YAML; everything else is quoted.
_PLAIN_YAML: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_./@ -]*(?<! )\Z")
_YAML_WORDS: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def to_json(ev: Evaluation, value: V, indent: V = None) -> V:
    """Write as JSON text, keys in their order; nothing is escaped for HTML."""
    wide = None if indent is None else int_given("tojson", "indent", indent, 0, 16)
    if isinstance(value, BlobRef) and value.kind != "text" and wide is None:
        return Holed(parts=(value,))
    return json_text(ev, value, wide)


def from_json(ev: Evaluation, value: V) -> V:
    """Read JSON text, strictly: no duplicate keys, no NaN."""
    value = opened(ev, value)
    if not isinstance(value, str):
        raise ExprError("types", "`fromjson` reads text; this value is data already", suggestion="leave the filter out")
    ev.charge((len(value) >> 4) + value.count(","))
    try:
        return cast(V, parse_json(value))
    except ValueProblem as problem:
        raise ExprError("bad_json", f"`fromjson` cannot read the text: {problem.message}") from problem


def to_yaml(ev: Evaluation, value: V) -> V:
    """Write as YAML text in block style."""
    left = ev.left
    plain = Plain(ev).value(value, 0)
    ev.charge(6 * (left - ev.left))  # writing it costs so much more than walking it
    lines: list[str] = []
    _yaml(plain, 0, lines, "")
    text = "\n".join(lines) + "\n"
    ev.charge(len(text) >> MOVE_BITS)
    ev.check_size(len(text))
    return text


def _yaml(value: Value, depth: int, lines: list[str], lead: str) -> None:
    margin = "  " * depth
    if isinstance(value, dict) and value:
        for position, (key, item) in enumerate(value.items()):
            head = f"{lead or margin}" if position == 0 else margin
            _yaml_entry(f"{head}{_yaml_scalar(key)}:", item, depth, lines)
    elif isinstance(value, list) and value:
        for position, item in enumerate(value):
            head = (lead or margin) if position == 0 else margin
            if isinstance(item, dict | list) and item:
                _yaml(item, depth + 1, lines, f"{head}- ")
            else:
                lines.append(f"{head}- {_yaml_scalar(item)}")
    else:
        lines.append(f"{lead or margin}{_yaml_scalar(value)}")


def _yaml_entry(head: str, item: Value, depth: int, lines: list[str]) -> None:
    if isinstance(item, dict | list) and item:
        lines.append(head)
        _yaml(item, depth + 1, lines, "")
    else:
        lines.append(f"{head} {_yaml_scalar(item)}")


def _yaml_scalar(value: Value) -> str:
    if isinstance(value, str) and _PLAIN_YAML.match(value) and value.lower() not in _YAML_WORDS:
        return value
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else as_text(value)


def to_hash(ev: Evaluation, value: V, algorithm: V = "sha256") -> V:
    """Give the digest of a text, or of other data's canonical JSON, in hexadecimal."""
    name = word_given(ev, "hash", "algorithm", algorithm, _DIGESTS)
    value = opened(ev, value)
    ev.charge(len(value) >> 5 if isinstance(value, str) else 0)
    data = value.encode() if isinstance(value, str) else canonical(Plain(ev).value(value, 0))
    ev.charge(4 + (len(data) >> 5))
    return hashlib.new(name, data, usedforsecurity=False).hexdigest()


def base64_encode(ev: Evaluation, value: V) -> V:
    """Write a text's UTF-8 bytes as base64."""
    text = text_given(ev, "base64_encode", value)
    ev.check_size(len(text))  # before it is written out
    data = base64.b64encode(text.encode()).decode()
    ev.check_size(len(data))
    return data


def base64_decode(ev: Evaluation, value: V) -> V:
    """Read base64 that holds UTF-8 text."""
    try:
        return base64.b64decode(text_given(ev, "base64_decode", value), validate=True).decode()
    except ValueError as error:
        hint = "what is not text cannot stand in an expression"
        raise ExprError("bad_base64", f"`base64_decode` cannot read this: {error}", suggestion=hint) from error
