"""The command line within this process: for commands that neither serve nor ask, which a child process would only make slow."""

import os
from pathlib import Path

import pytest

from tests.cli.support import Done
from treadle.cli import group, screen


class Here:
    """A project in a folder, with a home of its own; commands are carried out in it."""

    def __init__(self, base: Path, monkeypatch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[bytes]) -> None:
        self.folder, self.home = base / "project", base / "home"
        self.folder.mkdir()
        self.home.mkdir()
        self._monkeypatch, self._captured = monkeypatch, captured
        for name in os.environ:
            if name.startswith(("TREADLE_", "LOG_", "COLUMNS", "NO_COLOR", "FORCE_COLOR", "MCP_", "WORKFLOW_")):
                monkeypatch.delenv(name)
        monkeypatch.setenv("HOME", str(self.home))
        monkeypatch.setenv("XDG_DATA_HOME", str(self.home / "data"))
        monkeypatch.chdir(self.folder)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def treadle(self, *arguments: str, **environment: str) -> Done:
        with self._monkeypatch.context() as patched:
            for name, value in environment.items():
                patched.setenv(name, value)
            # They keep the width that they were made with.
            screen.console.cache_clear()
            screen.errors.cache_clear()
            self._captured.readouterr()
            code = group.run(list(arguments))
            out, err = self._captured.readouterr()
        return Done(code, out.decode(), err.decode())
