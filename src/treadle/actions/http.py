"""The action `http`: one request through the guarded client (language.md §2, §9; ruling 55).

The result is `{status, headers, json, text}`, and a failure after a status carries it too. What has an effect is sent with the action's key as
`Idempotency-Key`. If such a request may have arrived and no answer came, its outcome is unknown, unless the step says that it can be repeated.
"""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlencode

from treadle.actions.outcome import CallOutcome
from treadle.core.definition import EFFECTS
from treadle.core.values import Json, ValueProblem, as_text, encode, parse_json
from treadle.net.client import Client, FetchError, Limits, Request, Response
from treadle.ports import ActionCall

_SAID_CHARS: Final = 300
# Of all that Python calls an encoding, what the web uses for text; some of the others are slow or no text at all.
_CHARSETS: Final = re.compile(
    r"utf-?(8|16|32)([lb]e)?|us-ascii|ascii|iso-?8859-\d+|latin-?1|windows-\d+|cp\d+|koi8-[ru]|gb\w+|big5|shift_jis|euc-\w+"
)
_CLASSES: Final = {401: "denied", 403: "denied", 408: "timeout", 429: "rate_limited", 504: "timeout"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """The client that steps share, and the bounds of their requests."""

    client: Client
    timeout_ms: int
    bytes_max: int


async def send_request(web: Web, call: ActionCall, params: dict[str, Json]) -> CallOutcome:
    """Send the request of a step once. Cancelling closes the connection."""
    ok_status = params.get("ok_status")
    oks = frozenset(each for each in ok_status if isinstance(each, int)) if isinstance(ok_status, list) else frozenset[int]()
    is_effect = EFFECTS.index(call.action.effect) >= EFFECTS.index("write")
    try:
        request = _request(params, call.key if is_effect else "")
        limits = Limits(timeout_ms=call.timeout_ms or web.timeout_ms, bytes_max=web.bytes_max)
        response = await web.client.send(request, limits, stop_at=oks)
    except FetchError as error:
        is_once = is_effect and not call.action.repeatable and call.action.key is None
        return await _without_answer(error, oks, is_once=is_once)
    result, problem = await asyncio.to_thread(_result, response)
    if not _is_ok(response.status, oks):
        return _by_status(request, response, result)
    if problem:
        return CallOutcome(value=result, error_class="bad_output", code="bad_answer", message=f"{_name(request)} {problem} [bad_answer]")
    return CallOutcome(value=result)


def _request(params: dict[str, Json], key: str) -> Request:
    """Build it. Raises FetchError."""
    headers = list(_pairs(params.get("headers"), "headers"))
    names = {name.lower() for name, _ in headers}
    content: bytes | None = None
    if "json" in params:
        content = encode(params["json"]).encode()
        headers += [("content-type", "application/json")] if "content-type" not in names else []
    elif params.get("body") is not None:
        content = as_text(params["body"]).encode()
        headers += [("content-type", "text/plain; charset=utf-8")] if "content-type" not in names else []
    if key and "idempotency-key" not in names:
        headers.append(("idempotency-key", key))
    url = as_text(params["url"]).strip()
    query = urlencode(list(_pairs(params.get("query"), "query")))
    if query:
        url, _, _ = url.partition("#")
        url += ("&" if "?" in url else "?") + query
    return Request(method=str(params.get("method") or "GET"), url=url, headers=tuple(headers), content=content)


def _pairs(value: Json, name: str) -> Iterator[tuple[str, str]]:
    """Give names and texts; a list gives its name once for each of its values, null is left out."""
    if value is None:
        return
    if not isinstance(value, dict):
        raise FetchError("refused", "bad_request", f"`{name}` is no map; nothing was sent")
    for key, item in value.items():
        for each in item if isinstance(item, list) else [item]:
            if each is not None:
                yield key, as_text(each)


def _is_ok(status: int, oks: frozenset[int]) -> bool:
    return status in oks if oks else 200 <= status <= 299


def _result(response: Response) -> tuple[dict[str, Json], str]:
    """Read the body; says what is wrong with one that calls itself JSON and is none."""
    kind, _, rest = response.headers.get("content-type", "").partition(";")
    kind = kind.strip().lower()
    charset = re.search(r'charset\s*=\s*"?([^\s";]+)', rest.lower())
    name = charset[1] if charset and _CHARSETS.fullmatch(charset[1]) else "utf-8"
    try:
        text = response.body.decode(name, "replace")
    except LookupError:
        text = response.body.decode("utf-8", "replace")
    data: Json = None
    problem = ""
    if text.strip() and (kind == "application/json" or kind.endswith("+json")):
        try:
            data = parse_json(text.removeprefix("\ufeff"))
        except ValueProblem as error:
            problem = f"was answered with what calls itself JSON and is none: {error.message}"
    return {"status": response.status, "headers": dict(response.headers), "json": data, "text": text}, problem


def _by_status(request: Request, response: Response, result: dict[str, Json]) -> CallOutcome:
    status = response.status
    message = f"{_name(request)} was answered with status {status}"
    wait = response.headers.get("retry-after")
    if wait:
        message += f"; it asks to wait: {wait[:80]}"
    said = " ".join(str(result["text"])[: 4 * _SAID_CHARS].split())
    if said:
        # The sign tells the redactor that a secret may have been cut in two here.
        message += f": {said}" if len(said) <= _SAID_CHARS else f": {said[:_SAID_CHARS]}…"
    return CallOutcome(
        value=result, error_class=_class_of(status), message=message, retry_after_ms=_wait_ms(wait, response.headers.get("date"))
    )


def _wait_ms(wait: str | None, now: str | None) -> int | None:
    """Read `Retry-After`: seconds, or a date, which is set against the service's own `Date`: clocks differ."""
    if wait is None or wait.strip().isdecimal():
        return int(wait) * 1000 if wait is not None and len(wait) < 10 else None
    try:
        return max(0, round((parsedate_to_datetime(wait) - parsedate_to_datetime(now or "")).total_seconds() * 1000))
    except (ValueError, TypeError, OverflowError):  # no date, or one without a zone
        return None


async def _without_answer(error: FetchError, oks: frozenset[int], *, is_once: bool) -> CallOutcome:
    """Tell what it means that no whole answer came; a status that is known to be a failure says more than how the rest broke off."""
    message = f"{error.message} — {error.hint} [{error.code}]" if error.hint else f"{error.message} [{error.code}]"
    known = error.response
    broke = error.kind in {"unavailable", "timeout"}
    if broke and known is not None and known.status >= 400 and not _is_ok(known.status, oks):
        result, _ = await asyncio.to_thread(_result, known)
        return CallOutcome(value=result, error_class=_class_of(known.status), code=error.code, message=message)
    if is_once and error.arrived and (broke or known is None):
        return CallOutcome(has_value=False, error_class="performer_lost", code=error.code, message=message, lost=True)
    if known is None:
        return CallOutcome(has_value=False, error_class=error.kind, code=error.code, message=message)
    result, _ = await asyncio.to_thread(_result, known)
    return CallOutcome(value=result, error_class=error.kind, code=error.code, message=message)


def _class_of(status: int) -> str:
    return _CLASSES.get(status) or ("unavailable" if status >= 500 else "failed")


def _name(request: Request) -> str:
    return f"{request.method} {request.url}"
