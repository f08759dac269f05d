"""The simulator from the command line.

usage: python -m tests.sim [N] [--seed S] [--deep]     N whole runs from seed S; the exit code is 1 if one failed
       python -m tests.sim --mutants [N]               every mutant, at most N seeds each
       python -m tests.sim --stores N [--seed S]       N plays over the real storages; with --mutants, every mutant of them, at most N seeds each
       python -m tests.sim --digest N [--mutant NAME]  one digest over everything that N runs did

Failing seeds are added to tests/sim/seeds.txt and run again by tests/sim/test_sim.py for ever.
"""

import argparse
import contextlib
import hashlib
import random
import re
import time
from collections import Counter
from pathlib import Path

from tests.sim.driver import Sim
from tests.sim.mutants_whole import MUTANTS
from tests.sim.oracles import Violation
from tests.sim.prove import caught, differs_between_processes
from tests.store import mutants as store_mutants
from tests.store import player
from treadle.core import codec

SEEDS = Path(__file__).with_name("seeds.txt")
DEEP_EVERY = 32
_INDEX = re.compile(r"[\w./\[\]~]*\d[\w./\[\]~]*")
SHOWN_MAX = 10
HASHED = 200


def run_many(count: int, first: int, *, deep: bool) -> int:
    began = time.process_time()  # of this core alone, whoever else is at work
    endings: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    events, failing = 0, []
    for seed in range(first, first + count):
        try:
            sim = Sim(random.Random(seed), deep=deep or seed % DEEP_EVERY == 0).run()
        except Violation as violation:
            failing.append(seed)
            reasons[_INDEX.sub("", str(violation))[:70]] += 1
            if len(failing) <= SHOWN_MAX:
                print(f"seed {seed}: {violation}")
        else:
            endings[sim.state.status] += 1
            events += len(sim.store.log)
    seconds = time.process_time() - began
    print(f"{count} runs, {events} events, {count / seconds:.0f} runs/s; {dict(endings.most_common())}")
    if failing:
        print(dict(reasons.most_common(12)))
        keep(failing[:SHOWN_MAX])
        print(
            f"failing seeds: {failing[:SHOWN_MAX]} of {len(failing)} (kept in {SEEDS.name}; again: python -m tests.sim 1 --seed {failing[0]} --deep)"
        )
    return 1 if failing else 0


def keep(failing: list[int]) -> None:
    known = SEEDS.read_text(encoding="utf-8").splitlines()
    SEEDS.write_text("\n".join([*known, *(str(seed) for seed in failing if str(seed) not in known)]) + "\n", encoding="utf-8")


def run_mutants(most: int) -> int:
    missed = 0
    print(f"{'mutant':<38}{'oracle':<14}seeds")
    for name in MUTANTS:
        if name == "set_order":
            found = ("hash seeds", HASHED) if differs_between_processes(HASHED, name) else None
        else:
            found = caught(name, most)
        missed += found is None
        print(f"{name:<38}{found[0]:<14}{found[1]}" if found else f"{name:<38}NOT CAUGHT in {most} seeds")
    return 1 if missed else 0


def run_stores(count: int, first: int) -> int:
    """Play over the memory storage and a file."""
    began, failing, crashes = time.monotonic(), [], 0
    for seed in range(first, first + count):
        try:
            crashes += player.play(seed).crashes
        except Violation as violation:
            failing.append(seed)
            print(f"seed {seed}: {str(violation)[:400]}")
    print(
        f"{count} plays, {crashes} crashes in the middle of something, {time.monotonic() - began:.0f} s; failing seeds: {failing or 'none'}"
    )
    return 1 if failing else 0


def run_store_mutants(most: int) -> int:
    missed = 0
    print("| Mutant | What is wrong | Found by | Seeds |\n|---|---|---|---|")
    for mutant in store_mutants.MUTANTS:
        found = store_mutants.caught(mutant.name, most)
        missed += found is None
        print(f"| `{mutant.name}` | {mutant.what} | {found[0] if found else 'NOT CAUGHT'} | {found[1] if found else most} |", flush=True)
    return 1 if missed else 0


def digest(count: int, mutant: str | None) -> str:
    """Digest everything that happened in some runs; violations are part of it."""
    whole = hashlib.sha256()
    with MUTANTS[mutant]() if mutant else contextlib.nullcontext():
        for seed in range(count):
            sim = Sim(random.Random(seed), trace=True)
            whole.update(codec.dumps(sim.drawn.definition))
            try:
                sim.run()
            except Violation as violation:
                whole.update(violation.oracle.encode())
            whole.update(sim.trace.digest())
    return whole.hexdigest()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", nargs="?", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--deep", action="store_true", help="the dear oracles on every run, not on every thirty-second")
    parser.add_argument("--mutants", action="store_true")
    parser.add_argument("--stores", action="store_true", help="the real storages, under the player of tests/store")
    parser.add_argument("--digest", action="store_true")
    parser.add_argument("--mutant", choices=list(MUTANTS))
    args = parser.parse_args()
    if args.digest:
        print(digest(args.count, args.mutant))
        return 0
    if args.stores:
        return run_store_mutants(args.count) if args.mutants else run_stores(args.count, args.seed)
    if args.mutants:
        return run_mutants(args.count)
    return run_many(args.count, args.seed, deep=args.deep)


if __name__ == "__main__":
    raise SystemExit(main())
