"""The guarded client against a server that says anything (ruling 55)."""

import asyncio
import gzip
import shutil
import ssl
import subprocess
import zlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.net.server import Heard, Say, Server, answer, redirect, serving
from treadle.net.client import Client, FetchError, Limits, Request, Response
from treadle.net.guard import read_allowed

LIMITS = Limits(timeout_ms=3_000, bytes_max=100_000)
LOOPBACK = (read_allowed("127.0.0.1"),)


def client(**more: object) -> Client:
    return Client(LOOPBACK, **more)  # type: ignore[arg-type]


async def get(server: Server, path: str, limits: Limits = LIMITS, **request: object) -> Response:
    return await client().send(Request(method="GET", url=server.url + path, **request), limits)  # type: ignore[arg-type]


async def failing(server: Server, path: str, limits: Limits = LIMITS, method: str = "GET", **request: object) -> FetchError:
    with pytest.raises(FetchError) as caught:
        await client().send(Request(method=method, url=server.url + path, **request), limits)  # type: ignore[arg-type]
    return caught.value


def raw(said: bytes, *, hold: bool = False) -> Say:
    async def say(_: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await writer.drain()
        if hold:
            await asyncio.Event().wait()

    return say


async def test_a_request_goes_out_as_it_was_written_and_its_answer_comes_back() -> None:
    said = answer(b"hello", x_one="1", content_type="text/plain").replace(b"\r\n\r\n", b"\r\nX-One: 2\r\n\r\n", 1)
    async with serving({"/a": said}) as server:
        request = Request(method="POST", url=f"{server.url}/a?q=%20&r=1#part", headers=(("X-A", "ä"), ("X-A", "b")), content=b"body")
        response = await client().send(request, LIMITS)
    heard = server.heard[0]
    assert (heard.method, heard.target, heard.body) == ("POST", "/a?q=%20&r=1", b"body")
    assert heard.headers["host"] == f"127.0.0.1:{server.port}"
    assert heard.headers["user-agent"].startswith("treadle/")
    assert (response.status, response.body, response.headers["x-one"]) == (200, b"hello", "1, 2")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]", "127.0.0.1."])
async def test_loopback_is_refused_however_it_is_written(host: str) -> None:
    async with serving({"/": answer()}) as server:
        with pytest.raises(FetchError) as caught:
            await Client().send(Request(method="GET", url=f"http://{host}:{server.port}/"), LIMITS)
    # A form that the system does not resolve at all leads nowhere either.
    assert caught.value.code in {"address_refused", "unknown_host"}
    assert server.connections == 0
    assert not caught.value.arrived


async def test_what_is_refused_says_how_to_allow_it() -> None:
    with pytest.raises(FetchError) as caught:
        await Client().send(Request(method="GET", url="http://[::1]:8080/"), LIMITS)
    assert caught.value.message == "`::1` is a loopback address; nothing was sent there"
    assert '"[::1]:8080" to `allow` of [http] in treadle.toml' in caught.value.hint


async def test_a_name_that_leads_elsewhere_a_moment_later_leads_nowhere() -> None:
    given = iter([["127.0.0.1"], ["169.254.169.254"]])

    async def rebinding(_host: str, _port: int) -> Sequence[str]:
        return next(given)

    async with serving({"/a": answer(b"mine"), "/b": redirect("/a")}) as server:
        named = f"http://rebinding.example:{server.port}"
        both = client(resolve=rebinding)
        response = await both.send(Request(method="GET", url=f"{named}/a"), LIMITS)
        with pytest.raises(FetchError) as caught:
            await both.send(Request(method="GET", url=f"{named}/a"), LIMITS)
    assert response.body == b"mine"
    assert server.heard[0].headers["host"] == f"rebinding.example:{server.port}"
    assert caught.value.message.startswith("`rebinding.example` leads to 169.254.169.254, a link-local address")
    assert server.connections == 1


