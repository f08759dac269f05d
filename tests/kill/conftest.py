"""Child processes of their own, ended by their own ids."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


class Child:
    """A process that keeps its own record of what it was told."""

    def __init__(self, role, folder, fault):
        environ = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"}
        if fault:
            environ["TREADLE_FAULT"] = fault
        command = [sys.executable, "-m", "tests.kill.child", role, str(folder)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environ)

    def told(self):
        """The next line of its record."""
        return json.loads(self.process.stdout.readline())

    def ended(self):
        """Its whole record, once it is over, and how it ended."""
        out, _ = self.process.communicate(timeout=30)
        return [json.loads(line) for line in out.splitlines() if line.endswith("}")], self.process.returncode

    def kill(self):
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def child(tmp_path):
    """`child(role)` starts one on this test's folder; `fault` names where it dies."""
    children = []

    def start(role, fault=None):
        children.append(Child(role, tmp_path, fault))
        return children[-1]

    yield start
    for each in children:
        if each.process.poll() is None:
            each.kill()
