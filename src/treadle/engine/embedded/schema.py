"""The schema of a file: made new, brought up to date, or refused (ruling 18).

Several versions of Treadle may have one file open, so a migration only adds (new columns have defaults), and says by
`oldest_writer: N` in its first line which code may still write afterwards: code that knows schema number N or a later
one. Every write transaction compares the number; code that is too old answers `restart_this_session` and writes nothing.
"""

import re
import uuid
from pathlib import Path
from typing import Final

from treadle.engine.embedded import faults
from treadle.engine.embedded.errors import RESTART, RestartThisSessionError, StoreRefusedError
from treadle.engine.embedded.queries import query
from treadle.engine.embedded.sql import Db, in_memory

SCHEMA: Final = 2
APPLICATION_ID: Final = 0x5472_646C  # "Trdl": how `file` and `doctor` know a store
SCRIPT: Final = Path(__file__).with_name("schema.sql")
MIGRATIONS: Final = Path(__file__).with_name("migrations")
_OLDEST_WRITER: Final = re.compile(r"oldest_writer: (\d+)")


def prepare(db: Db) -> str:
    """Make the schema in an empty file or migrate an older one; give the store's id. The caller holds the turnstile."""
    db.execute("BEGIN IMMEDIATE")
    try:
        found = _number(db, "user_version")
        if found == 0 and _is_empty(db):
            create(db, SCRIPT.read_text(encoding="utf-8"), uuid.uuid4().hex)
        else:
            _check_is_store(db)
            migrate(db, found, MIGRATIONS)
            check_may_write(db, max(found, SCHEMA))
        faults.point("migrate.before_commit")
        db.execute("COMMIT")
    except BaseException:  # whatever broke in: the file stays as it was, and the error goes on
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return store_id(db)


def checked(db: Db) -> str:
    """Give the id of a store whose schema number is ours. Raises StoreRefusedError if the file is not a store."""
    _check_is_store(db)
    return store_id(db)


def create(db: Db, script: str, store: str) -> None:
    """Run a script that makes all tables, and name the store. Within a transaction."""
    db.execute(script)
    db.execute("INSERT INTO meta (only_row, store, schema, oldest_writer) VALUES (1, ?, 0, 0)", (store,))
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    _set_version(db, SCHEMA, oldest_writer(MIGRATIONS, SCHEMA))


def migrate(db: Db, found: int, folder: Path) -> None:
    """Bring schema `found` up by the scripts in `folder`, in order of their numbers. Within a transaction."""
    for number, path in sorted(migrations(folder).items()):
        if number > found:
            db.execute(path.read_text(encoding="utf-8"))
            _set_version(db, number, oldest_writer(folder, number))


def migrations(folder: Path) -> dict[int, Path]:
    """Give number -> script of every migration."""
    return {int(path.name[:4]): path for path in folder.glob("[0-9][0-9][0-9][0-9]_*.sql")}


def oldest_writer(folder: Path, number: int) -> int:
    """Give the oldest schema number whose code may write once migration `number` is applied."""
    script = migrations(folder)[number].read_text(encoding="utf-8")
    found = _OLDEST_WRITER.search(script.splitlines()[0])
    if found is None:
        raise ValueError(f"migration {number} does not say `oldest_writer: N` in its first line")
    return int(found[1])


def check_may_write(db: Db, found: int) -> None:
    """Raise RestartThisSessionError if schema `found` does not let this code write. Within a transaction."""
    if found == SCHEMA:
        return
    oldest = int(db.execute(query("meta")).fetchall()[0][2])
    if found < SCHEMA or oldest > SCHEMA:
        raise RestartThisSessionError(
            f"The store has schema {found} and may be written by Treadle that knows at least schema {oldest}; "
            f"this process knows {SCHEMA}. Nothing was written.",
            hint=f"{RESTART} If it is the newest you have, upgrade Treadle first.",
        )


def version(db: Db) -> int:
    """Read the schema number. Within a transaction, or it may be old by the time it is used."""
    return _number(db, "user_version")


def shape(db: Db) -> list[tuple[str, str]]:
    """Give name and text of everything in the schema, in a form that can be compared."""
    rows = db.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name").fetchall()
    # SQLite sets a column that was added later with other spaces than we do.
    return [(name, re.sub(r" ?([(),]) ?", r"\1", " ".join(re.sub(r"--[^\n]*", "", sql).split()))) for name, sql in rows]


def wanted_shape() -> list[tuple[str, str]]:
    """Give the shape of a new store."""
    db = in_memory()
    create(db, SCRIPT.read_text(encoding="utf-8"), "")
    return shape(db)


def _check_is_store(db: Db) -> None:
    if _number(db, "application_id") != APPLICATION_ID:
        raise StoreRefusedError(
            f"{db.filename} is an SQLite file, but not a Treadle store.",
            hint="Move it away; Treadle makes a new one.",
            code="not_a_store",
        )


def store_id(db: Db) -> str:
    """Give the id that names this file for life."""
    return str(db.execute(query("meta")).fetchall()[0][0])


def _set_version(db: Db, number: int, oldest: int) -> None:
    db.execute("UPDATE meta SET schema = ?, oldest_writer = ?", (number, oldest))
    db.execute(f"PRAGMA user_version = {number}")


def _number(db: Db, pragma: str) -> int:
    return int(db.execute(f"PRAGMA {pragma}").fetchall()[0][0])


def _is_empty(db: Db) -> bool:
    return not db.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()