async def test_each_redirect_is_resolved_and_judged_anew() -> None:
    asked: list[str] = []

    async def rebinding(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    async with serving({"/b": redirect("/a"), "/a": answer()}) as server:
        with pytest.raises(FetchError) as caught:
            await client(resolve=rebinding).send(Request(method="GET", url=f"http://x.example:{server.port}/b"), LIMITS)
    assert caught.value.code == "address_refused"
    assert caught.value.response is not None
    assert caught.value.response.status == 302
    assert server.paths == ["/b"]


async def test_one_refused_address_among_several_refuses_the_name() -> None:
    async def several(_host: str, _port: int) -> Sequence[str]:
        return ["127.0.0.1", "10.0.0.1"]

    async with serving({"/": answer()}) as server:
        with pytest.raises(FetchError, match=r"leads to 10\.0\.0\.1, a private address"):
            await client(resolve=several).send(Request(method="GET", url=f"http://x.example:{server.port}/"), LIMITS)
    assert server.connections == 0


async def test_the_next_address_of_a_name_is_tried_where_the_first_takes_no_connection() -> None:
    async def several(_host: str, _port: int) -> Sequence[str]:
        return ["127.0.0.9", "127.0.0.1"]

    allowed = (read_allowed("127.0.0.0/8"),)
    async with serving({"/": answer(b"here")}) as server:
        response = await Client(allowed, resolve=several).send(Request(method="GET", url=f"http://x.example:{server.port}/"), LIMITS)
    assert response.body == b"here"


async def test_a_redirect_to_a_private_address_is_refused() -> None:
    async with serving({"/": redirect("http://169.254.169.254/latest/meta-data/")}) as server:
        failure = await failing(server, "/")
    assert (failure.kind, failure.code) == ("refused", "address_refused")


@pytest.mark.parametrize("to", ["file:///etc/passwd", "ftp://x.example/", "//user:word@127.0.0.1/"])
async def test_a_redirect_leads_to_http_only(to: str) -> None:
    async with serving({"/": redirect(to)}) as server:
        failure = await failing(server, "/")
    assert failure.kind in {"refused", "failed"}
    assert failure.code in {"bad_url", "bad_answer"}


async def test_five_redirects_are_followed_and_not_six() -> None:
    says = {f"/{n}": redirect(f"/{n + 1}") for n in range(6)} | {"/6": answer(b"end")}
    async with serving(says) as server:
        response = await get(server, "/1")
        failure = await failing(server, "/0")
    assert (response.body, response.url) == (b"end", f"{server.url}/6")
    assert failure.code == "too_many_redirects"


@pytest.mark.parametrize(
    "status,method,body", [("301", "GET", b""), ("302", "GET", b""), ("303", "GET", b""), ("307", "POST", b"x"), ("308", "POST", b"x")]
)
async def test_a_redirect_keeps_method_and_body_as_its_status_says(status: str, method: str, body: bytes) -> None:
    async with serving({"/": redirect("/next", f"{status} Moved"), "/next": answer()}) as server:
        await client().send(Request(method="POST", url=f"{server.url}/", headers=(("authorization", "a"),), content=b"x"), LIMITS)
    last = server.heard[-1]
    assert (last.method, last.body, last.headers["authorization"]) == (method, body, "a")


async def test_another_origin_gets_neither_credentials_nor_headers_of_ones_own() -> None:
    async with serving({"/there": answer()}) as other, serving({"/": redirect(f"{other.url}/there")}) as server:
        headers = (("Authorization", "secret"), ("X-Token", "secret"), ("Cookie", "secret"), ("Accept", "text/plain"))
        await get(server, "/", headers=headers)
    assert "secret" not in str(other.heard[0].headers)
    assert other.heard[0].headers["accept"] == "text/plain"


async def test_another_origin_does_not_get_the_body() -> None:
    async with serving({"/there": answer()}) as other, serving({"/": redirect(f"{other.url}/there", "307 Moved")}) as server:
        failure = await failing(server, "/", method="POST", content=b"secret")
    assert (failure.code, other.heard) == ("redirect_refused", [])


async def test_a_status_that_is_wanted_is_not_followed() -> None:
    async with serving({"/": redirect("/next")}) as server:
        response = await client().send(Request(method="GET", url=f"{server.url}/"), LIMITS, stop_at={302})
    assert (response.status, response.headers["location"]) == (302, "/next")


async def test_cookies_are_not_kept() -> None:
    async with serving({"/": answer(b"", "302 Found", location="/next", set_cookie="a=1; Path=/"), "/next": answer()}) as server:
        await get(server, "/")
    assert all("cookie" not in each.headers for each in server.heard)


async def test_proxies_and_netrc_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("default login a password b\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    async with serving({}) as proxy, serving({"/": answer(b"direct")}) as server:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        response = await get(server, "/")
    assert (response.body, proxy.connections) == (b"direct", 0)
    assert "authorization" not in server.heard[0].headers


async def test_a_body_that_is_too_large_is_cut_off_while_it_comes() -> None:
    said_bytes = 0

    async def endless(_: Heard, writer: asyncio.StreamWriter) -> None:
        nonlocal said_bytes
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 10_000)
            await writer.drain()
            said_bytes += 10_000

    async with serving({"/": endless}) as server:
        failure = await failing(server, "/")
    assert (failure.kind, failure.code) == ("failed", "answer_too_large")
    assert failure.response is not None
    assert failure.response.status == 200
    assert said_bytes < 50_000_000


@pytest.mark.parametrize("coding", ["gzip", "deflate", "bare deflate", "two members"])
async def test_a_packed_body_is_unpacked(coding: str) -> None:
    text = b"hello " * 1_000
    bare = zlib.compressobj(wbits=-15)
    packed = {
        "gzip": gzip.compress(text), "deflate": zlib.compress(text), "bare deflate": bare.compress(text) + bare.flush(),
        "two members": gzip.compress(text[:3_000]) + gzip.compress(text[3_000:]),
    }[coding]  # fmt: skip
    async with serving({"/": answer(packed, content_encoding=coding.rpartition(" ")[2] if "deflate" in coding else "gzip")}) as server:
        assert (await get(server, "/")).body == text


async def test_a_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    assert len(bomb) < LIMITS.bytes_max
    async with serving({"/": answer(bomb, content_encoding="gzip")}) as server:
        assert (await failing(server, "/")).code == "answer_too_large"


@pytest.mark.parametrize(
    "body,coding,code",
    [
        (b"no gzip", "gzip", "bad_answer"),
        (gzip.compress(b"hello" * 9)[:-9], "gzip", "answer_cut"),
        (b"x", "br", "bad_answer"),
        (b"x", "gzip, gzip", "bad_answer"),
    ],
)
async def test_a_body_that_cannot_be_unpacked_is_a_failure(body: bytes, coding: str, code: str) -> None:
    async with serving({"/": answer(body, content_encoding=coding)}) as server:
        assert (await failing(server, "/")).code == code


@pytest.mark.parametrize(
    "said,code,kind",
    [
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel", "answer_cut", "unavailable"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhel", "answer_cut", "unavailable"),
        (b"", "answer_cut", "unavailable"),
        (b"HTTP/1.1 200", "answer_cut", "unavailable"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "bad_answer", "failed"),
        (b"HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n", "bad_answer", "failed"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000, "bad_answer", "failed"),
    ],
)
async def test_an_answer_that_is_not_whole_is_a_failure(said: bytes, code: str, kind: str) -> None:
    async with serving({"/": raw(said)}) as server:
        failure = await failing(server, "/")
    assert (failure.code, failure.kind, failure.arrived) == (code, kind, True)


