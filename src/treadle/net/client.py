"""The guarded client (ruling 55): one request, to an address that was judged, within a size and a time.

Theory of operation
-------------------
Each hop is judged anew. The name is resolved once, every address that it has must pass the guard, and the connection is made to one of
these addresses, not to the name: a name that leads elsewhere a moment later leads nowhere. `Host` and the name in TLS stay what the URL says.
Nothing of the environment counts (proxies, `.netrc`, certificate variables), no cookie is kept, and no connection is used twice.

Redirects are followed by hand. To another origin go neither the body nor any header but a few harmless ones, because what is secret among
them cannot be told here. What comes back is counted as it is read and as it is unpacked, so that a small answer cannot become a large one.

A failure says whether the request may have arrived (`arrived`): whoever may not do a thing twice needs to know.
"""

import asyncio
import socket
import ssl
import zlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

from treadle import __version__
from treadle.net.guard import PORT_MAX, Allowed, why_refused

if TYPE_CHECKING:
    import httpx2

REDIRECTS_MAX: Final = 5
CONNECT_S: Final = 10.0
URL_CHARS_MAX: Final = 8_000
HEADER_CHARS_MAX: Final = 64_000
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_KEEPS_METHOD: Final = frozenset({307, 308})
_HARMLESS: Final = frozenset({"accept", "accept-language", "user-agent"})
# Said by the client itself; another value would make a request that two readers read in two ways.
_OWN: Final = frozenset({
    "host", "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "te", "trailer", "expect", "proxy-authorization",
})  # fmt: skip
_TOKEN: Final = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_PACKED: Final = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Gives the addresses of a name, in the order in which they are to be tried. Raises OSError."""
Kind = Literal["refused", "unavailable", "timeout", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to send; `headers` in order, a name may come twice."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    content: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What came back, unpacked. `headers` have small names; repeated ones are joined with a comma."""

    status: int
    headers: Mapping[str, str]
    url: str
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one request may take, all its hops together."""

    timeout_ms: int
    bytes_max: int


class FetchError(Exception):
    """There is no answer, or none that can be used. `response` is what is known of it; `arrived` says that the request may have been done."""

    def __init__(self, kind: Kind, code: str, message: str, *, hint: str = "") -> None:
        """Tell what happened; who catches it adds what is known besides."""
        super().__init__(message)
        self.kind, self.code, self.message, self.hint = kind, code, message, hint
        self.arrived = False
        self.response: Response | None = None


async def resolve(host: str, port: int) -> Sequence[str]:
    """Ask the system."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(row[4][0]) for row in found))


class Client:
    """Sends requests; holds no connection between them."""

    def __init__(
        self, allowed: Sequence[Allowed] = (), *, resolve: Resolve = resolve, verify: ssl.SSLContext | None = None
    ) -> None:  # fmt: skip
        """Allow what the guard refuses otherwise; `verify` is for servers with certificates of their own."""
        self._allowed, self._resolve, self._verify = tuple(allowed), resolve, verify
        self._no_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    async def send(self, request: Request, limits: Limits, *, stop_at: Collection[int] = ()) -> Response:
        """Send it and follow where it leads, but for the statuses in `stop_at`. Raises FetchError."""
        exchange = _Exchange(self._allowed, self._resolve, self._context, limits, stop_at)
        try:
            async with asyncio.timeout(limits.timeout_ms / 1000):
                return await exchange.follow(request)
        except TimeoutError as error:
            where = "the answer did not come whole" if exchange.arrived else "no connection was made"
            failure = FetchError("timeout", "http_timeout", f"{request.method} {request.url}: {where} within {limits.timeout_ms} ms")
            raise exchange.told(failure) from error
        except FetchError as failure:
            raise exchange.told(failure) from failure.__cause__

    async def _context(self, scheme: str) -> ssl.SSLContext:
        """Give what TLS is made with; made once, at the first need, because it takes as long as a request."""
        if scheme != "https":
            return self._no_tls
        if self._verify is None:
            # As below.
            import httpx2

            self._verify = await asyncio.to_thread(httpx2.create_ssl_context, trust_env=False)
        return self._verify


