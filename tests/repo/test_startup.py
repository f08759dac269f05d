"""`treadle --help` stays light: asking for help must not load what only a run needs (issue 3 §1)."""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

HELP_TO_EMPTY_MAX = 3
ROUNDS = 9
TRIES = 3
HEAVY = {"mcp", "pydantic", "jinja2", "yaml"}
TREADLE = str(Path(sys.executable).with_name("treadle"))
SHOW_MODULES = """
import json, sys
from treadle.cli.main import main
sys.argv = ["treadle", "--help"]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def seconds(command):
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def ratio():
    """Medians of interleaved starts, so that both see the same weather."""
    empty, asked = [], []
    for _ in range(ROUNDS):
        empty.append(seconds([sys.executable, "-c", "pass"]))
        asked.append(seconds([TREADLE, "--help"]))
    return statistics.median(asked) / statistics.median(empty)


def test_help_starts_within_three_times_an_empty_python():
    seconds([TREADLE, "--help"])  # once unmeasured: writes the bytecode
    measured = []
    while len(measured) < TRIES and (not measured or min(measured) > HELP_TO_EMPTY_MAX):
        measured.append(ratio())
    assert min(measured) <= HELP_TO_EMPTY_MAX, measured


def test_help_imports_none_of_the_heavy_libraries():
    done = subprocess.run([sys.executable, "-c", SHOW_MODULES], check=True, capture_output=True, text=True)
    modules = json.loads(done.stderr.splitlines()[-1])
    assert "treadle.cli.main" in modules
    assert {name.partition(".")[0] for name in modules} & HEAVY == set()
