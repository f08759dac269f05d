"""Walk many steps through one process, or one run through an hour, and fail if anything grows that should not.

usage: ./dev soak [--steps N] [--at-once N] [--folder DIR]
       ./dev soak --hour [--minutes N]

The first walks N steps (200,000) of runs of a hundred steps each, several at once, through a project that is opened as `treadle mcp` opens it: its
own SQLite file, serving, the change feed followed. It prints memory, descriptors, threads and the sizes of the files every 10,000 steps. What the
history takes on disk is meant to grow, evenly; the log beside it, memory, descriptors and threads are not.

The second starts one run that takes an hour of real time, with a wait and an answer each minute, and prints the same each ten minutes.
"""

import argparse
import asyncio
import gc
import os
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from treadle.compose import OpenProject, locate, open_project
from treadle.core.events import Caller
from treadle.engine.embedded.connection import LOG_LIMIT_BYTES
from treadle.ports import RunMeta

AGENT: Final = Caller(kind="agent", name="soak")
STEPS_OF_RUN: Final = 100
ROW_STEPS: Final = 10_000
WARM_ROWS: Final = 5
"""Rows before which caches still fill: memory is compared with what it was then."""
MEMORY_GROWTH_MAX: Final = 0.10
MEMORY_SLACK_BYTES: Final = 4 << 20
DISK_GROWTH_MAX: Final = 0.15
WALK: Final = """\
name: soak
initial_state: {last: ""}
steps:
  - id: each
    type: foreach
    items: "{{ range(%d) | list }}"
    sequential: true
    do:
      - id: work
        delegate: "Number {{ item }}"
      - set_state: {last: "{{ steps.work.result }}"}
  - return: "{{ state.last }}"
"""
HOUR: Final = """\
name: hour
initial_state: {count: 0}
steps:
  - id: each
    type: foreach
    items: "{{ range(%d) | list }}"
    sequential: true
    do:
      - wait: 58s
      - id: work
        delegate: "Minute {{ item }}"
      - set_state: {count: "{{ state.count + 1 }}"}
  - return: "{{ state.count }}"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What this process and its files took at one moment."""

    steps: int
    seconds: float
    rss_bytes: int
    descriptors: int
    threads: int
    file_bytes: int
    log_bytes: int
    others: int

    def told(self) -> str:
        """Give it as a line of the table."""
        mib = 1 << 20
        return (
            f"{self.steps:>9,} {self.seconds:>8.0f} {self.rss_bytes / mib:>9.1f} {self.descriptors:>6} {self.threads:>8} "
            f"{self.file_bytes / mib:>9.1f} {self.log_bytes / mib:>8.1f} {self.others:>12}"
        )


TITLE: Final = f"{'steps':>9} {'seconds':>8} {'RSS MiB':>9} {'open':>6} {'threads':>8} {'file MiB':>9} {'log MiB':>8} {'other files':>12}"


