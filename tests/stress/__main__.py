"""`./dev stress [--runs N] [--seconds S] [--seed N]`: four processes on one file, one of them killed every second, and an independent check."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.stress.play import play


def main() -> None:
    parser = argparse.ArgumentParser(prog="./dev stress", description=__doc__)
    parser.add_argument("--runs", type=int, default=2_000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory() as base:
        found, scene, driver = play(Path(base), runs=wanted.runs, seconds=wanted.seconds, seed=wanted.seed)
    killed = ", ".join(f"{name} {count}" for name, count in sorted(scene.killed.items()))
    print(
        f"{wanted.runs:,} runs in {time.monotonic() - began_s:.0f} s; killed with -9: {killed or 'none'}; calls asked again: {driver.asked_again}"
    )
    print(
        f"runs: {dict(found.runs)}; acknowledged: {found.answers:,}; effects: {found.effects:,}; attempts shown as lost in: {found.unknown}"
    )
    for fault in found.faults[:20]:
        print(f"FAULT {fault}")
    print("no disagreement" if not found.faults else f"{len(found.faults)} disagreements")
    sys.exit(bool(found.faults))


if __name__ == "__main__":
    main()
