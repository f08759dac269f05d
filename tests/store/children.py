"""What the store's tests run in processes of their own: `python -m tests.store.children ROLE STORE [ARGS]`.

Each says on its standard output what it was told by the store, as it was told: that is the record tests compare with.
"""

import asyncio
import contextlib
import os
import resource
import sys
import time
from pathlib import Path

import apsw

from tests.store.build import starting, stepping
from treadle.engine.embedded.errors import StoreError
from treadle.engine.embedded.records import BlobRow, Committed
from treadle.engine.embedded.store import open_store
from treadle.engine.embedded.turnstile import Turnstile


def say(*words):
    print(*words, flush=True)


def told():
    """Wait until the parent writes a line (or is gone)."""
    return sys.stdin.readline()


async def walk(path, steps):
    """Step one run alone, then three runs at once; every step names a new blob; big bodies force checkpoints."""
    store = open_store(path)

    async def one(run, count):
        row = store.reader.run(run)
        head = row.head if row else None
        for _ in range(count):
            tag = f"{run}:{head.revision if head else 0}"
            digest = store.blobs.put(tag.encode() * 100)
            blobs = (BlobRow(digest=digest, size_bytes=len(tag) * 100, created_ms=1),)
            body = tag.encode() + b"." * 100_000
            write = stepping(run, head, body, blobs=blobs, snapshot=b"s") if head else starting(run)
            outcome = await store.commit(write)
            assert isinstance(outcome, Committed), outcome
            head = outcome.head
            say("ack", run, head.revision)

    await one("alone", steps)
    await asyncio.gather(*(one(f"run{n}", steps) for n in range(3)))
    await store.close()
    say("done")


def hold(path):
    """Take the turnstile and keep it until told."""
    turnstile = Turnstile(path)
    turnstile.enter()
    say("held")
    told()
    turnstile.leave()


def lock(path):
    """Hold SQLite's own write lock, without our turnstile, until told."""
    db = apsw.Connection(str(path))
    db.execute("BEGIN IMMEDIATE")
    say("held")
    told()
    db.execute("COMMIT")


async def race(path, run, seconds):
    """Commit as fast as possible for a while; say how often and how long the longest commit took."""
    store = open_store(path)
    head = (await store.commit(starting(run))).head
    say("ready")
    told()
    count, longest_s, until_s = 0, 0.0, time.monotonic() + float(seconds)
    while time.monotonic() < until_s:
        began_s = time.monotonic()
        head = (await store.commit(stepping(run, head))).head
        longest_s = max(longest_s, time.monotonic() - began_s)
        count += 1
    await store.close()
    say("count", count, "longest_ms", round(longest_s * 1000))


async def outgrow(path):
    """Write against a limit on the size of files until the store refuses; then lift the limit and go on."""
    store = open_store(path)
    head = (await store.commit(starting("r"))).head
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
    try:
        for _ in range(100):
            head = (await store.commit(stepping("r", head, b"." * 50_000))).head
            say("ack", head.revision)
    except StoreError as error:
        say("refused", error.code, error.reason)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    head = (await store.commit(stepping("r", head))).head
    say("ack", head.revision)
    await store.close()


async def intrude(path):
    """Write into a file that this user may only read."""
    if os.geteuid() == 0:
        os.setuid(65534)
    try:
        store = open_store(path)
        await store.commit(starting("r2"))
        say("stored")
    except StoreError as error:
        say(error.code, getattr(error, "reason", "-"))


def main():
    role, path, *args = sys.argv[1:]
    roles = {"walk": lambda: walk(Path(path), int(args[0])), "race": lambda: race(Path(path), *args)}
    roles |= {"outgrow": lambda: outgrow(Path(path)), "intrude": lambda: intrude(Path(path))}
    with contextlib.suppress(BrokenPipeError):
        if role in roles:
            asyncio.run(roles[role]())
        else:
            {"hold": hold, "lock": lock}[role](Path(path))


if __name__ == "__main__":
    main()
