"""What a web search gives, whoever answered it, and how foreign text is made fit to pass on."""

import re
from dataclasses import dataclass
from typing import Protocol

TITLE_CHARS = 300
SNIPPET_CHARS = 600
URL_CHARS = 2_000
_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One result."""

    title: str
    url: str
    snippet: str


class Provider(Protocol):
    """Whoever answers searches."""

    @property
    def name(self) -> str:
        """Name it as the configuration does."""
        ...

    async def search(self, query: str, max_results: int) -> list[Source]:
        """Give sources, best first. Raises RequestError when the search could not be made; an empty list means that nothing was found."""
        ...


def fit(text: str, chars: int) -> str:
    """Put foreign text on one bounded line without control or direction characters."""
    flat = " ".join(_UNFIT.sub(" ", text).split())
    return flat if len(flat) <= chars else f"{flat[: chars - 1]}…"
