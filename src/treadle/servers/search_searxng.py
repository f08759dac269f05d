"""The search provider `searxng`: asks one configured SearXNG instance for JSON.

The client is guarded (ruling 55): nothing of the environment is used (proxies, `.netrc`), the one configured address is asked and no
redirect followed, the answer is read up to a cap and within a time. Whatever comes back is foreign text: bounded, on one line, and only
http(s) addresses pass.
"""

import asyncio
import json
from typing import Any, Final

import httpx2

from treadle import __version__
from treadle.core.errors import RequestError
from treadle.servers.sources import SNIPPET_CHARS, TITLE_CHARS, URL_CHARS, Source, fit

TIMEOUT_S: Final = 15.0
ANSWER_BYTES_MAX: Final = 2 << 20


class SearxngProvider:
    """Searches through one instance, by its base address."""

    name = "searxng"

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        """Connect to nothing yet."""
        self._url = url.rstrip("/")
        self._timeout_s = timeout_s

    async def search(self, query: str, max_results: int) -> list[Source]:
        """Ask the instance. Raises RequestError `search_failed`, `search_timeout`, `search_refused`, `rate_limited`."""
        try:
            async with asyncio.timeout(self._timeout_s):
                status, body = await self._get({"q": query, "format": "json"})
        except TimeoutError as error:
            raise self._error("search_timeout", f"gave no answer within {self._timeout_s:g} s") from error
        except httpx2.HTTPError as error:
            raise self._error("search_failed", f"could not be reached: {type(error).__name__}: {error}") from error
        self._check(status)
        try:
            results = json.loads(body)["results"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise self._error("search_failed", "gave an answer that is no search result") from error
        return [source for source in map(_source, results if isinstance(results, list) else []) if source is not None][:max_results]

    async def _get(self, query: dict[str, str]) -> tuple[int, bytes]:
        headers = {"accept": "application/json", "user-agent": f"treadle/{__version__}"}
        async with (
            httpx2.AsyncClient(trust_env=False, follow_redirects=False, timeout=self._timeout_s) as client,
            client.stream("GET", f"{self._url}/search", params=query, headers=headers) as response,
        ):
            body = bytearray()
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > ANSWER_BYTES_MAX:
                    raise self._error("search_failed", f"gave more than {ANSWER_BYTES_MAX} bytes")
            return response.status_code, bytes(body)

    def _check(self, status: int) -> None:
        if status == 429:
            raise self._error("rate_limited", "takes no more searches for now (429)")
        if status == 403:
            raise self._error("search_refused", "refused (403)", "its settings.yml must allow JSON: search: formats: [html, json]")
        if 300 <= status < 400:
            raise self._error(
                "search_refused",
                f"answered with a redirect ({status}), which is not followed",
                "configure its final address",
            )
        if status != 200:
            raise self._error("search_failed", f"answered with status {status}")

    def _error(self, code: str, what: str, hint: str = "") -> RequestError:
        return RequestError(f"the SearXNG instance {self._url} {what}", code=code, hint=hint)


def _source(item: Any) -> Source | None:
    if not isinstance(item, dict):
        return None
    url, title, snippet = item.get("url"), item.get("title"), item.get("content")
    if not isinstance(url, str) or not url.startswith(("http://", "https://")) or len(url) > URL_CHARS or fit(url, URL_CHARS) != url:
        return None
    return Source(
        title=fit(title if isinstance(title, str) else url, TITLE_CHARS),
        url=url,
        snippet=fit(snippet if isinstance(snippet, str) else "", SNIPPET_CHARS),
    )