@dataclass(slots=True)
class _Exchange:
    """One request on its way, over all its hops."""

    allowed: Sequence[Allowed]
    resolve: Resolve
    context: Callable[[str], Awaitable[ssl.SSLContext]]
    limits: Limits
    stop_at: Collection[int]
    arrived: bool = False
    response: Response | None = None

    def told(self, failure: FetchError) -> FetchError:
        failure.arrived, failure.response = self.arrived, self.response
        return failure

    async def follow(self, request: Request) -> Response:
        for _ in range(REDIRECTS_MAX + 1):
            response = await self._hop(request)
            if not self._is_followed(response):
                return response
            request = _redirected(request, response.status, response.headers["location"])
            if response.status in _KEEPS_METHOD:
                self.arrived = False
        raise FetchError("failed", "too_many_redirects", f"more than {REDIRECTS_MAX} redirects; the last one led to {request.url}")

    async def _hop(self, request: Request) -> Response:
        url = _url(request.url)
        host, port = url.raw_host.decode("ascii").lower().rstrip("."), url.port or (443 if url.scheme == "https" else 80)
        addresses = await self._addresses(host, port)
        for number, address in enumerate(addresses, 1):
            try:
                return await self._exchange_with(request, url, address)
            except _NotConnectedError as error:
                if number == len(addresses):
                    raise _unreachable(host, port, error.__cause__) from error.__cause__
        raise FetchError("unavailable", "unknown_host", f"`{host}` has no address")

    async def _addresses(self, host: str, port: int) -> Sequence[str]:
        try:
            addresses = await self.resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise FetchError("unavailable", "unknown_host", f"`{host}` cannot be resolved: {error}") from error
        for address in addresses:
            kind = why_refused(host, address, port, self.allowed)
            if kind:
                named = f"`{host}`" if host.strip("[]") == address else f"`{host}` leads to {address},"
                shown = f"[{host}]" if ":" in host else host
                raise FetchError(
                    "refused", "address_refused", f"{named} {'is ' if named.endswith('`') else ''}{kind}; nothing was sent there",
                    hint=f'if that is meant, add "{shown}:{port}" to `allow` of [http] in treadle.toml',
                )  # fmt: skip
        return addresses

    async def _exchange_with(self, request: Request, url: "httpx2.URL", address: str) -> Response:
        # The HTTP client is loaded where a request is made, and nowhere else.
        import httpx2

        async def trace(event: str, _info: Mapping[str, Any]) -> None:
            if event == "http11.send_request_headers.started":
                self.arrived = True

        extensions: dict[str, Any] = {"timeout": {"connect": CONNECT_S}, "trace": trace}
        if url.scheme == "https":
            extensions["sni_hostname"] = url.raw_host.decode("ascii")
        sent = httpx2.Request(
            request.method, url.copy_with(host=address), headers=[(b"host", url.netloc), *_headers(request)],
            content=request.content, extensions=extensions,
        )  # fmt: skip
        verify, has_status = await self.context(url.scheme), False
        async with httpx2.AsyncHTTPTransport(verify=verify, trust_env=False) as transport:
            try:
                answer = await transport.handle_async_request(sent)
                has_status = True
                self.response = Response(status=answer.status_code, headers=_joined(answer.headers.raw), url=request.url)
                try:
                    return await self._read(answer, self.response)
                finally:
                    await answer.aclose()
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                raise _NotConnectedError from error
            except httpx2.LocalProtocolError as error:
                self.arrived = False
                raise FetchError("refused", "bad_header", "a header of the request is malformed; nothing was sent") from error
            except httpx2.HTTPError as error:
                raise _broken(request, error, self.response if has_status else None) from error

    def _is_followed(self, response: Response) -> bool:
        return response.status in _REDIRECTS and response.status not in self.stop_at and "location" in response.headers

    async def _read(self, answer: "httpx2.Response", response: Response) -> Response:
        if response.status == 101:
            raise FetchError("failed", "bad_answer", "the server changes the protocol, which was not asked for")
        if self._is_followed(response):
            return response
        body = _Body(response.headers.get("content-encoding", ""), self.limits.bytes_max)
        stream: Any = answer.stream
        async for piece in stream:
            body.add(piece)
        return replace(response, body=body.whole())