async def test_informational_answers_are_passed_over() -> None:
    said = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + answer(b"x")
    async with serving({"/": said}) as server:
        assert (await get(server, "/")).status == 200


async def test_head_has_no_body_and_no_answer_is_waited_for() -> None:
    async with serving({"/": raw(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\ncontent-encoding: gzip\r\n\r\n", hold=True)}) as server:
        response = await client().send(Request(method="HEAD", url=f"{server.url}/"), LIMITS)
    assert (response.status, response.body, response.headers["content-length"]) == (200, b"", "5000")


async def drip(_: Heard, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("say", [raw(b"", hold=True), raw(b"HTTP/1.1 200 OK\r\nx: ", hold=True), drip])
async def test_time_is_bounded_for_the_whole_answer(say: Say) -> None:
    async with serving({"/": say}) as server:
        failure = await failing(server, "/", Limits(timeout_ms=200, bytes_max=10_000))
    assert (failure.kind, failure.code, failure.arrived) == ("timeout", "http_timeout", True)


async def test_a_name_that_is_slow_to_resolve_is_bounded_too() -> None:
    async def never(_host: str, _port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    with pytest.raises(FetchError) as caught:
        await client(resolve=never).send(Request(method="GET", url="http://x.example/"), Limits(timeout_ms=50, bytes_max=1))
    assert (caught.value.kind, caught.value.arrived) == ("timeout", False)


async def test_a_port_that_nobody_listens_at_is_unavailable() -> None:
    async with serving({}) as server:
        pass
    failure = await failing(server, "/")
    assert (failure.kind, failure.code, failure.arrived) == ("unavailable", "cannot_connect", False)


async def test_a_name_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(FetchError) as caught:
        await client().send(Request(method="GET", url="http://nowhere.invalid/"), LIMITS)
    assert (caught.value.kind, caught.value.code) == ("unavailable", "unknown_host")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x.example/",
        "file:///etc/passwd",
        "http://",
        "x.example",
        "",
        "http://x.example:99999/",
        "http://[::1",
        "http://" + "x" * 9_000,
        "http://u:p@x.example/",
    ],
)
async def test_what_is_no_url_of_the_web_is_refused(url: str) -> None:
    with pytest.raises(FetchError) as caught:
        await Client().send(Request(method="GET", url=url), LIMITS)
    assert (caught.value.kind, caught.value.code) == ("refused", "bad_url")
    assert "u:p" not in caught.value.message


@pytest.mark.parametrize(
    "name,value",
    [
        ("a b", "x"),
        ("", "x"),
        ("Host", "x"),
        ("content-length", "0"),
        ("Transfer-Encoding", "chunked"),
        ("x", "a\r\nb: c"),
        ("x", "\0"),
        ("x", "y" * 99_999),
    ],
)
async def test_a_header_that_would_be_read_as_something_else_is_refused(name: str, value: str) -> None:
    async with serving({"/": answer()}) as server:
        failure = await failing(server, "/", headers=((name, value),))
    assert (failure.code, failure.arrived, server.heard) == ("bad_header", False, [])
    assert value == "x" or value not in failure.message


async def test_a_server_that_does_not_speak_tls_is_unavailable() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    listening = await asyncio.start_server(plain, "127.0.0.1", 0)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        with pytest.raises(FetchError) as caught:
            await client().send(Request(method="GET", url=f"https://127.0.0.1:{port}/"), LIMITS)
    assert (caught.value.code, caught.value.arrived) == ("cannot_connect", False)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    made = tmp_path / "both.pem"
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl, to make a certificate")
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=x.example",
         "-addext", "subjectAltName=DNS:x.example", "-keyout", str(tmp_path / "key.pem"), "-out", str(made)], check=True, capture_output=True,
    )  # fmt: skip
    return made


async def test_tls_is_checked_for_the_name_and_not_for_the_address(certificate: Path) -> None:
    names: list[str | None] = []
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(certificate, certificate.with_name("key.pem"))
    ours.sni_callback = lambda _socket, name, _context: names.append(name)
    trusting = ssl.create_default_context(cafile=str(certificate))

    async def here(_host: str, _port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    async with serving({"/": answer(b"sealed")}, ssl=ours) as server:
        response = await client(resolve=here, verify=trusting).send(Request(method="GET", url=f"https://x.example:{server.port}/"), LIMITS)
        with pytest.raises(FetchError) as another:
            await client(resolve=here, verify=trusting).send(Request(method="GET", url=f"https://y.example:{server.port}/"), LIMITS)
        with pytest.raises(FetchError) as unknown:
            await client(resolve=here).send(Request(method="GET", url=f"https://x.example:{server.port}/"), LIMITS)
    assert (response.body, names[0]) == (b"sealed", "x.example")
    for caught in (another, unknown):
        assert (caught.value.kind, caught.value.code, caught.value.arrived) == ("failed", "bad_certificate", False)
    assert len(server.heard) == 1


async def test_cancelling_closes_the_connection() -> None:
    begun, closed = asyncio.Event(), asyncio.Event()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        begun.set()
        assert await reader.read() == b""
        closed.set()
        writer.close()

    listening = await asyncio.start_server(wait, "127.0.0.1", 0)
    async with listening:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
        doing = asyncio.create_task(client().send(Request(method="GET", url=url), LIMITS))
        await begun.wait()
        doing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await doing
        await closed.wait()
