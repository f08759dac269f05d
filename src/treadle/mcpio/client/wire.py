"""What a line from a server is: a message, a spoilt answer to one of our requests, or garbage.

Servers print to stdout what belongs on stderr, and crash in the middle of a line. Garbage is tolerated; a line that was meant to be an
answer is not: the request that it answers fails at once rather than at its time-out. To tell one from the other, a line counts as an
answer only if it speaks JSON-RPC, and its id is read even where the line as a whole cannot be.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

import mcp_types
from pydantic import ValidationError

from treadle.mcpio.client.lines import TooLong

SHOWN_CHARS = 200
_ID = rb'"id"\s*:\s*(\d{1,18}|"[^"\\]{1,64}")'
# An id at the very end belongs to the outermost object: the brace behind it is the line's last. One at the start stands before any
# nested object. Anything in between could be part of a payload.
_ID_LAST = re.compile(_ID + rb"\s*\}\s*$")
_ID_FIRST = re.compile(rb'^\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?' + _ID)
_SPEAKS = re.compile(rb'"jsonrpc"\s*:')
_ANSWERS = re.compile(rb'^\s*\{\s*"(?:jsonrpc|result|error|id)"\s*:')


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoilt:
    """An answer that cannot be read. `id` is the request's, as text; None where the line does not tell."""

    id: str | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage:
    """A line that is no message; `text` is its beginning."""

    text: str


Inbound = mcp_types.JSONRPCMessage | Spoilt | Garbage


def read_line(raw: bytes) -> Inbound | None:
    """Say what a whole line is; None for an empty one. Bytes that are no UTF-8 are replaced, never fatal."""
    text = raw.decode("utf-8", "replace").removeprefix("\ufeff").strip()
    if not text:
        return None
    if not text.startswith(("{", "[")):
        return Garbage(text=text[:SHOWN_CHARS])
    try:
        return mcp_types.jsonrpc_message_adapter.validate_json(text, by_name=False)
    except ValidationError as error:
        return _unreadable(raw, text, error)


def read_too_long(line: TooLong, line_bytes_max: int) -> Spoilt | Garbage | None:
    """Say what a line over the cap was; None while that cannot be known before it has ended."""
    found = _ID_FIRST.search(line.head) or (_ID_LAST.search(line.tail) if line.ended else None)
    reason = (
        f"a message of {line.size_bytes if line.ended else 'more than ' + str(line_bytes_max)} bytes; at most {line_bytes_max} are read"
    )
    if not line.head.lstrip().startswith(b"{"):
        return Garbage(text=f"{line.head[:SHOWN_CHARS].decode('utf-8', 'replace')} … ({reason})") if line.ended else None
    if found is not None:
        return Spoilt(id=_plain(found[1]), reason=reason)
    return Spoilt(id=None, reason=reason) if line.ended else None


def _unreadable(raw: bytes, text: str, error: ValidationError) -> Inbound:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        found = (_ID_FIRST.search(raw) or _ID_LAST.search(raw)) if _SPEAKS.search(raw) else None
        if found is not None or _ANSWERS.search(raw):
            return Spoilt(id=_plain(found[1]) if found else None, reason=f"no JSON: {text[:SHOWN_CHARS]}")
        return Garbage(text=text[:SHOWN_CHARS])
    return _ill_formed(data, text, error)


def _ill_formed(data: Any, text: str, error: ValidationError) -> Inbound:
    """Judge a line that is JSON but no message; repair it where only its text was at fault."""
    speaks = isinstance(data, dict) and ("jsonrpc" in data or ("id" in data and ("result" in data or "error" in data)))
    if not speaks or "method" in data:
        return Garbage(text=text[:SHOWN_CHARS])
    try:
        # Half of a surrogate pair is JSON to most encoders and not to our parser; it becomes U+FFFD (ruling 8).
        mended = json.dumps(data, ensure_ascii=False).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return mcp_types.jsonrpc_message_adapter.validate_json(mended, by_name=False)
    except (ValueError, RecursionError):
        number = data.get("id")
        known = isinstance(number, int | str) and not isinstance(number, bool)
        first = error.errors(include_url=False, include_input=False)[0]
        return Spoilt(id=str(number) if known else None, reason=f"no valid answer ({first['msg']}): {text[:SHOWN_CHARS]}")


def _plain(found: bytes) -> str:
    return found.decode("ascii", "replace").strip('"')
