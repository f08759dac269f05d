"""The hash chain through a run's events (ruling 39).

Each event row holds `prev`, the link of the row before it; the run row holds `head`, the link of its last event. The
first link is derived from the run's id, so rows cannot be moved between runs unseen. This finds accidents and careless
edits. Whoever can write the file can also compute a chain again: only signatures resist a forger.
"""

import hashlib
from collections.abc import Iterable


def first_link(run: str) -> bytes:
    """Give the link that stands before a run's first event."""
    return hashlib.sha256(b"treadle-run\0" + run.encode()).digest()


def next_link(prev: bytes, rev: int, body: bytes) -> bytes:
    """Give the link after an event; `prev` has a fixed length, so the parts cannot run into one another."""
    return hashlib.sha256(b"%b%d\0%b" % (prev, rev, body)).digest()


def first_break(run: str, events: Iterable[tuple[int, bytes, bytes]], head: bytes) -> str | None:
    """Check (rev, prev, body) rows in order of `rev`; say in words where the chain first breaks, None if it holds."""
    link, rev = first_link(run), 0
    for found_rev, prev, body in events:
        if found_rev != rev + 1:
            return f"event {rev + 1} is missing (the next one stored is {found_rev})"
        if prev != link:
            return f"event {found_rev} does not follow from event {rev}: one of them, or its place, was changed"
        link, rev = next_link(prev, found_rev, body), found_rev
    if link != head:
        return f"the run's row does not match its last event ({rev}): the event was changed, or later ones are missing"
    return None