def _broken(request: Request, error: Exception, response: Response | None) -> FetchError:
    about, said = f"{request.method} {request.url}", str(error) or type(error).__name__
    if response is not None:
        return FetchError("unavailable", "answer_cut", f"{about}: the answer ({response.status}) broke off: {said}")
    # The client has one exception for both; only what its parser objected to has a cause.
    if type(error).__name__ == "RemoteProtocolError" and "disconnected" not in said:
        return FetchError("failed", "bad_answer", f"{about}: what came back is no HTTP: {said}")
    return FetchError("unavailable", "answer_cut", f"{about}: the connection broke before an answer came: {said}")


class _NotConnectedError(Exception):
    """One address did not take the connection; nothing was sent."""


def _unreachable(host: str, port: int, error: BaseException | None) -> FetchError:
    cause = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return FetchError(
                "failed", "bad_certificate", f"`{host}:{port}` does not prove who it is: {cause.verify_message}; nothing was sent"
            )
        cause = cause.__cause__ or cause.__context__
    return FetchError("unavailable", "cannot_connect", f"`{host}:{port}` cannot be reached: {error or 'no answer'}; nothing was sent")


def _url(text: str) -> "httpx2.URL":
    """Read a URL. Raises FetchError."""
    # As above.
    import httpx2

    def refused(why: str) -> FetchError:
        return FetchError("refused", "bad_url", f"the URL {why}; nothing was sent", hint="write for example https://example.org/page")

    if len(text) > URL_CHARS_MAX:
        raise refused(f"is longer than {URL_CHARS_MAX} characters")
    try:
        url = httpx2.URL(text)
    except (httpx2.InvalidURL, ValueError) as error:
        raise refused(f"`{text}` cannot be read: {error}") from error
    if url.scheme not in {"http", "https"}:
        raise refused(f"`{text}` is neither http nor https")
    if not url.host or not 0 < (url.port or 1) <= PORT_MAX:
        raise refused(f"`{text}` names no host, or a port that cannot be")
    if url.userinfo or "@" in url.netloc.decode("ascii"):
        raise FetchError(
            "refused", "bad_url", f"a URL to `{url.host}` carries a user or password; nothing was sent",
            hint='send it in a header: `headers: {Authorization: "Bearer {{ secrets.NAME }}"}`',
        )  # fmt: skip
    return url.copy_with(fragment=None)


def _redirected(request: Request, status: int, location: str) -> Request:
    before = _url(request.url)
    # As above.
    import httpx2

    try:
        after = _url(str(before.join(location)))
    except (httpx2.InvalidURL, ValueError) as error:
        raise FetchError("failed", "bad_answer", f"the redirect of {request.url} leads to what is no URL") from error
    method, content, headers = request.method, request.content, request.headers
    if status not in _KEEPS_METHOD and method not in {"GET", "HEAD"} and (status == 303 or method == "POST"):
        method, content = "GET", None
        headers = tuple(each for each in headers if each[0].lower() not in {"content-type", "content-encoding", "idempotency-key"})
    if _origin(before) != _origin(after):
        if content is not None:
            raise FetchError(
                "refused", "redirect_refused", f"{request.url} sends the request on to {after.host}, and its body would go along",
                hint="if that is meant, write that address as `url`",
            )  # fmt: skip
        headers = tuple(each for each in headers if each[0].lower() in _HARMLESS)
    return Request(method=method, url=str(after), headers=headers, content=content)


