"""Stress: processes on one file that are killed at random, and clients that write down what they were told.

Two workers perform effects, an MCP server is driven over its pipes, the command line approves. Every second one of them is killed with -9 and
started again. A client asks again where it got no answer, as a real one would; it writes a reply down only when it has it. At the end nothing
is killed any more, and all that can end must end; then `check.py` compares.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.cli.support import TREADLE, Project
from tests.mcpserver.processes import OURS, Process
from tests.stress.check import Found, check

WORKFLOW = """\
name: stress
inputs: {key: {type: string, required: true}, person: {type: boolean, default: false}}
steps:
  - id: ask
    delegate: "Say something about {{ inputs.key }}"
  - id: pay
    function: pay
    parameters: {key: "{{ inputs.key }}"}
    effect: write
  - id: look
    delegate: "Say what was paid: {{ steps.pay.result.paid }}"
  - id: gate
    when: "{{ inputs.person }}"
    approve: "{{ steps.look.result }}"
  - return: {asked: "{{ steps.ask.result }}", looked: "{{ steps.look.result }}"}
"""
LEDGER = '''\
import os
import time
from treadle.functions import function

@function(version="1")
def pay(key: str) -> dict:
    """Write a payment down, on the disk."""
    with open(os.environ["STRESS_LEDGER"], "a") as ledger:
        ledger.write(key + "\\n")
        ledger.flush()
        os.fsync(ledger.fileno())
    time.sleep(0.02)  # it is done, and nobody has said so yet: the moment in which a kill hurts
    return {"paid": key}
'''
OPEN_AT_ONCE = 40
PERSON_EVERY = 40
DRAIN_S = 120.0


class LostError(Exception):
    """The process on the other end is gone; what was asked of it may have happened or not."""


@dataclass
class Scene:
    """A project, its processes, and what the clients wrote down."""

    project: Project
    seed: int
    killed: dict[str, int] = field(default_factory=dict[str, int])
    processes: dict[str, "subprocess.Popen[Any]"] = field(default_factory=dict[str, "subprocess.Popen[Any]"])
    to_approve: deque[str] = field(default_factory=deque[str])
    stop: threading.Event = field(default_factory=threading.Event)
    calm: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def clients(self) -> Path:
        return self.project.home / "clients.jsonl"

    @property
    def ledger(self) -> Path:
        return self.project.home / "ledger"

    @property
    def environment(self) -> dict[str, str]:
        return self.project.environment | {"STRESS_LEDGER": str(self.ledger), "CLAUDE_PROJECT_DIR": str(self.project.folder)}

    def note(self, **reply: object) -> None:
        """Write a reply down."""
        with self.lock, self.clients.open("a", encoding="utf-8") as log:
            log.write(json.dumps(reply) + "\n")

    def keep_worker(self, name: str) -> None:
        """Keep a worker running until the end."""
        while not self.stop.is_set():
            worker = subprocess.Popen(
                [sys.executable, "-m", "tests.stress.worker"], cwd=self.project.folder, env=self.environment | {"PYTHONPATH": _paths()},
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
            assert worker.stdout is not None
            worker.stdout.readline()
            self.processes[name] = worker
            while worker.poll() is None and not self.stop.wait(0.05):
                pass
            if worker.poll() is None:
                worker.terminate()
            _, said = worker.communicate()
            if worker.returncode not in {-signal.SIGKILL, -signal.SIGTERM}:
                raise AssertionError(f"{name} ended with {worker.returncode}: {said}")

    def approve_by_command(self) -> None:
        """Approve what waits for a person, by the command line."""
        while not (self.stop.is_set() and not self.to_approve):
            if not self.to_approve:
                time.sleep(0.05)
                continue
            run = self.to_approve.popleft()
            command = subprocess.Popen(
                [*TREADLE, "approve", run, "--yes", "--json"], cwd=self.project.folder, env=self.environment, text=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
            self.processes["command"] = command
            out, said = command.communicate()
            if command.returncode == 0:
                if not json.loads(out)["duplicate"]:
                    self.note(what="approved", run=run, action="gate")
            elif "not waiting" not in said and "no gate" not in said and "nothing" not in said:
                self.to_approve.append(run)

    def kill_some(self) -> None:
        """Kill one of them every second."""
        chance = random.Random(self.seed)
        while not self.calm.wait(1.0):
            name = chance.choice(["worker-1", "worker-2", "server", "command"])
            process = self.processes.get(name)
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGKILL)
                self.killed[name] = self.killed.get(name, 0) + 1


class Driver:
    """The client of the MCP server: carries many runs on, one call at a time."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.process: Process | None = None
        self.open: dict[str, str] = {}
        self.started: list[str] = []
        self.unknown: set[str] = set()
        self.asked_again = 0

    def call(self, tool: str, **arguments: object) -> dict[str, Any]:
        """Call a tool; raises LostError if the server is gone before it has answered."""
        try:
            if self.process is None:
                self.process = Process(OURS, self.scene.environment | {"CLAUDE_CODE_SESSION_ID": "stress"}, self.scene.project.folder)
                self.scene.processes["server"] = self.process.popen
                self.process.greet()
            return self.process.tool(tool, **arguments)
        except (OSError, AssertionError, ValueError) as error:
            if self.process is None:
                raise
            try:
                self.process.popen.wait(1.0)  # a pipe ends a moment before its process is reaped
            except subprocess.TimeoutExpired:
                raise error from None
            self.let_go()
            self.asked_again += 1
            raise LostError from error

    def let_go(self) -> None:
        """Close the pipes of a process that is gone."""
        process, self.process = self.process, None
        for stream in (process.popen.stdin, process.popen.stdout, process.popen.stderr) if process is not None else ():
            with contextlib.suppress(OSError):
                stream.close()  # type: ignore[union-attr] # all three are pipes

    def insist(self, tool: str, **arguments: object) -> dict[str, Any]:
        """Call until there is an answer: a repeated call is taken once."""
        while True:
            with contextlib.suppress(LostError):
                return self.call(tool, **arguments)

    def start(self, number: int) -> None:
        key = f"k{number}"
        inputs = {"key": key, "person": number % PERSON_EVERY == 0}
        told = self.insist("start_workflow", workflow="stress", inputs=inputs, key=key)
        self.scene.note(what="started", run=told["run_id"], key=key)
        self.open[told["run_id"]] = key
        self.started.append(told["run_id"])
        self.take(told["run_id"], told)

    def take(self, run: str, told: dict[str, Any]) -> None:
        """Do what a reply says, as far as that goes at once."""
        while told.get("kind") == "step":
            action, attempt = told["action"], told["attempt"]
            value = f"{action} of {self.open[run]}"
            told = self.insist("submit_result", run_id=run, action=action, attempt=attempt, result=value)
            if told.get("kind") != "error":
                self.scene.note(what="answered", run=run, action=action, value=value)
            else:
                told = self.insist("get_next_step", run_id=run)
        if told.get("kind") in {"completed", "ended", "failed", "cancelled"} or ("status" in told and told["status"] == "completed"):
            self.open.pop(run, None)
        elif told.get("kind") == "error":
            raise AssertionError(told)
        elif "gate" in json.dumps(told) and run not in self.scene.to_approve:
            self.scene.to_approve.append(run)
        elif "nobody knows whether" in told.get("why", ""):
            self.unknown.add(run)
            self.open.pop(run)

    def look(self) -> None:
        """Ask for the next step of all that is open."""
        for run in list(self.open):
            self.take(run, self.insist("get_next_step", run_id=run))


