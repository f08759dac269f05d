"""A write takes place whole or not at all, on the revision its writer saw, and a reply says what happened (rulings 34-36)."""

import asyncio

import pytest

from tests.store.build import BODY, an_action, starting, stepping
from treadle.engine.embedded import faults
from treadle.engine.embedded.errors import StorageUnavailableError, WriteRejectedError
from treadle.engine.embedded.records import (
    ActionChange,
    Committed,
    Head,
    Refused,
    Renewal,
    Renewed,
    Repeated,
    RequestRow,
    Stale,
    Write,
)


async def test_a_started_run_is_there_with_all_its_rows(store):
    outcome = await store.commit(starting("r", title="A walk", branch="main"))
    row = store.reader.run("r")
    assert outcome == Committed(head=row.head, seq=1)
    assert (row.title, row.branch, row.head.revision, row.head.tail_bytes) == ("A walk", "main", 1, len(BODY))
    assert [event.body for event in store.reader.events("r")] == [BODY]
    assert store.reader.actions("r") == [an_action("step[0]")]


async def test_a_step_moves_the_run_and_exchanges_its_actions(store):
    head = (await store.commit(starting("r"))).head
    outcome = await store.commit(stepping("r", head, b"two"))
    assert outcome.head.revision == 2
    assert [(event.rev, event.body) for event in store.reader.events("r", after_rev=1)] == [(2, b"two")]
    assert [action.id for action in store.reader.actions("r")] == ["step[1]"]


async def test_fields_of_runs_and_actions_change_where_named_and_nowhere_else(store):
    head = (await store.commit(starting("r", next_due_ms=5))).head
    change = ActionChange(id="step[0]", fields={"holder": "me", "lease_until_ms": 9, "attempt": 1})
    await store.commit(Write(run="r", expected=head, fields={"status": "parked"}, changed=(change,)))
    row = store.reader.run("r")
    assert (row.status, row.next_due_ms, row.head.revision) == ("parked", 5, 1)
    assert store.reader.actions("r") == [an_action("step[0]", holder="me", lease_until_ms=9, attempt=1)]


async def test_a_snapshot_begins_a_new_tail(store):
    head = (await store.commit(starting("r"))).head
    head = (await store.commit(stepping("r", head, snapshot=b"state2"))).head
    assert (head.snap_rev, head.snap_bytes, head.tail_bytes) == (2, 6, 0)
    await store.commit(stepping("r", head, b"three"))
    loaded = store.reader.load("r")
    assert loaded.snapshot == (2, b"state2")
    assert [event.body for event in loaded.tail] == [b"three"]


async def test_a_write_on_an_old_revision_stores_nothing_and_shows_what_is_new(store):
    old = (await store.commit(starting("r"))).head
    new = (await store.commit(stepping("r", old, b"theirs"))).head
    outcome = await store.commit(stepping("r", old, b"ours"))
    assert isinstance(outcome, Stale)
    assert outcome.row.head == new
    assert [event.body for event in outcome.events] == [b"theirs"]
    assert store.reader.last_seq() == 2


async def test_redo_is_given_the_newer_events_and_its_write_takes_place(store):
    old = (await store.commit(starting("r"))).head
    await store.commit(stepping("r", old, b"theirs"))
    seen = []

    def redo(stale):
        seen.extend(event.body for event in stale.events)
        return stepping("r", stale.row.head, b"ours again")

    outcome = await store.commit(stepping("r", old, b"ours", redo=redo))
    assert outcome.head.revision == 3
    assert seen == [b"theirs"]
    assert [event.body for event in store.reader.events("r")][1:] == [b"theirs", b"ours again"]


async def test_redo_may_refuse_and_nothing_is_stored(store):
    old = (await store.commit(starting("r"))).head
    await store.commit(stepping("r", old))
    assert await store.commit(stepping("r", old, redo=lambda _: Refused(reason="closed"))) == Refused(reason="closed")
    assert store.reader.last_seq() == 2


async def test_what_redo_raises_reaches_its_caller_alone(store):
    old = (await store.commit(starting("r"))).head
    await store.commit(stepping("r", old))

    def redo(_):
        raise LookupError("mine")

    others = [store.commit(starting(f"o{n}")) for n in range(3)]
    outcomes = await asyncio.gather(*others[:2], store.commit(stepping("r", old, redo=redo)), others[2], return_exceptions=True)
    assert [type(each) for each in outcomes] == [Committed, Committed, LookupError, Committed]


async def test_a_redo_built_on_the_old_revision_is_rejected(store):
    old = (await store.commit(starting("r"))).head
    await store.commit(stepping("r", old))
    with pytest.raises(WriteRejectedError) as caught:
        await store.commit(stepping("r", old, redo=lambda _: stepping("r", old)))
    assert caught.value.code == "write_rejected"


async def test_a_request_is_answered_once_and_then_repeated(store):
    request = RequestRow(key="k", digest="x", reply=b"first", created_ms=1)
    first = starting("r")
    await store.commit(Write(run="r", start=first.start, definitions=first.definitions, requests=(request,)))
    again = RequestRow(key="k", digest="y", reply=b"second", created_ms=2)
    outcome = await store.commit(Write(run="other", start=first.start, requests=(again,)))
    assert outcome == Repeated(request=RequestRow(key="k", digest="x", reply=b"first", created_ms=1, run="r"))
    assert store.reader.run("other") is None


