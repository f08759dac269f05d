"""Run the benchmarks and print their tables.

usage: ./dev bench [SECTION...] [--rounds N]

Sections: steps, many, long, waiting, checking, expressions; without one all are run.

Every figure is a median over rounds, and every one that matters is a ratio to the floor that was measured in the same round: a hand-written
loop of one raw SQLite transaction per step, one event row and one action row of the same size, `synchronous=FULL`. Checking a file is
compared with reading the plain events of its YAML, an expression with Jinja's own native templates.
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import checking, expressions, floor, long, many, steps, waiting

SIZES = {"small result": 20, "10 kB result": 10_000}
EVENT_BYTES = 300  # what an answer's event takes beside its value


def main() -> None:
    parser = argparse.ArgumentParser(prog="./dev bench", description="Measure the engine against its floor.")
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)}; all by default")
    parser.add_argument("--rounds", type=int, default=5)
    wanted = parser.parse_args()
    unknown = [name for name in wanted.sections if name not in SECTIONS]
    if unknown:
        parser.error(f"there is no section {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    for name in wanted.sections or SECTIONS:
        SECTIONS[name](wanted.rounds)


def stepped(rounds: int, count: int = 200) -> None:
    """Print what a step and a start cost beside the floor."""
    print(f"{rounds} rounds of {count} steps on the embedded engine; medians in ms")
    print(f"{'':14}{'floor p50':>10}{'step p50':>10}{'ratio':>7}{'step p99':>10}{'start':>8}{'ratio':>7}")
    for name, size in SIZES.items():
        measured = [one_round(count, size) for _ in range(rounds)]
        base, step, p99, start = (statistics.median(column) for column in zip(*measured, strict=True))
        print(f"{name:14}{base:10.3f}{step:10.3f}{step / base:7.2f}{p99:10.3f}{start:8.3f}{start / base:7.2f}")


def one_round(count: int, size: int) -> tuple[float, float, float, float]:
    with tempfile.TemporaryDirectory() as folder:
        raw = floor.Floor(Path(folder) / "floor.db", size + EVENT_BYTES)
        base_ms = floor.percentile_us(floor.timed(count, raw.step), 0.5) / 1000
        raw.close()
    walk = steps.measure(count, {"text": "x" * size})
    return base_ms, steps.p50(walk.step_ms), steps.percentile(walk.step_ms, 0.99), walk.start_ms


SECTIONS: dict[str, Callable[[int], None]] = {
    "steps": stepped, "many": many.table, "long": long.table, "waiting": waiting.table,
    "checking": checking.table, "expressions": expressions.table,
}  # fmt: skip


if __name__ == "__main__":
    main()
