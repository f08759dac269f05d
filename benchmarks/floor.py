"""The floor, and how far the store lies above it: `python -m benchmarks.floor [--rounds N] [--steps N]`.

The floor is a hand-written loop of one SQLite transaction per step (WAL, synchronous=FULL): one event row and one action
row of the same size. The store does the same step with its fence, hash chain, closed action, lease, turnstile and
high-water mark. Rounds of both are interleaved on the same disk; figures are medians over the rounds.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import apsw

from treadle.engine.embedded.records import ActionRow, Committed, DefinitionRow, Head, NewRun, Write
from treadle.engine.embedded.store import Store, open_store

DIGEST = "d" * 64
MICRO = 1e6


class Floor:
    """One raw transaction per step on a file of its own."""

    def __init__(self, path: Path, body_bytes: int) -> None:
        self._db = apsw.Connection(str(path))
        for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL"):
            self._db.execute(statement)
        self._db.execute("CREATE TABLE event (seq INTEGER PRIMARY KEY, run TEXT, rev INTEGER, body BLOB) STRICT")
        self._db.execute("CREATE TABLE action (n INTEGER PRIMARY KEY, run TEXT, id TEXT, status TEXT, params BLOB) STRICT")
        self._body = b"x" * body_bytes
        self._rev = 0

    def step(self) -> None:
        """Make one event and one action durable."""
        self._rev += 1
        execute = self._db.execute
        execute("BEGIN IMMEDIATE")
        execute("INSERT INTO event (run, rev, body) VALUES (?, ?, ?)", ("run-00000001", self._rev, self._body))
        execute(
            "INSERT INTO action (run, id, status, params) VALUES (?, ?, ?, ?)",
            ("run-00000001", f"step[{self._rev}]", "open", self._body),
        )
        execute("COMMIT")

    def close(self) -> None:
        self._db.close()


def starting(run: str, body: bytes) -> Write:
    """A run's first write, as an engine makes it."""
    new = NewRun(
        name="bench:steps",
        definition=DIGEST,
        semantics=1,
        status="waiting",
        now_ms=1,
        created_ms=1,
        title="A title of some length",
        words="what the run is about",
    )
    definitions = (DefinitionRow(digest=DIGEST, body=b"{}"),)
    return Write(run=run, start=new, definitions=definitions, events=(body,), opened=(_claimed(0, body),))


def stepping(run: str, head: Head, body: bytes) -> Write:
    """The step after `head`: one event, the open action closed, the next one opened and claimed."""
    here = head.revision
    return Write(
        run=run,
        expected=head,
        events=(body,),
        fields={"now_ms": here, "updated_ms": here},
        closed=(f"step[{here - 1}]",),
        opened=(_claimed(here, body),),
    )


def _claimed(number: int, body: bytes) -> ActionRow:
    return ActionRow(
        id=f"step[{number}]",
        status="claimed",
        kind="delegate",
        performer="agent",
        opened_ms=number,
        attempt=1,
        holder="bench",
        lease_until_ms=number + 300_000,
        params=body,
    )


async def committed(store: Store, write: Write) -> Head:
    outcome = await store.commit(write)
    if not isinstance(outcome, Committed):
        raise SystemExit(f"the store did not commit: {outcome}")
    return outcome.head


def percentile_us(taken_s: list[float], share: float) -> float:
    return sorted(taken_s)[min(len(taken_s) - 1, int(len(taken_s) * share))] * MICRO


def timed(count: int, step: Callable[[], None]) -> list[float]:
    taken_s: list[float] = []
    for _ in range(count):
        began_s = time.perf_counter()
        step()
        taken_s.append(time.perf_counter() - began_s)
    return taken_s


async def store_steps(store: Store, run: str, body: bytes, count: int) -> list[float]:
    head = await committed(store, starting(run, body))
    taken_s: list[float] = []
    for _ in range(count):
        write = stepping(run, head, body)
        began_s = time.perf_counter()
        head = await committed(store, write)
        taken_s.append(time.perf_counter() - began_s)
    return taken_s


async def store_starts(store: Store, prefix: str, body: bytes, count: int) -> list[float]:
    taken_s: list[float] = []
    for number in range(count):
        write = starting(f"{prefix}-{number}", body)
        began_s = time.perf_counter()
        await committed(store, write)
        taken_s.append(time.perf_counter() - began_s)
    return taken_s


async def together(store: Store, prefix: str, runs: int, steps: int) -> float:
    """Walk many runs at once; steps per second."""
    body = b"x" * 300

    async def one(run: str) -> None:
        head = await committed(store, starting(run, body))
        for _ in range(steps):
            head = await committed(store, stepping(run, head, body))

    began_s = time.perf_counter()
    await asyncio.gather(*(one(f"{prefix}-{number}") for number in range(runs)))
    return runs * steps / (time.perf_counter() - began_s)


async def measure(folder: Path, rounds: int, steps: int) -> None:
    store = open_store(folder / "store" / "treadle.db")
    rows: dict[str, list[tuple[list[float], list[float]]]] = {}
    rates: list[float] = []
    for number in range(rounds):
        for size, label in ((300, "step, 300 B"), (10_000, "step, 10 kB")):
            floor = Floor(folder / f"floor-{number}-{size}.db", size)
            beneath = timed(steps, floor.step)
            floor.close()
            above = await store_steps(store, f"{label}-{number}", b"x" * size, steps)
            rows.setdefault(label, []).append((beneath, above))
            if size == 300:
                starts = await store_starts(store, f"start-{number}", b"x" * size, steps // 3)
                rows.setdefault("start, 300 B", []).append((beneath, starts))
        rates.append(await together(store, f"together-{number}", 1000, 5))
    await store.close()
    show(rows, rates)


def show(rows: dict[str, list[tuple[list[float], list[float]]]], rates: list[float]) -> None:
    print("| what | floor p50 / p95 µs | store p50 / p95 / p99 µs | p50 ratio | p95 ratio |")
    print("|---|---|---|---|---|")
    for label, pairs in rows.items():
        low = [statistics.median(percentile_us(beneath, share) for beneath, _ in pairs) for share in (0.5, 0.95)]
        high = [statistics.median(percentile_us(above, share) for _, above in pairs) for share in (0.5, 0.95, 0.99)]
        below, ours = " / ".join(f"{value:.0f}" for value in low), " / ".join(f"{value:.0f}" for value in high)
        print(f"| {label} | {below} | {ours} | {high[0] / low[0]:.2f} | {high[1] / low[1]:.2f} |")
    print(f"\n1,000 runs x 5 steps at once: {statistics.median(rates):,.0f} steps/s in one process")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:  # on the disk of the checkout, not in a memory file system
        asyncio.run(measure(Path(folder), given.rounds, given.steps))


if __name__ == "__main__":
    main()