def _origin(url: "httpx2.URL") -> tuple[str, str, int]:
    return url.scheme, url.host.lower().rstrip("."), url.port or (443 if url.scheme == "https" else 80)


def _headers(request: Request) -> list[tuple[bytes, bytes]]:
    """Give what is sent besides `Host`. Raises FetchError for what would be read as something else."""
    if sum(len(name) + len(value) for name, value in request.headers) > HEADER_CHARS_MAX:
        raise FetchError("refused", "bad_header", f"the headers are longer than {HEADER_CHARS_MAX} characters; nothing was sent")
    for name, value in request.headers:
        if not name or not set(name) <= _TOKEN or name.lower() in _OWN:
            why = "is written by Treadle itself" if name.lower() in _OWN else "is no name of a header"
            raise FetchError("refused", "bad_header", f"`{name}` {why}; nothing was sent")
        if any((sign < " " and sign != "\t") or sign == "\x7f" for sign in value):
            # The value is not shown: it may hold a secret.
            raise FetchError(
                "refused", "bad_header", f"the header `{name}` holds a line break or another control character; nothing was sent"
            )
    names = {name.lower() for name, _ in request.headers}
    own = {"user-agent": f"treadle/{__version__}", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "close"}
    sent = [*((name, value) for name, value in own.items() if name not in names), *request.headers]
    return [(name.encode(), value.strip(" \t").encode()) for name, value in sent]


def _joined(raw: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("ascii", "replace").lower(), _text(value)
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


class _Body:
    """What is read of an answer, counted before and after it is unpacked."""

    def __init__(self, coding: str, bytes_max: int) -> None:
        self._coding, self._bytes_max = coding.strip().lower(), bytes_max
        self._taken_bytes, self._body = 0, bytearray()
        self._unpacker: Any = None

    def add(self, piece: bytes) -> None:
        """Take a piece. Raises FetchError."""
        self._taken_bytes += len(piece)
        if self._taken_bytes > self._bytes_max:
            raise self._too_large()
        if self._coding in {"", "identity"}:
            self._body += piece
            return
        if self._coding not in _PACKED:
            raise FetchError("failed", "bad_answer", f"the answer is packed as `{self._coding[:40]}`, which was not asked for")
        try:
            self._unpack(piece)
        except zlib.error as error:
            raise FetchError("failed", "bad_answer", f"the answer cannot be unpacked: {error}") from error

    def whole(self) -> bytes:
        """Give it, after the last piece. Raises FetchError if it is not whole."""
        if self._unpacker is not None and not self._unpacker.eof:
            raise FetchError("unavailable", "answer_cut", "the packed answer broke off before its end")
        return bytes(self._body)

    def _unpack(self, piece: bytes) -> None:
        while piece:
            if self._unpacker is None or (self._unpacker.eof and self._coding != "deflate"):
                self._unpacker = zlib.decompressobj(self._bits(piece))
            elif self._unpacker.eof:
                return
            self._body += self._unpacker.decompress(piece, self._bytes_max - len(self._body) + 1)
            if len(self._body) > self._bytes_max:
                raise self._too_large()
            piece = self._unpacker.unused_data

    def _bits(self, piece: bytes) -> int:
        """Some servers mean by `deflate` the bare stream, without the head of two bytes."""
        is_bare = self._coding == "deflate" and (piece[0] & 0x0F != 8 or (len(piece) > 1 and int.from_bytes(piece[:2]) % 31))
        return -zlib.MAX_WBITS if is_bare else _PACKED[self._coding]

    def _too_large(self) -> FetchError:
        return FetchError(
            "failed", "answer_too_large", f"the answer is larger than {self._bytes_max} bytes",
            hint="ask for less, or raise `max_output` of [http] in treadle.toml",
        )  # fmt: skip