def measured(store_dir: Path, steps: int, began_s: float) -> Row:
    """Measure this process; Linux only, as it reads /proc."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    sizes = {path.name: path.stat().st_size for path in store_dir.rglob("*") if path.is_file()}
    return Row(
        steps=steps, seconds=time.monotonic() - began_s, rss_bytes=pages * os.sysconf("SC_PAGE_SIZE"),
        descriptors=sum(1 for _ in Path("/proc/self/fd").iterdir()) - 1, threads=threading.active_count(), file_bytes=sizes.pop("treadle.db", 0),
        log_bytes=sizes.pop("treadle.db-wal", 0), others=len(sizes),
    )  # fmt: skip


def faults(rows: Sequence[Row]) -> list[str]:
    """Say what has grown that should not, comparing the end with the rows after the caches were full."""
    if len(rows) < WARM_ROWS + 2:
        return []
    warm, last = rows[WARM_ROWS - 1], rows[-1]
    found: list[str] = []
    if last.rss_bytes > warm.rss_bytes * (1 + MEMORY_GROWTH_MAX) + MEMORY_SLACK_BYTES:
        found.append(f"memory grew from {warm.rss_bytes >> 20} to {last.rss_bytes >> 20} MiB")
    counts = [(name, getattr(warm, name), getattr(last, name)) for name in ("descriptors", "threads", "others")]
    found.extend(f"{name} grew from {before} to {after}" for name, before, after in counts if after > before)
    if max(row.log_bytes for row in rows) > LOG_LIMIT_BYTES:
        found.append("the log beside the file passed its limit")
    middle = rows[(WARM_ROWS + len(rows)) // 2]
    early = (middle.file_bytes - warm.file_bytes) / (middle.steps - warm.steps)
    late = (last.file_bytes - middle.file_bytes) / (last.steps - middle.steps)
    if late > early * (1 + DISK_GROWTH_MAX):
        found.append(f"a step took {late:.0f} bytes on disk at the end, {early:.0f} before")
    return found


async def walked(opened: OpenProject, name: str, count: "list[int]") -> str:
    """Start a run and answer whatever it asks, to its end; gives its status."""
    definition = opened.load(name).require()
    offer = await opened.service.start(definition, {}, AGENT, RunMeta(workflow=definition.name))
    run_id = offer.run.run_id
    while offer.kind != "ended":
        if offer.kind != "action":
            offer = await opened.service.next_step(run_id, AGENT, wait_ms=70_000)
            continue
        if offer.action is None:
            raise SystemExit(f"an action was offered and is not there: {offer}")
        offer = await opened.service.submit(run_id, offer.action.id, offer.action.attempt, AGENT, value="done")
        if offer.refusal is not None:
            raise SystemExit(f"an answer was refused: {offer.refusal}")
        count[0] += 1
    return offer.run.status


async def follow(opened: OpenProject, seen: "list[int]") -> None:
    """Follow the change feed, as a screen does."""
    async for _ in opened.engine.changes(urgent=False):
        seen[0] += 1


async def soak(folder: Path, steps: int, at_once: int) -> list[Row]:
    """Walk runs until that many steps were made."""
    (folder / "workflows" / "soak.yaml").write_text(WALK % STEPS_OF_RUN, encoding="utf-8")
    began_s, rows, count, seen = time.monotonic(), list[Row](), [0], [0]
    async with open_project(locate(folder, {}), serve=True, what="soak") as opened:
        following = asyncio.create_task(follow(opened, seen))
        store_dir = opened.settings.project.store_dir

        async def worker() -> None:
            while count[0] < steps:
                if await walked(opened, "soak", count) != "completed":
                    raise SystemExit("a run did not complete")
                if count[0] >= (len(rows) + 1) * ROW_STEPS:
                    rows.append(measured(store_dir, count[0], began_s))
                    print(rows[-1].told(), flush=True)

        await asyncio.gather(*(worker() for _ in range(at_once)))
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    print(f"{count[0] / (time.monotonic() - began_s):,.0f} steps/s; the feed told of {seen[0]:,} changes")
    return rows


async def hour(folder: Path, minutes: int) -> list[Row]:
    """Walk one run that takes that many minutes."""
    (folder / "workflows" / "hour.yaml").write_text(HOUR % minutes, encoding="utf-8")
    began_s, rows, count = time.monotonic(), list[Row](), [0]
    async with open_project(locate(folder, {}), serve=True, what="soak") as opened:
        walking = asyncio.create_task(walked(opened, "hour", count))
        while not walking.done():
            await asyncio.wait({walking}, timeout=600 if minutes >= 20 else 30)
            rows.append(measured(opened.settings.project.store_dir, count[0], began_s))
            print(rows[-1].told(), flush=True)
        status = await walking
    print(f"{status} after {(time.monotonic() - began_s) / 60:.1f} minutes and {count[0]} answers")
    if status != "completed" or count[0] != minutes:
        raise SystemExit(1)
    return rows


def main() -> int:
    """Run; gives 1 if something grew."""
    parser = argparse.ArgumentParser(prog="./dev soak", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, default=200_000)
    parser.add_argument("--at-once", type=int, default=10, help="runs that are walked at once")
    parser.add_argument("--hour", action="store_true", help="one run that takes an hour of real time")
    parser.add_argument("--minutes", type=int, default=60, help="how long that run takes instead")
    parser.add_argument("--folder", type=Path, help="where the project is made (a new folder; default: a temporary one)")
    given = parser.parse_args()
    if given.folder is not None:
        given.folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory(dir=given.folder) as made:
        folder = Path(made)
        (folder / "workflows").mkdir()
        (folder / ".treadle").mkdir(mode=0o700)
        print(TITLE, flush=True)
        rows = asyncio.run(hour(folder, given.minutes) if given.hour else soak(folder, given.steps, given.at_once))
    found = faults(rows) if not given.hour else []
    for fault in found:
        print(f"grew: {fault}")
    if not found:
        print("nothing grew that should not")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
