"""Who waits for changes learns of them at once within the process, and soon from any other (ruling 38)."""

import asyncio
import time

import pytest

from tests.store.build import starting, stepping
from treadle.engine.embedded.errors import StorageUnavailableError
from treadle.engine.embedded.reader import Change
from treadle.engine.embedded.store import open_store


async def test_what_is_there_is_given_at_once_in_the_order_of_commits(store):
    head = (await store.commit(starting("a"))).head
    await store.commit(starting("b"))
    await store.commit(stepping("a", head))
    changes = await store.feed.wait(0)
    assert changes == [Change(seq=1, run="a", rev=1), Change(seq=2, run="b", rev=1), Change(seq=3, run="a", rev=2)]
    assert await store.feed.wait(1) == changes[1:]


async def test_a_commit_of_this_process_wakes_without_polling(store, monkeypatch):
    monkeypatch.setattr("treadle.engine.embedded.feed.URGENT_S", 3600)
    waiting = [asyncio.ensure_future(store.feed.wait(0)) for _ in range(3)]
    await asyncio.sleep(0)
    await store.commit(starting("a"))
    assert await asyncio.gather(*waiting) == [[Change(seq=1, run="a", rev=1)]] * 3


async def test_a_commit_of_another_process_is_noticed_within_100_ms(store, child):
    other = child("race", "theirs", 0)
    changes = await store.feed.wait(0, timeout_s=10)
    assert [change.run for change in changes] == ["theirs"]
    assert other.stdout.readline() == "ready\n"
    waiting = asyncio.ensure_future(store.feed.wait(1, timeout_s=0.3))
    assert await waiting == []


async def test_a_commit_through_another_connection_is_noticed_soon(store, path):
    other = open_store(path)
    waiting = asyncio.ensure_future(store.feed.wait(0))
    await asyncio.sleep(0)
    await other.commit(starting("a"))
    began_s = time.monotonic()
    assert len(await waiting) == 1
    assert time.monotonic() - began_s < 0.1
    await other.close()


async def test_many_waiters_ask_the_file_once_per_interval(store, monkeypatch):
    asked = []
    real = store.reader.data_version
    waiting = [asyncio.ensure_future(store.feed.wait(0, timeout_s=0.2)) for _ in range(50)]
    await asyncio.sleep(0)
    monkeypatch.setattr(store.reader, "data_version", lambda: (asked.append(1), real())[1])
    assert await asyncio.gather(*waiting) == [[]] * 50
    assert len(asked) < 100


async def test_waiting_ends_with_nothing_after_its_time(store):
    assert await store.feed.wait(0, timeout_s=0) == []
    assert await store.feed.wait(0, timeout_s=0.01) == []


async def test_nobody_waiting_nobody_asks(store):
    await store.feed.wait(0, timeout_s=0.05)
    await asyncio.sleep(0.05)
    assert store.feed._poll is None


async def test_closing_ends_the_wait(path):
    store = open_store(path)
    waiting = asyncio.ensure_future(store.feed.wait(0))
    await asyncio.sleep(0)
    await store.close()
    with pytest.raises(StorageUnavailableError):
        await waiting
