"""What the tests of pruning and backups run in processes of their own: `python -m tests.store.keeping_child ROLE STORE [ARGS]`."""

import asyncio
import os
import resource
import sys
import time
from pathlib import Path

from tests.store.build import starting, stepping
from treadle.engine.embedded import backup, pruning
from treadle.engine.embedded.blobs import Blobs
from treadle.engine.embedded.errors import StoreError
from treadle.engine.embedded.records import BlobRow
from treadle.engine.embedded.store import open_store

MOVED = b'"RunMigrated"'


def say(*words):
    print(*words, flush=True)


def prune(path, runs):
    """Take runs away, so little at once that every part takes several turns, and with no respect for the young."""
    pruning.TURN_S, pruning.EVENTS_AT_ONCE, pruning.YOUNG_S, pruning.FILES_AT_ONCE = -1.0, 3, -1.0, 2
    pruner = pruning.Pruner(path, Blobs(path.with_name("blobs")), lambda *_: None)
    done = pruner.prune(
        [(run, int(rev)) for run, _, rev in (each.partition(":") for each in runs)], before_each=lambda _: None, moved_word=MOVED
    )
    pruner.close()
    say("done", done.runs, done.events, done.definitions, done.blobs, *done.left)


async def write(path, run, seconds):
    """Step a run as fast as possible, each step with a value, every other one of the same bytes as the one before; say what was acknowledged."""
    store = open_store(path)
    head = (await store.commit(starting(run))).head
    say("ready")
    longest_s, until_s = 0.0, time.monotonic() + float(seconds)
    while time.monotonic() < until_s:
        value = f"{head.revision // 2}".encode() * 1000
        digest = store.blobs.put(value)
        blob = BlobRow(digest=digest, size_bytes=len(value), created_ms=1)
        began_s = time.monotonic()
        head = (await store.commit(stepping(run, head, b"x" * 2000, blobs=(blob,)))).head
        longest_s = max(longest_s, time.monotonic() - began_s)
        say("ack", run, head.revision)
    await store.close()
    say("longest_ms", round(longest_s * 1000))


def restore(path, source):
    """Put a backup in the place of a store."""
    with backup.staged(path) as folder:
        done = backup.replace_store(path, folder, backup.unpack(Path(source), folder, lambda *_: None))
    say("done", done.manifest.last_seq)


def limited(path, target, most):
    """Make a backup where files may not grow beyond a size; say what came of it."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(most), int(most)))
    try:
        backup.make_backup(path, Path(target), lambda *_: None)
        say("made")
    except StoreError as error:
        say("refused", error.code)


def main():
    role, path, *args = sys.argv[1:]
    if role == "limited":
        limited(Path(path), *args)
    elif role == "restore":
        restore(Path(path), *args)
    elif role == "prune":
        prune(Path(path), args)
    else:
        asyncio.run(write(Path(path), *args))


if __name__ == "__main__":
    assert os.environ["PATH"] == ""
    main()