def _paths() -> str:
    return os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)


def play(base: Path, *, runs: int, seconds: float, seed: int) -> tuple[Found, Scene, Driver]:
    """Play it and compare."""
    project = Project(base, stress=WORKFLOW)
    project.write("functions/ledger.py", LEDGER)
    trusted = project.treadle("trust", "--yes")
    assert trusted.code == 0, trusted.err
    scene = Scene(project, seed)
    scene.ledger.touch()
    scene.clients.touch()
    driver = Driver(scene)
    threads = [threading.Thread(target=scene.keep_worker, args=(name,)) for name in ("worker-1", "worker-2")]
    threads += [threading.Thread(target=scene.approve_by_command)]
    killer = threading.Thread(target=scene.kill_some)
    for thread in (*threads, killer):
        thread.start()
    try:
        until_s = time.monotonic() + seconds
        for number in range(runs):
            driver.start(number)
            while len(driver.open) >= OPEN_AT_ONCE:
                driver.look()
            if number % 100 == 99:
                print(f"{number + 1} started, {len(driver.unknown)} with an unknown outcome; killed: {scene.killed}", flush=True)
        while time.monotonic() < until_s:
            driver.look()
        scene.calm.set()
        until_s = time.monotonic() + DRAIN_S
        while driver.open and time.monotonic() < until_s:
            driver.look()
    finally:
        scene.calm.set()
        scene.stop.set()
        for thread in (*threads, killer):
            thread.join()
        if driver.process is not None:
            driver.process.kill()
        driver.let_go()
    return check(project.folder / ".treadle" / "treadle.db", scene.ledger, scene.clients), scene, driver
