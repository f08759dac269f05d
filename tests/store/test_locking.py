"""Several processes on one file: fair, never waiting on the loop, and a dead process holds nothing (rulings 33 and 34)."""

import asyncio
import contextlib
import time

import pytest

from tests.store.build import starting, stepping
from treadle.engine.embedded.errors import StorageUnavailableError
from treadle.engine.embedded.records import Committed
from treadle.engine.embedded.store import open_store
from treadle.engine.embedded.turnstile import Turnstile, holder_pids


@pytest.fixture
def turnstile(path):
    path.parent.mkdir()
    made = Turnstile(path)
    yield made
    made.close()


def test_one_at_a_time_within_a_process_too(turnstile):
    assert turnstile.try_enter()
    assert not turnstile.try_enter()
    turnstile.leave()
    assert turnstile.try_enter()
    turnstile.leave()


def test_one_at_a_time_among_processes(turnstile, child):
    holder = child("hold")
    assert holder.stdout.readline() == "held\n"
    assert not turnstile.try_enter()
    assert holder_pids(turnstile.hold_path) in ([holder.pid], [])
    holder.stdin.write("go\n")
    holder.stdin.flush()
    turnstile.enter()
    turnstile.leave()


def test_kill_9_frees_the_lock(turnstile, child):
    holder = child("hold")
    assert holder.stdout.readline() == "held\n"
    holder.kill()
    turnstile.enter()
    turnstile.leave()


def test_the_mark_is_kept_beside_the_lock(turnstile):
    assert turnstile.read_mark() is None
    turnstile.write_mark("a" * 32, 7)
    assert turnstile.read_mark() == ("a" * 32, 7)
    turnstile.write_mark("a" * 32, 123456)
    assert turnstile.read_mark() == ("a" * 32, 123456)


@pytest.mark.parametrize("role", ["hold", "lock"])
async def test_while_the_file_is_locked_the_loop_runs_reads_answer_and_the_commit_waits(path, child, role):
    store = open_store(path)
    head = (await store.commit(starting("r"))).head
    holder = child(role)
    assert holder.stdout.readline() == "held\n"
    commits = [asyncio.ensure_future(store.commit(starting(f"n{n}"))) for n in range(5)]
    commits.append(asyncio.ensure_future(store.commit(stepping("r", head))))
    longest_s, until_s = 0.0, time.monotonic() + 0.5
    while time.monotonic() < until_s:
        began_s = time.monotonic()
        await asyncio.sleep(0)
        assert store.reader.run("r").head == head
        longest_s = max(longest_s, time.monotonic() - began_s)
    assert longest_s < 0.25
    assert not any(commit.done() for commit in commits)
    holder.stdin.write("go\n")
    holder.stdin.flush()
    assert all(isinstance(each, Committed) for each in await asyncio.gather(*commits))
    await store.close()


@pytest.mark.parametrize("role", ["hold", "lock"])
async def test_who_waits_too_long_is_told_and_nothing_of_it_is_stored(path, child, role):
    await open_store(path).close()
    store = open_store(path, wait_limit_ms=200)
    holder = child(role)
    assert holder.stdout.readline() == "held\n"
    outcomes = await asyncio.gather(*(store.commit(starting(f"r{n}")) for n in range(3)), return_exceptions=True)
    assert [(each.code, each.reason) for each in outcomes] == [("storage_busy", "busy")] * 3
    holder.stdin.write("go\n")
    holder.stdin.flush()
    assert holder.wait() == 0
    assert isinstance(await store.commit(starting("later")), Committed)
    assert [row.id for row in store.reader.runs()] == ["later"]
    await store.close()


async def test_a_cancelled_waiter_is_passed_over(path, child):
    store = open_store(path)
    holder = child("hold")
    assert holder.stdout.readline() == "held\n"
    first, second = (asyncio.ensure_future(store.commit(starting(run))) for run in ("a", "b"))
    await asyncio.sleep(0)
    first.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await first
    holder.kill()
    assert isinstance(await second, Committed)
    assert [row.id for row in store.reader.runs()] == ["b"]
    await store.close()


async def test_a_store_that_stays_locked_is_not_made(path, child):
    path.parent.mkdir()
    holder = child("hold")
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(StorageUnavailableError) as caught:
        open_store(path, wait_limit_ms=50)
    assert caught.value.reason == "busy"


def test_many_processes_may_make_the_store_at_once(path, child):
    makers = [child("race", f"r{n}", 0) for n in range(8)]
    for maker in makers:
        assert maker.stdout.readline() == "ready\n"
    for maker in makers:
        maker.communicate("go\n")
        assert maker.returncode == 0


def test_four_processes_share_the_file_fairly(path, child):
    asyncio.run(open_store(path).close())
    racers = [child("race", f"r{n}", 2) for n in range(4)]
    for racer in racers:
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    results = [racer.communicate()[0].split() for racer in racers]
    counts = [int(words[1]) for words in results]
    longest_ms = max(int(words[3]) for words in results)
    print(f"commits in 2 s: {counts}, longest wait {longest_ms} ms")
    assert min(counts) > max(counts) / 2
    assert longest_ms < 500
