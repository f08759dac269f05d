"""The schema: one truth for new files, migrations that end exactly there, and old code that writes nothing (rulings 18, 36)."""

import shutil

import apsw
import pytest

from tests.store.build import starting, stepping
from treadle.engine.embedded import schema, sql
from treadle.engine.embedded.connection import refuse_affected
from treadle.engine.embedded.errors import RestartThisSessionError, StoreRefusedError
from treadle.engine.embedded.records import Committed
from treadle.engine.embedded.store import open_store


def migrated():
    db = sql.in_memory()
    first = schema.migrations(schema.MIGRATIONS)[1]
    schema.create(db, first.read_text(encoding="utf-8"), "")
    schema.migrate(db, 1, schema.MIGRATIONS)
    return db


def test_all_migrations_give_exactly_schema_sql():
    assert schema.shape(migrated()) == schema.wanted_shape()


def test_migrations_are_numbered_without_gaps_up_to_the_schema_number():
    assert sorted(schema.migrations(schema.MIGRATIONS)) == list(range(1, schema.SCHEMA + 1))


def test_every_table_is_strict_so_that_a_text_is_no_number():
    tables = dict(migrated().execute("SELECT name, strict FROM pragma_table_list WHERE type = 'table'").fetchall())
    ours = {name for name in tables if not name.startswith(("sqlite_", "run_text_"))}
    assert ours >= {"meta", "definition", "run", "snapshot", "event", "action", "request", "blob", "blob_use"}
    assert all(tables[name] for name in ours)


def test_a_migration_is_applied_in_order_and_names_its_oldest_writer(tmp_path):
    (tmp_path / "0002_two.sql").write_text("-- oldest_writer: 1\nCREATE TABLE two (x INTEGER) STRICT;")
    (tmp_path / "0003_three.sql").write_text("-- oldest_writer: 2\nALTER TABLE two ADD COLUMN y INTEGER NOT NULL DEFAULT 0;")
    db = migrated()
    schema.migrate(db, 1, tmp_path)
    assert db.execute("SELECT schema, oldest_writer FROM meta").fetchall() == [(3, 2)]
    assert schema.version(db) == 3
    assert db.execute("SELECT y FROM two").fetchall() == []


def raise_schema(path, number, oldest_writer):
    db = apsw.Connection(str(path))
    db.execute(f"BEGIN; UPDATE meta SET schema = {number}, oldest_writer = {oldest_writer}; PRAGMA user_version = {number}; COMMIT")
    db.close()


async def test_a_file_that_only_newer_code_may_write_is_not_opened(path):
    await open_store(path).close()
    raise_schema(path, schema.SCHEMA + 2, schema.SCHEMA + 1)
    with pytest.raises(RestartThisSessionError) as caught:
        open_store(path)
    assert caught.value.code == "restart_this_session"


async def test_a_migration_beside_a_running_process_stops_its_very_next_write(store, path):
    head = (await store.commit(starting("r"))).head
    raise_schema(path, schema.SCHEMA + 1, schema.SCHEMA + 1)
    for _ in range(2):
        with pytest.raises(RestartThisSessionError):
            await store.commit(stepping("r", head))
    assert store.reader.run("r").head == head


async def test_a_newer_file_that_still_takes_our_writes_gets_them(store, path):
    head = (await store.commit(starting("r"))).head
    raise_schema(path, schema.SCHEMA + 1, schema.SCHEMA)
    assert isinstance(await store.commit(stepping("r", head)), Committed)
    again = open_store(path)
    assert again.reader.run("r").head.revision == 2
    await again.close()


def test_another_database_is_left_alone(path):
    path.parent.mkdir()
    db = apsw.Connection(str(path))
    db.execute("CREATE TABLE mine (x)")
    db.close()
    with pytest.raises(StoreRefusedError) as caught:
        open_store(path)
    assert caught.value.code == "not_a_store"


def test_a_file_that_is_no_database_is_left_alone(path):
    path.parent.mkdir()
    path.write_bytes(b"hello" * 1000)
    with pytest.raises(StoreRefusedError) as caught:
        open_store(path)
    assert caught.value.code == "not_a_store"
    assert path.read_bytes() == b"hello" * 1000


async def test_a_file_that_was_emptied_is_refused_and_its_log_stays(path):
    store = open_store(path)
    head = (await store.commit(starting("r"))).head
    await store.commit(stepping("r", head))
    log = path.with_name(path.name + "-wal")
    kept = log.read_bytes()
    assert kept
    away = path.parent.with_name("copy") / path.name
    shutil.copytree(path.parent, away.parent)
    await store.close()
    away.write_bytes(b"")
    with pytest.raises(StoreRefusedError) as caught:
        open_store(away)
    assert caught.value.code == "history_truncated"
    assert away.with_name(away.name + "-wal").read_bytes() == kept


@pytest.mark.parametrize("version", ["3.40.1", "3.44.5", "3.45.0", "3.50.6", "3.51.2"])
def test_an_sqlite_that_can_lose_a_commit_is_refused(version):
    with pytest.raises(StoreRefusedError) as caught:
        refuse_affected(version)
    assert caught.value.code == "sqlite_affected"


@pytest.mark.parametrize("version", ["3.44.6", "3.50.7", "3.51.3", "3.52.0", "4.0.0"])
def test_a_mended_sqlite_is_taken(version):
    refuse_affected(version)


async def test_the_newest_event_cannot_be_deleted_so_no_seq_is_given_twice(store):
    head = (await store.commit(starting("r"))).head
    await store.commit(stepping("r", head))
    with pytest.raises(apsw.ConstraintError, match="given again"):
        store._db.execute("DELETE FROM event WHERE seq = 2")
    store._db.execute("DELETE FROM event WHERE seq = 1")
