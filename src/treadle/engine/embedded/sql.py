"""The part of an apsw connection that the store uses, with types: apsw's own stubs need Python 3.12 to be understood."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol, cast

import apsw


class Rows(Protocol):
    """The rows of one statement."""

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Give all rows that are left."""
        ...

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """Walk the rows."""
        ...


class Db(Protocol):
    """A connection. Statements raise apsw.Error."""

    @property
    def filename(self) -> str:
        """The file's path."""
        ...

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        ...

    def execute(self, statements: str, bindings: tuple[Any, ...] = ..., /) -> Rows:
        """Run statements; what returns no rows has run to its end."""
        ...

    def changes(self) -> int:
        """Count the rows that the last INSERT, UPDATE or DELETE changed."""
        ...

    def last_insert_rowid(self) -> int:
        """Give the row number of the last INSERT."""
        ...

    def data_version(self) -> int:
        """Give the pager's version of what it has read last; it moves with every commit of any connection."""
        ...

    def config(self, option: int, value: int, /) -> int:
        """Set an option of this connection."""
        ...

    def set_busy_timeout(self, milliseconds: int) -> None:
        """Set how long statements wait for a lock."""
        ...

    def set_wal_hook(self, hook: "Callable[[apsw.Connection, str, int], int]") -> None:
        """Have `hook` called after each commit with the number of pages in the log."""
        ...

    def wal_checkpoint(self, dbname: str | None = ..., mode: int = ...) -> tuple[int, int]:
        """Move the log into the file."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


def opened(path: str, flags: int) -> Db:
    """Open a connection. Raises apsw.Error."""
    return cast(Db, apsw.Connection(path, flags=flags))


def in_memory() -> Db:
    """Open an empty database that is nowhere."""
    return opened(":memory:", apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
