"""The search provider `files`: a local folder of documents, or the folder behind a site, ranked by full text.

The index is built in memory at the first search and follows the folder: before a search, what changed on disk is read again. Only text
formats are read (Markdown, reStructuredText, HTML, plain text); symbolic links, hidden and dependency folders are passed by. Ranking is
FTS5's bm25 with titles counting more, over stems; documents with all words come before documents with some.
"""

import asyncio
import html.parser
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

import apsw

from treadle.core.errors import RequestError
from treadle.servers.sources import SNIPPET_CHARS, TITLE_CHARS, Source, fit

ENDINGS: Final = (".md", ".markdown", ".rst", ".txt", ".html", ".htm")
FILES_MAX: Final = 10_000
FILE_BYTES_MAX: Final = 2 << 20
_PASSED_BY: Final = frozenset({"node_modules", "__pycache__", "dist", "build", "venv", "site-packages"})
# Words that say nothing about a document; a question is full of them.
_EMPTY: Final = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "by",
        "can",
        "do",
        "does",
        "for",
        "from",
        "has",
        "have",
        "how",
        "i",
        "if",
        "in",
        "is",
        "it",
        "its",
        "of",
        "on",
        "or",
        "our",
        "should",
        "that",
        "the",
        "their",
        "there",
        "these",
        "this",
        "to",
        "use",
        "used",
        "using",
        "was",
        "we",
        "were",
        "what",
        "when",
        "where",
        "which",
        "who",
        "why",
        "will",
        "with",
        "you",
        "your",
    ]
)


class FilesProvider:
    """Searches one folder. `site` is the address under which it is published; without it a result names the file."""

    name = "files"

    def __init__(self, folder: Path, *, root: Path, site: str = "") -> None:
        """Look at nothing yet. `root` is the project: files below it are named relative to it."""
        self._folder = folder.resolve()
        self._root = root.resolve()
        self._site = site
        self._lock = threading.Lock()
        self._seen: dict[Path, tuple[int, int, int]] = {}
        self._db: apsw.Connection | None = None

    async def search(self, query: str, max_results: int) -> list[Source]:
        """Search the folder as it is now. Raises RequestError `folder_missing`, `folder_too_large`."""
        return await asyncio.to_thread(self._search, query, max_results)

    def _search(self, query: str, max_results: int) -> list[Source]:
        words = list(dict.fromkeys(word.lower() for word in re.findall(r"\w+", query)))
        telling = [word for word in words if word not in _EMPTY] or words
        with self._lock:
            db = self._refresh()
            found: dict[str, Source] = {}
            for joint in (" ", " OR "):
                if telling and len(found) < max_results:
                    self._collect(db, joint.join(f'"{word}"' for word in telling), max_results, found)
        return list(found.values())[:max_results]

    def _collect(self, db: apsw.Connection, match: str, limit: int, found: dict[str, Source]) -> None:
        rows = db.execute(
            "SELECT path, title, snippet(page, 2, '', '', ' … ', 48) FROM page WHERE page MATCH ? ORDER BY bm25(page, 0, 6, 1), path LIMIT ?",
            (match, limit),
        )
        for path, title, snippet in rows:
            found.setdefault(
                path,
                Source(title=fit(title, TITLE_CHARS), url=self._url(Path(path)), snippet=fit(snippet, SNIPPET_CHARS)),
            )

    def _url(self, path: Path) -> str:
        if self._site:
            return f"{self._site}/{quote(path.relative_to(self._folder).as_posix())}"
        return path.relative_to(self._root).as_posix() if path.is_relative_to(self._root) else path.as_uri()

    def _refresh(self) -> apsw.Connection:
        """Bring the index to what is on disk."""
        if self._db is None:
            self._db = apsw.Connection(":memory:")
            self._db.execute("CREATE VIRTUAL TABLE page USING fts5(path UNINDEXED, title, body, tokenize = 'porter unicode61')")
        now = dict(self._files())
        with self._db:
            for path in self._seen.keys() - now.keys():
                self._db.execute("DELETE FROM page WHERE rowid = ?", (self._seen.pop(path)[0],))
            for path, (changed_ns, size) in now.items():
                known = self._seen.get(path)
                if known is None or known[1:] != (changed_ns, size):
                    self._read(self._db, path, changed_ns, size)
        return self._db

    def _read(self, db: apsw.Connection, path: Path, changed_ns: int, size: int) -> None:
        known = self._seen.pop(path, None)
        if known is not None:
            db.execute("DELETE FROM page WHERE rowid = ?", (known[0],))
        try:
            text = path.read_bytes()[:FILE_BYTES_MAX].decode("utf-8", "replace")
        except OSError:  # gone or locked since it was listed: the next search sees
            return
        title, body = title_and_body(path.name, text)
        db.execute("INSERT INTO page(path, title, body) VALUES(?, ?, ?)", (str(path), title, body))
        self._seen[path] = (db.last_insert_rowid(), changed_ns, size)

    def _files(self) -> Iterator[tuple[Path, tuple[int, int]]]:
        if not self._folder.is_dir():
            message = f"the folder to search is not there: {self._folder}"
            raise RequestError(message, code="folder_missing", hint="correct web_search.folder in treadle.toml, or --folder")
        count = 0
        for directory, folders, names in os.walk(self._folder):
            folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _PASSED_BY)
            for name in sorted(names):
                path = Path(directory, name)
                if not name.lower().endswith(ENDINGS) or name.startswith(".") or path.is_symlink():
                    continue
                count += 1
                if count > FILES_MAX:
                    message = f"the folder to search has more than {FILES_MAX} documents: {self._folder}"
                    raise RequestError(message, code="folder_too_large", hint="name a folder further down")
                try:
                    stat = path.stat()
                except OSError:
                    continue
                yield path, (stat.st_mtime_ns, stat.st_size)


def title_and_body(name: str, text: str) -> tuple[str, str]:
    """Give a document's title and its words, by its format; the file's name where it has no title."""
    text = text.removeprefix("\ufeff")
    if name.lower().endswith((".html", ".htm")):
        page = _Page()
        page.feed(text)
        page.close()
        return page.title or name, " ".join(page.words)
    if text.startswith("---\n") and (end := text.find("\n---\n", 4)) > 0:
        text = text[end + 5 :]
    heading = re.search(r"^#\s+(.+?)\s*#*$", text, re.MULTILINE) if not name.lower().endswith(".rst") else None
    heading = heading or re.search(r"^([^\s=\-#].*)\n[=\-~^\"*]{3,}\s*$", text, re.MULTILINE)
    return (heading[1] if heading else name), text


class _Page(html.parser.HTMLParser):
    """Collects what a reader would see."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self.title = ""
        self._inside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - its signature
        if tag in {"script", "style", "template", "title", "h1", "noscript"}:
            self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._inside:
            while self._inside.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        within = self._inside[-1] if self._inside else ""
        if within in {"script", "style", "template", "noscript"} or not data.strip():
            return
        if within == "title" or (within == "h1" and not self.title):
            self.title = self.title or data.strip()
        if within != "title":
            self.words.append(data.strip())
