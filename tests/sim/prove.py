"""Proving the oracles: how many seeds it takes to catch a mutant, and whether two processes see the same."""

import os
import random
import subprocess
import sys
from pathlib import Path

from tests.sim.driver import Sim
from tests.sim.mutants_whole import MUTANTS
from tests.sim.oracles import Violation

ROOT = Path(__file__).parents[2]


def caught(name: str, most: int) -> tuple[str, int] | None:
    """Give the oracle that catches a mutant and after how many seeds; None if none does."""
    with MUTANTS[name]():
        for seed in range(most):
            try:
                Sim(random.Random(seed), deep=seed % 8 == 0).run()
            except Violation as violation:
                return violation.oracle, seed + 1
    return None


def differs_between_processes(count: int, mutant: str | None = None) -> bool:
    """Run the same seeds in two processes that hash differently, and compare what happened."""
    more = ["--mutant", mutant] if mutant else []
    children = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.sim", str(count), "--digest", *more],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for hash_seed in ("1", "2")
    ]
    outputs = [child.communicate(timeout=120)[0].strip() for child in children]
    if any(child.returncode for child in children) or not all(len(out) == 64 for out in outputs):
        raise RuntimeError(f"a child failed: {outputs}")
    return outputs[0] != outputs[1]
