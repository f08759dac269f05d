"""The real command line in a project of its own: as child processes, and in a terminal of a chosen size."""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pexpect
import pyte

from treadle.cli.frame import find_run
from treadle.cli.show import shown
from treadle.compose import locate, open_project

TREADLE = [sys.executable, "-m", "treadle.cli.main"]
LEDGER = Path(__file__).with_name("ledger.py")
PATIENCE_S = 40.0
_CONTROL = re.compile(rb"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]")

ASK = """\
name: ask
inputs:
  who: {type: string, default: you}
  times: {type: integer, default: 1}
steps:
  - prompt: "What now, {{ inputs.who }}?"
    id: question
  - id: gate
    approve: "{{ steps.question.result }}"
  - return: "{{ steps.question.result }}"
"""

WORK = """\
name: work
initial_state: {found: []}
steps:
  - id: each
    type: foreach
    items: [one, two, three]
    as: item
    agent: "@task"
    do:
      - id: look
        delegate: "Look at {{ item }}"
        output: {type: object, properties: {seen: {type: string, minLength: 1}}, required: [seen]}
      - id: keep
        mcp_call: ledger.note
        parameters: {text: "{{ steps.look.result.seen }}"}
    output: "{{ steps.look.result.seen }}"
    output_to: found
  - return: "{{ state.found }}"
"""

EFFECT = """\
name: effect
steps:
  - id: write
    mcp_call: ledger.slow
    parameters: {text: once}
  - return: "{{ steps.write.result }}"
"""


@dataclass(frozen=True, slots=True)
class Done:
    """What a command gave."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, Any]:
        return json.loads(self.err.splitlines()[-1])["error"]


class Project:
    """A project in a folder, with a home of its own."""

    def __init__(self, base: Path, **workflows: str) -> None:
        self.folder = base / "project"
        self.home = base / "home"
        (self.folder / "workflows").mkdir(parents=True)
        self.home.mkdir()
        for name, text in workflows.items():
            self.write(f"workflows/{name}.yaml", text)
        gone = ("TREADLE_", "CLAUDE", "COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(gone)} | {
            "HOME": str(self.home),
            "XDG_DATA_HOME": str(self.home / "data"),
            "LC_ALL": "C.UTF-8",
            "TERM": "xterm-256color",
        }

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def with_ledger(self) -> "Project":
        """Configure and trust the MCP server `ledger`, which writes down what it is told."""
        arguments = json.dumps([str(LEDGER), str(self.ledger)])
        self.write("treadle.toml", f"[servers.ledger]\ncommand = {json.dumps(sys.executable)}\nargs = {arguments}\n")
        assert self.treadle("trust", "--yes").code == 0
        return self

    @property
    def ledger(self) -> Path:
        return self.home / "ledger.txt"

    def noted(self) -> list[str]:
        return self.ledger.read_text().split() if self.ledger.exists() else []

    def treadle(self, *arguments: str, given: str | None = None, timeout_s: float = PATIENCE_S, **environment: str) -> Done:
        done = subprocess.run(
            [*TREADLE, *arguments], cwd=self.folder, env=self.environment | environment, input=given, text=True, capture_output=True,
            check=False, timeout=timeout_s, stdin=subprocess.DEVNULL if given is None else None,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*TREADLE, *arguments], cwd=self.folder, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def terminal(self, *arguments: str, columns: int = 100, rows: int = 40, **environment: str) -> "Terminal":
        return Terminal([*TREADLE, *arguments], self.folder, self.environment | environment, columns, rows)

    def show(self, run: str = "last") -> Any:
        """What `treadle show RUN --json` prints, without the time that a process takes to start."""
        return asyncio.run(self._shown(run))

    async def _shown(self, run: str) -> Any:
        async with open_project(locate(self.folder, {}), serve=False, create=False) as opened:
            return await shown(opened, await find_run(opened.service, run))


class Terminal:
    """A command in a terminal: what is typed goes in, what stands on the screen comes out."""

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str], columns: int, rows: int) -> None:
        self.screen = pyte.HistoryScreen(columns, rows, history=2000)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self._seen = 0
        self.child = pexpect.spawn(command[0], command[1:], cwd=str(folder), env=environment, dimensions=(rows, columns), echo=True)
        self.child.delaybeforesend = None

    @property
    def text(self) -> str:
        """All that was shown, what has scrolled away included."""
        above = ["".join(line[column].data for column in range(self.screen.columns)) for line in self.screen.history.top]
        return "\n".join(line.rstrip() for line in [*above, *self.screen.display])

    @property
    def _written(self) -> str:
        """All that was written, without colours and moves of the cursor."""
        return _CONTROL.sub(b"", self.raw).decode(errors="replace").replace("\r\n", "\n")

    def until(self, wanted: str, within_s: float = PATIENCE_S) -> str:
        """Wait for a text that comes after the last one that was waited for, and after what was typed; gives all that was shown."""
        ends = time.monotonic() + within_s
        while (found := self._written.find(wanted, self._seen)) < 0:
            self._read(max(0.0, ends - time.monotonic()), wanted)
        self._seen = found + len(wanted)
        return self.text

    def type(self, line: str) -> None:
        self._seen = len(self._written)
        self.child.send(line + "\r")

    def interrupt(self) -> None:
        self.child.send("\x03")

    def end(self) -> int:
        """Read to the end; gives the exit code."""
        ends = time.monotonic() + PATIENCE_S
        while True:
            try:
                self._read(max(0.0, ends - time.monotonic()), "the end")
            except EOFError:
                break
        self.child.close()
        return self.child.exitstatus if self.child.exitstatus is not None else -(self.child.signalstatus or 0)

    def _read(self, timeout_s: float, wanted: str) -> None:
        if timeout_s <= 0:
            raise AssertionError(f"{wanted!r} was not shown; this was:\n{self.text}")
        try:
            data = self.child.read_nonblocking(65536, timeout_s)
        except pexpect.TIMEOUT:
            raise AssertionError(f"{wanted!r} was not shown; this was:\n{self.text}") from None
        except pexpect.EOF:
            raise EOFError(f"it ended before {wanted!r}:\n{self.text}") from None
        self.raw += data
        self._stream.feed(data)