async def test_a_repeated_request_on_an_old_revision_is_repeated_not_redone(store):
    old = (await store.commit(starting("r"))).head
    request = RequestRow(key="k", digest="x", reply=b"first", created_ms=1)
    await store.commit(stepping("r", old, requests=(request,)))
    outcome = await store.commit(stepping("r", old, requests=(request,), redo=lambda _: pytest.fail("redone")))
    assert outcome.request.reply == b"first"


async def test_starting_a_run_that_is_there_is_stale(store):
    await store.commit(starting("r"))
    outcome = await store.commit(starting("r"))
    assert isinstance(outcome, Stale)
    assert len(store.reader.runs()) == 1


async def test_writing_to_a_run_that_is_not_there_is_rejected(store):
    with pytest.raises(WriteRejectedError, match="no such run"):
        await store.commit(stepping("nowhere", Head(revision=1, link=b"")))


@pytest.mark.parametrize("change", [{"closed": ("never",)}, {"changed": (ActionChange(id="never", fields={"attempt": 1}),)}])
async def test_an_action_that_is_not_open_cannot_be_closed_or_changed(store, change):
    head = (await store.commit(starting("r"))).head
    with pytest.raises(WriteRejectedError, match="not open"):
        await store.commit(Write(run="r", expected=head, events=(BODY,), **change))
    assert store.reader.run("r").head == head


async def test_a_lease_is_renewed_by_its_holder_and_nobody_else(store):
    first = starting("r")
    held = an_action("a", attempt=2, holder="me", lease_until_ms=10)
    await store.commit(Write(run="r", start=first.start, definitions=first.definitions, opened=(held,)))
    mine = Renewal(run="r", action="a", attempt=2, holder="me", lease_until_ms=20)
    assert await store.commit(mine) == Renewed(held=True)
    assert store.reader.action("r", "a").lease_until_ms == 20
    for changed in ({"attempt": 1}, {"holder": "you"}, {"action": "b"}):
        fields = {"run": "r", "action": "a", "attempt": 2, "holder": "me", "lease_until_ms": 99, **changed}
        assert await store.commit(Renewal(**fields)) == Renewed(held=False)
    assert store.reader.action("r", "a").lease_until_ms == 20


async def test_a_free_or_lapsed_open_action_is_taken_a_claimed_one_is_not(store):
    first = starting("r")
    rows = (
        an_action("free"),
        an_action("lapsed", holder="gone", lease_until_ms=10),
        an_action("held", holder="you", lease_until_ms=100),
        an_action("claimed", status="claimed", holder="gone", lease_until_ms=10),
    )
    await store.commit(Write(run="r", start=first.start, definitions=first.definitions, opened=rows))
    taken = {}
    for row in rows:
        taking = Renewal(run="r", action=row.id, attempt=0, holder="me", lease_until_ms=200, now_ms=50)
        taken[row.id] = (await store.commit(taking)).held
    assert taken == {"free": True, "lapsed": True, "held": False, "claimed": False}
    holders = {action.id: action.holder for action in store.reader.actions("r")}
    assert holders == {"free": "me", "lapsed": "me", "held": "you", "claimed": "gone"}


async def test_one_failure_in_a_group_fails_alone(store, monkeypatch):
    groups = []
    real = store.writer._transaction
    monkeypatch.setattr(store.writer, "_transaction", lambda units, **how: (groups.append(len(units)), real(units, **how))[1])
    bad = starting("bad")
    twice = Write(run="bad", start=bad.start, definitions=bad.definitions, opened=(an_action("a"), an_action("a")))
    writes = [*(starting(f"r{n}") for n in range(5)), twice, *(starting(f"r{n}") for n in range(5, 9))]
    outcomes = await asyncio.gather(*map(store.commit, writes), return_exceptions=True)
    assert groups == [1, 9]
    assert [type(each) for each in outcomes] == [*[Committed] * 5, WriteRejectedError, *[Committed] * 4]
    assert store.reader.run("bad") is None
    assert len(store.reader.runs()) == 9


async def test_two_writes_to_one_run_in_a_group_take_place_one_after_the_other(store):
    head = (await store.commit(starting("r"))).head

    def redo(stale):
        return stepping("r", stale.row.head, redo=redo)

    outcomes = await asyncio.gather(*(store.commit(stepping("r", head, redo=redo)) for _ in range(20)))
    assert sorted(each.head.revision for each in outcomes) == list(range(2, 22))


async def test_a_commit_gives_up_its_turn_so_that_others_come_to_theirs(store):
    turns = []

    async def tick():
        while len(turns) < 10:
            turns.append(store.reader.last_seq())
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    head = (await store.commit(starting("r"))).head
    for _ in range(10):
        head = (await store.commit(stepping("r", head))).head
    await ticking
    assert len(set(turns)) > 5


async def test_a_closed_store_says_so(path):
    from treadle.engine.embedded.store import open_store

    store = open_store(path)
    await store.close()
    with pytest.raises(StorageUnavailableError) as caught:
        await store.commit(starting("r"))
    assert caught.value.reason == "closed"


async def test_close_commits_what_is_queued(path):
    from treadle.engine.embedded.store import open_store

    store = open_store(path)
    commits = [asyncio.ensure_future(store.commit(starting(f"r{n}"))) for n in range(20)]
    await asyncio.sleep(0)
    await store.close()
    assert all(isinstance(each, Committed) for each in await asyncio.gather(*commits))
    again = open_store(path)
    assert len(again.reader.runs()) == 20
    await again.close()


def test_fault_points_are_inert_without_the_variable():
    assert faults._trap is None
    for name in faults.points():
        faults.point(name)
