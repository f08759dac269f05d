"""Fixtures: a store on a real file, and child processes on the same one."""

import subprocess
import sys
from pathlib import Path

import pytest

from treadle.engine.embedded.store import open_store

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path):
    return tmp_path / ".treadle" / "treadle.db"


@pytest.fixture
async def store(path):
    opened = open_store(path)
    yield opened
    await opened.close()


@pytest.fixture
def child(path):
    """`child("hold")` starts tests/store/children.py on the same file; it is killed at the end if it still runs."""
    started = []

    def start(role, *args, fault="", at=path):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.store.children", role, str(at), *map(str, args)],
            cwd=ROOT,
            env={"PATH": "", "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "TREADLE_FAULT": fault},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
