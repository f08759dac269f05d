"""Library workflows run for real: a git repository in a folder, the engine on its SQLite file, and an agent played by Python that really edits.

`Repository` is the user's project, with a bare remote beside it where one is wanted. `play` starts a workflow in it as `treadle run` does (the
same checks, the same service), and answers what the run asks by a table of patterns: what stands there is given, or called with the action.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from treadle.cli.frame import find_run
from treadle.cli.receipt import receipt_of
from treadle.compose import OpenProject, locate, open_project, trust_items
from treadle.core.errors import Failure
from treadle.core.events import Caller
from treadle.core.state import ENDED
from treadle.engine.service import Offer
from treadle.engine.timeline import Timeline
from treadle.ports import RunMeta
from treadle.testing.script import matches
from treadle.view import ActionView, RunView

PERSON: Final = Caller(kind="human", name="ada", assurance="local")
PATIENCE_S: Final = 60.0
PYTHON: Final = sys.executable
_AGENT: Final = Caller(kind="agent", name="agent/main")

# As an answer: somebody else gives it.
ELSEWHERE: Final = object()

Answer = Any
Answers = Mapping[str, Answer]


class Repository:
    """A git repository with one commit of the given files; nothing of the machine's own git configuration counts in it."""

    def __init__(self, base: Path, monkeypatch: pytest.MonkeyPatch, files: Mapping[str, str]) -> None:
        self.folder, self.home, self.remote = base / "project", base / "home", base / "remote.git"
        self.folder.mkdir(parents=True)
        self.home.mkdir()
        (self.home / ".gitconfig").write_text("[user]\n\tname = Ada\n\temail = ada@example.org\n[init]\n\tdefaultBranch = main\n")
        for name in os.environ:
            if name.startswith(("TREADLE_", "GIT_", "WORKFLOW_", "XDG_")):
                monkeypatch.delenv(name)
        monkeypatch.setenv("HOME", str(self.home))
        monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        self.git("init", "-q", ".")
        self.write(".gitignore", ".treadle/\n__pycache__/\n")
        for name, text in files.items():
            self.write(name, text)
        self.commit("Begin")

    def write(self, name: str, text: str) -> None:
        """Write a file, as an agent does."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def read(self, name: str) -> str:
        """Give a file's text."""
        return (self.folder / name).read_text(encoding="utf-8")

    def git(self, *arguments: str, of: Path | None = None) -> str:
        """Give what git says; a failure of it fails the test."""
        done = subprocess.run(["git", *arguments], cwd=of or self.folder, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(self, message: str) -> None:
        """Commit all there is."""
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)

    def with_remote(self) -> "Repository":
        """Make a bare repository and push to it."""
        self.git("init", "-q", "--bare", str(self.remote), of=self.home)
        self.git("remote", "add", "origin", str(self.remote))
        self.git("push", "-q", "-u", "origin", "HEAD")
        return self

    @property
    def status(self) -> str:
        """Give what has changed since the last commit."""
        return self.git("status", "--porcelain")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What became of a run: the view at its end, its receipt, and every note of its log with the event that it follows from."""

    view: RunView
    result: Any
    receipt: dict[str, Any]
    notes: list[tuple[str, str, dict[str, Any]]]

    def kinds(self, path: str) -> list[str]:
        """Give the notes about one path, in order."""
        return [kind for kind, at, _data in self.notes if at == path]

    def proof(self, path: str) -> dict[str, Any]:
        """Give what the receipt says of an action."""
        return next(row for row in self.receipt["actions"] if row["action"] == path)


def play(
    repository: Repository, workflow: str, inputs: Mapping[str, Any], answers: Answers, *, by: Caller = PERSON,
    beside: Callable[[OpenProject, str], Coroutine[Any, Any, None]] | None = None,
) -> Told:  # fmt: skip
    """Run a workflow to its end. `answers` gives by pattern a value, a list of values (one a time) or what makes one of the action.

    `beside` runs at the same time: for whoever sends a signal.
    """
    return asyncio.run(_play(repository, workflow, inputs, answers, by, beside))


async def _play(
    repository: Repository, workflow: str, inputs: Mapping[str, Any], answers: Answers, by: Caller,
    beside: Callable[[OpenProject, str], Coroutine[Any, Any, None]] | None,
) -> Told:  # fmt: skip
    async with asyncio.timeout(PATIENCE_S), open_project(locate(repository.folder, os.environ), serve=True, environ=os.environ) as opened:
        loaded = opened.load(workflow)
        definition = loaded.require()
        opened.trust.accept(opened.settings.project, trust_items(opened.settings, opened.servers, [workflow]))
        opened.check_ready(definition)
        opened.check_gates(definition, by.name, inputs)
        meta = RunMeta(workflow=definition.name, directory=str(repository.folder), started_by=by.name)
        offer = await opened.service.start(definition, inputs, by, meta)
        assert offer.refusal is None, offer.refusal
        run_id = offer.run.run_id
        also = [asyncio.create_task(beside(opened, run_id))] if beside is not None else []
        await _Agent(opened, run_id, answers, by).perform()
        await asyncio.gather(*also)
        return await _told(opened, run_id)


async def until(opened: OpenProject, run_id: str, test: Callable[[RunView], bool]) -> RunView:
    """Wait for a run to stand as a test wants it."""
    while not test(view := await opened.service.look(run_id)):
        await opened.service.changed(run_id, view.revision, 1_000)
    return view


async def _told(opened: OpenProject, run_id: str) -> Told:
    view = await opened.service.look(run_id)
    receipt, _budgets = await receipt_of(opened, await find_run(opened.service, run_id))
    moments = await Timeline(opened.engine, run_id).more()
    notes = [(note.kind, note.path, dict(note.data)) for moment in moments for note in moment.notes]
    return Told(view=view, result=await opened.service.filled(view.result), receipt=receipt, notes=notes)


class _Agent:
    """Answers everything that a run asks: as the person who started it, as the agent that drives it, and as a sub-agent of each branch."""

    def __init__(self, opened: OpenProject, run_id: str, answers: Answers, person: Caller) -> None:
        self._service, self._run_id, self._answers, self._person = opened.service, run_id, answers, person
        self._given: dict[str, int] = {}

    async def perform(self) -> None:
        """Answer until the run has ended."""
        while (view := await self._service.look(self._run_id)).status not in ENDED:
            assert view.parked is None, view.parked
            open_now = [action for action in view.actions if action.waits_for in {"person", "agent"} and not self._is_elsewhere(action)]
            assert all(action.waits_for != "outcome" for action in view.actions), "an outcome is unknown, and nobody here can say"
            for action in open_now:
                await self._one(action, view)
            if not open_now:
                await self._service.changed(self._run_id, view.revision, 1_000)

    async def _one(self, action: ActionView, view: RunView) -> None:
        value = self._value(action)
        if action.kind == "approve":
            offer = await self._service.decide(
                self._run_id, action.id, action.digest or "", self._person, approved=bool(value), note=str(value)
            )
            assert offer.refusal is None, offer.refusal
            return
        by = self._person if action.kind == "prompt" else _AGENT
        token = next((branch.token for branch in view.branches if action.channel == branch.token), "")
        offer = await self._service.next_step(self._run_id, by, action=action.id, token=token)
        assert offer.action is not None, offer
        if isinstance(value, Failure):
            offer = await self._service.submit(
                self._run_id, action.id, offer.action.attempt, by, failure=value, token=token, then_next=False
            )
        else:
            offer = await self._service.submit(self._run_id, action.id, offer.action.attempt, by, value=value, token=token, then_next=False)
        _taken(offer)

    def _pattern(self, action: ActionView) -> str:
        found = next((pattern for pattern in self._answers if matches(pattern, action.id, action.kind)), None)
        assert found is not None, f"nobody answers {action.id} ({action.kind})"
        return found

    def _is_elsewhere(self, action: ActionView) -> bool:
        return self._answers[self._pattern(action)] is ELSEWHERE

    def _value(self, action: ActionView) -> Answer:
        pattern = self._pattern(action)
        number = self._given.get(pattern, 0)
        self._given[pattern] = number + 1
        given = self._answers[pattern]
        if isinstance(given, list):
            assert number < len(given), f"{action.id} was asked for more than {len(given)} times"
            given = given[number]
        return given(action) if callable(given) else given


def _taken(offer: Offer) -> None:
    """A refused answer is no fault of a test: checks that fail are what these tests are about."""
    assert offer.refusal is None or offer.refusal.code == "bad_output", offer.refusal
