"""The file behind `treadle server memory`: one SQLite database, shared safely by any number of processes.

Entries have a key (`save`) or none (`add`). Every write is one transaction with `synchronous=FULL`; a method that returns has committed, and
a method that raises has changed nothing. A write with an idempotency key leaves its reply beside it, in the same transaction: the same key
with the same request gives that reply again and writes nothing, with another request it is refused.

Full text is FTS5 over the words of key, category and value. A search looks for all words, then for any, then for the text as it stands,
which also finds what the tokenizer cannot cut (Chinese, part of a word).
"""

import contextlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import apsw

from treadle.core.errors import RequestError
from treadle.core.values import Json, ValueProblem, canonical, digest, encode, normalise

SCHEMA: Final = 1
BUSY_MS: Final = 20_000
VALUE_BYTES_MAX: Final = 1 << 20
REPLIES_KEPT_MS: Final = 90 * 86_400_000
RESULT_BYTES_MAX: Final = 1 << 20
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS entry(
    id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT UNIQUE, category TEXT NOT NULL, value TEXT NOT NULL,
    created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS entry_by_category ON entry(category, id);
CREATE VIRTUAL TABLE IF NOT EXISTS entry_text USING fts5(words, tokenize = 'unicode61 remove_diacritics 2');
CREATE TABLE IF NOT EXISTS reply(key TEXT PRIMARY KEY, digest TEXT NOT NULL, reply TEXT NOT NULL, at_ms INTEGER NOT NULL) STRICT;
"""
_COLUMNS: Final = "entry.id, entry.key, entry.category, entry.value, entry.created_ms, entry.updated_ms"
Row = dict[str, Any]


class MemoryStore:
    """One open file. Methods may be called from any thread; they take turns."""

    def __init__(self, path: Path, *, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        """Open or make the file. Raises RequestError `memory_unusable` with the reason."""
        self._now_ms = now_ms
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = apsw.Connection(str(path))
            self._prepare()
        except (OSError, apsw.Error) as error:
            raise RequestError(f"the memory file {path} cannot be used: {error}", code="memory_unusable") from error

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def save(self, key: str, value: object, category: str, request_key: str | None) -> Row:
        """Store a value under a key, in place of what was there. Safe to repeat."""
        body = _encoded(value)

        def write() -> Row:
            old = self._one("SELECT id, created_ms FROM entry WHERE key = ?", key)
            now = self._now_ms()
            if old is None:
                number = self._insert(key, category, body, now)
            else:
                number = old[0]
                self._db.execute(
                    "UPDATE entry SET category = ?, value = ?, updated_ms = ? WHERE id = ?",
                    (category, body, now, number),
                )
                self._db.execute("UPDATE entry_text SET words = ? WHERE rowid = ?", (_words(key, category, body), number))
            return {"success": True, "key": key, "id": number, "created": old is None, "updated_at": _instant(now)}

        return self._write(request_key, ["save", key, category, body], write)

    def add(self, category: str, value: object, request_key: str | None) -> Row:
        """Append a value to a category. Repeating appends again, unless the request key says that it is the same."""
        body = _encoded(value)

        def write() -> Row:
            now = self._now_ms()
            return {
                "success": True,
                "id": self._insert(None, category, body, now),
                "category": category,
                "created_at": _instant(now),
            }

        return self._write(request_key, ["add", category, body], write)

    def delete(self, key: str | None, number: int | None, request_key: str | None) -> Row:
        """Remove an entry by key or number; one that is not there is no error, and counts 0."""

        def write() -> Row:
            clause, given = ("key = ?", key) if number is None else ("id = ?", number)
            row = self._one(f"SELECT id FROM entry WHERE {clause}", given)  # noqa: S608 - one of the two clauses above
            if row is not None:
                self._db.execute("DELETE FROM entry WHERE id = ?", row)
                self._db.execute("DELETE FROM entry_text WHERE rowid = ?", row)
            return {"success": True, "deleted": 0 if row is None else 1}

        return self._write(request_key, ["delete", key, number], write)

    def get(self, key: str | None, number: int | None) -> Row | None:
        """Read an entry by key or number."""
        clause, given = ("key = ?", key) if number is None else ("id = ?", number)
        with self._reading():
            row = self._one(f"SELECT {_COLUMNS} FROM entry WHERE {clause}", given)  # noqa: S608 - as above
        return None if row is None else _entry(row)

    def entries(self, category: str | None, prefix: str, limit: int, offset: int) -> tuple[list[Row], int]:
        """List entries, newest first, with how many there are in all."""
        clause, given = _filters(category, prefix)
        with self._reading():
            total = self._one(f"SELECT count(*) FROM entry WHERE {clause}", *given)  # noqa: S608 - clauses of our own
            rows = list(
                self._db.execute(
                    f"SELECT {_COLUMNS} FROM entry WHERE {clause} ORDER BY updated_ms DESC, id DESC LIMIT ? OFFSET ?",  # noqa: S608
                    (*given, limit, offset),
                )
            )
        return [_entry(row) for row in rows], 0 if total is None else total[0]

    def search(self, query: str, category: str | None, limit: int) -> tuple[list[Row], str]:
        """Find entries, best first, and say how they match: `all` words, `any` word, the `text` itself, or `none`."""
        clause, given = _filters(category, "")
        words = [f'"{word}"' for word in re.findall(r"\w+", query)]
        ranked = (
            f"SELECT {_COLUMNS}, snippet(entry_text, 0, '', '', ' … ', 24) FROM entry_text JOIN entry ON entry.id = entry_text.rowid "  # noqa: S608 - clauses of our own
            f"WHERE entry_text MATCH ? AND {clause} ORDER BY bm25(entry_text), entry.id DESC LIMIT ?"
        )
        plain = (
            f"SELECT {_COLUMNS}, substr(words, max(1, instr(lower(words), lower(?)) - 60), 160) FROM entry_text "  # noqa: S608 - as above
            f"JOIN entry ON entry.id = entry_text.rowid WHERE words LIKE ? ESCAPE '!' AND {clause} ORDER BY entry.id DESC LIMIT ?"
        )
        pattern = "%" + re.sub(r"([!%_])", r"!\1", query) + "%"
        with self._reading():
            for match, sql, terms in (
                ("all", ranked, (" ".join(words),)),
                ("any", ranked, (" OR ".join(words),)),
                ("text", plain, (query, pattern)),
            ):
                rows = list(self._db.execute(sql, (*terms, *given, limit))) if terms[0] else []
                if rows:
                    return [{**_entry(row[:-1]), "snippet": row[-1]} for row in rows], match
        return [], "none"

    # ----

    def _prepare(self) -> None:
        self._db.set_busy_timeout(BUSY_MS)
        self._patiently(lambda: self._db.execute("PRAGMA journal_mode = WAL").fetchall())
        self._db.execute("PRAGMA synchronous = FULL")
        with self._transaction():
            found = self._one("PRAGMA user_version")
            if found is not None and found[0] > SCHEMA:
                raise RequestError(
                    f"the memory file has schema {found[0]}; this version of Treadle knows up to {SCHEMA}",
                    code="memory_too_new",
                    hint="update Treadle",
                )
            for statement in _TABLES.split(";\n"):
                self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version = {SCHEMA}")

    @staticmethod
    def _patiently(act: Callable[[], object]) -> None:
        """Switching to WAL does not wait for other processes by itself."""
        ends = time.monotonic() + BUSY_MS / 1000
        while True:
            try:
                act()
            except apsw.BusyError:
                if time.monotonic() > ends:
                    raise
                time.sleep(0.02)
            else:
                return

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """Hold the write lock; nothing stays when the block raises."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:  # whatever interrupts a transaction, nothing of it stays
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        with self._lock, _plain_errors():
            yield

    def _write(self, request_key: str | None, request: list[Json], write: Callable[[], Row]) -> Row:
        body = digest(canonical(request))
        with self._lock, _plain_errors(), self._transaction():
            if request_key is None:
                return write()
            kept = self._one("SELECT digest, reply FROM reply WHERE key = ?", request_key)
            if kept is not None and kept[0] != body:
                message = f"the idempotency key {request_key!r} was used for another request; nothing was written"
                raise RequestError(message, code="conflict", hint="use a new key for a new request")
            if kept is not None:
                return json.loads(kept[1])
            reply = write()
            now = self._now_ms()
            self._db.execute(
                "INSERT INTO reply(key, digest, reply, at_ms) VALUES(?, ?, ?, ?)",
                (request_key, body, json.dumps(reply), now),
            )
            self._db.execute("DELETE FROM reply WHERE at_ms < ?", (now - REPLIES_KEPT_MS,))
            return reply

    def _insert(self, key: str | None, category: str, body: str, now: int) -> int:
        self._db.execute(
            "INSERT INTO entry(key, category, value, created_ms, updated_ms) VALUES(?, ?, ?, ?, ?)",
            (key, category, body, now, now),
        )
        number = self._db.last_insert_rowid()
        self._db.execute("INSERT INTO entry_text(rowid, words) VALUES(?, ?)", (number, _words(key, category, body)))
        return number

    def _one(self, sql: str, *given: Any) -> tuple[Any, ...] | None:
        return next(iter(self._db.execute(sql, given)), None)


@contextlib.contextmanager
def _plain_errors() -> Iterator[None]:
    try:
        yield
    except apsw.Error as error:
        raise RequestError(f"the memory file could not be read or written: {error}", code="storage_unavailable") from error


def _encoded(value: object) -> str:
    try:
        body = encode(normalise(value))
    except ValueProblem as problem:
        raise RequestError(f"the value cannot be kept: {problem.message}", code=problem.code) from problem
    if len(body.encode()) > VALUE_BYTES_MAX:
        raise RequestError(f"a value is at most {VALUE_BYTES_MAX} bytes of JSON", code="value_too_large")
    return body


def _filters(category: str | None, prefix: str) -> tuple[str, tuple[str, ...]]:
    clause, given = "1", ()
    if category is not None:
        clause, given = f"{clause} AND entry.category = ?", (*given, category)
    if prefix:
        clause, given = f"{clause} AND substr(entry.key, 1, length(?)) = ?", (*given, prefix, prefix)
    return clause, given


def _entry(row: tuple[Any, ...]) -> Row:
    number, key, category, value, created, updated = row
    return {
        "id": number, "key": key, "category": category, "value": json.loads(value),
        "created_at": _instant(created), "updated_at": _instant(updated),
    }  # fmt: skip


def _words(key: str | None, category: str, body: str) -> str:
    return "\n".join([key or "", category, *_texts(json.loads(body))])


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif value is not None:
        yield value if isinstance(value, str) else json.dumps(value)


def _instant(at_ms: int) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at_ms // 1000))
    return f"{whole}.{at_ms % 1000:03d}Z"
