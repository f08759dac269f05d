"""What becomes of a request, as a step sees it (language.md §2, §9)."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.net.server import Heard, Say, Server, answer, redirect, serving
from treadle.actions.http import Web, send_request
from treadle.actions.outcome import CallOutcome
from treadle.core.state import ActionState
from treadle.net.client import Client
from treadle.net.guard import read_allowed
from treadle.ports import ActionCall

JSON = "application/json"


def a_call(effect: str = "read", *, key: str | None = None, repeatable: bool = False, timeout_ms: int | None = None) -> ActionCall:
    state = ActionState(
        id="ask", at="ask", kind="http", performer="server", channel="", effect=effect, repeatable=repeatable, params={}, opened_at_ms=0, key=key
    )  # fmt: skip
    return ActionCall(run_id="run_1", action=state, params={}, key=key or "run_1/ask", timeout_ms=timeout_ms)


async def ask(server: Server, call: ActionCall | None = None, *, path: str = "/", **params: Any) -> CallOutcome:
    web = Web(client=Client((read_allowed("127.0.0.1"),)), timeout_ms=3_000, bytes_max=100_000)
    return await send_request(web, call or a_call(), {"method": "GET", "url": server.url + path, **params})


async def test_the_result_is_status_headers_json_and_text() -> None:
    async with serving({"/": answer(b'{"n": 1.0, "t": "\xc3\xa4"}', content_type=JSON, ETag="x")}) as server:
        outcome = await ask(server)
    assert outcome.error_class is None
    assert outcome.value == {
        "status": 200, "headers": {"content-length": "21", "content-type": JSON, "etag": "x"}, "json": {"n": 1, "t": "ä"},
        "text": '{"n": 1.0, "t": "ä"}',
    }  # fmt: skip


@pytest.mark.parametrize(
    "body,kind,text,data",
    [
        (b"", JSON, "", None),
        (b"[1]", "text/plain", "[1]", None),
        (b"[1]", "application/problem+json; charset=utf-8", "[1]", [1]),
        (b"\xef\xbb\xbf[1]", JSON, "\ufeff[1]", [1]),
        (b"\xe4", "text/plain; charset=iso-8859-1", "ä", None),
        (b"\xe4", "text/plain; charset=utf-8", "\ufffd", None),
        (b"\xc3\xa4", 'text/plain; charset="no-such"', "ä", None),
        (b"\xc3\xa4", "text/plain; charset=unicode_escape", "ä", None),
        (b"\xc3\xa4", "text/plain; charset=gb", "ä", None),
        (b"null", JSON, "null", None),
    ],
)
async def test_a_body_is_read_as_its_type_says(body: bytes, kind: str, text: str, data: Any) -> None:
    async with serving({"/": answer(body, content_type=kind)}) as server:
        outcome = await ask(server)
    assert isinstance(outcome.value, dict)
    assert (outcome.value["text"], outcome.value["json"]) == (text, data)


@pytest.mark.parametrize("body", [b"{", b'{"a": 1, "a": 2}', b"NaN", b"[" * 5_000])
async def test_what_calls_itself_json_and_is_none_is_bad_output_with_its_text(body: bytes) -> None:
    async with serving({"/": answer(body, content_type=JSON)}) as server:
        outcome = await ask(server)
    assert (outcome.error_class, outcome.has_value) == ("bad_output", True)
    assert isinstance(outcome.value, dict)
    assert outcome.value["text"] == body.decode()


@pytest.mark.parametrize(
    "status,error_class",
    [
        (200, None), (204, None), (299, None), (300, "failed"), (304, "failed"), (400, "failed"), (401, "denied"), (403, "denied"), (404, "failed"),
        (408, "timeout"), (418, "failed"), (429, "rate_limited"), (500, "unavailable"), (501, "unavailable"), (503, "unavailable"), (504, "timeout"),
    ],
)  # fmt: skip
async def test_each_status_has_its_class_and_a_failure_carries_the_result(status: int, error_class: str | None) -> None:
    async with serving({"/": answer(b"" if status in {204, 304} else b"why", f"{status} X")}) as server:
        outcome = await ask(server)
    assert (outcome.error_class, outcome.has_value, outcome.lost) == (error_class, True, False)
    assert isinstance(outcome.value, dict)
    assert outcome.value["status"] == status
    if error_class is not None:
        assert f"was answered with status {status}" in outcome.message


async def test_ok_status_is_a_list_of_its_own() -> None:
    async with serving({"/": answer(b"", "404 Not Found"), "/fine": answer(), "/to": redirect("/fine")}) as server:
        assert (await ask(server, ok_status=[404])).error_class is None
        assert (await ask(server, path="/fine", ok_status=[404])).error_class == "failed"
        moved = await ask(server, path="/to", ok_status=[302])
    assert moved.error_class is None
    assert isinstance(moved.value, dict)
    assert moved.value["status"] == 302


async def test_how_long_a_service_asks_to_wait_is_told() -> None:
    async with serving({"/": answer(b"slow down", "429 Too Many", Retry_After="17")}) as server:
        outcome = await ask(server)
    assert outcome.message.endswith("was answered with status 429; it asks to wait: 17: slow down")
    assert outcome.retry_after_ms == 17_000


@pytest.mark.parametrize(
    "asked, date, wait_ms",
    [
        ("Wed, 21 Oct 2026 07:28:30 GMT", "Wed, 21 Oct 2026 07:28:00 GMT", 30_000), ("Wed, 21 Oct 2026 07:27:00 GMT", "Wed, 21 Oct 2026 07:28:00 GMT", 0),
        ("Wed, 21 Oct 2026 07:28:30 GMT", "no date", None), ("soon", "Wed, 21 Oct 2026 07:28:00 GMT", None), ("-5", None, None), ("9" * 30, None, None),
    ],
)  # fmt: skip
async def test_a_date_to_wait_for_is_set_against_the_services_own_clock(asked, date, wait_ms) -> None:
    more = {"Date": date} if date is not None else {}
    async with serving({"/": answer(b"", "503 Busy", Retry_After=asked, **more)}) as server:
        assert (await ask(server)).retry_after_ms == wait_ms


async def test_headers_query_and_body_are_sent_as_they_were_written() -> None:
    async with serving({"/a": answer()}) as server:
        await ask(
            server, a_call("write"), path="/a?x=1", method="POST", headers={"X-N": 5, "X-L": ["a", "b"], "X-Z": None},
            query={"q": "ä b&c", "l": [1, True], "n": None}, json={"a": [1, None]},
        )  # fmt: skip
        await ask(server, path="/a", body="text")
        await ask(server, path="/a", body={"a": 1}, headers={"Content-Type": "x/y"})
        await ask(server, path="/a", json=None)
    first, second, third, fourth = server.heard
    assert first.target == "/a?x=1&q=%C3%A4+b%26c&l=1&l=true"
    assert (first.method, first.body, first.headers["content-type"]) == ("POST", b'{"a":[1,null]}', JSON)
    assert (first.headers["x-n"], first.headers["x-l"], "x-z" in first.headers) == ("5", "b", False)
    assert (second.body, second.headers["content-type"]) == (b"text", "text/plain; charset=utf-8")
    assert (third.body, third.headers["content-type"]) == (b'{"a": 1}', "x/y")
    assert (fourth.body, fourth.headers["content-type"]) == (b"null", JSON)


async def test_what_has_an_effect_carries_the_key_of_its_action() -> None:
    async with serving({"/": answer()}) as server:
        await ask(server, a_call("read"))
        await ask(server, a_call("write"), method="POST")
        await ask(server, a_call("pay", key="order-1"), method="POST")
        await ask(server, a_call("write"), method="POST", headers={"idempotency-key": "own"})
    assert [each.headers.get("idempotency-key") for each in server.heard] == [None, "run_1/ask", "order-1", "own"]


async def cut(_: Heard, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def cut_after_status(_: Heard, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 201 Created\r\ncontent-length: 10\r\n\r\nx")


async def cut_after_failure(_: Heard, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 403 No\r\ncontent-length: 10\r\n\r\nx")


async def garbage(_: Heard, writer: asyncio.StreamWriter) -> None:
    writer.write(b"what?\r\n\r\n")


async def silent(_: Heard, _writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    "say,read_class", [(cut, "unavailable"), (cut_after_status, "unavailable"), (garbage, "failed"), (silent, "timeout")]
)  # fmt: skip
async def test_an_answer_that_got_lost_leaves_the_outcome_of_a_write_unknown(say: Say, read_class: str) -> None:
    async with serving({"/": say}) as server:
        once = await ask(server, a_call("write", timeout_ms=200), method="POST")
        keyed = await ask(server, a_call("write", key="k", timeout_ms=200), method="POST")
        again = await ask(server, a_call("write", repeatable=True, timeout_ms=200), method="POST")
        read = await ask(server, a_call("read", timeout_ms=200))
    assert once.lost
    assert [(each.lost, each.error_class) for each in (keyed, again, read)] == [(False, read_class)] * 3


async def test_a_status_that_is_known_to_be_a_failure_is_one_although_the_rest_got_lost() -> None:
    async with serving({"/": cut_after_failure}) as server:
        outcome = await ask(server, a_call("write"), method="POST")
    assert (outcome.lost, outcome.error_class) == (False, "denied")


async def test_before_anything_was_sent_a_write_is_merely_unavailable() -> None:
    async with serving({}) as server:
        pass
    outcome = await ask(server, a_call("pay"), method="POST")
    assert (outcome.lost, outcome.error_class) == (False, "unavailable")
    assert outcome.message.endswith("nothing was sent [cannot_connect]")


async def test_a_write_that_was_accepted_and_whose_page_got_lost_is_unknown() -> None:
    async with serving({"/": redirect("/done", "303 See Other"), "/again": redirect("/done", "307 Go"), "/done": cut}) as server:
        accepted = await ask(server, a_call("write"), method="POST")
    assert accepted.lost
    async with serving({}) as nobody:
        pass
    async with serving({"/": redirect(nobody.url, "307 Go")}) as server:
        sent_on = await ask(server, a_call("write"), method="POST")
    assert (sent_on.lost, sent_on.error_class) == (False, "unavailable")


@pytest.mark.parametrize("effect", ["read", "write"])
async def test_what_the_guard_refuses_fails_and_says_how_to_allow_it(effect: str) -> None:
    async def rebound(_host: str, _port: int) -> Sequence[str]:
        return ["10.0.0.7"]

    web = Web(client=Client(resolve=rebound), timeout_ms=1_000, bytes_max=10)
    outcome = await send_request(web, a_call(effect), {"method": "GET", "url": "http://intern.example/"})
    assert (outcome.error_class, outcome.lost) == ("refused", False)
    for part in ("`intern.example` leads to 10.0.0.7, a private address", '"intern.example:80" to `allow` of [http]', "[address_refused]"):
        assert part in outcome.message


@pytest.mark.parametrize("params", [{"headers": ["x"]}, {"query": "q=1"}, {"headers": {"a b": "x"}}, {"url": "file:///etc/passwd"}])
async def test_what_is_no_request_is_refused_and_not_sent(params: dict[str, Any]) -> None:
    async with serving({"/": answer()}) as server:
        outcome = await ask(server, replace(a_call("write")), **params)
    assert (outcome.error_class, outcome.lost, server.heard) == ("refused", False, [])


async def test_an_answer_that_is_too_large_fails_with_its_status() -> None:
    async with serving({"/": answer(b"x" * 200_000)}) as server:
        outcome = await ask(server, a_call("write"), method="POST")
    assert (outcome.error_class, outcome.code, outcome.lost) == ("failed", "answer_too_large", False)
    assert isinstance(outcome.value, dict)
    assert outcome.value["status"] == 200
