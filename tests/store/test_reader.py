"""What can be asked of a store: runs by words and place, page by page, what is due, who holds what."""

import asyncio

import pytest

from tests.store.build import DIGEST, an_action, starting, stepping
from treadle.engine.embedded.reader import RunFilter
from treadle.engine.embedded.records import Write


def ids(rows):
    return [row.id for row in rows]


@pytest.fixture
async def garden(store):
    """Five runs: two ended, three open, in two directories."""
    await store.commit(starting("r1", title="Refactor the auth layer", directory="/a", branch="main"))
    await store.commit(starting("r2", title="Überprüfe die Kasse", directory="/a", branch="fix/till", status="parked"))
    await store.commit(starting("r3", title="Nightly report", directory="/b", branch="main", status="completed", closed_ms=5))
    await store.commit(starting("r4", title="Nightly report", words="auth tokens", directory="/b", status="failed", closed_ms=6))
    await store.commit(starting("r5", name="demo:other", title="Plan", directory="/b", branch="main"))
    return store


@pytest.mark.parametrize(
    "wanted, found",
    [
        ({}, ["r5", "r4", "r3", "r2", "r1"]),
        ({"open_only": True}, ["r5", "r2", "r1"]),
        ({"statuses": ("failed", "parked")}, ["r4", "r2"]),
        ({"name": "demo:other"}, ["r5"]),
        ({"directory": "/a"}, ["r2", "r1"]),
        ({"directory": "/b", "branch": "main"}, ["r5", "r3"]),
        ({"words": "auth"}, ["r4", "r1"]),
        ({"words": "refact AUTH"}, ["r1"]),
        ({"words": "kasse uberpruf"}, ["r2"]),
        ({"words": "till"}, ["r2"]),
        ({"words": "r3"}, ["r3"]),
        ({"words": "auth", "open_only": True}, ["r1"]),
        ({"words": '" OR * NEAR('}, []),
        ({"words": "***"}, []),
        ({"words": "nothing"}, []),
    ],
)
async def test_runs_are_found_newest_first(garden, wanted, found):
    assert ids(garden.reader.runs(RunFilter(**wanted))) == found


async def test_pages_follow_one_another_without_gap_or_repeat(garden):
    page = garden.reader.runs(limit=2)
    rest = garden.reader.runs(RunFilter(before=page[-1].number), limit=2)
    last = garden.reader.runs(RunFilter(before=rest[-1].number), limit=2)
    assert [ids(page), ids(rest), ids(last)] == [["r5", "r4"], ["r3", "r2"], ["r1"]]


async def test_counts_by_status(garden):
    assert garden.reader.counts() == {"completed": 1, "failed": 1, "parked": 1, "waiting": 2}


async def test_due_runs_and_the_next_instant(store):
    for run, due_ms in (("a", 30), ("b", None), ("c", 10), ("d", 20)):
        await store.commit(starting(run, next_due_ms=due_ms))
    assert store.reader.next_due_ms() == 10
    assert store.reader.due_runs(20) == [("c", 10), ("d", 20)]


async def test_leases_what_has_lapsed_and_what_the_server_performs(store):
    first = starting("r")
    actions = (
        an_action("mine", holder="me", lease_until_ms=50),
        an_action("lapsed", holder="gone", lease_until_ms=10),
        an_action("free"),
        an_action("tool", performer="server", kind="mcp_call", params=b"{}"),
        an_action("gate", due_ms=15),
    )
    await store.commit(Write(run="r", start=first.start, definitions=first.definitions, opened=actions))
    reader = store.reader
    assert [each.action.id for each in reader.leased()] == ["lapsed", "mine"]
    assert [(each.run, each.action.holder) for each in reader.lapsed(20)] == [("r", "gone")]
    assert reader.next_lapse_ms() == 10
    assert [each.action for each in reader.served()] == [actions[3]]
    assert [each.action.id for each in reader.due_actions(20)] == ["gate"]
    assert reader.action("r", "tool") == actions[3]
    assert reader.action("r", "none") is None


async def test_what_is_not_there_is_none(store):
    reader = store.reader
    assert (reader.run("x"), reader.load("x"), reader.request("x"), reader.definition("x")) == (None, None, None, None)
    assert (reader.next_due_ms(), reader.next_lapse_ms(), reader.last_seq(), reader.runs()) == (None, None, 0, [])


async def test_a_view_sees_one_moment(store):
    head = (await store.commit(starting("r"))).head
    with store.reader.view():
        before = store.reader.run("r")
        await store.commit(stepping("r", head))
        assert store.reader.run("r") == before
        assert store.reader.events("r", after_rev=1) == []
    assert store.reader.run("r").head.revision == 2


async def test_a_definition_is_stored_once(store):
    await asyncio.gather(*(store.commit(starting(f"r{n}")) for n in range(3)))
    assert store.reader.definition(DIGEST) == b"{}"


async def test_a_reader_cannot_write(store):
    import apsw

    with pytest.raises(apsw.ReadOnlyError):
        store.reader._db.execute("DELETE FROM run")
